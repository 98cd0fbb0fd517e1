"""The traced process: it opens its record first, notes how it failed, and never outlives its parent."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from multiprocessing import active_children, connection, process, reduction, util
from types import TracebackType
from typing import TYPE_CHECKING, Any, cast

from .errors import no_file
from .record import Recorder, out_of_the_way

if TYPE_CHECKING:
    from .context import Watch

_ENDING = 1.0  # seconds between the end of a child's files and its own, and what a reaper needs to say so
_LAST = -1000  # below the exit priority of every finalizer of the standard library
_MOST_TOLD = 100_000  # letters of an error: one may hold all the data that it is about
_LAST_WORDS = 0.25  # seconds for a child that looks after its parent itself, by parent_process()
_ORPHANED = 70  # the exit code of a child whose parent died; nobody is left to read it


class TracedProcess(process.BaseProcess):
    """What a watched process adds to the process class of its start method.

    It stands below a learner's class, so that a ``start`` or ``join`` written there calls these; for one that
    calls those of `multiprocessing.Process` by name see `_Outermost`. Each name begins with ``_traced``: a
    learner's class may have any other.
    """

    _traced_watch: Watch | None = None  # set on the class that a watch hands out; None in a spawned child
    _traced_recorder: Recorder
    _traced_plain: type[process.BaseProcess]  # the class that a learner wrote or would have used
    _traced_method: type[process.BaseProcess]  # the class of the start method
    _traced_known = False  # to the watch, since it was started
    _traced_end = ""  # how this process ended it
    _traced_gone: float | None = None  # since when the system does not know it any more
    _traced_lost = False  # it has ended, and its exit code is lost
    _traced_pool = ""  # the key of the pool that it works for

    def start(self) -> None:
        assert self._traced_watch is not None
        self._traced_watch._adopt(self)
        self._traced_watch._start(self, super().start)

    def join(self, timeout: float | None = None) -> None:
        if self._popen is None or self._popen.returncode is not None:  # type: ignore[attr-defined]
            super().join(timeout)
        else:
            self._traced_join(timeout)
        if self._traced_watch is not None:
            self._traced_watch._note_exit(self)

    def _traced_join(self, timeout: float | None) -> None:
        pid = self.pid
        self._traced_recorder.waits("", ["join", pid], timeout)
        try:
            super().join(timeout)
        except BaseException:
            self._traced_recorder.note("gave up", "", ["join", pid])
            raise
        ended = self._popen.returncode is not None  # type: ignore[attr-defined]
        self._traced_recorder.note("joined" if ended else "gave up", "", ["join", pid])

    def terminate(self) -> None:
        self._traced_end_by("terminates", super().terminate)

    def kill(self) -> None:
        self._traced_end_by("kills", super().kill)

    if hasattr(process.BaseProcess, "interrupt"):  # Python 3.14

        def interrupt(self) -> None:
            self._traced_end_by("interrupts", super().interrupt)  # type: ignore[misc,unused-ignore]

    def _traced_end_by(self, action: str, end: Callable[[], None]) -> None:
        popen: Any = self._popen  # type: ignore[attr-defined]
        # An executor that breaks terminates all its workers, the one that had died before too. (A fork
        # server's sentinel is ready only until the exit code was read from it.)
        runs = popen is not None and popen.returncode is None
        runs = runs and (not connection.wait([self.sentinel], 0) or runs_on(popen))
        if runs and not self._traced_end:
            self._traced_end = action
            self._traced_recorder.note(action, "", {"pid": self.pid})
        if runs or popen is None:  # by now another process may have the pid of one that a fork server reaped
            end()

    def _traced_clean_up(self) -> None:
        """Kill it because the block is over."""
        self._traced_end_by("cleans up", super().kill)

    def is_alive(self) -> bool:
        alive = super().is_alive()
        if not alive and self._traced_watch is not None:
            self._traced_watch._note_exit(self)
        return alive

    def __reduce_ex__(self, protocol: Any) -> Any:
        """Pickle in two layers, so that a child which cannot unpickle its work can still say so."""
        reduced: Any = super().__reduce_ex__(2)
        make, args, *rest = reduced
        if "_traced_by_one" in vars(type(self)):  # made for one watch: a child knows only what it is made of
            make, args = _new, (self._traced_plain, self._traced_method)
        inner = reduction.ForkingPickler.dumps(_Reduced((make, args, *rest)))
        return _unpickle, (self._traced_recorder, self.name, bytes(inner))

    def _bootstrap(self, parent_sentinel: Any = None) -> int:
        self._traced_recorder.open(self.name)
        _die_with_parent(parent_sentinel)
        self.run = _noting_failure(self.run, self._traced_recorder)  # type: ignore[method-assign]
        exitcode: int = super()._bootstrap(parent_sentinel)  # type: ignore[misc]
        return exitcode


def runs_on(popen: Any) -> bool:
    """Whether a child runs though its sentinel says that it has ended: it may have closed all its files, or
    have become another program by `os.exec`. The sentinel is ready a moment before the end.

    Args:
        popen: the child's, as multiprocessing has it.
    """
    deadline = time.monotonic() + _ENDING
    while popen.returncode is None and _fate(popen) == "runs":
        if time.monotonic() >= deadline:
            return True
        time.sleep(0.001)
    return False


def note_if_lost(child: TracedProcess) -> None:
    """Note it if the program itself has reaped a child, by `os.wait` or by ignoring SIGCHLD.

    Nobody knows its exit code then. Whoever reaps it by multiprocessing needs a moment to say so.

    Args:
        child: one whose sentinel says that it has ended.
    """
    popen: Any = child._popen  # type: ignore[attr-defined]
    if popen.returncode is not None or _fate(popen) != "gone":
        child._traced_gone = None
    elif child._traced_gone is None:
        child._traced_gone = time.monotonic()
    elif time.monotonic() >= child._traced_gone + _ENDING:
        child._traced_lost = True
        process._children.discard(child)  # type: ignore[attr-defined]  # another process may get its number


def _fate(popen: Any) -> str:
    """What the system says of a child that was not reaped yet: it runs, is dead, or is gone.

    A child of a fork server is that one's, and macOS could not be asked before Python 3.13: dead.
    """
    if sys.platform == "win32" or popen.method == "forkserver" or not hasattr(os, "waitid"):
        return "dead"
    try:
        dead = os.waitid(os.P_PID, popen.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return "gone"
    return "runs" if dead is None else "dead"


class _Outermost(process.BaseProcess):
    """Stands above a learner's class, whose methods may call those of `multiprocessing.Process` by name."""

    def start(self) -> Any:
        started: Any = super().start()  # type: ignore[func-returns-value]
        self._traced_watch._know(self)  # type: ignore[attr-defined]
        return started

    def terminate(self) -> Any:
        self._traced_end_by("terminates", lambda: None)  # type: ignore[attr-defined]
        return super().terminate()  # type: ignore[func-returns-value]

    def kill(self) -> Any:
        self._traced_end_by("kills", lambda: None)  # type: ignore[attr-defined]
        return super().kill()  # type: ignore[func-returns-value]

    if hasattr(process.BaseProcess, "interrupt"):  # Python 3.14

        def interrupt(self) -> Any:
            self._traced_end_by("interrupts", lambda: None)  # type: ignore[attr-defined]
            return super().interrupt()  # type: ignore[misc,unused-ignore]

    def close(self) -> Any:
        self._traced_watch._note_exit(self)  # type: ignore[attr-defined]
        return super().close()  # type: ignore[func-returns-value]


