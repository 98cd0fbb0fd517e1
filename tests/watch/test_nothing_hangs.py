"""Promise 3: a block that would never end is ended, and says who waited for what.

Where a hang is built, `expire_when` lets the limit be reached as soon as the hang is there: what is tested is
what the block says, and no clock can get in the way. The tests of the clock itself come first.
"""

import asyncio
import contextlib
import errno
import functools
import importlib
import multiprocessing
import os
import queue
import re
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from multiprocessing import connection, synchronize
from types import SimpleNamespace

import psutil
import pytest
import watchworkers
from watchtools import (
    METHODS,
    PATIENCE,
    Story,
    all_wait,
    environment,
    expire_when,
    expire_when_last,
    last_actions,
    posix_only,
    script,
    wait_until,
)

from mpdemos import ChildFailed, Stuck, watch
from mpdemos.watch import context, deadlock, guard, pools
from mpdemos.watch import process as watched_process
from mpdemos.watch.deadlock import children_are_idle, nobody_can_go_on, result_is_lost
from mpdemos.watch.guard import Interrupted
from mpdemos.watch.record import handles_signals, recorder

LIMIT = 0.4


def start(mp, target, *args, name):
    child = mp.Process(target=target, args=args, name=name)
    child.start()
    return child


def block_in_acquire(mp):
    lock = mp.Lock()
    lock.acquire()
    lock.acquire()


def block_in_get(mp):
    mp.Queue().get()


def block_in_simple_get(mp):
    mp.SimpleQueue().get()


def block_in_full_put(mp):
    items = mp.Queue(1)
    items.put(1)
    items.put(2)


def block_in_map(mp):
    with mp.Pool(1) as pool:
        pool.map(time.sleep, [1000])


def block_in_join(mp):
    start(mp, watchworkers.sleep_for_ever, name="sleeper").join()


def block_in_event(mp):
    mp.Event().wait()


def block_in_condition(mp):
    condition = mp.Condition()
    with condition:
        condition.wait()


def block_in_barrier(mp):
    mp.Barrier(2).wait()


def block_in_recv(mp):
    here, _there = mp.Pipe()
    here.recv()


def block_in_sleep(mp):
    time.sleep(1000)


def block_in_work(mp):
    while True:
        pass


BLOCKERS = [value for name, value in list(globals().items()) if name.startswith("block_in_")]
METHOD_MATTERS = (block_in_join, block_in_map)


# The clock


@pytest.mark.parametrize("block", BLOCKERS, ids=lambda block: block.__name__)
def test_the_limit_ends_a_blocked_parent(block):
    began = time.monotonic()
    with pytest.raises(Stuck), watch(limit=LIMIT) as mp:
        block(mp)
    assert LIMIT <= time.monotonic() - began < PATIENCE


def test_the_limit_is_the_one_that_was_given():
    with watch(limit=PATIENCE) as mp:
        assert PATIENCE / 2 < mp._guard.left() <= PATIENCE


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("block", METHOD_MATTERS, ids=lambda block: block.__name__)
def test_the_limit_ends_a_parent_that_waits_for_its_children(block, method):
    with pytest.raises(Stuck, match=r"within its limit of 0\.4 seconds"), watch(method, limit=LIMIT) as mp:
        block(mp)


def test_the_limit_ends_a_block_whose_child_never_ends(method):
    with pytest.raises(Stuck, match="No process waits for another one"), watch(method, limit=LIMIT) as mp:
        start(mp, watchworkers.sleep_for_ever, name="sleeper")


@posix_only
def test_the_limit_ends_a_child_that_ignores_signals(method):
    with pytest.raises(Stuck), watch(method, limit=PATIENCE) as mp:
        started = mp.Event()
        child = start(mp, watchworkers.sleep_deaf, started, name="deaf")
        started.wait()
        expire_when_last(mp, all_wait("MainProcess"))
        child.join()


def deaf(monkeypatch, owner, name):
    """Let no SIGINT end this call in the main thread: so it is on Windows before Python 3.14."""
    call = getattr(owner, name)

    def deaf_call(*args):
        if threading.current_thread() is not threading.main_thread():
            return call(*args)
        former = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGURG})
        try:
            return call(*args)
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, former)

    monkeypatch.setattr(owner, name, deaf_call)


def map_of(pool):
    pool.map(time.sleep, [1000])


def item_of(pool):
    next(pool.imap_unordered(time.sleep, [1000]))


def end_of(pool):
    pool.apply_async(time.sleep, [1000])
    pool.close()
    pool.join()


@posix_only
@pytest.mark.parametrize("wait", [map_of, item_of, end_of])
def test_the_limit_ends_a_wait_for_a_pool_that_no_signal_ends(monkeypatch, alarm, wait):
    alarm(PATIENCE)
    deaf(monkeypatch, threading.Condition, "wait")
    deaf(monkeypatch, threading.Thread, "join")
    monkeypatch.setattr(pools, "_DEAF", True)
    began = time.monotonic()
    with pytest.raises(Stuck), watch(limit=LIMIT) as mp, mp.Pool(1) as pool:
        wait(pool)
    assert time.monotonic() - began < PATIENCE  # and not when the alarm of this test went off


def test_a_wait_for_a_pool_that_no_signal_ends_keeps_to_its_timeout(monkeypatch):
    monkeypatch.setattr(pools, "_DEAF", True)
    with watch() as mp, mp.Pool(1) as pool:
        assert pool.map(abs, [-1, -2]) == [1, 2]
        assert list(pool.imap(abs, [-1, -2])) == [1, 2]
        failed = pool.imap(watchworkers.run_out_of_time, [1])
        with pytest.raises(multiprocessing.TimeoutError, match="my own"):
            next(failed)
        assert list(failed) == []
        never = pool.apply_async(time.sleep, [1000])
        for timeout in (0, 0.01, 2.5 * pools._SLICE):
            began = time.monotonic()
            with pytest.raises(multiprocessing.TimeoutError):
                never.get(timeout)
            assert time.monotonic() - began >= timeout


