"""Lesson 01: exercises and questions."""

from __future__ import annotations

import multiprocessing
import signal
import sys
import time
from typing import Any

from ...watch import Stuck, Watch
from ...workers.pool import get_killed
from ..exercise import exercise
from ..predict import Question
from ..temptation import Meeting
from ..trial import NotYet, Trial

_KILLED = -9  # the exit code; Windows knows no SIGKILL

_CALLED_HERE = (
    "The job was called in the parent. target=job(...) calls it at once; target=job, args=(...) lets the "
    "process call it."
)


class Job:
    """What the learner's processes shall run, so many of them: nobody ends before all are there.

    Who waits for the end of one before it starts the next sees it end alone, after a while.
    """

    def __init__(self, mp: Watch, parties: int, busy: int) -> None:
        self._recorder, self._meeting = mp._recorder, Meeting(mp, parties, busy)

    def begin(self, argument: Any) -> None:
        """Note that this process does the job, and wait for the others.

        Raises:
            NotYet: in the parent.
        """
        if multiprocessing.parent_process() is None:
            raise NotYet(_CALLED_HERE)
        self._recorder.note("runs", "", repr(argument))
        self._meeting.meet(3)


def _require_a_process_each(trial: Trial, mp: Watch, arguments: list[Any], call: str) -> None:
    """Each argument went to a process of its own, and nobody was waited for before all had started."""
    trial.require(
        any(event.action == "starts" for event in mp.events),
        "No process was started with mp: mp.Process(...) makes one, not multiprocessing.Process(...), and "
        "start() starts it.",
        draw=False,
    )
    for event in mp.events:
        if event.action == "failed":
            error = event.detail["error"]
            expected = error.startswith("ValueError: price")
            advice = f"It calls {call}: look at its args."
            if error.startswith("BrokenPipeError"):
                advice = "Nobody held the other end of its line any more: keep it until you have joined it."
            trial.require(expected, f"{event.process} failed: {error}. {advice}")
    called = [event.detail for event in mp.events if event.action == "runs"]
    trial.require(
        sorted(called) == sorted(map(repr, arguments)),
        f"Every argument goes to a process of its own: one of {arguments} for each. The job was called with: "
        f"{', '.join(called) or 'nothing'}.",
    )


def _require_side_by_side(trial: Trial, mp: Watch) -> None:
    actions = [event.action for event in mp.events]
    last_start, last_run = (len(actions) - actions[::-1].index(action) for action in ("starts", "runs"))
    waited = [
        event
        for event in mp.events[:last_start]
        if isinstance(event.detail, list) and event.detail[0] in ("join", "receive")
    ]
    # A start is noted after it was made: by then, all may have met and have ended.
    ended = {"exits", "returned"}.intersection(actions[: min(last_start, last_run)])
    trial.require(
        not (waited or ended),
        "You waited for one process before you had started the next, so they ran one after the other. Start "
        "all of them first, then wait for all.",
    )


class Leave(Job):
    """``job(code)``: end with this exit code."""

    def __call__(self, code: Any) -> None:
        """End with this exit code."""
        self.begin(code)
        sys.exit(code)


@exercise(
    "process-1",
    "Start a process for each argument, wait for all, return their exit codes.",
    answers=("run_all",),
    hints=(
        "A process needs a target and args, a start() and, when all have started, a join().",
        "Two loops: the first one makes a process, starts it and keeps it in the list; the second one joins.",
        "mp.Process(target=job, args=(argument,)): mind the comma.",
    ),
)
def run_all(trial: Trial) -> None:
    """Three processes, each with an exit code of its own, that stay until all three are there."""
    arguments = [0, 3, 7]
    with trial.watch(check=False) as mp:
        job = Leave(mp, len(arguments), trial.busy)  # kept until the end: a child may find late what is in it
        codes = trial.answer(mp, job, list(arguments))
    _require_a_process_each(trial, mp, arguments, "job(argument)")
    _require_side_by_side(trial, mp)
    trial.require(
        isinstance(codes, list),
        f"Return a list, with an exit code for each argument, not {_shown(codes)}.",
    )
    trial.require(
        None not in codes,
        f"The exit codes were {_shown(codes)}: None is no exit code, it says that the process still ran. "
        "Join it first.",
    )
    trial.require(codes == arguments, f"The exit codes are {arguments}, in this order, not {_shown(codes)}.")


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."


