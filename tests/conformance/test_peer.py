"""CPython's own multiprocessing tests end the same way in a watched context as in a plain one.

All run watched, and those that fail there, or are skipped, also run plain and must end the same way. Some
of the peer's tests depend on timing and can fail on a busy machine in either kind. So a test that ends in
two ways is run once more, alone, in both kinds, and that run counts. A fault of ours is not hidden by this,
unless it is rare as well.
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


def not_passed(outcome):
    """What failed or was skipped, as unittest takes it: "test_x (__main__.Class.test_x)" is Class.test_x."""
    return {
        re.sub(r"^.*?\((?:__main__\.?)?([\w.]*)\).*$", r"\1", test): end
        for end in ("skipped", "failed")
        for test in outcome[end]
    }


def differ(one, other):
    return {test for test in one.keys() | other.keys() if one.get(test) != other.get(test)}


@pytest.mark.slow
@pytest.mark.parametrize("method", multiprocessing.get_all_start_methods())
def test_the_peer_cannot_tell_a_watched_context_from_a_plain_one(method, tmp_path):
    deadline = time.monotonic() + PATIENCE

    def ends(kind, *tests):
        with run(tmp_path, kind, method, *tests) as started:
            outcome = started.outcome(deadline)
        return outcome["ran"], not_passed(outcome), started.tail()

    ran, watched, log = ends("watched")
    assert ran > 100
    assert "" not in watched, log  # the module's own setup or teardown
    plain = ends("plain", *sorted(watched))[1] if watched else {}
    for test in sorted(differ(plain, watched)):
        (_, alone, log), (_, watched_alone, watched_log) = ends("plain", test), ends("watched", test)
        assert watched_alone == alone, log + watched_log


def test_the_comparison_can_fail():
    one = {"skipped": [], "failed": ["test_lock (__main__.WithProcessesTestLock.test_lock)"]}
    other = {"skipped": one["failed"], "failed": ["tearDownModule (__main__)"]}
    assert not_passed(one) == {"WithProcessesTestLock.test_lock": "failed"}
    assert not_passed(other) == {"WithProcessesTestLock.test_lock": "skipped", "": "failed"}
    setup = {"skipped": ["setUpClass (__main__.WithProcessesTestLock)"], "failed": []}
    assert not_passed(setup) == {"WithProcessesTestLock": "skipped"}
    parts = ["test_a (__main__.C.test_a) (i=1)", "test_a (__main__.C.test_a) [x] (i=2)"]
    assert not_passed({"skipped": [], "failed": parts}) == {"C.test_a": "failed"}
    assert differ(not_passed(one), not_passed(other)) == {"WithProcessesTestLock.test_lock", ""}
    assert differ(not_passed(one), not_passed(one)) == set()
