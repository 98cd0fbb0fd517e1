"""Whatever happens, a control ends all its processes, and no press ever blocks."""

import os
import subprocess
import sys
import threading
import uuid

import psutil
import pytest
from kernels import start_kernel
from leftovers import TAG, end, tagged
from livetools import PATIENCE, descendants, named, says, wait_until

from mpdemos import Stuck, live, watch
from mpdemos.live import control as control_module

posix_only = pytest.mark.skipif(os.name == "nt", reason="needs the signals of POSIX")


def pids():
    return {process.pid for process in descendants()}


def test_making_another_one_ends_it(run):
    """What happens when its cell is run again."""
    first = run(live.Lock())
    says(first, "held")
    live.Lock()
    says(first, "Every process has ended")
    assert descendants() == []


def test_starting_another_one_ends_it(run):
    first, second = live.Lock(), live.Event()
    run(first)
    says(first, "held")
    before = pids()
    run(second)
    says(second, "not set; ")
    assert first.state == "Stopped. Every process has ended."
    assert not first.running
    assert not before & pids()
    run(first)
    says(first, "held")
    assert not second.running


def test_starting_again_and_again_keeps_one_set_of_processes(run):
    control = live.Event()
    for _ in range(5):
        run(control)
    says(control, "walker-1, walker-2 and walker-3 wait")
    assert len(descendants()) == 3


def test_a_press_never_blocks(run):
    control = run(live.Lock())
    says(control, "held")
    held_up = threading.Event()
    control._run.presses.put(lambda _control: held_up.wait())
    control.press("One more teller")
    control.press("Kill the holder")
    assert len(control._children) == 3  # nothing is done here
    control.stop()
    control.start()
    assert control.running
    held_up.set()
    says(control, "held by teller-1")


def test_a_hung_process_is_ended_too(run):
    control = run(live.Event())
    says(control, "walker-1, walker-2 and walker-3 wait")
    psutil.Process(named(control, "walker-2").pid).suspend()
    control.press("Set")  # set() waits for walker-2
    says(control, "everybody walks")
    control.press("Clear")
    wait_until(lambda: len(control._calls) == 2 and control._calls[1].ident)
    control.close()
    assert control.state == "Stopped. Every process has ended."
    assert descendants() == []
    control.thing._cond._woken_count.release()  # what walker-2 would have done; else the threads stay
    for call in control._calls:
        call.join(PATIENCE)


def test_a_call_under_way_is_waited_for_before_its_processes_are_ended(run, monkeypatch):
    """Event.set() waits for those whom it wakes; if they were killed before, it would wait for ever."""
    monkeypatch.setattr(control_module, "_GOODBYE", 4 * PATIENCE)
    control = run(live.Event())
    says(control, "walker-1, walker-2 and walker-3 wait")
    begun, gate, seen = threading.Event(), threading.Event(), []

    def call():
        begun.set()
        gate.wait(PATIENCE)
        seen.append(len(descendants()))

    control._run.presses.put(lambda control: control.call_in_a_thread(call))
    assert begun.wait(PATIENCE)
    control.stop()
    control._run.join(1)  # time enough to end the processes, if nobody waited
    gate.set()
    control.close()
    assert seen == [3]


def test_it_ends_by_itself_when_it_is_forgotten(run, monkeypatch):
    monkeypatch.setattr(control_module, "LIMIT", 0.2)
    control = run(live.Lock())
    says(control, "Nobody stopped it .* Every process has ended")
    assert descendants() == []


def test_what_goes_wrong_is_told(run, monkeypatch):
    def begin(self):
        self.use(till=self.mp.Lock())
        self.add("teller", control_module.workers.count_money)
        raise OSError("no space left")

    monkeypatch.setattr(live.Lock, "_begin", begin)
    control = run(live.Lock())
    says(control, "OSError: no space left. Every process has ended.")
    assert descendants() == []


def test_a_watched_block_is_undisturbed(run):
    control = run(live.Lock())
    says(control, "held by teller-1")
    with watch() as mp:
        lock = mp.Lock()
        with lock:
            pass
    assert mp.most_at_once(lock) == 1
    assert "No process was started" in mp.explain()
    with pytest.raises(Stuck, match="Nobody can go on"), watch(limit=PATIENCE) as mp:
        mp.Event().wait()
    assert control.running
    says(control, "held by teller-2")


