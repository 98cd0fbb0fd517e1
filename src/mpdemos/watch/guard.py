"""The guard: a thread of the parent that notes when children end, ends the block at its limit and lets no
Ctrl-C get lost.
"""

from __future__ import annotations

import contextlib
import math
import os
import signal
import sys
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from multiprocessing import connection
from types import FrameType
from typing import Any

from .deadlock import NOT_THE_PROGRAM

_LOOK = 0.25  # seconds between two looks at whether anybody can still go on
_HOLD = 1.5  # seconds that the start of a child may hold back a signal
_AGAIN = 1.0  # seconds between two attempts to get the main thread out of whatever blocks it
# Windows waits for 63 things at a time; since Python 3.13 the library asks in portions.
_MOST_AT_ONCE = 60 if sys.platform == "win32" and sys.version_info < (3, 13) else sys.maxsize
# What the guard interrupts the main thread with. A program may ignore SIGINT, or handle it itself; it never
# notices SIGURG.
if sys.platform == "win32":
    _OURS = signal.SIGINT  # nothing else ends a wait there
else:
    _OURS = signal.SIGURG
# Code of Python itself or of ours may say that it gave up before it lets an error pass.
_LIBRARY = (*NOT_THE_PROGRAM, os.path.dirname(__file__) + os.sep)
_PAUSE = 0.02  # seconds between two looks at all portions


def wait_for_any(things: list[Any], timeout: float | None) -> list[Any]:
    """`multiprocessing.connection.wait`, for any number of things."""
    if len(things) <= _MOST_AT_ONCE:
        return connection.wait(things, timeout)
    deadline = math.inf if timeout is None else time.monotonic() + timeout
    while True:
        for first in range(0, len(things), _MOST_AT_ONCE):
            if ready := connection.wait(things[first : first + _MOST_AT_ONCE], 0):
                return ready
        if time.monotonic() >= deadline:
            return []
        time.sleep(_PAUSE)


class Interrupted(BaseException):
    """Raised in the main thread at the limit; the watch turns it into `Stuck`."""

    def __init__(self) -> None:
        super().__init__("the limit of the watched block is reached; let this pass, and the block says more")


