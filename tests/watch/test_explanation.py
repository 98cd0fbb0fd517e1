"""The sentences: what a history is told as, whether it was recorded or made by hand."""

import os
import random

import pytest
import watchworkers
from watchtools import Story, posix_only

from mpdemos import watch
from mpdemos.watch.errors import how_it_ended
from mpdemos.watch.explain import explain, listed, stuck, times
from mpdemos.watch.history import natural


def test_nothing_happened():
    with watch() as mp:
        pass
    assert mp.explain() == "No process was started."
    assert str(mp.timeline()) == "No process was started."


def test_a_watched_block_is_told_the_same_every_time(method):
    told = set()
    for _ in range(2):
        with watch(method) as mp:
            till = mp.Lock()
            mp.label(till=till)
            tellers = [
                mp.Process(target=watchworkers.hold_once, args=(till,), name=f"teller-{n}") for n in (1, 2, 3)
            ]
            for teller in tellers:
                teller.start()
            for teller in tellers:
                teller.join()
        told.add(mp.explain())
    assert told == {
        "MainProcess started 3 processes: teller-1, teller-2 and teller-3.\n"
        "Each ended with exit code 0.\n"
        "lock till was acquired 3 times (teller-1 1, teller-2 1, teller-3 1), by at most 1 at once."
    }


@pytest.mark.parametrize(
    ("exitcode", "sentence"),
    [
        (0, "It ended with exit code 0."),
        (3, "p ended with exit code 3."),
        pytest.param(-9, "p was killed by SIGKILL (exit code -9).", marks=posix_only),
        (-15, "p was killed by SIGTERM (exit code -15)."),
    ],
)
def test_how_a_process_ended(exitcode, sentence):
    story = Story()
    story.meet("p")
    story.end("p", exitcode)
    assert explain(story.history()) == f"MainProcess started 1 process: p.\n{sentence}"


def test_exit_codes_in_words():
    assert how_it_ended(None) == "was still running"
    assert how_it_ended(0) == "ended with exit code 0"
    assert how_it_ended(-2) == "was killed by SIGINT (exit code -2)"
    assert os.name == "nt" or how_it_ended(-1) == "was killed by SIGHUP (exit code -1)"
    assert how_it_ended(-200) == "was killed by signal 200"


def test_a_process_that_the_parent_ended_before_it_began_its_record():
    story = Story()
    pid = story.pids["p"] = 101
    story.note("MainProcess", "starts", detail={"pid": pid, "name": "p", "worker_of": ""})
    story.note("MainProcess", "terminates", detail={"pid": pid})
    story.note("p", "process", detail={"name": "p", "pid": pid, "parent": 100})
    story.end("p", -15)
    assert "p was ended by MainProcess." in explain(story.history())


def test_a_process_that_the_parent_ended():
    story = Story()
    story.meet("p")
    story.note("MainProcess", "terminates", detail={"pid": story.pids["p"]})
    story.end("p", -15)
    assert "p was ended by MainProcess." in explain(story.history())


def test_a_record_that_breaks_off_is_told():
    story = Story()
    story.meet("p")
    story.note("MainProcess", "sees the end of", detail={"pid": story.pids["p"]})
    story.note("MainProcess", "reaps", detail={"pid": story.pids["p"], "exitcode": 0})  # and no "ended"
    told = explain(story.history())
    assert (
        "The record of p is not complete: not every event could be written or read, or it left by os._exit."
        in told
    )


def test_a_lock_that_is_never_released():
    story = Story()
    story.meet("p")
    story.make("Lock-1", "Lock", 1)
    story.note("p", "acquired", "Lock-1")
    story.end("p")
    assert explain(story.history(till="Lock-1")).endswith(
        "lock till was acquired 1 time (p 1), by at most 1 at once. Never released by p, which has ended."
    )


