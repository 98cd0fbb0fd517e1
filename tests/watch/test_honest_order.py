"""Promise 7: the order of the records is the order of what happened."""

import threading

import pytest
import watchworkers
from watchtools import METHODS, Story

from mpdemos import watch


def run_all(mp, target, args, count=4):
    children = [mp.Process(target=target, args=args, name=f"p{n}") for n in range(count)]
    for child in children:
        child.start()
    for child in children:
        child.join()


def steps(mp, thing):
    name = mp._key(thing)
    return [e for e in mp.events if e.resource == name and e.action in ("acquired", "released")]


@pytest.mark.parametrize("kind", ["Lock", "RLock", "Semaphore", "BoundedSemaphore", "Condition"])
def test_a_lock_handed_around_is_held_by_one_at_a_time(method, kind):
    with watch(method) as mp:
        lock, ready = getattr(mp, kind)(), mp.Barrier(4)
        run_all(mp, watchworkers.take_in_turn, (lock, 50, ready))
    assert mp.most_at_once(lock) == 1
    happened = steps(mp, lock)
    assert len(happened) == 2 * 4 * 50
    assert happened == sorted(happened, key=lambda event: event.seconds)
    for taken, given in zip(happened[::2], happened[1::2], strict=True):
        assert (taken.action, given.action) == ("acquired", "released")
        assert taken.process == given.process
    assert len({event.process for event in happened}) == 4


def test_a_semaphore_lets_in_as_many_as_it_shall(method):
    with watch(method) as mp:
        semaphore, inside = mp.Semaphore(3), mp.Barrier(3)
        run_all(mp, watchworkers.meet_inside, (semaphore, inside), count=6)
    assert mp.most_at_once(semaphore) == 3


def test_a_value_has_one_user_at_a_time():
    with watch() as mp:
        counter, ready = mp.Value("i", 0), mp.Barrier(3)
        run_all(mp, watchworkers.take_in_turn, (counter.get_lock(), 30, ready), count=3)
        assert mp.most_at_once(counter) == 1
    assert mp.most_at_once(counter) == 1


def test_a_condition_that_waits_lets_its_lock_go():
    with watch() as mp:
        condition, ready = mp.Condition(), mp.Semaphore(0)
        children = [
            mp.Process(target=watchworkers.wait_notified, args=(condition, ready), name=f"p{n}")
            for n in range(3)
        ]
        for child in children:
            child.start()
        for _ in children:
            ready.acquire()
        with condition:
            condition.notify_all()
        for child in children:
            child.join()
    assert mp.most_at_once(condition) == 1


def test_a_lock_taken_twice_has_one_holder():
    with watch() as mp:
        lock = mp.RLock()
        run_all(mp, watchworkers.hold_twice, (lock,), count=1)
    assert mp.most_at_once(lock) == 1


@pytest.mark.skipif("fork" not in METHODS, reason="any other child gets the plain context")
def test_what_a_forked_child_makes_is_not_taken_for_what_its_parent_makes():
    def hold_own():
        with mp.Lock():
            pass

    with watch("fork") as mp:
        child = mp.Process(target=hold_own)
        child.start()
        child.join()
        hold_own()
    assert len({event.resource for event in mp.events if event.action == "acquired"}) == 2


def test_a_release_that_is_refused_did_not_happen():
    with watch() as mp:
        lock = mp.RLock()
        with lock:
            run_all(mp, watchworkers.release_wrongly, (lock,), count=1)
            thread = threading.Thread(target=watchworkers.release_wrongly, args=(lock,))
            thread.start()
            thread.join()
            (holder,) = mp._told().holders[mp._key(lock)]
            assert mp._told().lives[holder].is_parent
            assert mp._told().counts[mp._key(lock)][holder, "released"] == 0
    assert mp.most_at_once(lock) == 1
    assert "Never released" not in mp.explain()


def test_a_release_that_is_refused_takes_nothing_else_back():
    story = Story()
    story.make("RLock-1", "RLock", 1)
    story.meet("a")
    story.note("a", "waits", "Event-1", "set")
    story.note("a", "came through", "Event-1", "set")
    for action in ("acquired", "released", "not released"):
        story.note("a", action, "RLock-1")
    spans = [(span.kind, span.end is None) for span in story.history().spans]
    assert spans == [("wait", False), ("hold", True)]


