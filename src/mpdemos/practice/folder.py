"""A private folder that goes when its process goes, however that ends."""

from __future__ import annotations

import atexit
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import subprocess

# Neither a thread nor `atexit` runs when a kernel is killed, but its end closes the remover's input.
_WAIT = "import shutil, sys; sys.stdin.buffer.read(); shutil.rmtree(sys.argv[1], ignore_errors=True)"
_made: dict[str, subprocess.Popen[bytes]] = {}  # the folder, and the process that removes it


def private_folder() -> str:
    """The folder of this kernel: only its owner can read it, and it is removed when the kernel is gone.

    Returns:
        Its path; the folder is made at the first call.

    Raises:
        OSError: if there is no temporary folder that can be written.
    """
    if not _made:
        import subprocess
        import tempfile

        folder = tempfile.mkdtemp(prefix="mpdemos-")
        _made[folder] = subprocess.Popen(
            [sys.executable, "-I", "-S", "-c", _WAIT, folder],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,  # neither an interrupt of the kernel nor its last clean-up shall end it
        )
        atexit.register(remove_folder)
    return next(iter(_made))


def remove_folder() -> None:
    """Remove the folder of this kernel, if there is one."""
    while _made:
        _folder, remover = _made.popitem()
        assert remover.stdin is not None
        remover.stdin.close()
        remover.wait()
