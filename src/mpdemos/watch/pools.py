"""Pools: which worker ran which task, for `multiprocessing.Pool` and `ProcessPoolExecutor`.

Both start their workers by ``context.Process(target=…)``; the watched target below runs the original one
between an inbox and an outbox that note each task.
"""

from __future__ import annotations

import math
import sys
import threading
import time
from collections.abc import Callable
from functools import partial
from multiprocessing import pool
from typing import Any

from .primitives import Trace

# No signal ends a wait for a lock of `threading` there: "Changed in version 3.14" of Lock.acquire says so.
_DEAF = sys.platform == "win32" and sys.version_info < (3, 14)
_SLICE = 0.2  # seconds of such a wait
_POLITE = 2.0  # seconds that a pool which ends waits for a thread, or a lock that a killed worker may hold


class _Box:
    """Stands for one of a worker's two queues."""

    def __init__(self, trace: Trace, queue: Any) -> None:
        self._trace, self._queue = trace, queue

    def __getattr__(self, name: str) -> Any:
        return getattr(self._queue, name)


class _Inbox(_Box):
    def get(self, *args: Any, **kwargs: Any) -> Any:
        task = self._trace.waiting("task", None, partial(self._queue.get, *args, **kwargs))
        if task is None:
            self._trace.note("no more tasks", "task")
        else:
            self._trace.note("task", _describe(task))
        return task


class _Outbox(_Box):
    def put(self, result: Any) -> None:
        self._trace.note("done")  # before the result is sent: with it the parent may end this worker
        self._queue.put(result)


def _describe(task: Any) -> dict[str, Any]:
    """The number, the function and the number of items of a Pool's or an executor's task."""
    if isinstance(task, tuple):
        job, _index, function, args, _kwargs = task
    else:
        job, function, args = task.work_id, task.fn, task.args
    items = 1
    if function in (pool.mapstar, pool.starmapstar):  # type: ignore[attr-defined]
        (function, chunk) = args[0]
        items = len(chunk)
    elif isinstance(function, partial) and getattr(function.func, "__name__", "") == "_process_chunk":
        function, items = function.args[0], len(args[0])
    return {"job": job, "function": _name(function), "items": items}


def _name(function: Any) -> str:
    try:
        return str(getattr(function, "__qualname__", "") or repr(function))
    except Exception:  # a learner's repr may need what is not there any more
        return type(function).__qualname__


def work(original: Callable[..., None], trace: Trace, inbox: Any, outbox: Any, *rest: Any) -> None:
    """What a watched worker runs instead of the standard library's ``original``."""
    original(_Inbox(trace, inbox), _Outbox(trace, outbox), *rest)


def _in_slices(ready: Callable[[], Any], wait: Callable[[float], Any], timeout: float | None) -> float | None:
    """Where no signal ends a wait, wait in short pieces; return what the caller has still to wait."""
    if not _DEAF:
        return timeout
    deadline = math.inf if timeout is None else time.monotonic() + timeout
    while not ready() and time.monotonic() + _SLICE < deadline:
        wait(_SLICE)
    return None if timeout is None else max(0.0, deadline - time.monotonic())


