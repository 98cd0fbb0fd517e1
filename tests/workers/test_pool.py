"""The workers of lesson 07, under every start method."""

import copyreg
import multiprocessing
import os
import pickle
import random
import signal
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool

import numpy
import pytest
from workertools import Watched

from mpdemos.workers import pool as tasks

LIMIT = 120  # seconds; a safety net


@pytest.fixture(params=multiprocessing.get_all_start_methods())
def ctx(request):
    return multiprocessing.get_context(request.param)


def run(pool, function, items, chunksize=1):
    return pool.map_async(function, items, chunksize=chunksize).get(LIMIT)


def primes_below(stop):
    """The sieve: another way to count."""
    sieve = [False, False] + [True] * (stop - 2)
    for n in range(2, stop):
        if sieve[n]:
            sieve[2 * n :: n] = [False] * len(sieve[2 * n :: n])
    return sum(sieve)


def test_primes_are_counted_in_blocks_as_in_one_piece(ctx):
    with ctx.Pool(2) as pool:
        counts = run(pool, tasks.count_primes, [range(n, n + 500) for n in range(-500, 2_000, 500)])
    assert counts[:2] == [0, 95]
    assert sum(counts) == primes_below(2_000) == tasks.count_primes(range(2_000))


def test_power(ctx):
    with ctx.Pool(1) as pool:
        assert pool.starmap_async(tasks.power, [(2, 3), (3, 2)]).get(LIMIT) == [8, 9]


def test_add_reads_and_writes_while_it_holds_the_lock(ctx, monkeypatch):
    lock = ctx.Lock()
    total = Watched(lock)
    monkeypatch.setattr(tasks, "lock", lock, raising=False)
    monkeypatch.setattr(tasks, "total", total, raising=False)
    tasks.add(3)
    assert total.amount == 3
    assert total.guarded == [True, True]
    assert lock.acquire(block=False)


def test_all_workers_share_the_lock_and_the_total(ctx):
    lock, total = ctx.Lock(), ctx.Value("i", 0, lock=False)
    with ctx.Pool(3, initializer=tasks.share, initargs=(lock, total)) as pool:
        with lock:
            adding = pool.map_async(tasks.add, range(100), chunksize=1)
            adding.wait(0.3)
            assert not adding.ready()
            assert total.value == 0
        adding.get(LIMIT)
    assert total.value == sum(range(100))


def test_only_the_slow_guest_waits_for_the_gate(ctx):
    gate = ctx.Event()
    with ctx.Pool(2, initializer=tasks.keep_gate, initargs=(gate,)) as pool:
        served = pool.imap_unordered(tasks.serve, ["slow", "quick"])
        assert served.next(LIMIT) == "quick"
        with pytest.raises(multiprocessing.TimeoutError):
            served.next(0.2)
        gate.set()
        assert served.next(LIMIT) == "slow"


def test_a_worker_keeps_the_table_it_was_given(ctx):
    with ctx.Pool(1, initializer=tasks.load, initargs=({"tea": 3},)) as pool:
        assert run(pool, tasks.price, ["tea"]) == [3]
        with pytest.raises(KeyError):
            run(pool, tasks.price, ["coffee"])
    assert tasks.prices == {}
    assert tasks.price_in({"tea": 4}, "tea") == 4


def test_connect_fails_after_it_has_counted(ctx):
    attempts = ctx.Semaphore(0)
    with ctx.Pool(1, initializer=tasks.connect, initargs=(attempts,)) as pool:
        never = pool.apply_async(abs, (-1,))
        assert all(attempts.acquire(timeout=LIMIT) for _ in range(3))
        assert not never.ready()
    with (
        ProcessPoolExecutor(1, mp_context=ctx, initializer=tasks.connect, initargs=(attempts,)) as executor,
        pytest.raises(BrokenProcessPool),
    ):
        executor.submit(abs, -1).result(LIMIT)


def test_get_killed_ends_its_process_without_an_answer(ctx):
    child = ctx.Process(target=tasks.get_killed, args=("report",), daemon=True)
    child.start()
    child.join(LIMIT)
    assert child.exitcode == (-signal.SIGKILL if hasattr(signal, "SIGKILL") else signal.SIGTERM)
    with ProcessPoolExecutor(1, mp_context=ctx) as executor, pytest.raises(BrokenProcessPool):
        executor.submit(tasks.get_killed, "report").result(LIMIT)


def test_roll_draws_from_the_generator_it_gets(ctx):
    with ctx.Pool(2) as pool:
        assert run(pool, tasks.roll, [random.Random(1), random.Random(1), random.Random(2)]) == [
            random.Random(1).random(),
            random.Random(1).random(),
            random.Random(2).random(),
        ]
        seeds = numpy.random.SeedSequence(42).spawn(4)
        rolls = run(pool, tasks.roll, [numpy.random.default_rng(seed) for seed in seeds])
    assert rolls == [numpy.random.default_rng(seed).random() for seed in seeds]
    assert len(set(rolls)) == 4


def test_one_thread_for_the_libraries(ctx):
    before = os.environ.get("OMP_NUM_THREADS")
    with ctx.Pool(1, initializer=tasks.limit_threads) as pool:
        assert pool.apply_async(os.getenv, ("OMP_NUM_THREADS",)).get(LIMIT) == "1"
    assert os.environ.get("OMP_NUM_THREADS") == before


def test_a_worker_of_a_pool_may_not_nest_and_one_of_an_executor_may(ctx):
    with (
        ctx.Pool(1) as pool,
        pytest.raises(AssertionError, match="daemonic processes are not allowed to have children"),
    ):
        pool.apply_async(tasks.nest).get(LIMIT)
    with ProcessPoolExecutor(1, mp_context=ctx) as executor:
        assert executor.submit(tasks.nest).result(LIMIT) == [1]


def test_one_exception_can_travel_and_the_other_cannot(monkeypatch):
    for kind in (tasks.SoldOut, tasks.SoldOutAgain):  # importing distributed teaches all to travel
        monkeypatch.delitem(copyreg.dispatch_table, kind, raising=False)
    with pytest.raises(TypeError, match=r"missing 1 required positional argument: 'wanted'"):
        pickle.loads(pickle.dumps(tasks.SoldOut("tea", 3)))
    travelled = pickle.loads(pickle.dumps(tasks.SoldOutAgain("tea", 3)))
    assert type(travelled) is tasks.SoldOutAgain
    assert travelled.args == ("tea", 3)


def test_errors_are_counted_and_a_bad_file_is_part_of_the_answer(ctx, tmp_path):
    good, bad, missing = (tmp_path / f"{name}.log" for name in ("good", "bad", "missing"))
    good.write_text("ERROR a\nINFO ERROR b\nERROR c\n", encoding="utf-8")
    bad.write_bytes(b"ERROR \xff\n")
    with ctx.Pool(2) as pool:
        answers = run(pool, tasks.count_errors, [good, bad, missing])
    assert answers == [
        ("good.log", 2),
        ("bad.log", "UnicodeDecodeError"),
        ("missing.log", "FileNotFoundError"),
    ]