def test_a_block_that_ends_in_time_is_not_stuck():
    with watch(limit=PATIENCE) as mp:
        mp.Event().wait(0.01)
    mp._guard._deadline = time.monotonic()
    time.sleep(LIMIT)


def test_without_a_limit_nothing_is_ended():
    with watch(limit=None) as mp:
        assert mp.Event().wait(2 * LIMIT) is False
        assert mp._guard.left() is None


def test_code_that_catches_exceptions_does_not_swallow_the_limit():
    with pytest.raises(Stuck), watch(limit=LIMIT) as mp:
        while True:
            with contextlib.suppress(Exception):
                mp.Event().wait()


def number_of_waits(mp):
    return [event.action for event in mp.events].count("waits")


def test_code_that_catches_everything_is_interrupted_again(alarm):
    alarm(PATIENCE)
    caught = []
    with pytest.raises(Stuck), watch(limit=LIMIT) as mp:
        interrupt = mp._guard._interrupt

        def interrupt_a_wait():
            """Not what comes between two of them: a busy machine may take a second for that."""
            wait_until(lambda: mp._guard._over or number_of_waits(mp) > len(caught))
            interrupt()

        mp._guard._interrupt = interrupt_a_wait
        for _ in range(3):
            try:
                mp.Event().wait()
            except BaseException as error:
                caught.append(error)
    assert [type(error) for error in caught] == [Interrupted] * 3


def bare_except(wait):
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        try:
            wait()
        except:  # noqa: E722
            continue


def in_one_line(wait):
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        with contextlib.suppress(BaseException): wait()  # fmt: skip  # noqa: E701


def two_of_them(wait):
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        try:
            with contextlib.suppress(BaseException):
                wait()
            _ = "the line after it"
        except BaseException:
            continue


@pytest.mark.parametrize("catches_all", [bare_except, in_one_line, two_of_them])
@pytest.mark.parametrize("timeout", [None, 0.01])
def test_a_loop_that_catches_everything_is_ended(catches_all, timeout):
    with pytest.raises(Stuck), watch(limit=LIMIT) as mp:
        catches_all(functools.partial(mp.Event().wait, timeout))
        raise AssertionError("the loop was not ended")


def test_a_loop_that_catches_everything_is_ended_and_a_debugger_keeps_its_trace():
    former = sys.gettrace()
    mine = lambda *_call: None  # noqa: E731
    sys.settrace(mine)
    try:
        with pytest.raises(Stuck), watch(limit=LIMIT) as mp:
            bare_except(mp.Event().wait)
            raise AssertionError("the loop was not ended")
        assert sys.gettrace() is mine
    finally:
        sys.settrace(former)


def catch(wait):
    with contextlib.suppress(BaseException):
        wait()


def block_of_one_line(left):
    with watch(limit=LIMIT) as mp:
        event = mp.Event()
        catch(event.wait)
        catch(event.wait)
    left.append(mp)


def block_of_many_lines(left):
    with (
        contextlib.nullcontext(),
        watch(
            limit=LIMIT,
        ) as mp,
        contextlib.nullcontext(),
    ):
        event = mp.Event()
        catch(event.wait)
        catch(event.wait)
    left.append(mp)


@pytest.mark.parametrize("block", [block_of_one_line, block_of_many_lines])
def test_a_block_that_has_caught_everything_is_left_nevertheless(block, alarm):
    alarm(PATIENCE)
    left = []
    with pytest.raises(Stuck):
        block(left)
    assert left == []


BY_HAND = """
mp = watch().__enter__()
event = mp.Event()
child = mp.Process(target=watchworkers.wait_for, args=(event,), name="child")
child.start()
"""
IN_A_LOOP = """
with watch() as mp:
    event = mp.Event()
    child = mp.Process(target=watchworkers.wait_for, args=(event,), name="child")
    child.start()
    expire(mp)
    try:
        while True: pass  # Python 3.11 looks for no handler here
    except KeyboardInterrupt:
        pass
"""


@pytest.mark.parametrize("cell", [BY_HAND, IN_A_LOOP], ids=["by hand", "in a loop"])
def test_a_cell_that_has_ended_without_its_block_is_ended_and_nobody_else_is_interrupted(cell, capsys):
    """It would be the next cell, or the kernel, which dies of it."""

    def expire(mp):
        expire_when_last(mp, all_wait("child"))

    former = signal.getsignal(signal.SIGINT)
    space = {"watch": watch, "watchworkers": watchworkers, "expire": expire}
    with contextlib.suppress(Interrupted, Stuck):
        exec(cell, space)
    mp = space["mp"]
    if cell == BY_HAND:  # not before its cell has ended
        expire(mp)
    wait_until(lambda: mp._state == "over")
    assert space["child"].exitcode is not None
    assert not os.path.exists(mp._folder)
    assert signal.getsignal(signal.SIGINT) is former
    assert [event.action for event in mp.events if event.process == "child"][-1] == "waits"
    if cell == BY_HAND:
        assert "never left" in capsys.readouterr().err
        with pytest.raises(Stuck, match="child waits"):
            mp.__exit__(None, None, None)


def test_an_error_while_the_limit_unwinds_the_block_is_still_the_limit():
    with pytest.raises(Stuck), watch(limit=LIMIT) as mp:
        lock = mp.Lock()
        try:
            mp.Event().wait()
        finally:
            lock.release()  # ValueError: it was not acquired


def test_the_limit_in_another_thread_ends_the_children(method):
    raised = []

    def block():
        try:
            with watch(method, limit=LIMIT) as mp:
                block_in_join(mp)
        except Stuck as stuck:
            raised.append(stuck)

    thread = threading.Thread(target=block, daemon=True)
    thread.start()
    thread.join(PATIENCE)
    assert not thread.is_alive(), "the limit did not end the child that the thread waits for"
    assert len(raised) == 1


