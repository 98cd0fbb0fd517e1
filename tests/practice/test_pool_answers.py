import pytest
from practicetools import (
    assert_refused,
    assert_starts_unattempted_and_has_a_solution,
    each,
    names,
    verdict_on,
)

from mpdemos.practice.exercise import find

KEEP = """
def keep(a_lock, a_balance):
    global lock, balance
    lock, balance = a_lock, a_balance
"""

ATTEMPT = """
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
def attempt(mp, function, items, workers):
    results = {}
    try:
        with ProcessPoolExecutor(workers, mp_context=mp) as executor:
            for item, result in zip(items, executor.map(function, items)):
                results[item] = result
    except BrokenProcessPool:
        pass
    return results
"""

WRONG = {
    "pool-1": {
        "forgets that the names are local": (
            """
def keep(a_lock, a_balance):
    lock, balance = a_lock, a_balance
def deposit(amount):
    with lock:
        balance.value += amount
        return balance.value
""",
            "it must be global",
        ),
        "does not look whether it got the lock": (
            KEEP
            + """
def deposit(amount):
    lock.acquire(timeout=0.01)
    balance.value += amount
    new = balance.value
    lock.release()
    return new
""",
            "released too many times",
        ),
        "adds to the name": (
            KEEP
            + """
def deposit(amount):
    with lock:
        balance += amount
        return balance
""",
            "change balance.value",
        ),
        "no lock": (
            KEEP
            + """
def deposit(amount):
    balance.value += amount
    return balance.value
""",
            "without holding the lock",
        ),
        "a lock of each worker's own": (
            """
import multiprocessing
def keep(a_lock, a_balance):
    global lock, balance
    lock, balance = multiprocessing.Lock(), a_balance
def deposit(amount):
    with lock:
        balance.value += amount
        return balance.value
""",
            "without holding the lock",
        ),
        "returns what it reads later": (
            KEEP
            + """
def deposit(amount):
    with lock:
        balance.value += amount
    return balance.value
""",
            "without holding the lock",
        ),
        "a lock for each step": (
            KEEP
            + """
def deposit(amount):
    with lock:
        old = balance.value
    with lock:
        balance.value = old + amount
        return old + amount
""",
            "released between",
        ),
        "does not return it": (
            KEEP
            + """
def deposit(amount):
    with lock:
        balance.value += amount
""",
            "Each deposit returns",
        ),
        "does not release": (
            KEEP
            + """
def deposit(amount):
    lock.acquire()
    balance.value += amount
    return balance.value
""",
            "held by crew worker",
        ),
    },
    "pool-2": {
        "waits for the results when the pool has ended": (
            """
import multiprocessing
def try_all(mp, function, items, timeout):
    with mp.Pool(2) as pool:
        tasks = [pool.apply_async(function, (item,)) for item in items]
    pairs = []
    for task in tasks:
        try:
            pairs.append(("ok", task.get(timeout)))
        except multiprocessing.TimeoutError:
            pairs.append(("late", None))
        except Exception as error:
            pairs.append(("error", error))
    return pairs
""",
            "The pool had ended before you waited for a result",
        ),
        "all or nothing": (
            """
def try_all(mp, function, items, timeout):
    with mp.Pool(2) as pool:
        return [("ok", result) for result in pool.map_async(function, items).get(timeout)]
""",
            "that ended try_all",
        ),
        "one late item makes all late": (
            """
import multiprocessing
def try_all(mp, function, items, timeout):
    with mp.Pool(2) as pool:
        try:
            return [("ok", result) for result in pool.map_async(function, items).get(timeout)]
        except multiprocessing.TimeoutError:
            return [("late", None) for _ in items]
""",
            "your pairs begin with",
        ),
        "an item is no tuple": (
            """
def try_all(mp, function, items, timeout):
    pairs = []
    with mp.Pool(2) as pool:
        for task in [pool.apply_async(function, item) for item in items]:
            try:
                pairs.append(("ok", task.get(timeout)))
            except Exception as error:
                pairs.append(("error", error))
    return pairs
""",
            "args is a tuple, (item,)",
        ),
        "joins": (
            """
def try_all(mp, function, items, timeout):
    pool = mp.Pool(2)
    tasks = [pool.apply_async(function, (item,)) for item in items]
    pool.close()
    pool.join()
    return [("ok", task.get()) for task in tasks]
""",
            "close() and join() wait",
        ),
        "waits without a limit": (
            """
def try_all(mp, function, items, timeout):
    pairs = []
    with mp.Pool(2) as pool:
        for task in [pool.apply_async(function, (item,)) for item in items]:
            try:
                pairs.append(("ok", task.get()))
            except Exception as error:
                pairs.append(("error", error))
    return pairs
""",
            "MainProcess waits for a result",
        ),
        "one worker": (
            """
import multiprocessing
def try_all(mp, function, items, timeout):
    pairs = []
    with mp.Pool(1) as pool:
        for task in [pool.apply_async(function, (item,)) for item in items]:
            try:
                pairs.append(("ok", task.get(timeout)))
            except multiprocessing.TimeoutError:
                pairs.append(("late", None))
            except Exception as error:
                pairs.append(("error", error))
    return pairs
""",
            "Take two workers",
        ),
        "the other TimeoutError": (
            """
def try_all(mp, function, items, timeout):
    pairs = []
    with mp.Pool(2) as pool:
        for task in [pool.apply_async(function, (item,)) for item in items]:
            try:
                pairs.append(("ok", task.get(timeout)))
            except TimeoutError:
                pairs.append(("late", None))
            except Exception as error:
                pairs.append(("error", error))
    return pairs
""",
            "is another class than the built-in",
        ),
        "one after the other": (
            """
import multiprocessing
def try_all(mp, function, items, timeout):
    pairs = []
    with mp.Pool(2) as pool:
        for item in items:
            try:
                pairs.append(("ok", pool.apply_async(function, (item,)).get(timeout)))
            except multiprocessing.TimeoutError:
                pairs.append(("late", None))
            except Exception as error:
                pairs.append(("error", error))
    return pairs
""",
            "Hand over all items first",
        ),
        "an executor, one after the other": (
            """
import multiprocessing
from concurrent.futures import ProcessPoolExecutor, TimeoutError
def try_all(mp, function, items, timeout):
    pairs = []
    with ProcessPoolExecutor(2, mp_context=mp) as executor:
        for item in items:
            try:
                pairs.append(("ok", executor.submit(function, item).result(timeout)))
            except TimeoutError:
                pairs.append(("late", None))
            except Exception as error:
                pairs.append(("error", error))
        for process in multiprocessing.active_children():
            process.kill()
    return pairs
""",
            "Hand over all items first",
        ),
        "imap goes on where it was": (
            """
import multiprocessing
def try_all(mp, function, items, timeout):
    pairs = []
    with mp.Pool(2) as pool:
        results = pool.imap(function, items)
        for _ in items:
            try:
                pairs.append(("ok", results.next(timeout)))
            except multiprocessing.TimeoutError:
                pairs.append(("late", None))
            except Exception as error:
                pairs.append(("error", error))
    return pairs
""",
            "of which gold fails and soup never ends, your pairs begin with",
        ),
        "whoever is first": (
            """
import multiprocessing
def try_all(mp, function, items, timeout):
    pairs = []
    with mp.Pool(2) as pool:
        results = pool.imap_unordered(function, items)
        for _ in items:
            try:
                pairs.append(("ok", results.next(timeout)))
            except multiprocessing.TimeoutError:
                pairs.append(("late", None))
            except Exception as error:
                pairs.append(("error", error))
    return pairs
""",
            "your pairs begin with",
        ),
        "no process at all": (
            """
def try_all(mp, function, items, timeout):
    return [("ok", function(item)) for item in items]
""",
            "in your own process",
        ),
        "threads": (
            """
import multiprocessing
from multiprocessing.pool import ThreadPool
def try_all(mp, function, items, timeout):
    with ThreadPool(2) as pool:
        return [("ok", pool.apply_async(function, (item,)).get(timeout)) for item in items]
""",
            "in your own process",
        ),
        "the pool is left running": (
            """
import multiprocessing
def try_all(mp, function, items, timeout):
    pairs = []
    pool = mp.Pool(2)
    for task in [pool.apply_async(function, (item,)) for item in items]:
        try:
            pairs.append(("ok", task.get(timeout)))
        except multiprocessing.TimeoutError:
            pairs.append(("late", None))
        except Exception as error:
            pairs.append(("error", error))
    return pairs
""",
            "2 of its processes are still there",
        ),
        "words instead of the exception": (
            """
import multiprocessing
def try_all(mp, function, items, timeout):
    pairs = []
    with mp.Pool(2) as pool:
        for task in [pool.apply_async(function, (item,)) for item in items]:
            try:
                pairs.append(("ok", task.get(timeout)))
            except multiprocessing.TimeoutError:
                pairs.append(("late", None))
            except Exception as error:
                pairs.append(("error", str(error)))
    return pairs
""",
            "holds the exception itself",
        ),
    },
    "pool-3": {
        "catches nothing": (
            """
from concurrent.futures import ProcessPoolExecutor
def survive(mp, function, items):
    with ProcessPoolExecutor(mp_context=mp) as executor:
        return dict(zip(items, executor.map(function, items))), []
    # not the starter
    pass
""",
            "BrokenProcessPool came out",
        ),
        "blames whoever was not done": (
            ATTEMPT
            + """
def survive(mp, function, items):
    results = attempt(mp, function, items, 2)
    return results, [item for item in items if item not in results]
""",
            "killed nobody",
        ),
        "blames the first that was not done": (
            ATTEMPT
            + """
def survive(mp, function, items):
    results, killers, left = {}, [], list(items)
    while left:
        results |= attempt(mp, function, left, 2)
        left = [item for item in left if item not in results]
        killers += left[:1]
        left = left[1:]
    return results, killers
""",
            "killed nobody. When a worker dies",  # ann did not, and cy may still be at work beside dee
        ),
        "one at a time": (
            ATTEMPT
            + """
def survive(mp, function, items):
    results = {}
    for item in items:
        results |= attempt(mp, function, [item], 1)
    return results, [item for item in items if item not in results]
""",
            "Never two items were in work at the same time",
        ),
        "knows them by their name": (
            ATTEMPT
            + """
def survive(mp, function, items):
    results = attempt(mp, function, items, 2)
    for item in ("ann", "cy", "eve"):
        results |= attempt(mp, function, [item], 1)
    return results, ["bob", "dee"]
""",
            "but you could not know",
        ),
        "takes what is late for dead": (
            """
import multiprocessing
def survive(mp, function, items):
    results, killers = {}, []
    with mp.Pool(2) as pool:
        tasks = [pool.apply_async(function, (item,)) for item in items]
        for item, task in zip(items, tasks):
            try:
                results[item] = task.get(2)
            except multiprocessing.TimeoutError:
                killers.append(item)
    return results, killers
""",
            "took what had not come for killed",
        ),
        "another context": (
            ATTEMPT.replace(", mp_context=mp", "")
            + """
def survive(mp, function, items):
    results = attempt(mp, function, items, 2)
    return results, [item for item in items if item not in results]
""",
            "mp_context=mp",
        ),
        "forgets the innocent": (
            ATTEMPT
            + """
def survive(mp, function, items):
    attempt(mp, function, items, 2)
    results = {}
    for item in items[1:]:
        results |= attempt(mp, function, [item], 1)
    return results, ["bob", "dee"]
""",
            "The results should be",
        ),
        "the executor is left running": (
            """
from concurrent.futures import ProcessPoolExecutor
def survive(mp, function, items):
    executor = ProcessPoolExecutor(2, mp_context=mp)
    executor.submit(function, "ann")
    return {executor.submit(function, "cy").result(): None}, []
""",
            "of its processes are still there",
        ),
    },
}


