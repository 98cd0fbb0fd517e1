"""What is done is kept in the user's own folder, and nothing that stands there can do harm."""

import json
import os
import pathlib
import stat

import platformdirs
import pytest

from mpdemos.practice import predict, progress
from mpdemos.practice.progress import folder, note_try, of


def test_the_folder_is_the_users_own(monkeypatch):
    monkeypatch.delenv("MPDEMOS_DATA")
    assert str(folder()) == platformdirs.user_data_dir("mpdemos", appauthor=False)


def test_looking_writes_nothing():
    progress()
    predict("lock-a")
    assert not folder().exists()


def test_tries_are_counted_once_and_right_stays_right():
    for source, right in (("x = 1", False), ("x = 1  # again", False), ("x = 2", True), ("x = 3", False)):
        note_try("lock-1", right=right, source=source)
    done = of("lock-1")
    assert done.right
    assert len(done.tries) == 3
    assert "✓ lock-1" in repr(progress())
    assert "○ lock-2" in repr(progress())


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such modes")
def test_it_is_private():
    note_try("lock-1", right=True, source="x")
    assert stat.S_IMODE(folder().stat().st_mode) == 0o700
    assert stat.S_IMODE((folder() / "lock-1.json").stat().st_mode) == 0o600
    assert [path.name for path in folder().iterdir()] == ["lock-1.json"]


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "null", '{"right": true}', '{"right": 1, "tries": 3}', "[" * 100_000, "\udcff"]
)
def test_a_file_that_is_broken_counts_as_none(text):
    folder().mkdir(parents=True)
    (folder() / "lock-1.json").write_bytes(text.encode(errors="surrogateescape"))
    assert of("lock-1").tries == []
    note_try("lock-1", right=True, source="x")
    assert of("lock-1").right


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such files")
@pytest.mark.parametrize("kind", ["FIFO", "folder", "endless", "huge"])
def test_what_is_no_file_of_ours_is_not_read(kind):
    folder().mkdir(parents=True)
    path = folder() / "lock-1.json"
    if kind == "FIFO":
        os.mkfifo(path)  # to open it would wait for ever
    elif kind == "folder":
        path.mkdir()
    elif kind == "endless":
        path.symlink_to("/dev/zero")
    else:
        path.write_text('{"right": true, "tries": []}' + " " * 5_000_000)
    assert not of("lock-1").right


def test_a_file_that_cannot_be_read_counts_as_none(monkeypatch):
    note_try("lock-1", right=True, source="x")

    def read_text(self, **options):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(pathlib.Path, "read_text", read_text)
    assert not of("lock-1").right


def test_a_folder_that_cannot_be_made_costs_a_warning(monkeypatch, tmp_path):
    (tmp_path / "file").touch()
    monkeypatch.setenv("MPDEMOS_DATA", str(tmp_path / "file" / "below"))
    with pytest.warns(UserWarning, match="could not be kept"):
        note_try("lock-1", right=True, source="x")
    assert not of("lock-1").right


def test_a_mark_stands_in_the_row_of_its_lesson():
    lessons = progress().lessons
    assert {"lock-1", "lock-a"} < set(lessons["02 Lock"])
    assert all(name.startswith("lock-") for name in lessons["02 Lock"])


def test_reset_forgets_one_or_all():
    for name in ("lock-1", "lock-2", "lock-a"):
        note_try(name, right=True, source="x")
    told = repr(progress(reset="lock-1"))
    assert "○ lock-1" in told
    assert "✓ lock-2" in told
    told = repr(progress(reset=True))
    assert "✓ lock" not in told
    assert list(folder().iterdir()) == []
    with pytest.raises(ValueError, match="no exercise or question 'lock'"):
        progress(reset="lock")
    note_try("lock-1", right=True, source="x")
    with pytest.raises(TypeError, match='reset is True, or a name such as "lock-1", not 1'):
        progress(reset=1)
    assert "✓ lock-1" in repr(progress())


def test_every_lesson_has_a_row_and_words_for_its_marks():
    told = repr(progress()).splitlines()
    assert [line[:2] for line in told[:-1]] == [f"{n:02}" for n in range(len(told) - 1)]
    assert "not attempted" in told[-1]
    assert "<table>" in progress()._repr_mimebundle_()["text/html"]


def test_nothing_but_a_digest_of_an_answer_is_kept():
    note_try("lock-1", right=False, source="password = 'secret'")
    kept = json.loads((folder() / "lock-1.json").read_text(encoding="utf-8"))
    assert "secret" not in str(kept)
    assert set(kept) == {"right", "tries"}
