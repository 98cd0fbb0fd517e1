"""Lesson 09: exercises and questions. None of the checks needs a cluster: a part of one plays each role."""

from __future__ import annotations

import multiprocessing
import os
import pickle
import sys
import tempfile
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future, ProcessPoolExecutor
from pathlib import Path
from typing import Any

from ...watch import Watch
from ...workers.pool import get_killed
from ..exercise import exercise
from ..predict import Question
from ..temptation import Meeting
from ..trial import NotYet, Trial

_NAME = "report.txt"
_LINES = [f"{number}: {'tea ' * 2000}\n" for number in range(5)]  # longer than what a file buffers
_WHOLE = "".join(_LINES)


@exercise(
    "beyond-1",
    "Store a file so that no harm is done when the task is killed, or runs twice.",
    answers=("store",),
    hints=(
        "A file that has its name from the first line on is a half file under that name, until the last one.",
        "Write into another file of the same folder, and give it its name when it is whole and closed.",
        "os.replace(part, whole) does that in one step, also if a whole file is there already. Call the part "
        "name + '.part'.",
    ),
)
def store(trial: Trial) -> None:
    """Once undisturbed, once killed over that whole file, once killed in an empty folder and run again."""
    with tempfile.TemporaryDirectory() as one, tempfile.TemporaryDirectory() as two:
        with trial.watch() as mp:
            mp.Process(target=_store, args=(trial.answer, one, mp._recorder), name="first").start()
        opened = any(event.action == "opens" for event in mp.events)
        named = [event.detail for event in mp.events if event.action == "names"]
        size = sum(path.stat().st_size for path in Path(one).glob(_NAME))
        undisturbed = _texts(one)
        with trial.watch(check=False) as mp:
            killed = [
                mp.Process(target=_store, args=(trial.answer, folder, mp._recorder, 3), name=name)
                for folder, name in ((one, "twice"), (two, "killed"))
            ]
            for process in killed:
                process.start()
            for process in killed:
                process.join()
            over, half = _texts(one), _texts(two)
            again = mp.Process(target=_store, args=(trial.answer, two, mp._recorder), name="again")
            again.start()
            again.join()
        in_the_end = _texts(two)
    trial.require(
        undisturbed.get(_NAME) == _WHOLE,
        f"After one run that nobody disturbs, {_told(undisturbed)}.",
        draw=False,
    )
    trial.require(
        _NAME not in half,
        f"The process was killed after three of five lines, and {_told(half)}. Whoever finds it takes it "
        "for the whole one.",
    )
    trial.require(
        not half,
        f"The process was killed after three of five lines, and now a half file has a name that ends "
        f"in .txt: {', '.join(half)}. Choose a name that nobody takes for a result: another ending.",
    )
    trial.require(
        over.get(_NAME) == _WHOLE,
        f"The file was there, the same task ran once more and was killed: now {_told(over)}. Leave the whole "
        "one alone until there is another whole one.",
    )
    failed = [event.detail["error"] for event in mp.events if event.action == "failed"]
    trial.require(
        again.exitcode == 0,
        f"A process was killed, and the next one that runs the same task fails: {failed and failed[-1]}. "
        "Does it stumble over what the first one left?",
    )
    trial.require(
        in_the_end.get(_NAME) == _WHOLE,
        f"A process was killed, the task ran again, and {_told(in_the_end)}.",
    )
    trial.require(
        len(undisturbed) == len(in_the_end) == 1,
        f"One file whose name ends in .txt shall be there in the end, not {', '.join(in_the_end)}.",
    )
    trial.require(
        not opened,
        f"{_NAME} itself was opened for writing. Whoever looks now, or after a kill, finds a part of it: "
        "only a file that is whole and closed may get this name, by os.replace.",
        draw=False,
    )
    written, inside = named[-1] if named else (size, True)
    trial.require(
        written == size,
        f"{_NAME} got its name when {written:,} of {size:,} bytes were in the file: what is written is kept "
        "in memory for a while. Close the file first, by the end of its `with`.",
        draw=False,
    )
    trial.require(
        inside,
        "The unfinished file was in another folder. That one may be on another disk, and from one disk to "
        "another nothing gets its name in one step: put it into the same folder.",
        draw=False,
    )


