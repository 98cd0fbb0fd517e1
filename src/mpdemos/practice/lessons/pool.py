"""Lesson 07: exercises and questions."""

from __future__ import annotations

import math
import multiprocessing
import os
import tempfile
import time
from collections.abc import Callable
from concurrent.futures.process import BrokenProcessPool
from functools import partial
from pathlib import Path
from typing import Any

from ...watch import Stuck, Watch
from ...workers.pool import get_killed
from ..exercise import exercise
from ..predict import Question
from ..temptation import Contended, Meeting, Number, uses
from ..trial import Trial

_AMOUNTS = [1, 2, 3, 4, 5, 6]


@exercise(
    "pool-1",
    "Give each worker of a pool a lock and a balance, once; let its tasks use them.",
    answers=("keep", "deposit"),
    hints=(
        "keep is the initializer. What it puts into global variables, every task of that worker finds.",
        "`global lock, balance` in keep, then set both. deposit only reads the two names.",
        "Reading the balance, adding and returning it belong together: all of it inside `with lock:`.",
    ),
    limit=6,
)
def deposit(trial: Trial) -> None:
    """Six deposits by two workers, both of which are there before the first one."""
    keep, deposit = trial.answers
    with trial.watch() as mp:
        lock = mp.Lock()
        balance = Number(mp, lock)
        begin = (Meeting(mp), keep, Contended(lock), balance)
        with mp.Pool(2, initializer=_begin, initargs=begin) as pool:
            mp.label(till=lock, crew=pool)
            try:
                told = pool.map(partial(_run, deposit), _AMOUNTS, chunksize=1)
            except UnboundLocalError as error:
                trial.require(
                    False,
                    f"{error}. A function that assigns to a name has a variable of its own of that name. Let "
                    "keep set lock and balance, and deposit change balance.value.",
                )
            except NameError as error:
                trial.require(
                    False,
                    f"A task found no such name: {error}. What keep sets shall be there for the tasks that "
                    "come later: it must be global.",
                )
    used = uses(mp, "till")
    written = [use.what for use in used if use.action == "writes"]
    trial.require(written, "Nobody wrote to balance.value.")
    trial.require(
        all(use.hold for use in used),
        "The balance was read or written without holding the lock that keep was given: two workers can see "
        "the same money.",
    )
    holds: dict[tuple[str, int], list[str]] = {}
    for use in used:
        holds.setdefault((use.process, use.hold), []).append(use.action)
    trial.require(
        all(actions[0] == "reads" for actions in holds.values()),
        "The lock was released between reading the balance and writing it: what was read is old by then.",
    )
    trial.require(
        balance._number.value == sum(_AMOUNTS),
        f"The deposits {_AMOUNTS} add up to {sum(_AMOUNTS)}, and the balance is {balance._number.value}.",
    )
    trial.require(
        sorted(map(str, told)) == sorted(map(str, written)),
        f"Each deposit returns the balance that it wrote. Written was {written}, returned {told}.",
    )


_failed: Exception | None = None


def _begin(both_are_there: Meeting, keep: Any, lock: Any, balance: Any) -> None:
    """Call the learner's initializer; an error there would make the pool start workers for ever."""
    global _failed
    both_are_there.meet(60)
    try:
        keep(lock, balance)
    except Exception as error:
        _failed = error


def _run(deposit: Any, amount: int) -> Any:
    if _failed is not None:
        raise _failed
    return deposit(amount)


class _Task:
    """A function that a learner hands to a pool; it notes what it is called with."""

    def __init__(self, mp: Watch, name: str, do: Callable[..., Any], *args: Any) -> None:
        self.__qualname__ = name  # for the picture
        self._recorder, self._do, self._args, self._parent = mp._recorder, do, args, os.getpid()

    def __call__(self, *items: Any) -> Any:
        if len(items) != 1:
            raise TypeError(f"called with {len(items)} arguments, not with an item: args is a tuple, (item,)")
        (item,) = items
        self._recorder.note("runs", "", item)
        if os.getpid() == self._parent:  # a mistake, and the check goes on to say so
            return None
        return self._do(item, *self._args)