class Pool(pool.Pool):
    """A pool that notes its tasks, its callbacks, and that the parent waits for results."""

    awaited: int | None = None  # the job whose result the program waits for without a timeout

    def __init__(self, *args: Any, trace: Trace, context: Any, **kwargs: Any) -> None:
        self._trace = trace
        self.Process = partial(_start_worker, trace)  # type: ignore[method-assign]
        try:
            super().__init__(*args, context=context, **kwargs)  # type: ignore[misc]
        except BaseException:
            self._replace_nobody()
            raise

    def _replace_nobody(self) -> None:
        """Of a pool that is only half made: let the thread end that would replace each worker which ends."""
        if handler := getattr(self, "_worker_handler", None):
            handler._state = pool.TERMINATE
            self._change_notifier.put(None)  # type: ignore[attr-defined]
            handler.join(_POLITE)  # it may be about to look: while the workers live, it replaces none

    def _setup_queues(self) -> None:
        super()._setup_queues()  # type: ignore[misc]
        trace, receive = self._trace, self._quick_get  # type: ignore[has-type]
        # Free only while the thread that receives results waits for one: what came before is handed over.
        self._reading = threading.Lock()
        self._reading.acquire()

        def quick_get() -> Any:
            self._reading.release()
            try:
                self._outqueue._reader.poll(None)  # type: ignore[attr-defined]
            finally:
                self._reading.acquire()
            try:
                return receive()
            except (EOFError, OSError):
                raise
            except BaseException as error:
                trace.note("unreadable result", f"{type(error).__name__}: {error}")
                raise

        self._quick_get = quick_get

    def _get_sentinels(self) -> list[Any]:
        # The original also wakes the thread that replaces workers at each result. It has nothing to do then,
        # and keeps the thread that reads the result from the processor.
        return [self._change_notifier._reader]  # type: ignore[attr-defined]

    def apply_async(
        self,
        func: Any,
        args: Any = (),
        kwds: Any = {},  # noqa: B006 - the signature of the original
        callback: Any = None,
        error_callback: Any = None,
    ) -> Any:
        result = super().apply_async(func, args, kwds, self._noting(callback), self._noting(error_callback))
        return self._noting_wait(result)

    def _map_async(
        self,
        func: Any,
        iterable: Any,
        mapper: Any,
        chunksize: Any = None,
        callback: Any = None,
        error_callback: Any = None,
    ) -> Any:
        callbacks = self._noting(callback), self._noting(error_callback)
        return self._noting_wait(super()._map_async(func, iterable, mapper, chunksize, *callbacks))  # type: ignore[misc]

    def imap(self, *args: Any, **kwargs: Any) -> Any:
        return self._noting_next(super().imap(*args, **kwargs))

    def imap_unordered(self, *args: Any, **kwargs: Any) -> Any:
        return self._noting_next(super().imap_unordered(*args, **kwargs))

    def _noting(self, callback: Callable[[Any], Any] | None) -> Callable[[Any], Any] | None:
        if callback is None:
            return None

        def noted(value: Any) -> Any:
            self._trace.note("callback", _name(callback))
            return callback(value)

        return noted

    def _noting_wait(self, result: Any) -> Any:
        trace, wait = self._trace, result.wait

        def noted(timeout: float | None = None) -> None:
            if timeout is None and threading.current_thread() is threading.main_thread():
                self.awaited = result._job
            try:
                trace.waiting("result", timeout, lambda: wait(_in_slices(result.ready, wait, timeout)))
            finally:
                self.awaited = None
            trace.note("result" if result.ready() else "gave up", "result")

        result.wait = noted
        return result

    def _noting_next(self, iterator: Any) -> Any:
        if type(iterator) in _traced_iterator:  # with chunks it is a generator
            iterator.__class__ = _traced_iterator[type(iterator)]
            iterator._trace = self._trace
        return iterator

    @staticmethod
    def _help_stuff_finish(inqueue: Any, task_handler: Any, size: int) -> None:
        # The original waits for ever for a lock that dies with a worker killed while it held it.
        inqueue._rlock.acquire(timeout=_POLITE)
        while task_handler.is_alive() and inqueue._reader.poll():
            inqueue._reader.recv()

    def join(self) -> None:
        handler = self._worker_handler  # type: ignore[attr-defined]
        if self._state != pool.RUN:  # type: ignore[attr-defined]
            _in_slices(lambda: not handler.is_alive(), handler.join, None)
        super().join()

    @property
    def outstanding(self) -> list[int]:
        """The jobs that lack a result."""
        return list(self._cache)  # type: ignore[attr-defined]

    @property
    def everything_is_read(self) -> bool:
        """Whether each result that a worker has sent has reached the one who asked for it."""
        if not self._reading.acquire(blocking=False):
            return False
        try:
            return not self._outqueue._reader.poll()  # type: ignore[attr-defined]
        finally:
            self._reading.release()

    @property
    def reader_died(self) -> bool:
        """Whether the parent's thread that receives results is gone: nothing will arrive any more."""
        return not self._result_handler.is_alive()  # type: ignore[attr-defined]


def end(pool: Any) -> None:
    """Terminate, but wait only so long: a worker killed at a bad moment blocks `terminate` for ever."""
    ending = threading.Thread(target=pool.terminate, name="mpdemos-pool", daemon=True)
    ending.start()
    ending.join(_POLITE)


class _TracedIterator:
    def next(self, timeout: float | None = None) -> Any:
        trace: Trace = self._trace  # type: ignore[attr-defined]
        item = trace.waiting("result", timeout, partial(self._next, timeout))
        trace.note("result", "result")
        return item

    def _next(self, timeout: float | None) -> Any:
        left = _in_slices(self._has_come, self._wait, timeout)
        return super().next(left)  # type: ignore[misc]

    def _has_come(self) -> bool:
        return bool(self._items) or self._index == self._length  # type: ignore[attr-defined]

    def _wait(self, timeout: float) -> None:
        with self._cond:  # type: ignore[attr-defined]
            self._cond.wait_for(self._has_come, timeout)  # type: ignore[attr-defined]

    __next__ = next


class _Ordered(_TracedIterator, pool.IMapIterator):  # type: ignore[type-arg]
    pass


class _Unordered(_TracedIterator, pool.IMapUnorderedIterator):  # type: ignore[type-arg]
    pass


_traced_iterator: dict[type, type] = {pool.IMapIterator: _Ordered, pool.IMapUnorderedIterator: _Unordered}


def _start_worker(trace: Trace, ctx: Any, *, target: Any, args: Any, **kwargs: Any) -> Any:
    worker = ctx.Process(target=work, args=(target, trace, *args), **kwargs)
    worker._traced_pool = trace.key
    return worker