class Guard:
    """Watches the children's sentinels and the clock until it is told to stop.

    ``expired`` is called once, in the guard's thread, when ``limit`` seconds have passed or ``hopeless()``
    is true; after that the main thread is interrupted, again and again, until the block is left.
    """

    entering_codes: tuple[Any, ...] = ()  # the code objects that run before the block, at the limit perhaps
    leaving_code: Any = None  # the code object whose first line is not yet reached when it is interrupted
    program: FrameType | None = None  # the frame of the program, or of the cell, that entered the block
    entrance: tuple[FrameType, int | None] | None = None  # the frame and the line of the `with` itself
    abandoned: Callable[[], None]  # called instead of an interrupt when that frame has ended

    def __init__(
        self,
        limit: float | None,
        expired: Callable[[], None],
        exited: Callable[[int], None],
        hopeless: Callable[[], bool],
        end_children: Callable[[], None],
    ) -> None:
        self._deadline = None if limit is None else time.monotonic() + limit
        self._expired, self._exited, self._hopeless = expired, exited, hopeless
        self._end_children = end_children
        self._next_look = time.monotonic() + _LOOK
        self._over = False
        self._sentinels: dict[int, Any] = {}  # of each child, by its pid
        self._wake_reader, self._wake = connection.Pipe(duplex=False)
        self._handler: _Handler | None = None
        self._thread = threading.Thread(target=self._run, name="mpdemos-guard", daemon=True)

    def start(self) -> None:
        """Start the thread. It may find at once that the limit is reached, on a machine that is busy."""
        in_main_thread = threading.current_thread() is threading.main_thread()
        handler = _Handler(self) if in_main_thread else None
        self._thread.start()
        if handler is not None:
            handler.install()  # last: whatever fails before leaves SIGINT as it was
            self._handler = handler

    def add(self, sentinel: Any, pid: int) -> None:
        """Note the exit of the child with this sentinel."""
        self._sentinels[pid] = sentinel
        self._wake.send_bytes(b"+")

    def forget(self, pid: int) -> None:
        """A child was reaped: from now on the system may give its sentinel's number to the next one."""
        self._sentinels.pop(pid, None)

    def left(self) -> float | None:
        """Seconds until the limit; None without one."""
        return None if self._deadline is None else max(0.0, self._deadline - time.monotonic())

    @contextlib.contextmanager
    def starting(self) -> Iterator[None]:
        """Hold back a signal while a child starts: it would leave a child that nobody knows of.

        Not for long: a start that hangs shall be ended too.
        """
        handler = self._handler
        if handler is None or threading.get_ident() != handler.thread:
            yield
            return
        handler.starting = os.getpid()
        try:
            yield
        finally:
            handler.starting = 0
            if handler.held_until:
                handler.held_until = 0.0
                signal.raise_signal(handler.held)

    def leave(self) -> None:
        """The block is being left: interrupt nobody from now on."""
        self._over = True

    @property
    def asked_to_stop(self) -> bool:
        """Whether a SIGINT came while the block was being left."""
        return self._handler is not None and self._handler.deferred != 0

    def stop(self) -> None:
        """End the thread."""
        self.leave()
        self._wake.send_bytes(b"-")
        self._thread.join()
        self._wake.close()
        self._wake_reader.close()

    def give_back(self) -> None:
        """Give SIGINT back to its former handler, and to it one that came while the block was being left."""
        self.program = self.entrance = None  # they hold all that the program has
        if self._handler is not None:
            self._handler.restore()

    def _run(self) -> None:
        expired = False
        while True:
            left = max(0.0, self._next_look - time.monotonic()) if expired else self._until_next_look()
            pids = {sentinel: pid for pid, sentinel in list(self._sentinels.items())}
            try:
                woken_by = wait_for_any([self._wake_reader, *pids], left)
            except OSError:  # Windows: a child was reaped in this moment, and its handle closed
                woken_by = []
            for ready in woken_by:
                if ready is self._wake_reader:
                    if self._wake_reader.recv_bytes() == b"-":
                        return
                elif self._sentinels.pop(pids[ready], None) is not None:
                    self._exited(pids[ready])
            if self._handler is not None:
                self._handler.look()
            if not expired and not self._over and (self.left() == 0.0 or self._is_hopeless()):
                expired = True
                with contextlib.suppress(Exception):  # to end the block matters more than to say why
                    self._expired()
                self._interrupt()
            elif expired and time.monotonic() >= self._next_look:
                # Not at every exit of a child: the main thread may just be reaping it.
                self._interrupt()
                if sys.platform == "win32":  # a signal does not end a join there
                    self._end_children()

    def _until_next_look(self) -> float:
        left = self.left()
        return _LOOK if left is None else min(left, _LOOK)

    def _is_hopeless(self) -> bool:
        """Ask now and then; without a limit nothing ends the block."""
        if self._deadline is None or time.monotonic() < self._next_look:
            return False
        self._next_look = time.monotonic() + _LOOK
        with contextlib.suppress(Exception):  # what cannot be read proves nothing
            return self._hopeless()
        return False

    def _interrupt(self) -> None:
        self._next_look = time.monotonic() + _AGAIN
        if self._over:
            return
        if self._handler is None:  # no signal reaches this thread, but what it waits for may be a child
            self._end_children()
            return
        self._handler.armed = True
        if sys.platform == "win32":
            signal.raise_signal(signal.SIGINT)  # also sets the event that SemLock.acquire waits on
        else:
            signal.pthread_kill(self._handler.thread, _OURS)


