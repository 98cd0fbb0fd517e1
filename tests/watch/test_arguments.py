"""How a watch is asked, and what it says to what it cannot do."""

import inspect
import math
import multiprocessing
import subprocess
import sys

import pytest
import watchworkers
from watchtools import METHODS, PATIENCE, all_wait, environment, expire_when_last, script

import mpdemos
from mpdemos import ChildFailed, Stuck, start_method, watch

# The start method


def test_the_default_is_spawn(monkeypatch):
    monkeypatch.delenv("MPDEMOS_START_METHOD", raising=False)
    assert start_method() == "spawn"
    with watch() as mp:
        assert mp.get_start_method() == "spawn"


def test_an_empty_variable_is_no_variable(monkeypatch):
    monkeypatch.setenv("MPDEMOS_START_METHOD", "")
    assert start_method() == "spawn"


def test_the_variable_overrides_the_default_and_the_argument_overrides_both(monkeypatch, method):
    monkeypatch.setenv("MPDEMOS_START_METHOD", method)
    assert start_method() == method
    with watch() as mp:
        assert mp.get_start_method() == method
    with watch("spawn") as mp:
        assert mp.get_start_method() == "spawn"


def test_the_start_method_of_the_program_is_left_alone():
    before = multiprocessing.get_start_method(allow_none=True)
    with watch("spawn"):
        assert multiprocessing.get_start_method(allow_none=True) == before
    assert multiprocessing.get_start_method(allow_none=True) == before


@pytest.mark.parametrize("wrong", ["spam", "Spawn", "spawn ", ""])
def test_an_unknown_start_method_is_refused_at_once(wrong):
    with pytest.raises(ValueError, match=rf"start method '{wrong}': this platform has .*spawn"):
        watch(wrong)


def test_a_wrong_variable_is_refused_at_once(monkeypatch):
    monkeypatch.setenv("MPDEMOS_START_METHOD", "treadmill")
    for call in (start_method, watch):
        with pytest.raises(ValueError, match="start method 'treadmill': this platform has"):
            call()


def test_fork_is_refused_on_windows(monkeypatch):
    monkeypatch.setattr(multiprocessing, "get_all_start_methods", lambda: ["spawn"])
    with pytest.raises(ValueError, match=r"start method 'fork': this platform has spawn$"):
        watch("fork")


# The limit


@pytest.mark.parametrize("limit", [0, -1, -0.5, math.nan, math.inf, -math.inf])
def test_a_limit_that_is_no_time_is_refused_at_once(limit):
    with pytest.raises(ValueError, match="limit: more than 0 seconds, or None for no limit"):
        watch(limit=limit)


@pytest.mark.parametrize("limit", ["10", True, False, b"1", [1], 1j])
def test_a_limit_that_is_no_number_is_refused_at_once(limit):
    with pytest.raises(TypeError, match="limit: seconds or None, not "):
        watch(limit=limit)


@pytest.mark.parametrize("limit", [100, 100.5, 10**6, None])
def test_a_limit_is_a_number_of_seconds_or_none(limit):
    with watch(limit=limit):
        pass


def test_the_default_limit_is_30_seconds():
    assert inspect.signature(watch).parameters["limit"].default == 30


def test_all_but_the_method_are_named():
    with pytest.raises(TypeError):
        watch("spawn", 10)


def test_the_package_has_what_a_lesson_needs():
    assert {"watch", "start_method", "Stuck", "ChildFailed"} <= set(mpdemos.__all__)


# Before the block, and after it

MAKERS = {
    "Lock": (),
    "Queue": (),
    "Pipe": (),
    "Event": (),
    "Value": ("i", 0),
    "Pool": (1,),
}


@pytest.mark.parametrize("name", MAKERS)
def test_nothing_is_made_before_the_block(name):
    with pytest.raises(RuntimeError, match="use a watch in a with statement: `with watch"):
        getattr(watch(), name)(*MAKERS[name])


@pytest.mark.parametrize("name", MAKERS)
def test_nothing_is_made_after_the_block(name):
    with watch() as mp:
        pass
    with pytest.raises(RuntimeError, match=r"this watched block is over: call watch\(\) again"):
        getattr(mp, name)(*MAKERS[name])


