"""64 processes and 100,000 events: the work grows with the events and no faster; the picture stays small."""

import gc
import json
import re
import statistics
import sys
import time
import xml.etree.ElementTree as ET

import pytest
import watchworkers
from watchtools import Story

from mpdemos import watch
from mpdemos.watch.deadlock import nobody_can_go_on
from mpdemos.watch.explain import explain, stuck
from mpdemos.watch.history import History
from mpdemos.watch.picture import Timeline
from mpdemos.watch.record import read

# Seconds of this process: other programs do not count. Windows counts them in steps that are too long.
clock = time.perf_counter if sys.platform == "win32" else time.process_time
PROCESSES, FEW, MANY = 64, 10_000, 100_000
MOST = 3.0  # times as long an event may take among many as among few; twice the events for each would be 10


def crowd(events):
    """Processes that do everything: each with a pipe and a lock of its own, and all with the rest."""
    story = Story()
    names = [f"worker-{number}" for number in range(PROCESSES)]
    for name in names:
        story.meet(name)
    for number in range(PROCESSES):
        story.make(f"Lock-{number}", "Lock", 1)
        story.make(f"Pipe-{number}", "Pipe")
    for kind, size in [("Semaphore", 2), ("BoundedSemaphore", 1), ("Event", 0), ("Queue", 0), ("Pool", 0)]:
        story.make(f"{kind}-1", kind, size)
    turn = 0
    while len(story.records) < events:
        who, mine = names[turn % PROCESSES], turn % PROCESSES
        for lock in (f"Lock-{mine}", "Semaphore-1", f"Lock-{turn * 7 % PROCESSES}"):
            story.note(who, "waits", lock, "acquire")
            story.note(who, "acquired", lock)
            story.note(who, "released", lock)
        story.note(who, "acquired", "BoundedSemaphore-1")
        story.note(who, "released", "BoundedSemaphore-1")
        story.note(who, "released", "BoundedSemaphore-1")
        story.note(who, "not released", "BoundedSemaphore-1")
        story.note("MainProcess", "waits", f"Pipe-{mine}", ["send", 0])
        story.note("MainProcess", "sent", f"Pipe-{mine}", ["send", 0])
        story.note(who, "received", f"Pipe-{mine}", ["receive", 1])
        story.note("MainProcess", "sent", "Queue-1", f"100-{turn}")
        story.note(who, "got", "Queue-1", f"100-{turn}")
        story.note(who, "cleared" if turn % 2 else "set", "Event-1")
        story.note(who, "task", "Pool-1", {"job": 1, "function": "f", "items": 1})
        story.note(who, "done", "Pool-1")
        turn += 1
    return story, names


def write(story, folder):
    folder.mkdir()
    files = {}
    for time_, process, *rest in story.records:
        files.setdefault(process, []).append(json.dumps([time_, *rest]))
    for process, lines in files.items():
        (folder / f"{process}.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")


@pytest.fixture
def no_garbage_collection():
    """It would look through all that the tests before have left, in whichever step it falls."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()


def seconds_of_each_event(folder, events):
    spent = {}
    began = clock()

    def lap(name):
        nonlocal began
        spent[name] = (clock() - began) / events
        began = clock()

    records, _torn = read(folder)
    lap("read")
    history = History(records, began=0, labels={})
    lap("put together")
    explain(history)
    stuck(history, 30)
    lap("explain")
    nobody_can_go_on(history)
    lap("judge")
    timeline = Timeline(history)
    timeline._repr_mimebundle_()
    lap("draw")
    return spent, timeline


def test_time_grows_with_the_events_and_no_faster(tmp_path, no_garbage_collection):
    for events in (FEW, MANY):
        write(crowd(events)[0], tmp_path / str(events))
    few = [seconds_of_each_event(tmp_path / str(FEW), FEW)[0] for _ in range(3)]
    many, timeline = seconds_of_each_event(tmp_path / str(MANY), MANY)
    for step, spent in many.items():
        assert spent < MOST * statistics.median(each[step] for each in few) + 0.5e-6, step
    assert len(timeline.svg.encode()) < 1_000_000
    assert len(timeline._repr_mimebundle_()["text/html"]) < 1_400_000  # in base64


def test_the_picture_of_many_says_what_it_has_left_out():
    story, names = crowd(MANY)
    for name in names:
        story.end(name)
    timeline = Timeline(story.history())
    root = ET.fromstring(timeline.svg)
    shown = ["".join(text.itertext()) for text in root.iter("{http://www.w3.org/2000/svg}text")]
    assert {"MainProcess", *names} < set(shown)
    for words in (
        r"One message in \d+ is drawn\.",
        r"Of \d+ moments at which something was set, \d+ are marked\.",
        r"\d+ spans too short to see are drawn as part of others, or wider\.",
        r"holding one of 66 objects",
    ):
        assert any(re.fullmatch(words, text) for text in shown), words
    told = str(timeline)
    assert "MainProcess started 64 processes: worker-0, worker-1, " in told
    assert " and 54 more." in told
    assert "more objects were used." in told
    assert len(told) < 20_000
    rows = list(root.iter("{http://www.w3.org/2000/svg}rect"))
    assert float(root.get("height")) < 2000
    assert len(rows) < 5000


def test_the_memory_of_a_child_does_not_grow_with_its_events():
    with watch(limit=120) as mp:
        things = mp.Lock(), mp.Event(), mp.SimpleQueue(), mp.Pipe()
        here, there = mp.Pipe()
        child = mp.Process(target=watchworkers.tell_memory, args=(there, things, 200, 2000))
        child.start()
        few, many = here.recv(), here.recv()
        child.join()
        assert len(mp.events) > 2000 * 10
    assert many - few < 2000 * 10 * 10  # ten bytes an event
