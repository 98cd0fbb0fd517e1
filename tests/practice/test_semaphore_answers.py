import pytest
from practicetools import assert_refused, assert_starts_unattempted_and_has_a_solution, each, names

WRONG = {
    "semaphore-1": {
        "waits longer than that": (
            """
def knock(places, answers):
    if places.acquire(timeout=0.5):
        answers.put("in")
        places.release()
    else:
        answers.put("full")
""",
            "would wait for 0.5 seconds",
        ),
        "waits for ever": (
            """
def knock(places, answers):
    with places:
        answers.put("in")
""",
            "early-1 and early-2 would wait for ever",
        ),
        "does not wait": (
            """
def knock(places, answers):
    if places.acquire(block=False):
        answers.put("in")
        places.release()
    else:
        answers.put("full")
""",
            "did not wait",
        ),
        "sleeps instead of waiting": (
            """
import time
def knock(places, answers):
    time.sleep(0.1)
    if places.acquire(block=False):
        answers.put("in")
        places.release()
    else:
        answers.put("full")
""",
            "did not wait",
        ),
        "gives back what it did not get": (
            """
def knock(places, answers):
    try:
        answers.put("in" if places.acquire(timeout=0.1) else "full")
    finally:
        places.release()
""",
            "gave back a place that it had not got",
        ),
        "keeps its place": (
            """
def knock(places, answers):
    answers.put("in" if places.acquire(timeout=0.1) else "full")
""",
            "never gave it back",
        ),
        "does not look at the answer": (
            """
def knock(places, answers):
    got = places.acquire(timeout=0.1)
    answers.put("in")
    if got:
        places.release()
""",
            "'in', 'in'",
        ),
        "does not knock but look": (
            """
def knock(places, answers):
    if places._semlock._is_zero():
        places.acquire(timeout=0.1)
        answers.put("full")
    else:
        answers.put(b"in")
""",
            "Each puts 'in', once; the queue held b'in', b'in'",
        ),
    },
    "semaphore-2": {
        "goes in when it has waited for long enough": (
            """
def download(places, server, page, folder):
    places.acquire(timeout=1)
    try:
        text = server.get(page)
    except OSError:
        text = "failed"
    places.release()
    (folder / page).write_text(text)
""",
            "called server.get without holding a place",
        ),
        "no place": (
            """
def download(places, server, page, folder):
    try:
        text = server.get(page)
    except OSError:
        text = "failed"
    (folder / page).write_text(text)
""",
            "without holding a place",
        ),
        "a semaphore of its own": (
            """
import multiprocessing
own = multiprocessing.get_context("spawn").Semaphore(2)
def download(places, server, page, folder):
    with own:
        try:
            text = server.get(page)
        except OSError:
            text = "failed"
    (folder / page).write_text(text)
""",
            "without holding a place",
        ),
        "gives the place back before it comes": (
            """
def download(places, server, page, folder):
    with places:
        pass
    try:
        text = server.get(page)
    except OSError:
        text = "failed"
    (folder / page).write_text(text)
""",
            "without holding a place",
        ),
        "keeps the place of a page that fails": (
            """
def download(places, server, page, folder):
    try:
        places.acquire()
        text = server.get(page)
        places.release()
    except OSError:
        text = "failed"
    (folder / page).write_text(text)
""",
            "semaphore places, held by early-1",
        ),
        "lets the error out": (
            """
def download(places, server, page, folder):
    with places:
        text = server.get(page)
    (folder / page).write_text(text)
""",
            "OSError: page-",
        ),
        "gives the place back twice": (
            """
def download(places, server, page, folder):
    places.acquire()
    try:
        text = server.get(page)
    except OSError:
        text = "failed"
        places.release()
    places.release()
    (folder / page).write_text(text)
""",
            "gave back a place that it had not got",
        ),
        "one at a time": (
            """
import os
import time
def download(places, server, page, folder):
    while True:
        try:
            os.mkdir(folder / "busy")
            break
        except FileExistsError:
            time.sleep(0.01)
    with places:
        try:
            text = server.get(page)
        except OSError:
            text = "failed"
    (folder / page).write_text(text)
    os.rmdir(folder / "busy")
""",
            "Only one at a time",
        ),
        "does not even ask": (
            """
def download(places, server, page, folder):
    with places:
        text = f"text of {page}" if page > "page-2" else "failed"
    (folder / page).write_text(text)
""",
            "Nobody asked the server for page-1",
        ),
        "writes nothing when it fails": (
            """
def download(places, server, page, folder):
    with places:
        try:
            (folder / page).write_text(server.get(page))
        except OSError:
            pass
""",
            "There is no file page-1. It shall hold 'failed'",
        ),
    },
    "semaphore-3": {
        "does not wait": (
            """
def fill(free, full, lock, shelf, items):
    for item in items:
        with lock:
            shelf.put(item)
def take(free, full, lock, shelf, n, taken):
    for _ in range(n):
        with lock:
            taken.put(shelf.take())
""",
            "put an item without having acquired `free`",
        ),
        "waits while holding the lock": (
            """
def fill(free, full, lock, shelf, items):
    for item in items:
        with lock:
            free.acquire()
            shelf.put(item)
            full.release()
def take(free, full, lock, shelf, n, taken):
    for _ in range(n):
        full.acquire()
        with lock:
            taken.put(shelf.take())
        free.release()
""",
            "waits for `free` and holds `lock`",
        ),
        "waits for an item while holding the lock": (
            """
def fill(free, full, lock, shelf, items):
    for item in items:
        free.acquire()
        with lock:
            shelf.put(item)
        full.release()
def take(free, full, lock, shelf, n, taken):
    for _ in range(n):
        with lock:
            full.acquire()
            taken.put(shelf.take())
            free.release()
""",
            "waits for `full` and holds `lock`",
        ),
        "no lock": (
            """
def fill(free, full, lock, shelf, items):
    for item in items:
        free.acquire()
        shelf.put(item)
        full.release()
def take(free, full, lock, shelf, n, taken):
    for _ in range(n):
        full.acquire()
        taken.put(shelf.take())
        free.release()
""",
            "without holding the lock",
        ),
        "tells too early": (
            """
def fill(free, full, lock, shelf, items):
    for item in items:
        free.acquire()
        full.release()
        with lock:
            shelf.put(item)
def take(free, full, lock, shelf, n, taken):
    for _ in range(n):
        full.acquire()
        with lock:
            taken.put(shelf.take())
        free.release()
""",
            "released `full` before an item lay on it",
        ),
        "makes room too early": (
            """
def fill(free, full, lock, shelf, items):
    for item in items:
        free.acquire()
        with lock:
            shelf.put(item)
        full.release()
def take(free, full, lock, shelf, n, taken):
    for _ in range(n):
        full.acquire()
        free.release()
        with lock:
            taken.put(shelf.take())
""",
            "released `free` before its item had been taken",
        ),
        "with both semaphores": (
            """
def fill(free, full, lock, shelf, items):
    for item in items:
        with free, lock:
            shelf.put(item)
        full.release()
def take(free, full, lock, shelf, n, taken):
    for _ in range(n):
        full.acquire()
        with lock:
            taken.put(shelf.take())
        free.release()
""",
            "released `free` before its item had been taken",
        ),
        "does not tell that a board is free": (
            """
def fill(free, full, lock, shelf, items):
    for item in items:
        free.acquire()
        with lock:
            shelf.put(item)
        full.release()
def take(free, full, lock, shelf, n, taken):
    for _ in range(n):
        full.acquire()
        with lock:
            taken.put(shelf.take())
""",
            "items and released `free` 0 times",
        ),
        "does not tell that a board is full": (
            """
def fill(free, full, lock, shelf, items):
    for item in items:
        free.acquire()
        with lock:
            shelf.put(item)
def take(free, full, lock, shelf, n, taken):
    for _ in range(n):
        full.acquire()
        with lock:
            taken.put(shelf.take())
        free.release()
""",
            "items and released `full` 0 times",
        ),
        "semaphores as if they were locks": (
            """
def fill(free, full, lock, shelf, items):
    for item in items:
        with free, lock:
            shelf.put(item)
def take(free, full, lock, shelf, n, taken):
    for _ in range(n):
        with full, lock:
            taken.put(shelf.take())
""",
            "released `free` before its item had been taken",
        ),
        "the semaphores are mixed up": (
            """
def fill(free, full, lock, shelf, items):
    for item in items:
        full.acquire()
        with lock:
            shelf.put(item)
        free.release()
def take(free, full, lock, shelf, n, taken):
    for _ in range(n):
        free.acquire()
        with lock:
            taken.put(shelf.take())
        full.release()
""",
            "took an item without having acquired `full`",
        ),
        "takes and does not pass on": (
            """
def fill(free, full, lock, shelf, items):
    for item in items:
        free.acquire()
        with lock:
            shelf.put(item)
        full.release()
def take(free, full, lock, shelf, n, taken):
    for _ in range(n):
        full.acquire()
        with lock:
            shelf.take()
        free.release()
""",
            "taken.put() got nothing",
        ),
    },
}


@pytest.mark.parametrize("name", names("semaphore"))
def test_starts_unattempted_and_has_a_solution(name):
    assert_starts_unattempted_and_has_a_solution(name)


@pytest.mark.parametrize(("name", "what"), each(WRONG))
def test_a_wrong_answer_is_refused_for_its_reason(name, what):
    assert_refused(name, *WRONG[name][what])
