import pytest
from practicetools import helpers_end, still_running


@pytest.fixture(autouse=True)
def nothing_is_left(alarm, tmp_path, monkeypatch):
    """Progress goes to a folder of the test's own, and no process of a check outlives the test."""
    alarm(240)
    monkeypatch.setenv("MPDEMOS_DATA", str(tmp_path / "progress"))
    yield
    helpers_end()
    assert still_running() == []