def _store(store: Any, folder: str, recorder: Any, dies_after: int | None = None) -> None:
    final = os.path.normcase(os.path.join(folder, _NAME))

    def is_final(path: Any) -> bool:
        named = isinstance(path, (str, bytes, os.PathLike))
        return named and os.path.normcase(os.path.abspath(os.fsdecode(path))) == final

    def is_inside(path: Any) -> bool:
        return os.path.abspath(os.fsdecode(path)).startswith(os.path.join(folder, ""))

    def audit(event: str, args: Any) -> None:
        if event == "open" and is_final(args[0]) and args[2] & (os.O_WRONLY | os.O_RDWR):
            recorder.note("opens")
        elif event == "os.rename" and is_final(args[1]):
            recorder.note("names", "", [os.path.getsize(args[0]), is_inside(args[0])])

    sys.addaudithook(audit)  # it goes with the process
    os.chdir(tempfile.gettempdir())  # what is written to the wrong place shall not stay
    store(folder, _NAME, _lines(dies_after))


def _lines(dies_after: int | None) -> Iterator[str]:
    for number, line in enumerate(_LINES):
        if number == dies_after:
            get_killed(None)
        yield line


def _texts(folder: str) -> dict[str, str]:
    """What the files hold that are taken for results."""
    return {path.name: path.read_text(errors="replace") for path in sorted(Path(folder).glob("*.txt"))}


def _told(texts: dict[str, str]) -> str:
    text = texts.get(_NAME)
    if text is None:
        return f"there is no {_NAME}"
    if len(text) != len(_WHOLE):
        return f"{_NAME} holds {len(text):,} characters, where all lines together have {len(_WHOLE):,}"
    return f"{_NAME} holds {'what it should' if text == _WHOLE else 'other lines'}"


_NUMBERS, _TASKS = range(10, 2013), 7  # 2,003 numbers: no number of tasks divides them
_TOGETHER = 5.0  # seconds at rest that the first task waits for a second one
_both: Meeting
_recorder: Any
_called = 0


def _square(number: int) -> int:
    global _called
    _called += 1
    return number * number


def _join(both: Meeting, recorder: Any) -> None:
    """Begin to be a worker of the cluster; an initializer."""
    global _both, _recorder
    _both, _recorder = both, recorder


def _carry_out(message: bytes) -> Any:
    global _called
    if not _both.meet(_TOGETHER):
        _recorder.note("alone")
    _called = 0
    function, args, kwargs = pickle.loads(message)
    result = function(*args, **kwargs)
    _recorder.note("answers", "", [_called, len(pickle.dumps(result))])
    return result


class _Cluster(Executor):
    """An executor that does not cut anything into chunks, as that of a cluster, and notes what it sends."""

    def __init__(self, pool: ProcessPoolExecutor, recorder: Any) -> None:
        self._pool, self._recorder = pool, recorder

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """As any executor's."""
        message = pickle.dumps((fn, args, kwargs))
        self._recorder.note("sends", "", len(message))
        return self._pool.submit(_carry_out, message)


@exercise(
    "beyond-2",
    "Add up over many numbers by a few tasks, with small messages, on whatever executor there is.",
    answers=("total",),
    hints=(
        "A task shall get a part of the numbers, and answer with one number. For that it needs a function of "
        "your own, at the top level of the cell: add_up(function, chunk).",
        "numbers[first::tasks] is every so many-th number: for first in range(tasks) that makes as many "
        "parts, of nearly the same size. A slice of a range is a range: it travels as three numbers.",
        "executor.map(add_up, [function] * len(chunks), chunks) hands over all of them, then gives the sums.",
    ),
    limit=30,
)
def total(trial: Trial) -> None:
    """The first task waits until a second one runs in another process."""
    with trial.watch() as mp:
        begin = (Meeting(mp, busy=trial.busy), mp._recorder)
        with ProcessPoolExecutor(2, mp_context=mp, initializer=_join, initargs=begin) as pool:
            answer = trial.answer(_Cluster(pool, mp._recorder), _square, _NUMBERS, _TASKS)
        events = list(mp.events)
        with ProcessPoolExecutor(1, mp_context=mp, initializer=_join, initargs=begin) as pool:
            try:
                few = trial.answer(_Cluster(pool, mp._recorder), _square, range(3), _TASKS)
            except Exception as error:
                few = f"{type(error).__name__}: {error}"
    sent = [event.detail for event in events if event.action == "sends"]
    answers = [event.detail for event in events if event.action == "answers"]
    trial.require(sent, f"No task was handed to the executor. You return {answer!r:.100}.", draw=False)
    called = sum(calls for calls, _size in answers)
    right = sum(number * number for number in _NUMBERS)
    trial.require(
        answer == right,
        f"For {len(_NUMBERS):,} numbers and {_TASKS} tasks, function was called {called:,} times in the "
        f"workers. The sum is {right:,}, and you return {answer!r:.100}.",
    )
    trial.require(
        len(sent) <= _TASKS,
        f"{len(sent):,} tasks were sent, where {_TASKS} shall do. Each is a message and an answer: give a "
        "task a part of the numbers, not one.",
        draw=len(sent) < 50,
    )
    trial.require(
        len(sent) > 1, "One task does all the work, and the other worker has nothing to do. Cut it into more."
    )
    trial.require(
        max(sent) < 500,
        f"A message had {max(sent):,} bytes, because the numbers travel one by one. A slice of a range, such "
        "as numbers[0:100], is a range: it travels as three numbers, however long it is.",
    )
    trial.require(
        max(size for _calls, size in answers) < 100,
        f"An answer had {max(size for _calls, size in answers):,} bytes: let the task add up, and send back "
        "one number.",
    )
    trial.require(
        not any(event.action == "alone" for event in events),
        "The first task had to end before the second one was sent: one after the other, and the other worker "
        "waits. Hand over all tasks first, and only then ask for results.",
    )
    trial.require(
        max(calls for calls, _size in answers) <= 2 * called / len(sent) + 1,
        f"The tasks had {', '.join(str(calls) for calls, _size in answers)} numbers: while the largest one "
        "runs, the other worker has nothing to do.",
    )
    trial.require(few == 5, f"With the numbers 0, 1 and 2, and {_TASKS} tasks, the sum is 5, not {few}.")