def _noting_failure(run: Callable[[], Any], recorder: Recorder) -> Callable[[], Any]:
    def ended() -> None:
        recorder.note("ended", "", {"lost": recorder.lost})

    def noted() -> Any:
        # The last finalizer: after those of the queues, which wait until their items are sent. Since
        # Python 3.13 they run when the interpreter exits, and no longer within _bootstrap.
        util.Finalize(None, ended, exitpriority=_LAST)
        try:
            returned = run()
        except SystemExit as end:
            recorder.note("exits", "", str(end.code))
            raise
        except BaseException as error:
            note_failure(recorder, error)
            raise
        recorder.note("returned")
        return returned

    return noted


def note_failure(recorder: Recorder, error: BaseException) -> None:
    """Note the error and its traceback, from the first line that is neither ours nor the library's."""
    import traceback

    where = error.__traceback__
    while where is not None and where.tb_next is not None and _is_machinery(where):
        where = where.tb_next
    summary = traceback.TracebackException.from_exception(error)
    summary.__notes__ = None  # they stand behind the line that says what it is
    last = list(summary.format_exception_only())[-1].strip()
    if isinstance(error, KeyboardInterrupt) or _is_raised_by_a_handler(error):
        recorder.note("obeys")
    told = "".join(traceback.format_exception(error.with_traceback(where)))
    trouble = recorder.test()
    if trouble is not None:
        told += f"{no_file(trouble)}\n"
    recorder.note("failed", "", {"error": last[:_MOST_TOLD], "traceback": told[-_MOST_TOLD:]})


