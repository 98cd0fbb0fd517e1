"""Lesson 05: exercises and questions."""

from __future__ import annotations

import multiprocessing
import os
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any, ClassVar

from ...watch import ChildFailed, Stuck, Watch
from ...watch.errors import Failure
from ..exercise import exercise
from ..predict import Question
from ..temptation import start_together, until_at_rest, until_two_rest
from ..trial import Trial


@exercise(
    "queue-1",
    "Get numbers until None comes; put twice each of them.",
    answers=("double",),
    hints=(
        "get() waits for the next number, however long it takes. Only None says that no more will come.",
        "0 is a number, and `while number := ...` takes it for the end. Compare by `is None`.",
        "`for number in iter(numbers.get, None):` gets until None.",
    ),
)
def double(trial: Trial) -> None:
    """Nothing is in the queue until both wait for it; then ten numbers come, 0 first, and a None for each."""
    with trial.watch() as mp:
        numbers, doubled = mp.Queue(), mp.SimpleQueue()
        mp.label(numbers=numbers, doubled=doubled)
        started = start_together(mp, trial.answer, [(numbers, doubled)] * 2, "doubler")
        until_at_rest(mp, started, trial.busy)
        gone = [process.name for process in started if not process.is_alive()]
        for item in [*range(10), None, None]:
            numbers.put(item)
        for process in started:
            process.join()
        found = []
        while not doubled.empty():
            found.append(repr(doubled.get()))
    trial.require(
        not gone,
        f"{' and '.join(gone)} ended before the first number came. That a queue is empty does not mean that "
        "nothing will come: wait by get(), until you get None.",
    )
    ten = {f"{os.getpid()}-{count}" for count in range(1, 11)}  # how watch counts what this process put
    last = {event.process: event.detail for event in mp.events if event.action == "got"}
    stopped = [process.name for process in started if last.get(process.name) in ten]
    trial.require(
        not stopped,
        f"{' and '.join(stopped)} got a number and ended. Only None is the end; 0 is a number too.",
    )
    trial.require(
        sorted(found) == sorted(repr(2 * number) for number in range(10)),
        f"Twice each number from 0 to 9 shall come out, once, and nothing else. `doubled` held: "
        f"{', '.join(found) or 'nothing'}.",
    )


BROKEN = "the disk is gone"


class Log:
    """Lines that can be read once the checker says go; then the reading may fail."""

    def __init__(self, mp: Watch, lines: list[str], *, fails: bool = False) -> None:
        self.lines, self.fails = lines, fails
        self.go = multiprocessing.get_context(mp._name).Event()

    def __iter__(self) -> Iterator[str]:
        self.go.wait()
        yield from self.lines
        if self.fails:
            raise OSError(BROKEN)


@exercise(
    "queue-2",
    "Let every producer say when it is done, also one that fails, and gather until all have said so.",
    answers=("produce", "gather"),
    hints=(
        "What does gather wait for if a producer dies before it has put its None?",
        "try: put the lines; finally: put None. `finally` runs when all went well, and when not.",
        "gather counts the Nones that it got, and returns when there are as many as producers.",
    ),
)
def gather_all(trial: Trial) -> None:
    """The first producer fails, and has ended with its None before the second one puts anything."""
    produce, gather = trial.answers
    with trial.watch(check=False) as mp:
        results, gathered = mp.Queue(), mp.SimpleQueue()
        mp.label(results=results, gathered=gathered)
        logs = [Log(mp, ["start", ""], fails=True), Log(mp, ["start", "", "stop"])]
        (collector,) = start_together(
            mp, _collect, [(mp._recorder, gather, results, 2, gathered)], "collector"
        )
        until_at_rest(mp, [collector], trial.busy)
        producers = [
            mp.Process(target=produce, args=(results, log), name=f"producer-{number}")
            for number, log in enumerate(logs, 1)
        ]
        for producer in producers:
            producer.start()
        for producer, log in zip(producers, logs, strict=True):
            log.go.set()
            producer.join()
        collector.join()
        found: Any = None if gathered.empty() else gathered.get()
    if unexpected := [each for each in mp._failures if not _is_the_broken_log(each)]:
        raise ChildFailed(unexpected)
    began = (e.action for e in mp.events if e.action == "put" or (e.process, e.action) == _GATHER_RETURNED)
    trial.require(
        next(began, "put") == "put",  # by the record: on a busy machine who is impatient returns late
        "gather returned before a producer had put anything. That a queue is empty does not mean that "
        "nothing will come: wait by get(), and count the Nones.",
    )
    put = Counter(event.process for event in mp.events if event.action == "put")
    for producer, log in zip(producers, logs, strict=True):
        trial.require(
            put[producer.name] == len(log.lines) + 1,
            f"{producer.name} read {len(log.lines)} lines and put {put[producer.name]} items. It puts each "
            "line, and then None once, also if reading fails.",
        )
    trial.require(isinstance(found, list), f"gather returns a list; this is {found!r}.")
    trial.require(None not in found, f"The Nones are no results: gather returned {found}.")
    right = logs[0].lines + logs[1].lines
    trial.require(
        sorted(map(repr, found)) == sorted(map(repr, right)),
        f"The producers read {right}, the last three when the first producer had ended. gather returned "
        f"{found}.",
    )


