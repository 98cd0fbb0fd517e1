"""The instrument: a drop-in for `multiprocessing.get_context` that records, guards, explains and draws.

``record``      what each process did, one file a process          ``guard``    the limit, and exits
``primitives``  the traced Lock, Queue, Pipe …                     ``history``  records put together
``process``     the traced process        ``pools``  tasks         ``explain``  … in sentences
``context``     `watch` itself: the factories and the block        ``picture``  … as a picture
``deadlock``    the proofs that nobody can go on
"""

from .context import Watch, start_method, watch
from .errors import ChildFailed, Failure, Stuck

__all__ = ["ChildFailed", "Failure", "Stuck", "Watch", "start_method", "watch"]
