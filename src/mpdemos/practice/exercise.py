"""What an exercise is, and where its parts stand.

The checker and the hints stand in ``lessons``, the solution in ``answers``, once. A solution marks the
learner's part by two comment lines, and between them, behind ``#:``, the lines that the starter has in its
place::

    # <your turn>
    #: ...  # what to do here
    with lock:
        ...
    # </your turn>
"""

from __future__ import annotations

import importlib
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .trial import Trial

LESSONS = (
    "start_here",
    "process",
    "lock",
    "semaphore",
    "event",
    "queue",
    "pipe",
    "pool",
    "shared_data",
    "beyond",
)
_TURN = re.compile(r"(?ms)^ *# <your turn>\n(.*?)^ *# </your turn>\n")


@dataclass(frozen=True)
class Exercise:
    """One exercise.

    Attributes:
        name: the lesson and a number: ``lock-1``.
        task: what is to be done, in one line.
        answers: the names of the functions or classes that `check` takes, in their order.
        hints: from a nudge to nearly the solution.
        checker: works with the learner's answers in real processes; raises if they are not right yet.
        limit: seconds that one watched block may take.
    """

    name: str
    task: str
    answers: tuple[str, ...]
    hints: tuple[str, ...]
    checker: Callable[[Trial], None]
    limit: float = 10.0

    @property
    def solution(self) -> str:
        """The source of a worker cell that is right."""
        return _TURN.sub(lambda turn: re.sub(r"(?m)^ *#:.*\n", "", turn[1]), self._source())

    @property
    def starter(self) -> str:
        """The source of the worker cell that the learner begins with."""
        return _TURN.sub(lambda turn: "".join(_offered(turn[1])), self._source())

    def _source(self) -> str:
        from importlib import resources

        name = self.name.replace("-", "_") + ".py"
        return resources.files(f"{__package__}.answers").joinpath(name).read_text(encoding="utf-8")


def _offered(turn: str) -> list[str]:
    return [
        re.sub(r"#: ?", "", line) for line in turn.splitlines(keepends=True) if line.lstrip().startswith("#:")
    ]


def exercise(
    name: str, task: str, *, answers: tuple[str, ...], hints: tuple[str, ...], limit: float = 10.0
) -> Callable[[Callable[[Trial], None]], Exercise]:
    """Make an exercise of a checker; a decorator. The arguments are the attributes of `Exercise`."""
    return lambda checker: Exercise(name, task, answers, hints, checker, limit)


@cache
def all_exercises() -> dict[str, Exercise]:
    """Every exercise by its name, in the order of the lessons."""
    found: dict[str, Exercise] = {}
    for lesson in LESSONS:
        module = importlib.import_module(f"{__package__}.lessons.{lesson}")
        own = [thing for thing in vars(module).values() if isinstance(thing, Exercise)]
        found |= {each.name: each for each in sorted(own, key=lambda each: each.name)}
    return found


def find(name: str) -> Exercise:
    """The exercise of this name.

    Raises:
        ValueError: if there is none; the message lists those of the lesson.
    """
    exercises = all_exercises()
    if not isinstance(name, str) or name not in exercises:
        lesson = str(name).lower().rstrip("0123456789").partition("-")[0]
        near = [other for other in exercises if other.startswith(f"{lesson}-")] or list(exercises)
        raise ValueError(f"there is no exercise {name!r}; there is {', '.join(near)}")
    return exercises[name]


def same_code(one: str, other: str) -> bool:
    """Whether two sources differ at most in comments and in space."""
    return shape(one) == shape(other)


def shape(source: str) -> str:
    """A source without comments and space."""
    import ast

    return ast.dump(ast.parse(source))