_GATHER_RETURNED = "collector-1", "returns"


def _is_the_broken_log(failure: Failure) -> bool:
    """Whether the producer whose log breaks lets others know, by that error, another one or its exit code."""
    said = failure.error + failure.traceback
    return failure.process == "producer-1" and (BROKEN in said or not failure.traceback)


def _collect(recorder: Any, gather: Callable[..., Any], results: Any, producers: int, gathered: Any) -> None:
    found = gather(results, producers)
    recorder.note("returns")
    gathered.put(found)


class Result:
    """What a task returns: large, a text on the other side, and counted when it is sent."""

    def __init__(self, task: Task, item: int) -> None:
        self.task, self.item = task, item

    def __reduce__(self) -> tuple[Any, ...]:
        """What pickle asks for. A process that sends a second result has sent its first one."""
        if self.item != 0:
            with self.task.sent.get_lock():
                self.task.sent.value += 1
                if self.task.sent.value == 2:
                    self.task.another_came.set()
        return str, (f"{self.item}:" + "x" * 50_000,)


class Task:
    """Work for two processes: item 0 takes until the other process has sent a result."""

    def __init__(self, mp: Watch, busy: int) -> None:
        plain = multiprocessing.get_context(mp._name)
        self._recorder, self.sent, self.another_came = mp._recorder, plain.Value("i", 0), plain.Event()
        self._busy = busy

    def __call__(self, item: int) -> Result:
        """Do the work."""
        self._recorder.note("works", "", str(item))
        if item == 0 and multiprocessing.parent_process() is not None:
            self.another_came.wait(5 * self._busy)
        return Result(self, item)


class _Item(int):
    """An item; the first one leaves for a queue when two processes wait, or have ended.

    Who takes an empty queue for the end has ended by then.
    """

    waits: ClassVar[list[tuple[Watch, int]]] = []  # empty when one has waited

    def __reduce__(self) -> tuple[Any, ...]:
        """What pickle asks for: in a queue's feeder thread, when the item leaves."""
        in_thread = threading.current_thread() is not threading.main_thread()
        if self.waits and in_thread and multiprocessing.parent_process() is None:
            until_two_rest(*self.waits.pop())
        return int, (int(self),)


