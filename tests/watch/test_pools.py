"""Pools and executors: which worker ran what, in how large chunks, and what became of the results."""

import multiprocessing
import os
import signal
import threading
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from functools import partial
from multiprocessing import connection

import pytest
import watchworkers
from watchtools import METHODS, posix_only, wait_until

from mpdemos import ChildFailed, watch
from mpdemos.watch import pools


def tasks(mp):
    """(function, number of items) of each task, as the workers noted it."""
    return [(e.detail["function"], e.detail["items"]) for e in mp.events if e.action == "task"]


def test_a_function_is_not_asked_for_its_repr():
    """It may need what did not come along."""
    model = watchworkers.Model()
    with watch() as mp, mp.Pool(1) as pool:
        assert pool.map(model.predict, [1, 2]) == pool.map(model, [1, 2]) == [2, 3]
        pool.apply_async(watchworkers.same, (1,), callback=model).get(60)
    assert {function for function, _items in tasks(mp)} == {"Model.predict", "Model", "same"}


def test_tasks_chunks_and_workers(method):
    with watch(method) as mp:
        pool = mp.Pool(2)
        mp.label(team=pool)
        assert pool.map(watchworkers.square, range(10), chunksize=3) == [x * x for x in range(10)]
        pool.close()
        pool.join()
    assert sorted(tasks(mp)) == [("square", 1), ("square", 3), ("square", 3), ("square", 3)]
    assert "pool team ran 4 tasks with 10 items." in mp.explain()
    assert "MainProcess started 2 processes: team worker 1 and team worker 2." in mp.explain()
    done = [event for event in mp.events if event.action == "done"]
    assert len(done) == 4
    assert {event.process for event in done} <= {"team worker 1", "team worker 2"}


@pytest.mark.parametrize(
    ("call", "expected", "noted"),
    [
        (lambda pool: pool.apply(watchworkers.square, (3,)), 9, [("square", 1)]),
        (lambda pool: pool.apply_async(watchworkers.square, (3,)).get(), 9, [("square", 1)]),
        (lambda pool: pool.map(watchworkers.square, [2, 3], 1), [4, 9], [("square", 1)] * 2),
        (lambda pool: pool.map_async(watchworkers.square, [2, 3], 2).get(), [4, 9], [("square", 2)]),
        (lambda pool: pool.starmap(pow, [(2, 3), (3, 2)], 2), [8, 9], [("pow", 2)]),
        (lambda pool: pool.starmap_async(pow, [(2, 3)]).get(), [8], [("pow", 1)]),
        (lambda pool: list(pool.imap(watchworkers.square, [2, 3])), [4, 9], [("square", 1)] * 2),
        (lambda pool: list(pool.imap(watchworkers.square, [2, 3], 2)), [4, 9], [("square", 2)]),
        (lambda pool: sorted(pool.imap_unordered(watchworkers.square, [3, 2])), [4, 9], [("square", 1)] * 2),
        (lambda pool: pool.imap(watchworkers.square, [5]).next(timeout=30), 25, [("square", 1)]),
        (lambda pool: pool.map(watchworkers.square, []), [], []),
        (lambda pool: pool.apply(partial(pow, 2), (3,)), 8, [(repr(partial(pow, 2)), 1)]),
    ],
    ids=range(12),
)
def test_every_way_to_ask_a_pool(call, expected, noted):
    with multiprocessing.get_context("spawn").Pool(1) as plain:
        assert call(plain) == expected
    with watch("spawn") as mp, mp.Pool(1) as pool:
        assert call(pool) == expected
        assert tasks(mp) == noted


def test_an_error_in_a_task_is_raised_where_it_was():
    with watch() as mp, mp.Pool(1) as pool:
        with pytest.raises(ZeroDivisionError):
            pool.apply(watchworkers.divide, (1, 0))
        with pytest.raises(multiprocessing.TimeoutError):
            pool.apply_async(watchworkers.sleep_for_ever).get(timeout=0.1)


def test_callbacks_are_noted_and_called():
    answers, errors = [], []
    with watch() as mp, mp.Pool(1) as pool:
        pool.apply_async(watchworkers.square, (4,), callback=answers.append).wait()
        pool.map_async(watchworkers.square, [1, 2], callback=answers.append).wait()
        pool.apply_async(watchworkers.divide, (1, 0), error_callback=errors.append).wait()
        pool.close()
        pool.join()
    assert answers == [16, [1, 4]]
    assert [type(error) for error in errors] == [ZeroDivisionError]
    noted = [e for e in mp.events if e.action == "callback"]
    assert [e.process for e in noted] == ["MainProcess"] * 3
    assert all(e.thread for e in noted)  # a callback runs in a thread of the parent
    assert "append" in noted[0].detail


def test_workers_are_replaced_after_their_share():
    with watch() as mp, mp.Pool(1, maxtasksperchild=1) as pool:
        assert [pool.apply(watchworkers.square, (x,)) for x in range(3)] == [0, 1, 4]
    assert len({e.process for e in mp.events if e.action == "task"}) == 3