@posix_only
@pytest.mark.parametrize("handler", [signal.SIG_IGN, lambda *_: None], ids=["ignored", "handled"])
def test_the_limit_ends_a_block_that_has_its_own_way_with_ctrl_c(handler):
    def block(mp):
        signal.signal(signal.SIGINT, handler)
        expire_when_last(mp, all_wait("MainProcess"))
        mp.Event().wait()

    former = signal.getsignal(signal.SIGINT)
    try:
        assert "MainProcess waits for Event-1 to be set" in stuck(block)
        assert signal.getsignal(signal.SIGURG) == signal.SIG_DFL
    finally:
        signal.signal(signal.SIGINT, former)


@posix_only
def test_the_limit_of_an_outer_block_passes_an_own_handler_by():
    calls, former = [], signal.getsignal(signal.SIGINT)

    def block(mp):
        signal.signal(signal.SIGINT, lambda *_: calls.append("called"))
        with watch(limit=None) as inner:
            expire_when(mp, lambda: inner._recorder.in_wait)
            inner.Event().wait()

    try:
        stuck(block)
        assert calls == []
    finally:
        signal.signal(signal.SIGINT, former)


def test_of_a_block_in_another_thread_it_is_told_what_it_waits_for():
    raised = []

    def block():
        try:
            with watch(limit=PATIENCE) as mp:
                child = start(mp, watchworkers.sleep_for_ever, name="sleeper")
                expire_when(mp, lambda: any(event.action.startswith("waits") for event in mp.events))
                child.join()
        except Stuck as stuck:
            raised.append(str(stuck))

    thread = threading.Thread(target=block, daemon=True)
    thread.start()
    thread.join(PATIENCE)
    assert "MainProcess waits to join sleeper." in raised[0]


def test_a_limit_is_told_where_no_more_file_can_be_opened(monkeypatch):
    """Not even one to import what would say more."""
    with pytest.raises(Stuck) as caught, watch(limit=30) as mp:
        monkeypatch.setitem(sys.modules, "mpdemos.watch.explain", None)
        monkeypatch.setattr(mp._recorder, "test", lambda: OSError(errno.EMFILE, "Too many open files"))
        expire_when(mp, lambda: True)
        block_in_sleep(mp)
    monkeypatch.undo()
    assert str(caught.value).splitlines() == [
        "The block did not end within its limit of 30 seconds.",
        "watch can keep no record any more: Too many open files.",
    ]


def test_a_limit_that_is_reached_before_the_block_begins(monkeypatch):
    """As on a machine that is busy."""
    start_thread = threading.Thread.start

    def start_and_fall_asleep(self):
        start_thread(self)
        time.sleep(2 * LIMIT)

    monkeypatch.setattr(threading.Thread, "start", start_and_fall_asleep)
    with pytest.raises(Stuck, match=r"within its limit of 0\.4 seconds"), watch(limit=LIMIT) as mp:
        block_in_event(mp)


def test_the_limit_interrupts_nobody_who_still_enters_the_block():
    """The error would come out as it is, and the guard would never end."""
    with watch(limit=PATIENCE) as mp:
        handler = mp._guard._handler
        handler.armed = True
        handler(guard._OURS, SimpleNamespace(f_code=mp.__enter__.__code__))
        assert handler.armed
        with pytest.raises(Interrupted):
            handler(guard._OURS, SimpleNamespace(f_code=block_in_event.__code__, f_back=mp._guard.program))
        assert not handler.armed


@posix_only
def test_the_limit_ends_a_start_that_hangs(monkeypatch):
    """A signal waits until a child is started; one only."""
    with pytest.raises(Stuck), watch("spawn", limit=LIMIT) as mp:
        popen = importlib.import_module("multiprocessing.popen_spawn_posix").Popen
        monkeypatch.setattr(popen, "_launch", lambda self, child: time.sleep(1000))
        start(mp, watchworkers.nothing, name="child")


IMPORTS = """
import threading
import time
from mpdemos import Stuck, watch

class Noting:
    names = []

    def find_spec(self, name, path=None, target=None):
        if threading.current_thread() is not threading.main_thread():
            self.names.append(name)

if __name__ == "__main__":
    sys.meta_path.insert(0, Noting())
    for limit, block in (60, lambda mp: mp.Queue().get()), (0.4, lambda mp: time.sleep(1000)):
        try:
            with watch(limit=limit) as mp:
                block(mp)
        except Stuck as error:
            print(str(error).splitlines()[0])
    print(Noting.names)
"""


def test_the_guards_thread_imports_nothing(tmp_path):
    """A child that is forked meanwhile could never import the same, as it must to tell of an error."""
    command = [sys.executable, str(script(tmp_path, IMPORTS))]
    done = subprocess.run(
        command, env=environment(tmp_path / "t"), capture_output=True, text=True, timeout=PATIENCE
    )
    assert (done.stdout.splitlines(), done.stderr) == (
        [
            "Nobody can go on: every process waits for another one.",
            "The block did not end within its limit of 0.4 seconds.",
            "[]",
        ],
        "",
    )


@pytest.mark.skipif("fork" not in METHODS, reason="only a forked child has the watch of its parent")
def test_a_forked_childs_own_children_need_nothing_of_its_parent():
    with watch("fork") as mp:
        with mp._reaping:  # as a pool's thread does while it notes the end of a worker
            child = start(mp, watchworkers.start_and_join, mp, name="child")
        child.join()


def test_the_limit_ends_a_block_whose_records_cannot_be_understood(monkeypatch):
    for module, name in [("explain", "stuck"), ("deadlock", "nobody_can_go_on")]:
        module = importlib.import_module(f"mpdemos.watch.{module}")
        monkeypatch.setattr(module, name, lambda *args, **kwargs: 1 / 0)
    with pytest.raises(Stuck) as caught, watch(limit=LIMIT) as mp:
        block_in_event(mp)
    assert str(caught.value) == "The block did not end within its limit of 0.4 seconds."


# Who waits for what


