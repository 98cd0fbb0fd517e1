"""A private folder that goes when its process goes, however that ends."""

from __future__ import annotations

import atexit
import sys
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import subprocess

# Neither a thread nor `atexit` runs when a kernel is killed, but its end closes the remover's input.
_WAIT = "import shutil, sys; sys.stdin.buffer.read(); shutil.rmtree(sys.argv[1], ignore_errors=True)"


@cache
def private_folder() -> str:
    """The folder of this kernel: only its owner can read it, and it is removed when the kernel is gone.

    Returns:
        Its path; the folder is made at the first call.

    Raises:
        OSError: if there is no temporary folder that can be written.
    """
    import subprocess
    import tempfile

    folder = tempfile.mkdtemp(prefix="mpdemos-")
    remover = subprocess.Popen(
        [sys.executable, "-I", "-S", "-c", _WAIT, folder],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,  # neither an interrupt of the kernel nor its last clean-up shall end it
    )
    atexit.register(_remove, folder, remover)
    return folder


def _remove(folder: str, remover: subprocess.Popen[bytes]) -> None:
    import shutil

    shutil.rmtree(folder, ignore_errors=True)
    assert remover.stdin is not None
    remover.stdin.close()
    remover.wait()
