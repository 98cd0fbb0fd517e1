"""What is said of a block that did not end: who waits for what, and what went wrong before."""

import multiprocessing
import re
import threading

import pytest
import watchworkers
from watchtools import (
    METHODS,
    PATIENCE,
    Story,
    all_wait,
    expire_when,
    expire_when_last,
    last_actions,
    later,
    posix_only,
    start,
    stuck,
    wait_until,
)

from mpdemos import ChildFailed, Stuck, watch
from mpdemos.watch import context, deadlock, guard
from mpdemos.watch.deadlock import children_are_idle, result_is_lost


def test_a_deadlock_names_processes_locks_and_the_cycle(method):
    def deadlock(mp):
        a, b, both = mp.Lock(), mp.Lock(), mp.Barrier(2)
        mp.label(a=a, b=b)
        first = start(mp, watchworkers.take_both, a, b, both, name="teller-1")
        start(mp, watchworkers.take_both, b, a, both, name="teller-2")
        expire_when_last(mp, all_wait("MainProcess") | all_wait("teller-1", "teller-2", what="acquire"))
        first.join()

    text = stuck(deadlock, method=method)
    assert "teller-1 waits for lock b, held by teller-2" in text
    assert "teller-2 waits for lock a, held by teller-1" in text
    assert ": a deadlock." in text
    assert "MainProcess waits to join teller-1." in text


def test_at_the_end_of_the_block_it_is_proved_too(method):
    """Nobody joins the children: the end of the block does."""
    with pytest.raises(Stuck) as caught, watch(method, limit=PATIENCE) as mp:
        never = mp.Event()
        mp.label(never=never)
        for name in ("a", "b"):
            mp.Process(target=watchworkers.wait_for, args=(never,), name=name).start()
    assert "Nobody can go on" in str(caught.value)
    assert "a and b wait for event never to be set" in str(caught.value)


def test_of_a_parent_that_waits_for_a_condition_it_is_proved_too():
    with pytest.raises(Stuck, match="Nobody can go on"), watch(limit=PATIENCE) as mp:
        condition = mp.Condition()
        with condition:
            condition.wait()


def test_a_thread_of_the_program_may_still_help_at_the_end(method):
    with watch(method, limit=PATIENCE) as mp:
        gate = mp.Event()
        mp.Process(target=watchworkers.wait_for, args=(gate,), name="guest").start()
        later(gate.set)
    assert "guest" in mp.explain()


def test_an_unwatched_process_may_still_help_at_the_end():
    with watch("spawn", limit=PATIENCE) as mp:
        gate = mp.Event()
        mp.Process(target=watchworkers.wait_for, args=(gate,), name="guest").start()
        helper = multiprocessing.get_context("spawn").Process(target=watchworkers.set_later, args=(gate,))
        helper.start()
    helper.join()
    assert "guest" in mp.explain()


def test_a_lock_taken_twice_is_a_deadlock_with_itself():
    def twice(mp):
        lock = mp.Lock()
        mp.label(till=lock)
        child = start(mp, watchworkers.hold_twice, lock, name="teller")
        expire_when_last(mp, all_wait("MainProcess", "teller"))
        child.join()

    assert "teller waits for lock till, which it holds itself: a deadlock with itself." in stuck(twice)


def test_a_lock_whose_holder_has_ended():
    def died(mp):
        lock = mp.Lock()
        mp.label(till=lock)
        start(mp, watchworkers.take_and_die, lock, name="thief").join()
        child = start(mp, watchworkers.hold_once, lock, name="teller")
        expire_when_last(mp, all_wait("MainProcess", "teller"))
        child.join()

    assert "held by thief, which ended with exit code 0 before its function returned" in stuck(died)


def test_a_semaphore():
    def starve(mp):
        semaphore, taken = mp.Semaphore(1), mp.Event()
        mp.label(door=semaphore)
        start(mp, watchworkers.keep, semaphore, taken, name="guest-1")
        taken.wait()
        child = start(mp, watchworkers.hold_once, semaphore, name="guest-2")
        expire_when_last(mp, all_wait("MainProcess", "guest-2"))
        child.join()

    assert "guest-2 waits for semaphore door, held by guest-1." in stuck(starve)


