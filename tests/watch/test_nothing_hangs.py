"""Promise 3: a block that would never end is ended at its limit, whatever it does.

What is said of it, and when it is ended before, stands in `test_who_waits_for_whom` and
`test_a_proved_deadlock`. There `expire_when` lets the limit be reached as soon as a hang is there: no clock
can get in the way.
"""

import contextlib
import errno
import functools
import importlib
import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
from types import SimpleNamespace

import pytest
import watchworkers
from watchtools import (
    LIMIT,
    METHODS,
    PATIENCE,
    all_wait,
    environment,
    expire_when,
    expire_when_last,
    last_actions,
    posix_only,
    script,
    start,
    stuck,
    wait_until,
)

from mpdemos import Stuck, watch
from mpdemos.watch import guard, pools
from mpdemos.watch.guard import Interrupted


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
        for _ in range(2):
            try:
                mp.Event().wait()
            except BaseException as error:
                caught.append(error)
    assert [type(error) for error in caught] == [Interrupted] * 2


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


def who_keeps_the_errors(wait):
    end, kept = time.monotonic() + PATIENCE, []
    while time.monotonic() < end:
        try:
            wait()
        except BaseException as error:
            kept.append(error)


@pytest.mark.parametrize("catches_all", [bare_except, in_one_line, two_of_them, who_keeps_the_errors])
@pytest.mark.parametrize("timeout", [None, 0.01])
def test_a_loop_that_catches_everything_is_ended(catches_all, timeout):
    went_on = []
    with pytest.raises(Stuck), watch(limit=LIMIT) as mp:
        catches_all(functools.partial(mp.Event().wait, timeout))
        went_on.append("after the loop")
    assert went_on == []


def test_a_loop_that_catches_everything_is_ended_and_a_debugger_keeps_its_trace():
    former = sys.gettrace()
    mine = lambda *_call: None  # noqa: E731
    sys.settrace(mine)
    try:
        with pytest.raises(Stuck), watch(limit=LIMIT) as mp:
            bare_except(mp.Event().wait)
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
            expire_when(mp, lambda: "waits" in last_actions(inner).get("MainProcess", ""))
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
