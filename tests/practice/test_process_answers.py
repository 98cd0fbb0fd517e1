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
    "process-1": {
        "joins each before it starts the next": (
            """
def run_all(mp, job, arguments):
    codes = []
    for argument in arguments:
        process = mp.Process(target=job, args=(argument,))
        process.start()
        process.join()
        codes.append(process.exitcode)
    return codes
""",
            "one after the other",
        ),
        "asks each before it starts the next": (
            """
import time
def run_all(mp, job, arguments):
    codes = []
    for argument in arguments:
        process = mp.Process(target=job, args=(argument,))
        process.start()
        while process.exitcode is None:
            time.sleep(0.01)
        codes.append(process.exitcode)
    return codes
""",
            "one after the other",
        ),
        "waits a moment for each before it starts the next": (
            """
def run_all(mp, job, arguments):
    processes = [mp.Process(target=job, args=(argument,)) for argument in arguments]
    for process in processes:
        process.start()
        process.join(0.01)
    for process in processes:
        process.join()
    return [process.exitcode for process in processes]
""",
            "one after the other",
        ),
        "calls the job in the parent": (
            """
def run_all(mp, job, arguments):
    processes = [mp.Process(target=job(argument)) for argument in arguments]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    return [process.exitcode for process in processes]
""",
            "called in the parent",
        ),
        "forgets the comma": (
            """
def run_all(mp, job, arguments):
    processes = [mp.Process(target=job, args=(argument)) for argument in arguments]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    return [process.exitcode for process in processes]
""",
            "not iterable",
        ),
        "does not join": (
            """
def run_all(mp, job, arguments):
    processes = [mp.Process(target=job, args=(argument,)) for argument in arguments]
    for process in processes:
        process.start()
    return [process.exitcode for process in processes]
""",
            "None is no exit code",
        ),
        "gives all arguments to one process": (
            """
def run_all(mp, job, arguments):
    process = mp.Process(target=job, args=arguments)
    process.start()
    process.join()
    return [process.exitcode]
""",
            "takes 2 positional arguments but 4 were given",
        ),
        "never starts them": (
            """
def run_all(mp, job, arguments):
    return [mp.Process(target=job, args=(argument,)).exitcode for argument in arguments]
""",
            "No process was started",
        ),
        "knows the codes beforehand": (
            """
def run_all(mp, job, arguments):
    return arguments
""",
            "No process was started",
        ),
        "returns nothing": (
            """
def run_all(mp, job, arguments):
    processes = [mp.Process(target=job, args=(argument,)) for argument in arguments]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
""",
            "Return a list",
        ),
        "processes that are not watched": (
            """
import multiprocessing
def run_all(mp, job, arguments):
    context = multiprocessing.get_context("spawn")
    processes = [context.Process(target=len, args=("",)) for argument in arguments]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    return [process.exitcode for process in processes]
""",
            "mp.Process(...) makes one",
        ),
    },
    "process-2": {
        "waits for each before it starts the next": (
            """
def collect(mp, job, arguments):
    numbers = []
    for argument in arguments:
        here, there = mp.Pipe()
        process = mp.Process(target=job, args=(argument, there))
        process.start()
        process.join()
        numbers.append(here.recv() if process.exitcode == 0 else None)
    return numbers
""",
            "one after the other",
        ),
        "takes what was sent, whatever came of it": (
            """
def collect(mp, job, arguments):
    jobs = []
    for argument in arguments:
        here, there = mp.Pipe()
        process = mp.Process(target=job, args=(argument, there))
        process.start()
        there.close()
        jobs.append((process, here))
    numbers = []
    for process, here in jobs:
        try:
            numbers.append(here.recv())
        except EOFError:
            numbers.append(None)
        process.join()
    return numbers
""",
            "Do not trust what it sent",
        ),
        "keeps both ends, and waits for who has died": (
            """
def collect(mp, job, arguments):
    jobs = []
    for argument in arguments:
        here, there = mp.Pipe()
        process = mp.Process(target=job, args=(argument, there))
        process.start()
        jobs.append((process, here, there))
    return [here.recv() for _process, here, _there in jobs]
""",
            "close yours (there.close())",
        ),
        "does not expect the end of the line": (
            """
def collect(mp, job, arguments):
    jobs = []
    for argument in arguments:
        here, there = mp.Pipe()
        mp.Process(target=job, args=(argument, there)).start()
        there.close()
        jobs.append(here)
    return [here.recv() for here in jobs]
""",
            "Its number is None",
        ),
        "lets go of its end": (
            """
def collect(mp, job, arguments):
    for argument in arguments:
        here, there = mp.Pipe()
        mp.Process(target=job, args=(argument, there)).start()
        there.close()
        here.close()
    return [None] * len(arguments)
""",
            "keep it until you have joined it",
        ),
        "one line for all": (
            """
def collect(mp, job, arguments):
    here, there = mp.Pipe()
    processes = [mp.Process(target=job, args=(argument, there)) for argument in arguments]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    return [here.recv() if process.exitcode == 0 else None for process in processes]
""",
            "through the same line",
        ),
        "the wrong end": (
            """
def collect(mp, job, arguments):
    jobs = []
    for argument in arguments:
        here, there = mp.Pipe(duplex=False)
        process = mp.Process(target=job, args=(argument, here))
        process.start()
        jobs.append((process, there))
    for process, _there in jobs:
        process.join()
    return [there.recv() if process.exitcode == 0 else None for process, there in jobs]
""",
            "OSError",
        ),
        "returned values": (
            """
def collect(mp, job, arguments):
    processes = [mp.Process(target=job, args=(argument,)) for argument in arguments]
    for process in processes:
        process.start()
    return [process.join() for process in processes]
""",
            "missing 1 required positional argument",
        ),
        "does the jobs itself": (
            """
def collect(mp, job, arguments):
    numbers = []
    for argument in arguments:
        here, there = mp.Pipe()
        try:
            job(argument, there)
            numbers.append(here.recv())
        except ValueError:
            numbers.append(None)
    return numbers
""",
            "called in the parent",
        ),
        "leaves out who failed": (
            """
def collect(mp, job, arguments):
    jobs = []
    for argument in arguments:
        here, there = mp.Pipe()
        process = mp.Process(target=job, args=(argument, there))
        process.start()
        jobs.append((process, here))
    for process, _here in jobs:
        process.join()
    return [here.recv() for process, here in jobs if process.exitcode == 0]
""",
            "Return a list with a number or None for each",
        ),
    },
    "process-3": {
        "takes a crash for an end": (
            """
def run_with_deadline(process, seconds):
    process.start()
    process.join(seconds)
    if process.exitcode is None:
        process.terminate()
        process.join(2)
        process.kill()
        process.join()
        return "late"
    return "done" if process.exitcode in (0, -9, 15) else "failed"
""",
            "is killed by the operating system, is to be called 'failed'",
        ),
        "trusts that join ends it": (
            """
def run_with_deadline(process, seconds):
    process.start()
    process.join(seconds)
    return "done" if process.exitcode == 0 else "failed"
""",
            "is to be called 'late'; you returned 'failed'",
        ),
        "takes every end for a good one": (
            """
def run_with_deadline(process, seconds):
    process.start()
    process.join(seconds)
    if process.is_alive():
        process.terminate()
        process.join(seconds)
        process.kill()
        process.join()
        return "late"
    return "done"
""",
            "is to be called 'failed'; you returned 'done'",
        ),
        "kills without asking": (
            """
def run_with_deadline(process, seconds):
    process.start()
    process.join(seconds)
    if process.exitcode is None:
        process.kill()
        process.join()
        return "late"
    return "done" if process.exitcode == 0 else "failed"
""",
            "killed without a warning",
        ),
        "asks, and does not look whether it went": (
            """
def run_with_deadline(process, seconds):
    process.start()
    process.join(seconds)
    if process.exitcode is None:
        process.terminate()
        return "late"
    return "done" if process.exitcode == 0 else "failed"
""",
            "was not joined at the end",
        ),
        "waits without a deadline": (
            """
def run_with_deadline(process, seconds):
    process.start()
    process.join()
    return "done" if process.exitcode == 0 else "failed"
""",
            "join(seconds) does not",
        ),
        "sleeps instead of joining": (
            """
import time
def run_with_deadline(process, seconds):
    process.start()
    time.sleep(seconds)
    if process.exitcode is None:
        process.terminate()
        process.join(seconds)
        process.kill()
        process.join()
        return "late"
    return "done" if process.exitcode == 0 else "failed"
""",
            "time.sleep(seconds) does not",
        ),
    },
}