def test_nothing_is_started_after_the_block():
    with watch() as mp:
        child = mp.Process(target=watchworkers.nothing)
    with pytest.raises(RuntimeError, match="this watched block is over"):
        child.start()


@pytest.mark.parametrize("question", ["events", "explain", "timeline"])
def test_nothing_is_told_before_the_block(question):
    with pytest.raises(RuntimeError, match="with statement"):
        answer = getattr(watch(), question)
        answer()


def test_a_watch_is_used_once():
    mp = watch()
    with mp:
        pass
    with pytest.raises(RuntimeError, match="a watch is used once"), mp:
        pass


def test_blocks_may_be_nested_and_know_their_own():
    with watch() as outer, watch() as inner:
        mine, yours = outer.Lock(), inner.Lock()
        with mine, yours:
            pass
    assert outer.most_at_once(mine) == inner.most_at_once(yours) == 1
    assert len(outer.events) == len(inner.events) == 2
    with pytest.raises(TypeError):
        outer.most_at_once(yours)


# Labels


def test_labels_are_the_names_that_are_shown(method):
    with watch(method) as mp:
        till, plain = mp.Lock(), mp.Lock()
        mp.label(till=till)
        child = mp.Process(target=watchworkers.hold_once, args=(till,), name="teller")
        child.start()
        child.join()
        with plain:
            pass
    assert "lock till was acquired 1 time (teller 1), by at most 1 at once." in mp.explain()
    assert "Lock-2 was acquired 1 time (MainProcess 1)" in mp.explain()
    assert [e.resource for e in mp.events if e.action == "acquired"] == ["till", "Lock-2"]
    assert "till" in mp.timeline().svg


def test_a_title_is_text():
    with watch() as mp:
        pass
    with pytest.raises(TypeError, match="a title is text, not 3"):
        mp.timeline(3)


def test_a_label_may_come_after_the_block():
    with watch() as mp:
        lock = mp.Lock()
        with lock:
            pass
    assert "Lock-1" in mp.explain()
    mp.label(till=lock)
    assert "lock till was acquired" in mp.explain()
    assert "Lock-1" not in mp.explain()


def test_both_ends_of_a_pipe_are_one_thing():
    with watch() as mp:
        here, there = mp.Pipe()
        mp.label(wire=there)
        here.send(1)
        there.recv()
    assert "pipe wire: 1 message from MainProcess to MainProcess." in mp.explain()


def test_values_and_arrays_are_known_by_their_lock():
    with watch() as mp:
        balance, seats = mp.Value("i", 0), mp.Array("i", 3)
        mp.label(balance=balance, seats=seats)
        with balance.get_lock(), seats.get_lock():
            pass
    assert "balance was acquired 1 time" in mp.explain()
    assert mp.most_at_once(seats) == 1


@pytest.mark.parametrize(
    "thing",
    [None, 1, "lock", object(), multiprocessing.get_context("spawn").Lock()],
    ids=lambda t: type(t).__name__,
)
def test_what_is_not_of_this_watch_is_refused(thing):
    with watch() as mp:
        with pytest.raises(TypeError, match="was not made by this watch, so there is no record of it"):
            mp.label(thing=thing)
        with pytest.raises(TypeError, match="was not made by this watch"):
            mp.most_at_once(thing)


def test_what_another_watch_made_is_refused():
    with watch() as other:
        lock = other.Lock()
    with watch() as mp, pytest.raises(TypeError, match="was not made by this watch"):
        mp.label(lock=lock)


def test_a_label_that_is_refused_gives_no_other_name():
    with watch() as mp:
        lock = mp.Lock()
        with pytest.raises(TypeError):
            mp.label(good=lock, bad=1)
        with lock:
            pass
    assert "good" not in mp.explain()


# Process classes that somebody else wrote


def test_a_process_class_from_the_plain_library(method):
    with watch(method) as mp:
        counter = mp.Value("i", 0)
        mp.label(counter=counter)
        clock = mp.watched(watchworkers.Clock)(0.001, 3, counter, name="clock")
        assert isinstance(clock, watchworkers.Clock)
        clock.start()
        clock.join()
        assert counter.value == 3
    assert clock.exitcode == 0
    assert "MainProcess started 1 process: clock." in mp.explain()
    assert "value counter was acquired" in mp.explain()
    assert (
        sum(1 for e in mp.events if (e.process, e.action) == ("clock", "acquired")) == 9
    )  # `with`, get, set


