"""`make mutants`: breaks the code on purpose, one change at a time, and every break must turn the tests red.

    tools/mutants.py                       the list in mutants.toml
    tools/mutants.py lock watch/guard      those of files whose path contains one of these words
    tools/mutants.py --sample 150 --seed 5     changes that nobody thought of: Cosmic Ray's, drawn by lot

It works in private copies of the checkout and changes nothing here. A mutant is killed when pytest fails. One
that makes the tests hang for longer than their own limits is no more killed than one that they let pass.
"""

from __future__ import annotations

import argparse
import difflib
import os
import queue
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import tomllib
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import suppress
from importlib.util import cache_from_source
from pathlib import Path
from typing import NamedTuple

import psutil

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = Path("src", "mpdemos")
AT_ONCE = 4  # mutants; one that waits for ever costs time and no processor
LIMIT = 400  # seconds: longer than any limit of the tests
TAG = "MPDEMOS_MUTANT"  # in the environment of every process of a run
PYTEST = ["-m", "pytest", "-x", "-q", "-rfE", "--tb=no", "--no-header", "-p", "no:cacheprovider"]
# nbval takes two seconds to be imported. Where no notebook is run, it stays away with the file that needs it.
WITHOUT_NOTEBOOKS = ["-p", "no:nbval", "-p", "no:xdist", "-o", "addopts=-m 'not slow'", "--confcutdir=tests"]


class Mutant(NamedTuple):
    file: str  # below src/mpdemos
    line: int
    breaks: str
    text: str  # the whole file, broken
    tests: tuple[str, ...]


class Run(NamedTuple):
    verdict: str  # survived, killed, hangs
    first: str  # the first test that failed
    seconds: float
    told: str


