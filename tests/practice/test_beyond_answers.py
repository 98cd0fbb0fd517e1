import os

import pytest
from practicetools import (
    assert_refused,
    assert_starts_unattempted_and_has_a_solution,
    each,
    names,
    verdict_on,
)

WRONG = {
    "beyond-1": {
        "straight into the file": (
            """
from pathlib import Path
def store(folder, name, lines):
    with open(Path(folder, name), "w", buffering=1) as file:
        file.writelines(lines)
""",
            "Whoever finds it takes it for the whole one",
        ),
        "all lines first": (
            """
from pathlib import Path
def store(folder, name, lines):
    Path(folder, name).write_text("".join(lines))
""",
            "itself was opened for writing",
        ),
        "a part that is copied": (
            """
import shutil
from pathlib import Path
def store(folder, name, lines):
    part = Path(folder, name + ".part")
    with open(part, "w") as file:
        file.writelines(lines)
    shutil.copyfile(part, Path(folder, name))
    part.unlink()
""",
            "itself was opened for writing",
        ),
        "a part that looks like a result": (
            """
import os
from pathlib import Path
def store(folder, name, lines):
    part = Path(folder, "part of " + name)
    with open(part, "w") as file:
        file.writelines(lines)
    os.replace(part, Path(folder, name))
""",
            "part of report.txt",
        ),
        "appends to what is left": (
            """
import os
from pathlib import Path
def store(folder, name, lines):
    part = Path(folder, name + ".part")
    with open(part, "a", buffering=1) as file:
        file.writelines(lines)
    os.replace(part, Path(folder, name))
""",
            "the task ran again, and report.txt holds",
        ),
        "stumbles over what is left": (
            """
import os
from pathlib import Path
def store(folder, name, lines):
    part = Path(folder, name + ".part")
    with open(part, "x") as file:
        file.writelines(lines)
    os.replace(part, Path(folder, name))
""",
            "fails: FileExistsError",
        ),
        "removes the whole one first": (
            """
import os
from pathlib import Path
def store(folder, name, lines):
    Path(folder, name).unlink(missing_ok=True)
    part = Path(folder, name + ".part")
    with open(part, "w") as file:
        file.writelines(lines)
    os.replace(part, Path(folder, name))
""",
            "was killed: now there is no report.txt",
        ),
        "never gives it its name": (
            """
from pathlib import Path
def store(folder, name, lines):
    with open(Path(folder, name + ".part"), "w") as file:
        file.writelines(lines)
""",
            "that nobody disturbs, there is no report.txt",
        ),
        "a part somewhere else": (
            """
import os
from pathlib import Path
def store(folder, name, lines):
    part = name + ".part"
    with open(part, "w") as file:
        file.writelines(lines)
    os.replace(part, Path(folder, name))
""",
            "was in another folder",
        ),
        "gives it its name before it is closed": (
            """
import os
from pathlib import Path
def store(folder, name, lines):
    part = Path(folder, name + ".part")
    with open(part, "w") as file:
        file.writelines(lines)
        os.replace(part, Path(folder, name))
""",
            "Close the file first" if os.name == "posix" else "PermissionError",
        ),
        "gives it its name too early": (
            """
import os
from pathlib import Path
def store(folder, name, lines):
    part = Path(folder, name + ".part")
    with open(part, "w") as file:
        os.replace(part, Path(folder, name))
        file.writelines(lines)
""",
            "Whoever finds it takes it for the whole one" if os.name == "posix" else "PermissionError",
        ),
    },
    "beyond-2": {
        "a task for each number": (
            """
def total(executor, function, numbers, tasks):
    return sum(executor.map(function, list(numbers)))
""",
            "2,003 tasks were sent",
        ),
        "hopes for a chunk size": (
            """
def total(executor, function, numbers, tasks):
    return sum(executor.map(function, numbers, chunksize=len(numbers) // tasks))
""",
            "2,003 tasks were sent",
        ),
        "at home": (
            """
def total(executor, function, numbers, tasks):
    return sum(map(function, numbers))
""",
            "No task was handed to the executor",
        ),
        "a list travels": (
            """
def add_up(function, chunk):
    return sum(map(function, chunk))
def total(executor, function, numbers, tasks):
    numbers = list(numbers)
    chunks = [numbers[first::tasks] for first in range(tasks)]
    return sum(executor.map(add_up, [function] * tasks, chunks))
""",
            "travel one by one",
        ),
        "a list comes back": (
            """
def each(function, chunk):
    return [function(number) for number in chunk]
def total(executor, function, numbers, tasks):
    chunks = [numbers[first::tasks] for first in range(tasks)]
    return sum(map(sum, executor.map(each, [function] * tasks, chunks)))
""",
            "send back one number",
        ),
        "loses the rest": (
            """
def add_up(function, chunk):
    return sum(map(function, chunk))
def total(executor, function, numbers, tasks):
    step = len(numbers) // tasks
    chunks = [numbers[n * step:(n + 1) * step] for n in range(tasks)]
    return sum(executor.map(add_up, [function] * tasks, chunks))
""",
            "called 2,002 times",
        ),
        "one task too many": (
            """
def add_up(function, chunk):
    return sum(map(function, chunk))
def total(executor, function, numbers, tasks):
    step = len(numbers) // tasks
    chunks = [numbers[n:n + step] for n in range(0, len(numbers), step)]
    return sum(executor.map(add_up, [function] * len(chunks), chunks))
""",
            "8 tasks were sent",
        ),
        "one task": (
            """
def add_up(function, chunk):
    return sum(map(function, chunk))
def total(executor, function, numbers, tasks):
    return executor.submit(add_up, function, numbers).result()
""",
            "One task does all the work",
        ),
        "one after the other": (
            """
def add_up(function, chunk):
    return sum(map(function, chunk))
def total(executor, function, numbers, tasks):
    return sum(executor.submit(add_up, function, numbers[n::tasks]).result() for n in range(tasks))
""",
            "one after the other",
        ),
        "a large rest": (
            """
def add_up(function, chunk):
    return sum(map(function, chunk))
def total(executor, function, numbers, tasks):
    chunks = [numbers[n * 100:(n + 1) * 100] for n in range(tasks - 1)] + [numbers[(tasks - 1) * 100:]]
    return sum(executor.map(add_up, [function] * tasks, chunks))
""",
            "the other worker has nothing to do",
        ),
        "fewer numbers than tasks": (
            """
def add_up(function, chunk):
    return sum(map(function, chunk))
def total(executor, function, numbers, tasks):
    step = len(numbers) // (tasks - 1)
    chunks = [numbers[n:n + step] for n in range(0, len(numbers), step)]
    return sum(executor.map(add_up, [function] * len(chunks), chunks))
""",
            "the sum is 5, not ValueError",
        ),
        "a function that cannot travel": (
            """
def total(executor, function, numbers, tasks):
    work = lambda chunk: sum(map(function, chunk))
    return sum(executor.map(work, [numbers[n::tasks] for n in range(tasks)]))
""",
            "total.<locals>.<lambda>",  # the words around it differ from version to version
        ),
    },
    "beyond-3": {
        "counts the messages": (
            """
def run_all(cluster, names, tries):
    results, lost = {}, dict.fromkeys(names, 0)
    for name in names:
        cluster.submit(name)
    messages = len(names)
    while messages:
        name, result = cluster.get()
        messages -= 1
        if result is not None:
            results[name] = result
        elif name not in results:
            lost[name] += 1
            if lost[name] < tries:
                cluster.submit(name)
                messages += 1
    return sum(results.values()), [name for name in names if name not in results]
""",
            "bob's result is not in the sum",
        ),
        "a None replaces a result": (
            """
def run_all(cluster, names, tries):
    results, came, lost = {}, set(), dict.fromkeys(names, 0)
    for name in names:
        cluster.submit(name)
    while any(name not in came and lost[name] < tries for name in names):
        name, results[name] = cluster.get()
        if results[name] is not None:
            came.add(name)
        elif name not in came:
            lost[name] += 1
            if lost[name] < tries:
                cluster.submit(name)
    return sum(result or 0 for result in results.values()), [name for name in names if name not in came]
""",
            "shall not replace the result",
        ),
        "counts each message": (
            """
def run_all(cluster, names, tries):
    total, died, open_names = 0, dict.fromkeys(names, 0), set(names)
    for name in names:
        cluster.submit(name)
    while open_names:
        name, result = cluster.get()
        if result is not None:
            total += result
            open_names.discard(name)
        elif name in open_names:
            died[name] += 1
            if died[name] < tries:
                cluster.submit(name)
            else:
                open_names.discard(name)
    return total, [name for name in names if died[name] == tries]
""",
            "dee's result is 2 times in the sum",
        ),
        "one message for each task": (
            """
def run_all(cluster, names, tries):
    for name in names:
        cluster.submit(name)
    results = dict(cluster.get() for _ in names)
    results = {name: result for name, result in results.items() if result is not None}
    return sum(results.values()), [name for name in names if name not in results]
""",
            "bob's result is not in the sum",
        ),
        "gives up too early": (
            """
def run_all(cluster, names, tries):
    results, lost = {}, []
    for name in names:
        cluster.submit(name)
    while len(results) + len(lost) < len(names):
        name, result = cluster.get()
        if result is not None:
            results[name] = result
        elif name not in results:
            lost.append(name)
    return sum(results.values()), lost
""",
            "bob's result is not in the sum",
        ),
        "never gives up": (
            """
def run_all(cluster, names, tries):
    results = {}
    for name in names:
        cluster.submit(name)
    while len(results) < len(names):
        name, result = cluster.get()
        if result is not None:
            results[name] = result
        elif name not in results:
            cluster.submit(name)
    return sum(results.values()), []
""",
            "eve had 2 tries",
        ),
        "submits again what is done": (
            """
def run_all(cluster, names, tries):
    results, died = {}, dict.fromkeys(names, 0)
    for name in names:
        cluster.submit(name)
    while any(name not in results and died[name] < tries for name in names):
        name, result = cluster.get()
        if result is not None:
            results[name] = result
        else:
            died[name] += 1
            if died[name] < tries:
                cluster.submit(name)
    return sum(results.values()), [name for name in names if name not in results]
""",
            "cy's result had come",
        ),
        "waits for more": (
            """
def run_all(cluster, names, tries):
    results, died = {}, dict.fromkeys(names, 0)
    for name in names:
        cluster.submit(name)
    while len(results) < len(names):
        name, result = cluster.get()
        if result is not None:
            results[name] = result
        elif name not in results:
            died[name] += 1
            if died[name] < tries:
                cluster.submit(name)
    return sum(results.values()), []
""",
            "waits for ever",
        ),
        "one after the other": (
            """
def run_all(cluster, names, tries):
    results = {}
    for name in names:
        for _ in range(tries):
            cluster.submit(name)
            who, result = cluster.get()
            while who != name:
                who, result = cluster.get()
            if result is not None:
                results[name] = result
                break
    return sum(results.values()), [name for name in names if name not in results]
""",
            "before all tasks were submitted",
        ),
        "blames who was lost once": (
            """
def run_all(cluster, names, tries):
    results, died = {}, dict.fromkeys(names, 0)
    for name in names:
        cluster.submit(name)
    while any(name not in results and died[name] < tries for name in names):
        name, result = cluster.get()
        if result is not None:
            results[name] = result
        elif name not in results:
            died[name] += 1
            if died[name] < tries:
                cluster.submit(name)
    return sum(results.values()), [name for name in names if died[name]]
""",
            "Your list is ['dee', 'eve', 'bob']",
        ),
    },
}