def test_a_watched_class_keeps_name_and_signature():
    with watch() as mp:
        watched = mp.watched(watchworkers.Clock)
        assert mp.watched(watchworkers.Clock) is watched
        assert mp.watched(multiprocessing.process.BaseProcess)(name="plain").name == "plain"
    assert issubclass(watched, watchworkers.Clock)
    assert watched.__name__ == "Clock"
    assert inspect.signature(watched) == inspect.signature(watchworkers.Clock)


@pytest.mark.parametrize("wrong", [None, int, "Clock", watchworkers.nothing])
def test_what_is_no_process_class_is_refused(wrong):
    with watch() as mp, pytest.raises(TypeError, match=r"takes a subclass of multiprocessing\.Process, not"):
        mp.watched(wrong)


def test_a_watched_class_reports_its_failure():
    with pytest.raises(ChildFailed, match="TypeError"), watch() as mp:
        mp.watched(watchworkers.Clock)("soon", 1, None).start()


def test_a_watched_class_may_have_names_and_ways_of_its_own(method):
    with watch(method) as mp:
        gate = mp.Event()
        server = mp.watched(watchworkers.Headstrong)(gate)
        assert server.start() == "started"
        gate.set()
        assert server.join() == "joined"
        assert server.end == 10
    with pytest.raises(KeyError, match="mine"), watch(method) as mp:
        mp.watched(watchworkers.Headstrong)(mp.Event()).start()
        raise KeyError("mine")


def test_a_watched_class_may_call_the_librarys_methods_by_name(method):
    with watch(method) as mp:
        server = mp.watched(watchworkers.Explicit)(mp.Event())
        server.start()
        server.terminate()
        server.join()
    assert "server was ended by MainProcess." in mp.explain()
    with pytest.raises(ChildFailed, match="ValueError: no ink left"), watch(method) as mp:
        gate = mp.Event()
        server = mp.watched(watchworkers.Explicit)(gate)
        server.start()
        gate.set()
        server.join()
        server.close()
    with pytest.raises(KeyError), watch(method) as mp:
        mp.watched(watchworkers.Explicit)(mp.Event()).start()
        raise KeyError


def test_a_child_whose_start_waits_is_known_meanwhile(method):
    with pytest.raises(Stuck, match="Event-2 to be set"), watch(method, limit=PATIENCE) as mp:
        server = mp.watched(watchworkers.Headstrong)(mp.Event(), mp.Event())
        expire_when_last(mp, all_wait("MainProcess", "server"))
        server.start()
    assert server.exitcode not in (None, 0)


def test_a_class_written_on_top_of_the_watched_one(method):
    if method != "fork":
        pytest.skip("a class inside a function cannot be pickled, watched or not")
    with watch(method) as mp:
        done = mp.Event()

        class Setter(mp.Process):
            def run(self):
                done.set()

        setter = Setter(name="setter")
        setter.start()
        setter.join()
        assert done.is_set()
    assert [(e.process, e.action) for e in mp.events if e.action == "set"] == [("setter", "set")]


OWN_CLASS = """
import multiprocessing
from mpdemos import watch

class Greeter(multiprocessing.Process):
    def __init__(self, connection):
        super().__init__(name="greeter")
        self.connection = connection

    def run(self):
        self.connection.send(f"hello from {self.name}")

if __name__ == "__main__":
    with watch(sys.argv[1]) as mp:
        here, there = mp.Pipe()
        greeter = mp.watched(Greeter)(there)
        greeter.start()
        print(here.recv())
        greeter.join()
    print(mp.explain())
"""


@pytest.mark.parametrize("method", METHODS)
def test_a_process_class_of_a_script(tmp_path, method):
    told = subprocess.run(
        [sys.executable, str(script(tmp_path, OWN_CLASS)), method],
        env=environment(tmp_path / "t"),
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=True,
    ).stdout.splitlines()
    assert told[0] == "hello from greeter"
    assert told[1] == "MainProcess started 1 process: greeter."
    assert told[-1] == "Pipe-1: 1 message from greeter to MainProcess."
