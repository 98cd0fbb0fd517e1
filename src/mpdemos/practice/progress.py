"""What is done: a small file for each exercise and question, in the user's own data folder, sent nowhere."""

from __future__ import annotations

import json
import os
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path


@dataclass
class Done:
    """What is done of one exercise or question.

    Attributes:
        right: whether it was right once.
        tries: a digest of each different answer.
    """

    right: bool = False
    tries: list[str] = field(default_factory=list)


def folder() -> Path:
    """Where the progress is kept: the user's data folder, or the one that ``MPDEMOS_DATA`` names."""
    from pathlib import Path

    import platformdirs

    return Path(os.environ.get("MPDEMOS_DATA") or platformdirs.user_data_dir("mpdemos", appauthor=False))


def of(name: str) -> Done:
    """What is done of one exercise or question; nothing if its file cannot be read."""
    from .folder import read_json

    kept = read_json(folder() / f"{name}.json")
    with suppress(TypeError, LookupError):
        return Done(kept["right"] is True, [str(each) for each in kept["tries"]][:1000])
    return Done()


def note_try(name: str, *, right: bool, source: str) -> None:
    """Keep what came of one try. A disk that is full costs the note, not the lesson."""
    import hashlib
    import tempfile
    import warnings

    from .exercise import shape

    done = of(name)
    digest = hashlib.sha256(shape(source).encode()).hexdigest()[:16]
    done.right |= right
    if digest not in done.tries:
        done.tries.append(digest)
    try:
        folder().mkdir(mode=0o700, parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(
            "w", dir=folder(), prefix=".", suffix=".new", delete=False, encoding="utf-8"
        ) as file:
            json.dump(asdict(done), file)
        os.replace(file.name, folder() / f"{name}.json")
    except OSError as error:
        warnings.warn(f"your progress could not be kept in {folder()}: {error}", stacklevel=3)


@dataclass(frozen=True)
class Progress:
    """What is done in each lesson: ``lessons`` holds its title, and a mark for each exercise and question."""

    lessons: dict[str, dict[str, str]]

    def __repr__(self) -> str:
        rows = [
            f"{title:<24} {'  '.join(f'{mark} {name}' for name, mark in marks.items())}".rstrip()
            for title, marks in self.lessons.items()
        ]
        return "\n".join([*rows, _LEGEND])

    def _repr_mimebundle_(self, **kwargs: object) -> dict[str, str]:
        from html import escape

        rows = "".join(
            f"<tr><th style='text-align: left'>{escape(title)}</th><td style='text-align: left'>"
            + " &nbsp; ".join(f"{mark} {escape(name)}" for name, mark in marks.items())
            + "</td></tr>"
            for title, marks in self.lessons.items()
        )
        return {"text/html": f"<table>{rows}</table><p>{_LEGEND}</p>", "text/plain": repr(self)}


_LEGEND = "✓ right   △ not yet   ○ not attempted"


def progress(*, reset: bool | str = False) -> Progress:
    """What is done across the lessons.

    Args:
        reset: True to forget all of it first; the name of an exercise or a question to forget that one.

    Returns:
        A table that Jupyter shows.

    Raises:
        TypeError: if ``reset`` is neither True nor a name.
        ValueError: if there is no exercise or question of that name.
    """
    from .exercise import LESSONS, all_exercises
    from .predict import all_questions

    if not isinstance(reset, bool | str):
        raise TypeError(f'reset is True, or a name such as "lock-1", not {reset!r}')
    names = [*all_exercises(), *all_questions()]
    if isinstance(reset, str) and reset not in names:
        raise ValueError(f"there is no exercise or question {reset!r}; there is {', '.join(names)}")
    for name in names if reset is True else [reset] if reset else []:
        (folder() / f"{name}.json").unlink(missing_ok=True)
    lessons: dict[str, dict[str, str]] = {}
    for number, lesson in enumerate(LESSONS):
        marks = {name: _mark(of(name)) for name in names if name.rpartition("-")[0] == lesson}
        lessons[f"{number:02} {lesson.replace('_', ' ').capitalize()}"] = marks
    return Progress(lessons)


def _mark(done: Done) -> Any:
    return "✓" if done.right else "△" if done.tries else "○"