class _Handler:
    """Handles SIGINT and the guard's own signal: that becomes `Interrupted`, SIGINT does what it did before.

    While the block is being left both wait: leaving must not be cut short, or a child would be left.
    """

    def __init__(self, guard: Guard) -> None:
        self.armed = False
        self.deferred = self.held = 0  # the signal that waits until the block is left, or a child is started
        self.starting = 0  # the process that is just starting a child; a forked child is another one
        self.held_until = 0.0
        self.thread = threading.get_ident()
        self._guard = guard
        self._calls = self._calls_seen = 0
        self._overdue = math.inf
        self._arrivals = _Arrivals()
        self._insistence = _Insistence(guard)
        self._former: dict[int, Any] = {}  # the handler of each signal

    def install(self) -> None:
        for number in {signal.SIGINT, _OURS}:
            self._former[number] = signal.signal(number, self)
        self._arrivals.install()

    def look(self) -> None:
        """In the guard's thread: see to it that a SIGINT which has arrived is handled.

        The main thread does that between two instructions, or when the signal cuts a system call short. If
        it comes between the last instruction and the call, only another signal can end the call. (Not on
        Windows: there an event ends the calls that a signal can end.)
        """
        if sys.platform == "win32":
            return
        calls = self._calls  # read first: what is handled after this has a later look
        arrived, now = self._arrivals.any(), time.monotonic()
        current: object = signal.getsignal(signal.SIGINT)
        if calls != self._calls_seen or current is not self:
            self._calls_seen, self._overdue = calls, math.inf
        elif arrived:
            self._overdue = min(self._overdue, now + _LOOK)
        if now >= self._overdue:
            self._overdue = now + _LOOK
            signal.pthread_kill(self.thread, signal.SIGINT)

    def __call__(self, number: int, frame: Any) -> None:
        self._calls += 1
        code = None if frame is None else frame.f_code
        leaving = self._guard._over or code is self._guard.leaving_code
        if self.starting == os.getpid() and not self.held_until:
            self.held_until, self.held = time.monotonic() + _HOLD, number
        elif self.starting == os.getpid() and time.monotonic() < self.held_until:
            pass
        elif self.armed and code in self._guard.entering_codes:
            pass  # nobody would turn the error into `Stuck` yet: the guard asks again
        elif self.armed:
            self.armed = False
            if not leaving and _is_within(self._guard.program, frame):
                raise self._insistence.error(frame)
            if not leaving:  # whoever it would hit now, here is nobody who turns it into `Stuck`
                self._guard.abandoned()
        elif leaving:
            self.deferred = number
        else:
            self._do_as_before(number, frame)

    def _do_as_before(self, number: int, frame: Any) -> None:
        former = self._former[number]
        if callable(former):
            former(number, frame)
        elif number == signal.SIGINT and former != signal.SIG_IGN:
            signal.default_int_handler(number, frame)

    def restore(self) -> None:
        self._insistence.end()
        for number, former in self._former.items():
            current: object = signal.getsignal(number)
            if current is self:
                signal.signal(number, former)
        self._arrivals.close()
        if self.deferred:
            self._do_as_before(self.deferred, None)