# In a kernel, and when that ends


class Kernel:
    """A kernel with a control that runs; its processes are found by a tag in their environment."""

    def __init__(self, kind):
        self.tag = uuid.uuid4().hex
        environment = os.environ | {TAG: self.tag}
        environment.pop("PYTEST_CURRENT_TEST", None)
        self.manager, self.client = start_kernel(env=environment)
        self.run(f"from mpdemos import live; control = live.{kind}(); control.start()")

    def run(self, code):
        """Run it; returns what it prints."""
        told = []
        reply = self.client.execute_interactive(
            code,
            store_history=False,  # if a thread forks while IPython (9.18) stores a cell, the cell is not run
            timeout=PATIENCE,
            output_hook=lambda m: told.append(m["content"].get("text", "")),
        )
        assert reply["content"]["status"] == "ok", "\n".join(reply["content"]["traceback"])
        return "".join(told)

    def processes(self):
        return tagged(self.tag)


EVERYBODY = {  # is at work, and hears an interrupt: while a process starts, that leaves a traceback
    "Lock": "print(len({e.process for e in control.mp.events if e.resource == 'till'}) == 3)",
    "Pool": "print(len(control.waiting('task')) == 2)",
}


@pytest.fixture
def kernel():
    started = []

    def start(kind):
        started.append(Kernel(kind))
        wait_until(lambda: started[-1].run("print(hasattr(control, 'history'))") == "True\n")
        wait_until(lambda: started[-1].run(EVERYBODY[kind]) == "True\n")
        return started[-1]

    yield start
    for each in started:
        each.client.stop_channels()
        if each.manager.is_alive():
            each.manager.shutdown_kernel()
        end(each.processes())


@pytest.mark.parametrize("kind", ["Lock", "Pool"])
def test_nothing_is_left_of_a_killed_kernel(kind, kernel):
    it = kernel(kind)
    assert len(it.processes()) >= 3
    psutil.Process(it.manager.provisioner.pid).kill()
    wait_until(lambda: not it.processes())


def test_nothing_is_left_when_a_kernel_is_shut_down(kernel):
    it = kernel("Lock")
    it.manager.shutdown_kernel()
    wait_until(lambda: not it.processes())


@posix_only
@pytest.mark.parametrize("kind", ["Lock", "Pool"])
def test_an_interrupt_ends_them_without_a_traceback(kind, kernel):
    it = kernel(kind)
    it.manager.interrupt_kernel()
    told = ""
    while "Every process has ended" not in told:
        told += it.run("import time; time.sleep(0.05); print(control.state)")
    assert "was killed by SIGINT (exit code -2). Every process has ended." in told
    assert "Traceback" not in told
    assert it.run("import multiprocessing; print(multiprocessing.active_children())") == "[]\n"


AT_WORK = """
from mpdemos import live
import time
if __name__ == '__main__':
    control = live.Pool()
    control.start()
    while 'busy' not in control.state: time.sleep(0.01)
    control.press('Submit 4 tasks')
"""
STARTING = """
from mpdemos import live
import time
if __name__ == '__main__':
    control = live.Semaphore()
    control.choose('workers', 6)
    control.start()
    while len(getattr(control, '_children', ())) < 3: time.sleep(0.001)
"""


@pytest.mark.parametrize(("text", "times"), [(AT_WORK, 1), (STARTING, 2)], ids=["at work", "starting"])
def test_a_program_that_ends_leaves_nothing(tmp_path, text, times):
    program = tmp_path / "program.py"
    program.write_text(text, encoding="utf-8")
    folder = tmp_path / "t"
    folder.mkdir()
    environment = os.environ | {"TMPDIR": str(folder), "TEMP": str(folder)}
    for _ in range(times):
        done = subprocess.run(
            [sys.executable, str(program)], env=environment, timeout=PATIENCE, capture_output=True, text=True
        )
        assert (done.returncode, done.stderr) == (0, "")
        assert list(folder.glob("mpdemos-*")) == []
