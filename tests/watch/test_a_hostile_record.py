"""Whatever lies in the folder of a record: what can be read is told, and what is left out is said."""

import json
import os
import random
import re
import xml.etree.ElementTree as ET

import pytest
from watchtools import posix_only

from mpdemos import watch
from mpdemos.watch import record
from mpdemos.watch.deadlock import nobody_can_go_on
from mpdemos.watch.explain import explain, stuck
from mpdemos.watch.history import History
from mpdemos.watch.picture import Timeline
from mpdemos.watch.record import read

NOT_COMPLETE = "is not complete: not every event could be written or read"

GOOD = [
    [1, "", "process", "", {"name": "MainProcess", "pid": 7, "parent": 1}],
    [2, "", "makes", "Lock-1", {"kind": "Lock", "size": 1}],
    [3, "", "acquired", "Lock-1", None],
    [4, "", "released", "Lock-1", None],
]


def line(values):
    return json.dumps(values).encode() + b"\n"


def told(folder, torn=None):
    """Everything that is ever said or drawn about a record."""
    records, unreadable = read(folder)
    history = History(records, began=0, labels={}, torn=unreadable if torn is None else torn)
    words = explain(history)
    for limit in (3, None):
        stuck(history, limit)
    for without_parent in (False, True):
        nobody_can_go_on(history, without_parent)
    for key in [*history.kinds, "unknown"]:
        history.most_at_once(key)
    history.events()
    timeline = Timeline(history)
    timeline._repr_mimebundle_()
    ET.fromstring(timeline.svg)
    assert len(timeline.svg.encode()) < 1_000_000
    return words


BAD_LINES = {
    "bytes that are not UTF-8": b"\xff\xfe\n",
    "NUL bytes": b"\0" * 5000 + b"\n",
    "a NUL in a record": b'[5,"","acquired","Lock-1\0",null]\n',
    "not JSON": b"Traceback (most recent call last):\n",
    "deep nesting": b"[" * 100_000 + b"\n",
    "deep nesting in the detail": b'[5,"","set","",' + b"[" * 100_000 + b"]" * 100_000 + b"]\n",
    "no time": b'[NaN,"","acquired","Lock-1",null]\n',
    "an endless time": b'[Infinity,"","acquired","Lock-1",null]\n',
    "a time before all": b'[-5,"","acquired","Lock-1",null]\n',
    "a time that no clock shows": b"[" + b"9" * 4000 + b',"","acquired","Lock-1",null]\n',
    "a number too long to be read": b"[" + b"9" * 5000 + b',"","acquired","Lock-1",null]\n',
    "a time as words": b'["5","","acquired","Lock-1",null]\n',
    "an action that is no word": b'[5,"",["acquired"],"Lock-1",null]\n',
    "too few values": b'[5,"","acquired"]\n',
    "too many values": b'[5,"","acquired","Lock-1",null,null]\n',
    "an object": b'{"time": 5}\n',
    "a number": b"5\n",
    "the wrong detail": b'[5,"","starts","",{"pid": "7"}]\n',
    "a detail that cannot be looked up": b'[5,"","got","Queue-1",[1]]\n',
    "a way without an end": b'[5,"","waits","Pipe-1",["send"]]\n',
    "a task that is none": b'[5,"","task","Pool-1",null]\n',
    "half a line": b'[5,"","acqui',
}


@pytest.mark.parametrize("bad", BAD_LINES.values(), ids=BAD_LINES)
def test_a_bad_line_costs_itself_alone_and_is_told(tmp_path, bad):
    for before in range(len(GOOD) + 1):
        lines = [line(each) for each in GOOD]
        lines.insert(before, bad if bad.endswith(b"\n") else bad + b"\n")
        (tmp_path / "7-1.jsonl").write_bytes(b"".join(lines))
        assert read(tmp_path) == ([record.Record(t, "7-1", *rest) for t, *rest in GOOD], 1)
        words = told(tmp_path)
        assert NOT_COMPLETE in words
        assert "Lock-1 was acquired 1 time (MainProcess 1), by at most 1 at once." in words


def test_an_action_that_nobody_knows_changes_nothing(tmp_path):
    lines = [*GOOD, [5, "", "dances", "Lock-1", None], [6, "", "_on_sent", "", "x"]]
    (tmp_path / "7-1.jsonl").write_bytes(b"".join(map(line, lines)))
    assert NOT_COMPLETE not in told(tmp_path)


def test_a_line_that_is_too_long_is_left_out(tmp_path, monkeypatch):
    monkeypatch.setattr(record, "_MOST_LINE", 1000)
    (tmp_path / "7-1.jsonl").write_bytes(b"".join(map(line, [*GOOD, [5, "", "exits", "", "x" * 1000]])))
    assert NOT_COMPLETE in told(tmp_path)
    assert len(read(tmp_path)[0]) == len(GOOD)


