"""``%%worker``: a cell that every process can import, always in its newest state."""

import multiprocessing
import os
import shutil
import signal
import subprocess
import sys
import time
import traceback
from pathlib import Path

import pytest
from kernels import start_kernel
from practicetools import cell

from mpdemos import ChildFailed, watch
from mpdemos.practice.cells import WorkerCells
from mpdemos.practice.folder import private_folder

METHODS = multiprocessing.get_all_start_methods()


def ask_child(method, function, *args):
    """What a function puts on a queue, in a child."""
    with watch(method, limit=60) as mp:
        answers = mp.SimpleQueue()
        mp.Process(target=function, args=(answers, *args), name="child").start()
        return answers.get()


COUNT = """
import os

STEP = {step}


class Counter:
    def __init__(self, start):
        self.value = start

    def up(self):
        self.value += STEP


def count(answers, counter):
    counter.up()
    answers.put((counter.value, STEP))
"""


@pytest.mark.parametrize("method", METHODS)
def test_a_child_runs_the_newest_code(method):
    namespace = {}
    cells = WorkerCells(namespace)
    for step in (1, 2, 1):
        cells.run("", COUNT.format(step=step))
        assert ask_child(method, namespace["count"], namespace["Counter"](10)) == (10 + step, step)
        assert namespace["STEP"] == step


def test_it_says_what_every_process_can_use():
    line = WorkerCells({}).run("", COUNT.format(step=1))
    assert line == "Every process can now use: Counter, STEP, count."
    assert WorkerCells({}).run("", "pass") == "Every process can now use: nothing, the cell defines no name."


def test_a_name_that_a_function_makes_is_told_too():
    told = WorkerCells({}).run("", "def f():\n    global made\n    made = 1\nf()")
    assert told == "Every process can now use: f, made."


def test_a_cell_uses_names_of_earlier_cells_and_their_newest_state():
    namespace = {}
    cells = WorkerCells(namespace)
    cells.run("", "FACTOR = 2\ndef scale(n):\n    return FACTOR * n")
    cells.run("", "from __future__ import annotations\ndef put(answers, n: int):\n    answers.put(scale(n))")
    cells.run("", "def put_next(answers, n):\n    put(answers, n + 1)")
    assert ask_child("spawn", namespace["put_next"], 10) == 22
    cells.run("", "FACTOR = 3\ndef scale(n):\n    return FACTOR * n")
    assert ask_child("spawn", namespace["put_next"], 10) == 33


def test_a_cell_that_is_run_again_starts_afresh():
    namespace = {}
    cells = WorkerCells(namespace)
    cells.run("", "seen = []")
    namespace["seen"].append(1)
    cells.run("", "seen = []")
    assert namespace["seen"] == []


def test_an_edited_cell_does_not_come_back_in_its_old_state(tmp_path):
    cells, path = WorkerCells({}), tmp_path / "loaded"
    cells.run("", "x = 1")
    for state in ("old", "new"):
        cells.run("", f"with open({str(path)!r}, 'a') as file: file.write(f'{state}{{x}} ')\ndef f(): pass")
    cells.run("", "x = 2")  # loads who uses x
    assert path.read_text() == "old1 new1 new2 "


def test_a_variable_of_the_notebook_that_was_made_since_is_kept():
    namespace = {}
    cells = WorkerCells(namespace)
    cells.run("", "base = 1")
    cells.run("", "top = base + 1")
    cells.run("", "base = 5")
    assert namespace["top"] == 6


def test_its_lines_have_the_numbers_of_the_cell():
    """Line 1 is ``%%worker``."""
    with pytest.raises(SyntaxError) as caught:
        cell("def fine():\n    pass\n\ndef wrong(:\n    pass")
    assert caught.value.lineno == 5
    with pytest.raises(ZeroDivisionError) as caught:
        cell("one = 1\n\nnothing = one / 0\n")
    assert traceback.extract_tb(caught.value.__traceback__)[-1].lineno == 4
    told = "".join(caught.value._render_traceback_())
    assert "nothing = one / 0" in told
    assert "practice" not in told


def test_a_childs_traceback_has_the_lines_of_the_cell():
    fail = cell("def fail(answers):\n    return answers.no_such_method()")["fail"]
    with pytest.raises(ChildFailed) as caught, watch(limit=60) as mp:
        mp.Process(target=fail, args=(1,), name="child").start()
    assert "line 3, in fail" in str(caught.value)
    assert "answers.no_such_method()" in str(caught.value)


def test_an_error_leaves_nothing_half_done():
    namespace = {"before": 1}
    cells = WorkerCells(namespace)
    files = set(os.listdir(private_folder()))
    with pytest.raises(ZeroDivisionError):
        cells.run("", "half = 1\nbefore = 2\n1 / 0")
    assert namespace == {"before": 1}
    assert {name for name in set(os.listdir(private_folder())) - files if name.endswith(".py")} == set()
    cells.run("", "half = 3")
    assert namespace["half"] == 3


@pytest.mark.parametrize("name", ["queue", "time", "multiprocessing"])
def test_a_name_that_would_hide_a_module_of_the_standard_library_is_refused(name):
    with pytest.raises(ValueError, match=f"{name}.*standard library.*my_{name}"):
        WorkerCells({}).run(name, "x = 1")
    namespace = {name: __import__(name)}
    with pytest.raises(ValueError, match=f"would hide.*{name}.*my_{name}"):
        WorkerCells(namespace).run("", f"def {name}():\n    pass")
    WorkerCells(namespace).run("", f"import {name}\ndef f():\n    return {name}")


