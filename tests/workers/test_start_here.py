"""The workers of lesson 00, under every start method."""

import multiprocessing
import os
import signal

import psutil
import pytest

from mpdemos.workers import start_here as here

LIMIT = 120  # seconds; a safety net


@pytest.fixture(params=multiprocessing.get_all_start_methods())
def ctx(request):
    return multiprocessing.get_context(request.param)


def start(ctx, worker, *args, name="child"):
    child = ctx.Process(target=worker, args=args, name=name, daemon=True)
    child.start()
    return child


def ended(child):
    """Its exit code, once it has ended; None if it does not."""
    child.join(LIMIT)
    code = child.exitcode
    child.kill()
    return code


def ask(ctx, worker, *args):
    """What a worker puts in a process of its own."""
    answers = ctx.SimpleQueue()
    assert ended(start(ctx, worker, answers, *args)) == 0
    assert not answers.empty()
    return answers.get()


def test_introduce_tells_who_runs_it(ctx):
    answers = ctx.SimpleQueue()
    child = start(ctx, here.introduce, answers, name="visitor")
    assert ended(child) == 0
    assert answers.get() == {"name": "visitor", "pid": child.pid, "parent": os.getpid()}


def test_nobody_greets_before_the_door_opens(ctx):
    door, answers = ctx.Event(), ctx.SimpleQueue()
    guests = [start(ctx, here.greet, door, answers, 0, name=name) for name in ("Ann", "Bo")]
    for guest in guests:
        guest.join(0.3)
        assert guest.exitcode is None
    assert answers.empty()
    door.set()
    assert [ended(guest) for guest in guests] == [0, 0]
    assert sorted([answers.get(), answers.get()]) == ["hello from Ann", "hello from Bo"]


def test_a_visit_counts_in_the_child_alone(ctx, monkeypatch):
    monkeypatch.setattr(here, "visits", 10)
    inherits = ctx.get_start_method() == "fork"
    assert ask(ctx, here.visit) == (11 if inherits else 1)
    assert here.visits == 10


def test_shout_prints(capsys):
    here.shout("from the child")
    assert capsys.readouterr().out == "from the child\n"


def test_the_fork_server_keeps_the_old_environment(ctx, monkeypatch):
    ended(start(ctx, here.shout, ""))  # starts the fork server
    monkeypatch.setenv("MPDEMOS_TEST", "new")
    keeps = ctx.get_start_method() == "forkserver"
    assert ask(ctx, here.look_up, "MPDEMOS_TEST") == (None if keeps else "new")
    assert ask(ctx, here.look_up, "PATH") == os.environ["PATH"]


def test_a_forked_child_inherits_a_held_latch(ctx):
    assert ask(ctx, here.try_latch) is True
    with here.latch:
        inherits = ctx.get_start_method() == "fork"
        assert ask(ctx, here.try_latch) is not inherits


def test_ignore_interrupts():
    former = signal.getsignal(signal.SIGINT)
    try:
        here.ignore_interrupts()
        assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
        signal.raise_signal(signal.SIGINT)
    finally:
        signal.signal(signal.SIGINT, former)


def test_the_child_of_a_vanished_parent_lives_on(ctx):
    answers = ctx.SimpleQueue()
    parent = ctx.Process(target=here.vanish, args=(answers,))  # a daemon may not have children
    parent.start()
    assert ended(parent) == 1
    orphan = psutil.Process(answers.get())
    try:
        assert orphan.is_running()
        assert orphan.status() != psutil.STATUS_ZOMBIE
        assert orphan.ppid() != parent.pid or os.name == "nt"
    finally:
        orphan.kill()


def test_stay_tells_and_stays():
    ctx = multiprocessing.get_context("spawn")
    news, tell = ctx.Pipe(duplex=False)
    child = start(ctx, here.stay, tell)
    assert news.poll(LIMIT)
    assert news.recv() == "here"
    child.join(0.1)
    assert child.exitcode is None
    child.kill()
    child.join()