def _require_processes(trial: Trial, mp: Watch, answer: Any) -> None:
    """The function ran, in processes that are all gone now."""
    left = multiprocessing.active_children()
    trial.require(
        not left,
        f"Your function has returned, and {len(left)} of its processes are still there. A `with` block ends "
        "them.",
    )
    ran = {event.process for event in mp.events if event.action == "runs"}
    trial.require(
        "MainProcess" not in ran, "function was called in your own process: let the pool's workers do it."
    )
    trial.require(
        ran,
        "No worker ever called function with an item. (The end of a Pool's `with` block ends its workers at "
        f"once: wait for the results inside.) You return {answer!r:.200}.",
    )
    trial.require(
        any(event.action == "starts" for event in mp.events),
        "No process was started through mp: write mp.Pool(2), or ProcessPoolExecutor(2, mp_context=mp).",
    )


_ITEMS = ["tea", "gold", "soup", "cake", "water"]
_STATES = ["ok", "error", "late", "ok", "ok"]
_TIMEOUTS = (0.7, 2.0, 5.0)  # seconds at rest, one after the other while the machine is too busy for it
_LONG_BEFORE = 1.0  # seconds; what was there so long before it was missed is not late for the machine's sake


@exercise(
    "pool-2",
    "Run a function on every item; one that fails or never ends must not cost you the others.",
    answers=("try_all",),
    hints=(
        "map gives you all results or none. Which call gives you something for each single item?",
        "One apply_async for each item first, and only then one get(timeout) after the other.",
        "get raises what the task raised, or multiprocessing.TimeoutError, which is not the built-in "
        "TimeoutError. Catch that one first.",
    ),
    limit=20,
)
def try_all(trial: Trial) -> None:
    """Of five items one raises and one never ends."""
    for at_rest in _TIMEOUTS:
        timeout = trial.busy * at_rest
        mp, pairs = _pairs(trial, at_rest)
        states = _states(trial, pairs)
        workers = sum(event.action == "starts" for event in mp.events)
        began = {event.detail: event.seconds for event in mp.events if event.action == "runs"}
        given_up = [e.seconds for e in mp.events if e.detail == "result" and e.action == "gave up"]
        together = began.get("cake", math.inf) < min(given_up, default=began.get("soup", 0.0) + timeout / 2)
        right = states == _STATES and together
        if right or workers < 2 or _was_quick_enough(mp, states, began, timeout):
            break
    trial.require(
        not (workers < 2 and "late" in states[3:]),
        "The only worker was busy with the item that never ends, and all behind it waited for nothing. "
        "Take two workers.",
    )
    trial.require(
        states[2] != "error" or not isinstance(pairs[2][1], TimeoutError | multiprocessing.TimeoutError),
        f"The item that never ends is late, and you call it an error: {pairs[2][1]!r:.60}. "
        "multiprocessing.TimeoutError is another class than the built-in TimeoutError.",
    )
    trial.require(
        states == _STATES,
        f"For the items {_ITEMS}, of which gold fails and soup never ends, your pairs begin with {states}.",
    )
    trial.require(
        together,
        "No item was begun before you had given up the one that never ends: one after the other. Hand over "
        "all items first, and only then wait for the first result.",
    )
    trial.require(
        isinstance(pairs[1][1], ValueError),
        f"The pair of an error holds the exception itself; yours holds {pairs[1][1]!r:.60}.",
    )
    trial.require(
        [pair[1] for pair in pairs if pair[0] == "ok"] == [3, 4, None] and pairs[2][1] is None,
        f"The pair of an item that is done holds its result, that of a late one None. You return {pairs}.",
    )


def _pairs(trial: Trial, at_rest: float) -> tuple[Watch, Any]:
    timeout, began = trial.busy * at_rest, time.monotonic()
    try:
        with trial.watch(limit=6 + 2.8 * at_rest) as mp:  # for two items that are late
            try:
                pairs = trial.answer(mp, _Task(mp, "price", _price), list(_ITEMS), timeout)
            except (ValueError, TimeoutError, multiprocessing.TimeoutError) as error:
                trial.require(
                    False,
                    f"One item raised {type(error).__name__}, and that ended try_all: the others are lost. "
                    "Catch it where you get that one's result.",
                )
            trial.require(
                not _waited_too_late(mp),
                "The pool had ended before you waited for a result: the end of a Pool's `with` block ends "
                "its workers at once, done or not. Wait for the results inside.",
            )
            ran = any(event.action == "runs" for event in mp.events)
            waited = time.monotonic() - began > timeout
            if ran or not waited or at_rest == _TIMEOUTS[-1]:  # else no worker was there in time
                _require_processes(trial, mp, pairs)
    except Stuck as stuck:
        trial.require(
            "waits for a result" in str(stuck),
            "It does not end. close() and join() wait for the item that never ends, too, and so does the end "
            "of an executor's `with` block. The end of a Pool's `with` block ends its workers, done or not."
            f"\n{stuck}",
        )
        raise
    return mp, pairs