def solution_with(old, new):
    solution = find("pool-2").solution
    assert old in solution
    return solution.replace(old, new)


RIGHT = {
    "pool-2": {
        "asks who is ready, and gets the results when the pool has ended": """
import time
def try_all(mp, function, items, timeout):
    with mp.Pool(2) as pool:
        tasks = [pool.apply_async(function, (item,)) for item in items]
        deadline = time.monotonic() + timeout
        while time.monotonic() < deadline and not all(task.ready() for task in tasks):
            time.sleep(0.01)
        ready = [task.ready() for task in tasks]
    pairs = []
    for task, done in zip(tasks, ready):
        try:
            pairs.append(("ok", task.get()) if done else ("late", None))
        except Exception as error:
            pairs.append(("error", error))
    return pairs
""",
        "a busy machine brings no worker at first": """
import time
seconds = [60]
"""
        + solution_with("Pool(2)", "Pool(2, time.sleep, (seconds.pop() if seconds else 0,))"),
        "a busy machine brings tea late": """
import time
tries = []
def slow(function, item, seconds):
    time.sleep(seconds)
    return function(item)
def delay(item, timeout):
    if item == "tea":
        tries.append(timeout)
    return 1.1 * timeout if item == "tea" and len(tries) < 3 else 0
"""
        + solution_with("(function, (item,))", "(slow, (function, item, delay(item, timeout)))"),
        "tea takes more than half of the timeout": """
import time
def slow(function, item, seconds):
    time.sleep(seconds)
    return function(item)
"""
        + solution_with("(function, (item,))", "(slow, (function, item, 0.6 * timeout * (item == 'tea')))"),
        "an executor": """
import multiprocessing
from concurrent.futures import ProcessPoolExecutor, TimeoutError
def try_all(mp, function, items, timeout):
    pairs = []
    with ProcessPoolExecutor(3, mp_context=mp) as executor:
        for future in [executor.submit(function, item) for item in items]:
            try:
                pairs.append(("ok", future.result(timeout)))
            except TimeoutError:
                pairs.append(("late", None))
            except Exception as error:
                pairs.append(("error", error))
        for process in multiprocessing.active_children():
            process.kill()
    return pairs
""",
    },
    "pool-3": {
        "a process for each item": """
def tell(function, item, line):
    line.send(function(item))
def survive(mp, function, items):
    results, killers, lines = {}, [], {}
    for item in items:
        lines[item], writer = mp.Pipe(duplex=False)
        mp.Process(target=tell, args=(function, item, writer)).start()
        writer.close()
    for item, line in lines.items():
        try:
            results[item] = line.recv()
        except EOFError:
            killers.append(item)
    for process in mp.active_children():
        process.join()
    return results, killers
""",
        "an executor for each item, in threads": ATTEMPT
        + """
from concurrent.futures import ThreadPoolExecutor
def survive(mp, function, items):
    with ThreadPoolExecutor(2) as threads:
        each = list(threads.map(lambda item: attempt(mp, function, [item], 1), items))
    results = {item: result for one in each for item, result in one.items()}
    return results, [item for item in items if item not in results]
""",
    },
}


@pytest.mark.parametrize("name", names("pool"))
def test_starts_unattempted_and_has_a_solution(name):
    assert_starts_unattempted_and_has_a_solution(name)


@pytest.mark.parametrize(("name", "what"), each(WRONG))
def test_a_wrong_answer_is_refused_for_its_reason(name, what):
    assert_refused(name, *WRONG[name][what])


@pytest.mark.parametrize(("name", "how"), each(RIGHT))
def test_another_right_answer_is_right(name, how):
    verdict = verdict_on(name, RIGHT[name][how])
    assert verdict.state == "right", verdict
