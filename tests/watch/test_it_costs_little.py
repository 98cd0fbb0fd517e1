"""Promise 6: recording is cheap. What can be counted is counted; times are for the benchmark."""

import json
import os
import subprocess
import sys

import pytest

from mpdemos import watch

HEAVY = {"IPython", "ipykernel", "matplotlib", "numpy", "psutil", "tqdm", "nbformat", "pandas"}


def loaded_by(code):
    told = subprocess.run(
        [sys.executable, "-c", f"{code}\nimport json, sys; print(json.dumps(list(sys.modules)))"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    return set(json.loads(told.splitlines()[-1]))


def test_importing_loads_nothing_that_a_child_does_not_need():
    loaded = loaded_by("import mpdemos, mpdemos.watch")
    assert {name for name in loaded if name.partition(".")[0] in HEAVY} == set()
    assert "mpdemos.watch.context" in loaded
    assert loaded.isdisjoint({"mpdemos.watch.picture", "mpdemos.watch.explain", "mpdemos.watch.history"})


def test_a_watched_block_loads_nothing_that_a_lesson_only_may_need():
    loaded = loaded_by(
        "from mpdemos import watch\nwith watch() as mp: mp.Lock()\nmp.explain(); mp.timeline().svg"
    )
    # psutil tells the guard who else may help; a kernel has it anyway
    assert {name for name in loaded if name.partition(".")[0] in HEAVY - {"psutil"}} == set()


@pytest.fixture
def writes(monkeypatch):
    """What this process writes to the record of the watch that `count` gets."""
    real, seen = os.write, []

    def count(mp):
        def write(fd, data):
            if fd == mp._recorder._fd:
                seen.append(bytes(data))
            return real(fd, data)

        monkeypatch.setattr(os, "write", write)
        return seen

    return count


def test_an_event_is_one_write(writes):
    with watch() as mp:
        lock, event, condition, barrier = mp.Lock(), mp.Event(), mp.Condition(), mp.Barrier(1)
        before = len(mp.events)
        seen = writes(mp)
        with lock:
            event.set()
        event.wait()
        with condition:
            condition.notify()
        barrier.wait()
        happened = len(mp.events) - before
        assert len(seen) == happened == 10
    assert all(line.endswith(b"\n") and line.count(b"\n") == 1 for line in seen)


@pytest.mark.parametrize(
    ("use", "expected"),
    [
        (lambda lock: (lock.acquire(), lock.release()), ["acquired", "released"]),
        (lambda lock: lock.acquire(False) and lock.acquire(False), ["acquired", "gave up"]),
    ],
)
def test_an_uncontended_lock_writes_no_more_than_it_must(writes, use, expected):
    with watch() as mp:
        lock = mp.Lock()
        seen = writes(mp)
        use(lock)
        assert [json.loads(line)[2] for line in seen] == expected


def test_what_is_not_traced_costs_nothing(writes):
    with watch() as mp:
        raw, lockless = mp.RawArray("i", 3), mp.Value("i", 0, lock=False)
        seen = writes(mp)
        raw[0] = 1
        lockless.value = 2
        mp.cpu_count()
        mp.current_process()
        assert seen == []


def test_the_record_is_small():
    with watch() as mp:
        lock = mp.Lock()
        for _ in range(1000):
            with lock:
                pass
        size = sum(entry.stat().st_size for entry in os.scandir(mp._folder))
    assert size < 2000 * 80