def test_of_a_record_that_is_too_long_the_end_is_left_out_and_that_is_said(tmp_path, monkeypatch):
    monkeypatch.setattr(record, "_MOST_BYTES", 10_000)
    long = b"".join(line([n, "", "set", "Event-1", None]) for n in range(5, 2000))
    (tmp_path / "7-1.jsonl").write_bytes(b"".join(map(line, GOOD)) + long)
    for pid in (8, 9):
        (tmp_path / f"{pid}-1.jsonl").write_bytes(long)
    records, _torn = read(tmp_path)
    read_of = [sum(1 for r in records if r.process == process) for process in ("7-1", "8-1", "9-1")]
    assert min(read_of) > 50  # everybody gets a share
    assert sum(read_of) < 10_000 / 30
    assert NOT_COMPLETE in told(tmp_path)


@posix_only
@pytest.mark.parametrize("kind", ["symlink", "FIFO", "folder", "link that leads nowhere"])
def test_what_is_no_file_is_not_opened(tmp_path, kind):
    folder, secret = tmp_path / "record", tmp_path / "secret"
    folder.mkdir()
    secret.write_bytes(line([5, "", "process", "", {"name": "secret", "pid": 8, "parent": 7}]))
    (folder / "7-1.jsonl").write_bytes(b"".join(map(line, GOOD)))
    strange = folder / "8-1.jsonl"
    {
        "symlink": lambda: strange.symlink_to(secret),
        "FIFO": lambda: os.mkfifo(strange),  # to open it would wait for ever
        "folder": strange.mkdir,
        "link that leads nowhere": lambda: strange.symlink_to(tmp_path / "nowhere"),
    }[kind]()
    words = told(folder)
    assert "secret" not in words
    assert NOT_COMPLETE in words


@posix_only
@pytest.mark.skipif(hasattr(os, "geteuid") and os.geteuid() == 0, reason="root may read everything")
def test_a_file_that_may_not_be_read_is_left_out(tmp_path):
    (tmp_path / "7-1.jsonl").write_bytes(b"".join(map(line, GOOD)))
    (tmp_path / "8-1.jsonl").touch(mode=0o000)
    assert NOT_COMPLETE in told(tmp_path)


def test_a_block_whose_record_somebody_writes_to_ends_as_ever():
    with watch() as mp:
        lock = mp.Lock()
        for number, bad in enumerate(BAD_LINES.values()):
            with open(os.path.join(mp._folder, f"99999-{number}.jsonl"), "wb") as file:
                file.write(bad)
        with lock:
            pass
    assert NOT_COMPLETE in mp.explain()
    assert "Lock-1 was acquired 1 time" in mp.explain()


def test_a_file_that_cannot_be_opened_is_told_of(tmp_path, monkeypatch):
    (tmp_path / "100-1.jsonl").write_bytes(b'[1,"","set","Event-1",null]\n')

    def no_descriptor(*args):
        raise OSError(24, "Too many open files")

    monkeypatch.setattr(record, "open", no_descriptor, raising=False)
    assert read(str(tmp_path)) == ([], 1)


# At random: the same on every run, for the seed is given


ACTIONS = sorted(
    {name.removeprefix("_on_").replace("_", " ") for name in vars(History) if name.startswith("_on_")}
    | {"process", "joined", "came through", "notified", "passed", "all done", "end of file", "result", "put"}
    | {"cleared", "set", "notifies", "closed", "empty", "full", "no more tasks", "callback"}
)
WORDS = ["", "Lock-1", "Queue-1", "Pipe-1", "Pool-1", "Barrier-1", "\ud800", "</svg>", "MainProcess"]
DETAILS = [
    *WORDS,
    *("acquire", "get", "put", "set", "notify", "the others", "task", "result", "all", None, True, -1, 0, 3),
    *(["send", 0], ["receive", 1], ["join", 7], ["join", 8], ["send", -3], ["receive", 10**9], [], [[]]),
    *({}, {"pid": 8}, {"pid": 7, "exitcode": -9}, {"pid": 8, "exitcode": None}, {"lost": 2}),
    *({"name": "x", "pid": 8, "parent": 7}, {"name": "x" * 500, "pid": 7, "parent": 8}),
    *({"pid": 8, "name": "y", "worker_of": "Pool-1"}, {"pid": 9, "name": "", "worker_of": ""}),
    *({"kind": kind, "size": 1} for kind in ("Lock", "Queue", "Pipe", "Pool", "Barrier", "Semaphore", "?")),
    *(
        {"error": "e", "traceback": ""},
        {"job": 1, "function": "f", "items": 2},
        {"job": "", "function": [], "items": {}},
    ),
]


def some_record(dice):
    lines = []
    for _ in range(dice.randrange(60)):
        time = dice.choice([dice.randrange(1000), dice.randrange(1000), 2**62, 0])
        thread = dice.choice(["", "", "", "Thread-1"])
        values = [time, thread, dice.choice(ACTIONS), dice.choice(WORDS), dice.choice(DETAILS)]
        text = bytearray(line(values))
        if dice.random() < 0.05:
            text[dice.randrange(len(text))] = dice.randrange(256)
        lines.append(bytes(text))
    return b"".join(lines)


def test_nothing_in_a_record_makes_its_reader_fail(tmp_path):
    dice = random.Random(20261125)
    for _ in range(400):
        for pid in (7, 8, 9):
            (tmp_path / f"{pid}-1.jsonl").write_bytes(some_record(dice))
        for torn in (0, 1):  # 0: as if nobody had noticed
            assert re.search(r"No process was started|started \d+ process", told(tmp_path, torn))