_PRICES = {"north": 7, "east": 0, "south": 5, "west": 9}


class Price(Job):
    """``job(shop, line)``: send the price of a shop; two shops fail, one of them after it has sent."""

    def __init__(self, mp: Watch, busy: int) -> None:
        super().__init__(mp, len(_PRICES), busy)
        plain = multiprocessing.get_context(mp._name)
        self._south_has_sent, self._busy = plain.Event(), busy

    def __call__(self, shop: Any, line: Any) -> None:
        """Send the price, or fail."""
        self.begin(shop)
        if shop == "east":
            raise ValueError("price is no number")
        if shop == "north":  # not in the order of the arguments: in one line for all they would be mixed up
            self._south_has_sent.wait(2 * self._busy)
        line.send(_PRICES.get(shop))
        if shop == "south":
            self._south_has_sent.set()
        if shop == "west":
            raise ValueError("prices are missing")


@exercise(
    "process-2",
    "Bring a number back from each process; None from who failed.",
    answers=("collect",),
    hints=(
        "What a process returns is lost: each one needs a line of its own, and you keep the other end of it.",
        "Did it fail? Its exit code says so, after join(). Who has sent a number may still fail afterwards.",
        "Start all and keep (process, here); join all; then here.recv() from those with exit code 0.",
    ),
)
def collect(trial: Trial) -> None:
    """Four shops: the third sends before the first, the second sends nothing, the fourth fails too late."""
    shops = list(_PRICES)
    try:
        with trial.watch(check=False) as mp:
            job = Price(mp, trial.busy)
            numbers = trial.answer(mp, job, list(shops))
    except EOFError as error:
        error.add_note("A process ended and had sent nothing, and recv() says so. Its number is None.")
        raise
    except Stuck as stuck:
        raise NotYet(
            f"It does not end by itself.\n{stuck}\nA process that failed sends nothing. recv() waits for it "
            "as long as you hold its end of the line yourself: close yours (there.close()), or look at the "
            "exit code first.",
            trial.last,
        ) from None
    _require_a_process_each(trial, mp, shops, "job(argument, line)")
    _require_side_by_side(trial, mp)
    lines = [event.resource for event in mp.events if event.action == "sent"]
    trial.require(
        len(set(lines)) == len(lines),
        "Several processes sent through the same line, and you cannot tell who sent what. Make one for each.",
    )
    trial.require(
        isinstance(numbers, list) and len(numbers) == len(shops),
        f"Return a list with a number or None for each of {shops}, not {_shown(numbers)}.",
    )
    trial.require(
        numbers[3] is None,
        f"You returned {_shown(numbers)}. The last process sent {_PRICES['west']} and failed "
        "afterwards: its exit code is 1. Do not trust what it sent.",
    )
    trial.require(
        numbers == [7, None, 5, None],
        f"{shops} send 7, nothing, 5 and 9, and the second and the last one fail: that is "
        f"[7, None, 5, None], not {_shown(numbers)}.",
    )


_RUNNERS = {
    "quick": "ends with exit code 0",
    "failing": "ends with exit code 3",
    "crashing": "is killed by the operating system",
    "tidy": "takes a minute and tidies up when it is asked to end",
    "stubborn": "takes a minute and does not listen to terminate()",
}


class Runner(multiprocessing.Process):
    """A process that behaves in one of these ways. start() returns when it is ready for what may come."""

    def __init__(self, mp: Watch, behaviour: str) -> None:
        super().__init__(name=behaviour)
        self._ready = Meeting(mp)

    def start(self) -> None:
        """Start it, and wait until it is there."""
        super().start()
        self._ready.meet(60)

    def run(self) -> None:
        """Behave."""
        if self.name == "tidy":
            signal.signal(signal.SIGTERM, _tidy_up)
        if self.name == "stubborn":
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
        self._ready.meet(60)
        if self.name == "failing":
            sys.exit(3)
        if self.name == "crashing":
            get_killed(None)
        if self.name != "quick":
            for _ in range(600):
                time.sleep(0.1)  # a signal that comes just before a sleep is heard after it


