"""Promise 2: each process's record is complete up to its death, or the explanation says that it is not."""

import contextlib
import errno
import json
import os
import random
import shutil
import signal
import stat
import tempfile
import threading
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import chain
from multiprocessing import resource_tracker, sharedctypes, synchronize

import pytest
import watchworkers
from watchtools import (
    METHODS,
    PATIENCE,
    Story,
    all_wait,
    expire_when_last,
    posix_only,
    running,
    script,
    wait_until,
)

from mpdemos import ChildFailed, Stuck, watch
from mpdemos.watch.explain import explain
from mpdemos.watch.record import Recorder, read

NOT_COMPLETE = "is not complete: not every event could be written or read"


# Killed


@posix_only
@pytest.mark.parametrize("attempt", range(3))
def test_a_killed_child_keeps_every_record(method, attempt):
    written = sharedctypes.RawValue("q", 0)
    enough = random.randrange(1, 3000)
    with watch(method, check=False) as mp:
        event = mp.Event()
        child = mp.Process(target=watchworkers.count_records, args=(event, written), name="writer")
        child.start()
        wait_until(lambda: written.value >= enough)
        os.kill(child.pid, signal.SIGKILL)
        child.join()
    kept = sum(1 for e in mp.events if (e.process, e.action) == ("writer", "set"))
    assert kept - written.value in (0, 1)  # it dies between the record and the count, or elsewhere
    assert "writer was killed by SIGKILL" in mp.explain()


@pytest.mark.parametrize("method", {*METHODS} & {"fork"})  # no test holds up a new Python
def test_who_is_ended_before_its_first_record_has_lost_nothing(method, tmp_path, monkeypatch):
    """As a pool's second worker, which may still start when the pool ends."""
    note, parent = Recorder.note, os.getpid()

    def hold_up(self, action, *args):
        if action == "process" and os.getpid() != parent:
            (tmp_path / "here").touch()
            threading.Event().wait()
        note(self, action, *args)

    monkeypatch.setattr(Recorder, "note", hold_up)
    with watch(method, limit=PATIENCE) as mp:
        child = mp.Process(target=watchworkers.same, args=(1,))
        child.start()
        wait_until((tmp_path / "here").exists)
        child.terminate()
        child.join()
    assert child.exitcode == -signal.SIGTERM
    assert NOT_COMPLETE not in mp.explain()


@pytest.mark.parametrize(("exitcode", "unreadable"), [(-15, 0), (-9, 0), (1, 1), (0, 1)])
def test_who_ended_by_itself_and_has_no_record_has_lost_it(exitcode, unreadable, tmp_path):
    (tmp_path / "100-1.jsonl").touch()
    reaps = f'[5,"","reaps","",{{"pid":100,"exitcode":{exitcode}}}]\n'
    (tmp_path / "7-1.jsonl").write_text(reaps, encoding="utf-8")
    assert read(tmp_path)[1] == unreadable


def test_a_torn_last_line_costs_one_record(tmp_path):
    whole = b'[5,"","acquired","Lock-1",null]\n[6,"","released","Lock-1",null]\n'
    for torn in (b"[7", b'[7,"","acq', b'[7,"","acquired","Lock-1",nul', b'{"a": 1}', b"\xff\xfe", b"[]"):
        (tmp_path / "100-1.jsonl").write_bytes(whole + torn)
        records, unreadable = read(tmp_path)
        assert [(r.time, r.process, r.action) for r in records] == [
            (5, "100-1", "acquired"),
            (6, "100-1", "released"),
        ]
        assert unreadable == 1


def test_a_torn_line_in_the_middle_costs_no_other_one(tmp_path):
    (tmp_path / "1-1.jsonl").write_bytes(b'[1,"","a","",null]\n[2,"","b\n[3,"","c","",null]\n')
    records, unreadable = read(tmp_path)
    assert [record.action for record in records] == ["a", "c"]
    assert unreadable == 1


def test_an_explanation_says_that_lines_were_torn():
    story = Story()
    story.meet("child")
    story.end("child")
    assert NOT_COMPLETE not in explain(story.history())
    assert NOT_COMPLETE in explain(story.history(torn=1))


# A full disk


@posix_only
def test_a_full_disk_costs_the_record_and_not_the_program(method):
    done = sharedctypes.RawValue("q", 0)
    with watch(method) as mp:  # checks that the child ends with exit code 0
        lock = mp.Lock()
        child = mp.Process(target=watchworkers.work_on_a_full_disk, args=(lock, done, 500), name="writer")
        child.start()
        child.join()
    assert done.value == 500
    assert child.exitcode == 0
    assert f"The record of writer {NOT_COMPLETE}" in mp.explain()
    assert 0 < sum(1 for event in mp.events if event.process == "writer") < 1000


