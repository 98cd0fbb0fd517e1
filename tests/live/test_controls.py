"""Each live control: real processes that do what the buttons say, and words that tell it."""

import base64
import multiprocessing
import re
import threading
from functools import partial

import pytest
from livetools import PATIENCE, descendants, hold, named, rest, says, take_one, wait_for, wait_until

from mpdemos import live
from mpdemos.live import workers

KINDS = [live.Lock, live.Semaphore, live.Event, live.Queue, live.Pool]


def drawn(control):
    """The text of the picture that is shown."""
    (data,) = re.findall('base64,([^"]*)', control.image)
    return base64.b64decode(data).decode()


def done(control):
    return [(event.process, event.action) for event in control.mp.events]


@pytest.mark.parametrize("method", multiprocessing.get_all_start_methods())
@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.kind)
def test_starts_and_ends_real_processes(kind, method, run, monkeypatch):
    monkeypatch.setenv("MPDEMOS_START_METHOD", method)
    control = kind()
    assert not control.running
    assert descendants() == []
    before = control.image
    run(control)
    says(control, "till is|inside|go is|places on|workers are")
    assert control.running
    assert len(descendants()) >= 2
    assert control.image != before
    control.close()
    assert not control.running
    assert descendants() == []
    assert control.state == "Stopped. Every process has ended."


def test_tellers_take_turns(run):
    control = run(live.Lock())
    says(control, "held by teller-[123]; ")
    control.press("One more teller")
    says(control, "held by teller-4")


def test_a_lock_stays_held_when_its_holder_is_killed(run, monkeypatch):
    monkeypatch.setattr(workers, "count_money", hold)  # or it may have released before it is killed
    control = run(live.Lock())
    says(control, r"held by teller-\d; teller-\d and teller-\d wait\.")
    control.press("Kill the holder")
    dead = says(control, r"held by (teller-\d) \(dead\); teller-\d and teller-\d wait\.")[1]
    assert f"{dead} was killed: it can never release what it held." in control.state
    wait_until(lambda: "killed" in drawn(control))  # as soon as its exit code is known
    control.press("Kill the holder")
    says(control, "nobody to kill")


def test_there_is_room_for_so_many_tellers_only(run):
    control = run(live.Lock())
    for _ in range(4):
        control.press("One more teller")
    says(control, "6 are enough")
    assert len(descendants()) == 6


def test_as_many_are_inside_as_there_are_places(run):
    control = run(live.Semaphore())
    says(control, "2 places, 2 inside: .*wait")
    assert control.mp.most_at_once(control.thing) == 2
    control.choose("places", 3)  # begins anew
    says(control, "3 places, 3 inside")
    assert control.mp.most_at_once(control.thing) == 3
    control.choose("workers", 6)
    says(control, "3 places, 3 inside: .*wait")
    control.press("Release once too often")
    says(control, "3 places, 4 inside")


def test_a_place_is_lost_with_its_process(run, monkeypatch):
    monkeypatch.setattr(workers, "visit", hold)  # or it may have left before it is killed
    control = run(live.Semaphore(), places=1, workers=2)
    says(control, r"1 place, 1 inside: worker-\d; worker-\d waits")
    control.press("Kill one inside")
    dead = says(control, r"1 place, 1 inside: (worker-\d) \(dead\); worker-\d waits")[1]
    assert f"{dead} was killed: a place that it held is gone for good." in control.state


def test_walkers_walk_while_the_event_is_set(run):
    control = run(live.Event())
    says(control, "not set; walker-1, walker-2 and walker-3 wait")
    control.press("Set")
    says(control, "set: everybody walks")
    control.press("Clear")
    says(control, "not set; walker-1, walker-2 and walker-3 wait")
    assert done(control).count(("MainProcess", "set")) == 1
    assert done(control).count(("MainProcess", "cleared")) == 1