class _Insistence:
    """Ends a loop that catches everything: whoever catches the second `Interrupted` and goes on gets another
    one at the next line, until one is let pass. (The first may be caught: the block can end by itself then.)
    Whoever keeps the errors gets it from the third on.

    A signal alone would end a loop of waits in a bare ``except`` only if it came between two of them.
    """

    def __init__(self, guard: Guard) -> None:
        self._guard = guard
        self._thread = threading.get_ident()
        self._raised = 0
        self._caught: weakref.ref[Interrupted] | None = None
        self._former: Any = None  # the program's own trace function, as of a debugger
        self._traces = False

    def error(self, frame: FrameType | None = None) -> Interrupted:
        """The error to raise now; in this frame, if a signal asks for it."""
        self._raised += 1
        error = Interrupted()
        if self._raised > 1:
            self._caught = weakref.ref(error, self._was_caught)
        if self._raised > 2:
            self._raise_at_the_next_line(frame)
        return error

    def _was_caught(self, _dead: object) -> None:
        """Nobody knows the error any more, so whoever caught it has gone on, in this moment."""
        if threading.get_ident() == self._thread and not self._guard._over:
            self._raise_at_the_next_line(sys._getframe(1))

    def _raise_at_the_next_line(self, frame: FrameType | None) -> None:
        """Of what this frame and those around it run, as far as they are the program's and in the block."""
        outermost = self._guard.entrance[0] if self._guard.entrance else None
        if outermost is None or not _is_within(outermost, frame):
            return
        if not self._traces:
            self._traces, self._former = True, sys.gettrace()
        while frame is not None:
            if not frame.f_code.co_filename.startswith(_LIBRARY):
                frame.f_trace = self._trace
            frame = None if frame is outermost else frame.f_back
        sys.settrace(lambda *_call: None)  # of what is called from here on, no line

    def _trace(self, frame: FrameType, event: str, _arg: object) -> Any:
        """Raise at a line, which ends the tracing; not at that of the `with`: the block would not be left."""
        leaves = (frame, frame.f_lineno) == self._guard.entrance
        if event == "line" and not leaves and not self._guard._over:
            raise self.error()
        return self._trace

    def end(self) -> None:
        if self._traces:
            sys.settrace(self._former)


def program_of(frame: FrameType | None) -> FrameType | None:
    """The program, or the cell of a notebook, that a frame runs in: the nearest one around it of a module."""
    while frame is not None and frame.f_code.co_name != "<module>":
        frame = frame.f_back
    return frame


def _is_within(program: FrameType | None, frame: FrameType | None) -> bool:
    """Whether a frame is the program's, or was called by it; it is if nobody knows the program."""
    while program is not None and frame is not program:
        if frame is None:
            return False
        frame = frame.f_back
    return True


class _Arrivals:
    """Tells that a SIGINT has arrived, even if no handler of Python has run yet. (Not on Windows.)"""

    installed: _Arrivals | None = None  # of the innermost watch

    def __init__(self) -> None:
        self._reader, self._writer = connection.Pipe(duplex=False)
        self._around: _Arrivals | None = None  # of the watch around this one

    def install(self) -> None:
        if sys.platform == "win32":
            return
        for end in (self._reader, self._writer):
            os.set_blocking(end.fileno(), False)
        self._around = _Arrivals.installed
        former = signal.set_wakeup_fd(self._writer.fileno(), warn_on_full_buffer=False)
        if former == _fd(self._around):
            _Arrivals.installed = self
        else:  # an event loop needs it
            signal.set_wakeup_fd(former, warn_on_full_buffer=False)

    def any(self) -> bool:
        """Whether one has arrived since the last time this was asked."""
        try:
            return signal.SIGINT in os.read(self._reader.fileno(), 4096)
        except BlockingIOError:
            return False

    def close(self) -> None:
        if _Arrivals.installed is self:
            _Arrivals._hand_over(self._around)
        self._reader.close()
        self._writer.close()

    @classmethod
    def _hand_over(cls, other: _Arrivals | None) -> None:
        """Let ``other`` hear of signals from now on, unless an event loop has come to hear of them."""
        current = signal.set_wakeup_fd(_fd(other), warn_on_full_buffer=False)
        if current not in (-1, _fd(cls.installed)):
            signal.set_wakeup_fd(current, warn_on_full_buffer=False)
        cls.installed = other

    @classmethod
    def after_fork(cls) -> None:
        """A signal to a forked child is none to its parent."""
        if cls.installed is not None:
            cls._hand_over(None)


def _fd(arrivals: _Arrivals | None) -> int:
    """The file descriptor that a signal is written to; -1 without one."""
    return -1 if arrivals is None else arrivals._writer.fileno()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_Arrivals.after_fork)