def test_a_semaphore_that_others_release():
    """Here each child gives back the place that the parent took for it."""
    story = Story()
    story.make("Semaphore-1", "BoundedSemaphore", 2)
    for number in range(4):
        if number >= 2:
            story.note(f"p{number - 2}", "released", "Semaphore-1")
        story.note("MainProcess", "acquired", "Semaphore-1")
        story.meet(f"p{number}")
    for number in (2, 3):
        story.note(f"p{number}", "released", "Semaphore-1")
    told = explain(story.history(slots="Semaphore-1"))
    assert told.endswith("semaphore slots was acquired 4 times (MainProcess 4), by at most 2 at once.")


def test_a_semaphore_that_is_a_signal():
    story = Story()
    story.make("Semaphore-1", "Semaphore", 0)
    for name in "ab":
        story.meet(name)
    for _ in range(3):
        story.note("a", "released", "Semaphore-1")
        story.note("b", "acquired", "Semaphore-1")
    told = explain(story.history(ready="Semaphore-1"))
    assert told.endswith("semaphore ready was acquired 3 times (b 3) and released 3 times (a 3).")


def test_an_event_a_condition_and_a_barrier():
    with watch() as mp:
        bell, condition, line = mp.Event(), mp.Condition(), mp.Barrier(1)
        mp.label(bell=bell, news=condition, line=line)
        bell.set()
        bell.wait()
        bell.clear()
        bell.wait(0.001)
        with condition:
            condition.notify()
            condition.wait(0.001)
        line.wait()
    told = mp.explain().splitlines()
    assert "event bell was set 1 time (MainProcess 1), cleared 1 time; 1 of 2 waits came through." in told
    assert "condition news was notified by MainProcess; 0 of 1 wait was notified." in told
    assert "barrier line: 1 of 1 wait passed." in told


def test_a_wait_that_was_cut_off_counts_as_one_that_was_not_notified():
    story = Story()
    story.make("Condition-1", "Condition", 1)
    for name, *rest in (("told", "notified"), ("late",)):
        story.meet(name)
        for action, *detail in (["waits", "acquire"], ["acquired"], ["waits", "notify"], ["released"]):
            story.note(name, action, "Condition-1", *detail)
        story.note("MainProcess", "notifies", "Condition-1", 1)
        for action in rest:
            story.note(name, action, "Condition-1", "notify")
    story.make("Condition-2", "Condition", 1)
    story.meet("elsewhere")
    story.note("elsewhere", "waits", "Condition-2", "notify")
    told = explain(story.history(news="Condition-1"))
    assert "condition news was notified by MainProcess; 1 of 2 waits were notified." in told


def test_a_notification_tells_how_many_it_is_for():
    with watch() as mp:
        condition = mp.Condition()
        with condition:
            condition.notify()
            condition.notify(2)
            condition.notify_all()
    assert [event.detail for event in mp.events if event.action == "notifies"] == [1, 2, "all"]


def test_a_notification_without_the_lock_is_none():
    with watch() as mp:
        condition = mp.Condition()
        with pytest.raises(AssertionError, match="lock is not owned"):
            condition.notify()
    assert "notif" not in mp.explain()


def test_what_was_made_and_not_used_is_not_told():
    with watch() as mp:
        for make in (mp.Lock, mp.RLock, mp.Event, mp.Condition, mp.Queue, mp.Pipe, mp.SimpleQueue):
            make()
    assert mp.explain() == "No process was started."


def test_many_processes_are_not_all_named():
    story = Story()
    for number in range(40):
        story.meet(f"worker-{number}")
        story.end(f"worker-{number}")
    first = explain(story.history()).splitlines()[0]
    assert first.startswith("MainProcess started 40 processes: worker-0, worker-1, ")
    assert first.endswith("worker-9 and 30 more.")


