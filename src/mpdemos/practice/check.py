"""`check`: try a learner's answer in processes of its own, whatever it does, and say what came of it.

The children of a trial import this package too, so what only a kernel needs is imported where it is used.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import count
from typing import IO, TYPE_CHECKING, Any

from mpdemos.watch.remover import cleans_up

from . import progress
from .cells import failed_last, ran_last
from .exercise import Exercise, find, same_code
from .folder import private_folder, read_json
from .verdict import NOT_ATTEMPTED, NOT_YET, RIGHT, Verdict

if TYPE_CHECKING:
    from pathlib import Path

MOST_PROCESSES = 64  # at once, of one trial
_MOST_PRINTED = 2000  # characters that are shown
_START_UP = 10.0  # seconds that a busy machine may take before the first block
_PATIENCE = 30.0  # seconds that killed processes have to disappear, on a machine that is very busy
_LOOK = 0.1  # seconds between two looks at a trial


def check(name: str, *answers: Any) -> Verdict:
    """Check an answer: it runs in processes of its own, under spawn and under the platform's default.

    Args:
        name: the exercise, as ``"lock-1"``.
        answers: the functions or classes that the exercise asks for, made by a ``%%worker`` cell.

    Returns:
        The verdict, which is true if the answer is right. Nothing that the answer does can raise here.

    Raises:
        ValueError: if there is no such exercise.
        TypeError: if there are more or fewer answers than it asks for.
    """
    exercise = find(name)
    if len(answers) != len(exercise.answers):
        call = ", ".join([f'"{name}"', *exercise.answers])
        raise TypeError(f"{name} is checked by check({call}), and not with {len(answers)} answers")
    for answer, wanted in zip(answers, exercise.answers, strict=True):
        if reason := _cannot_be_tried(answer, wanted):
            return Verdict(name, NOT_YET, reason)
    old = _told_if_older(exercise.answers)
    source = _source(answers[0])
    if same_code(source, exercise.starter):
        ask = f'Write your part into the cell above, run both cells again. A nudge: hint("{name}")'
        return Verdict(name, NOT_ATTEMPTED, old + ask)
    verdict = _tried(exercise, answers, old)
    progress.note_try(name, right=bool(verdict), source=source)
    return verdict


def _told_if_older(names: tuple[str, ...]) -> str:
    """Say it if the answer is an older one: the worker cell that ran last failed, or has nearly this name."""
    import difflib

    for name in names:
        if name in failed_last:
            return (
                f"The worker cell that defines {name} failed when it ran last; this is about an older one. "
            )
        near = difflib.get_close_matches(name, ran_last, n=1, cutoff=0.75)
        if name not in ran_last and near:
            return f"The worker cell that ran last defines {near[0]}; this is about an older {name}. "
    return ""


def _source(answer: Any) -> str:
    """The text of the answer's module; empty if it is built in, compiled, or no longer there."""
    from pathlib import Path

    path = getattr(sys.modules[answer.__module__], "__file__", None)
    try:
        return Path(path).read_text(encoding="utf-8") if path else ""
    except (OSError, UnicodeError):
        return ""


def _cannot_be_tried(answer: Any, wanted: str) -> str:
    """Why a child could not even find it."""
    module, name = getattr(answer, "__module__", None), getattr(answer, "__qualname__", None)
    if not callable(answer) or name is None:
        return f"{wanted} shall be a function or a class, and this is {answer!r}."
    if module == "__main__":
        return (
            f"{wanted} comes from an ordinary cell, where no child process can find it: put %%worker on the "
            "first line of that cell (after %load_ext mpdemos), run it, then run this cell again."
        )
    if getattr(sys.modules.get(str(module)), name, None) is not answer:
        if name == "<lambda>":
            return f"{wanted} is a lambda, and a child finds only what has a name: write it with def."
        return (
            f"{wanted} is not at the top level of its cell, where a child would look for {name}: move it "
            "there. If it is decorated, the decorator needs @functools.wraps."
        )
    if not _source(answer):
        return f"{wanted} shall be one of your own functions, from a %%worker cell: run that cell again."
    return ""


def methods() -> list[str]:
    """How an answer is tried: by spawn, and by the platform's default if that is another one."""
    # Asking for the default name in this process would fix it.
    default = str(multiprocessing.get_all_start_methods()[0])
    return list(dict.fromkeys(["spawn", default]))


def _tried(exercise: Exercise, answers: tuple[Any, ...], old: str) -> Verdict:
    with _own_folder() as folder:
        examiner = _Examiner(folder)
        names = [[answer.__module__, answer.__qualname__] for answer in answers]
        seconds = exercise.limit * len(methods()) + _START_UP
        try:
            trouble = examiner.run(exercise, names, seconds)
        finally:
            examiner.end()
        result = examiner.result()
    if trouble or result is None:
        reason = old + (trouble or examiner.last_words())
        return Verdict(exercise.name, NOT_YET, reason, printed=examiner.printed())
    state, reason = (NOT_YET, old + result["reason"]) if result["reason"] else (RIGHT, old + "Well done.")
    return Verdict(exercise.name, state, reason, result["svg"], result["told"], examiner.printed())


@contextmanager
def _own_folder() -> Iterator[Path]:
    """A temporary folder for one trial; its name is short, for managers of the trial put addresses there."""
    import shutil
    from pathlib import Path

    folder = Path(private_folder(), str(next(_trials)))
    folder.mkdir(mode=0o700)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


_trials = count()


