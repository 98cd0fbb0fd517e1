"""Lesson 03: exercises and questions."""

from __future__ import annotations

import multiprocessing
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

from ...watch import Stuck, Watch, primitives
from ...watch.explain import listed
from ..exercise import exercise
from ..predict import Question
from ..temptation import Meeting, Tempting, start_together, together, until_at_rest, uses
from ..trial import Trial


class _Places(primitives.Semaphore):
    """A semaphore that notes for how many seconds somebody would wait."""

    def acquire(self, block: bool = True, timeout: float | None = None) -> bool:
        """As a semaphore's."""
        if block and timeout is not None:
            self._trace.note("is patient", str(timeout))
        return super().acquire(block, timeout)


@exercise(
    "semaphore-1",
    "Try for at most 0.1 seconds to get a place, and say whether you did.",
    answers=("knock",),
    hints=(
        "acquire() answers whether you got a place. Only who got one has one to give back.",
        "acquire(timeout=0.1), and not acquire(0.1): the first argument is block.",
        "`if places.acquire(timeout=0.1):` put 'in' and release; otherwise put 'full', and no more.",
    ),
)
def knock(trial: Trial) -> None:
    """Two knock while both places are taken, and two while both are free."""
    try:
        with trial.watch() as mp:
            places, answers = mp.Semaphore(2), mp.SimpleQueue()
            places.__class__ = _Places
            mp.label(places=places, answers=answers)
            for _ in range(2):
                places.acquire()
            together(mp, trial.answer, [(places, answers)] * 2, "early")
            early = _drained(answers)
            for _ in range(2):
                places.release()
            together(mp, trial.answer, [(places, answers)] * 2, "late")
            late = _drained(answers)
    except Stuck:
        endless = {
            event.process for event in mp.events if event.action == "waits" and event.resource == "places"
        }
        trial.require(
            not endless,
            f"{listed(sorted(endless))} would wait for ever. Both places are taken: after 0.1 seconds, give "
            "up and say 'full'. Which argument of acquire() is that?",
        )
        raise
    _nobody_gives_back_more(trial, mp)
    waited = {event.process for event in mp.events if event.action == "waits for now"}
    for name in ("early-1", "early-2"):
        trial.require(
            name in waited,
            f"Both places were taken, and {name} did not wait: one may become free within 0.1 seconds.",
        )
    for event in mp.events:
        trial.require(
            event.action != "is patient" or float(event.detail) <= 0.1,
            f"{event.process} would wait for {event.detail} seconds, and was to try for at most 0.1.",
        )
    trial.require(
        early == ["'full'"] * 2,
        f"Two knocked while both places were taken. Each puts 'full', once; the queue held {_told(early)}.",
    )
    kept = [process for process, held in _held_at_the_end(mp).items() if held > 0]
    trial.require(not kept, f"{' and '.join(kept)} got a place and never gave it back.")
    trial.require(
        late == ["'in'"] * 2,
        f"Two knocked while both places were free. Each puts 'in', once; the queue held {_told(late)}.",
    )


def _drained(queue: Any) -> list[str]:
    """What lies in a queue whose writers have ended, as it prints."""
    found = []
    while not queue.empty():
        found.append(repr(queue.get()))
    return found


def _told(found: list[str]) -> str:
    return ", ".join(found) or "nothing"


def _held_at_the_end(mp: Watch) -> Counter[str]:
    """How many places each process kept; less than 0 if it gave back more than it got."""
    change = {"acquired": 1, "released": -1, "not released": 1}
    held: Counter[str] = Counter()
    for event in mp.events:
        if event.resource == "places":
            held[event.process] += change.get(event.action, 0)
    return held


def _nobody_gives_back_more(trial: Trial, mp: Watch) -> None:
    over = [process for process, held in _held_at_the_end(mp).items() if held < 0]
    trial.require(
        not over,
        f"{over and over[0]} gave back a place that it had not got: now there is one place more, and "
        "nobody notices.",
    )


BROKEN, PAGES = ["page-1", "page-2"], ["page-3", "page-4", "page-5"]


class Server:
    """What a checker hands to a worker as a server: it has pages, and some cannot be read."""

    def __init__(self, mp: Watch, busy: int) -> None:
        self._recorder, self._two = mp._recorder, Meeting(mp, busy=busy)

    def get(self, page: str) -> str:
        """The text of a page, as soon as two are here."""
        self._recorder.note("reads", "", str(page))
        if page in BROKEN:
            raise OSError(f"{page} cannot be read")
        if not self._two.meet():
            self._recorder.note("is alone")
        return f"text of {page}"


