"""The traced primitives: the standard library's own classes, plus a record of what is done with them.

Each class inherits from the original and calls it for everything that matters; pickling rules,
exceptions and return values stay the standard library's. "released" is noted *before* the release and
"acquired" *after* the acquire, so that two correct holders never seem to overlap.
"""

from __future__ import annotations

import os
import struct
import sys
import threading
from collections.abc import Callable
from multiprocessing import connection, queues, reduction, synchronize
from queue import Empty, Full
from typing import Any, NamedTuple

from .record import Recorder


class Trace(NamedTuple):
    """Where an object notes what is done with it, and under which key."""

    recorder: Recorder
    key: str

    def note(self, action: str, detail: Any = None) -> None:
        self.recorder.note(action, self.key, detail)

    def waits(self, what: Any, timeout: float | None = None) -> None:
        self.recorder.waits(self.key, what, timeout)

    def waiting(self, what: str, timeout: float | None, call: Callable[[], Any]) -> Any:
        """``call()``, noted as a wait that the caller ends with a note of its own."""
        self.waits(what, timeout)
        try:
            return call()
        except BaseException:
            self.note("gave up", what)
            raise


class _TracedSemLock(synchronize.SemLock):
    """What Lock, RLock and the semaphores share: acquire and release."""

    _trace: Trace

    def _make_methods(self) -> None:
        """Leave acquire and release to this class instead of the C object's methods."""

    def acquire(self, block: bool = True, timeout: float | None = None) -> bool:
        semlock, note = self._semlock, self._trace.note  # type: ignore[attr-defined]
        if block and timeout is None and semlock.acquire(False):
            note("acquired")
            return True
        if block and semlock._is_zero():
            self._trace.waits("acquire", timeout)
        try:
            acquired: bool = semlock.acquire(block, timeout)
        except BaseException:
            note("gave up", "acquire")
            raise
        if acquired:
            note("acquired")
        else:
            note("gave up", "acquire")
        return acquired

    def release(self) -> None:
        self._trace.note("released")
        try:
            self._semlock.release()  # type: ignore[attr-defined]
        except BaseException:
            self._trace.note("not released")
            raise

    def __enter__(self) -> bool:
        return self.acquire()

    def __exit__(self, *args: object) -> None:
        self.release()

    def __getstate__(self) -> Any:
        return super().__getstate__(), self._trace  # type: ignore[misc]

    def __setstate__(self, state: Any) -> None:
        original, self._trace = state
        super().__setstate__(original)  # type: ignore[misc]


class Lock(_TracedSemLock, synchronize.Lock):
    pass


class RLock(_TracedSemLock, synchronize.RLock):
    pass


class Semaphore(_TracedSemLock, synchronize.Semaphore):
    pass


class BoundedSemaphore(_TracedSemLock, synchronize.BoundedSemaphore):
    pass


class Condition(synchronize.Condition):
    """Its lock notes under the condition's own key: a reader sees one object, as the learner does."""

    _trace: Trace

    def wait(self, timeout: float | None = None) -> bool:
        wait = super().wait
        notified: bool = self._trace.waiting("notify", timeout, lambda: wait(timeout))
        self._trace.note("notified" if notified else "gave up", "notify")
        return notified

    def notify(self, n: int = 1) -> None:
        if self._lock._semlock._is_mine():  # type: ignore[attr-defined]  # or nobody is notified
            self._trace.note("notifies", "all" if n == sys.maxsize else n)
        super().notify(n)

    def __getstate__(self) -> Any:
        return super().__getstate__(), self._trace  # type: ignore[misc]

    def __setstate__(self, state: Any) -> None:
        original, self._trace = state
        super().__setstate__(original)  # type: ignore[misc]


class Event(synchronize.Event):
    _trace: Trace

    def set(self) -> None:
        self._trace.note("set")
        super().set()

    def clear(self) -> None:
        self._trace.note("cleared")
        super().clear()

    def wait(self, timeout: float | None = None) -> bool:
        wait = super().wait
        was_set: bool = self._trace.waiting("set", timeout, lambda: wait(timeout))
        self._trace.note("came through" if was_set else "gave up", "set")
        return was_set


