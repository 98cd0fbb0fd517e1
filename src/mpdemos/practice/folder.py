"""The private folder of a kernel, for its worker cells and its checks."""

from __future__ import annotations

import os

from ..watch.remover import make_folder

_made: list[str] = []


def private_folder() -> str:
    """The folder of this kernel: only its owner can read it, and it is removed when the kernel is gone.

    Returns:
        Its path; the folder is made at the first call, and again if somebody has removed it.

    Raises:
        OSError: if there is no temporary folder that can be written.
    """
    if not (_made and os.path.isdir(_made[-1])):
        _made.append(make_folder())
    return _made[-1]
