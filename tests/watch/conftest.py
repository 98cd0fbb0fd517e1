import contextlib
import gc
import multiprocessing.util
import signal
import tempfile
import threading

import pytest
from watchtools import METHODS, PATIENCE, descendants, wait_until


@pytest.fixture(params=METHODS)
def method(request):
    """Each start method of this platform."""
    return request.param


@pytest.fixture(autouse=True, scope="session")
def the_fork_server_runs():
    """Its first start takes a busy machine seconds; no limit of a test shall be reached meanwhile."""
    if "forkserver" in METHODS:
        child = multiprocessing.get_context("forkserver").Process()
        child.start()
        child.join()


@pytest.fixture(autouse=True)
def nothing_is_left(tmp_path, monkeypatch):
    """After every test: no process, no folder, no thread, and SIGINT does what it did before."""
    multiprocessing.util.get_temp_dir()  # the library's own outlives this test
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    handler = signal.getsignal(signal.SIGINT)
    yield
    with contextlib.suppress(AssertionError):  # what a fork server starts late ends itself
        wait_until(lambda: not descendants(), 20)
    left = descendants()
    for process in left:  # or every later test would fail too
        process.kill()
    assert left == []
    assert multiprocessing.active_children() == []
    assert list(tmp_path.glob("mpdemos-*")) == []
    assert "mpdemos-guard" not in [thread.name for thread in threading.enumerate()]
    assert signal.getsignal(signal.SIGINT) is handler


@pytest.fixture
def no_collection():
    """No pipe of an earlier test is closed in this one, which would change the numbers of later files."""
    gc.collect()
    with contextlib.suppress(AssertionError):  # one may wait for ever for the lock of somebody who was killed
        wait_until(lambda: not any("Feeder" in thread.name for thread in threading.enumerate()), 5)
    gc.disable()
    yield
    gc.enable()


@pytest.fixture(autouse=True)
def no_test_hangs(alarm):
    """A test of something that must not hang may not hang either."""
    alarm(4 * PATIENCE)
