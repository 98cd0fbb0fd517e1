"""Something breaks at a random moment of a demo, twice for each kind; `tools/faults.py` tries more."""

import random

import faults
import pytest


@pytest.mark.slow
@pytest.mark.parametrize("fault", faults.FAULTS, ids=lambda fault: fault.name)
def test_every_promise_holds(fault):
    if reason := fault.why_not():
        pytest.skip(reason)
    told = []
    outcomes = faults.campaign(range(2), random.randrange(1_000_000), faults=[fault], show=told.append)
    assert not told, "\n".join(told)
    assert len(outcomes) == 2


def test_the_demos_are_the_watched_cells_of_the_lessons():
    names = [demo.name for demo in faults.demos()]
    assert {name[:2] for name in names} == {"02", "03", "04", "05", "06", "07", "08"}
    for demo in faults.demos():
        compile(demo.before + "\n" + demo.code, demo.name, "exec")
        assert f"limit={faults.LIMIT}" in demo.code or "limit=" in demo.code


def test_a_temporary_folder_of_a_demo_is_within_its_watched_block():
    """There the error says who was robbed of it; outside it is "unable to open database file" and no more."""
    for demo in faults.demos():
        before_the_watch = demo.code.partition("with watch(")[0]
        assert "TemporaryDirectory" not in before_the_watch, demo.name


def test_only_a_semaphore_as_young_as_the_kill_may_stay(tmp_path):
    semaphore, segment = tmp_path / "sem.mp-1", tmp_path / "psm_1"
    for file in (semaphore, segment):
        file.touch()
    made = semaphore.stat().st_ctime
    assert faults.was_being_made(semaphore, made + 0.01)
    assert not faults.was_being_made(semaphore, made + 1)
    assert not faults.was_being_made(semaphore, made - 1)
    assert not faults.was_being_made(segment, made + 0.01)
    assert not faults.was_being_made(semaphore, 0.0)  # nobody was killed