# What would be seen if a lock were wrong, or stamped wrongly


def told(*steps, kind="Lock", size=1):
    """The history of a lock that a, b and c use in these steps: "a+" takes it, "a-" gives it back."""
    story = Story()
    story.make("Lock-1", kind, size)
    for name in "abc":
        story.meet(name)
    for step in steps:
        story.note(step[0], "acquired" if step[1] == "+" else "released", "Lock-1")
    return story.history()


@pytest.mark.parametrize(
    ("happened", "most"),
    [
        (["a+", "a-", "b+", "b-"], 1),
        (["a+", "b+", "a-", "b-"], 2),  # a lock that stamps "released" after its release looks like this
        (["a+", "b+", "c+", "a-", "b-", "c-"], 3),
        (["a+", "a-", "b+"], 1),  # never released
        (["a+", "b+"], 2),
        ([], 0),
        (["a+", "b-", "b+", "b-"], 1),  # a Lock that another process released
    ],
)
def test_overlaps_are_counted(happened, most):
    assert told(*happened).most_at_once("Lock-1") == most


@pytest.mark.parametrize(
    ("size", "happened", "most"),
    [
        (2, ["a+", "a+", "b-", "a+", "c-", "a+", "b-", "c-"], 2),
        (1, ["a+", "b-", "a+", "b-"], 1),
        (2, ["a+", "a+", "b-", "b+", "b-", "c-"], 2),  # b releases for a, then for itself
        (0, ["b-", "b-", "a+", "a+", "b-", "a+"], 0),  # who takes a signal does not hold it
        (0, ["c-", "c-", "a+", "b+", "a-", "b-"], 2),  # c lets two in
        (1, ["a+", "a-", "a-", "b+", "c+", "b-", "c-"], 2),  # a releases once too often
        (1, ["a+", "a-", "b+", "a-", "c+", "b-", "c-"], 2),  # the same while b is inside
        (1, ["a+", "a-", "a-", "b+", "c+"], 2),  # and b and c stay
    ],
)
def test_a_semaphore_may_be_released_by_another_process(size, happened, most):
    assert told(*happened, kind="Semaphore", size=size).most_at_once("Lock-1") == most


def test_a_release_and_an_acquire_of_one_moment_do_not_overlap():
    history = told("a+", "a-", "b+", "b-")
    history.spans = [span._replace(end=span.end) for span in history.spans]
    first, second = (span for span in history.spans if span.kind == "hold")
    history.spans = [first, second._replace(start=first.end)]
    assert history.most_at_once("Lock-1") == 1


def test_a_recursive_holder_counts_once_and_a_semaphores_twice():
    assert told("a+", "a+", "a-", "a-", kind="RLock").most_at_once("Lock-1") == 1
    assert told("a+", "a+", "a-", "a-", kind="Semaphore", size=2).most_at_once("Lock-1") == 2


@pytest.mark.parametrize("wrong", [True, False])
def test_a_lock_that_is_stamped_late_is_found_out(wrong, monkeypatch):
    """Release first and note it afterwards, while the next one already holds it."""
    from mpdemos.watch import primitives

    with watch("spawn") as mp:
        lock = mp.Lock()
        taken = mp.Event()
        next_ = mp.Process(target=watchworkers.hold_in, args=(lock, taken), name="next")
        lock.acquire()
        next_.start()

        def release_then_note(self):
            self._semlock.release()
            taken.wait()
            self._trace.note("released")

        if wrong:
            monkeypatch.setattr(primitives._TracedSemLock, "release", release_then_note)
        lock.release()
        next_.join()
    assert mp.most_at_once(lock) == (2 if wrong else 1)


def test_a_condition_is_held_as_its_lock_is():
    with watch() as mp:
        lock = mp.Lock()
        shelf = mp.Condition(lock)
        with shelf:
            pass
    assert mp.most_at_once(shelf) == mp.most_at_once(lock) == 1
