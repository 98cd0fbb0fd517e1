import multiprocessing.util
import signal
import tempfile
import threading

import pytest
from watchtools import METHODS, PATIENCE, descendants


@pytest.fixture(params=METHODS)
def method(request):
    """Each start method of this platform."""
    return request.param


@pytest.fixture(autouse=True)
def nothing_is_left(tmp_path, monkeypatch):
    """After every test: no process, no folder, no thread, and SIGINT does what it did before."""
    multiprocessing.util.get_temp_dir()  # the library's own outlives this test
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    handler = signal.getsignal(signal.SIGINT)
    yield
    left = descendants()
    for process in left:  # or every later test would fail too
        process.kill()
    assert left == []
    assert list(tmp_path.glob("mpdemos-*")) == []
    assert "mpdemos-guard" not in [thread.name for thread in threading.enumerate()]
    assert signal.getsignal(signal.SIGINT) is handler


@pytest.fixture(autouse=True)
def no_test_hangs(alarm):
    """A test of something that must not hang may not hang either."""
    alarm(4 * PATIENCE)