def test_results_do_not_wake_the_thread_that_replaces_workers(monkeypatch):
    """It would turn round and round until the thread that reads the result gets the processor."""
    maintain, turns = pools.pool.Pool._maintain_pool, []

    def maintained(*args):
        turns.append(args)
        return maintain(*args)

    monkeypatch.setattr(pools.pool.Pool, "_maintain_pool", staticmethod(maintained))
    with watch() as mp, mp.Pool(2) as pool:
        pool.map(watchworkers.square, range(50), 1)
        wait_until(lambda: turns)
        assert len(turns) <= 2  # as it begins, and when no task is left


def test_an_initializer_runs_in_every_worker():
    with watch() as mp:
        counter = mp.Value("i", 0)
        with mp.Pool(2, watchworkers.add_one, (counter,)) as pool:
            pool.map(watchworkers.square, range(4))
            pool.close()
            pool.join()
        assert counter.value == 2


def test_the_parent_is_seen_waiting_for_a_result():
    with watch() as mp, mp.Pool(1) as pool:
        pool.apply(watchworkers.square, (3,))
    spans = [span for span in mp._told().spans if (span.kind, span.what) == ("wait", "result")]
    assert len(spans) == 1
    assert mp._told().lives[spans[0].process].is_parent
    assert spans[0].end is not None, "it goes on with the result"


@posix_only
def test_a_killed_worker_is_told_of():
    with pytest.raises(ChildFailed, match="killed by SIGKILL"), watch() as mp, mp.Pool(1) as pool:
        lost = pool.apply_async(watchworkers.kill_itself)
        assert pool.apply(watchworkers.square, (3,)) == 9  # by the worker that replaced it
        assert not lost.ready()


@posix_only
def test_a_pool_whose_idle_worker_was_killed_can_be_ended():
    """It dies with the lock of the tasks in its hand, and the library would wait for that lock for ever."""
    with pytest.raises(ChildFailed, match="killed by SIGKILL"), watch() as mp:
        pool = mp.Pool(1)
        pool.apply(watchworkers.square, (3,))
        wait_until(pool._inqueue._rlock._semlock._is_zero)
        (worker,) = pool._pool
        os.kill(worker.pid, signal.SIGKILL)
        connection.wait([worker.sentinel])
        pool.terminate()


@posix_only  # on Windows a result needs no lock to be sent
def test_a_pool_that_cannot_be_terminated_is_not_waited_for(monkeypatch):
    """As if a worker had been killed in the middle of sending a result."""
    monkeypatch.setattr(pools, "_POLITE", 0.2)
    with watch() as mp:
        pool = mp.Pool(1)
        pool._outqueue._wlock.acquire()
    pool._outqueue._wlock.release()
    for thread in threading.enumerate():
        if thread.name == "mpdemos-pool":
            thread.join()


def test_a_task_is_done_before_its_result_is_sent():
    """With the result the parent may end the worker, which could not note it any more."""
    happened = []

    class Trace:
        note = happened.append

    class Queue:
        put = happened.append

    pools._Outbox(Trace(), Queue()).put("the result")
    assert happened == ["done", "the result"]


# The executor of concurrent.futures


def test_an_executor_shows_its_tasks(method):
    with watch(method) as mp, ProcessPoolExecutor(2, mp_context=mp) as executor:
        assert list(executor.map(watchworkers.square, range(6), chunksize=2)) == [0, 1, 4, 9, 16, 25]
        assert executor.submit(pow, 2, 5).result() == 32
    assert sorted(tasks(mp)) == [("pow", 1), ("square", 2), ("square", 2), ("square", 2)]
    assert "ProcessPoolExecutor-1 ran 4 tasks with 7 items." in mp.explain()
    assert {e.process.rpartition(" ")[0] for e in mp.events if e.action == "task"} == {
        "ProcessPoolExecutor-1 worker"
    }


def test_two_executors_are_told_apart():
    with (
        watch() as mp,
        ProcessPoolExecutor(1, mp_context=mp) as a,
        ProcessPoolExecutor(1, mp_context=mp) as b,
    ):
        assert a.submit(watchworkers.square, 2).result() == 4
        assert b.submit(watchworkers.square, 3).result() == 9
    assert {e.resource for e in mp.events if e.action == "task"} == {
        "ProcessPoolExecutor-1",
        "ProcessPoolExecutor-2",
    }


@posix_only
@pytest.mark.parametrize("method", METHODS)
def test_a_broken_executor_is_broken_as_ever(method):
    with pytest.raises(ChildFailed, match="killed by SIGKILL"), watch(method) as mp:
        executor = ProcessPoolExecutor(1, mp_context=mp)
        with pytest.raises(BrokenProcessPool):
            executor.submit(watchworkers.kill_itself).result()
        executor.shutdown()
    assert "was killed by SIGKILL" in mp.explain()
