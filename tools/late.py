"""Try each answer of tests/practice while some of its processes are late: is the verdict still the same?

    make late                                300 checks, drawn by lot
    make late ARGS="--checks 50 --seed 7"    fewer; those of another seed

A check that goes by who comes first accepts a wrong answer, or refuses a right one, once in a while on a busy
machine. Here half of the processes, by lot, sleep before one statement of the answer, the first time they
come there. Each check has a number: `--only NUMBER` repeats it, with the same seed.
"""

import argparse
import ast
import importlib
import multiprocessing
import os
import random
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import NamedTuple
from unittest import mock

ROOT = Path(__file__).parent.parent
TESTS = ROOT / "tests" / "practice"
SECONDS = 0.6  # long for a process, and short for a check: those are patient for seconds
BLOCKS = ("body", "orelse", "finalbody")
# The lot says who is late. By the name, which is the same under every start method and on every run.
LATE = f"""
def _late(lot, been=set()):
    import multiprocessing, time, zlib
    name = multiprocessing.current_process().name
    if not been and zlib.crc32((lot + name + lot).encode()) % 2:
        been.add(lot)
        time.sleep({SECONDS})
"""

sys.path[:0] = [str(TESTS), str(TESTS.parent)]


class Case(NamedTuple):
    """An answer: ``reason`` says why it is refused, and is None if it is right."""

    exercise: str
    what: str
    source: str
    reason: str | None


def cases() -> Iterator[Case]:
    """The solution of each exercise, and every answer that a test of it tries."""
    from practicetools import all_exercises, find

    for name in all_exercises():
        yield Case(name, "the solution", find(name).solution, None)
    for file in sorted(TESTS.glob("test_*_answers.py")):
        tests = importlib.import_module(file.stem)
        for name, answers in tests.WRONG.items():
            yield from (Case(name, what, *answer) for what, answer in answers.items())
        for name, answers in getattr(tests, "RIGHT", {}).items():
            yield from (Case(name, what, answer, None) for what, answer in answers.items())


def places(tree: ast.AST) -> list[tuple[list[ast.stmt], int]]:
    """Where a process can be late: each statement of each function, as its block and its place there."""
    found: dict[tuple[int, int], tuple[list[ast.stmt], int]] = {}  # once, though functions may be nested
    for function in (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)):
        for node in ast.walk(function):
            for block in (getattr(node, name, None) for name in BLOCKS):
                if isinstance(block, list):  # a lambda has a body, too
                    found |= {(id(block), index): (block, index) for index in range(len(block))}
    return list(found.values())


def delayed(source: str, which: int, lot: str) -> str:
    """The answer, late before one of its statements."""
    tree = ast.parse(source)
    block, index = places(tree)[which]
    block.insert(index, ast.parse(f"_late({lot!r})").body[0])
    return LATE + ast.unparse(ast.fix_missing_locations(tree))


def drawn(seed: int) -> Iterator[tuple[Case, str]]:
    """Answers that are late, without an end."""
    lots, every = random.Random(seed), list(cases())
    while True:
        case = lots.choice(every)
        which = lots.randrange(len(places(ast.parse(case.source))))
        yield case, delayed(case.source, which, f"{lots.random():.6f}")


def differs(case: Case, source: str) -> str:
    """Check an answer; what is said of it, if it is not what the test wants."""
    from practicetools import check, verdict_on

    with (
        tempfile.TemporaryDirectory() as folder,
        mock.patch.dict(os.environ, MPDEMOS_DATA=folder),
        mock.patch.object(sys.modules[check.__module__], "methods", return_value=["spawn"]),
    ):
        verdict = verdict_on(case.exercise, source)
    if case.reason is None:
        same = verdict.state == "right"
    else:
        same = verdict.state == "not yet" and case.reason in verdict.reason
    return "" if same else f"{verdict.state}: {verdict.reason}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--checks", type=int, default=300)
    parser.add_argument("--seed", type=int, default=random.randrange(1_000_000))
    parser.add_argument("--only", type=int, help="the number of one check")
    parser.add_argument("--at-once", type=int, default=4 * (os.cpu_count() or 1))  # most of them wait
    options = parser.parse_args()
    print(f"seed {options.seed}", flush=True)
    numbers = range(1, options.checks + 1) if options.only is None else [options.only]
    answers = dict(zip(range(1, max(numbers) + 1), drawn(options.seed), strict=False))
    wrong = 0
    with ProcessPoolExecutor(options.at_once, multiprocessing.get_context("spawn")) as pool:
        said = pool.map(differs, *zip(*(answers[number] for number in numbers), strict=True))
        for number, verdict in zip(numbers, said, strict=True):
            if verdict:
                wrong += 1
                case, source = answers[number]
                print(f"{number}: {case.exercise}, {case.what}: {verdict}\n{source}", flush=True)
    print(f"{len(numbers) - wrong} of {len(numbers)} verdicts the same", flush=True)
    sys.exit(bool(wrong))


if __name__ == "__main__":
    main()
