"""The workers of lesson 01, under every start method."""

import logging
import multiprocessing
import os
import signal
import subprocess
import sys

import pytest

from mpdemos import watch
from mpdemos.workers import process as work

LIMIT = 120  # seconds; a safety net, never waited for


@pytest.fixture(params=multiprocessing.get_all_start_methods())
def ctx(request):
    yield multiprocessing.get_context(request.param)
    left = multiprocessing.active_children()
    for child in left:
        child.kill()
        child.join()
    assert left == []


def start(ctx, target, *args, **options):
    """Start a child; return it, and the parent's end of its line."""
    here, there = ctx.Pipe()
    child = ctx.Process(target=target, args=(*args, there), **options)
    child.start()
    there.close()
    return child, here


def hear(here):
    """What the child sends next, or None if it ended without a word."""
    try:
        assert here.poll(LIMIT), "the child says nothing"
        return here.recv()
    except (EOFError, BrokenPipeError):  # on Windows poll() raises the latter
        return None


def end(child):
    child.join(LIMIT)
    if child.exitcode is None:
        child.kill()
        child.join()
        pytest.fail(f"{child.name} does not end")
    return child.exitcode


def test_the_worker_ticks_five_times_and_lives_until_it_is_answered(ctx):
    child, here = start(ctx, work.worker, 0.001)
    assert [hear(here) for _ in range(5)] == [5, 4, 3, 2, 1]
    child.join(0.2)
    assert child.is_alive()
    here.send("thank you")
    assert end(child) == 0
    assert hear(here) is None


def test_the_clock_ticks_five_times_and_ends():
    here, there = multiprocessing.Pipe(duplex=False)
    clock = work.ClockProcess(0.001, there)
    clock.start()
    there.close()
    assert [hear(here) for _ in range(6)] == [5, 4, 3, 2, 1, None]
    assert (end(clock), clock.name) == (0, "clock")


def test_the_clock_ticks_under_every_start_method_when_it_is_watched(ctx):
    with watch(ctx.get_start_method(), limit=LIMIT) as mp:
        here, there = mp.Pipe(duplex=False)
        clock = mp.watched(work.ClockProcess)(0.001, there)
        clock.start()
        assert [hear(here) for _ in range(5)] == [5, 4, 3, 2, 1]
        assert end(clock) == 0


def test_a_square_stays_in_the_child_unless_it_is_sent(ctx, monkeypatch):
    monkeypatch.setattr(work, "results", [])
    child = ctx.Process(target=work.square, args=(7,))
    child.start()
    assert end(child) == 0
    assert work.results == []
    assert work.square(7) == 49
    assert work.results == [49]  # so the worker does what the lesson says, only elsewhere
    child, here = start(ctx, work.send_square, 7)
    assert hear(here) == 49
    assert end(child) == 0


@pytest.mark.parametrize(("how", "exitcode"), [("return", 0), ("exit", 3), ("raise", 1), ("crash", 7)])
def test_each_way_to_end_has_its_exit_code(ctx, how, exitcode):
    child = ctx.Process(target=work.end, args=(how,))
    child.start()
    assert end(child) == exitcode


CLEANS_UP = """
import atexit, sys
from mpdemos.workers.process import end
atexit.register(print, "cleaned up")
end(sys.argv[1])
"""


@pytest.mark.parametrize(("how", "told"), [("exit", "cleaned up"), ("crash", "")])
def test_a_crash_cleans_nothing_up(how, told):
    ended = subprocess.run([sys.executable, "-c", CLEANS_UP, how], capture_output=True, text=True)
    assert ended.stdout.strip() == told


@pytest.mark.parametrize("how", ["terminate", "kill", "interrupt"])
def test_who_stays_says_bye_only_if_interrupted(ctx, how):
    if how == "interrupt" and sys.platform == "win32":
        pytest.skip("Process.interrupt is not defined on Windows")
    child, here = start(ctx, work.stay)
    assert hear(here) == "here"
    if how == "interrupt" and not hasattr(child, "interrupt"):
        os.kill(child.pid, signal.SIGINT)  # what it does since Python 3.14
    else:
        getattr(child, how)()
    assert hear(here) == ("bye" if how == "interrupt" else None)
    expected = {"terminate": {-15}, "kill": {-9, -15}, "interrupt": {1}}  # on Windows to kill is to terminate
    assert end(child) in expected[how]


def test_a_child_introduces_itself(ctx):
    child, here = start(ctx, work.introduce, name="newcomer")
    name, pid, parent, _, _ = hear(here)
    assert (name, pid, parent) == ("newcomer", child.pid, os.getpid())
    assert end(child) == 0


def test_only_a_forked_child_inherits_globals_and_logging(ctx, monkeypatch):
    monkeypatch.setattr(work, "results", [1, 4, 9])
    logger = logging.getLogger("prices")
    monkeypatch.setattr(logger, "level", logging.INFO)
    logger.manager._clear_cache()
    child, here = start(ctx, work.introduce)
    *_, seen, level = hear(here)
    assert (seen, level) == ((3, "INFO") if ctx.get_start_method() == "fork" else (0, "WARNING"))
    assert end(child) == 0


@pytest.mark.parametrize(("flush", "kept"), [(False, ""), (True, "I was here")])
def test_termination_loses_what_was_not_flushed(ctx, tmp_path, flush, kept):
    note = tmp_path / "note.txt"
    child, here = start(ctx, work.note, str(note), flush)
    assert hear(here) == "here"
    child.terminate()
    end(child)
    assert note.read_text() == kept


def test_a_terminated_holder_keeps_the_lock(ctx):
    lock = ctx.Lock()
    child, here = start(ctx, work.hold, lock)
    assert hear(here) == "here"
    child.terminate()
    end(child)
    assert not lock.acquire(timeout=0.1)


@pytest.mark.parametrize(
    ("daemon", "told"),
    [
        (True, "AssertionError: daemonic processes are not allowed to have children"),
        (False, "its child ended with exit code 0"),
    ],
)
def test_a_daemon_cannot_have_a_child(ctx, daemon, told):
    child, here = start(ctx, work.have_child, daemon=daemon)
    assert hear(here) == told
    assert end(child) == 0


def test_there_is_no_user_to_ask_in_a_child(ctx):
    child, here = start(ctx, work.ask_user)
    assert hear(here) == "EOFError: EOF when reading a line"
    assert end(child) == 0


def test_a_log_record_reaches_the_parent(ctx):
    queue = ctx.Queue()
    child = ctx.Process(target=work.log, args=(queue,), name="clerk")
    child.start()
    record = queue.get(timeout=LIMIT)
    assert end(child) == 0
    assert (record.processName, record.levelname, record.getMessage()) == ("clerk", "INFO", "3 prices read")


def test_prices_are_added_up_beside_their_file(ctx, tmp_path):
    prices = tmp_path / "north"
    prices.write_text("3\n4\n")
    child = ctx.Process(target=work.add_up, args=(str(prices),))
    child.start()
    assert end(child) == 0
    assert (tmp_path / "north.total").read_text() == "7"


def test_a_broken_price_list_fails_and_leaves_no_total(ctx, tmp_path):
    prices = tmp_path / "east"
    prices.write_text("three\n")
    child = ctx.Process(target=work.add_up, args=(str(prices),))
    child.start()
    assert end(child) == 1
    assert not (tmp_path / "east.total").exists()