_RESULTS = {"ann": 1, "cy": 100, "dee": 1000, "eve": 10000, "bob": 10}  # the last message brings one, too
_TRIES = 2
_FATES = {  # what happens in each try
    "ann": ["answers"],
    "bob": ["dies", "answers"],
    "cy": ["answers, dies"],
    "dee": ["is late", "answers"],
    "eve": ["dies", "dies"],
}


_AGAIN = "Its worker was lost once, and it had another try."
_MISSED = {  # why its result may be missing in the sum
    "ann": "It came with the first message.",
    "bob": _AGAIN,
    "cy": "It came, and then its worker was lost: that message, with None, shall not replace the result.",
    "dee": _AGAIN,
}


class _Fleet:
    """A cluster: each task is a process of its own; some die, and one is only slow."""

    def __init__(self, mp: Watch) -> None:
        self._mp, self._plain = mp, multiprocessing.get_context(mp._name)
        self.go = self._plain.Event()  # for who is late
        self._messages: deque[tuple[str, str, Any, Any]] = deque()
        self._late: tuple[str, str, Any, Any] | None = None
        self.tries = dict.fromkeys(_RESULTS, 0)
        self._done: set[str] = set()
        self.waiting: list[str] | None = None  # who was not submitted when the first message was asked for

    def submit(self, name: str) -> None:
        """Have a task run by some worker."""
        if name not in _RESULTS:
            raise NotYet(f"There is no task {name!r:.100}: submit takes one of the names.", self._mp)
        if name in self._done:
            raise NotYet(
                f"{name}'s result had come, and you submitted it again. That a worker dies afterwards does "
                "no harm: look whether you have the result.",
                self._mp,
            )
        if self.tries[name] == _TRIES:
            raise NotYet(f"{name} had {_TRIES} tries, and you submitted it once more.", self._mp)
        fates = _FATES[name]
        fate = fates[min(self.tries[name], len(fates) - 1)]
        self.tries[name] += 1
        receiver, sender = self._plain.Pipe(duplex=False)
        process = self._mp.Process(
            target=_run, args=(name, fate, sender, self.go), name=f"{name}-{self.tries[name]}"
        )
        process.start()
        self._messages += [(name, kind, process, receiver) for kind in fate.split(", ")]

    def get(self) -> tuple[str, int | None]:
        """Wait for the next message: a task's name and its result, or None if its worker was lost."""
        if self.waiting is None:
            self.waiting = [name for name, tries in self.tries.items() if not tries]
        if not self._messages:
            raise NotYet(
                "You call get(), and no task is under way: that waits for ever. When each task has its "
                "result, or had all its tries, it is over.",
                self._mp,
            )
        name, kind, process, receiver = self._messages.popleft()
        if kind == "is late":  # the message is that it is lost
            self._late = name, "answers", process, receiver
            return name, None
        if kind == "dies":
            process.join()
            return name, None
        if self._late and self._late[0] == name and self._late[2] is not process:
            self._messages.appendleft(self._late)
            self._late = None
            self.go.set()
        receiver.poll(None)
        self._done.add(name)
        return name, receiver.recv()


