import pytest
from practicetools import (
    assert_refused,
    assert_starts_unattempted_and_has_a_solution,
    each,
    names,
    verdict_on,
)

GOOD_BAKE = """
def bake(shelf, loaves, places):
    with shelf:
        shelf.wait_for(lambda: loaves.value < places)
        loaves.value += 1
        shelf.notify_all()
"""
GOOD_BUY = """
def buy(shelf, loaves):
    with shelf:
        shelf.wait_for(lambda: loaves.value > 0)
        loaves.value -= 1
        shelf.notify_all()
"""

WRONG = {
    "event-1": {
        "a patience of its own": (
            """
def greet(door, patience, answers):
    answers.put("good morning" if door.wait(timeout=0.5) else "closed")
""",
            "would wait for 0.5 seconds",
        ),
        "waits for ever": (
            """
def greet(door, patience, answers):
    if door.wait():
        answers.put("good morning")
    else:
        answers.put("closed")
""",
            "guest-3 waits for",
        ),
        "does not look at what wait returns": (
            """
def greet(door, patience, answers):
    door.wait(timeout=patience)
    answers.put("good morning")
""",
            "its door never opened",
        ),
        "looks once and does not wait": (
            """
def greet(door, patience, answers):
    answers.put("good morning" if door.is_set() else "closed")
""",
            "is_set() only looks",
        ),
        "sleeps, then looks": (
            """
import time
def greet(door, patience, answers):
    time.sleep(patience)
    answers.put("good morning" if door.is_set() else "closed")
""",
            "guest-1 came to an open door",
        ),
        "asks again and again": (
            """
import time
def greet(door, patience, answers):
    end = time.monotonic() + patience
    while time.monotonic() < end:
        if door.is_set():
            answers.put("good morning")
            return
        time.sleep(0.01)
    answers.put("closed")
""",
            "door.wait(timeout=...) waits for it",
        ),
        "the wrong way round": (
            """
def greet(door, patience, answers):
    answers.put("closed" if door.wait(timeout=patience) else "good morning")
""",
            "its door never opened",
        ),
        "returns the word": (
            """
def greet(door, patience, answers):
    return "good morning" if door.wait(timeout=patience) else "closed"
""",
            "guest-1 puts one thing into answers",
        ),
        "the timeout as a name that does not exist": (
            """
def greet(door, patience, answers):
    answers.put("good morning" if door.wait(seconds=patience) else "closed")
""",
            "unexpected keyword argument",
        ),
    },
    "event-2": {
        "sleeps": (
            """
import time
def poll(stop, pause, look):
    while True:
        look()
        time.sleep(pause)
        if stop.is_set():
            return
""",
            "still sleeps",
        ),
        "sleeps in small pieces": (
            """
import time
def poll(stop, pause, look):
    while not stop.is_set():
        look()
        end = time.monotonic() + pause
        while time.monotonic() < end and not stop.is_set():
            time.sleep(0.01)
""",
            "asks again and again",
        ),
        "no pause": (
            """
def poll(stop, pause, look):
    while not stop.is_set():
        look()
""",
            "asks again and again",
        ),
        "a pause of its own": (
            """
def poll(stop, pause, look):
    look()
    while not stop.wait(timeout=0.001):
        look()
""",
            "wait for pause seconds",
        ),
        "a pause of its own, and late": (
            """
import time
def poll(stop, pause, look):
    look()
    time.sleep(0.5 if pause > 1 else 0)  # this one gets no core for a while
    while not stop.wait(timeout=0.001):
        look()
""",
            "wait for pause seconds",
        ),
        "goes on for ever": (
            """
def poll(stop, pause, look):
    while True:
        look()
        stop.wait(timeout=pause)
""",
            "look at what wait() returns",
        ),
        "waits without a timeout": (
            """
def poll(stop, pause, look):
    look()
    stop.wait()
""",
            "not for a pause",
        ),
        "looks once": (
            """
def poll(stop, pause, look):
    look()
    stop.wait(timeout=pause)
""",
            "quick ended before anybody asked",
        ),
        "never looks": (
            """
def poll(stop, pause, look):
    while not stop.wait(timeout=pause):
        pass
""",
            "Look first",
        ),
        "pauses first": (
            """
def poll(stop, pause, look):
    while not stop.wait(timeout=pause):
        look()
""",
            "Look first",
        ),
        "looks once more": (
            """
def poll(stop, pause, look):
    while not stop.is_set():
        look()
        stop.wait(timeout=pause)
    look()
""",
            "looked once more",
        ),
        "has no time": (
            """
def poll(stop, pause, look):
    while not stop.is_set():
        look()
        time.sleep(pause)
""",
            "name 'time' is not defined",
        ),
    },
    "event-3": {
        "buyers do not look again": (
            GOOD_BAKE
            + """
def buy(shelf, loaves):
    with shelf:
        if loaves.value == 0:
            shelf.wait()
        loaves.value -= 1
        shelf.notify_all()
""",
            "has to look again",
        ),
        "bakers do not look again": (
            GOOD_BUY
            + """
def bake(shelf, loaves, places):
    with shelf:
        if loaves.value == places:
            shelf.wait()
        loaves.value += 1
        shelf.notify_all()
""",
            "has to look again",
        ),
        "wakes one": (
            GOOD_BAKE.replace("notify_all", "notify") + GOOD_BUY.replace("notify_all", "notify"),
            "wakes one of those who wait",
        ),
        "buyers wake nobody": (GOOD_BAKE + GOOD_BUY.replace("shelf.notify_all()", "pass"), "woke nobody"),
        "bakers wake nobody": (GOOD_BAKE.replace("shelf.notify_all()", "pass") + GOOD_BUY, "woke nobody"),
        "wakes without the lock": (
            GOOD_BAKE.replace("        shelf.notify_all", "    shelf.notify_all") + GOOD_BUY,
            "lock is not owned",
        ),
        "waits without the lock": (
            GOOD_BAKE
            + """
def buy(shelf, loaves):
    shelf.wait()
    with shelf:
        loaves.value -= 1
        shelf.notify_all()
""",
            "must acquire() condition before using wait()",
        ),
        "looks without the lock": (
            GOOD_BAKE
            + """
def buy(shelf, loaves):
    while loaves.value == 0:
        pass
    with shelf:
        loaves.value -= 1
        shelf.notify_all()
""",
            "without holding the shelf",
        ),
        "looks, lets go, and takes": (
            GOOD_BAKE
            + """
def buy(shelf, loaves):
    with shelf:
        shelf.wait_for(lambda: loaves.value > 0)
    with shelf:
        loaves.value -= 1
        shelf.notify_all()
""",
            "let go of the shelf",
        ),
        "asks again and again": (
            GOOD_BAKE
            + """
import time
def buy(shelf, loaves):
    while True:
        with shelf:
            if loaves.value > 0:
                loaves.value -= 1
                shelf.notify_all()
                return
        time.sleep(0.001)
""",
            "do not ask again and again",
        ),
        "asks again and again while holding the shelf": (
            GOOD_BAKE
            + """
def buy(shelf, loaves):
    with shelf:
        while loaves.value == 0:
            pass
        loaves.value -= 1
        shelf.notify_all()
""",
            "do not ask again and again",
        ),
        "does not wait": (
            GOOD_BUY
            + """
def bake(shelf, loaves, places):
    with shelf:
        loaves.value += 1
        shelf.notify_all()
""",
            "cannot go on yet",
        ),
        "bakes nothing": (
            GOOD_BUY
            + """
def bake(shelf, loaves, places):
    with shelf:
        shelf.wait_for(lambda: loaves.value < places)
        shelf.notify_all()
""",
            "Nobody can go on",
        ),
    },
}

