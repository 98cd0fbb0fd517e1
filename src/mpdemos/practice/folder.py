"""The private folder of a kernel, for its worker cells and its checks."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from ..watch.remover import make_folder

_MOST_BYTES = 5_000_000  # of a JSON file
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


def read_json(path: Path) -> Any:
    """What a JSON file of ours says, whatever somebody has put in its place.

    Args:
        path: the file.

    Returns:
        The value; None if there is no such file, or if it is none of ours.
    """
    try:
        if not path.is_file() or path.stat().st_size > _MOST_BYTES:  # to open a FIFO would wait for ever
            return None
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return None