def test_a_full_disk_in_the_parent(monkeypatch):
    write = os.write

    def full(fd, data):
        if fd == mp._recorder._fd:
            raise OSError(errno.ENOSPC, "No space left on device")
        return write(fd, data)

    with watch() as mp:
        lock = mp.Lock()
        monkeypatch.setattr(os, "write", full)
        with lock:
            pass
        monkeypatch.undo()
    assert NOT_COMPLETE in mp.explain()


def test_the_record_of_a_short_write_goes_on(tmp_path, monkeypatch):
    """A disk that is full for a moment costs the one line that was cut."""
    recorder = Recorder(str(tmp_path))
    recorder.open("p")
    write = os.write

    def cut(fd, data):
        return write(fd, data[: len(data) // 2] if fd == recorder._fd else data)

    monkeypatch.setattr(os, "write", cut)
    recorder.note("cut")
    monkeypatch.setattr(os, "write", write)
    recorder.note("whole")
    os.close(recorder._fd)
    records, unreadable = read(tmp_path)
    assert [record.action for record in records] == ["process", "whole"]
    assert unreadable == 1
    assert recorder.lost == 1


def test_a_gap_in_the_record_is_marked_in_it(tmp_path, monkeypatch):
    """Or a process that could not note that it woke up would be taken for one that waits for ever."""
    recorder = Recorder(str(tmp_path))
    recorder.open("p")
    write = os.write

    def note_on_a_full_disk(action):
        monkeypatch.setattr(os, "write", full_disk)
        recorder.note(action)
        monkeypatch.setattr(os, "write", write)

    note_on_a_full_disk("lost")
    assert [record.action for record in read(tmp_path)[0]] == ["process"]
    assert read(tmp_path)[1] == 1
    recorder.note("again")
    note_on_a_full_disk("lost")
    note_on_a_full_disk("lost")
    assert [record.action for record in read(tmp_path)[0]] == ["process", "again"]
    assert read(tmp_path)[1] == 2
    recorder.close()
    assert recorder.lost == 3


def full_disk(fd, data, write=os.write):
    """Only for files: in a pipe the garbage collector may just be telling the resource tracker something."""
    if stat.S_ISREG(os.fstat(fd).st_mode):
        raise OSError(errno.ENOSPC, "No space left on device")
    return write(fd, data)


def test_a_process_that_could_not_write_its_first_line_is_told_of(tmp_path):
    (tmp_path / "100-1.jsonl").touch()
    assert read(tmp_path) == ([], 1)


def test_a_full_disk_is_refused_with_advice(tmp_path, monkeypatch):
    handler = signal.getsignal(signal.SIGINT)
    with monkeypatch.context() as patch:
        patch.setattr(os, "write", full_disk)
        with pytest.raises(OSError, match=r"cannot make one \(No space left on.*free some space"), watch():
            pytest.fail("the block was entered")
    assert list(tmp_path.glob("mpdemos-*")) == []
    assert signal.getsignal(signal.SIGINT) is handler


@pytest.mark.parametrize(
    ("number", "advice"), [(errno.ENOSPC, "free some space"), (errno.EMFILE, "close files, pipes and queues")]
)
def test_an_error_says_that_no_file_could_be_written(monkeypatch, number, advice):
    """The program's own error may not: SQLite says that it is unable to open its database."""
    trouble = OSError(number, os.strerror(number))
    with pytest.raises(ValueError, match="mine") as caught, watch() as mp:
        monkeypatch.setattr(mp._recorder, "test", lambda: trouble)
        raise ValueError("mine")
    (note,) = caught.value.__notes__
    assert note.startswith("When this failed, no file could be written where watch keeps its record: ")
    assert os.strerror(number) in note
    assert advice in note


@posix_only
def test_an_error_of_a_child_says_so_too(method):
    with pytest.raises(ChildFailed) as caught, watch(method) as mp:
        mp.Process(target=watchworkers.fail_where_no_file_can_grow).start()
    told = f"no file could be written where watch keeps its record: {os.strerror(errno.EFBIG)}"
    assert told in caught.value.failures[0].traceback
    assert caught.value.failures[0].error == "ValueError: mine"


def test_to_look_for_room_disturbs_nobody_who_looks_too(tmp_path):
    recorder, together = Recorder(str(tmp_path)), threading.Barrier(2)

    def look(_number):
        together.wait(PATIENCE)
        return [recorder.test() for _ in range(300)]

    with ThreadPoolExecutor(2) as both:
        assert set(chain(*both.map(look, range(2)))) == {None}
    assert list(tmp_path.iterdir()) == []


@posix_only
def test_to_look_for_room_takes_none(tmp_path):
    import resource

    recorder, limits = Recorder(str(tmp_path)), resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (2000, limits[1]))
        trouble = recorder.test()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert trouble.errno == errno.EFBIG
    assert list(tmp_path.iterdir()) == []


# A folder that somebody removes


@posix_only
def test_a_removed_folder_costs_the_record_and_not_the_program(method):
    with watch(method) as mp:
        lock = mp.Lock()
        shutil.rmtree(mp._folder)
        child = mp.Process(target=watchworkers.hold_once, args=(lock,), name="writer")
        child.start()
        child.join()
        assert [event.action for event in mp.events][:2] == ["starts", "waits"]
    assert "MainProcess started 1 process: writer." in mp.explain()
    assert NOT_COMPLETE in mp.explain()
    assert "writer" in mp.timeline().svg


@posix_only
def test_an_error_says_that_the_folder_was_removed():
    with pytest.raises(ChildFailed) as caught, watch() as mp:
        shutil.rmtree(mp._folder)
        mp.Process(target=watchworkers.fail, name="writer").start()
    lost = "What it noted of its end could not be written or read: No such file or directory."
    assert f"writer ended with exit code 1.\n{lost}" in str(caught.value)
    assert caught.value.__notes__[0].startswith(
        "While this watched block ran, somebody removed the temporary"
    )
    with pytest.raises(ValueError, match="mine") as caught, watch() as mp:
        shutil.rmtree(mp._folder)
        raise ValueError("mine")
    assert mp._folder in caught.value.__notes__[0]


@posix_only
def test_a_removed_folder_does_not_keep_the_limit_from_ending_a_block():
    with pytest.raises(Stuck, match="within its limit") as caught, watch(limit=PATIENCE) as mp:
        shutil.rmtree(mp._folder)
        mp.Lock().acquire()
        expire_when_last(mp, all_wait("MainProcess"))
        mp.Event().wait()
    assert "MainProcess waits for Event-1 to be set" in str(caught.value)
    assert NOT_COMPLETE in str(caught.value)
    assert caught.value.__notes__


NO_FOLDER = """
import glob, os, shutil, tempfile
import watchworkers
from mpdemos import watch

def start(mp):
    child = mp.Process(target=watchworkers.nothing)
    child.start()
    child.join()

if __name__ == "__main__":
    with watch("{method}") as mp:
        start(mp)
        mp.Manager()
    for folder in glob.glob(os.path.join(tempfile.gettempdir(), "pymp-*")):
        shutil.rmtree(folder)
    try:
        with watch("{method}") as mp:
            {what}
    except {error} as error:
        print(error.__notes__[-1], flush=True)
"""


@posix_only
@pytest.mark.parametrize(
    ("method", "what", "error"),
    [
        ("forkserver", "start(mp)", "OSError"),  # the fork server has lost its socket
        ("spawn", "mp.Manager()", "EOFError"),  # a manager makes one in its own process
    ],
)
def test_who_lost_the_folder_of_the_library_is_told(tmp_path, method, what, error):
    with running(script(tmp_path, NO_FOLDER.format(method=method, what=what, error=error))) as run:
        run.await_line("What uses it, as managers and the fork server do, may not work until you restart.")


# What the system has no more of


@posix_only
def test_without_a_file_descriptor_a_block_ends_and_is_told(no_collection):
    with contextlib.ExitStack() as block, few_descriptors() as (take_all, give_one_back):
        mp = block.enter_context(watch())
        mp.Lock().acquire()
        take_all()
        with pytest.raises(OSError, match="Too many open files"):
            mp.Pipe()
        assert [event.action for event in mp.events] == ["acquired"]  # its own record needs no new one
        for freed in range(5):  # its record needs one, its guard two and two more for Ctrl-C
            with pytest.raises(OSError, match="Too many open files"), watch():
                pytest.fail(f"the block was entered with {freed} descriptors")
            give_one_back()
        block.close()
    assert [event.action for event in mp.events] == ["acquired"]


@contextlib.contextmanager
def few_descriptors():
    import resource

    taken = []

    def take_all():
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(map(int, os.listdir("/dev/fd"))) + 9, limits[1]))
        with contextlib.suppress(OSError):
            while True:
                taken.append(os.open(os.devnull, os.O_RDONLY))

    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        yield take_all, lambda: os.close(taken.pop())
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
        for fd in taken:
            os.close(fd)