@exercise(
    "semaphore-2",
    "Be at the server only while holding a place; a page that fails must not cost one.",
    answers=("download",),
    hints=(
        "Who holds a place when server.get raises an error? Nobody may keep it.",
        "`with places:` gives the place back, also on the way out of an error.",
        'Inside `with places:` try to get the text; `except OSError` makes it "failed". Then write it.',
    ),
    limit=20,
)
def download(trial: Trial) -> None:
    """First two come too early and their pages fail, then three come: who kept a place keeps others out."""
    with trial.watch() as mp, tempfile.TemporaryDirectory() as name:
        places, server, folder = mp.Semaphore(2), Server(mp, trial.busy), Path(name)
        mp.label(places=places)
        jobs = {page: (places, server, page, folder) for page in BROKEN + PAGES}
        for _ in BROKEN:
            places.acquire()
        early = start_together(mp, trial.answer, [jobs[page] for page in BROKEN], "early")
        until_at_rest(mp, early, trial.busy)  # who waits for a while, and then goes on, has no place by now
        for _ in BROKEN:
            places.release()
        for process in early:
            process.join()
        together(mp, trial.answer, [jobs[page] for page in PAGES], "late")
        written = {page: _text(folder / page) for page in BROKEN + PAGES}
    used = uses(mp, "places")
    asked = {use.what for use in used}
    missed = [page for page in BROKEN + PAGES if page not in asked]
    trial.require(not missed, f"Nobody asked the server for {missed and missed[0]}.")
    without = sorted({use.process for use in used if not use.hold})
    trial.require(
        not without,
        f"{without and without[0]} called server.get without holding a place: nothing limits how many do.",
    )
    _nobody_gives_back_more(trial, mp)
    trial.require(
        not any(event.action == "is alone" for event in mp.events),
        "Only one at a time was at the server, although there are two places.",
    )
    for page, text in written.items():
        right = "failed" if page in BROKEN else f"text of {page}"
        trial.require(text is not None, f"There is no file {page}. It shall hold {right!r}.")
        trial.require(text == right, f"The file {page} shall hold {right!r}, and holds {text!r}.")


def _text(path: Path) -> str | None:
    return path.read_text(encoding="utf-8", errors="replace") if path.is_file() else None


class Shelf(Tempting):
    """Three boards, used in turn. It does not look whether a board is free, or whether something is on it."""

    def __init__(self, mp: Watch, lock: Any) -> None:
        super().__init__(mp, lock)
        plain = multiprocessing.get_context(mp._name)
        self._boards = plain.Array("i", 3, lock=False)
        self._puts, self._takes = plain.Value("i", 0, lock=False), plain.Value("i", 0, lock=False)

    def put(self, item: int) -> None:
        """Put an item on the next board, whatever lies there."""
        number = self._puts.value
        self._use("writes", item)
        self._boards[number % 3] = item
        self._puts.value = number + 1

    def take(self) -> int:
        """Take what lies on the next board, whatever it is."""
        number = self._takes.value
        self._use("reads", None)
        self._takes.value = number + 1
        return int(self._boards[number % 3])


