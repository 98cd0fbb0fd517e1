"""mpdemos: learn Python's multiprocessing by running it, watching it and breaking it."""

from __future__ import annotations

import os
from typing import Any

from .watch import ChildFailed, Stuck, start_method, watch

__all__ = ["ChildFailed", "Stuck", "start_method", "watch"]


def load_ipython_extension(shell: Any) -> None:
    """Give a notebook the magic ``%%worker``, and what cleans up after its cells: ``%load_ext mpdemos``.

    Args:
        shell: the IPython shell of the notebook.

    Raises:
        OSError: if there is no room for one more process, or no file descriptor.
    """
    from .practice.cells import WorkerCells

    if os.name == "posix":
        from multiprocessing import resource_tracker

        # While there is room: the library makes shared memory and semaphores first, and then starts what
        # has to know of them; where that cannot start, they stay in the system.
        resource_tracker.ensure_running()

    cells = WorkerCells(shell.user_ns)

    def worker(line: str, cell: str) -> None:
        """%%worker [name]: make this cell a module that every process can import."""
        print(cells.run(line.strip(), cell))

    def misplaced(line: str) -> None:
        """IPython takes %%worker below another line for a line magic of the name %worker."""
        from IPython.core.error import UsageError

        raise UsageError("%%worker has to be the first line of its cell: move what is above it below it")

    shell.register_magic_function(worker, magic_kind="cell")
    shell.register_magic_function(misplaced, magic_name="%worker")