def _run(name: str, fate: str, sender: Any, go: Any) -> None:
    if fate == "is late":
        go.wait()
    if fate != "dies":
        sender.send(_RESULTS[name])
    if fate.endswith("dies"):
        get_killed(name)


@exercise(
    "beyond-3",
    "Run every task on a cluster where workers die and results come twice; give up what always kills.",
    answers=("run_all",),
    hints=(
        "A result may come twice, so do not add it up at once: keep it under its name, results[name] = "
        "result.",
        "Count for each name how often its worker was lost. Submit it again while it has a try left, and "
        "only if its result has not come.",
        "How many messages come nobody knows. Go on while some name has no result and has tries left.",
    ),
)
def run_all(trial: Trial) -> None:
    """Of five tasks one kills each worker, one its first one, one after its answer; one is only slow."""
    with trial.watch(check=False) as mp:
        cluster = _Fleet(mp)
        try:
            answer = trial.answer(cluster, list(_RESULTS), _TRIES)
        finally:
            cluster.go.set()
    trial.require(
        isinstance(answer, tuple)
        and len(answer) == 2
        and isinstance(answer[0], int)
        and isinstance(answer[1], list),
        f"Return the sum of all results, and a list of names; this came back: {answer!r:.100}.",
    )
    found, given_up = answer
    trial.require(
        not cluster.waiting,
        "You asked for a message before all tasks were submitted: the other workers had nothing to do.",
    )
    for name, why in _MISSED.items():
        times = found // _RESULTS[name] % 10
        trial.require(times >= 1, f"{name}'s result is not in the sum. {why}")
        trial.require(
            times == 1,
            f"{name}'s result is {times} times in the sum. Its worker was taken for dead, and was only slow: "
            "so two answers came. Keep each under its name, and add up in the end.",
        )
    trial.require(found == 1111, f"The results add up to 1111, and not to {found}.")
    trial.require(
        given_up == ["eve"],
        f"eve killed a worker in each of {_TRIES} tries; the others have their results. Your list is "
        f"{given_up!r:.100}.",
    )


pure = Question(
    "beyond-a",
    "You submit `visit` three times to the cluster, with the same queue. How many numbers arrive in it?",
    {
        "a": ("three", "So it would be with a Pool, or with pure=False."),
        "b": (
            "one",
            "Dask takes functions for pure: the same call gives the same result, so it runs once, and all "
            "three futures have its result.",
        ),
        "c": (
            "none: a queue cannot travel with a task",
            "A Queue of multiprocessing cannot. That of the cluster travels as a name.",
        ),
    },
    right="b",
)

by_value = Question(
    "beyond-b",
    "With a Pool, a function from a cell made it hang: no worker could import it. What does the cluster do "
    "with `half`, from a cell?",
    {
        "a": ("it hangs as well", "Dask pickles otherwise than multiprocessing does."),
        "b": (
            "it raises an error: the worker has no such module",
            "There is no module that it has to import.",
        ),
        "c": ("it runs", "Dask sends a function from a notebook by value: its code travels."),
    },
    right="c",
)

one_lost = Question(
    "beyond-c",
    "A Pool of two works on six tasks, and one worker is killed in the middle of one. How many results will "
    "there be?",
    {
        "a": ("none: the pool breaks", "So it is with an executor. A Pool goes on, with a new worker."),
        "b": (
            "five",
            "The task of the dead worker is lost, nobody says so, and whoever waits for it hangs.",
        ),
        "c": (
            "six: a new worker runs the task again",
            "There is a new worker, but nobody gives it that task.",
        ),
    },
    right="b",
)

done_again = Question(
    "beyond-d",
    "A task is done, and its result is still with the worker that ran it. That worker is killed. What does "
    "result() do?",
    {
        "a": ("it returns the result: the task was done", "The result was in the memory of the dead worker."),
        "b": ("it raises an error: the result is lost", "The scheduler still knows how to make it."),
        "c": (
            "it returns the result, after the task has run again",
            "The result was lost with the worker, so another one runs the task again.",
        ),
    },
    right="c",
)

lease = Question(
    "beyond-e",
    "A task holds a lock of the cluster. You try to acquire it, once while the task's worker lives, and once "
    "after that was killed, with patience. What do the two calls return?",
    {
        "a": ("False and False", "So it is with a multiprocessing.Lock. This one is only lent."),
        "b": (
            "False and True",
            "Nobody renews the lease of a dead holder, so the scheduler takes the lock back.",
        ),
        "c": ("True and True", "While its holder lives, a lease is renewed: the lock is taken."),
    },
    right="b",
)
