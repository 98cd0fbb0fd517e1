import pytest
from practicetools import (
    assert_refused,
    assert_starts_unattempted_and_has_a_solution,
    each,
    names,
    verdict_on,
)

PRODUCE = """
def produce(results, log):
    try:
        for line in log:
            results.put(line)
    finally:
        results.put(None)
"""
GATHER = """
def gather(results, producers):
    lines = []
    while producers:
        line = results.get()
        if line is None:
            producers -= 1
        else:
            lines.append(line)
    return lines
"""
SERVE = """
def serve(work, todo, done):
    for number, item in iter(todo.get, None):
        done.put((number, work(item)))
"""

WRONG = {
    "queue-1": {
        "asks whether the queue is empty": (
            """
def double(numbers, doubled):
    while not numbers.empty():
        number = numbers.get()
        if number is None:
            break
        doubled.put(2 * number)
""",
            "ended before the first number came",
        ),
        "gives up after a while": (
            """
from queue import Empty
def double(numbers, doubled):
    try:
        while (number := numbers.get(timeout=0.5)) is not None:
            doubled.put(2 * number)
    except Empty:
        pass
""",
            "ended before the first number came",
        ),
        "takes 0 for the end": (
            """
def double(numbers, doubled):
    while number := numbers.get():
        doubled.put(2 * number)
""",
            "Only None is the end; 0 is a number too",
        ),
        "gets a fixed number of items": (
            """
def double(numbers, doubled):
    for _ in range(5):
        number = numbers.get()
        if number is not None:
            doubled.put(2 * number)
""",
            "doubler-",
        ),
        "goes on after None": (
            """
def double(numbers, doubled):
    while True:
        number = numbers.get()
        if number is not None:
            doubled.put(2 * number)
""",
            "for an item from queue numbers",
        ),
        "passes None on": (
            """
def double(numbers, doubled):
    for number in iter(numbers.get, None):
        doubled.put(2 * number)
    doubled.put(None)
""",
            "and nothing else",
        ),
        "doubles the end too": (
            """
def double(numbers, doubled):
    while True:
        number = numbers.get()
        doubled.put(2 * number)
        if number is None:
            break
""",
            "TypeError",
        ),
    },
    "queue-2": {
        "a producer that fails puts no None": (
            """
def produce(results, log):
    for line in log:
        results.put(line)
    results.put(None)
"""
            + GATHER,
            "waits for an item from queue results",
        ),
        "a producer that fails says it twice": (
            """
def produce(results, log):
    try:
        for line in log:
            results.put(line)
    except OSError:
        results.put(None)
    finally:
        results.put(None)
"""
            + GATHER,
            "read 2 lines and put 4 items",
        ),
        "all lines as one item": (
            """
def produce(results, log):
    lines = []
    try:
        for line in log:
            lines.append(line)
    finally:
        results.put(lines)
        results.put(None)
"""
            + GATHER,
            "producer-1 read 2 lines and put 2 items",
        ),
        "stops at the first None": (
            PRODUCE
            + """
def gather(results, producers):
    return list(iter(results.get, None))
""",
            "when the first producer had ended",
        ),
        "returns the Nones too": (
            PRODUCE
            + """
def gather(results, producers):
    lines = []
    while lines.count(None) < producers:
        lines.append(results.get())
    return lines
""",
            "The Nones are no results",
        ),
        "takes an empty line for the end": (
            PRODUCE
            + """
def gather(results, producers):
    lines = []
    for _ in range(producers):
        while line := results.get():
            lines.append(line)
    return lines
""",
            "gather returned ['start']",
        ),
        "asks whether the queue is empty": (
            PRODUCE
            + """
def gather(results, producers):
    lines = []
    while not results.empty():
        lines.append(results.get())
    return [line for line in lines if line is not None]
""",
            "returned before a producer had put anything",
        ),
        "gives up after a while": (
            PRODUCE
            + """
from queue import Empty
def gather(results, producers):
    lines = []
    while True:
        try:
            line = results.get(timeout=0.5)
        except Empty:
            return lines
        if line is not None:
            lines.append(line)
""",
            "returned before a producer had put anything",
        ),
        "loses lines that are the same": (
            PRODUCE
            + """
def gather(results, producers):
    lines = set()
    while producers:
        line = results.get()
        if line is None:
            producers -= 1
        else:
            lines.add(line)
    return list(lines)
""",
            "gather returned [",
        ),
        "returns nothing": (
            PRODUCE
            + """
def gather(results, producers):
    while producers:
        if results.get() is None:
            producers -= 1
""",
            "gather returns a list; this is None",
        ),
        "an error of its own": (
            """
def produce(results, log):
    try:
        for line in log:
            results.put(line.upper)
    finally:
        result.put(None)
"""
            + GATHER,
            "NameError: name 'result' is not defined",
        ),
    },
    "queue-3": {
        "asks whether the queue is empty": (
            """
def serve(work, todo, done):
    while not todo.empty():
        number, item = todo.get()
        done.put((number, work(item)))
def map_in_order(mp, work, items, workers):
    todo, done = mp.Queue(), mp.Queue()
    for numbered in enumerate(items):
        todo.put(numbered)
    processes = [mp.Process(target=serve, args=(work, todo, done)) for _ in range(workers)]
    for process in processes:
        process.start()
    results = dict(done.get() for _ in items)
    for process in processes:
        process.join()
    return [results[number] for number in range(len(items))]
""",
            "ended before the first item came",
        ),
        "in the order in which they are ready": (
            """
def serve(work, todo, done):
    for item in iter(todo.get, None):
        done.put(work(item))
def map_in_order(mp, work, items, workers):
    todo, done = mp.Queue(), mp.Queue()
    mp.label(todo=todo, done=done)
    processes = [mp.Process(target=serve, args=(work, todo, done)) for _ in range(workers)]
    for process in processes:
        process.start()
    for item in [*items, *[None] * workers]:
        todo.put(item)
    results = [done.get() for _ in items]
    for process in processes:
        process.join()
    return results
""",
            "shall stand in the order of the items",
        ),
        "sorts the results": (
            """
def serve(work, todo, done):
    for item in iter(todo.get, None):
        done.put(work(item))
def map_in_order(mp, work, items, workers):
    todo, done = mp.Queue(), mp.Queue()
    processes = [mp.Process(target=serve, args=(work, todo, done)) for _ in range(workers)]
    for process in processes:
        process.start()
    for item in [*items, *[None] * workers]:
        todo.put(item)
    results = sorted(done.get() for _ in items)
    for process in processes:
        process.join()
    return results
""",
            "These are the results of: 0, 1, 2, 3, 4, 5",
        ),
        "joins before it gets": (
            SERVE
            + """
def map_in_order(mp, work, items, workers):
    todo, done = mp.Queue(), mp.Queue()
    mp.label(todo=todo, done=done)
    processes = [mp.Process(target=serve, args=(work, todo, done)) for _ in range(workers)]
    for process in processes:
        process.start()
    for item in [*enumerate(items), *[None] * workers]:
        todo.put(item)
    for process in processes:
        process.join()
    results = dict(done.get() for _ in items)
    return [results[number] for number in range(len(items))]
""",
            "to be drained",
        ),
        "one None for all": (
            SERVE
            + """
def map_in_order(mp, work, items, workers):
    todo, done = mp.Queue(), mp.Queue()
    mp.label(todo=todo, done=done)
    processes = [mp.Process(target=serve, args=(work, todo, done)) for _ in range(workers)]
    for process in processes:
        process.start()
    for item in [*enumerate(items), None]:
        todo.put(item)
    results = dict(done.get() for _ in items)
    for process in processes:
        process.join()
    return [results[number] for number in range(len(items))]
""",
            "waits for an item from queue todo",
        ),
        "ends the processes from outside": (
            SERVE
            + """
def map_in_order(mp, work, items, workers):
    todo, done = mp.Queue(), mp.Queue()
    mp.label(todo=todo, done=done)
    processes = [mp.Process(target=serve, args=(work, todo, done)) for _ in range(workers)]
    for process in processes:
        process.start()
    for numbered in enumerate(items):
        todo.put(numbered)
    results = dict(done.get() for _ in items)
    for process in processes:
        process.terminate()
    return [results[number] for number in range(len(items))]
""",
            "ended from outside",
        ),
        "leaves daemons behind": (
            SERVE
            + """
def map_in_order(mp, work, items, workers):
    todo, done = mp.Queue(), mp.Queue()
    mp.label(todo=todo, done=done)
    for _ in range(workers):
        mp.Process(target=serve, args=(work, todo, done), daemon=True).start()
    for numbered in enumerate(items):
        todo.put(numbered)
    results = dict(done.get() for _ in items)
    return [results[number] for number in range(len(items))]
""",
            "ended from outside",
        ),
        "without processes": (
            """
def map_in_order(mp, work, items, workers):
    return [work(item) for item in items]
""",
            "The parent did the work itself",
        ),
        "one process": (
            SERVE
            + """
def map_in_order(mp, work, items, workers):
    todo, done = mp.Queue(), mp.Queue()
    mp.label(todo=todo, done=done)
    process = mp.Process(target=serve, args=(work, todo, done))
    process.start()
    for item in [*enumerate(items), None]:
        todo.put(item)
    results = [done.get()[1] for _ in items]
    process.join()
    return results
""",
            "two processes share the work; 1 did it",
        ),
        "one process after the other": (
            """
def do(work, item, done):
    done.put(work(item))
def map_in_order(mp, work, items, workers):
    results = []
    for item in items:
        done = mp.Queue()
        process = mp.Process(target=do, args=(work, item, done))
        process.start()
        results.append(done.get())
        process.join()
    return results
""",
            "two processes share the work; 6 did it",
        ),
        "hangs if there is nothing to do": (
            SERVE
            + """
def map_in_order(mp, work, items, workers):
    todo, done = mp.Queue(), mp.Queue()
    mp.label(todo=todo, done=done)
    processes = [mp.Process(target=serve, args=(work, todo, done)) for _ in range(workers)]
    for process in processes:
        process.start()
    for item in [*enumerate(items), *[None] * workers]:
        todo.put(item)
    results = dict([done.get()])
    while len(results) < len(items):
        number, result = done.get()
        results[number] = result
    for process in processes:
        process.join()
    return [results[number] for number in range(len(items))]
""",
            "MainProcess waits for an item from queue done",
        ),
        "returns nothing": (
            SERVE
            + """
def map_in_order(mp, work, items, workers):
    todo, done = mp.Queue(), mp.Queue()
    mp.label(todo=todo, done=done)
    processes = [mp.Process(target=serve, args=(work, todo, done)) for _ in range(workers)]
    for process in processes:
        process.start()
    for item in [*enumerate(items), *[None] * workers]:
        todo.put(item)
    for _ in items:
        done.get()
""",
            "returns a list, not NoneType",
        ),
    },
}


