"""Lesson 04: exercises and questions."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable
from multiprocessing import connection
from typing import Any

from ...watch import ChildFailed, Stuck, Watch, primitives
from ...watch.explain import listed
from ..exercise import exercise
from ..predict import Question
from ..temptation import Number, Use, uses
from ..trial import Trial

_PATIENCE = 8.0  # seconds at rest; a right answer needs them only on a machine that is very busy
_LONG = 20.0  # the same, for what ends early also if the answer is wrong


def _until(
    trial: Trial, mp: Watch, processes: list[Any], so_it_is: Callable[[], bool], patience: float = _PATIENCE
) -> bool:
    """Wait until something is true, with patience, which lasts longer on a busy machine; whether it is.

    Raises:
        ChildFailed: as soon as one of the processes has failed.
    """
    deadline = time.monotonic() + patience * trial.busy
    while not so_it_is():
        for process in processes:
            if process.exitcode:
                process.join()
                raise ChildFailed(mp._failures)
        if time.monotonic() > deadline:
            return False
        time.sleep(0.01)
    return True


def _let_end(trial: Trial, mp: Watch, processes: list[Any]) -> None:
    """Join all. If one has failed, the others may wait for it in vain.

    Raises:
        ChildFailed: as soon as one of the processes has failed.
    """
    left = processes
    while left and connection.wait([process.sentinel for process in left], 2 * trial.busy):
        left = [process for process in left if process.exitcode is None]
        for process in processes:
            if process.exitcode:
                process.join()
                raise ChildFailed(mp._failures)
    for process in left:
        process.join()  # here the watch sees it if nobody can go on


def _waits(mp: Watch, process: str) -> bool:
    """Whether this process waits, or has waited, for an event to be set or for a notification."""
    return any(e.process == process and e.action.startswith("waits") and _is_signal(e) for e in mp.events)


def _is_signal(event: Any) -> bool:
    return event.detail in ("set", "notify")


class _Door(primitives.Event):
    """An event that notes for how many seconds somebody would wait."""

    def wait(self, timeout: float | None = None) -> bool:
        """As an event's."""
        if timeout is not None:
            self._trace.note("is patient", str(timeout))
        return super().wait(timeout)


@exercise(
    "event-1",
    "Wait for a door to open, but not for ever; say what came of it.",
    answers=("greet",),
    hints=(
        "wait() takes a timeout, and tells you by what it returns whether the flag was up.",
        "if door.wait(timeout=patience): the door is open. Otherwise your patience is at its end.",
    ),
    limit=30.0,
)
def greet(trial: Trial) -> None:
    """Three doors: one is open, one opens while the guest waits, one never opens."""
    with trial.watch() as mp:
        doors, answers = [mp.Event() for _ in range(3)], [mp.SimpleQueue() for _ in range(3)]
        mp.label(open_door=doors[0], slow_door=doors[1], closed_door=doors[2])
        doors[2].__class__ = _Door
        guests = [
            mp.Process(target=trial.answer, args=(door, patience, queue), name=f"guest-{number}")
            for number, door, patience, queue in zip((1, 2, 3), doors, (60, 60, 0.1), answers, strict=True)
        ]
        doors[0].set()
        for guest in guests:
            guest.start()
        guests[0].join(_PATIENCE * trial.busy)
        trial.require(
            guests[0].exitcode is not None,
            "guest-1 came to an open door, and does not go on. wait() goes on at once when the flag is up.",
        )
        trial.require(
            _until(trial, mp, guests, lambda: _waits(mp, "guest-2") or guests[1].exitcode == 0),
            "guest-2 does something else while the door is closed. door.wait(timeout=...) waits for it.",
        )
        doors[1].set()
        for guest in guests:
            guest.join()
        said = [_all_of(queue) for queue in answers]
    for guest, words in zip(guests, said, strict=True):
        trial.require(
            words in (["good morning"], ["closed"]),
            f'{guest.name} puts one thing into answers, "good morning" or "closed", and not {words}.',
        )
    trial.require(
        said[2] == ["closed"],
        "guest-3 said good morning, and its door never opened: with a timeout, wait() goes on also when "
        "nothing has happened. Look at what it returns.",
    )
    for seconds in _pauses(mp, "guest-3"):
        trial.require(
            seconds <= 0.1,
            f"guest-3 would wait for {seconds:g} seconds, and its patience is 0.1: "
            "door.wait(timeout=patience).",
        )
    trial.require(
        said[1] == ["good morning"],
        "guest-2 said closed, and its door opened a moment later: is_set() only looks, wait() waits.",
    )
    trial.require(said[0] == ["good morning"], "guest-1 said closed, and its door was open.")


