from contextlib import suppress

import pytest
from practicetools import (
    assert_refused,
    assert_starts_unattempted_and_has_a_solution,
    each,
    names,
    verdict_on,
)

from mpdemos import watch
from mpdemos.practice.temptation import Diary, uses
from mpdemos.practice.trial import NotYet, Trial

WRONG = {
    "lock-1": {
        "no lock": (
            """
def stamp(lock, diary, name):
    diary.write(f"{name} in")
    diary.write(f"{name} out")
""",
            "without holding the lock",
        ),
        "a sleep instead of a lock": (
            """
import time
def stamp(lock, diary, name):
    time.sleep({"Ann": 0, "Bo": 0.2, "Cy": 0.4}[name])
    diary.write(f"{name} in")
    diary.write(f"{name} out")
""",
            "without holding the lock",
        ),
        "a lock for each line": (
            """
def stamp(lock, diary, name):
    with lock:
        diary.write(f"{name} in")
    with lock:
        diary.write(f"{name} out")
""",
            "released between",
        ),
        "a lock that is not released": (
            """
def stamp(lock, diary, name):
    lock.acquire()
    diary.write(f"{name} in")
    diary.write(f"{name} out")
""",
            "held by guest-",
        ),
        "a lock of its own": (
            """
import multiprocessing
own = multiprocessing.get_context("spawn").Lock()
def stamp(lock, diary, name):
    with own:
        diary.write(f"{name} in")
        diary.write(f"{name} out")
""",
            "without holding the lock",
        ),
        "ends each line by hand": (
            """
def stamp(lock, diary, name):
    with lock:
        diary.write(f"{name} in\\n")
        diary.write(f"{name} out\\n")
""",
            "ends the line itself",
        ),
        "only half of it": (
            """
def stamp(lock, diary, name):
    with lock:
        diary.write(f"{name} in")
""",
            "then with 'out'",
        ),
        "writes nothing when somebody else has the lock": (
            """
def stamp(lock, diary, name):
    if lock.acquire(block=False):
        diary.write(f"{name} in")
        diary.write(f"{name} out")
        lock.release()
""",
            "written was: nothing",
        ),
        "does not look whether it got the lock": (
            """
def stamp(lock, diary, name):
    lock.acquire(timeout=0.01)
    diary.write(f"{name} in")
    diary.write(f"{name} out")
    lock.release()
""",
            "released too many times",
        ),
    },
    "lock-2": {
        "refuses because the till is busy": (
            """
import sys
def withdraw(till, balance, amount):
    if not till.acquire(timeout=0.01):
        sys.exit(1)
    enough = balance.value >= amount
    if enough:
        balance.value -= amount
    till.release()
    sys.exit(not enough)
""",
            "Nobody looked at the balance",
        ),
        "no lock": (
            """
import sys
def withdraw(till, balance, amount):
    if balance.value < amount:
        sys.exit(1)
    balance.value -= amount
""",
            "without holding the till",
        ),
        "looks before it holds the till": (
            """
import sys
def withdraw(till, balance, amount):
    if balance.value < amount:
        sys.exit(1)
    with till:
        balance.value -= amount
""",
            "without holding the till",
        ),
        "lets go between looking and taking": (
            """
import sys
def withdraw(till, balance, amount):
    with till:
        enough = balance.value >= amount
    if not enough:
        sys.exit(1)
    with till:
        balance.value -= amount
""",
            "released between",
        ),
        "does not say who got nothing": (
            """
def withdraw(till, balance, amount):
    with till:
        if balance.value >= amount:
            balance.value -= amount
""",
            "0 is for who got the money",
        ),
        "an error, which has exit code 1 as well": (
            """
def withdraw(till, balance, amount):
    with till:
        if balance.value < amount:
            sys.exit(1)
        balance.value -= amount
""",
            "name 'sys' is not defined",
        ),
        "a lock that it does not have": (
            """
import sys
def withdraw(till, balance, amount):
    with balance.get_lock():
        if balance.value < amount:
            sys.exit(1)
        balance.value -= amount
""",
            "no attribute 'get_lock'",
        ),
        "keeps something back": (
            """
import sys
def withdraw(till, balance, amount):
    with till:
        if balance.value <= amount:
            sys.exit(1)
        balance.value -= amount
""",
            "just enough is enough",
        ),
        "leaves with the till in hand": (
            """
import os
def withdraw(till, balance, amount):
    till.acquire()
    if balance.value < amount:
        os._exit(1)
    balance.value -= amount
    till.release()
""",
            "held by customer-",
        ),
    },
    "lock-3": {
        "in the order of the arguments": (
            """
def swap(locks, shelves, i, j):
    if i == j:
        return
    with locks[i], locks[j]:
        shelves[i], shelves[j] = shelves[j], shelves[i]
""",
            "in opposite order",
        ),
        "forgets that i may be j": (
            """
def swap(locks, shelves, i, j):
    with locks[min(i, j)], locks[max(i, j)]:
        shelves[i], shelves[j] = shelves[j], shelves[i]
""",
            "which it holds itself",
        ),
        "one lock after the other": (
            """
def swap(locks, shelves, i, j):
    with locks[i]:
        mine = shelves[i]
    with locks[j]:
        shelves[i], shelves[j] = shelves[j], mine
""",
            "at the same time",
        ),
        "no lock": (
            """
def swap(locks, shelves, i, j):
    shelves[i], shelves[j] = shelves[j], shelves[i]
""",
            "needs the locks of both shelves",
        ),
        "swaps before it has the locks": (
            """
def swap(locks, shelves, i, j):
    if i != j:
        shelves[i], shelves[j] = shelves[j], shelves[i]
        with locks[min(i, j)], locks[max(i, j)]:
            pass
""",
            "from the first look to the last change",
        ),
        "writes when the locks are free again": (
            """
def swap(locks, shelves, i, j):
    if i != j:
        with locks[min(i, j)], locks[max(i, j)]:
            mine, other = shelves[i], shelves[j]
        with locks[min(i, j)], locks[max(i, j)]:
            shelves[i], shelves[j] = other, mine
""",
            "from the first look to the last change",
        ),
        "gives up": (
            """
def swap(locks, shelves, i, j):
    if i != j:
        with locks[min(i, j)]:
            if locks[max(i, j)].acquire(timeout=0.01):
                shelves[i], shelves[j] = shelves[j], shelves[i]
                locks[max(i, j)].release()
""",
            "somebody did not swap",
        ),
        "does not swap": (
            """
def swap(locks, shelves, i, j):
    if i != j:
        with locks[min(i, j)], locks[max(i, j)]:
            pass
""",
            "somebody did not swap",
        ),
    },
}