def test_a_reused_pid_is_another_process():
    story = Story()
    story.meet("first")
    story.end("first")
    story.pids["second"] = story.pids["first"]
    story.note(
        "MainProcess", "starts", detail={"pid": story.pids["first"], "name": "second", "worker_of": ""}
    )
    key = f"{story.pids['first']}-2"
    detail = {"name": "second", "pid": story.pids["first"], "parent": 100}
    story.note("second", "process", detail=detail)
    story.records[-1] = story.records[-1]._replace(process=key)
    history = story.history()
    assert [history.lives[k].name for k in history.order()] == ["MainProcess", "first", "second"]


def test_of_many_endings_and_objects_it_is_told_how_many_more_there_are():
    story = Story()
    for number in range(57):
        story.meet(f"p{number}")
        story.end(f"p{number}", 3)
    for number in range(61):
        story.make(f"Event-{number}", "Event")
        story.note("MainProcess", "set", f"Event-{number}")
    told = explain(story.history()).splitlines()
    assert len(told) == 1 + 50 + 1 + 50 + 1
    assert told[51] == "7 more did not end by themselves with exit code 0."
    assert told[102] == "11 more objects were used."


def test_a_child_with_a_lower_pid_is_no_parent():
    story = Story()
    story.pids["p"] = 10
    story.note("MainProcess", "starts", detail={"pid": 10, "name": "p", "worker_of": ""})
    story.note("p", "process", detail={"name": "p", "pid": 10, "parent": 100})
    story.end("p")
    assert explain(story.history()) == "MainProcess started 1 process: p.\nIt ended with exit code 0."


def test_a_child_may_be_heard_before_its_parent_says_that_it_started_it():
    story = Story()
    story.meet("p")
    story.end("p")
    starts, process = story.records[1], story.records[2]
    story.records[1:3] = [process._replace(time=starts.time), starts._replace(time=process.time)]
    assert explain(story.history()) == "MainProcess started 1 process: p.\nIt ended with exit code 0."


def test_any_mixture_of_records_is_told_without_an_error():
    """What is told of a record with torn lines may be wrong, but must not stop anybody."""
    chance = random.Random(1)
    actions = [
        "acquired",
        "released",
        "not released",
        "waits",
        "gave up",
        "set",
        "got",
        "put",
        "done",
        "returned",
    ]
    for _ in range(200):
        story = Story()
        for name in ("a", "b"):
            story.meet(name)
        for key, kind in (("Lock-1", "Lock"), ("Queue-1", "Queue"), ("Event-1", "Event"), ("Pipe-1", "Pipe")):
            story.make(key, kind, 1)
        for _step in range(20):
            key = chance.choice(["Lock-1", "Queue-1", "Event-1", "Pipe-1", "Never-made"])
            detail = chance.choice(["acquire", "get", "set", None, ["send", 0], ["receive", 1]])
            story.note(chance.choice("ab"), chance.choice(actions), key, detail)
        history = story.history()
        assert explain(history)
        assert stuck(history, 1)
        assert history.most_at_once("Lock-1") <= 20


def test_a_join_is_told_by_the_name_of_the_process():
    story = Story()
    story.meet("p")
    story.note("MainProcess", "waits", "", ["join", story.pids["p"]])
    (event,) = [event for event in story.history().events() if event.action == "waits"]
    assert (event.resource, event.detail) == ("p", ["join", "p"])


# The wait-for graph, by hand


def test_a_cycle_of_three():
    story = Story()
    for number in (1, 2, 3):
        story.meet(f"p{number}")
        story.make(f"Lock-{number}", "Lock", 1)
        story.note(f"p{number}", "acquired", f"Lock-{number}")
    for number in (1, 2, 3):
        story.note(f"p{number}", "waits", f"Lock-{number % 3 + 1}", "acquire")
    text = stuck(story.history(), 10)
    assert text.splitlines() == [
        "The block did not end within its limit of 10 seconds.",
        "p1 waits for Lock-2, held by p2; p2 waits for Lock-3, held by p3; "
        "p3 waits for Lock-1, held by p1: a deadlock.",
    ]


