"""The process that tries an answer: `check` starts it, and may end it and all that came of it at any moment.

It reads one line of JSON from its standard input, tries the answer under each start method, and writes what
came of it to a file, as JSON.
"""

from __future__ import annotations

import importlib
import json
import multiprocessing
import os
import re
import sys
import threading
import time
import traceback
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

from ..watch import ChildFailed, Failure, Stuck
from ..watch.explain import listed
from ..watch.remover import cleans_up
from .exercise import Exercise, find
from .trial import NotYet, Trial

if TYPE_CHECKING:
    import psutil

TAG = "MPDEMOS_CHECK"  # in the environment of every process of a trial
_PATIENCE = 10.0  # seconds that killed processes have to disappear, when the kernel has died
_MOST_BUSY = 3  # a learner shall not wait much longer for what never ends
_MOST_LINES = 12  # of a traceback: a recursion has a thousand
_CELL = re.compile(r'File "[^"]*[\\/]\w+_[0-9a-f]{10}\.py", line (\d+)')
_FRAME = re.compile(r'(?m)^  File "[^"]*".*\n(?:    .*\n)*')
_OUR_FRAME = re.compile(r'(?m)^  File "[^"]*mpdemos[\\/](?:practice|watch)[\\/][^"]*".*\n(?:    .*\n)*')
_OURS = (os.path.dirname(os.path.dirname(__file__)), os.path.dirname(multiprocessing.__file__))


def main() -> None:
    """Try one answer and end."""
    request = json.loads(sys.stdin.readline())
    _die_with_the_kernel()
    sys.path[:] = request["path"]
    path, busy = Path(request["result"]), how_busy(time.time() - request["began"], time.process_time())
    _write(path.with_suffix(".busy"), busy)
    exercise, limit = find(request["exercise"]), request["limit"]
    _write(path, examine(exercise, request["answers"], request["methods"], limit, busy))


def _write(path: Path, what: Any) -> None:
    new = path.with_suffix(".new")
    new.write_text(json.dumps(what), encoding="utf-8")
    os.replace(new, path)


def how_busy(took: float, used: float) -> int:
    """How many times longer than at rest everything takes on this machine, at most `_MOST_BUSY` times.

    Args:
        took: seconds that something took, such as the start of this process.
        used: seconds of processor time that it used.

    Returns:
        A whole number; 1 on a machine that has nothing else to do.
    """
    return max(1, min(_MOST_BUSY, int(took / max(used, 0.01))))


def processes_of(tag: str) -> Iterator[psutil.Process]:
    """The processes of one trial that still run, also those that an answer started and hid.

    Args:
        tag: what their environment says under `TAG`.
    """
    import psutil

    for process in psutil.process_iter():
        with suppress(psutil.Error, OSError):
            if process.environ().get(TAG) == tag and process.status() != psutil.STATUS_ZOMBIE:
                yield process


def _die_with_the_kernel() -> None:
    """End this process at the end of its standard input, and before it what the answer started."""
    kernel = os.dup(0)
    os.set_inheritable(kernel, False)
    with open(os.devnull) as nothing:
        os.dup2(nothing.fileno(), 0)

    def wait() -> None:
        os.read(kernel, 1)
        with suppress(Exception):  # it has to end, whatever cannot be found or ended
            _end_all_others()
        os._exit(1)

    threading.Thread(target=wait, name="mpdemos-kernel", daemon=True).start()


def _end_all_others() -> None:
    """Kill what else there is of this trial, but what cleans up, until there is nothing: one that is killed
    may just have started another one.
    """
    import psutil

    deadline = time.monotonic() + _PATIENCE
    while time.monotonic() < deadline:
        found = [each for each in processes_of(os.environ[TAG]) if each.pid != os.getpid()]
        others = [each for each in found if not cleans_up(each)]
        if not others:
            break
        for other in others:
            with suppress(psutil.Error):
                other.kill()


def examine(
    exercise: Exercise, answers: list[list[str]], methods: list[str], limit: float, busy: int = 1
) -> dict[str, str]:
    """Try an answer under each start method.

    Args:
        exercise: the exercise.
        answers: for each name of the answer its module and its name there.
        methods: start methods.
        limit: seconds that a watched block may take, at rest.
        busy: how many times longer than at rest everything takes.

    Returns:
        A ``reason``, empty if the answer is right, and a picture (``svg``, and the same in words: ``told``).
    """
    trial = None
    try:
        found = tuple(getattr(importlib.import_module(module), name) for module, name in answers)
        for method in methods:
            trial = Trial(found, method, limit, busy)
            exercise.checker(trial)
    except NotYet as not_yet:
        return _result(not_yet.reason, not_yet.shown)
    except BaseException as error:  # also sys.exit
        return _result(_told(error), trial and trial.last)
    return _result("", None)


def _result(reason: str, shown: Any) -> dict[str, str]:
    if shown is None or shown._state != "over":
        return {"reason": reason, "svg": "", "told": ""}
    picture = shown.timeline("Your processes")
    return {"reason": reason, "svg": picture.svg, "told": str(picture)}


def _told(error: BaseException) -> str:
    """What an error says, in words and with the learner's own lines."""
    if isinstance(error, Stuck):
        return f"It does not end by itself.\n{_shortened(str(error))}"
    if isinstance(error, ChildFailed):
        return f"A process of yours failed.\n{_each_once(error)}"
    if isinstance(error, SystemExit):
        return "Your code called sys.exit() where it should return."
    lines = traceback.format_exception(type(error), error, _learners(error.__traceback__))
    return f"Your code raised an error.\n{_shortened(''.join(lines))}"


def _each_once(error: ChildFailed) -> str:
    """The failures of which none is like another, each with who else ended that way."""
    alike: dict[str, list[Failure]] = {}
    for failure in error.failures:
        alike.setdefault(failure.error, []).append(failure)
    told = []
    for first, *others in alike.values():
        told.append(_shortened(str(ChildFailed([first]))))
        if others:
            told.append(f"{listed(each.process for each in others)} ended the same way.")
    return "\n".join(told)


def _learners(where: TracebackType | None) -> TracebackType | None:
    """The traceback from the learner's first line on."""
    first = where
    while where is not None and where.tb_frame.f_code.co_filename.startswith(_OURS):
        where = where.tb_next
    return where or first


def _shortened(text: str) -> str:
    """A traceback as a learner reads it: of the lines in files, those of the worker cell; not too many."""
    text = _CELL.sub(r"Your worker cell, line \1", text)
    text = (_FRAME if "Your worker cell" in text else _OUR_FRAME).sub("", text)
    lines = text.rstrip().splitlines()
    if len(lines) <= 2 * _MOST_LINES:
        return "\n".join(lines)
    left_out = f"  … {len(lines) - 2 * _MOST_LINES} more lines …"
    return "\n".join([*lines[:_MOST_LINES], left_out, *lines[-_MOST_LINES:]])


if __name__ == "__main__":
    main()