@posix_only
def test_a_semaphore_is_not_made_where_nobody_could_remove_it(monkeypatch):
    """The library makes it first, and leaves it in the system if its tracker cannot start then."""

    class NoTracker:
        _fd = None

        def ensure_running(self):
            raise OSError(errno.EMFILE, "Too many open files")

    with watch("spawn") as mp, monkeypatch.context() as patch:
        patch.setattr(resource_tracker, "_resource_tracker", NoTracker())
        patch.setattr(synchronize._multiprocessing, "SemLock", lambda *args: pytest.fail("it was made"))
        with pytest.raises(OSError, match="Too many open files"):
            mp.Lock()


def test_without_a_semaphore_the_error_says_so(monkeypatch):
    def none_left(*args):
        raise OSError(errno.ENOSPC, "No space left on device")

    with watch() as mp:
        monkeypatch.setattr(synchronize._multiprocessing, "SemLock", none_left)
        for make in (
            mp.Lock,
            mp.Event,
            mp.Queue,
            mp.Condition,
            partial(mp.Barrier, 2),
            partial(mp.Value, "i"),
        ):
            with pytest.raises(OSError, match="No space left") as caught:
                make()
            assert ["no room for another semaphore" in note for note in caught.value.__notes__] == [True]


def test_a_folder_that_is_gone_costs_the_record_and_not_the_program(tmp_path):
    recorder = Recorder(str(tmp_path / "gone"))
    recorder.note("set", "Event-1")
    recorder.note("set", "Event-1")
    assert recorder.lost >= 1


