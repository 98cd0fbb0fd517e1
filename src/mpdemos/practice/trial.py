"""What a checker works with: the learner's answers, a watched context, and a way to say what is not right."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

from ..watch import Watch, watch


class NotYet(Exception):
    """The answer is not right yet: ``reason`` says why and what to do, ``shown`` is the block to draw."""

    def __init__(self, reason: str, shown: Watch | None = None) -> None:
        super().__init__(reason)
        self.reason, self.shown = reason, shown


class Trial:
    """One trial of an answer, under one start method.

    Args:
        answers: what the learner wrote, in the order in which the exercise names them.
        method: the start method.
        limit: seconds that a watched block may take, on a machine at rest.
        busy: how many times longer everything takes, as the machine is busy.
    """

    def __init__(self, answers: tuple[Any, ...], method: str, limit: float, busy: int = 1) -> None:
        self.answers, self.method, self.limit, self.busy = answers, method, limit, busy
        self.last: Watch | None = None  # the block to draw

    @property
    def answer(self) -> Any:
        """The one answer of most exercises."""
        (answer,) = self.answers
        return answer

    @contextlib.contextmanager
    def watch(self, *, check: bool = True, limit: float | None = None) -> Iterator[Watch]:
        """A watched block, as `mpdemos.watch`; when something is not right, its picture is shown.

        Args:
            check: whether a child that fails makes the answer wrong.
            limit: seconds for this block, if they are not those of the trial; also at rest.
        """
        seconds = self.busy * (self.limit if limit is None else limit)
        self.last = watch(self.method, limit=seconds, check=check)
        with self.last as mp:
            yield mp

    def require(self, condition: object, reason: str, *, draw: bool = True) -> None:
        """Go on only if the condition holds.

        Args:
            condition: what must be true of a right answer.
            reason: what is wrong, in words, and what to do.
            draw: whether the picture of the last watched block helps.

        Raises:
            NotYet: if it does not hold.
        """
        if not condition:
            raise NotYet(reason, self.last if draw else None)