class Barrier(synchronize.Barrier):
    _trace: Trace

    def wait(self, timeout: float | None = None) -> int:
        wait = super().wait
        limit = self._timeout if timeout is None else timeout  # type: ignore[attr-defined]
        place: int = self._trace.waiting("the others", limit, lambda: wait(timeout))
        self._trace.note("passed", "the others")
        return place

    def __getstate__(self) -> Any:
        return super().__getstate__(), self._trace  # type: ignore[misc]

    def __setstate__(self, state: Any) -> None:
        if len(state) == 2:  # from __getstate__; __init__ sets the plain state
            state, self._trace = state
        super().__setstate__(state)  # type: ignore[misc]


class _Stamp:
    """Sends and receives the bytes of a queue's items behind eight bytes that name the item.

    It holds no reference to the queue: a queue must be collected while its feeder thread runs.
    """

    head = struct.Struct("!II")

    def __init__(self, trace: Trace, send: Callable[[bytes], None], receive: Callable[[], bytes]) -> None:
        self._trace, self._send, self._receive = trace, send, receive
        self._count = 0

    def send(self, item: Any) -> None:
        self._count += 1
        pid = os.getpid()
        self._trace.note("sent", f"{pid}-{self._count}")
        self._send(self.head.pack(pid, self._count) + bytes(item))

    def receive(self) -> memoryview:
        item = self._receive()
        self._trace.note("got", "{}-{}".format(*self.head.unpack_from(item)))
        return memoryview(item)[self.head.size :]


class _TracedQueue(queues.Queue):  # type: ignore[type-arg]
    _trace: Trace

    def __init__(self, maxsize: int = 0, *, ctx: Any, trace: Trace) -> None:
        self._trace = trace
        super().__init__(maxsize, ctx=ctx)

    def _reset(self, after_fork: bool = False) -> None:
        super()._reset(after_fork)  # type: ignore[misc]
        stamp = _Stamp(self._trace, self._send_bytes, self._recv_bytes)  # type: ignore[has-type]
        self._send_bytes, self._recv_bytes = stamp.send, stamp.receive

    def put(self, obj: Any, block: bool = True, timeout: float | None = None) -> None:
        if block and self._sem._semlock._is_zero():  # type: ignore[attr-defined]
            self._trace.waits("put", timeout)
        try:
            super().put(obj, block, timeout)
        except BaseException as error:
            self._trace.note("full" if isinstance(error, Full) else "gave up", "put")
            raise
        self._trace.note("put")

    def get(self, block: bool = True, timeout: float | None = None) -> Any:
        if block:
            self._trace.waits("get", timeout)
        try:
            return super().get(block, timeout)
        except BaseException as error:
            self._trace.note("empty" if isinstance(error, Empty) else "gave up", "get")
            raise

    @property
    def _on_queue_feeder_error(self) -> Callable[[Exception, Any], None]:
        """Note the item that could not be pickled, then do what the standard library does."""
        trace, original = self._trace, queues.Queue._on_queue_feeder_error  # type: ignore[attr-defined]

        def on_error(error: Exception, item: Any) -> None:
            trace.note("lost", f"{type(error).__name__}: {error}")
            original(error, item)

        return on_error

    def __getstate__(self) -> Any:
        return super().__getstate__(), self._trace  # type: ignore[misc]

    def __setstate__(self, state: Any) -> None:
        original, self._trace = state
        super().__setstate__(original)  # type: ignore[misc]


class Queue(_TracedQueue):
    pass


class JoinableQueue(_TracedQueue, queues.JoinableQueue):  # type: ignore[type-arg]
    def task_done(self) -> None:
        super().task_done()
        self._trace.note("task done")

    def join(self) -> None:
        self._trace.waiting("task done", None, super().join)
        self._trace.note("all done", "task done")