def _waited_too_late(mp: Watch) -> bool:
    """Whether a wait for a result was given up, and none before the workers had been ended."""
    ended = (event.action == "terminates" for event in mp.events if _ends_or_waits(event))
    return next(ended, False) and not all(ended)


def _ends_or_waits(event: Any) -> bool:
    return bool(event.action == "terminates" or (event.detail == "result" and event.action == "gave up"))


def _price(item: str) -> int | None:
    if item == "gold":
        raise ValueError("we do not sell gold")
    if item == "soup":
        time.sleep(3600)  # the end of the pool ends it
    return None if item == "water" else len(item)


def _was_quick_enough(mp: Watch, states: list[Any], began: dict[str, float], timeout: float) -> bool:
    """Whether nothing was late, neither the second worker nor an item, for want of a quick machine."""
    waits = [
        e.seconds - timeout for e in mp.events if e.detail == "result" and e.action in ("result", "gave up")
    ]
    late = [item for item, state in zip(_ITEMS, states, strict=True) if state == "late" and item != "soup"]
    return _second_worker_is_there(mp) < max([timeout, *waits]) - _LONG_BEFORE and all(
        began.get(item, math.inf) < timeout - _LONG_BEFORE for item in late
    )


def _second_worker_is_there(mp: Watch) -> float:
    """When the second worker was ready, in seconds since the beginning."""
    ready: dict[str, float] = {}
    for event in mp.events:
        if event.detail == "task":
            ready.setdefault(event.process, event.seconds)
    return sorted([*ready.values(), math.inf, math.inf])[1]


def _states(trial: Trial, pairs: Any) -> list[Any]:
    trial.require(
        isinstance(pairs, list) and len(pairs) == len(_ITEMS),
        f"Return a list with a pair for each of the {len(_ITEMS)} items; this came back: {pairs!r:.100}.",
    )
    trial.require(
        all(isinstance(pair, tuple) and len(pair) == 2 for pair in pairs),
        f'Each pair is a tuple such as ("ok", 3); your list is {pairs!r:.100}.',
    )
    return [pair[0] for pair in pairs]


_GUESTS, _KILLERS = ["ann", "bob", "cy", "dee", "eve"], ["bob", "dee"]
_ALONE = 8.0  # seconds at rest that the first task waits for a second one, and then for its death


@exercise(
    "pool-3",
    "Run a function on every item although some kill their worker; say which ones do.",
    answers=("survive",),
    hints=(
        "When a worker dies, every future of that executor that is not done raises BrokenProcessPool: "
        "those are suspects, and most of them are innocent.",
        "Take the results that came before the executor broke. Then try each suspect alone, in an executor "
        "of its own with one worker: if that breaks, it was this one.",
        "A function of your own helps: attempt(mp, function, items, workers) returns the results that came. "
        "Call it for all items with two workers, then for each missing item with one.",
    ),
    limit=14,
)
def survive(trial: Trial) -> None:
    """Two of five kill their worker; the first one is still at work when the second kills."""
    folder = tempfile.mkdtemp()
    with trial.watch(check=False) as mp:
        try:
            serve = _Task(mp, "serve", _serve, folder, mp._recorder, trial.busy)
            answer = trial.answer(mp, serve, list(_GUESTS))
        except BrokenProcessPool:
            trial.require(
                False,
                "A worker was killed, and BrokenProcessPool came out of your function. Catch it; what was "
                "not done by then must be tried again, in another executor.",
            )
        _require_processes(trial, mp, answer)
    trial.require(
        not any(event.action == "gave up" and event.detail == "result" for event in mp.events),
        "You waited for a while and took what had not come for killed. A slow item would look just like it: "
        "ProcessPoolExecutor tells at once when a worker dies.",
    )
    trial.require(
        isinstance(answer, tuple)
        and len(answer) == 2
        and isinstance(answer[0], dict)
        and isinstance(answer[1], list),
        f"Return a dict of results, and a list of the items that kill; this came back: {answer!r:.100}.",
    )
    results, killers = answer
    trial.require(
        not Path(folder, "alone").exists(),
        "Never two items were in work at the same time. Begin with two workers.",
    )
    blamed = [guest for guest in _GUESTS if guest in killers and guest not in _KILLERS]
    trial.require(
        not blamed,
        f"{' and '.join(blamed)} killed nobody. When a worker dies, its executor breaks, and everything that "
        "is not done raises BrokenProcessPool. Try those again, one at a time.",
    )
    right = {guest: guest.upper() for guest in _GUESTS if guest not in _KILLERS}
    trial.require(results == right, f"The results should be {right}, and yours are {results!r:.200}.")
    trial.require(
        sorted(map(str, killers)) == _KILLERS,
        f"bob and dee kill their worker, each once in the list; your list is {killers!r:.100}.",
    )
    for guest in _KILLERS:
        trial.require(
            guest in _died_alone(mp),
            f"{guest} is guilty, but you could not know: other items were in work in the same executor when "
            "it broke. Try each suspect alone, in an executor of its own.",
        )