def crossed(how="waits", second="", kind="Lock"):
    """Two who hold one lock each and wait for the other's; ``second`` holds one of them too."""
    story = Story()
    for name in filter(None, ("a", "b", second)):
        story.meet(name)
    story.make("Lock-1", kind, 2 if second else 1)
    story.make("Lock-2", "Lock", 1)
    for name, key in (("a", "Lock-1"), (second, "Lock-1"), ("b", "Lock-2")):
        if name:
            story.note(name, "acquired", key)
    story.note("a", how, "Lock-2", "acquire")
    story.note("b", "waits", "Lock-1", "acquire")
    return story


def test_a_cycle_with_a_timeout_is_no_deadlock():
    assert "a deadlock" in stuck(crossed().history(), 1)
    told = stuck(crossed("waits for now").history(), 1)
    assert "a waits for Lock-2, held by b.\nb waits for Lock-1, held by a." in told


def test_a_cycle_with_a_holder_who_is_awake_is_no_deadlock():
    story = crossed(second="c", kind="Semaphore")
    told = stuck(story.history(), 1)
    assert "a waits for Lock-2, held by b.\nb waits for Lock-1, held by a and c." in told
    story.note("c", "waits", "Lock-2", "acquire")
    assert "b waits for Lock-1, held by a and c: a deadlock." in stuck(story.history(), 1)


def test_a_cycle_with_a_holder_who_is_dead_is_a_deadlock():
    story = crossed(second="c", kind="Semaphore")
    story.end("c", 1)
    told = stuck(story.history(), 1)
    assert "b waits for Lock-1, held by a and c, which ended with exit code 1: a deadlock." in told


def test_a_lock_that_another_thread_holds_is_no_deadlock():
    story = Story()
    story.make("Lock-1", "Lock", 1)
    story.note("MainProcess", "acquired", "Lock-1", thread="helper")
    story.note("MainProcess", "waits for now", "Lock-1", "acquire")
    told = stuck(story.history(), 1)
    assert told.endswith("MainProcess waits for Lock-1, held by one of its own threads.")


def test_a_lock_that_another_thread_held_before_is_its_own():
    story = Story()
    story.make("Lock-1", "Lock", 1)
    story.note("MainProcess", "acquired", "Lock-1", thread="helper")
    story.note("MainProcess", "released", "Lock-1", thread="helper")
    story.note("MainProcess", "acquired", "Lock-1")
    story.note("MainProcess", "waits", "Lock-1", "acquire")
    assert "which it holds itself: a deadlock with itself" in stuck(story.history(), 1)


def test_a_lock_that_another_process_may_release_is_no_deadlock():
    story = Story()
    story.meet("p")
    story.make("Lock-1", "Lock", 1)
    story.note("MainProcess", "acquired", "Lock-1")
    story.note("MainProcess", "waits", "Lock-1", "acquire")
    itself = "MainProcess waits for Lock-1, which it holds itself"
    assert stuck(story.history(), 1).endswith(f"{itself}.")
    assert stuck(story.history(), None).endswith(f"{itself}: a deadlock with itself.")  # it is proved
    story.note("p", "waits", "Lock-1", "set")
    assert f"{itself}: a deadlock with itself." in stuck(story.history(), 1)


@pytest.mark.parametrize(("size", "released_by"), [(0, []), (1, ["b"])])
def test_who_took_a_signal_does_not_hold_it(size, released_by):
    """A semaphore that begins with 0, or that somebody else releases, counts signals."""
    story = Story()
    story.make("Semaphore-1", "Semaphore", size)
    for name in "ab":
        story.meet(name)
    for name in released_by:
        story.note(name, "released", "Semaphore-1")
    story.note("a", "acquired", "Semaphore-1")
    for name in "ab":
        story.note(name, "waits", "Semaphore-1", "acquire")
    told = stuck(story.history(ready="Semaphore-1"), 1)
    assert "a and b wait for semaphore ready" in told
    assert "held" not in told
    assert "deadlock" not in told