# The folder


def unusable_folders(tmp_path):
    yield tmp_path / "missing"
    (tmp_path / "file").touch()
    yield tmp_path / "file"
    if hasattr(os, "geteuid") and os.geteuid() != 0:  # root may write everywhere
        (tmp_path / "closed").mkdir(mode=0o500)
        yield tmp_path / "closed"


def test_an_unwritable_temporary_folder_is_refused_with_advice(tmp_path, monkeypatch):
    threads = set(threading.enumerate())
    handler = signal.getsignal(signal.SIGINT)
    for folder in unusable_folders(tmp_path):
        monkeypatch.setattr(tempfile, "tempdir", str(folder))
        with pytest.raises(OSError, match=r"cannot make one \(.+\).*TMPDIR") as caught, watch():
            pytest.fail("the block was entered")
        assert caught.value.errno
        assert str(folder) in caught.value.filename
        assert set(threading.enumerate()) <= threads
        assert signal.getsignal(signal.SIGINT) is handler


@posix_only
def test_the_folder_is_private(tmp_path, method):
    with watch(method) as mp:
        lock = mp.Lock()
        child = mp.Process(target=watchworkers.hold_once, args=(lock,))
        child.start()
        child.join()
        (folder,) = tmp_path.glob("mpdemos-*")
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
        files = list(folder.iterdir())
        assert len(files) == 2
        assert {stat.S_IMODE(file.stat().st_mode) for file in files} == {0o600}
    assert not folder.exists()


def test_the_folder_is_removed_after_an_error(tmp_path):
    with pytest.raises(ZeroDivisionError), watch():
        assert len(list(tmp_path.glob("mpdemos-*"))) == 1
        _ = 1 / 0
    assert list(tmp_path.glob("mpdemos-*")) == []


def test_every_line_is_json(tmp_path, method):
    with watch(method) as mp:
        lock = mp.Lock()
        mp.label(**{'odd "name" \\ ü': lock})
        child = mp.Process(target=watchworkers.use_in_a_thread, args=(lock,), name='a "strange"\nnäme \\ 🙂')
        child.start()
        child.join()
        (folder,) = tmp_path.glob("mpdemos-*")
        for file in folder.iterdir():
            text = file.read_bytes()
            assert text.endswith(b"\n")
            for line in text.splitlines():
                time, thread, action, resource, _detail = json.loads(line)
                assert isinstance(time, int)
                assert {type(part) for part in (thread, action, resource)} == {str}
    used = [e for e in mp.events if e.action == "acquired"]
    assert [(e.process, e.thread, e.resource) for e in used] == [
        ('a "strange"\nnäme \\ 🙂', 'an "odd" näme', 'odd "name" \\ ü')
    ]


def test_events_can_be_read_within_the_block_and_after_it():
    with watch() as mp:
        lock = mp.Lock()
        with lock:
            inside = [event.action for event in mp.events]
    assert inside == ["acquired"]
    assert [event.action for event in mp.events] == ["acquired", "released"]
    assert [event.seconds for event in mp.events] == sorted(event.seconds for event in mp.events)
    assert all(event.seconds >= 0 for event in mp.events)