def stuck(mp_block, **options):
    """The message of the Stuck that `mp_block(mp)` ends with."""
    with pytest.raises(Stuck) as caught, watch(limit=PATIENCE, **options) as mp:
        mp_block(mp)
    text = str(caught.value)
    assert text.startswith(("The block did not end within its limit of 60 seconds.", "Nobody can go on:"))
    return text


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
        timer = threading.Timer(1.0, gate.set)
        timer.daemon = True  # set() would wait for ever for a guest that was killed
        timer.start()
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


# Before the limit: when it is proved that nobody can go on


@posix_only
def test_who_has_set_an_alarm_is_waited_for(method):
    with watch(method, limit=60) as mp:
        queue = mp.Queue()
        start(mp, watchworkers.put_at_the_alarm, queue, name="child").join()
    with pytest.raises(TimeoutError, match="took more than 2 seconds"), watch(method, limit=60) as mp:
        signal.setitimer(signal.ITIMER_REAL, 2)
        signal.signal(signal.SIGALRM, watchworkers.give_up)
        mp.Queue().get()


ENOUGH_LOOKS = 5  # a proof takes fewer


def look_often_before(act, key, monkeypatch):
    """Call ``act`` when somebody waits for ``key`` and the guard has looked often; returns the looks."""
    looks, look = [], context.Watch._nobody_can_go_on

    def look_and_act(mp, at_end=False):
        verdict = look(mp, at_end)
        records, _torn = mp._recorder.read()
        if any(record.resource == key and record.action.startswith("waits") for record in records):
            looks.append(verdict)
        if len(looks) == ENOUGH_LOOKS:
            act()
        return verdict

    monkeypatch.setattr(context.Watch, "_nobody_can_go_on", look_and_act)
    return looks


@posix_only
@pytest.mark.parametrize(
    ("whose", "name"),
    [
        *(("the child's", name) for name in ("SIGTERM", "SIGHUP", "SIGQUIT", "SIGUSR1", "SIGUSR2", "SIGINT")),
        ("the parent's", "SIGTERM"),
        ("the parent's", "SIGINT"),
        ("the parent's, at the end of the block", "SIGINT"),
        ("the parent's, at the end of the block", "SIGTERM"),
    ],
)
def test_who_handles_a_signal_is_waited_for(whose, name, monkeypatch):
    number = getattr(signal, name)
    former = signal.getsignal(number)
    looks = look_often_before(
        lambda: os.kill(child.pid if whose == "the child's" else os.getpid(), number), "Queue-1", monkeypatch
    )
    try:
        with watch(limit=PATIENCE) as mp:
            queue = mp.Queue()
            if whose == "the child's":
                child = start(mp, watchworkers.put_at_a_signal, queue, number, name="child")
            else:
                signal.signal(number, lambda *_: queue.put("signal"))
                child = start(mp, watchworkers.get, queue, name="child")
            if "end" not in whose:
                child.join()
    finally:
        signal.signal(number, former)
    assert len(looks) >= ENOUGH_LOOKS


SENDS_LATER = """
import os, sys
token, writer = map(int, sys.argv[1:])
os.read(token, 1)
os.write(writer, b"\\0\\0\\0\\3now")
"""


def start_program(reader, writer, told):
    fds = told.fileno(), writer.fileno()
    with subprocess.Popen([sys.executable, "-c", SENDS_LATER, *map(str, fds)], pass_fds=fds):
        assert reader.recv_bytes() == b"now"


@posix_only
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
@pytest.mark.parametrize("helper", [watchworkers.receive_from_a_copy, start_program])
def test_who_was_not_started_by_multiprocessing_may_still_help(helper, monkeypatch):
    told, tell = multiprocessing.Pipe(duplex=False)
    looks = look_often_before(lambda: tell.send_bytes(b"now"), "Pipe-1", monkeypatch)
    with watch(limit=PATIENCE) as mp, told, tell:
        helper(*mp.Pipe(duplex=False), told)
    assert len(looks) >= ENOUGH_LOOKS


@posix_only
def test_a_copy_of_a_child_may_still_help(method, monkeypatch):
    told, tell = multiprocessing.get_context(method).Pipe(duplex=False)
    looks = look_often_before(lambda: tell.send_bytes(b"now"), "Pipe-1", monkeypatch)
    with watch(method, limit=PATIENCE) as mp, told, tell:
        start(mp, watchworkers.receive_from_a_copy, *mp.Pipe(duplex=False), told, name="child").join()
    assert len(looks) >= ENOUGH_LOOKS


@posix_only
@pytest.mark.parametrize("who", ["older than the block", "dead, and nobody has asked for its exit code"])
def test_who_cannot_help_is_not_waited_for(who, monkeypatch):
    program = "input()" if who.startswith("older") else ""
    with subprocess.Popen([sys.executable, "-c", program], stdin=subprocess.PIPE) as other:
        if who.startswith("older"):
            monkeypatch.setattr(deadlock, "_YOUNG", -1000)
        else:
            wait_until(lambda: psutil.Process(other.pid).status() == psutil.STATUS_ZOMBIE)
        with pytest.raises(Stuck, match="Nobody can go on"), watch(limit=PATIENCE) as mp:
            block_in_get(mp)


@pytest.mark.parametrize("where", ["in the block", "at its end"])
def test_a_thread_that_is_older_than_the_block_may_still_help(where, monkeypatch):
    told = threading.Event()
    looks = look_often_before(told.set, "Queue-1", monkeypatch)
    with ThreadPoolExecutor(1) as crew, contextlib.ExitStack() as leaving:
        crew.submit(abs, 0).result()
        leaving.callback(told.set)
        with watch(limit=PATIENCE) as mp:
            queue = mp.Queue()
            crew.submit(lambda: told.wait() and queue.put("now"))
            child = start(mp, watchworkers.get, queue, name="child")
            if where == "in the block":
                child.join()
    assert len(looks) >= ENOUGH_LOOKS