class Copy:
    """A private copy of the checkout."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.temporary = folder, folder / "t"
        command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
        listed = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout
        for name in filter(None, listed.split("\0")):
            if (ROOT / name).is_file():
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(ROOT / name, folder / name)
        self.environment = os.environ | {
            "PYTHONPATH": str(folder / "src"),  # before the installed package, in every process
            "TMPDIR": str(self.temporary),
            TAG: str(folder),
        }
        asked = [sys.executable, "-c", "import mpdemos; print(mpdemos.__file__)"]
        found = subprocess.run(asked, env=self.environment, check=True, capture_output=True, text=True).stdout
        if not Path(found.strip()).is_relative_to(folder):
            sys.exit(f"the copy is not what is imported, but {found.strip()}")

    def test(self, tests: tuple[str, ...]) -> Run:
        self.temporary.mkdir()
        began = time.monotonic()
        notebooks = any(test.endswith(".ipynb") for test in tests)
        options = ["-n0"] if notebooks else WITHOUT_NOTEBOOKS
        with open(self.folder / "told", "w+", encoding="utf-8", errors="replace") as out:
            process = subprocess.Popen(
                # The path of a socket may have 108 characters, so no folder of pytest-of-somebody.
                [sys.executable, *PYTEST, f"--basetemp={self.temporary / 'p'}", *options, *tests],
                cwd=self.folder,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=out,  # no pipe: an orphan would keep it open
                stderr=subprocess.STDOUT,
                start_new_session=True,  # a mutant may signal its group
            )
            verdict = "hangs"
            try:
                with suppress(subprocess.TimeoutExpired):
                    verdict = "killed" if process.wait(LIMIT) else "survived"
            finally:
                self._end_all()
                process.wait()
                shutil.rmtree(self.temporary, ignore_errors=True)
            out.seek(0)
            told = out.read()
        first = re.search(r"(?m)^(?:FAILED|ERROR) (.+?)(?: - |$)", told)
        name = first[1].rpartition("/")[2] if first else told.strip().rpartition("\n")[2]
        return Run(verdict, name, time.monotonic() - began, told)

    def _end_all(self) -> None:
        """What a mutant leaves behind goes with it."""
        for process in psutil.process_iter():
            with suppress(psutil.Error):
                if process.environ().get(TAG) == str(self.folder):
                    process.send_signal(getattr(signal, "SIGKILL", signal.SIGTERM))

    def try_out(self, mutant: Mutant) -> Run:
        path = self.folder / PACKAGE / mutant.file
        whole = path.read_text(encoding="utf-8")
        try:
            _write(path, mutant.text)
            return self.test(mutant.tests)
        finally:
            _write(path, whole)


def _write(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8")
    Path(cache_from_source(str(path))).unlink(missing_ok=True)  # it may have the same size and second


# --- which mutants ---------------------------------------------------------------------------------------


def the_list() -> dict:
    with open(ROOT / "tools" / "mutants.toml", "rb") as file:
        return tomllib.load(file)


def hand_written(words: list[str]) -> list[Mutant]:
    mutants = []
    for entry in the_list()["file"]:
        if not any(word in entry["path"] for word in words or [""]):
            continue
        whole = (ROOT / PACKAGE / entry["path"]).read_text(encoding="utf-8")
        for each in entry["mutants"]:
            if (found := whole.count(each["old"])) != 1:
                sys.exit(
                    f"mutants.toml, {each['breaks']!r}: the old text stands {found} times in "
                    f"{entry['path']}, and must stand there once:\n{each['old']}"
                )
            line = whole[: whole.index(each["old"])].count("\n") + 1
            text = whole.replace(each["old"], each["new"])
            tests = tuple(each.get("tests", entry["tests"]))
            mutants.append(Mutant(entry["path"], line, each["breaks"], text, tests))
    return mutants


def sampled(number: int, seed: int) -> list[Mutant]:
    """One change for each place that the lot falls on, from one file after the other."""
    try:
        from cosmic_ray.ast import ast_nodes, get_ast
        from cosmic_ray.mutating import mutate_code
        from cosmic_ray.plugins import get_operator, operator_names
    except ImportError:
        sys.exit(f"--sample needs Cosmic Ray: {sys.executable} -m pip install cosmic-ray")
    operators = {
        name: get_operator(name)()
        for name in sorted(operator_names())
        if not get_operator(name).arguments()
        and not re.search("BitOr|Eq_Is", name)  # | stands in annotations
    }
    drawn = []
    for file, tests in the_list()["sample"].items():
        lot = random.Random(f"{seed} {file}")  # of one file: a change in another one changes nothing here
        whole = (ROOT / PACKAGE / file).read_text(encoding="utf-8")
        nodes = list(ast_nodes(get_ast(whole)))
        places = defaultdict(list)
        for name, operator in operators.items():
            found = [begin for node in nodes for begin, _end in operator.mutation_positions(node)]
            for occurrence, place in enumerate(found):
                places[place].append((name, occurrence))
        for rank, place in enumerate(lot.sample(sorted(places), len(places))):
            drawn.append((rank, file, place, *lot.choice(places[place]), tests))
    mutants = []
    for _rank, file, (line, _column), name, occurrence, tests in sorted(drawn):
        whole = (ROOT / PACKAGE / file).read_text(encoding="utf-8")
        text = mutate_code(whole, operators[name], occurrence)
        with suppress(SyntaxError):  # the star of a signature is no product
            compile(text, file, "exec")
            mutants.append(Mutant(file, line, _difference(whole, text), text, tuple(tests)))
        if len(mutants) == number:
            break
    return mutants


def _difference(whole: str, text: str) -> str:
    lines = difflib.unified_diff(whole.splitlines(), text.splitlines(), n=0, lineterm="")
    return "  ".join(f"{line[0]} {line[1:].strip()}" for line in list(lines)[3:])


# --- the run ---------------------------------------------------------------------------------------------


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("words", nargs="*", help="parts of paths below src/mpdemos; not for a sample")
    parser.add_argument("--sample", type=int, metavar="N", help="N changes that Cosmic Ray makes")
    parser.add_argument("--seed", type=int, default=0, help="of the lot")
    asked = parser.parse_args()
    mutants = hand_written(asked.words) if asked.sample is None else sampled(asked.sample, asked.seed)
    # A program that runs in the background ignores SIGINT, and so would the tests that it starts.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    began, survivors = time.monotonic(), []
    copies: queue.SimpleQueue[Copy] = queue.SimpleQueue()
    with tempfile.TemporaryDirectory(prefix="mut-", ignore_cleanup_errors=True) as folder:
        for number in range(AT_ONCE):
            copies.put(Copy(Path(folder, str(number))))

        def work(job: Mutant | tuple[str, ...]) -> Run:
            copy = copies.get()
            try:
                return copy.try_out(job) if isinstance(job, Mutant) else copy.test(job)
            finally:
                copies.put(copy)

        with ThreadPoolExecutor(AT_ONCE) as pool:
            files = list(dict.fromkeys(test for mutant in mutants for test in mutant.tests))
            for run in pool.map(work, [tuple(files[n::AT_ONCE]) for n in range(min(AT_ONCE, len(files)))]):
                if run.verdict != "survived":
                    print(f"{run.told}\nThe tests are not green as they are: {run.first or 'they hang'}.")
                    return 1
            print(f"{len(mutants)} mutants; without them the tests are green.", flush=True)
            jobs = {pool.submit(work, mutant): mutant for mutant in mutants}
            try:
                for job in as_completed(jobs):
                    mutant, run = jobs[job], job.result()
                    where = f"{mutant.file}:{mutant.line}"
                    by = f"  < {run.first}" if run.verdict == "killed" else ""
                    print(f"{run.verdict:8} {run.seconds:5.1f} s  {where}  {mutant.breaks}{by}", flush=True)
                    if run.verdict != "killed":
                        survivors.append(mutant)
            except BaseException:  # Ctrl-C
                pool.shutdown(wait=False, cancel_futures=True)
                raise
    print(
        f"{len(mutants)} mutants: {len(mutants) - len(survivors)} killed, {len(survivors)} not, "
        f"in {time.monotonic() - began:.0f} s."
    )
    return 1 if survivors else 0


if __name__ == "__main__":
    sys.exit(main())
