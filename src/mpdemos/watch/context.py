"""The watched context: a drop-in for `multiprocessing.get_context` whose objects are traced.

Every child imports this package when it starts, so what only the parent needs is imported where it is used.
"""

from __future__ import annotations

import contextlib
import errno
import math
import multiprocessing
import operator
import os
import sys
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from itertools import count
from multiprocessing import connection, context, process
from types import FrameType, TracebackType
from typing import TYPE_CHECKING, Any

from .errors import (
    NO_GUARD,
    ChildFailed,
    Failure,
    Stuck,
    no_file,
    not_within,
    room_for_a_file,
    what_to_do,
)
from .process import TracedProcess, note_if_lost, own_class, runs_on
from .record import Recorder, handles_signals, read, seconds_to_the_alarm

if TYPE_CHECKING:
    from . import history
    from .guard import Guard
    from .history import History
    from .picture import Timeline
    from .primitives import Trace

_LIBRARY = ("multiprocessing.", "concurrent.futures.")
_TOO_MUCH_TO_READ = 2_000_000  # bytes of record; above it only the limit ends a block
_UNKNOWN = 255  # the exit code of a child whose real one was lost
_LOOK = 0.25  # seconds between two looks at whether anybody can still go on
_GOODBYE = 5.0  # seconds that a killed child has to disappear
_START = 2.0  # seconds that another thread may take to finish the start of a child when the block ends
_PAUSE = 0.001  # seconds between two looks at a child whose sentinel was ready a moment before its end
_DYING = 0.5  # seconds that a child may be dead to its pipes before its sentinel says so
_NO_SEMAPHORE = """\
The system has no room for another semaphore, and every lock, event, queue or Value needs some. (On Linux they
are files in /dev/shm.) End programs that you do not need, and make fewer of these objects at a time."""
_FOLDER_GONE = """\
While this watched block ran, somebody removed the temporary folder where its record was kept: {}.
What also used that folder, as managers and the fork server do, may not work until you restart."""
_LIBRARY_FOLDER_GONE = """\
Somebody has removed the temporary folder of multiprocessing: {}.
What uses it, as managers and the fork server do, may not work until you restart."""


def start_method() -> str:
    """The start method of the lessons: ``spawn``, unless ``MPDEMOS_START_METHOD`` names another one.

    Returns:
        The name of a start method that this platform has.

    Raises:
        ValueError: if ``MPDEMOS_START_METHOD`` names a start method that this platform does not have.
    """
    return _checked(os.environ.get("MPDEMOS_START_METHOD") or "spawn")


def _checked(method: str) -> str:
    methods = multiprocessing.get_all_start_methods()
    if method not in methods:
        raise ValueError(f"start method {method!r}: this platform has {', '.join(sorted(methods))}")
    return method


def watch(method: str | None = None, *, limit: float | None = 30, check: bool = True) -> Watch:
    """A multiprocessing context that records, guards, explains and draws what is done with it.

    Use it in a ``with`` statement, in place of `multiprocessing.get_context`::

        with watch(limit=10) as mp:
            lock = mp.Lock()
            ...

    Args:
        method: the start method; by default what `start_method` returns.
        limit: seconds after which the block is ended and `Stuck` raised; sooner, if it is proved that nobody
            can go on, or that an awaited result of a Pool is lost. None for no limit. Code that catches
            everything and goes on is ended a second later. The limit reaches a blocked parent only in the
            main thread; in any other thread it ends the children.
        check: whether a child that ended with an exit code other than 0 raises `ChildFailed`, unless the
            block ended it by ``terminate``, ``kill`` or ``interrupt``.

    Returns:
        The watch. It has every name of a multiprocessing context, and after the block
        ``events``, ``explain()``, ``timeline()`` and ``most_at_once()``.

    Raises:
        ValueError: if the platform has no such start method, or the limit is not a positive number.
        TypeError: if the limit is not a number.
    """
    return Watch(method, limit=limit, check=check)


