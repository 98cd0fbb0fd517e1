"""Lesson 06: exercises and questions."""

from __future__ import annotations

import contextlib
import threading
import time
from typing import Any

from ...watch import ChildFailed, Stuck, Watch
from ...watch.deadlock import frames_of_threads
from ..exercise import exercise
from ..predict import Question
from ..temptation import together
from ..trial import Trial

_NEWS = ["tea", None, 0, bytes(1_000_000)]  # what looks like an end, or like nothing, and what fills the pipe


@exercise(
    "pipe-1",
    "Receive everything that a process sends, and hear by yourself that no more will come.",
    answers=("hear",),
    hints=(
        "recv raises EOFError when nobody has the other end open any more. Who has it open?",
        "Two processes have the writer: the teller, and you. Close yours when the teller has started.",
        "Then `while True:` with `try: heard.append(reader.recv())` and `except EOFError: return heard`.",
    ),
    limit=6,
)
def hear(trial: Trial) -> None:
    """The teller sends what could be mistaken for an end, and then more than the pipe holds."""
    try:
        with trial.watch() as mp:
            try:
                heard = trial.answer(mp, _tell)
            except EOFError:
                trial.require(False, "recv raised EOFError: that is the end. Catch it, and return what came.")
            trial.require(
                isinstance(heard, list), f"Return a list; this came back: {heard!r:.60}.", draw=False
            )
    except ChildFailed as failed:
        trial.require(
            "BrokenPipeError" not in str(failed),
            "You stopped listening while the teller had more to say, so its send raised BrokenPipeError. "
            "None may be a message, and poll() only says that nothing has come yet: receive until EOFError.",
        )
        raise
    tellers = {event.process for event in mp.events if event.action == "sent"}
    trial.require(
        tellers,
        "Nobody sent anything through a pipe of mp: use mp.Pipe and mp.Process.",
    )
    trial.require(
        "MainProcess" not in tellers,
        "teller ran in your own process: let mp.Process run it in another one.",
    )
    trial.require(
        heard[: len(_NEWS)] == _NEWS[: len(heard)],
        "What you return is not what the teller sent: each message once, in its order, None and 0 too.",
    )
    trial.require(
        len(heard) == len(_NEWS),
        f"The teller sent {len(_NEWS)} messages, and you return {len(heard)}. A message may be anything, "
        "None too: only EOFError says that no more will come.",
    )
    trial.require(
        any(event.action == "end of file" for event in mp.events),
        "You stopped before recv said so. Let recv itself tell you, by EOFError, that nobody can send any "
        "more.",
    )


def _tell(line: Any) -> None:
    for message in _NEWS:
        line.send(message)


@exercise(
    "pipe-2",
    "Ask several clerks, take the first answer, whoever hangs up.",
    answers=("first_answer",),
    hints=(
        "Ask all of them before you listen, then listen to all of them: "
        "multiprocessing.connection.wait(lines) returns those that have news.",
        "A line that was hung up has news as well. Take it off the list, and wait for the others.",
        "Who has hung up: send raises BrokenPipeError, recv raises EOFError or, if your question was not "
        "read, ConnectionResetError. `except (EOFError, OSError)` catches all three.",
        "`while lines:` wait and look at each line that is ready; after the loop `raise EOFError`.",
    ),
    limit=8,
)
def first_answer(trial: Trial) -> None:
    """One hung up before, one hangs up when asked, one answers after all others, one answers 0."""
    try:
        first, last = _two_rounds(trial)
    except Stuck as stuck:
        trial.require(
            "silent" not in _who_was_asked(trial),
            "All clerks have hung up, and first_answer does not end: raise EOFError when nobody is left to "
            "wait for. (wait([]) returns at once, with nothing.)",
        )
        trial.require(
            {"rude", "quick"} <= _who_was_asked(trial),
            "It does not end: a clerk who would have answered was never asked. Ask all of them before you "
            "listen. (Who takes an item off a list while looping over it skips the next one.)\n"
            f"{stuck}",
        )
        raise
    trial.require(
        {"slow", "silent"} <= _who_was_asked(trial),
        "One clerk was never asked: send the question to each of them before you listen.",
    )
    trial.require(first == 0, f"The first answer was 0, and you returned {first!r:.60}. 0 is an answer, too.")
    trial.require(
        isinstance(last, EOFError),
        f"All clerks have hung up, and first_answer returned {last!r:.60}: raise EOFError there.",
    )