def test_consumers_that_nobody_feeds(method):
    def starve(mp):
        orders = mp.Queue()
        mp.label(orders=orders)
        children = [start(mp, watchworkers.consume, orders, name=f"consumer-{n}") for n in (1, 2, 3)]
        expire_when_last(mp, all_wait("MainProcess", "consumer-1", "consumer-2", "consumer-3"))
        for child in children:
            child.join()

    assert (
        "consumer-1, consumer-2 and consumer-3 wait for an item from queue orders; "
        "nobody who could put is alive or awake." in stuck(starve, method=method)
    )


def test_a_producer_whose_consumer_is_gone():
    def flood(mp):
        orders = mp.Queue(2)
        mp.label(orders=orders)
        child = start(mp, watchworkers.produce, orders, range(5), name="producer")
        expire_when_last(mp, all_wait("MainProcess", "producer"))
        child.join()

    assert "producer waits for room in queue orders; nobody who could get is alive or awake." in stuck(flood)


def test_join_before_drain(method):
    def join_first(mp):
        results = mp.Queue()
        mp.label(results=results)
        writer = start(mp, watchworkers.produce, results, [bytes(1 << 20)], name="writer")
        expire_when_last(mp, {"MainProcess": "waits", "writer": "returned"})
        writer.join()

    text = stuck(join_first, method=method)
    assert "MainProcess waits to join writer." in text
    assert "writer waits for its queue results to be drained" in text


@pytest.mark.parametrize("method", METHODS)
def test_both_ends_of_a_pipe_wait_to_send(method):
    def send_both_ways(mp):
        here, there = mp.Pipe()
        mp.label(wire=here)
        start(mp, watchworkers.send_bytes, there, 1 << 24, name="talker")
        expire_when_last(mp, all_wait("MainProcess", "talker"))
        here.send_bytes(bytes(1 << 24))

    text = stuck(send_both_ways, method=method)
    assert "MainProcess waits to send on pipe wire, and so does talker at the other end." in text
    assert "talker waits to send on pipe wire, and so does MainProcess at the other end." in text


def test_both_ends_of_a_pipe_wait_to_receive():
    def listen_both_ways(mp):
        here, there = mp.Pipe()
        start(mp, watchworkers.echo, there, 1, name="listener")
        expire_when_last(mp, all_wait("MainProcess", "listener"))
        here.recv()

    assert "MainProcess waits to receive on Pipe-1, and so does listener at the other end." in stuck(
        listen_both_ways
    )


@posix_only
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("let_go", ["drop", "close"])
def test_a_child_is_not_taken_for_the_one_before_it(let_go, method, monkeypatch, no_collection):
    """A sentinel's number is free again when its child was reaped, perhaps before the guard notes its end."""
    saw_an_end, go_on = threading.Event(), threading.Event()

    def wait_and_be_late(things, timeout, wait=guard.wait_for_any):
        ready = wait(things, timeout)
        if any(isinstance(thing, int) for thing in ready):
            saw_an_end.set()
            go_on.wait(PATIENCE)
        return ready

    monkeypatch.setattr(guard, "wait_for_any", wait_and_be_late)
    with pytest.raises(Stuck, match="Nobody can go on"), watch(method, limit=PATIENCE) as mp:
        bell = mp.Event()
        child = start(mp, watchworkers.nothing, name="first")
        number = child.sentinel
        assert saw_an_end.wait(PATIENCE)
        child.join()
        assert child.pid not in mp._guard._sentinels  # Windows cannot wait for what is closed
        if let_go == "close":
            child.close()
        del child
        child = start(mp, watchworkers.wait_for, bell, name="second")
        assert child.sentinel == number  # or this test tests nothing
        wait_until(lambda: ("second", "waits") in {(e.process, e.action) for e in mp.events})
        go_on.set()
        child.join()


def test_a_sentinel_that_is_closed_does_not_end_the_guard(monkeypatch):
    """On Windows it is an error to wait for a child that has just been reaped."""
    failed = threading.Event()

    def fail_once(things, timeout, wait=guard.wait_for_any):
        if len(things) > 1 and not failed.is_set():
            failed.set()
            raise OSError("the handle is invalid")
        return wait(things, timeout)

    monkeypatch.setattr(guard, "wait_for_any", fail_once)
    with pytest.raises(Stuck, match="Nobody can go on"), watch(limit=PATIENCE) as mp:
        bell = mp.Event()
        start(mp, watchworkers.wait_for, bell, name="guest").join()
    assert failed.is_set()