class Watch(context.BaseContext):
    """A watched context; made by `watch`."""

    def __init__(self, method: str | None = None, *, limit: float | None = 30, check: bool = True) -> None:
        self._name = start_method() if method is None else _checked(method)
        if limit is not None:
            if isinstance(limit, bool) or not isinstance(limit, int | float):
                raise TypeError(f"limit: seconds or None, not {limit!r}")
            if not (limit > 0 and math.isfinite(limit)):
                raise ValueError(f"limit: more than 0 seconds, or None for no limit, not {limit!r}")
        self._limit, self._check = limit, check
        self._plain = multiprocessing.get_context(self._name)
        self._method: type[process.BaseProcess] = self._plain.Process  # type: ignore[attr-defined]
        self._state = "new"
        self._labels: dict[str, str] = {}
        self._kinds: dict[str, str] = {}
        self._counts: dict[str, count[int]] = {}
        self._watched: dict[type, type] = {}
        self._children: list[TracedProcess] = []
        self._failures: list[Failure] = []
        self._reaping = threading.Lock()
        self._starts, self._being_started = threading.Condition(), 0
        self._pools: weakref.WeakSet[Any] = weakref.WeakSet()
        self._executors: weakref.WeakKeyDictionary[Any, Trace] = weakref.WeakKeyDictionary()
        self._stuck: str | None = None
        self._sizes: tuple[int, ...] = ()
        self._somebody_ended = False
        self._history: History | None = None

    # --- the block -------------------------------------------------------------------------------------

    def __enter__(self) -> Watch:
        if self._state != "new":
            raise RuntimeError("a watch is used once: call watch() again for another block")
        from . import remover

        try:
            self._folder = remover.make_folder()
        except OSError as error:
            raise _cannot_record(error) from error
        try:
            self._begin(sys._getframe(1))
        except BaseException:
            try:
                self._remove_record()
            finally:
                self._state = "new"
            raise
        return self

    def _begin(self, entering: FrameType) -> None:
        # What the guard's thread uses is imported before it starts: to a child that is forked while another
        # thread imports a module, that module (or what it needs, as `ast`) stays locked for ever.
        from . import deadlock, explain  # noqa: F401
        from .guard import Guard, program_of

        self._owner, self._thread = os.getpid(), threading.get_ident()
        self._began, self._began_at = time.perf_counter_ns(), time.time()
        self._recorder = Recorder(self._folder)
        self._recorder.open(process.current_process().name)
        if self._recorder.trouble is not None:
            raise _cannot_record(self._recorder.trouble)
        self._recorder.owner = self._owner
        self.Process = self.watched(self._method)
        self._before = _started()
        self._state = "open"
        self._guard: Guard = Guard(
            self._limit, self._expire, self._note_sentinel, self._nobody_can_go_on, self._end_running
        )
        self._guard.leaving_code = Watch.__exit__.__code__
        self._guard.entering_codes = (Watch.__enter__.__code__, Watch._begin.__code__, Guard.start.__code__)
        self._guard.program = program_of(entering)
        self._guard.entrance = entering, entering.f_lineno
        self._guard.abandoned = self._end_abandoned
        self._guard.start()

    def _remove_record(self) -> None:
        import shutil

        self._state = "over"
        self._recorder.close()  # or Windows could not remove its file
        for _ in range(3):  # a child that was started too late may just have begun its record there
            shutil.rmtree(self._folder, ignore_errors=True)
            if not os.path.isdir(self._folder):
                return
        with contextlib.suppress(OSError):  # there was no file descriptor for that: try without
            os.unlink(self._recorder.path)
        with contextlib.suppress(OSError):
            os.rmdir(self._folder)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        if os.getpid() != self._owner:  # a copy, by os.fork: the children are the original's
            return
        trouble, gone = self._leave(error)
        failed = ChildFailed(self._failures) if self._failures and self._check else None
        raised = error or failed
        if self._stuck is not None and (error is None or _was_interrupted(error)):
            raised = Stuck(self._told_of_stuck()).with_traceback(where)
        elif failed is not None and isinstance(error, Exception):
            _add_note(error, f"Also, in this watched block: {failed}")
        if raised is not None and gone:
            _add_note(raised, _FOLDER_GONE.format(self._folder))
        elif raised is not None and (folder := _lost_folder_of_the_library()):
            _add_note(raised, _LIBRARY_FOLDER_GONE.format(folder))
        elif error is not None and raised is error and trouble is not None:
            _add_note(error, no_file(trouble))
        if raised is not None and raised is not error:
            raise raised from (failed if raised is not failed else None)

    def _leave(self, error: BaseException | None) -> tuple[OSError | None, bool]:
        """End all; returns what keeps the record from being written, and whether its folder is gone."""
        if self._state == "over":  # it was abandoned, and has come back
            return None, False
        self._guard.leave()
        with contextlib.ExitStack() as leaving:  # whatever fails, the rest is done; in the order from below
            leaving.callback(self._guard.give_back)  # last: it may raise KeyboardInterrupt
            leaving.callback(self._remove_record)
            leaving.callback(self._keep_history)
            leaving.callback(self._guard.stop)
            leaving.callback(self._end_children)
            if error is None:
                self._let_finish()
            elif isinstance(error, (EOFError, ConnectionError)):
                self._await_the_end_of_a_child()
            gone = not os.path.isdir(self._folder)
            trouble = self._recorder.test() if error is not None else None
        return trouble, gone

    def _end_abandoned(self) -> None:
        """The limit is reached, and the cell that entered the block has ended without leaving it.

        Python 3.11 does not look for a handler or a `with` when a signal comes in a `while True:` of one line
        that is the first thing after a `try:`, and a block may be entered by hand.
        """
        from .guard import Interrupted

        self._leave(Interrupted())
        print(f"A watched block was never left. {self._told_of_stuck()}", file=sys.stderr)

    def _told_of_stuck(self) -> str:
        return f"{self._stuck}\n{what_to_do(self._failures)}".strip()

    def _keep_history(self) -> None:
        self._state = "over"
        self._history = self._read()

    def _let_finish(self) -> None:
        """Do what the end of a program does, in its order: let executors finish, end pools and managers, and
        wait for the other children.
        """
        from .guard import wait_for_any

        for thread in self._shut_down_executors():
            while thread.is_alive():
                if self._time_is_up():
                    return
                thread.join(0.1)
        self._end_pools()
        for manager in self._unfinished("shutdown"):
            manager.shutdown()
        for child in self._children:
            if child.daemon and _alive(child):
                TracedProcess.terminate(child)  # a learner's own one may do anything
        next_look = time.monotonic() + _LOOK
        while waiting := [child for child in self._children if _alive(child)]:
            if self._time_is_up():
                break
            left = self._guard.left()
            ready = wait_for_any(
                [child.sentinel for child in waiting], 0.1 if left is None else min(left, 0.1)
            )
            unclear = [child for child in waiting if child.sentinel in ready and _alive(child)]
            for child in unclear:
                note_if_lost(child)
            if unclear:
                time.sleep(_PAUSE)
            if left is not None and time.monotonic() >= next_look:
                next_look = time.monotonic() + _LOOK
                if self._nobody_can_go_on(at_end=True):
                    self._expire()
                    break

    def _time_is_up(self) -> bool:
        """Whether the end of the block waits no longer: after Ctrl-C, or at the limit, of which it tells."""
        if self._guard.asked_to_stop:
            return True
        if self._guard.left() != 0.0:
            return False
        if self._stuck is None:
            self._expire()
        return True

    def _shut_down_executors(self) -> list[threading.Thread]:
        """Let the executors end as soon as their tasks are done; returns the threads that see to it."""
        running: list[Any] = threading.enumerate()
        threads = [thread for thread in running if getattr(thread, "call_queue", None) in self._executors]
        for thread in list(threads):
            executor = thread.executor_reference()
            if executor is not None and not executor._shutdown_thread:  # else it is ending already
                # By a thread, which waits: `shutdown(wait=False)` forgets what it takes to replace a worker
                # that has run `max_tasks_per_child` tasks (gh-119592).
                threads.append(threading.Thread(target=executor.shutdown, name="mpdemos-end", daemon=True))
                threads[-1].start()
        return threads

    def _unfinished(self, ending: str) -> list[Any]:
        """What was made with this context, by a factory or by its class, and has this method to end it.

        Of all such objects the library keeps how to end them with the program.
        """
        from multiprocessing import util

        finalizers = list(util._finalizer_registry.values())  # type: ignore[attr-defined]
        owners = [getattr(finalizer, "_weakref", None) for finalizer in finalizers]
        things = [owner() for owner in owners if owner is not None]
        ours = [thing for thing in things if getattr(thing, "__dict__", {}).get("_ctx") is self]
        return [thing for thing in ours if hasattr(thing, ending)]

    def _end_pools(self) -> None:
        if pools := self._unfinished("terminate"):
            from .pools import end

            for pool in pools:
                end(pool)

    def _await_the_end_of_a_child(self) -> None:
        """A pipe broke, likely since a child has just died: let that be seen before children are ended."""
        from .guard import wait_for_any

        for child in list(self._children):
            self._note_exit(child)
        if not self._failures:
            wait_for_any([child.sentinel for child in self._children], _DYING)

    def _end_children(self) -> None:
        from .remover import cleans_up

        orphans = _started_by([child for child in self._children if _alive(child)])
        self._end_pools()
        self._start_nobody_any_more()
        children = list(self._children)
        for child in children:
            if _alive(child):
                child._traced_clean_up()
        for child in children:
            connection.wait([child.sentinel], _GOODBYE)  # on Windows join() may return before its end
            TracedProcess.join(child, _GOODBYE)
            _settle(child)
            self._note_exit(child)
        for orphan in orphans:  # nobody else knows of them
            with contextlib.suppress(Exception):
                if not cleans_up(orphan):
                    orphan.kill()

    def _end_running(self) -> None:
        """Kill the children that run, without reaping them: the thread of the block may be joining one."""
        for child in list(self._children):
            child._traced_clean_up()

    def _expire(self) -> None:
        """Say who waits for what, while everybody still does."""
        limit = self._limit if self._guard.left() == 0.0 else None
        trouble = self._recorder.test()
        why = f"\nwatch can keep no record any more: {trouble.strerror or trouble}." if trouble else ""
        self._stuck = not_within(limit) + why  # what follows needs files, too
        from .explain import stuck

        reader_died = any(pool.reader_died for pool in self._pools)
        others = limit is not None and self._others_may_help()
        self._stuck = stuck(self._read(), limit, reader_died=reader_died, others=others) + why

    def _nobody_can_go_on(self, at_end: bool = False) -> bool:
        """Whether it is proved, before the limit, that the block will never end.

        At the end of the block this process waits for its children, and does nothing for them any more.
        """
        if self._pools:
            return not at_end and any(map(self._waits_for_a_lost_result, list(self._pools)))
        if not (at_end or self._recorder.in_wait) or self._executors:
            return False
        if at_end and (self._recorder.has_other_threads() or handles_signals()):
            return False
        if 0 < seconds_to_the_alarm() < (self._guard.left() or 0):
            return False
        from .deadlock import nobody_can_go_on

        history = self._read_if_quiet()
        if history is None or not nobody_can_go_on(history, without_parent=at_end):
            return False
        # The end of a pipe is no record: who is about to read it may only wait for the processor. If this
        # process has read it by now, it has noted that.
        reads = self._recorder.receives
        if reads is not None and _has_something(reads):
            return False
        pids = {life.pid for life in history.lives.values() if not (at_end and life.pid == os.getpid())}
        if not all(map(_is_asleep, pids)) or self._others_may_help():
            return False
        return self._record_sizes() == self._sizes

    def _others_may_help(self) -> bool:
        """Whether somebody of whom there is no record may do something for the others."""
        from .deadlock import a_thread_may_help, others_may_help

        try:
            known = self._before.union(self._children)
            pids = {child.pid for child in known.intersection(_started()) if child.pid}
            return a_thread_may_help(self._thread) or others_may_help(pids, self._began_at)
        except Exception:  # the system cannot be asked, as without a file descriptor
            return True

    def _waits_for_a_lost_result(self, pool: Any) -> bool:
        job = pool.awaited
        if job is None or not (self._somebody_ended or pool.reader_died):
            return False
        from .deadlock import children_are_idle, result_is_lost

        history = self._read_if_quiet()
        if history is None or not children_are_idle(history):
            return False
        if pool.reader_died:
            return True
        return pool.everything_is_read and result_is_lost(history, self._key(pool), job, pool.outstanding)

    def _read_if_quiet(self) -> History | None:
        """The record, if nobody has written to it since the last look."""
        quiet, self._sizes = (sizes := self._record_sizes()) == self._sizes, sizes
        if not quiet or not 0 < sum(sizes) <= _TOO_MUCH_TO_READ:
            return None
        history = self._read()
        return history if self._record_sizes() == sizes else None

    def _record_sizes(self) -> tuple[int, ...]:
        try:
            # Windows tells an entry of a folder late that its file has grown, so ask each file.
            return tuple(os.path.getsize(entry) for entry in os.scandir(self._folder))
        except OSError:  # somebody has removed the folder
            return ()

    # --- processes -------------------------------------------------------------------------------------

    def watched(self, process_class: type[process.BaseProcess]) -> type[Any]:
        """The watched kind of a process class that was written elsewhere.

        Args:
            process_class: a subclass of `multiprocessing.Process` with a ``run`` of its own.

        Returns:
            A class with the same signature. Its processes start by this watch's start method.

        Raises:
            TypeError: if it is not a process class.
        """
        if not (isinstance(process_class, type) and issubclass(process_class, process.BaseProcess)):
            raise TypeError(f"watched() takes a subclass of multiprocessing.Process, not {process_class!r}")
        if process_class not in self._watched:
            self._watched[process_class] = own_class(process_class, self)
        return self._watched[process_class]

    def _adopt(self, child: TracedProcess) -> None:
        """Let an executor's worker note its tasks."""
        target: Any = getattr(child, "_target", None)
        if getattr(target, "__module__", "") != "concurrent.futures.process":
            return
        from .pools import work

        calls, *rest = child._args  # type: ignore[attr-defined]
        if calls not in self._executors:
            self._executors[calls] = self._new_trace("ProcessPoolExecutor")
        child._args = (target, self._executors[calls], calls, *rest)  # type: ignore[attr-defined]
        child._target = work  # type: ignore[attr-defined]
        child._traced_pool = self._executors[calls].key

    def _start(self, child: TracedProcess, start: Callable[[], None]) -> None:
        if os.getpid() != self._owner:  # a forked child starts a process of its own
            start()
            return
        self._check_open()
        for other in list(self._children):
            self._note_exit(other)
        import warnings

        with self._guard.starting(), self._starting():
            with warnings.catch_warnings() if self._only_our_thread() else contextlib.nullcontext():
                if self._only_our_thread():  # the guard must not earn the program a warning
                    warnings.filterwarnings("ignore", "This process .* is multi-threaded", DeprecationWarning)
                try:
                    start()
                except BaseException as error:
                    _let_go(error)
                    raise
            self._know(child)

    @contextlib.contextmanager
    def _starting(self) -> Iterator[None]:
        """While a child starts: the end of the block waits, or it would leave one that it does not know."""
        with self._starts:
            self._check_open()
            self._being_started += 1
        try:
            yield
        finally:
            with self._starts:
                self._being_started -= 1
                self._starts.notify_all()

    def _start_nobody_any_more(self) -> None:
        with self._starts:
            self._state = "ending"
            self._starts.wait_for(lambda: not self._being_started, _START)

    def _know(self, child: TracedProcess) -> None:
        """Note a child that was started, once."""
        if child._traced_known or child._popen is None or os.getpid() != self._owner:  # type: ignore[attr-defined]
            return
        child._traced_known = True
        self._children.append(child)
        detail = {"pid": child.pid, "name": str(child.name), "worker_of": child._traced_pool}
        self._recorder.note("starts", "", detail)
        if self._state == "over":  # its start has taken so long that the block has ended without it
            child._traced_clean_up()
            TracedProcess.join(child, _GOODBYE)
            self._check_open()
        self._guard.add(child.sentinel, child.pid)  # type: ignore[arg-type]

    def _only_our_thread(self) -> bool:
        return self._name == "fork" and threading.active_count() == 2

    def _note_sentinel(self, pid: int) -> None:
        child = next((child for child in list(self._children) if child.pid == pid), None)
        if child is None or not runs_on(child._popen):  # type: ignore[attr-defined]
            self._recorder.note("sees the end of", "", {"pid": pid})

    def _note_exit(self, child: TracedProcess) -> None:
        """If a child has ended, note its exit code once, and whether it failed."""
        if os.getpid() != self._owner or _alive(child):  # a forked child's own children are not watched
            return
        with self._reaping:  # a pool joins its workers in a thread
            if child not in self._children:
                return
            self._children.remove(child)
        self._guard.forget(child.pid)  # type: ignore[arg-type]
        self._somebody_ended = True
        code = child.exitcode
        self._recorder.note("reaps", "", {"pid": child.pid, "exitcode": code})
        asked = child._traced_end and (code != 1 or not self._failed_unasked(child))
        if code not in (0, None) and not asked:
            self._failures.append(self._failure(child, code))

    def _failed_unasked(self, child: TracedProcess) -> bool:
        """Whether a process that was asked to end, and did not, failed later."""
        actions = {record.action for record in read(self._folder, child.pid)[0]}
        return "failed" in actions and "obeys" not in actions

    def _failure(self, child: TracedProcess, code: int | None) -> Failure:
        records, torn = read(self._folder, child.pid)
        for record in reversed(records):
            if record.action in ("failed", "exits"):
                detail = record.detail
                if record.action == "exits":
                    return Failure(child.name, code, f"It called sys.exit({detail}).", "")
                return Failure(child.name, code, detail["error"], detail["traceback"])
        trouble = self._recorder.test() or self._recorder.trouble
        if not (torn or trouble):
            return Failure(child.name, code, NO_GUARD if code == 1 and not records else "", "")
        why = f": {trouble.strerror or trouble}" if trouble else ""
        return Failure(child.name, code, f"What it noted of its end could not be written or read{why}.", "")

    # --- factories: the names and signatures of BaseContext ---------------------------------------------

    def Lock(self) -> Any:
        return self._make("Lock", 1, super().Lock)

    def RLock(self) -> Any:
        return self._make("RLock", 1, super().RLock)

    def Semaphore(self, value: int = 1) -> Any:
        return self._make("Semaphore", value, super().Semaphore, value)

    def BoundedSemaphore(self, value: int = 1) -> Any:
        return self._make("BoundedSemaphore", value, super().BoundedSemaphore, value)

    def Event(self) -> Any:
        return self._make("Event", 0, super().Event)

    def Barrier(self, parties: int, action: Any = None, timeout: float | None = None) -> Any:
        return self._make("Barrier", parties, super().Barrier, parties, action, timeout)

    def Condition(self, lock: Any = None) -> Any:
        if self._asked_by_library():
            return super().Condition(lock)
        trace = self._new_trace("Condition", 1)
        if lock is None:
            lock = self._trace_with(trace, "RLock", super().RLock)
        return self._trace_with(trace, "Condition", super().Condition, lock)

    def Queue(self, maxsize: int = 0) -> Any:
        if self._asked_by_library():
            return super().Queue(maxsize)
        from .primitives import Queue

        return Queue(maxsize, ctx=self, trace=self._new_trace("Queue", maxsize))

    def JoinableQueue(self, maxsize: int = 0) -> Any:
        if self._asked_by_library():
            return super().JoinableQueue(maxsize)
        from .primitives import JoinableQueue

        return JoinableQueue(maxsize, ctx=self, trace=self._new_trace("JoinableQueue", maxsize))

    def SimpleQueue(self) -> Any:
        if self._asked_by_library():
            return super().SimpleQueue()
        from .primitives import SimpleQueue

        return SimpleQueue(ctx=self, trace=self._new_trace("SimpleQueue"))

    def Pipe(self, duplex: bool = True) -> Any:
        ends = super().Pipe(duplex)
        if self._asked_by_library():
            return ends
        from .primitives import traced_connection

        trace = self._new_trace("Pipe")
        return tuple(traced_connection(end, trace, number) for number, end in enumerate(ends))

    def Pool(
        self, processes: Any = None, initializer: Any = None, initargs: Any = (), maxtasksperchild: Any = None
    ) -> Any:
        from .pools import Pool

        trace = self._new_trace("Pool")
        pool = Pool(processes, initializer, initargs, maxtasksperchild, trace=trace, context=self)
        self._pools.add(pool)
        return pool

    def Value(self, typecode_or_type: Any, *args: Any, lock: Any = True) -> Any:
        return super().Value(typecode_or_type, *args, lock=self._lock_for("Value", lock))

    def Array(self, typecode_or_type: Any, size_or_initializer: Any, *, lock: Any = True) -> Any:
        return super().Array(typecode_or_type, size_or_initializer, lock=self._lock_for("Array", lock))

    def __reduce__(self) -> Any:
        # A child that gets the context gets the plain one: only what this block makes is traced.
        return multiprocessing.get_context, (self._name,)

    def _lock_for(self, kind: str, lock: Any) -> Any:
        """The traced lock of a Value or an Array, unless the caller brings one or wants none."""
        if lock is True or lock is None:
            return self._trace_with(self._new_trace(kind, 1), "RLock", super().RLock)
        return lock

    def _make(self, kind: str, size: int, make: Callable[..., Any], *args: Any) -> Any:
        if self._asked_by_library():
            return self._made(make, *args)
        return self._trace_with(self._new_trace(kind, size), kind, make, *args)

    @staticmethod
    def _asked_by_library() -> bool:
        """Whether a factory was called by the standard library, for parts that no learner sees."""
        depth = 1
        while sys._getframe(depth).f_globals.get("__name__") == __name__:
            depth += 1
        caller: str = sys._getframe(depth).f_globals.get("__name__", "") + "."
        return caller.startswith(_LIBRARY)

    def _trace_with(self, trace: Trace, kind: str, make: Callable[..., Any], *args: Any) -> Any:
        """Make a plain object and turn it into its traced kind."""
        from . import primitives

        made = self._made(make, *args)
        traced: Any = getattr(primitives, kind)
        for shadow in ("acquire", "release"):  # the C object's methods, which the original put there
            if issubclass(traced, primitives._TracedSemLock):
                vars(made).pop(shadow, None)
        made.__class__ = traced
        made._trace = trace
        return made

    def _made(self, make: Callable[..., Any], *args: Any) -> Any:
        """``make(*args)``; where no semaphore is left, the system says no more than that a disk is full."""
        if os.name == "posix" and self._name != "fork":
            from multiprocessing.resource_tracker import _resource_tracker

            if _resource_tracker._fd is None:  # type: ignore[attr-defined]
                _resource_tracker.ensure_running()  # a semaphore that it is not told of would stay
        try:
            made = make(*args)
        except OSError as error:
            if error.errno == errno.ENOSPC and not hasattr(error, "__notes__"):
                error.add_note(_NO_SEMAPHORE)
            raise
        semaphore = getattr(made, "_semlock", None)
        if semaphore is not None and semaphore.name is not None:  # it is unlinked already where children fork
            from . import remover

            remover.unlink_at_the_end(semaphore.name)
        return made

    def _new_trace(self, kind: str, size: int = 0) -> Trace:
        """A trace for a new object; ``size`` is its permits, parties or places, 0 if it has none."""
        from .primitives import Trace

        self._check_open()
        number = next(self._counts.setdefault(kind, count(1)))
        key = f"{kind}-{number}"
        if os.getpid() != self._owner:
            key = f"{kind}-{os.getpid()}-{number}"
        self._kinds[key] = kind
        try:
            size = int(operator.index(size))
        except TypeError:
            size = 0  # the original is about to refuse it
        self._recorder.note("makes", key, {"kind": kind, "size": size})
        return Trace(self._recorder, key)

    def _check_open(self) -> None:
        if self._state == "new":
            raise RuntimeError("use a watch in a with statement: `with watch() as mp:`")
        if self._state in ("ending", "over"):
            raise RuntimeError("this watched block is over: call watch() again for another one")

    # --- what a reader asks ----------------------------------------------------------------------------

    def label(self, **names: Any) -> None:
        """Give traced objects the names that pictures and explanations shall use: ``mp.label(till=lock)``.

        Args:
            names: a traced object of this watch for each name.

        Raises:
            TypeError: if an object was not made by this watch.
        """
        keys = {name: self._key(thing) for name, thing in names.items()}
        for name, key in keys.items():
            self._labels[key] = name
            if self._history is not None:
                self._history.labels[key] = name

    @property
    def events(self) -> list[history.Event]:
        """What was recorded, by time; see `Event`. Within the block: what was recorded so far."""
        return self._told().events()

    def explain(self) -> str:
        """What happened, in sentences that are the same on every run of a correct program."""
        from .explain import explain

        return explain(self._told())

    def timeline(self, title: str = "") -> Timeline:
        """What happened, as a picture with a lane for each process.

        Args:
            title: a heading for the picture.

        Raises:
            TypeError: if the title is no text.
        """
        from .picture import Timeline

        if not isinstance(title, str):
            raise TypeError(f"a title is text, not {title!r}")
        return Timeline(self._told(), title)

    def most_at_once(self, thing: Any) -> int:
        """The most processes that held ``thing`` at the same time.

        Args:
            thing: a lock, semaphore, condition, Value or Array of this watch.

        Raises:
            TypeError: if it was not made by this watch.
        """
        return self._told().most_at_once(self._key(getattr(thing, "_lock", thing)))  # a Condition's lock

    def _key(self, thing: Any) -> str:
        for candidate in (thing, getattr(thing, "_lock", None)):
            trace = getattr(candidate, "_trace", None)
            if trace is not None and trace.recorder is getattr(self, "_recorder", None):
                return str(trace.key)
        raise TypeError(
            f"{thing!r} was not made by this watch, so there is no record of it "
            "(in a notebook: run the cell that made both again)"
        )

    def _told(self) -> History:
        if self._state == "new":
            self._check_open()
        return self._history or self._read()

    def _read(self) -> History:
        from .history import History

        records, torn = self._recorder.read()
        return History(records, began=self._began, labels=dict(self._labels), torn=torn + self._recorder.lost)