def test_a_name_for_the_module_is_taken_and_must_be_one():
    namespace = {}
    WorkerCells(namespace).run("bank", "def f():\n    pass")
    assert namespace["f"].__module__.startswith("bank_")
    with pytest.raises(ValueError, match="takes one name"):
        WorkerCells({}).run("two words", "x = 1")


def test_a_name_that_only_an_ordinary_cell_defines_is_refused():
    with pytest.raises(NameError, match=r"'rate', which an ordinary cell defines.*into this cell"):
        WorkerCells({"rate": 3}).run("", "def f(n):\n    return n * rate")
    WorkerCells({"rate": 3}).run("", "def f(n):\n    rate = 2\n    return n * rate")
    WorkerCells({"lock": 3}).run("", "def keep(a_lock):\n    global lock\n    lock = a_lock")


def test_a_folder_that_somebody_removed_is_made_again():
    shutil.rmtree(private_folder())
    assert Path(private_folder()).is_dir()


FOLDER_AND_WAIT = """
from mpdemos.practice.cells import WorkerCells
from mpdemos.practice.folder import private_folder
WorkerCells({}).run("", "x = 1")
print(private_folder(), flush=True)
input()
"""


@pytest.mark.parametrize("how", ["end", "kill"])
def test_the_folder_is_private_and_goes_with_its_process(how):
    kernel = subprocess.Popen(
        [sys.executable, "-c", FOLDER_AND_WAIT], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    with kernel:
        folder = Path(kernel.stdout.readline().strip())
        assert folder.is_dir()
        if os.name == "posix":
            assert folder.stat().st_mode & 0o077 == 0
        if how == "kill":
            kernel.kill()
    assert_goes(folder)


def assert_goes(folder, patience=60):
    deadline = time.monotonic() + patience
    while folder.exists():
        assert time.monotonic() < deadline, f"{folder} is still there"
        time.sleep(0.01)


ADD = "%%worker\ndef add(answers, n):\n    answers.put(n + {amount})"
ASK = """
import multiprocessing
answers = multiprocessing.get_context("spawn").SimpleQueue()
child = multiprocessing.get_context("spawn").Process(target=add, args=(answers, 1))
child.start()
print(answers.get())
child.join()
"""


ALMOST_NO_FILES = """\
import os, resource
from multiprocessing import shared_memory
from unittest import mock

from mpdemos import load_ipython_extension

load_ipython_extension(mock.MagicMock(user_ns={}))
resource.setrlimit(resource.RLIMIT_NOFILE, (64, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
for free in range(8):
    name = f"/psm_{os.getpid()}_{free}"
    taken = []
    try:
        while True:
            taken.append(os.open(os.devnull, os.O_RDONLY))
    except OSError:
        for fd in taken[:free]:
            os.close(fd)
    try:
        with mock.patch.object(shared_memory, "_make_filename", return_value=name):
            memory = shared_memory.SharedMemory(create=True, size=1)
    except OSError:
        memory = None
    for fd in taken[free:]:
        os.close(fd)
    if memory is not None:
        memory.close()
        memory.unlink()
    try:
        left = shared_memory.SharedMemory(name)
    except FileNotFoundError:
        print(free, memory is not None)
    else:
        left.unlink()
        print(free, "stays")
"""


@pytest.mark.skipif(os.name != "posix", reason="shared memory goes with its last process")
def test_a_cell_that_has_no_file_descriptor_leaves_no_shared_memory():
    """Found by `make faults`: the resource tracker could not start, and did not know of it."""
    run = subprocess.run(
        [sys.executable, "-c", ALMOST_NO_FILES], capture_output=True, text=True, timeout=120, check=True
    )
    tries = dict(line.split() for line in run.stdout.splitlines())
    assert tries["0"] == "False", run
    assert tries["7"] == "True", run
    assert "stays" not in tries.values(), run


def test_in_a_real_kernel():
    """Loaded, edited, run again; the folder goes when the kernel is restarted, and when it is killed."""
    manager, client = start_kernel()
    try:

        def run(code):
            """What a cell prints, or its error."""
            shown = []

            def keep(message):
                content = message["content"]
                shown.append(content.get("text") or "\n".join(content.get("traceback", [])))

            client.execute_interactive(code, timeout=120, output_hook=keep)
            return "".join(shown)

        assert run("%load_ext mpdemos") == ""
        for amount in (1, 2):
            assert run(ADD.format(amount=amount)) == "Every process can now use: add.\n"
            assert run(ASK) == f"{1 + amount}\n"
        assert "first line of its cell" in run("# my function\n" + ADD.format(amount=3))
        assert "def add(:" in run("%%worker\ndef add(:\n    pass")
        ask_folder = "from mpdemos.practice.folder import private_folder; print(private_folder())"
        first = Path(run(ask_folder).strip())
        assert first.is_dir()
        manager.restart_kernel()
        assert_goes(first)
        client.wait_for_ready(timeout=120)
        second = Path(run(ask_folder).strip())
        assert second.is_dir()
        os.kill(manager.provisioner.pid, getattr(signal, "SIGKILL", signal.SIGTERM))
        assert_goes(second)
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)