def _all_of(queue: Any) -> list[Any]:
    """What is in a queue whose writers have ended."""
    found = []
    while not queue.empty():
        found.append(queue.get())
    return found


class Look:
    """``look()`` notes that its process looked."""

    def __init__(self, mp: Watch) -> None:
        self._recorder = mp._recorder

    def __call__(self) -> None:
        """Look."""
        self._recorder.note("looks")
        time.sleep(0.005)


@exercise(
    "event-2",
    "Look again and again with a pause between, and stop at once when asked.",
    answers=("poll",),
    hints=(
        "Which pause does an event cut short? Not sleep().",
        "stop.wait(timeout=pause) is a pause. It returns True if somebody asked to stop.",
        "Look once; then look again as long as stop.wait(timeout=pause) returns False.",
    ),
    limit=30.0,
)
def poll(trial: Trial) -> None:
    """One with a pause of a minute, one with hardly any, both asked to stop when both were seen at work."""
    with trial.watch() as mp:
        stop, look = mp.Event(), Look(mp)
        stop.__class__ = _Door
        mp.label(stop=stop)
        pauses = {"slow": 60, "quick": 0.01}
        slow, quick = pollers = [
            mp.Process(target=trial.answer, args=(stop, pause, look), name=name)
            for name, pause in pauses.items()
        ]
        for poller in pollers:
            poller.start()
        _until(trial, mp, pollers, lambda: _has(mp, "slow", looks=1, waits=1) or slow.exitcode == 0, _LONG)
        seen = _count(mp, "quick", "looks")
        _until(
            trial,
            mp,
            pollers,
            lambda: _has(mp, "quick", looks=seen + 3, waits=20) or quick.exitcode == 0,
            _LONG,
        )
        early = [poller.name for poller in pollers if poller.exitcode == 0]
        trial.require(
            not early, f"{' and '.join(early)} ended before anybody asked: go on until stop is set."
        )
        if _pauses(mp, "quick"):
            _until(trial, mp, pollers, lambda: _pauses_long_or_goes_on(mp, "slow"), _LONG)
        looks = {name: _count(mp, name, "looks") for name in pauses}
        stop.set()
        _until(trial, mp, pollers, lambda: all(poller.exitcode == 0 for poller in pollers))
        _require_that_they_stopped(trial, mp, [p.name for p in pollers if p.exitcode is None])
    trial.require(
        looks["quick"] > 1 and looks["slow"],
        f"The one with a short pause looked {looks['quick']} times, the one with a pause of a minute "
        f"{looks['slow']} times, before they were asked to stop. Look first, then pause, and so on.",
    )
    trial.require(
        _waits(mp, "quick") and _waits(mp, "slow"),
        "It asks again and again whether stop is set, or sleeps in small pieces. stop.wait(timeout=pause) is "
        "one pause that ends by itself as soon as stop is set.",
    )
    trial.require(
        not _looks_after_stop(mp),
        "It looked once more after wait() had told that stop is set: look at what wait() returns.",
    )
    trial.require(
        _count(mp, "slow", "looks") == 1,
        f"With pause=60 it looked {_count(mp, 'slow', 'looks')} times at once: wait for pause seconds.",
    )


def _has(mp: Watch, process: str, *, looks: int, waits: int) -> bool:
    """Whether this process has looked or paused so often, or pauses for ever."""
    own = [event.action for event in mp.events if event.process == process]
    return own.count("looks") >= looks or own.count("waits for now") >= waits or own[-1:] == ["waits"]


def _pauses(mp: Watch, process: str) -> list[float]:
    """For how many seconds this process would wait, each time."""
    return [float(e.detail) for e in mp.events if e.process == process and e.action == "is patient"]


def _pauses_long_or_goes_on(mp: Watch, process: str) -> bool:
    """Whether this process pauses for long, or what it does after a short pause is known."""
    pauses = _pauses(mp, process)
    return max(pauses, default=0) > 30 or len(pauses) > 1 or _count(mp, process, "looks") > 1