class _Examiner:
    """The process that tries an answer, and everything that came of it."""

    def __init__(self, folder: Path) -> None:
        import subprocess

        from .examiner import TAG

        self._tag, self._path = os.urandom(16).hex(), folder / "result.json"
        own = dict.fromkeys(("TMPDIR", "TEMP", "TMP"), str(folder))  # what it leaves goes with the folder
        own["PYTHONIOENCODING"] = "utf-8"  # as in a notebook, whatever the system prefers
        self._began = time.time()
        self._process = subprocess.Popen(
            [sys.executable, "-m", f"{__package__}.examiner"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=os.environ | own | {TAG: self._tag},
            start_new_session=True,  # an interrupt of the kernel shall not print tracebacks
        )
        self._out, self._err = _Drain(self._process.stdout), _Drain(self._process.stderr)

    def run(self, exercise: Exercise, answers: list[list[str]], seconds: float) -> str:
        """Try an answer; say what went wrong with the trial itself, if anything."""
        import subprocess

        import psutil

        request: dict[str, Any] = {
            "exercise": exercise.name,
            "answers": answers,
            "methods": methods(),
            "path": sys.path,
        }
        request |= {"limit": exercise.limit, "result": str(self._path), "began": self._began}
        assert self._process.stdin is not None
        with suppress(OSError):  # it has died: its exit code tells more
            self._process.stdin.write(json.dumps(request).encode() + b"\n")
            self._process.stdin.flush()
        began = time.monotonic()
        while self._process.poll() is None:
            with suppress(psutil.Error):
                if len(psutil.Process(self._process.pid).children(recursive=True)) > MOST_PROCESSES:
                    return (
                        f"Your code started more than {MOST_PROCESSES} processes, so all of them were ended. "
                        "Look for the loop that starts them, or for a worker that starts itself."
                    )
            allowed = seconds * self._busy()
            if time.monotonic() > began + allowed:
                return (
                    f"It did not end within {allowed:g} seconds, so it was ended. Look for a loop that "
                    "never ends, or for a wait that nobody answers."
                )
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(_LOOK)
        return ""

    def _busy(self) -> int:
        """How many times longer than at rest everything takes, as the examiner found; 1 before it did."""
        found = read_json(self._path.with_suffix(".busy"))
        return found if isinstance(found, int) else 1

    def end(self) -> None:
        """Leave no process of this trial behind."""
        import psutil

        from .examiner import processes_of

        self._process.kill()
        deadline = time.monotonic() + _PATIENCE
        while (left := list(processes_of(self._tag))) and time.monotonic() < deadline:
            # The resource tracker ends by itself, when it has removed what the killed ones left.
            for process in left:
                with suppress(psutil.Error):
                    if not cleans_up(process):
                        process.kill()
            psutil.wait_procs(left, timeout=_LOOK)
        self._process.wait()
        for stream in (self._out, self._err):
            stream.close()
        assert self._process.stdin is not None
        with suppress(OSError):
            self._process.stdin.close()

    def result(self) -> dict[str, str] | None:
        """What the examiner wrote; None if it did not come to that."""
        found = read_json(self._path)
        wanted = ("reason", "svg", "told")
        if isinstance(found, dict) and all(isinstance(found.get(name), str) for name in wanted):
            return found
        return None

    def printed(self) -> str:
        """The beginning of what the learner's code printed."""
        text = self._out.text()
        return text[:_MOST_PRINTED] + (" …" if len(text) > _MOST_PRINTED else "")

    def last_words(self) -> str:
        """Why there is no result."""
        from ..watch.errors import how_it_ended

        how = how_it_ended(self._process.returncode)
        words = f"Your code ended the process that checks it: it {how}. Look for os._exit, os.kill or exit."
        if self._process.returncode == 1 and self._err.text():  # an error of the check itself
            words = f"The check itself failed; please report it.\n{self._err.text()[-_MOST_PRINTED:]}"
        return words


class _Drain:
    """Reads a stream to its end, so that nobody has to wait who prints a lot, and keeps its beginning."""

    def __init__(self, stream: IO[bytes] | None) -> None:
        assert stream is not None
        self._stream, self._kept = stream, b""
        self._thread = threading.Thread(target=self._run, name="mpdemos-drain", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        with suppress(OSError, ValueError):
            while piece := os.read(self._stream.fileno(), 65536):
                self._kept += piece[: max(0, 4 * _MOST_PRINTED - len(self._kept))]

    def close(self) -> None:
        self._thread.join(_PATIENCE)
        if not self._thread.is_alive():
            self._stream.close()

    def text(self) -> str:
        return self._kept.decode(errors="replace").strip()


def hint(name: str) -> None:
    """Print a hint; each call prints a plainer one.

    Args:
        name: the exercise, as ``"lock-1"``.

    Raises:
        ValueError: if there is no such exercise.
    """
    hints = find(name).hints
    number = min(_hinted.get(name, 0) + 1, len(hints))
    _hinted[name] = number
    last = (
        f' That was the last one; after {HONEST_TRIES} tries: solution("{name}")'
        if number == len(hints)
        else ""
    )
    print(f"Hint {number} of {len(hints)}: {hints[number - 1]}{last}")


_hinted: dict[str, int] = {}
HONEST_TRIES = 3


def solution(name: str, *, reveal: bool = False) -> None:
    """Print a solution, once the exercise is right or was tried three times in earnest.

    Args:
        name: the exercise, as ``"lock-1"``.
        reveal: whether to print it at once, for an instructor.

    Raises:
        ValueError: if there is no such exercise.
    """
    exercise = find(name)
    done = progress.of(name)
    if reveal or done.right or len(done.tries) >= HONEST_TRIES:
        print(f"%%worker\n{exercise.solution.strip()}")
        return
    left = HONEST_TRIES - len(done.tries)
    print(
        f"The solution of {name} shows after {HONEST_TRIES} different answers that you had checked; "
        f"{left} to go. "
        f'Until then: hint("{name}")'
    )