def _two_rounds(trial: Trial) -> tuple[Any, Any]:
    """What came of asking four clerks, of whom two hang up, and then two who both do."""
    with trial.watch() as mp:
        left, gate = mp.Semaphore(0), mp.Event()
        mp.label(hung_up=left, the_end=gate)
        lines = [_hung_up(mp, "gone")]
        for name, clerk, needs in (
            ("rude", _leave_without_reading, left),
            ("slow", _answer_at_the_end, gate),
            ("quick", _answer_when_one_has_left, left),
        ):
            lines.append(_start(mp, name, clerk, needs))
        first = _asked(trial, lines, "A clerk hung up, and another one would have answered")
        gate.set()
        all_gone = [_hung_up(mp, "gone_too"), _start(mp, "silent", _leave_without_answer, left)]
        last = _asked(trial, list(all_gone), "All clerks have hung up: raise EOFError for that", EOFError)
        for line in all_gone:
            line.close()
    return first, last


def _who_was_asked(trial: Trial) -> set[str]:
    assert trial.last is not None
    return {event.process for event in trial.last.events if event.action in ("received", "is asked")}


def _asked(trial: Trial, lines: list[Any], situation: str, fine: type[Exception] | None = None) -> Any:
    """The answer, or an error of the fine kind."""
    try:
        return trial.answer(lines, "water")
    except (EOFError, OSError) as error:
        trial.require(
            fine and isinstance(error, fine), f"{situation}. Your code raised {type(error).__name__}."
        )
        return error


def _hung_up(mp: Any, name: str) -> Any:
    ours, theirs = mp.Pipe()
    mp.label(**{name: ours})
    theirs.close()
    return ours


def _start(mp: Any, name: str, clerk: Any, needs: Any) -> Any:
    ours, theirs = mp.Pipe()
    mp.label(**{f"to_{name}": ours})
    mp.Process(target=_serve, args=(clerk, theirs, needs), name=name).start()
    theirs.close()
    return ours


def _serve(clerk: Any, line: Any, needs: Any) -> None:
    with contextlib.suppress(EOFError, OSError):  # the customer may close the line
        clerk(line, needs)


def _leave_without_reading(line: Any, left: Any) -> None:
    line.poll(None)
    line._trace.recorder.note("is asked")
    line.close()
    left.release()


def _leave_without_answer(line: Any, left: Any) -> None:
    line.recv()
    line.close()
    left.release()


def _answer_at_the_end(line: Any, gate: Any) -> None:
    gate.wait()
    if line.poll():
        line.recv()
        line.send("too late")


def _answer_when_one_has_left(line: Any, left: Any) -> None:
    line.recv()
    left.acquire()
    line.send(0)


_LASTS = 1.0  # seconds at rest that a send goes on after its last byte, unless somebody waits for it
_WAITING = {"threading", "queue", "concurrent.futures._base", "concurrent.futures.thread"}


@exercise(
    "pipe-3",
    "Exchange large data with a partner who does the same.",
    answers=("swap",),
    hints=(
        "Both sides send, nobody receives, and the pipe is full. Each of you must receive while it sends.",
        "Let a thread send: threading.Thread(target=line.send, args=(data,)). You receive meanwhile.",
        "Return only when the thread has ended: join it after recv.",
    ),
    limit=8,
)
def swap(trial: Trial) -> None:
    """Each of three swaps with both others, so no fixed roles fit; a send lasts while nobody waits for it."""
    try:
        mp = _all_pairs(trial)
    except Stuck as stuck:
        assert trial.last is not None
        _require_that_threads_were_awaited(trial, trial.last)
        doing = {(event.thread != "", event.detail[0]) for event in trial.last.events if _is_wait(event)}
        trial.require(
            doing != {(False, "receive")},
            "All wait to receive, and nobody sends. If a thread should do it, it failed: its args are a "
            f"tuple, (data,).\n{stuck}",
        )
        trial.require(
            doing != {(False, "send")},
            "All wait to send, and nobody receives. If a thread should send, it needs the function and its "
            f"arguments, not the call: target=line.send, args=(data,).\n{stuck}",
        )
        trial.require(
            doing != {(True, "send")},
            "A thread sends, and you wait for its end before you receive: so nobody receives. Receive first, "
            f"join then.\n{stuck}",
        )
        raise
    for event in mp.events:
        if event.action == "swaps wrongly":
            trial.require(False, f"{event.process} called swap: {event.detail}")
    _require_that_threads_were_awaited(trial, mp)


def _require_that_threads_were_awaited(trial: Trial, mp: Watch) -> None:
    for event in mp.events:
        trial.require(
            event.action != "leaves early",
            f"In {event.process}, swap returned while its thread was still sending. What is sent next on "
            "this line would get in between: wait for the thread before you return.",
        )


def _all_pairs(trial: Trial) -> Watch:
    with trial.watch() as mp:
        lines: dict[int, dict[int, Any]] = {1: {}, 2: {}, 3: {}}
        for one, other in ((1, 2), (1, 3), (2, 3)):
            lines[one][other], lines[other][one] = mp.Pipe()
            mp.label(**{f"line_{one}_{other}": lines[one][other]})
        jobs = [(trial.answer, mp._recorder, number, lines[number], _LASTS * trial.busy) for number in lines]
        together(mp, _exchange, jobs, "clerk")
    return mp


