"""mpdemos: learn Python's multiprocessing by running it, watching it and breaking it."""

from .watch import ChildFailed, Stuck, start_method, watch

__all__ = ["ChildFailed", "Stuck", "start_method", "watch"]
