"""CPython's own multiprocessing tests end the same way in a watched context as in a plain one.

Both kinds run at the same time, so that both meet the same load. Some of the peer's tests depend on timing
and can fail on a busy machine in either kind. So a test that fails in one kind only is run once more, alone,
in both kinds, and that run counts. A fault of ours is not hidden by this, unless it is rare as well.
"""

import importlib.util
import json
import multiprocessing
import os
import re
import subprocess
import sys
import time
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil
import pytest
from leftovers import end

PEER = Path(__file__).with_name("run_peer.py")
KINDS = ("plain", "watched")
PATIENCE = 900  # seconds: the peer takes one minute on an idle machine


def has_peer():
    try:
        return importlib.util.find_spec("test._test_multiprocessing") is not None
    except ImportError:
        return False


pytestmark = pytest.mark.skipif(not has_peer(), reason="this Python ships without test._test_multiprocessing")


class Run:
    """One run of the peer; it writes to files, because what a test leaves behind would keep a pipe open."""

    def __init__(self, folder, kind, method, tests):
        self.out, self.log = folder / f"{kind}.out", folder / f"{kind}.log"
        with self.out.open("wb") as out, self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, str(PEER), kind, method, *tests],
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=log,
                start_new_session=True,
            )

    def outcome(self, deadline):
        self.process.wait(max(1, deadline - time.monotonic()))
        lines = [line for line in self.out.read_text(errors="replace").splitlines() if '{"ran"' in line]
        assert lines, f"the run broke off with {self.process.returncode}:\n{self.tail()}"
        return json.loads(lines[-1])

    def tail(self):
        return self.log.read_text(errors="replace")[-5000:]

    def end(self):
        self.process.kill()
        self.process.wait()
        if os.name != "nt":
            end(with_group(self.process.pid))


def with_group(group):
    found = []
    for process in psutil.process_iter():
        with suppress(OSError):  # it has just ended
            if os.getpgid(process.pid) == group:
                found.append(process)
    return found


@contextmanager
def run(folder, kind, method, *tests):
    started = Run(folder, kind, method, tests)
    try:
        yield started
    finally:
        started.end()


def names(outcome):
    """The failed tests as unittest takes them: "test_x (__main__.Class.test_x)" is Class.test_x."""
    return {re.sub(r"^.*?\((?:__main__\.?)?([\w.]*)\).*$", r"\1", test) for test in outcome["failed"]}


def differ(plain, watched):
    return names(plain) ^ names(watched)


@pytest.mark.slow
@pytest.mark.parametrize("method", multiprocessing.get_all_start_methods())
def test_the_peer_cannot_tell_a_watched_context_from_a_plain_one(method, tmp_path):
    deadline = time.monotonic() + PATIENCE
    with run(tmp_path, "plain", method) as first, run(tmp_path, "watched", method) as second:
        plain, watched = first.outcome(deadline), second.outcome(deadline)
    assert plain["ran"] > 100
    assert (watched["ran"], watched["skipped"]) == (plain["ran"], plain["skipped"])
    different = differ(plain, watched)
    assert "" not in different, (plain["failed"], watched["failed"])  # the module's own setup or teardown
    for test in sorted(different):
        again, logs = {}, []
        for kind in KINDS:
            with run(tmp_path, kind, method, test) as alone:
                again[kind] = alone.outcome(deadline)
                logs.append(alone.tail())
        assert names(again["watched"]) == names(again["plain"]), "\n".join(logs)


def test_the_comparison_can_fail():
    one = {"ran": 2, "skipped": 0, "failed": ["test_lock (__main__.WithProcessesTestLock.test_lock)"]}
    other = {"ran": 2, "skipped": 0, "failed": ["tearDownModule (__main__)"]}
    assert names(one) == {"WithProcessesTestLock.test_lock"}
    assert names(other) == {""}
    assert names({"failed": ["setUpClass (__main__.WithProcessesTestLock)"]}) == {"WithProcessesTestLock"}
    assert names(
        {"failed": ["test_a (__main__.C.test_a) (i=1)", "test_a (__main__.C.test_a) [x] (i=2)"]}
    ) == {"C.test_a"}
    assert differ(one, other) == {"WithProcessesTestLock.test_lock", ""}
    assert differ(one, one) == set()
