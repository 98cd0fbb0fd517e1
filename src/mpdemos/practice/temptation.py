"""Things that a checker hands to a learner's workers, and that bring the worst moment about.

Who reads or writes one of them without holding the lock waits there until another process does the same, so
that a mistake which needs bad luck has it on every run. Each use is an event of the watch as well, so a
checker also sees a mistake that happened to do no harm: `uses` tells which of them stand in one hold of the
lock.
"""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Callable
from typing import Any, NamedTuple

from ..watch import Watch

_PATIENCE = 5.0  # seconds to wait for the other one; who holds the lock never waits
_MOMENT = 1.0  # seconds that somebody else may have a lock
_BUSY = 2000  # events of who asks again and again, without a wait


def holds(lock: Any) -> bool:
    """Whether this process holds a lock, or a permit of a semaphore."""
    return bool(lock._semlock._count() > 0)


class Meeting:
    """A place where so many processes meet, or give up after a while; it is not traced.

    Args:
        mp: the watched block.
        parties: how many.
        busy: how many times longer they wait, as the machine is busy.
    """

    def __init__(self, mp: Watch, parties: int = 2, busy: int = 1) -> None:
        plain = multiprocessing.get_context(mp._name)
        self._came, self._met, self._parties = plain.Value("i", 0), plain.Event(), parties
        self._busy = busy

    def meet(self, patience: float = _PATIENCE) -> bool:
        """Wait for the others.

        Args:
            patience: seconds at rest; once they met, or somebody gave up, nobody waits here any more.

        Returns:
            Whether all came.
        """
        with self._came.get_lock():
            self._came.value += 1
            came = self._came.value
        met = came >= self._parties or self._met.wait(patience * self._busy)
        self._met.set()
        return met


class Contended:
    """A lock that somebody else has got for a moment, when a process first asks for it and may be refused.

    Who looks at the answer of `acquire` asks again, or does without; who does not goes on without the lock.

    Args:
        lock: the lock.
    """

    def __init__(self, lock: Any) -> None:
        self._lock, self._refused = lock, False

    def acquire(self, block: bool = True, timeout: float | None = None) -> bool:
        """As a lock's. A timeout of more than a second is longer than anybody has it."""
        may_be_refused = not block or (timeout is not None and timeout <= _MOMENT)
        if may_be_refused and not self._refused:
            self._refused = True
            time.sleep(max(0.0, timeout or 0.0) if block else 0.0)
            return False
        return bool(self._lock.acquire(block, timeout))

    def release(self) -> None:
        """As a lock's."""
        self._lock.release()

    def __enter__(self) -> bool:
        return self.acquire()

    def __exit__(self, *error: object) -> None:
        self.release()


class Tempting:
    """Something that is to be used only while holding a lock.

    Args:
        mp: the watched block.
        lock: the lock that guards it.
        busy: how many times longer who does not hold it waits for another one, as the machine is busy.
    """

    def __init__(self, mp: Watch, lock: Any, busy: int = 1) -> None:
        self._recorder, self._lock, self._meeting = mp._recorder, lock, Meeting(mp, busy=busy)

    def _use(self, action: str, what: Any) -> None:
        """Note a use before it is made, and make an unguarded one at the worst moment."""
        self._recorder.note(action, "", what)
        if not holds(self._lock):
            self._meeting.meet()


class Number(Tempting):
    """A shared number: ``value``, as of a `multiprocessing.Value` whose lock is somewhere else.

    Args:
        mp: the watched block.
        lock: the lock that guards it.
        start: its first value.
    """

    def __init__(self, mp: Watch, lock: Any, start: int = 0) -> None:
        super().__init__(mp, lock)
        self._number = multiprocessing.get_context(mp._name).Value("i", start, lock=False)

    @property
    def value(self) -> int:
        """The number."""
        seen = int(self._number.value)
        self._use("reads", seen)
        return seen

    @value.setter
    def value(self, new: int) -> None:
        if not isinstance(new, int):
            raise TypeError(f"the number is an int, not {type(new).__name__}")
        self._use("writes", new)
        self._number.value = new


