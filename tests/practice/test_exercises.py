"""Notebook, starter, solution and checker belong together, for every exercise."""

import importlib
import json
from pathlib import Path

import pytest

from mpdemos.practice.exercise import LESSONS, all_exercises, find, same_code
from mpdemos.practice.predict import all_questions

NOTEBOOKS = {
    path.stem[3:].replace("-", "_"): path for path in Path(__file__).parents[2].glob("notebooks/*.ipynb")
}
PRACTISED = [lesson for lesson in LESSONS if lesson != "start_here"]


def sources(lesson):
    """The code cells of a lesson's notebook."""
    (path,) = [path for name, path in NOTEBOOKS.items() if name.startswith(lesson)]
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    return ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]


def lesson_of(name):
    return name.rpartition("-")[0]


@pytest.mark.parametrize("lesson", PRACTISED)
def test_a_lesson_has_exercises_and_questions(lesson):
    assert len([name for name in all_exercises() if lesson_of(name) == lesson]) >= 3
    assert [name for name in all_questions() if lesson_of(name) == lesson]


@pytest.mark.parametrize("name", all_exercises())
def test_an_exercise_is_whole(name):
    exercise = find(name)
    assert len(exercise.hints) >= 2
    assert not same_code(exercise.starter, exercise.solution)
    for answer in exercise.answers:
        assert answer in exercise.starter


@pytest.mark.parametrize("name", all_exercises())
def test_the_notebook_has_the_starter_and_its_check(name):
    cells, exercise = sources(lesson_of(name)), find(name)
    place = cells.index("%%worker\n" + exercise.starter.strip())
    assert cells[place + 1] == f'check("{name}", {", ".join(exercise.answers)})'


@pytest.mark.parametrize("name", all_exercises())
def test_wrong_answers_are_tried(name):
    wrong = importlib.import_module(f"test_{lesson_of(name)}_answers").WRONG
    assert len(wrong[name]) >= 3


@pytest.mark.parametrize("lesson", NOTEBOOKS)
def test_every_question_is_asked_in_its_notebook_and_every_choice_is_explained(lesson):
    short = next(name for name in LESSONS if lesson.startswith(name))
    asked = {cell for cell in sources(short) if cell.startswith("predict(")}
    own = {name: question for name, question in all_questions().items() if lesson_of(name) == short}
    assert asked == {f'predict("{name}")' for name in own}
    for question in own.values():
        assert question.right in question.choices
        assert len({told for _choice, told in question.choices.values()}) == len(question.choices) >= 2