def _is_wait(event: Any) -> bool:
    return bool(event.action.startswith("waits") and event.resource.startswith("line_"))


def _load(number: int) -> bytes:
    """What a clerk sends: more than a pipe holds, and no two the same length."""
    return bytes([number]) * (500_000 * (number + 1))


def _exchange(swap: Any, recorder: Any, number: int, lines: dict[int, Any], lasts: float) -> None:
    for other, line in lines.items():
        sent, returned = threading.Event(), threading.Event()
        _let_send_last(line, recorder, sent, returned, lasts)
        before = set(threading.enumerate())
        got = swap(line, _load(number))
        if not sent.is_set() and set(threading.enumerate()) - before:
            recorder.note("leaves early")
        returned.set()
        if got != _load(other):
            told = f"its partner sent {_described(_load(other))}, and swap returned {_described(got)}."
            recorder.note("swaps wrongly", "", told)


def _described(data: Any) -> str:
    if isinstance(data, bytes) and data and not data.strip(data[:1]):
        return f"{len(data)} bytes of clerk-{data[0]}"
    return f"{len(data)} bytes" if isinstance(data, bytes) else f"{data!r:.60}"


def _let_send_last(
    line: Any, recorder: Any, sent: threading.Event, returned: threading.Event, lasts: float
) -> None:
    """Let a thread's send last until the main thread waits for it, or has gone on without waiting."""
    send = line._send_bytes

    def last(data: Any) -> None:
        send(data)
        sent.set()
        if threading.current_thread() is threading.main_thread():
            return
        deadline = time.monotonic() + lasts
        while time.monotonic() < deadline and not _main_waits_for_a_thread():
            if returned.wait(0.001):
                recorder.note("leaves early")
                return

    line._send_bytes = last


def _main_waits_for_a_thread() -> bool:
    frame = frames_of_threads().get(threading.main_thread().ident or 0)
    if frame is None or frame.f_globals.get("__name__") not in _WAITING:
        return False
    while frame is not None:
        if frame.f_code is threading.Thread.start.__code__:  # it waits there too, but not for the end
            return False
        frame = frame.f_back
    return True


copied = Question(
    "pipe-a",
    "A list is sent, and then changed. What arrives at the other end?",
    {
        "a": (
            "the changed list: ['tea', 'cake']",
            "So it would be if both ends saw one list. send makes bytes of it at once; nothing is shared.",
        ),
        "b": (
            "the list as it was when it was sent: ['tea']",
            "send pickles it at once, and recv makes a new one.",
        ),
        "c": (
            "an error: who sends a list may not change it",
            "You may: what you have and what was sent are two things from then on.",
        ),
    },
    right="b",
)

direction = Question(
    "pipe-b",
    "Pipe(duplex=False) is a one-way line. Which of its two ends can send?",
    {
        "a": ("the first", "The first one reads: reader, writer = ctx.Pipe(duplex=False)."),
        "b": ("the second", "The reader comes first, then the writer."),
        "c": ("either, whoever sends first", "The direction is fixed when the pipe is made."),
    },
    right="b",
)

open_end = Question(
    "pipe-c",
    "The teller sends three numbers and ends. You receive until EOFError, then print. "
    "What does the next cell print?",
    {
        "a": (
            "[4, 6, 9]",
            "All three arrive. But does EOFError come? It does when nobody has the writer open. Who has it?",
        ),
        "b": (
            "EOFError: the teller has ended",
            "receive_all catches that error. And it does not come: somebody else has the writer open.",
        ),
        "c": (
            "that you wait for ever",
            "The teller's end is gone, but the notebook has the writer open as well: you wait for yourself.",
        ),
    },
    right="c",
)

inherited = Question(
    "pipe-d",
    "The parent has closed all its copies of both ends. Under which start methods does a child that got only "
    "the reader see the end? (Windows has spawn alone.)",
    {
        "a": (
            "under all of them",
            "Under fork the child has a copy of everything that was open, of the writer too.",
        ),
        "b": ("under all but fork", "A forked child has a copy of the writer as well, and waits for itself."),
        "c": (
            "under fork alone",
            "It is the other way round: spawn and forkserver hand over only what you pass.",
        ),
    },
    right="b",
)

gold = Question(
    "pipe-e",
    "PRICES knows no gold, so the clerk's PRICES['gold'] raises KeyError. What does the customer get?",
    {
        "a": (
            "a KeyError, raised by recv",
            "An error stays in the process that raised it; only a Pool sends it.",
        ),
        "b": ("None", "Nobody sends None. The clerk never comes to its send."),
        "c": ("the end of file", "The error ends the clerk, and with it the clerk's end of the line."),
        "d": (
            "nothing: it waits for ever",
            "So it would if somebody had the clerk's end open. The cell closes its own copy.",
        ),
    },
    right="c",
)
