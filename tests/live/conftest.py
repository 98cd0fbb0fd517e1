import multiprocessing.util
import tempfile
import threading

import pytest
from livetools import descendants

from mpdemos.live import control


@pytest.fixture(autouse=True)
def nothing_is_left(alarm, tmp_path, monkeypatch):
    """After every test: no process, no folder, no thread."""
    alarm(240)
    multiprocessing.util.get_temp_dir()  # the library's own outlives this test
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(control, "_TICK", 0.05)
    monkeypatch.setattr(control, "_GOODBYE", 40.0)  # a busy machine may need more than a learner waits for
    yield
    control._end_latest()
    left = descendants()
    for process in left:  # or every later test would fail too
        process.kill()
    assert left == []
    assert list(tmp_path.glob("mpdemos-*")) == []
    assert [thread.name for thread in threading.enumerate() if thread.name.startswith("mpdemos-")] == []


@pytest.fixture
def run():
    """Start a control and wait until its processes are there; it is closed after the test."""
    started = []

    def run(made, **values):
        for name, value in values.items():
            made.choose(name, value)
        started.append(made)
        made.start()
        return made

    yield run
    for each in started:
        each.close()
