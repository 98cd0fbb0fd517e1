"""Run the tests of `make test` again and again on a busy machine: a test that fails once in a while is a bug.

    make soak                              30 runs, under each start method in turn
    make soak ARGS="--runs 6 tests/watch"  fewer; what follows the options goes to pytest

Several runs go on at once, one more than there are cores, so that each meets the load of the others. Every
run has a copy of the checkout and a temporary folder of its own; what it leaves there makes it fail, too.
The output of a run that fails is kept, and its name printed.
"""

import argparse
import multiprocessing
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from itertools import cycle, islice
from pathlib import Path

import psutil

ROOT = Path(__file__).parent.parent
FOLDERS = ("docs", "notebooks", "requirements", "src", "tests", "tools", ".ci", ".github")
STAYS = ("pytest-of-", "dask-scratch-space")  # pytest's own, and dask's, which is for all its programs
UNWANTED = shutil.ignore_patterns("__pycache__", ".ipynb_checkpoints", "node_modules")


def copy_of_the_checkout(target):
    for name in FOLDERS:
        shutil.copytree(ROOT / name, target / name, ignore=UNWANTED)
    for file in ROOT.iterdir():
        if file.is_file():
            shutil.copy(file, target)


def run(number, method, pytest_arguments, scratch):
    """One run of the suite; returns whether it was green and left nothing."""
    checkout = scratch / f"{number:02}-{method}"
    copy_of_the_checkout(checkout)
    log = checkout.with_suffix(".log")
    temporary = Path(tempfile.mkdtemp(prefix=""))  # short: there are sockets below it
    environment = os.environ | {"PYTHONPATH": str(checkout / "src"), "MPDEMOS_START_METHOD": method}
    environment["MPDEMOS_SOAK"] = "1"  # there are runs beside it
    environment |= dict.fromkeys(("TMPDIR", "TEMP", "TMP"), str(temporary))
    environment.pop("PYTHONUNBUFFERED", None)
    before, started = psutil.cpu_times(), time.monotonic()
    with log.open("w") as output:
        status = subprocess.call(
            [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *pytest_arguments],
            cwd=checkout,
            env=environment,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    text = log.read_text(errors="replace")
    counts = re.findall(r"\d+ (?:passed|failed|errors?|skipped)", text.splitlines()[-1])
    line = (
        f"run {number:2}  {method:10}  {time.monotonic() - started:5.0f} s  cores {busy(before):3.0%} busy  "
    )
    print(f"{line}load {psutil.getloadavg()[0]:4.1f}  {', '.join(counts)}", flush=True)
    left = sorted(each.name for each in temporary.iterdir() if not each.name.startswith(STAYS))
    if left:
        print(f"left in its temporary folder: {', '.join(left)}", flush=True)
    if status:
        told = re.findall(r"(?m)^(?:FAILED|ERROR|left in shared memory).*", text)
        print(*told, f"see {log}", sep="\n", flush=True)
    else:
        log.unlink()
    shutil.rmtree(checkout)
    shutil.rmtree(temporary, ignore_errors=True)
    return not (status or left)


def busy(before):
    """The part of all cores' time since then that was not idle."""
    spent = [now - then for now, then in zip(psutil.cpu_times(), before, strict=True)]
    idle = spent[psutil.cpu_times()._fields.index("idle")]
    return 1 - idle / sum(spent)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=30)
    parser.add_argument("--at-once", type=int, default=(os.cpu_count() or 1) + 1)
    options, pytest_arguments = parser.parse_known_args()
    scratch = Path(tempfile.mkdtemp(prefix="mpdemos-soak-"))
    methods = islice(cycle(multiprocessing.get_all_start_methods()), options.runs)
    with ThreadPoolExecutor(options.at_once) as pool:
        runs = [
            pool.submit(run, number, method, pytest_arguments, scratch)
            for number, method in enumerate(methods, 1)
        ]
        green = [each.result() for each in runs]
    print(f"{sum(green)} of {len(green)} runs green, {options.at_once} at once", flush=True)
    if all(green):
        shutil.rmtree(scratch)
    sys.exit(not all(green))


if __name__ == "__main__":
    main()
