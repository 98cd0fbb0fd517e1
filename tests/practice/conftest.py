import pytest
from practicetools import helpers_end, still_running

from mpdemos.practice.folder import remove_folder


@pytest.fixture(scope="module", autouse=True)
def the_folder_goes():
    """And the process that would remove it: the tests of another file would find it left."""
    yield
    remove_folder()


@pytest.fixture(autouse=True)
def nothing_is_left(tmp_path, monkeypatch):
    """Progress goes to a folder of the test's own, and no process of a check outlives the test."""
    monkeypatch.setenv("MPDEMOS_DATA", str(tmp_path / "progress"))
    yield
    helpers_end()
    assert still_running() == []
