"""Folders and semaphores that go when their process goes, however that ends.

Neither a thread nor `atexit` runs when a kernel is killed, but its end closes the input of a process that it
has started: the remover, one for each process that watches. Semaphores are the library's resource tracker's
to remove, but that dies with the process group of a kernel, which Jupyter kills when the kernel has died.
"""

from __future__ import annotations

import os
import sys
import time
from multiprocessing import process, util
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import subprocess

    import psutil

LABEL = "mpdemos-remover"  # in the command line of the process
_BIRTH = 2.0  # seconds that a process may take to get its command line
_REMOVE = """\
import os, shutil, signal, time
signal.signal(signal.SIGINT, signal.SIG_IGN)
told = bytearray()
while not told.endswith(b"\\0\\0") and (more := os.read(0, 65536)):
    told += more
names = os.fsdecode(bytes(told)).split("\\0")
for folder in filter(os.path.isabs, names):
    for _ in range(100):  # who is just ending may still write there
        shutil.rmtree(folder, ignore_errors=True)
        if not os.path.exists(folder):
            break
        time.sleep(0.05)
semaphores = [name for name in names if name and not os.path.isabs(name)]
if semaphores and not told.endswith(b"\\0\\0"):
    time.sleep(0.5)  # for the resource tracker, which would complain of what is gone
    import _multiprocessing
    for name in semaphores:
        try:
            _multiprocessing.sem_unlink("/" + name)
        except OSError:  # as it should be: it is gone
            pass
"""
_removers: list[subprocess.Popen[bytes]] = []  # one is used; two threads may each have started one
_folders: list[str] = []  # all of them: what a remover knew goes with it if somebody kills it
if hasattr(os, "register_at_fork"):  # a forked child may not remove what its parent still uses
    os.register_at_fork(after_in_child=_folders.clear)


def make_folder() -> str:
    """Make a temporary folder that is removed at the latest when this process is gone.

    Returns:
        Its path; only its owner can read it.

    Raises:
        OSError: if there is no temporary folder that can be written, or the remover cannot be started.
    """
    import tempfile

    # A short name: on macOS an address below it, as a manager has one, may have 103 letters in all.
    folder = os.path.join(tempfile.gettempdir(), f"mpdemos-{os.urandom(4).hex()}")
    remove_at_the_end(folder)  # first: at no moment would a killed kernel leave it
    os.mkdir(folder, 0o700)
    return folder


def remove_at_the_end(folder: str) -> None:
    """Let a folder be removed when this process is gone, if it is still there then.

    Args:
        folder: its path; it need not exist yet.

    Raises:
        OSError: if the remover cannot be started.
    """
    if not (_removers and _tell(_removers[-1], folder)):
        library = _own_folder_of_the_library()
        _removers.append(_start())
        _tell(_removers[-1], *library, *_folders, folder)
    _folders.append(folder)


def cleans_up(process: psutil.Process) -> bool:
    """Whether a process is a remover or a resource tracker, which clean up and then end by themselves.

    Who is just becoming another program has no command line for a moment; on a busy machine for 40 ms.

    Args:
        process: one that somebody is about to kill.

    Raises:
        psutil.Error: if it has ended, or is somebody else's.
    """
    deadline = time.monotonic() + _BIRTH
    while not (command := process.cmdline()) and time.monotonic() < deadline:
        time.sleep(0.01)
    return is_cleaner(command)


def is_cleaner(command: list[str]) -> bool:
    """Whether a command line is that of a remover or a resource tracker.

    Args:
        command: the words of the command line.
    """
    return any(name in " ".join(command) for name in (LABEL, "multiprocessing.resource_tracker"))


def _own_folder_of_the_library() -> list[str]:
    """The library's temporary folder, which a kernel that is killed would leave, too.

    A child has that of its parent: it is the parent's to remove.
    """
    config: dict[str, Any] = process.current_process()._config  # type: ignore[attr-defined]
    inherited = process.parent_process() is not None and config.get("tempdir") is not None
    return [] if inherited else [util.get_temp_dir()]


def unlink_at_the_end(semaphore: str) -> None:
    """Let a semaphore be unlinked when this process has been killed and nobody else has unlinked it.

    Only the remover that runs now knows of it: if there is none, or somebody kills it, nobody does.

    Args:
        semaphore: its name in the system, with the slash.
    """
    if _removers:
        _tell(_removers[-1], semaphore.removeprefix("/"))


def _tell(remover: subprocess.Popen[bytes], *names: str) -> bool:
    """Whether it could be told; an empty name says that no more will come."""
    told = b"".join(os.fsencode(name) + b"\0" for name in names)
    assert remover.stdin is not None
    try:
        return remover.stdin.write(told) == len(told)
    except OSError:  # somebody has killed it
        return False


def _start() -> subprocess.Popen[bytes]:
    import subprocess

    python, flags = sys.executable, 0
    if sys.platform == "win32":
        # That of a virtual environment would start this one as its child. And without a console: who closes
        # the window of the terminal ends all that belong to it.
        python, flags = sys._base_executable, subprocess.DETACHED_PROCESS  # type: ignore[attr-defined]
    # After the finalizers of the library, which use its temporary folder.
    util.Finalize(None, end, exitpriority=-200)
    return subprocess.Popen(
        [python, "-I", "-S", "-c", _REMOVE, LABEL],
        bufsize=0,
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        creationflags=flags,
        start_new_session=True,  # neither its terminal nor the last clean-up of the kernel shall end it
    )


def end() -> None:
    """Remove the folders now, and end the remover."""
    import shutil

    while _removers:
        remover = _removers.pop()
        _tell(remover, "")  # a process that was forked may keep its input open
        assert remover.stdin is not None
        remover.stdin.close()
        remover.wait()
    while _folders:  # what is left of them, as when somebody has killed the remover
        shutil.rmtree(_folders.pop(), ignore_errors=True)
