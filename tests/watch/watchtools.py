"""What the tests of `mpdemos.watch` share."""

import multiprocessing
import os
import sched
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from multiprocessing import forkserver, resource_tracker
from pathlib import Path

import psutil
import pytest
from leftovers import TAG, end, tagged

from mpdemos import Stuck, watch
from mpdemos.watch import remover
from mpdemos.watch.history import History
from mpdemos.watch.record import Record

HERE = Path(__file__).parent
METHODS = multiprocessing.get_all_start_methods()
PATIENCE = 60.0  # seconds: no test needs them, and a machine under load gets them
LIMIT = 0.4  # seconds, where it is the clock that shall end a block

posix_only = pytest.mark.skipif(os.name == "nt", reason="needs the signals of POSIX")


def wait_until(condition, patience=PATIENCE):
    """Wait for a fact instead of a time; `patience` only keeps a broken test from hanging."""
    deadline = time.monotonic() + patience
    while not (found := condition()):
        assert time.monotonic() < deadline, f"still not so after {patience:g} seconds"
        time.sleep(0.01)
    return found


def descendants():
    """Every process that came from this one, without the library's own two helpers and ours."""
    helpers = {forkserver._forkserver._forkserver_pid} if os.name == "posix" else set()
    helpers.add(resource_tracker._resource_tracker._pid)
    helpers |= {each.pid for each in remover._removers}
    return [p for p in psutil.Process().children(recursive=True) if p.pid not in helpers]


# The limit, without a clock


def later(act):
    """Do it in a second, in a thread whose stack shows code of Python's own alone."""
    plan = sched.scheduler()
    plan.enter(1.0, 1, act)
    # Who waits for ever for a guest that was killed shall not keep the tests from their end.
    threading.Thread(target=plan.run, daemon=True).start()


def expire_when(mp, condition):
    """Let the limit of `mp` be reached as soon as `condition` holds: no test depends on a machine's speed."""

    def watch_it():
        while mp._state == "open":
            if condition():
                mp._guard._deadline = time.monotonic()
                mp._guard._wake.send_bytes(b"+")
                return
            time.sleep(0.01)

    # By this name the watch takes it for one of its own, which nobody waits for.
    threading.Thread(target=watch_it, name="mpdemos-test", daemon=True).start()


def last_actions(mp):
    """What the main thread of each process did last: "released", or "waits" with what for, as "waits get"."""
    last = {event.process: event for event in mp.events if not event.thread}
    return {name: _told(event) for name, event in last.items()}


def _told(event):
    if not event.action.startswith("waits"):
        return event.action
    return f"waits {event.detail if isinstance(event.detail, str) else event.detail[0]}"


def expire_when_last(mp, actions):
    """Let the limit be reached as soon as each process did last what `actions` begins to say."""

    def so_it_is():
        last = last_actions(mp)
        return all(last.get(name, "").startswith(action) for name, action in actions.items())

    expire_when(mp, so_it_is)


def all_wait(*names, what=""):
    return dict.fromkeys(names, f"waits {what}")


def start(mp, target, *args, name):
    child = mp.Process(target=target, args=args, name=name)
    child.start()
    return child


def stuck(mp_block, **options):
    """The message of the Stuck that `mp_block(mp)` ends with."""
    began = time.monotonic()
    with pytest.raises(Stuck) as caught, watch(limit=PATIENCE, **options) as mp:
        mp_block(mp)
    assert time.monotonic() < began + PATIENCE, "what expire_when waits for never was"
    text = str(caught.value)
    assert text.startswith(("The block did not end within its limit of 60 seconds.", "Nobody can go on:"))
    return text


# Records made by hand


class Story:
    """Records, written down as a test tells them; a process is known by its name."""

    def __init__(self):
        self.records, self.kinds, self.now = [], {}, 0
        self.pids = {}
        self.meet("MainProcess", parent="")

    def meet(self, name, parent="MainProcess", worker_of=""):
        pid = self.pids[name] = 100 + len(self.pids)
        if parent:
            self.note(parent, "starts", detail={"pid": pid, "name": name, "worker_of": worker_of})
        self.note(name, "process", detail={"name": name, "pid": pid, "parent": self.pids.get(parent, 1)})

    def make(self, key, kind, size=0):
        self.note("MainProcess", "makes", key, {"kind": kind, "size": size})

    def note(self, process, action, resource="", detail=None, thread=""):
        self.now += 1000
        key = f"{self.pids[process]}-1"
        self.records.append(Record(self.now, key, thread, action, resource, detail))

    def end(self, name, exitcode=0):
        if exitcode == 0:
            self.note(name, "returned")
            self.note(name, "ended", detail={"exitcode": 0, "lost": 0})
        self.note("MainProcess", "sees the end of", detail={"pid": self.pids[name]})
        self.note("MainProcess", "reaps", detail={"pid": self.pids[name], "exitcode": exitcode})

    def history(self, torn=0, **labels):
        return History(self.records, began=0, labels={key: name for name, key in labels.items()}, torn=torn)


# Whole scripts


def script(folder, text):
    path = folder / "script.py"
    path.write_text("import sys\n" + text, encoding="utf-8")
    return path


def environment(folder):
    """For a script: it finds the workers, and keeps its temporary files in `folder`."""
    folder.mkdir(exist_ok=True)
    path = os.pathsep.join(filter(None, [str(HERE), os.environ.get("PYTHONPATH")]))
    return os.environ | {"PYTHONPATH": path, "TMPDIR": str(folder), "TEMP": str(folder)}


class Running:
    """A script under way; its processes are found by a tag in their environment."""

    def __init__(self, path, *arguments):
        self.folder = path.parent / "t"
        self.tag = str(path)
        self._process = subprocess.Popen(
            [sys.executable, "-u", str(path), *arguments],
            env=environment(self.folder) | {TAG: self.tag},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        self._told = self._process.stdout

    def await_line(self, line):
        """Wait until the script prints `line`."""
        assert self.await_words(line) == []

    def await_words(self, first):
        """Wait until the script prints a line that begins with `first`; returns the words behind it."""
        for told in self._told:
            if told.startswith(first):
                return told.removeprefix(first).split()
        pytest.fail(f"the script ended before it said {first!r}: {self._process.stderr.read()}")

    def send(self, number, everybody=False):
        if everybody:  # as Ctrl-C in a terminal does
            os.killpg(self._process.pid, number)
        else:
            os.kill(self._process.pid, number)

    def end(self):
        """Wait for the end; returns the exit code and what went to stderr."""
        _out, told = self._process.communicate(timeout=PATIENCE)
        return self._process.returncode, told

    def wait(self):
        """Wait for the end of the script alone: what it left may still hold its stderr."""
        return self._process.wait(PATIENCE)

    def processes(self):
        """Every process of the script that is alive, helpers included."""
        return tagged(self.tag)

    def folders(self):
        return list(self.folder.glob("mpdemos-*"))


@contextmanager
def running(path, *arguments):
    run = Running(path, *arguments)
    try:
        yield run
    finally:
        end(run.processes())
        run._process.wait(PATIENCE)
        for stream in (run._process.stdout, run._process.stderr):
            stream.close()
