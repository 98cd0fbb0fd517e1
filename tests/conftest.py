import os
import signal
import tempfile
import time
from pathlib import Path

import pytest
from leftovers import nobody_has, shared_memory

if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:  # so it is in a script's background, and is inherited
    signal.signal(signal.SIGINT, signal.default_int_handler)

BEFORE = pytest.StashKey[set[int]]()
# A run of `make soak` sees what the runs beside it have left, and keep until their workers end.
PATIENCE = 900 if "MPDEMOS_SOAK" in os.environ else 20  # seconds


def pytest_configure(config):
    config.stash[BEFORE] = shared_memory().keys()


@pytest.hookimpl(wrapper=True, trylast=True)
def pytest_sessionfinish(session):
    """The run fails if it leaves shared memory. Which test it was only a run of fewer tests can tell."""
    yield  # the workers of pytest-xdist end in here, and their kernels with them
    if session.config.pluginmanager.hasplugin("dsession"):
        new = shared_memory().keys() - session.config.stash[BEFORE]
        deadline = time.monotonic() + PATIENCE
        while (left := nobody_has(new)) and time.monotonic() < deadline:
            time.sleep(0.1)  # a resource tracker may be about to remove it
        if left:
            print(f"\nleft in shared memory, where no process uses it: {', '.join(left)}")
            session.exitstatus = pytest.ExitCode.TESTS_FAILED


@pytest.fixture
def tmp_path():
    """Shorter than pytest's own: sockets are below it, and an address has at most 103 letters on macOS."""
    with tempfile.TemporaryDirectory(prefix="", ignore_cleanup_errors=True) as name:
        yield Path(name)


@pytest.fixture
def alarm():
    """Call it with seconds: a test that takes longer fails, and does not stop the run. Windows has none."""
    if not hasattr(signal, "setitimer"):
        yield lambda seconds: None
        return

    def set_it(seconds):
        def give_up(number, frame):
            raise TimeoutError(f"the test took more than {seconds} seconds")

        signal.signal(signal.SIGALRM, give_up)
        signal.setitimer(signal.ITIMER_REAL, seconds, 5)  # again, if what cleans up after it waits too

    former = signal.getsignal(signal.SIGALRM)
    yield set_it
    signal.setitimer(signal.ITIMER_REAL, 0)
    signal.signal(signal.SIGALRM, former)
