"""Questions that the learner answers before running a cell; each choice has an explanation of its own."""

from __future__ import annotations

import importlib
import re
from dataclasses import dataclass
from functools import cache

from . import progress
from .exercise import LESSONS


@dataclass(frozen=True)
class Question:
    """A question to answer before running.

    Attributes:
        name: the lesson and a letter: ``lock-a``.
        text: the question.
        choices: for each letter a choice, and what to say to who chooses it.
        right: the letter of the right one.
    """

    name: str
    text: str
    choices: dict[str, tuple[str, str]]
    right: str

    def __repr__(self) -> str:
        lines = [f"{letter}) {choice}" for letter, (choice, _told) in self.choices.items()]
        ask = f'Choose before you run the next cell, for example: predict("{self.name}", "a")'
        return "\n".join([self.text, *lines, ask])

    def _repr_mimebundle_(self, **kwargs: object) -> dict[str, str]:
        # A choice opens by a click, also without a kernel or a script: on a page, in an untrusted notebook.
        choices = "".join(
            f"<details><summary>{letter}) {_html(choice)}</summary>{_html(self.told(letter))}</details>"
            for letter, (choice, _told) in self.choices.items()
        )
        call = f'<code>predict("{self.name}", "a")</code>'
        ask = f"Choose by a click, or by {call}, before you run the next cell."
        html = f"<p><b>{_html(self.text)}</b></p>{choices}<p>{ask}</p>"
        return {"text/html": html, "text/plain": repr(self)}

    def told(self, letter: str) -> str:
        """What to say to who chooses this letter."""
        return f"{'✓ Right.' if letter == self.right else '△ Not so.'} {self.choices[letter][1]}"


def _html(text: str) -> str:
    from html import escape

    return re.sub("`([^`]+)`", r"<code>\1</code>", escape(text))


@dataclass(frozen=True)
class Answer:
    """What a choice was answered with; Jupyter shows it."""

    told: str

    def __repr__(self) -> str:
        return self.told


@cache
def all_questions() -> dict[str, Question]:
    """Every question by its name, in the order of the lessons."""
    found: dict[str, Question] = {}
    for lesson in LESSONS:
        module = importlib.import_module(f"{__package__}.lessons.{lesson}")
        found |= {each.name: each for each in vars(module).values() if isinstance(each, Question)}
    return found


def predict(name: str, choice: str | None = None) -> Question | Answer:
    """Show a question, or answer it.

    Args:
        name: the question, as ``"lock-a"``.
        choice: the letter of your choice; None to see the question.

    Returns:
        The question, or what your choice is answered with.

    Raises:
        TypeError: if the name is no text.
        ValueError: if there is no such question, or no such choice.
    """
    if not isinstance(name, str):
        raise TypeError(f'name a question by its text, as predict("lock-a"), not by {name!r}')
    questions = all_questions()
    if name not in questions:
        lesson = name.rpartition("-")[0]
        near = [other for other in questions if other.startswith(f"{lesson}-")] or list(questions)
        raise ValueError(f"there is no question {name!r}; there is {', '.join(near)}")
    question = questions[name]
    if choice is None:
        return question
    choice = str(choice).strip().lower()
    if choice not in question.choices:
        raise ValueError(f"choose {' or '.join(question.choices)} for {name}, not {choice!r}")
    progress.note_try(name, right=choice == question.right, source=repr(choice))
    return Answer(question.told(choice))