def _count(mp: Watch, process: str, action: str) -> int:
    return sum(event.process == process and event.action == action for event in mp.events)


def _require_that_they_stopped(trial: Trial, mp: Watch, left: list[str]) -> None:
    for_ever = any(e.action == "waits" and e.resource == "stop" for e in mp.events)
    trial.require(not for_ever, "stop.wait() without a timeout waits for ever, not for a pause.")
    trial.require(
        "quick" not in left,
        "The one with a short pause goes on, although stop is set: look at what wait() returns, or ask "
        "stop.is_set().",
    )
    trial.require(
        "slow" not in left,
        "The one with a pause of a minute was asked to stop, and still sleeps. Wait for stop instead of "
        "sleeping.",
    )


def _looks_after_stop(mp: Watch) -> bool:
    told = set()
    for event in mp.events:
        if event.action == "came through" and event.resource == "stop":
            told.add(event.process)
        elif event.action == "looks" and event.process in told:
            return True
    return False


class Loaves(Number):
    """The loaves on a shelf; who looks again and again does not flood the record."""

    def _use(self, action: str, what: Any) -> None:
        super()._use(action, what)
        time.sleep(0.01)


@exercise(
    "event-3",
    "Bakers and buyers share a shelf, and wait for each other.",
    answers=("bake", "buy"),
    hints=(
        "Everything happens under the condition: with shelf. Wait for a state, change it, tell the others.",
        "shelf.wait_for(lambda: loaves.value > 0) looks again each time somebody is woken, and notify wakes.",
        "notify() wakes one of those who wait: who bakes may wake a baker, and nobody buys. Wake all.",
    ),
    limit=30.0,
)
def bake_and_buy(trial: Trial) -> None:
    """Two shelves with one place each: at the empty one buyers come first, at the full one bakers. All
    who wait are woken once for nothing."""
    bake, buy = trial.answers
    try:
        with trial.watch() as mp:
            empty, full = mp.Condition(), mp.Condition()
            mp.label(empty_shelf=empty, full_shelf=full)
            on_empty, on_full = Loaves(mp, empty._lock), Loaves(mp, full._lock, 1)

            def start(target: Any, args: tuple[Any, ...], *names: str) -> list[Any]:
                started = [mp.Process(target=target, args=args, name=name) for name in names]
                for process in started:
                    process.start()
                return started

            first = start(buy, (empty, on_empty), "buyer-1", "buyer-2")
            first += start(bake, (full, on_full, 1), "baker-3", "baker-4")
            _until(trial, mp, first, lambda: _all_wait_or_one_never_will(mp, first), _LONG)
            _require_that_they_wait(trial, mp, [p.name for p in first if not _waits(mp, p.name)])
            for shelf in (empty, full):
                with shelf:
                    shelf.notify_all()
            later = start(bake, (empty, on_empty, 1), "baker-1", "baker-2")
            later += start(buy, (full, on_full), "buyer-3", "buyer-4")
            _let_end(trial, mp, first + later)
    except Stuck:
        _require_good_manners(trial)
        raise
    _require_good_manners(trial)
    trial.require(
        (on_empty._number.value, on_full._number.value) == (0, 1),
        "Two baked and two bought, and yet the number of loaves is another one than before.",
    )


_SHELVES = {
    "empty_shelf": ("buyer-1", "buyer-2", "baker-1", "baker-2"),
    "full_shelf": ("buyer-3", "buyer-4", "baker-3", "baker-4"),
}


def _used(mp: Watch) -> list[Use]:
    """Every look at a shelf's loaves, and every change of them."""
    return [use for shelf, people in _SHELVES.items() for use in uses(mp, shelf) if use.process in people]


def _all_wait_or_one_never_will(mp: Watch, processes: list[Any]) -> bool:
    """Who looks again and again while holding the shelf keeps the others from waiting."""
    looks = Counter(use.process for use in _used(mp))
    return any(count > 20 for count in looks.values()) or all(
        _waits(mp, process.name) or _does_not_wait(mp, process) for process in processes
    )


def _does_not_wait(mp: Watch, process: Any) -> bool:
    """Whether a process will not wait any more: it has ended, or looks without the lock."""
    own = [use for use in _used(mp) if use.process == process.name]
    return process.exitcode == 0 or any(not use.hold for use in own)