@exercise(
    "semaphore-3",
    "Share a shelf of three boards: wait for a free board, or for a full one, and say what became of it.",
    answers=("fill", "take"),
    hints=(
        "The number of `free` is the number of free boards, that of `full` the number of full ones. Who "
        "takes an item makes one smaller and the other larger.",
        "fill acquires `free`, puts, and then releases `full`. take is the mirror of it.",
        "shelf.put and shelf.take want the lock. But who waits for a board while holding it keeps out the "
        "one who could help: acquire the semaphore first.",
    ),
)
def shelf(trial: Trial) -> None:
    """Once the shelf is full before anybody takes, once takers wait before anything is there."""
    fill, take = trial.answers
    for fillers, takers, takers_first in ((2, 1, False), (1, 2, True)):
        try:
            with trial.watch() as mp:
                free, full, lock, taken = mp.Semaphore(3), mp.Semaphore(0), mp.Lock(), mp.SimpleQueue()
                mp.label(free=free, full=full, lock=lock, taken=taken)
                boards = Shelf(mp, lock)
                items = [range(100 * n + 1, 100 * n + 1 + 4 // fillers) for n in range(1, fillers + 1)]
                sides: list[tuple[Any, list[tuple[Any, ...]], str]] = [
                    (fill, [(free, full, lock, boards, each) for each in items], "filler"),
                    (take, [(free, full, lock, boards, 4 // takers, taken)] * takers, "taker"),
                ]
                if takers_first:
                    sides.reverse()
                started = start_together(mp, *sides[0])
                until_at_rest(mp, started, trial.busy)
                for process in started + start_together(mp, *sides[1]):
                    process.join()
                found = _drained(taken)
        except Stuck:
            _boards_are_counted(trial, mp)
            _nobody_waits_with_the_lock(trial, mp)
            _nobody_is_silent(trial, mp)
            raise
        _boards_are_counted(trial, mp)
        trial.require(
            all(use.hold for use in uses(mp, "lock")),
            "Somebody used the shelf without holding the lock: two who do it at once take the same board.",
        )
        right = sorted(str(item) for each in items for item in each)
        trial.require(
            sorted(found) == right,
            f"{', '.join(right)} were put on the shelf, each once; taken.put() got {_told(found)}.",
        )


def _boards_are_counted(trial: Trial, mp: Watch) -> None:
    """Replay what was done: each put needs a free board, each take a full one, and says so afterwards."""
    before = {"writes": ("free", "put an item"), "reads": ("full", "took an item")}
    after = {"full": ("writes", "an item lay on it"), "free": ("reads", "its item had been taken")}
    done: Counter[tuple[str, str, str]] = Counter()  # by process
    for event in mp.events:
        who, what = event.process, event.action
        done[who, what, event.resource] += 1
        if what in before:
            needed, told = before[what]
            trial.require(
                done[who, "acquired", needed] >= done[who, what, ""],
                f"{who} {told} without having acquired `{needed}`: nobody knows if a board was {needed}.",
            )
        elif what == "released" and event.resource in after:
            needed, told = after[event.resource]
            trial.require(
                done[who, what, event.resource] <= done[who, needed, ""],
                f"{who} released `{event.resource}` before {told}: somebody may come too early.",
            )


def _nobody_waits_with_the_lock(trial: Trial, mp: Watch) -> None:
    """Why others wait: somebody holds the lock and waits for a board."""
    holder = ""
    for event in mp.events:
        if event.resource == "lock" and event.action in ("acquired", "released"):
            holder = event.process if event.action == "acquired" else ""
        elif event.resource in ("free", "full") and event.action == "waits":
            trial.require(
                event.process != holder,
                f"{holder} waits for `{event.resource}` and holds `lock`, so nobody can come to the shelf "
                "and help. Acquire the semaphore first, then the lock.",
            )


def _nobody_is_silent(trial: Trial, mp: Watch) -> None:
    """Why others wait: somebody used a board and did not say so."""
    done = Counter((event.process, event.action, event.resource) for event in mp.events)
    for (who, action, _), count in sorted(done.items()):
        for used, name, told in (("writes", "full", "put"), ("reads", "free", "took")):
            trial.require(
                action != used or done[who, "released", name] == count,
                f"The others wait for ever: {who} {told} {count} items and released `{name}` "
                f"{done[who, 'released', name]} times.",
            )


places = Question(
    "semaphore-a",
    "Five workers come, and each stays until as many are inside as can be. How many are inside at once with "
    "1 place, and how many with 7 places?",
    {
        "a": ("1 and 5", "With 1 place it is a lock. With 7 nobody ever waits: it limits nothing."),
        "b": ("1 and 7", "There are only five workers. A place that nobody wants stays free."),
        "c": ("5 and 5", "With 1 place, acquire() lets one in, and four wait until a place is given back."),
    },
    right="a",
)

twice = Question(
    "semaphore-b",
    "There is one place. A clumsy worker comes, goes, and gives its place back twice. Then two others come. "
    "How many of them are inside together?",
    {
        "a": (
            "one: there is one place",
            "A semaphore does not know how many places there shall be. It adds one for each release.",
        ),
        "b": ("two", "The extra release made a second place out of nothing, and nobody was told."),
        "c": (
            "none: the second release raises an error",
            "A BoundedSemaphore would raise one. A plain Semaphore takes any release.",
        ),
    },
    right="b",
)

dishes = Question(
    "semaphore-c",
    "A semaphore begins with 0. It is released three times before the waiter exists. How many dishes does "
    "the waiter serve?",
    {
        "a": (
            "none: nobody was there to hear it",
            "A release is kept in the number until somebody takes it.",
        ),
        "b": ("one: the signal is on", "It is a number, not a switch. Three releases make 3."),
        "c": ("three", "Each release adds one, and each acquire takes one away."),
    },
    right="c",
)