def _cannot_record(error: OSError) -> OSError:
    told = f"watch keeps its record in a temporary folder and cannot make one ({error.strerror or error})"
    return OSError(error.errno, f"{told}; {room_for_a_file(error)}", error.filename)


def _lost_folder_of_the_library() -> str:
    """The folder where the library keeps its sockets, if it has one and it is gone; else an empty name."""
    folder: str | None = process.current_process()._config.get("tempdir")  # type: ignore[attr-defined]
    return folder if folder and not os.path.isdir(folder) else ""


def _let_go(error: BaseException) -> None:
    """Of a start that was cut short close the pipes: the child, if there is one, ends then."""
    if not isinstance(error, Exception):
        import traceback

        traceback.clear_frames(error.__traceback__)


def _was_interrupted(error: BaseException | None) -> bool:
    """Whether the limit raised this error, or one that it replaced while the block was unwound."""
    from .guard import Interrupted

    while error is not None and not isinstance(error, Interrupted):
        error = error.__context__
    return error is not None


def _started() -> set[process.BaseProcess]:
    """The children of this process that nobody has joined yet; `active_children` would reap some."""
    return set(process._children)  # type: ignore[attr-defined]


def _is_asleep(pid: int) -> bool:
    """Whether a process waits for more than the processor, or is gone. (Known on Linux; elsewhere: true.)

    What counts is its main thread.
    """
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
            state = file.read().rpartition(")")[2].split()[0]
    except (OSError, IndexError):
        return True
    return state not in "RD"