def _require_that_they_wait(trial: Trial, mp: Watch, restless: list[str]) -> None:
    _require_lock(trial, _used(mp))
    trial.require(
        not restless,
        f"{' and '.join(restless)} cannot go on yet: buyers have no loaf, bakers no place. Let them wait, by "
        "shelf.wait_for(...), until somebody wakes them; do not ask again and again, and do not go on.",
    )


def _require_lock(trial: Trial, used: Iterable[Use]) -> None:
    for use in used:
        trial.require(
            use.hold,
            f"{use.process} looked at the loaves or changed them without holding the shelf: put all of it "
            "under `with shelf:`.",
        )


def _require_good_manners(trial: Trial) -> None:
    """What the record says of those who got on, also when it went well by luck."""
    mp = trial.last
    assert mp is not None
    used = _used(mp)
    _require_lock(trial, used)
    people = [name for each in _SHELVES.values() for name in each]
    for name in people:
        own = [event for event in mp.events if event.process == name]
        waits = sum(event.action.startswith("waits") and event.detail == "notify" for event in own)
        holds = {use.hold for use in used if use.process == name}
        trial.require(
            len(holds) <= 1 + waits,
            f"{name} let go of the shelf between looking and acting: somebody else can come in between. One "
            "`with shelf:` for all of it.",
        )
    for use in used:
        trial.require(
            use.action == "reads" or use.what in (0, 1),
            f"{use.process} left {use.what} loaves on a shelf with one place. Who is woken has to look "
            "again: another one may have been faster, or there was nothing to be had. wait_for() does that.",
        )
    wrote = [use.process for use in used if use.action == "writes"]
    told = {e.process for e in mp.events if e.action == "notifies"}
    silent = [name for name in wrote if name not in told]
    trial.require(
        not silent,
        f"{listed(silent)} changed the number of loaves and woke nobody. Who waits for that would wait "
        "for ever: shelf.notify_all().",
    )
    trial.require(
        all(e.detail == "all" for e in mp.events if e.action == "notifies"),
        "notify() wakes one of those who wait, and that may be one who cannot go on: a baker wakes a baker, "
        "and the buyers sleep on. Where bakers and buyers wait at one shelf, wake all: notify_all().",
    )
    trial.require(
        sorted(wrote) == sorted(people) or mp._stuck is not None,
        "Everybody bakes or buys one loaf: loaves.value += 1 or loaves.value -= 1, once.",
    )


late = Question(
    "event-a",
    "Can a tick come after clear()? How many?",
    {
        "a": ("none: clear() stops the timer", "clear() stops nobody. It makes the next wait() block."),
        "b": (
            "one at most",
            "A timer that has just come through its wait() still ticks once; the next wait() blocks.",
        ),
        "c": (
            "any number, until the timer looks at the flag",
            "It looks before each tick: e.wait() stands in its loop.",
        ),
    },
    right="b",
)

level = Question(
    "event-b",
    "A semaphore is used up by those who get in. An event is set once, and three calls wait for it. What do "
    "they return?",
    {
        "a": (
            "True, False, False: the first one takes it",
            "So would a semaphore behave, with block=False. An event is not used up.",
        ),
        "b": ("True, True, True", "The flag stays up, whoever passes, until somebody clears it."),
        "c": (
            "True, and the second call waits for ever",
            "So would a semaphore of 1 behave. wait() does not lower the flag.",
        ),
    },
    right="b",
)

pulse = Question(
    "event-c",
    "The bell rings three times, up for a moment and down again, while the listener is busy. Then it "
    "listens. What does it hear?",
    {
        "a": ("three rings", "An event counts nothing. A semaphore that begins with 0 does."),
        "b": ("one ring", "A flag keeps nothing of what it was. It is down when the listener comes."),
        "c": ("nothing", "When the listener comes, the flag is down, as if nothing had happened."),
    },
    right="c",
)

last_words = Question(
    "event-d",
    "What is the last line of the diary if the process is asked to stop, and if it is terminated?",
    {
        "a": (
            "'the end' both times: that is what finally is for",
            "finally runs in a process that goes on running. terminate() ends it where it stands.",
        ),
        "b": (
            "'the end', and 'a line'",
            "What was written stands in the buffer of the file, and is lost with the process.",
        ),
        "c": (
            "'the end', and there is no line at all",
            "finally never ran, and what stood in the file's buffer is lost.",
        ),
    },
    right="c",
)