class SimpleQueue(queues.SimpleQueue):  # type: ignore[type-arg]
    _trace: Trace

    def __init__(self, *, ctx: Any, trace: Trace) -> None:
        super().__init__(ctx=ctx)
        self._trace = trace
        self._stamp_bytes()

    def _stamp_bytes(self) -> None:
        self._stamp = _Stamp(self._trace, self._writer.send_bytes, self._reader.recv_bytes)  # type: ignore[attr-defined]

    def get(self) -> Any:
        self._trace.waits("get")
        try:
            with self._rlock:  # type: ignore[attr-defined]
                item = self._stamp.receive()
        except BaseException:
            self._trace.note("gave up", "get")
            raise
        return reduction.ForkingPickler.loads(item)

    def put(self, obj: Any) -> None:
        item = reduction.ForkingPickler.dumps(obj)
        self._trace.waits("put")
        try:
            if self._wlock is None:  # type: ignore[attr-defined]
                self._stamp.send(item)
            else:
                with self._wlock:  # type: ignore[attr-defined]
                    self._stamp.send(item)
        except BaseException:
            self._trace.note("gave up", "put")
            raise
        self._trace.note("put")

    def __getstate__(self) -> Any:
        return super().__getstate__(), self._trace  # type: ignore[misc]

    def __setstate__(self, state: Any) -> None:
        original, self._trace = state
        super().__setstate__(original)  # type: ignore[misc]
        self._stamp_bytes()


class _TracedConnection(connection._ConnectionBase):  # type: ignore[misc, name-defined]
    """One end of a pipe: ``_end`` is 0 or 1. Messages are matched by their order, so no byte is added."""

    _trace: Trace
    _end: int

    def _send_bytes(self, buf: Any) -> None:
        self._trace.waits(["send", self._end])
        try:
            super()._send_bytes(buf)  # type: ignore[misc]
        except BaseException:
            self._trace.note("gave up", ["send", self._end])
            raise
        self._trace.note("sent", ["send", self._end])

    def _recv_bytes(self, maxsize: int | None = None) -> Any:
        recorder = self._trace.recorder
        if threading.current_thread() is threading.main_thread():
            recorder.receives = self
        self._trace.waits(["receive", self._end])
        try:
            received = super()._recv_bytes(maxsize)  # type: ignore[misc]
        except BaseException as error:
            eof = isinstance(error, EOFError)
            self._trace.note("end of file" if eof else "gave up", ["receive", self._end])
            raise
        finally:
            if recorder.receives is self:
                recorder.receives = None
        self._trace.note("received", ["receive", self._end])
        return received

    def close(self) -> None:
        if not self.closed:
            self._trace.note("closed", self._end)
        super().close()


class Connection(_TracedConnection, connection.Connection):  # type: ignore[type-arg]
    pass


reduction.register(Connection, lambda end: _reduce(connection.reduce_connection, end))  # type: ignore[attr-defined]
_traced_class: dict[type, type] = {connection.Connection: Connection}

if sys.platform == "win32":

    class PipeConnection(_TracedConnection, connection.PipeConnection):
        pass

    reduction.register(PipeConnection, lambda end: _reduce(connection.reduce_pipe_connection, end))  # type: ignore[attr-defined]
    _traced_class[connection.PipeConnection] = PipeConnection


def traced_connection(plain: Any, trace: Trace, end: int) -> Any:
    """Turn the open connection ``plain`` into its traced kind, in place."""
    plain.__class__ = _traced_class[type(plain)]
    plain._trace, plain._end = trace, end
    return plain


def _reduce(reduce: Callable[[Any], Any], end: Any) -> Any:
    return _rebuild, (reduce(end), end._trace, end._end)


def _rebuild(reduced: Any, trace: Trace, end: int) -> Any:
    rebuild, args = reduced
    return traced_connection(rebuild(*args), trace, end)