def test_who_handles_ctrl_c_since_before_the_block_is_waited_for():
    former = signal.signal(signal.SIGINT, lambda *_: None)
    try:
        with watch():
            assert handles_signals()
    finally:
        signal.signal(signal.SIGINT, former)
    with watch():
        assert not handles_signals()


def test_an_event_loop_in_an_older_thread_may_still_help(monkeypatch):
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    told = asyncio.Event()
    looks = look_often_before(lambda: loop.call_soon_threadsafe(told.set), "Queue-1", monkeypatch)

    async def put_when_told(queue):
        await told.wait()
        queue.put("now")

    try:
        with watch(limit=PATIENCE) as mp:
            queue = mp.Queue()
            asyncio.run_coroutine_threadsafe(put_when_told(queue), loop)
            start(mp, watchworkers.get, queue, name="child").join()
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()
    assert len(looks) >= ENOUGH_LOOKS


def test_a_timer_that_is_older_than_the_block_may_still_help(monkeypatch):
    main, timer = threading.get_ident(), threading.Timer(PATIENCE, print)
    timer.start()
    threads = [threading.current_thread(), timer]
    monkeypatch.setattr(threading, "enumerate", lambda: threads)
    frames = {number: sys._current_frames()[number] for number in (main, timer.ident)}
    monkeypatch.setattr(sys, "_current_frames", lambda: frames)
    helps = deadlock.a_thread_may_help(main)
    threads.remove(timer)
    helps_as_another_thread = deadlock.a_thread_may_help(main)
    timer.cancel()
    timer.join()
    assert helps
    assert not helps_as_another_thread


def test_a_thread_that_a_child_has_since_its_imports_may_still_help(monkeypatch, tmp_path):
    over = threading.Event()
    thread = threading.Thread(target=over.wait)
    thread.start()
    monkeypatch.setattr(threading, "enumerate", lambda: [threading.current_thread(), thread])
    may_help = recorder(str(tmp_path)).has_other_threads()
    over.set()
    thread.join()
    assert may_help


fork_only = pytest.mark.skipif("fork" not in multiprocessing.get_all_start_methods(), reason="needs fork")


@fork_only
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
@pytest.mark.parametrize("how", ["terminate", "at the limit", "at the end of the block"])
def test_a_child_that_becomes_another_program_is_ended(how):
    """Its sentinel says that it has ended: nothing that `os.exec` starts has its files."""
    reader, writer = multiprocessing.Pipe(duplex=False)
    ends = contextlib.nullcontext() if how == "terminate" else pytest.raises(Stuck)
    with reader, writer, ends, watch("fork", limit=LIMIT if "limit" in how else 3) as mp:
        child = start(mp, watchworkers.become_another_program, writer, name="child")
        reader.recv_bytes()
        if how == "terminate":
            child.terminate()
        if how != "at the end of the block":
            child.join()
    assert child.exitcode == -(signal.SIGTERM if how == "terminate" else signal.SIGKILL)
    assert "before its function returned" not in mp.explain()


@posix_only
@pytest.mark.parametrize("method", [m for m in multiprocessing.get_all_start_methods() if m != "forkserver"])
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_children_that_the_program_reaps_itself_are_not_waited_for(method):
    former = signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    try:
        with watch(method, limit=PATIENCE) as mp:
            children = [start(mp, watchworkers.nothing, name=f"child-{n}") for n in range(3)]
    finally:
        signal.signal(signal.SIGCHLD, former)
    assert [child.exitcode for child in children] == [None] * 3  # as without watch
    assert mp._guard.left() > 0


@posix_only
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_child_that_closes_all_its_files_is_alive_and_its_files_are_its_own(method, tmp_path, monkeypatch):
    """Its sentinel says that it has ended; and what watch writes must not get into the next file."""
    gate = multiprocessing.get_context(method).Event()
    looks = look_often_before(gate.set, "Event-1", monkeypatch)
    with watch(method, limit=PATIENCE) as mp:
        lock, done = mp.Lock(), mp.Event()
        work = watchworkers.close_all_files_and_write
        child = start(mp, work, tmp_path / "own", lock, gate, done, name="child")
        done.wait()
        child.join()
    assert len(looks) >= ENOUGH_LOOKS
    assert (tmp_path / "own").read_text() == "a line\n" * 3
    assert "It ended with exit code 0." in mp.explain()


@posix_only
def test_a_child_that_has_opened_other_files_is_no_orphan(monkeypatch):
    """One of them may have got the number of its parent's sentinel, and be ready."""
    waited, ended = [], []
    reader, writer = multiprocessing.Pipe(duplex=False)
    with reader, writer, monkeypatch.context() as patch:
        patch.setattr(watched_process, "active_children", list)
        patch.setattr(watched_process, "_LAST_WORDS", 0)
        patch.setattr(watched_process.os, "_exit", ended.append)
        patch.setattr(watched_process.connection, "wait", waited.extend)
        patch.setattr(
            watched_process.threading, "Thread", lambda target, **_options: SimpleNamespace(start=target)
        )
        watched_process._die_with_parent(reader.fileno())
        (copy,) = waited
        assert copy != reader.fileno()
        assert os.path.sameopenfile(copy, reader.fileno())
        os.close(copy)
    assert ended == [watched_process._ORPHANED]


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_the_main_thread_may_still_help_a_block_of_another_thread(monkeypatch):
    told, gates = threading.Event(), []
    looks = look_often_before(told.set, "Event-1", monkeypatch)

    def block():
        with contextlib.ExitStack() as leaving:
            leaving.callback(told.set)
            with watch(limit=PATIENCE) as mp:
                gates.append(mp.Event())
                start(mp, watchworkers.wait_for, gates[0], name="guest")

    thread = threading.Thread(target=block)
    thread.start()
    told.wait()
    if len(looks) >= ENOUGH_LOOKS:  # else a guest that was killed would never hear of it
        gates[0].set()
    thread.join()
    assert len(looks) >= ENOUGH_LOOKS


