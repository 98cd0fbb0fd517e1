"""Whatever a checker waits for, it waits longer on a busy machine, as the limit of its block does."""

import time

import pytest

from mpdemos import watch
from mpdemos.practice import temptation
from mpdemos.practice.lessons import event
from mpdemos.practice.trial import Trial

BUSY = 4


def meet(mp):
    temptation.Meeting(mp, busy=BUSY).meet(0.1)


def rest(mp):
    temptation.until_two_rest(mp, BUSY)


def look(mp):
    event._until(Trial((), "spawn", 10, BUSY), mp, [], lambda: False, 0.1)


@pytest.mark.parametrize("wait_in_vain", [meet, rest, look])
def test_patience_lasts_longer_on_a_busy_machine(wait_in_vain, monkeypatch):
    monkeypatch.setattr(temptation, "_PATIENCE", 0.1)
    with watch() as mp:
        began = time.monotonic()
        wait_in_vain(mp)
        assert time.monotonic() - began >= 0.1 * BUSY