def test_an_event_that_nobody_sets():
    def forget(mp):
        bell = mp.Event()
        mp.label(bell=bell)
        child = start(mp, watchworkers.wait_for, bell, name="guest")
        expire_when_last(mp, all_wait("MainProcess", "guest"))
        child.join()

    assert "guest waits for event bell to be set; nobody who could set it is alive or awake." in stuck(forget)


def test_a_condition_that_nobody_notifies():
    def forget(mp):
        ready = mp.Condition()
        mp.label(ready=ready)
        child = start(mp, watchworkers.wait_notified, ready, name="waiter")
        expire_when_last(mp, {"MainProcess": "waits", "waiter": "released"})  # it lets its lock go, and waits
        child.join()

    assert (
        "waiter waits for a notification of condition ready; nobody who could notify is alive or awake."
        in stuck(forget)
    )


def test_an_unwatched_process_may_still_put():
    helper = multiprocessing.get_context("spawn").Process(target=watchworkers.sleep_for_ever)

    def wait(mp):
        helper.start()
        expire_when_last(mp, all_wait("MainProcess"))
        mp.Queue().get()

    try:
        assert stuck(wait).endswith("MainProcess waits for an item from Queue-1.")
    finally:
        helper.kill()
        helper.join()


def test_a_barrier_that_one_does_not_reach():
    def miss(mp):
        line = mp.Barrier(3)
        mp.label(line=line)
        children = [start(mp, watchworkers.wait_for, line, name=f"runner-{n}") for n in (1, 2)]
        expire_when_last(mp, all_wait("MainProcess", "runner-1", "runner-2"))
        children[0].join()

    assert "runner-1 and runner-2 wait at barrier line for the others; " in stuck(miss)


def test_a_task_that_nobody_marks_as_done():
    def forget(mp):
        jobs = mp.JoinableQueue()
        mp.label(jobs=jobs)
        jobs.put(1)
        start(mp, watchworkers.get_all, jobs, 1, name="worker").join()
        expire_when_last(mp, all_wait("MainProcess"))
        jobs.join()

    assert "MainProcess waits for every item of joinable queue jobs to be marked by task_done()" in stuck(
        forget
    )


# Pools that lose a result


def parent_waits(mp):
    return last_actions(mp).get("MainProcess", "").startswith("waits")


@posix_only
def test_a_pool_whose_worker_is_killed(method):
    def lose(mp):
        pool = mp.Pool(2)
        mp.label(workers=pool)
        expire_when(
            mp,
            lambda: (
                any(life.worker_of and life.end is not None for life in mp._told().lives.values())
                and parent_waits(mp)
            ),
        )
        pool.map(watchworkers.die_on_three, range(6), chunksize=1)

    text = stuck(lose, method=method)
    assert "MainProcess waits for a result from pool workers" in text
    assert "was running die_on_three when it ended: that task is lost" in text
    assert "thread that receives results" not in text


def test_a_pool_whose_initializer_fails():
    def fail(mp):
        pool = mp.Pool(2, watchworkers.fail)
        expire_when(
            mp,
            lambda: sum(life.exitcode == 1 for life in mp._told().lives.values()) >= 3 and parent_waits(mp),
        )
        pool.map(watchworkers.square, range(6), chunksize=1)  # the default divides by the workers alive

    text = stuck(fail)
    assert "MainProcess waits for a result from Pool-1" in text
    assert "RuntimeError: no ink left" in text
    assert "more ended the same way" in text


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_pool_whose_result_cannot_be_read(method):
    def garble(mp):
        pool = mp.Pool(1)
        expire_when(mp, lambda: not pool._result_handler.is_alive())
        pool.map(watchworkers.give_unreadable, [1])

    text = stuck(garble, method=method)
    assert "Pool-1 lost a result that could not be unpickled: RuntimeError: no ink left." in text
    assert "The pool's thread that receives results has died: no result will arrive any more." in text


@pytest.mark.parametrize(
    "lose",
    [
        lambda pool: pool.map(watchworkers.die_on_three, range(6), chunksize=1),
        lambda pool: pool.apply(watchworkers.leave, (0,)),
        lambda pool: pool.starmap(watchworkers.same, [(watchworkers.Unreadable(),)]),
    ],
    ids=["it died with its worker", "its worker left", "no worker could read it"],
)
@posix_only
def test_a_lost_result_is_not_waited_for_until_the_limit(lose, method):
    with pytest.raises(Stuck, match="Nobody can go on"), watch(method, limit=PATIENCE) as mp:
        lose(mp.Pool(2))


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_an_unreadable_result_is_not_waited_for_until_the_limit():
    with pytest.raises(Stuck, match="Nobody can go on"), watch(limit=PATIENCE) as mp:
        mp.Pool(1).map(watchworkers.give_unreadable, [1])