def test_who_asks_again_and_again_is_right_too():
    busy = """
from queue import Empty
def double(numbers, doubled):
    while True:
        try:
            number = numbers.get(block=False)
        except Empty:
            continue
        if number is None:
            break
        doubled.put(2 * number)
"""
    assert verdict_on("queue-1", busy)


@pytest.mark.parametrize("name", names("queue"))
def test_starts_unattempted_and_has_a_solution(name):
    assert_starts_unattempted_and_has_a_solution(name)


RIGHT = {
    "queue-2": {
        "lets another error go on its way": """
def produce(results, log):
    try:
        for line in log:
            results.put(line)
    except OSError as error:
        raise RuntimeError("no log") from error
    finally:
        results.put(None)
"""
        + GATHER,
        "tells by its exit code": """
import sys
def produce(results, log):
    try:
        for line in log:
            results.put(line)
    except OSError:
        sys.exit(1)
    finally:
        results.put(None)
"""
        + GATHER,
    },
    "queue-3": {
        "with a manager's queues": SERVE
        + """
def map_in_order(mp, work, items, workers):
    with mp.Manager() as manager:
        todo, done = manager.Queue(), manager.Queue()
        processes = [mp.Process(target=serve, args=(work, todo, done)) for _ in range(workers)]
        for process in processes:
            process.start()
        for item in [*enumerate(items), *[None] * workers]:
            todo.put(item)
        results = dict(done.get() for _ in items)
        for process in processes:
            process.join()
    return [results[number] for number in range(len(items))]
""",
    },
}


@pytest.mark.parametrize(("name", "what"), each(RIGHT))
def test_another_right_answer_is_right(name, what):
    verdict = verdict_on(name, RIGHT[name][what])
    assert verdict.state == "right", verdict


@pytest.mark.parametrize(("name", "what"), each(WRONG))
def test_a_wrong_answer_is_refused_for_its_reason(name, what):
    assert_refused(name, *WRONG[name][what])