def _has_something(end: connection._ConnectionBase) -> bool:
    """Whether this end of a pipe has bytes to read, or the end of file."""
    try:
        if sys.platform == "win32":
            import _winapi

            return bool(_winapi.PeekNamedPipe(end.fileno())[0])
        return bool(connection.wait([end], 0))
    except OSError:  # the end of file, on Windows; or it is being closed
        return True


def _started_by(children: list[TracedProcess]) -> list[Any]:
    """The processes that these have started, and so on."""
    found, pids = list[Any](), {child.pid for child in children}
    with contextlib.suppress(Exception):  # there may be no file descriptor to look or to import with
        if children:
            import psutil

            for process in psutil.Process().children(recursive=True):  # a parent stands before its children
                with contextlib.suppress(psutil.Error):  # one has just ended
                    if process.ppid() in pids:
                        pids.add(process.pid)
                        found.append(process)
    return found


def _settle(child: TracedProcess) -> None:
    """Record the end of a child that was reaped by a call which an interrupt cut short."""
    popen: Any = child._popen  # type: ignore[attr-defined]
    if popen.poll() is None and not child._traced_lost and connection.wait([child.sentinel], 0):
        popen.returncode = _UNKNOWN
        child._traced_end = "cleans up"
        process._children.discard(child)  # type: ignore[attr-defined]


def _add_note(error: BaseException, note: str) -> None:
    with contextlib.suppress(Exception):  # an error of the program's own may not let itself be changed
        error.add_note(note)


def _alive(child: TracedProcess) -> bool:
    popen: Any = child._popen  # type: ignore[attr-defined]
    return bool(popen is not None and popen.poll() is None and not child._traced_lost)