@pytest.mark.parametrize(("kind", "hangs"), [("Pool", True), ("ProcessPoolExecutor", False)])
def test_lost_tasks_are_named_up_to_three(kind, hangs):
    story = Story()
    story.make(f"{kind}-1", kind)
    for number in range(5):
        name = f"w{number}"
        story.meet(name, worker_of=f"{kind}-1")
        story.note(name, "task", f"{kind}-1", {"job": number, "function": "work", "items": 1})
        story.end(name, -9)
    told = stuck(story.history(), 1)
    assert told.count("was running work when it ended: that task is lost") == 3
    assert "2 more tasks got lost" in told
    assert ("waits for its result for ever" in told) == hangs


def test_a_chain_is_no_deadlock():
    story = Story()
    for name in ("p1", "p2"):
        story.meet(name)
    story.make("Lock-1", "Lock", 1)
    story.note("p1", "acquired", "Lock-1")
    story.note("p2", "waits", "Lock-1", "acquire")
    text = stuck(story.history(), 1)
    assert "limit of 1 second.\np2 waits for Lock-1, held by p1." in text
    assert "deadlock" not in text


def test_a_wait_that_is_over_is_not_told():
    story = Story()
    story.meet("p")
    story.make("Event-1", "Event")
    story.note("p", "waits", "Event-1", "set")
    story.note("p", "came through", "Event-1", "set")
    assert "No process waits for another one" in stuck(story.history(), 1)


def test_somebody_awake_may_still_do_it():
    story = Story()
    story.meet("p")
    story.make("Event-1", "Event")
    story.note("p", "waits", "Event-1", "set")
    assert stuck(story.history(), 1).endswith("p waits for Event-1 to be set.")
    story.note("MainProcess", "waits", "", ["join", story.pids["p"]])
    text = stuck(story.history(), 1)
    assert "p waits for Event-1 to be set; nobody who could set it is alive or awake." in text
    assert "alive or awake" not in stuck(story.history(), 1, others=True)


def test_who_waits_for_now_may_still_do_it():
    story = Story()
    story.meet("p")
    story.make("Event-1", "Event")
    story.note("p", "waits", "Event-1", "set")
    story.note("MainProcess", "waits for now", "", ["join", story.pids["p"]])
    text = stuck(story.history(), 1)
    assert "p waits for Event-1 to be set." in text
    assert "MainProcess waits to join p." in text


@pytest.mark.parametrize(
    ("exitcode", "fate"),
    [
        (None, "ended before its function returned"),
        (0, "ended with exit code 0 before its function returned"),
        (3, "ended with exit code 3"),
    ],
)
def test_an_exit_code_that_is_not_known_is_not_told(exitcode, fate):
    story = Story()
    for name in ("p", "q"):
        story.meet(name)
        story.note("MainProcess", "sees the end of", detail={"pid": story.pids[name]})
        if exitcode is not None:
            story.note("MainProcess", "reaps", detail={"pid": story.pids[name], "exitcode": exitcode})
    assert f"p {fate}.\n1 more ended the same way: {fate}." in stuck(story.history(), 1)


def test_the_dead_do_not_wait():
    story = Story()
    story.meet("p")
    story.make("Queue-1", "Queue")
    story.note("p", "waits", "Queue-1", "get")
    story.end("p", -15)
    text = stuck(story.history(), 1)
    assert "p waits" not in text
    assert "p was killed by SIGTERM (exit code -15)" in text


# Words


def test_lists_counts_and_numbers_in_words():
    assert [listed("abc"[:n]) for n in range(4)] == ["", "a", "a and b", "a, b and c"]
    assert (times(1, "time"), times(2, "time")) == ("1 time", "2 times")
    assert sorted(["p-10", "p-9", "p", "a"], key=natural) == ["a", "p", "p-9", "p-10"]