RIGHT = {
    "event-1": {
        "waits, then looks": """
def greet(door, patience, answers):
    door.wait(patience)
    if door.is_set():
        answers.put("good morning")
    else:
        answers.put("closed")
""",
    },
    "event-2": {
        "looks at the flag, pauses by wait": """
def poll(stop, pause, look):
    while not stop.is_set():
        look()
        stop.wait(pause)
""",
    },
    "event-3": {
        "a loop around wait": """
def bake(shelf, loaves, places):
    shelf.acquire()
    while loaves.value >= places:
        shelf.wait()
    loaves.value += 1
    shelf.notify_all()
    shelf.release()
def buy(shelf, loaves):
    with shelf:
        shelf.notify_all()
        while not loaves.value:
            shelf.wait(timeout=30)
        loaves.value = loaves.value - 1
        shelf.notify_all()
""",
    },
}


@pytest.mark.parametrize("name", names("event"))
def test_starts_unattempted_and_has_a_solution(name):
    assert_starts_unattempted_and_has_a_solution(name)


@pytest.mark.parametrize(("name", "what"), each(WRONG))
def test_a_wrong_answer_is_refused_for_its_reason(name, what):
    assert_refused(name, *WRONG[name][what])


@pytest.mark.parametrize(("name", "what"), each(RIGHT))
def test_another_right_answer_is_accepted(name, what):
    verdict = verdict_on(name, RIGHT[name][what])
    assert verdict.state == "right", verdict