def _tidy_up(*_signal: Any) -> None:
    time.sleep(0.05)
    sys.exit(0)


@exercise(
    "process-3",
    "Run a process with a deadline; ask it to end, and if it does not listen, kill it.",
    answers=("run_with_deadline",),
    hints=(
        "After join(seconds) look at process.exitcode: None says that it still runs.",
        "One that is late: terminate(), then join(seconds) so that it can tidy up, then kill().",
        "A killed process has to be joined, too. To kill one that has ended does no harm.",
    ),
)
def run_with_deadline(trial: Trial) -> None:
    """Five processes: three in time, one that needs a moment to tidy up, one that does not listen."""
    name = ""
    try:
        with trial.watch(check=False) as mp:
            runner = mp.watched(Runner)
            for name, seconds, right in (
                ("quick", 60, "done"),
                ("failing", 60, "failed"),
                ("crashing", 60, "failed"),
                ("tidy", 0.3, "late"),
                ("stubborn", 0.2, "late"),
            ):
                process = runner(mp, name)
                returned = trial.answer(process, seconds)
                _require_right_end(trial, mp, process, returned, right)
    except Stuck as stuck:
        raise NotYet(f"It does not end by itself.\n{stuck}\n{_WHEN_STUCK[name]}", trial.last) from None


_SLEPT = "It had ended long before its deadline: join(seconds) notices that, time.sleep(seconds) does not."
_WHEN_STUCK = {
    "quick": _SLEPT,
    "failing": _SLEPT,
    "crashing": _SLEPT,
    "tidy": "join() waits as long as it takes; join(seconds) does not.",
    "stubborn": "It does not listen to terminate(): join it with a timeout, then kill() it.",
}


def _require_right_end(trial: Trial, mp: Watch, process: Any, returned: Any, right: str) -> None:
    it = f"The process {process.name!r}, which {_RUNNERS[process.name]},"
    trial.require(returned == right, f"{it} is to be called {right!r}; you returned {_shown(returned)}.")
    trial.require(
        process._popen.returncode is not None,
        f"{it} was not joined at the end, and nobody knows whether it is gone: terminate() and kill() do not "
        "wait, join() does.",
    )
    if right == "late":
        _require_politeness(trial, mp, process, it)


def _require_politeness(trial: Trial, mp: Watch, process: Any, it: str) -> None:
    own = ({"pid": process.pid}, ["join", process.name])
    actions = [e.action for e in mp.events if e.process == "MainProcess" and e.detail in own]
    asked = [number for number, action in enumerate(actions) if action in ("terminates", "interrupts")]
    trial.require(asked, f"{it} was killed without a warning. Ask it first: terminate().")
    # Only the first attempt to end a process is in the record, so a kill shows in the exit code; two joins
    # after the first attempt say that one of them came before the kill.
    waits = [action for action in actions[asked[0] :] if action.startswith("waits")]
    trial.require(
        process.exitcode != _KILLED or process.name != "tidy" or len(waits) > 1,
        f"{it} had no time for it: wait a while, by join(seconds), between terminate() and kill().",
    )


codes = Question(
    "process-a",
    "A process can end in four ways: it returns, it calls sys.exit(3), it raises an exception, it crashes "
    "and leaves a 7. Which exit codes does the parent see?",
    {
        "a": (
            "0, 3, 1 and 7",
            "0 for a return, what sys.exit was given, 1 for any exception, and what the crash left.",
        ),
        "b": (
            "0, 3, and no more: the exception is raised in the parent",
            "An exception ends the child alone. The parent gets no exception: all it knows is a 1.",
        ),
        "c": (
            "0, 3, None and None: the last two did not end properly",
            "None says that a process still runs. Every process that has ended has an exit code.",
        ),
    },
    right="a",
)

returned = Question(
    "process-b",
    "A child appends 49 to a global list and returns 49. What does join() return in the parent, and what is "
    "in the parent's list?",
    {
        "a": (
            "49 and [49]",
            "So it would be in a plain call. join() returns None, whatever the target returned.",
        ),
        "b": (
            "None and [49]",
            "The child appended to its own list, in its own memory; the parent's list is another one.",
        ),
        "c": (
            "None and []",
            "The child computed 49, put it into its own list, and took both to its end.",
        ),
    },
    right="c",
)