def _serve(guest: str, folder: str, recorder: Any, busy: int) -> str:
    first = not Path(folder, "ann").exists()
    _wait_for_company(folder, busy)
    if guest in _KILLERS:
        recorder.note("dies", "", guest)
        Path(folder, "dies").touch()
        get_killed(guest)
    if guest == "ann" and first:
        Path(folder, "ann").touch()
        _wait_for_a_death(folder, busy)
        time.sleep(busy)  # until its executor breaks and ends it
    return guest.upper()


def _wait_for_company(folder: str, busy: int) -> None:
    """Wait until a second process is here, the first time."""
    Path(folder, f"pid-{os.getpid()}").touch()
    deadline = time.monotonic() + _ALONE * busy
    alone = Path(folder, "alone")
    while len(list(Path(folder).glob("pid-*"))) < 2 and not alone.exists():
        if time.monotonic() > deadline:
            alone.touch()
        time.sleep(0.002)


def _wait_for_a_death(folder: str, busy: int) -> None:
    """Wait until somebody dies; who works alone would wait in vain."""
    deadline = time.monotonic() + _ALONE * busy
    signs = [Path(folder, "dies"), Path(folder, "alone")]
    while time.monotonic() < deadline and not any(sign.exists() for sign in signs):
        time.sleep(0.002)


def _died_alone(mp: Watch) -> set[str]:
    """Who killed a worker while nobody else was in work in the same executor."""
    works_for: dict[str, str] = {}  # the executor, while there is work
    alone = set()
    for event in mp.events:
        if event.action == "task":
            works_for[event.process] = event.resource
        elif event.action == "done":
            works_for.pop(event.process, None)
        elif event.action == "dies" and list(works_for.values()).count(works_for.get(event.process, "")) < 2:
            alone.add(event.detail)
    return alone


chunks = Question(
    "pool-a",
    "You map 100 items over 2 workers. How many tasks?",
    {
        "a": ("100: one for each item", "So it would be with chunksize=1. map packs items into chunks."),
        "b": ("2: one for each worker", "Then a worker that is done early would have nothing left to take."),
        "c": (
            "8: four for each worker",
            "100 items for 4 × 2 chunks make 12.5 each, rounded up to 13: seven chunks of 13 and one of 9.",
        ),
    },
    right="c",
)

first_guest = Question(
    "pool-b",
    "Two workers serve 'slow' and 'quick', in this order. Which guest does the first next() give?",
    {
        "a": (
            "imap_unordered: quick, imap: quick",
            "imap keeps the order of the items: its first result is that of slow, whoever is ready.",
        ),
        "b": (
            "imap_unordered: quick, imap: it waits for slow",
            "The first result that is ready, and the first item's result.",
        ),
        "c": (
            "imap_unordered: slow, imap: slow",
            "imap_unordered does not wait for slow: it gives whatever is ready.",
        ),
    },
    right="b",
)

lost_task = Question(
    "pool-c",
    "The only worker is killed in the middle of its task. What does map return?",
    {
        "a": (
            "an error: the worker died",
            "So an executor does. A Pool starts a new worker, and does not know which task died with the old "
            "one.",
        ),
        "b": ("[None]", "A result comes from a worker, and this one sent none."),
        "c": (
            "the result: a new worker does the task again",
            "There is a new worker, but nobody gives it the lost task.",
        ),
        "d": ("nothing: it never returns", "No error, no message; your cell stays busy."),
    },
    right="d",
)

same_numbers = Question(
    "pool-d",
    "Four tasks get the same generator, random.Random(42), and draw one number each. "
    "How many different numbers?",
    {
        "a": (
            "1",
            "Each task gets a copy of the generator in the same state, and all copies continue alike.",
        ),
        "b": ("2: one for each worker", "The generator travels with the task, not with the worker."),
        "c": ("4", "So it would be if they shared one generator. Each has a copy."),
    },
    right="a",
)
