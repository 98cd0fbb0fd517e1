"""The workers of lesson 02, under every start method."""

import multiprocessing
from itertools import groupby

import pytest
from workertools import Watched, is_held

from mpdemos.workers import lock as bank

LIMIT = 120  # seconds; a safety net


@pytest.fixture(params=multiprocessing.get_all_start_methods())
def ctx(request):
    return multiprocessing.get_context(request.param)


def run(ctx, *jobs):
    """Run each (target, args) in a process of its own; give back the exit codes."""
    processes = [ctx.Process(target=target, args=args, daemon=True) for target, args in jobs]
    for process in processes:
        process.start()
    for process in processes:
        process.join(LIMIT)
    codes = [process.exitcode for process in processes]
    for process in processes:
        process.kill()
    return codes


def test_writers_keep_their_lines_together(ctx, tmp_path):
    lock, path = ctx.Lock(), tmp_path / "file.txt"
    jobs = [(bank.worker_with, (lock, path)), (bank.worker_no_with, (lock, path))] * 2
    assert run(ctx, *jobs) == [0] * 4
    lines = path.read_text().splitlines()
    assert {line: lines.count(line) for line in lines} == {
        "Lock acquired via with": 18,
        "Lock acquired directly": 18,
    }
    assert all(len(list(block)) % 9 == 0 for _, block in groupby(lines))


def test_without_the_lock_the_lines_are_mixed(ctx, tmp_path):
    both, path = ctx.Barrier(2), tmp_path / "file.txt"
    assert run(ctx, *[(bank.worker_unlocked, (both, path, line)) for line in ("red", "blue")]) == [0] * 2
    lines = path.read_text().splitlines()
    assert sorted(lines) == ["blue"] * 9 + ["red"] * 9
    assert max(len(list(block)) for _, block in groupby(lines)) <= 2


def test_writer_waits_for_the_lock(ctx, tmp_path):
    for worker in (bank.worker_with, bank.worker_no_with):
        lock, path = ctx.Lock(), tmp_path / worker.__name__
        lock.acquire()
        process = ctx.Process(target=worker, args=(lock, path), daemon=True)
        process.start()
        process.join(0.3)  # it must not have written whenever we look
        assert process.exitcode is None
        assert not path.exists()
        lock.release()
        process.join(LIMIT)
        assert process.exitcode == 0
        assert len(path.read_text().splitlines()) == 9
        assert lock.acquire(timeout=LIMIT), "the writer must release the lock"


@pytest.mark.parametrize("worker", [bank.worker_with, bank.worker_no_with])
def test_writer_holds_the_lock_for_every_line(worker, tmp_path, monkeypatch):
    lock, held = multiprocessing.get_context("spawn").Lock(), []
    monkeypatch.setattr(bank, "print", lambda *_, **__: held.append(is_held(lock)), raising=False)
    worker(lock, tmp_path / "file.txt")
    assert held == [True] * 9


def test_no_deposit_is_lost_with_the_lock(ctx):
    all_here, till, balance = ctx.Barrier(3), ctx.Lock(), ctx.Value("i", 0, lock=False)
    assert run(ctx, *[(bank.deposit, (all_here, till, balance, 5))] * 3) == [0] * 3
    assert balance.value == 15


def test_who_shares_a_number_reads_and_writes_it_while_holding_the_lock():
    ctx = multiprocessing.get_context("spawn")
    till, own, done = Watched(ctx.Lock()), Watched(ctx.RLock()), Watched(ctx.RLock())
    bank.deposit(ctx.Barrier(1), till.lock, till, 3)
    bank.deposit_value(own, 3)
    bank.count_down(done.lock, 3, done)
    for number in (till, own, done):
        assert number.amount == 3
        assert number.guarded == [True] * 6


def test_nobody_deposits_before_all_are_here(ctx):
    all_here, till, balance = ctx.Barrier(2), ctx.Lock(), ctx.Value("i", 0, lock=False)
    teller = ctx.Process(target=bank.deposit, args=(all_here, till, balance, 1), daemon=True)
    teller.start()
    teller.join(0.3)  # it must not have begun whenever we look
    assert balance.value == 0
    all_here.wait(LIMIT)
    teller.join(LIMIT)
    assert (teller.exitcode, balance.value) == (0, 1)


def test_half_of_the_deposits_are_lost_without_it(ctx):
    both, balance = ctx.Barrier(2), ctx.Value("i", 0, lock=False)
    assert run(ctx, *[(bank.deposit_unlocked, (both, balance, 10))] * 2) == [0] * 2
    assert balance.value == 10


def test_the_value_s_own_lock_guards_the_sum(ctx):
    balance = ctx.Value("i", 0)
    assert run(ctx, *[(bank.deposit_value, (balance, 3000))] * 2) == [0] * 2
    assert balance.value == 6000


def test_transfer_stops_in_a_deadlock(ctx):
    a, b, both = ctx.Lock(), ctx.Lock(), ctx.Barrier(3)
    processes = [
        ctx.Process(target=bank.transfer, args=pair, daemon=True) for pair in ((a, b, both), (b, a, both))
    ]
    for process in processes:
        process.start()
    both.wait(LIMIT)  # both hold their first lock and can never get the second
    for process in processes:
        process.join(0.2)
        assert process.is_alive()
        process.kill()
        process.join(LIMIT)


def test_transfer_in_order_does_not(ctx):
    locks, accounts = [ctx.Lock(), ctx.Lock()], ctx.Array("i", [100, 100], lock=False)
    jobs = [(bank.transfer_in_order, (locks, accounts, *way)) for way in ((0, 1, 50), (1, 0, 20), (1, 1, 9))]
    assert run(ctx, *jobs) == [0] * 3
    assert list(accounts) == [70, 130]


def test_an_rlock_lets_its_owner_in_again(ctx):
    lock, done = ctx.RLock(), ctx.Value("i", 0, lock=False)
    assert run(ctx, (bank.count_down, (lock, 4, done))) == [0]
    assert done.value == 4
    assert lock.acquire(timeout=LIMIT), "released as often as acquired"


def test_a_killed_holder_keeps_the_lock(ctx):
    lock, held = ctx.Lock(), ctx.Event()
    holder = ctx.Process(target=bank.hold_and_wait, args=(lock, held), daemon=True)
    holder.start()
    assert held.wait(LIMIT)
    assert not lock.acquire(block=False)
    holder.kill()
    holder.join(LIMIT)
    assert not lock.acquire(timeout=0.1)


def test_a_lock_can_be_released_by_another_process(ctx):
    lock = ctx.Lock()
    lock.acquire()
    assert run(ctx, (bank.release_for, (lock,))) == [0]
    assert lock.acquire(timeout=LIMIT)