def test_who_presses_twice_is_obeyed_in_order(run):
    """A busy machine may begin the first call late."""
    control, begin = run(live.Event()), threading.Event()
    says(control, "not set; walker-1, walker-2 and walker-3 wait")
    set_it = control.thing.set
    control.thing.set = lambda: begin.wait(PATIENCE) and set_it()
    control.press("Set")
    control.press("Clear")
    wait_until(lambda: len(control._calls) == 2 and control._calls[1].ident)
    begin.set()
    for call in control._calls:
        call.join(PATIENCE)
    assert not control.thing.is_set()
    assert [what for _who, what in done(control) if what in ("set", "cleared")] == ["set", "cleared"]


def test_the_words_tell_what_has_been_done(run):
    """A busy machine may begin a call late."""
    control, came, begin = run(live.Event()), threading.Event(), threading.Event()
    says(control, "not set; walker-1, walker-2 and walker-3 wait")
    clear_it = control.thing.clear

    def clear():
        came.set()
        return begin.wait(PATIENCE) and clear_it()

    control.thing.clear = clear
    control.press("Set")
    control.press("Clear")
    assert came.wait(PATIENCE)  # so the first call is over
    for _ in range(3):  # the words are older than their picture: of the first one they may be from before
        before = control.image
        wait_until(lambda before=before: control.image != before)
    assert "everybody walks" in control.state
    begin.set()
    says(control, "go is not set")
    assert ("MainProcess", "cleared") in done(control)


def test_a_full_shelf_makes_the_cooks_wait(run, monkeypatch):
    monkeypatch.setattr(workers, "carry", take_one)  # or it may be back for another one when it is killed
    control = run(live.Queue(), cooks=2, room=1)
    says(control, "places on")
    wait_until(lambda: ("waiter-1", "got") in done(control))
    wait_until(lambda: [what for _who, what in done(control)].count("put") == 2)  # one has been taken
    says(control, "1 of 1 places on the shelf are taken; cook-1 and cook-2 wait for room")
    control.press("Put a plate")
    says(control, "no room for your plate: queue.Full")
    control.press("Kill a waiter")
    says(control, "waiter-1 was killed: a plate that it carried is lost")
    says(control, "1 of 1 places on the shelf are taken; cook-1 and cook-2 wait for room")
    control.press("One more waiter")
    wait_until(lambda: ("waiter-2", "got") in done(control))


def test_an_empty_shelf_makes_the_waiters_wait(run, monkeypatch):
    monkeypatch.setattr(workers, "cook", rest)
    control = run(live.Queue(), waiters=3)
    says(control, "waiter-1, waiter-2 and waiter-3 wait for a plate")
    control.press("Put a plate")
    wait_until(lambda: ("MainProcess", "put") in done(control))
    wait_until(lambda: "got" in [what for _who, what in done(control)])


def test_a_waiter_that_waits_is_not_killed(run, monkeypatch):
    """It holds the lock of the queue: the others would never get a plate again."""
    monkeypatch.setattr(workers, "cook", rest)
    control = run(live.Queue(), waiters=2)
    says(control, "waiter-1 and waiter-2 wait for a plate")
    control.press("Kill a waiter")
    says(control, "nobody to kill")
    assert named(control, "waiter-1").is_alive()
    assert named(control, "waiter-2").is_alive()


def test_a_pool_loses_the_task_of_a_killed_worker_and_goes_on(run, tmp_path, monkeypatch):
    monkeypatch.setattr(workers, "nap", partial(wait_for, str(tmp_path / "go on")))
    control = run(live.Pool())
    says(control, "0 of 2 workers are busy; tasks: 0 wait, 0 done, 0 lost")
    control.press("Kill a busy worker")
    says(control, "nobody to kill")
    control.press("Submit 4 tasks")
    says(control, r"2 of 2 workers are busy; tasks: 2 wait, 0 done, 0 lost\.$")
    control.press("Kill a busy worker")
    says(control, r"crew worker \d was killed: a task that it had not finished is lost")
    wait_until(lambda: "crew worker 3" in drawn(control))
    (tmp_path / "go on").touch()
    says(control, "0 of 2 workers are busy; tasks: 0 wait, 3 done, 1 lost")