RIGHT = {
    "beyond-1": {
        "a part of its own": """
import os
import tempfile
def store(folder, name, lines):
    with tempfile.NamedTemporaryFile("w", dir=folder, suffix=".part", delete=False) as file:
        file.writelines(lines)
    os.replace(file.name, os.path.join(folder, name))
""",
        "looks whether it is done": """
from pathlib import Path
def store(folder, name, lines):
    whole = Path(folder) / name
    if not whole.exists():
        part = whole.with_suffix(".new")
        part.write_text("".join(lines))
        part.rename(whole)
""",
    },
    "beyond-2": {
        "blocks, by submit": """
from math import ceil
def add_up(function, chunk):
    return sum(function(number) for number in chunk)
def total(executor, function, numbers, tasks):
    step = ceil(len(numbers) / tasks)
    futures = [executor.submit(add_up, function, numbers[n:n + step]) for n in range(0, len(numbers), step)]
    return sum(future.result() for future in futures)
""",
        "empty tasks do no harm": """
def add_up(function, chunk):
    return sum(function(number) for number in chunk)
def total(executor, function, numbers, tasks):
    return sum(executor.map(add_up, [function] * tasks, [numbers[n::tasks] for n in range(tasks)]))
""",
    },
    "beyond-3": {
        "a set of what is open": """
def run_all(cluster, names, tries):
    left, open_names, results = dict.fromkeys(names, tries), set(names), {}
    for name in names:
        cluster.submit(name)
    while open_names:
        name, result = cluster.get()
        if name not in open_names:
            continue
        if result is not None:
            results[name] = result
            open_names.remove(name)
            continue
        left[name] -= 1
        if left[name]:
            cluster.submit(name)
        else:
            open_names.remove(name)
    return sum(results.values()), [name for name in names if not left[name]]
""",
    },
}


@pytest.mark.parametrize("name", names("beyond"))
def test_starts_unattempted_and_has_a_solution(name):
    assert_starts_unattempted_and_has_a_solution(name)


@pytest.mark.parametrize(("name", "what"), each(WRONG))
def test_a_wrong_answer_is_refused_for_its_reason(name, what):
    assert_refused(name, *WRONG[name][what])


@pytest.mark.parametrize(("name", "what"), each(RIGHT))
def test_another_right_answer_is_right(name, what):
    verdict = verdict_on(name, RIGHT[name][what])
    assert verdict.state == "right", verdict
