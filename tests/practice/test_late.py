"""`make late` delays answers, and sees a verdict that changes."""

import ast
import random
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "tools"))

import late

SOURCE = """\
def outer(items):
    def inner():
        return 1
    for item in items:
        item()
    return sorted(items, key=lambda item: item)
"""


def test_each_statement_of_each_function_is_one_place():
    lines = [block[index].lineno for block, index in late.places(ast.parse(SOURCE))]
    assert sorted(lines) == [2, 3, 4, 5, 6]


def test_a_process_is_late_once_and_only_if_the_lot_says_so():
    source = late.delayed("def work():\n    pass\n", 0, "lot")
    assert late.delayed("def work():\n    pass\n", 0, "another lot") != source
    slept = []
    for lot in map(str, range(20)):
        space = {}
        exec(late.delayed("def work():\n    pass\n", 0, lot).replace("time.sleep(", "slept.append("), space)
        space |= {"slept": slept}
        before = len(slept)
        space["work"](), space["work"]()
        assert len(slept) - before <= 1
    assert 0 < len(slept) < 20


@pytest.mark.slow
def test_late_answers_get_the_same_verdict(monkeypatch, capsys):
    seed = str(random.randrange(1_000_000))
    monkeypatch.setattr(sys, "argv", ["late.py", "--checks", "12", "--seed", seed])
    with pytest.raises(SystemExit) as ended:
        late.main()
    assert ended.value.code == 0, capsys.readouterr().out


def test_a_verdict_that_changes_is_told():
    right = next(late.cases())
    wrong = right._replace(reason="what nobody says")
    assert right.reason is None
    assert late.differs(right, right.source) == ""
    assert late.differs(wrong, right.source).startswith("right")