def _is_raised_by_a_handler(error: BaseException) -> bool:
    """Whether it comes from what this process does when it is asked to end."""
    handlers = (signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT))
    codes = [getattr(handler, "__code__", None) for handler in handlers]
    where = error.__traceback__
    while where is not None and where.tb_frame.f_code not in codes:
        where = where.tb_next
    return where is not None


def _is_machinery(where: TracebackType) -> bool:
    return os.path.dirname(where.tb_frame.f_code.co_filename) in (
        os.path.dirname(__file__),
        os.path.dirname(process.__file__),
    )


def traced_class(plain: type[process.BaseProcess], method: type[process.BaseProcess]) -> type[TracedProcess]:
    """``plain`` as a traced class that starts by ``method``, the process class of a start method."""
    own = () if plain is process.BaseProcess else (plain,)
    bases = (*own, TracedProcess) if issubclass(plain, method) else (method, *own, TracedProcess)
    body: dict[str, Any] = {"_traced_plain": plain, "_traced_method": method}
    body |= {"__module__": plain.__module__, "__doc__": plain.__doc__}
    return cast(type[TracedProcess], type(plain.__name__, bases, body))


def own_class(plain: type[process.BaseProcess], watch: Watch) -> type[TracedProcess]:
    """``plain`` traced, and bound to one watch: what ``mp.Process`` and ``mp.watched(Class)`` are."""
    base = traced_class(plain, watch._method)
    body = {"_traced_watch": watch, "_traced_recorder": watch._recorder, "_traced_by_one": True}
    body |= {"__module__": plain.__module__, "__doc__": plain.__doc__}
    return cast(type[TracedProcess], type(plain.__name__, (_Outermost, base), body))


class _Reduced:
    """Stands for an object that pickle shall rebuild by ``reduced``."""

    def __init__(self, reduced: tuple[Any, ...]) -> None:
        self._reduced = reduced

    def __reduce__(self) -> tuple[Any, ...]:
        return self._reduced


def _new(plain: type[process.BaseProcess], method: type[process.BaseProcess]) -> TracedProcess:
    made = traced_class(plain, method)
    return made.__new__(made)


def _unpickle(recorder: Recorder, name: str, inner: bytes) -> Any:
    """Load a process object in the child; a failure is noted before it ends the child."""
    recorder.open(name)
    try:
        made = reduction.ForkingPickler.loads(inner)
    except BaseException as error:
        note_failure(recorder, error)
        raise
    made._traced_recorder = recorder
    return made


def _die_with_parent(parent_sentinel: Any) -> None:
    """End this process, and what it started itself, as soon as its parent is gone."""
    if parent_sentinel is None:
        return

    mine = parent_sentinel
    if sys.platform != "win32":
        with contextlib.suppress(OSError):  # one that the program does not close with all its own files
            mine = out_of_the_way(os.dup(parent_sentinel))

    def wait() -> None:
        connection.wait([mine])
        if sys.platform != "win32":
            try:
                os.fstat(mine)
            except OSError:  # it has closed that too
                return
        time.sleep(_LAST_WORDS)
        for child in active_children():
            child.kill()
        os._exit(_ORPHANED)

    threading.Thread(target=wait, name="mpdemos-parent", daemon=True).start()