def test_where_the_system_does_not_answer_nothing_is_proved(monkeypatch):
    def fails(*_args, **_options):
        raise OSError(errno.EMFILE, "Too many open files")

    with watch() as mp:
        assert mp._others_may_help() is False
        with monkeypatch.context() as full:
            full.setattr(psutil.Process, "children", fails)
            assert mp._others_may_help() is True


@pytest.mark.parametrize("older", [True, False])
def test_at_the_limit_who_may_still_help_is_not_said_to_be_nobody(older):
    told = threading.Event()
    with ThreadPoolExecutor(1) as crew, contextlib.ExitStack() as leaving:
        leaving.callback(told.set)
        if older:
            crew.submit(lambda: told.wait())
        with pytest.raises(Stuck) as caught, watch(limit=LIMIT) as mp:
            block_in_get(mp)
    assert ("nobody who could put is alive or awake" in str(caught.value)) is not older


@pytest.mark.parametrize("path", [queue.__file__, os.path.join("lib", "site-packages", "server", "serve.py")])
def test_a_thread_that_is_none_of_the_program_is_not_waited_for(path):
    code = {}
    exec(compile("def serve(over): over.wait()", path, "exec"), code)
    over = threading.Event()
    thread = threading.Thread(target=code["serve"], args=(over,))
    thread.start()
    try:
        with pytest.raises(Stuck, match="Nobody can go on"), watch(limit=PATIENCE) as mp:
            block_in_get(mp)
    finally:
        over.set()
        thread.join()


def test_trackers_removers_and_fork_servers_do_not_help(method, monkeypatch):
    monkeypatch.setattr(deadlock, "_YOUNG", 1e9)  # as if they had been started in the block
    with pytest.raises(Stuck, match="Nobody can go on"), watch(method, limit=PATIENCE) as mp:
        queue = mp.Queue()
        start(mp, watchworkers.get, queue, name="child").join()


def test_a_proved_deadlock_is_ended_before_the_limit(method):
    with pytest.raises(Stuck) as caught, watch(method, limit=60) as mp:
        a, b, both = mp.Lock(), mp.Lock(), mp.Barrier(2)
        children = [
            start(mp, watchworkers.take_both, a, b, both, name="teller-1"),
            start(mp, watchworkers.take_both, b, a, both, name="teller-2"),
        ]
        for child in children:
            child.join()
    text = str(caught.value)
    assert text.startswith("Nobody can go on: every process waits for another one.\n")
    assert ": a deadlock." in text