RIGHT = {
    "lock-1": {
        "asks again and again": """
def stamp(lock, diary, name):
    while not lock.acquire(timeout=0.05):
        pass
    try:
        diary.write(f"{name} in")
        diary.write(f"{name} out")
    finally:
        lock.release()
""",
        "waits very long": """
def stamp(lock, diary, name):
    if lock.acquire(timeout=100):
        diary.write(f"{name} in")
        diary.write(f"{name} out")
        lock.release()
""",
    },
    "lock-3": {
        "in one slice": """
def swap(locks, shelves, i, j):
    if i != j:
        low, high = sorted((i, j))
        with locks[low], locks[high]:
            row = shelves[:]
            row[i], row[j] = row[j], row[i]
            shelves[low : high + 1] = row[low : high + 1]
""",
        "steps back": """
def swap(locks, shelves, i, j):
    while i != j:
        with locks[i]:
            if locks[j].acquire(block=False):
                shelves[i], shelves[j] = shelves[j], shelves[i]
                locks[j].release()
                return
""",
        "acquires all locks": """
def swap(locks, shelves, i, j):
    for lock in locks:
        lock.acquire()
    shelves[i], shelves[j] = shelves[j], shelves[i]
    for lock in locks:
        lock.release()
""",
    },
}


@pytest.mark.parametrize("name", names("lock"))
def test_starts_unattempted_and_has_a_solution(name):
    assert_starts_unattempted_and_has_a_solution(name)


@pytest.mark.parametrize(("name", "what"), each(WRONG))
def test_a_wrong_answer_is_refused_for_its_reason(name, what):
    assert_refused(name, *WRONG[name][what])


@pytest.mark.parametrize(("name", "what"), each(RIGHT))
def test_another_right_answer_is_right(name, what):
    verdict = verdict_on(name, RIGHT[name][what])
    assert verdict.state == "right", verdict


def test_the_unlucky_moment_is_forced():
    """Without a lock nobody goes on before another one has begun too."""
    lines = verdict_on("lock-1", WRONG["lock-1"]["no lock"][0]).reason.partition("The diary: ")[2].split(", ")
    assert [line.split()[1].strip(".") for line in lines[:2]] == ["in", "in"]


def test_who_releases_what_it_does_not_hold_is_still_seen_to_hold_it_later():
    with watch() as mp:
        lock, another = mp.Lock(), mp.Lock()
        mp.label(till=lock)
        diary = Diary(mp, lock)
        with suppress(ValueError):
            lock.release()
        with lock:
            with another:
                pass
            diary.write("held")
        mp._recorder.note("writes", "", "free")  # as a diary does, without the unlucky moment
    assert [(use.what, use.hold) for use in uses(mp, "till")] == [("held", 1), ("free", 0)]


@pytest.mark.parametrize("draw", [{}, {"draw": True}, {"draw": False}], ids=str)
def test_a_picture_is_shown_where_it_helps(draw):
    trial = Trial((), "spawn", 10)
    with trial.watch():
        pass
    trial.require(True, "all is well", **draw)
    with pytest.raises(NotYet, match="look at it") as caught:
        trial.require(False, "look at it", **draw)
    assert caught.value.shown is (trial.last if draw.get("draw", True) else None)
