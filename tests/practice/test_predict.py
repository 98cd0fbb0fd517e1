"""Questions are shown and answered, also where there is neither a kernel nor a script."""

import pytest

from mpdemos.practice import predict, progress
from mpdemos.practice.predict import all_questions


def test_a_question_shows_its_choices_but_not_which_is_right():
    told = repr(predict("lock-b"))
    assert "a) 20" in told
    assert "b) 10" in told
    assert "Right" not in told
    assert 'predict("lock-b", "a")' in told


def test_every_choice_opens_by_a_click_without_a_script():
    html = predict("lock-b")._repr_mimebundle_()["text/html"]
    assert html.count("<details>") == html.count("</details>") == 3
    assert html.count("✓ Right.") == 1
    assert "<script" not in html


@pytest.mark.parametrize("name", all_questions())
def test_each_choice_is_answered_in_its_own_way(name):
    question = all_questions()[name]
    for letter in question.choices:
        told = repr(predict(name, letter))
        assert told.startswith("✓ Right." if letter == question.right else "△ Not so.")
        assert len(told) > 25


def test_a_choice_is_kept():
    predict("lock-b", "a")
    assert "△ lock-b" in repr(progress())
    predict("lock-b", " B ")
    assert "✓ lock-b" in repr(progress())


def test_a_wrong_call_says_the_right_one():
    with pytest.raises(ValueError, match="choose a or b or c for lock-b, not 'z'"):
        predict("lock-b", "z")
    with pytest.raises(ValueError, match=r"no question 'lock-q'; there is lock-a, lock-b"):
        predict("lock-q")
    with pytest.raises(TypeError, match=r'as predict\("lock-a"\), not by'):
        predict(["lock-a"])