if os.name == "posix":  # on Windows nobody can refuse terminate()
    WRONG["process-3"] |= {
        "asks, and kills at once": (
            """
def run_with_deadline(process, seconds):
    process.start()
    process.join(seconds)
    if process.exitcode is None:
        process.terminate()
        process.kill()
        process.join()
        return "late"
    return "done" if process.exitcode == 0 else "failed"
""",
            "had no time for it",
        ),
        "asks, and waits for ever": (
            """
def run_with_deadline(process, seconds):
    process.start()
    process.join(seconds)
    if process.exitcode is None:
        process.terminate()
        process.join()
        return "late"
    return "done" if process.exitcode == 0 else "failed"
""",
            "join it with a timeout, then kill() it",
        ),
    }

RIGHT = {
    "process-1": {
        "on a machine so busy that the last start is noted when all have ended": """
import multiprocessing
def run_all(mp, job, arguments):
    note = mp._recorder.note
    def note_late(action, *what):
        if action == "starts" and what[1]["name"] == "last":
            for child in multiprocessing.active_children():
                child._popen.wait()
        note(action, *what)
    mp._recorder.note = note_late
    processes = [mp.Process(target=job, args=(argument,)) for argument in arguments]
    processes[-1].name = "last"
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    return [process.exitcode for process in processes]
""",
    },
    "process-2": {
        "receives first, and closes its copy": """
def collect(mp, job, arguments):
    jobs = []
    for argument in arguments:
        here, there = mp.Pipe(duplex=False)
        process = mp.Process(target=job, args=(argument, there))
        process.start()
        there.close()
        jobs.append((process, here))
    numbers = []
    for process, here in jobs:
        try:
            number = here.recv()
        except EOFError:
            number = None
        process.join()
        numbers.append(number if process.exitcode == 0 else None)
    return numbers
""",
    },
    "process-3": {
        "has hardly any patience between asking and killing": """
def run_with_deadline(process, seconds):
    process.start()
    process.join(seconds)
    if process.is_alive():
        process.terminate()
        process.join(0.001)
        if process.is_alive():
            process.kill()
        process.join()
        return "late"
    return "failed" if process.exitcode else "done"
""",
    },
}


@pytest.mark.parametrize("name", names("process"))
def test_starts_unattempted_and_has_a_solution(name):
    assert_starts_unattempted_and_has_a_solution(name)


@pytest.mark.parametrize(("name", "what"), each(WRONG))
def test_a_wrong_answer_is_refused_for_its_reason(name, what):
    assert_refused(name, *WRONG[name][what])


@pytest.mark.parametrize(("name", "what"), each(RIGHT))
def test_another_right_answer_is_accepted(name, what):
    verdict = verdict_on(name, RIGHT[name][what])
    assert verdict.state == "right", verdict