class Diary(Tempting):
    """A file of lines: `write` one. The checker reads them as the events of the watch."""

    def write(self, line: str) -> None:
        """Append a line."""
        if not isinstance(line, str):
            raise TypeError(f"diary.write() takes a line of text, not {type(line).__name__}")
        self._use("writes", line)


class Use(NamedTuple):
    """One use of something tempting.

    Attributes:
        process: the name of the process.
        action: ``reads`` or ``writes``.
        what: what was read or written.
        hold: how often the process had acquired the lock when it held it; 0 if it did not hold it.
    """

    process: str
    action: str
    what: Any
    hold: int


def uses(mp: Watch, lock: str) -> list[Use]:
    """Every use of what a checker handed out, by time.

    Args:
        mp: the watched block, after its end.
        lock: the label of the lock that guards it.
    """
    acquired: dict[str, int] = {}
    inside: dict[str, int] = {}
    found = []
    for event in mp.events:
        if event.action in ("reads", "writes"):
            hold = acquired[event.process] if inside.get(event.process) else 0
            found.append(Use(event.process, event.action, event.detail, hold))
        elif event.resource == lock and event.action == "acquired":
            inside[event.process] = inside.get(event.process, 0) + 1
            acquired[event.process] = acquired.get(event.process, 0) + 1
        elif event.resource == lock and event.action == "released":
            # Not below 0: anybody may release a Lock, and a release may be refused.
            inside[event.process] = max(0, inside.get(event.process, 0) - 1)
    return found


def together(mp: Watch, target: Any, arguments: list[tuple[Any, ...]], name: str) -> list[Any]:
    """Start a process for each tuple of arguments; when all of them run, let them go at the same moment;
    join them.

    Args:
        mp: the watched block.
        target: the learner's function.
        arguments: what each process calls it with.
        name: the processes' name, which gets a number.

    Returns:
        The processes.
    """
    started = start_together(mp, target, arguments, name)
    for process in started:
        process.join()
    return started


def start_together(mp: Watch, target: Any, arguments: list[tuple[Any, ...]], name: str) -> list[Any]:
    """As `together`, without the join: all of them run."""
    gun = Meeting(mp, len(arguments) + 1)
    started = [
        mp.Process(target=_after, args=(gun, target, each), name=f"{name}-{number}")
        for number, each in enumerate(arguments, 1)
    ]
    for process in started:
        process.start()
    gun.meet(60)
    return started


def until_at_rest(mp: Watch, processes: list[Any], busy: int) -> None:
    """Let each of these processes run until it waits, without a limit, for another one, or has ended.

    Who waits again and again, each time for a while, is never at rest: patience ends, and nobody is wronged.

    Args:
        mp: the watched block.
        processes: some of its processes.
        busy: how many times longer patience lasts, as the machine is busy.
    """
    _until_last(
        mp,
        lambda last: all(last.get(each.name) == "waits" or not each.is_alive() for each in processes),
        busy,
    )


def until_two_rest(mp: Watch, busy: int) -> None:
    """As `until_at_rest`, of two processes that may not be started yet; also in a thread of this one.

    Args:
        mp: the watched block.
        busy: how many times longer patience lasts, as the machine is busy.
    """

    def they_rest(last: dict[str, str]) -> bool:
        theirs = [action for name, action in last.items() if name != "MainProcess"]
        return len(theirs) >= 2 and set(theirs) <= {"waits", "returned", "exits"}

    _until_last(mp, they_rest, busy)


def _until_last(mp: Watch, so_it_is: Callable[[dict[str, str]], bool], busy: int) -> None:
    """Wait with patience until something is true of what the main thread of each process did last."""
    deadline = time.monotonic() + _PATIENCE * busy
    while time.monotonic() < deadline and len(events := mp.events) < _BUSY:
        if so_it_is({event.process: event.action for event in events if not event.thread}):
            return
        time.sleep(0.01)


def _after(gun: Meeting, target: Any, arguments: tuple[Any, ...]) -> None:
    gun.meet(60)
    target(*arguments)