@exercise(
    "queue-3",
    "Do a list of work in several processes, and return the results in the order of the list.",
    answers=("map_in_order",),
    hints=(
        "Results come in the order in which they are ready. Let each item travel with its number, and each "
        "result too.",
        "Put one None for each process behind the items. Get as many results as there are items, and join "
        "after that: who has results to send does not end before somebody gets them.",
        "`for number in enumerate(items): todo.put(number)`; serve puts (number, work(item)); "
        "`dict(done.get() for _ in items)` knows every result by its number.",
    ),
    limit=20,
)
def map_in_order(trial: Trial) -> None:
    """Two processes; the first item is done after others, and the results are larger than a pipe."""
    items = [_Item(number) for number in (0, 4, 2, 5, 1, 3)]  # neither this order nor that of their strings
    try:
        with trial.watch() as mp:
            _Item.waits = [(mp, trial.busy)]
            found = trial.answer(mp, Task(mp, trial.busy), items, 2)
    except Stuck:
        _nobody_ended_too_early(trial, mp)
        raise
    _nobody_ended_too_early(trial, mp)
    worked = sorted({event.process for event in mp.events if event.action == "works"})
    trial.require("MainProcess" not in worked, "The parent did the work itself. Leave it to the processes.")
    trial.require(
        len(worked) == 2,
        f"It was asked for with workers=2, so two processes share the work; {len(worked)} did it.",
    )
    _nobody_was_ended(trial, mp)
    trial.require(isinstance(found, list), f"map_in_order returns a list, not {type(found).__name__}.")
    order = [str(each).partition(":")[0] if isinstance(each, str) else _short(each) for each in found]
    trial.require(
        order == [str(item) for item in items],
        f"The results shall stand in the order of the items {items}. These are the results of: "
        f"{', '.join(order) or 'nothing'}.",
    )
    with trial.watch() as mp:
        found = trial.answer(mp, Task(mp, trial.busy), [], 2)
    trial.require(found == [], f"For no items the result is [], and not {_short(found)}.")
    _nobody_was_ended(trial, mp)


def _nobody_ended_too_early(trial: Trial, mp: Watch) -> None:
    """An empty queue is no end."""
    busy = {event.process for event in mp.events if event.action in ("works", "got")}
    ended = {event.process for event in mp.events if event.action in ("returned", "exits")}
    early = sorted(name for name in ended - busy - {"MainProcess"} if "Manager-" not in name)
    trial.require(
        not early,
        f"{' and '.join(early)} ended before the first item came. That a queue is empty does not mean that "
        "nothing will come: wait by get(), until you get None.",
    )


def _nobody_was_ended(trial: Trial, mp: Watch) -> None:
    trial.require(
        not any(event.action in ("terminates", "kills", "interrupts") for event in mp.events),
        "A process was ended from outside. It may stand in the middle of a queue: end it by a None.",
    )


def _short(thing: Any) -> str:
    text = repr(thing)
    return text if len(text) <= 30 else text[:30] + " …"


shelf = Question(
    "queue-a",
    "The shelf has room for one plate. The cook puts five plates and a None, and the waiter carries each "
    "plate for a while. What does the cook do meanwhile?",
    {
        "a": (
            "he puts everything at once and goes home",
            "So he did with a shelf without limit. Here put finds it full.",
        ),
        "b": ("put raises Full, and he fails", "Only put with block=False or with a timeout raises Full."),
        "c": (
            "he waits in put, again and again",
            "put waits until the waiter has taken a plate from the shelf.",
        ),
    },
    right="c",
)

cleared = Question(
    "queue-b",
    "A huge item is put, then a list, and the list is cleared at once. What comes out as the second item?",
    {
        "a": (
            '["soup", "bread"]: what was put',
            "put only hands the list to the feeder thread, which is still busy with the huge item.",
        ),
        "b": ("[]", "The feeder thread pickles the list when its turn comes, and by then it is empty."),
        "c": (
            "an error: the list has changed",
            "Nobody compares. What is in the list when it is pickled is what is sent.",
        ),
    },
    right="b",
)

hot = Question(
    "queue-c",
    "A plate was put, but the feeder thread cannot send it yet. What do empty() and get(block=False) say?",
    {
        "a": (
            "False, and the plate: it was put",
            "put has returned, and yet nothing is in the pipe. Both look only there.",
        ),
        "b": (
            "False, and then Empty is raised",
            "empty() does not know of items that are still with the feeder thread.",
        ),
        "c": ("True, and Empty is raised", "Both look into the pipe, where nothing has arrived."),
    },
    right="c",
)