@pytest.mark.parametrize(
    ("kind", "size", "hang", "way_out"),
    [
        ("Lock", 1, [("main", "acquired"), ("p", "waits", "acquire")], [("main", "released")]),
        ("Semaphore", 1, [("main", "acquired"), ("p", "waits", "acquire")], [("main", "released")]),
        ("Event", 0, [("p", "waits", "set")], [("main", "set")]),
        (
            "Condition",
            1,
            [("p", "acquired"), ("p", "waits", "notify"), ("p", "released")],
            [("main", "notifies")],
        ),
        ("Queue", 0, [("p", "waits", "get")], [("main", "put")]),
        ("Queue", 1, [("main", "put"), ("p", "waits", "put")], [("main", "got", "1-1")]),
        ("Barrier", 2, [("p", "waits", "the others")], [("main", "waits", "the others"), ("main", "passed")]),
        ("Pipe", 0, [("p", "waits", ["receive", 0])], [("main", "waits", ["send", 1])]),
        ("Pipe", 0, [("p", "waits", ["receive", 0])], [("main", "closed", 1)]),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_proves_that_nobody_can_go_on_and_what_does_not(kind, size, hang, way_out):
    for steps, proved in ((hang, True), (hang + way_out, False)):
        story = Story()
        story.meet("p")
        story.make("Thing-1", kind, size)
        for who, action, *detail in steps:
            story.note("MainProcess" if who == "main" else who, action, "Thing-1", *detail)
        assert not nobody_can_go_on(story.history()), "the parent is not waiting yet"
        story.note("MainProcess", "waits", "", ["join", story.pids["p"]])
        assert nobody_can_go_on(story.history()) is proved


@pytest.mark.parametrize(
    ("steps", "proved"),
    [
        ("main notifies 1, late waits", True),  # nobody was there to hear it
        ("main notifies all, late waits", True),
        ("late waits, main notifies 0", True),
        ("late waits, main notifies 1", False),
        ("late waits, main notifies all", False),
        ("p waits, late waits, main notifies 1, p notified, p waits", True),
        ("p waits, late waits, main notifies 2, p notified, p waits", False),
        ("p waits, late waits, main notifies all, p notified, p waits", False),
        ("p waits, main notifies all, late waits, p notified, p waits", True),
        ("p waits, main notifies 3, p notified, p waits, late waits", True),
        ("p waits for now, p gave up, late waits, main notifies 1, p waits", False),
        ("p waits for now, main notifies 1, p gave up, p waits, late waits", True),
    ],
)
def test_a_notification_reaches_only_who_waits_already(steps, proved):
    story = Story()
    story.make("Condition-1", "Condition", 1)
    story.meet("late")
    if "p " in steps:
        story.meet("p")
    for step in steps.split(", "):
        who, action = step.split(" ", 1)
        if who == "main":
            many = action.removeprefix("notifies ")
            story.note("MainProcess", "notifies", "Condition-1", int(many) if many.isdigit() else many)
        else:
            story.note(who, action, "Condition-1", "notify")
    story.note("MainProcess", "waits", "", ["join", story.pids["late"]])
    assert nobody_can_go_on(story.history()) is proved


def test_a_notification_of_another_condition_wakes_nobody_here():
    story = Story()
    story.meet("late")
    for key in ("Condition-1", "Condition-2"):
        story.make(key, "Condition", 1)
    story.note("late", "waits", "Condition-1", "notify")
    story.note("MainProcess", "notifies", "Condition-2", 1)
    story.note("MainProcess", "waits", "", ["join", story.pids["late"]])
    assert nobody_can_go_on(story.history())


@pytest.mark.parametrize(
    ("before", "proved"),
    [([], True), (["set"], False), (["set", "cleared"], True), (["cleared", "set"], False)],
)
def test_who_waits_for_an_event_that_is_set_goes_on(before, proved):
    story = Story()
    story.meet("late")
    story.make("Event-1", "Event")
    for action in before:
        story.note("MainProcess", action, "Event-1")
    story.note("late", "waits", "Event-1", "set")
    story.note("MainProcess", "waits", "", ["join", story.pids["late"]])
    assert nobody_can_go_on(story.history()) is proved


def test_an_end_that_the_guard_notes_late_is_no_news():
    story = Story()
    for name in ("writer", "reader"):
        story.meet(name)
    story.make("Pipe-1", "Pipe")
    story.note("MainProcess", "reaps", detail={"pid": story.pids["writer"], "exitcode": 0})
    story.note("reader", "waits", "Pipe-1", ["receive", 0])
    story.note("MainProcess", "sees the end of", detail={"pid": story.pids["writer"]})
    story.note("MainProcess", "waits", "", ["join", story.pids["reader"]])
    assert nobody_can_go_on(story.history())


def test_a_wait_with_a_timeout_proves_nothing():
    story = Story()
    story.meet("p")
    story.make("Event-1", "Event")
    story.note("p", "waits for now", "Event-1", "set")
    story.note("MainProcess", "waits", "", ["join", story.pids["p"]])
    assert not nobody_can_go_on(story.history())


def test_who_has_done_everything_needs_time_to_leave():
    """On a busy machine a child takes a while between its last record and its end."""
    story = Story()
    story.meet("p")
    story.note("p", "returned")
    story.note("p", "ended", detail={"lost": 0})
    assert not nobody_can_go_on(story.history(), without_parent=True)


def test_a_record_with_a_gap_proves_nothing():
    story = Story()
    story.meet("p")
    story.make("Event-1", "Event")
    story.note("p", "waits", "Event-1", "set")
    assert nobody_can_go_on(story.history(), without_parent=True)
    assert not nobody_can_go_on(story.history(torn=1), without_parent=True)


@pytest.mark.parametrize(
    ("before", "after", "proved"),
    [
        (["writer"], [], True),
        ([], ["writer"], False),  # the reader may see the end of the pipe
        (["writer"], ["reader"], False),  # the join returns
    ],
)
def test_the_end_of_a_process_may_be_the_end_of_a_pipe_or_of_a_join(before, after, proved):
    story = Story()
    for name in ("writer", "reader"):
        story.meet(name)
    story.make("Pipe-1", "Pipe")
    for name in before:
        story.end(name)
    story.note("reader", "waits", "Pipe-1", ["receive", 0])
    for name in after:
        story.end(name)
    story.note("MainProcess", "waits", "", ["join", story.pids["reader"]])
    assert nobody_can_go_on(story.history()) is proved


def test_the_end_of_a_child_that_nobody_joins_is_seen():
    with pytest.raises(Stuck, match="Nobody can go on"), watch(limit=PATIENCE) as mp:
        start(mp, watchworkers.leave_at_once, 1, name="cook")
        mp.Queue().get()


def test_what_is_missing_in_a_torn_record_may_wake_somebody_up():
    story = Story()
    story.note("MainProcess", "waits", "Event-1", "set")
    assert nobody_can_go_on(story.history())
    assert not nobody_can_go_on(story.history(torn=1))


@pytest.mark.parametrize("portion", [2, 100])
def test_any_number_of_things_is_waited_for(portion, monkeypatch):
    """Windows waits for 63 things at a time, before Python 3.13."""
    monkeypatch.setattr(guard, "_MOST_AT_ONCE", portion)
    pipes = [multiprocessing.Pipe(duplex=False) for _ in range(5)]
    readers = [reader for reader, _writer in pipes]
    assert guard.wait_for_any(readers, 0.05) == []
    pipes[4][1].send_bytes(b"x")
    assert guard.wait_for_any(readers, None) == [readers[4]]
    for end in (end for ends in pipes for end in ends):
        end.close()


def test_looking_for_a_deadlock_reaps_no_child():
    """Two threads that wait for one child: the slower one would take it for alive, and lose its exit code."""
    with watch(limit=PATIENCE) as mp:
        second = start(mp, time.sleep, 0.7, name="second")
        first = start(mp, watchworkers.nothing, name="first")  # last: each start reaps whoever has ended
        second.join()
        assert first._popen.returncode is None


# Whoever may still wake up is waited for. A stopped process stands for one that a busy machine does not run.


def wake_by_release(mp):
    lock = mp.Lock()
    lock.acquire()
    return watchworkers.hold_once, (lock,), lock.release


def wake_by_semaphore(mp):
    semaphore = mp.Semaphore(1)
    semaphore.acquire()
    return watchworkers.hold_once, (semaphore,), semaphore.release


def wake_by_set(mp):
    event = mp.Event()
    return watchworkers.wait_for, (event,), event.set


def wake_by_put(mp):
    items = mp.Queue()
    return watchworkers.get_all, (items, 1), lambda: items.put(1)


def wake_by_get(mp):
    items = mp.Queue(1)
    items.put(1)
    return watchworkers.produce, (items, [2]), items.get


def wake_by_notify(mp):
    condition = mp.Condition()

    def notify():
        with condition:
            condition.notify()

    return watchworkers.wait_notified, (condition,), notify


def wake_by_coming(mp):
    barrier = mp.Barrier(2)
    return watchworkers.wait_for, (barrier,), barrier.wait


def wake_by_send(mp):
    here, there = mp.Pipe()
    return watchworkers.echo, (there, 1), lambda: here.send(1)


def wake_by_end_of_file(mp):
    reader, writer = mp.Pipe(duplex=False)

    def close():
        reader.close()
        writer.close()

    return watchworkers.receive_until_end, (reader,), close


def wake_by_task_done(mp):
    jobs = mp.JoinableQueue()
    jobs.put(1)
    jobs.get()
    return jobs.join, (), jobs.task_done


WAKERS = [value for name, value in list(globals().items()) if name.startswith("wake_by_")]


def is_in_its_wait(action):
    """Who waits to be notified has the condition's lock until that is noted as released."""
    return action == "released" or (action.startswith("waits") and action != "waits notify")


@posix_only
@pytest.mark.parametrize("wake_by", WAKERS, ids=lambda wake_by: wake_by.__name__)
def test_a_process_that_is_about_to_wake_up_is_waited_for(wake_by, monkeypatch):
    monkeypatch.setattr(context.Watch, "_others_may_help", lambda mp: False)  # as the program below might
    with watch("spawn", limit=PATIENCE) as mp:
        target, args, wake = wake_by(mp)
        child = start(mp, target, *args, name="sleeper")
        wait_until(lambda: is_in_its_wait(last_actions(mp).get("sleeper", "")))
        os.kill(child.pid, signal.SIGSTOP)
        going_on = subprocess.Popen(["sh", "-c", f"sleep 1; kill -CONT {child.pid}"])
        wake()
        child.join()
        going_on.wait()
    assert child.exitcode == 0


@contextlib.contextmanager
def pipe_at_its_end(mp):
    """The end to read from, when the only one who could have sent has ended, before anybody reads."""
    reader, writer = mp.Pipe(duplex=False)
    sender = start(mp, watchworkers.nothing, name="sender")
    sender.join()
    writer.close()
    yield reader
    reader.close()


@pytest.mark.parametrize("method", METHODS)
def test_a_parent_that_is_about_to_read_the_end_of_file_is_waited_for(method, monkeypatch):
    plain = connection.Connection._recv_bytes

    def late(self, *args):
        time.sleep(5 * guard._LOOK)
        return plain(self, *args)

    with watch(method, limit=PATIENCE) as mp, pipe_at_its_end(mp) as reader:
        monkeypatch.setattr(connection.Connection, "_recv_bytes", late)
        with pytest.raises(EOFError):
            reader.recv()


def test_a_parent_that_waits_for_the_processor_is_waited_for(monkeypatch):
    asked = []

    def is_asleep(pid):
        asked.append(pid)
        return pid != os.getpid()

    monkeypatch.setattr(context, "_is_asleep", is_asleep)
    with watch(limit=PATIENCE) as mp:
        event = mp.Event()
        monkeypatch.setattr(synchronize.Event, "wait", lambda *_: wait_until(lambda: os.getpid() in asked))
        assert event.wait()


def test_a_parent_that_reads_the_end_of_file_while_it_is_judged_is_waited_for(monkeypatch):
    plain, judged = connection.Connection._recv_bytes, threading.Event()

    def late(self, *args):
        if threading.current_thread() is threading.main_thread():  # and not the guard's, which judges
            assert judged.wait(PATIENCE)
        return plain(self, *args)

    def judge(history, **how):
        verdict = nobody_can_go_on(history, **how)
        if verdict:
            judged.set()
            wait_until(lambda: mp._recorder.receives is None)
        return verdict

    monkeypatch.setattr(deadlock, "nobody_can_go_on", judge)
    with watch("spawn", limit=PATIENCE) as mp, pipe_at_its_end(mp) as reader:
        monkeypatch.setattr(connection.Connection, "_recv_bytes", late)
        with pytest.raises(EOFError):
            reader.recv()
        time.sleep(guard._LOOK)  # time enough to be interrupted, if the verdict stood


@pytest.mark.parametrize("method", METHODS)
def test_a_parent_that_reads_from_a_child_that_is_just_leaving_is_waited_for(method):
    with watch(method, limit=PATIENCE) as mp:
        reader, writer = mp.Pipe(duplex=False)
        start(mp, watchworkers.leave_slowly, writer, 5 * guard._LOOK, name="sender")
        writer.close()
        wait_until(lambda: any(life.clean for life in mp._read().lives.values()))
        with pytest.raises(EOFError):
            reader.recv()


@pytest.mark.skipif(sys.platform != "linux", reason="only there is it known who waits for the processor")
@pytest.mark.parametrize("method", METHODS)
def test_a_child_that_is_about_to_read_the_end_of_file_is_waited_for(method):
    with watch(method, limit=PATIENCE) as mp, pipe_at_its_end(mp) as reader:
        closed = mp.Event()
        child = start(mp, watchworkers.read_end_of_file_late, reader, closed, 5 * guard._LOOK, name="late")
        reader.close()
        closed.set()
        child.join()
    assert child.exitcode == 0


@pytest.mark.parametrize("method", METHODS)
def test_a_process_that_waits_for_an_unwatched_one_is_waited_for(method):
    with watch(method, limit=PATIENCE) as mp:
        event = mp.Event()
        child = start(mp, watchworkers.wait_for_own_child, event, method, name="middle")
        child.join()
    assert child.exitcode == 0


def test_a_parent_that_waits_for_a_thread_of_its_own_is_waited_for():
    with watch(limit=PATIENCE) as mp:
        event = mp.Event()
        timer = threading.Timer(1, event.set)
        timer.daemon = True
        timer.start()
        assert event.wait() is True


def test_a_parent_that_waits_for_an_unwatched_process_of_its_own_is_waited_for():
    with watch("spawn", limit=PATIENCE) as mp:
        event = mp.Event()
        helper = multiprocessing.get_context("spawn").Process(target=watchworkers.set_later, args=(event,))
        helper.start()
        assert event.wait() is True
        helper.join()


def test_a_parent_that_waits_with_a_timeout_is_waited_for():
    with watch(limit=PATIENCE) as mp:
        assert mp.Event().wait(1) is False
        with pytest.raises(threading.BrokenBarrierError):
            mp.Barrier(2, timeout=1).wait()