@posix_only
@pytest.mark.parametrize("where", ["before it reads a result", "before who asked for it has it"])
def test_results_that_are_on_their_way_arrive_before_a_lost_one_is_told_of(where, monkeypatch):
    """As if the parent's thread that receives results were held up, on a busy machine."""
    idle, told = [], threading.Event()

    def noting(history):
        found = children_are_idle(history)
        return found and not idle.append(found)

    def hold_up(*_):
        wait_until(lambda: len(idle) >= 3 or told.is_set())

    def wait_and_hold_up(timeout=0.0):
        found = poll(timeout)
        if timeout is None:
            hold_up()
        return found

    monkeypatch.setattr(deadlock, "children_are_idle", noting)
    with pytest.raises(Stuck, match="Nobody can go on"), watch(limit=PATIENCE) as mp:
        pool = mp.Pool(2)
        lost = pool.apply_async(watchworkers.kill_itself)
        if where == "before it reads a result":
            poll = pool._outqueue._reader.poll
            pool._outqueue._reader.poll = wait_and_hold_up
            pool.apply(watchworkers.square, (0,))  # for which it has waited already
            other = pool.apply_async(watchworkers.square, (1,))
        else:
            other = pool.apply_async(watchworkers.square, (1,), callback=hold_up)
        try:
            lost.get()
        finally:
            arrived = other.ready()
            told.set()
    assert arrived


@posix_only
def test_a_lost_result_that_is_waited_for_with_a_timeout_is_no_hang():
    with pytest.raises(ChildFailed, match="SIGKILL"), watch() as mp:
        pool = mp.Pool(1)
        lost = pool.apply_async(watchworkers.kill_itself)
        wait_until(lambda: mp._failures)  # its exit code is for one thread to ask for: the pool's
        with pytest.raises(multiprocessing.TimeoutError):
            lost.get(timeout=8 * context._LOOK)


@pytest.mark.parametrize(
    ("steps", "outstanding", "proved"),
    [
        ([("w", "task", 7), ("w", "ends")], [7, 8], True),
        ([("w", "task", 7)], [7], False),
        ([("w", "task", 7), ("w", "done"), ("w", "ends")], [7], False),
        ([("w", "task", 8), ("w", "ends")], [7, 8], False),
        ([("w", "waits", "task"), ("w", "gave up", "task"), ("w", "ends")], [7], True),
        ([("w", "waits", "task"), ("w", "gave up", "task"), ("w", "ends")], [7, 8], False),
        ([("w", "task", 7), ("w", "ends"), ("other", "task", 8)], [7, 8], False),
        ([("w", "task", 7), ("w", "ends"), ("other", "waits", "task")], [7, 8], True),
    ],
)
def test_what_proves_that_a_result_is_lost_and_what_does_not(steps, outstanding, proved):
    story = Story()
    story.make("Pool-1", "Pool")
    story.note("MainProcess", "waits for now", "Pool-1", "result")
    for who, action, *detail in steps:
        if who not in story.pids:
            story.meet(who, worker_of="Pool-1")
        if action == "ends":
            story.end(who, -9)
        elif action == "task":
            story.note(who, "task", "Pool-1", {"job": detail[0], "function": "f", "items": 1})
        else:
            story.note(who, action, "Pool-1", *detail)
    history = story.history()
    lost = children_are_idle(history) and result_is_lost(history, "Pool-1", 7, outstanding)
    assert lost is proved


def test_a_child_that_may_go_on_is_not_idle():
    story = Story()
    story.make("Event-1", "Event")
    story.meet("child")
    assert not children_are_idle(story.history())
    story.note("child", "waits for now", "Event-1", "set")
    assert not children_are_idle(story.history())
    story.note("child", "waits", "Event-1", "set")
    assert children_are_idle(story.history())


def test_an_item_that_cannot_be_pickled_is_named():
    def lose(mp):
        items = mp.Queue()
        mp.label(items=items)
        items.put(lambda: 0)
        expire_when(mp, lambda: any(event.action == "lost" for event in mp.events))
        items.get()

    assert re.search("queue items lost an item that could not be pickled: .*lambda", stuck(lose))
