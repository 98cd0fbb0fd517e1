"""The workers of lesson 08, under every start method."""

import multiprocessing
import pickle
import subprocess
import sys
from multiprocessing.shared_memory import SharedMemory

import numpy as np
import pytest
from workertools import Watched, is_held

from mpdemos.workers import shared_data as studio

LIMIT = 60  # seconds; a safety net
SHAPE = (120, 40)
SIZE = 120 * 40
posix = pytest.mark.skipif(sys.platform == "win32", reason="there a block ends with its last process")


@pytest.fixture(params=multiprocessing.get_all_start_methods())
def ctx(request):
    return multiprocessing.get_context(request.param)


@pytest.fixture
def memory():
    memory = SharedMemory(create=True, size=SIZE)
    yield memory
    memory.close()
    memory.unlink()


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


def python(code, *args):
    """Run a program that is no child of multiprocessing, and wait for its resource tracker as well."""
    command = [sys.executable, "-c", code, *args]
    return subprocess.run(command, capture_output=True, text=True, timeout=LIMIT)


def test_an_array_is_shared_and_a_list_is_not(ctx):
    shared, private = ctx.Array("i", 6), [0] * 6
    jobs = [(studio.square, (row, range(start, 6, 2))) for row in (shared, private) for start in (0, 1)]
    assert run(ctx, *jobs) == [0] * 4
    assert list(shared) == [0, 1, 4, 9, 16, 25]
    assert private == [0] * 6


def test_a_view_is_no_copy(memory):
    other = SharedMemory(memory.name)
    studio.view(memory, SHAPE)[3, 4] = 7
    assert studio.view(other, SHAPE)[3, 4] == 7
    assert studio.view(other, (2, 3), float).shape == (2, 3)  # less than there is
    other.close()


def test_a_view_keeps_its_memory_from_being_closed(memory):
    picture = studio.view(memory, SHAPE)
    with pytest.raises(BufferError, match="cannot close exported pointers exist"):
        memory.close()
    assert picture.sum() == 0


def test_painters_share_one_picture(ctx, memory):
    all_here, done = ctx.Barrier(3), ctx.Value("i", 0)
    jobs = [(studio.paint, (all_here, memory, SHAPE, range(20 * i, 120, 60), done)) for i in range(3)]
    assert run(ctx, *jobs) == [0] * 3
    assert done.value == 6
    alone = SharedMemory(create=True, size=SIZE)
    kept = SharedMemory(alone.name)  # or Windows would remove it when it is closed
    counted = Watched(ctx.RLock())
    studio.paint(ctx.Barrier(1), alone, SHAPE, range(0, 120, 20), counted)
    assert alone.buf is None  # closed
    assert counted.amount == 6
    assert all(counted.guarded)
    expected = studio.view(kept, SHAPE).copy()
    kept.close()
    kept.unlink()
    assert len(np.unique(expected)) > 100
    assert (studio.view(memory, SHAPE) == expected).all()


def test_a_painter_waits_until_all_are_here(ctx, memory):
    all_here = ctx.Barrier(2)
    args = (all_here, memory, SHAPE, range(0, 20, 20), ctx.Value("i"))
    painter = ctx.Process(target=studio.paint, args=args, daemon=True)
    painter.start()
    painter.join(0.3)  # it must not have painted whenever we look
    assert not studio.view(memory, SHAPE).any()
    all_here.wait(LIMIT)
    painter.join(LIMIT)
    assert painter.exitcode == 0


def test_a_painter_paints_only_its_stripes(ctx, memory):
    assert run(ctx, (studio.paint, (ctx.Barrier(1), memory, SHAPE, range(20, 40, 20), ctx.Value("i")))) == [0]
    rows = studio.view(memory, SHAPE).any(axis=1)
    assert rows.tolist() == [False] * 20 + [True] * 20 + [False] * 80


def test_a_plain_array_stays_black_and_a_shared_one_does_not(ctx, memory):
    plain = np.zeros(SHAPE, np.uint8)
    assert run(ctx, (studio.paint_white, (plain,))) == [0]
    assert not plain.any()
    assert run(ctx, (studio.paint_white_shared, (memory, SHAPE))) == [0]
    assert (studio.view(memory, SHAPE) == 255).all()


def test_a_child_sees_what_is_written_after_its_start(ctx, memory):
    asked, answered = ctx.Event(), ctx.Event()
    child = ctx.Process(target=studio.add_one, args=(memory, asked, answered), daemon=True)
    child.start()
    memory.buf[0] = 41
    assert not answered.wait(0.5)  # it must not have answered whenever we look
    asked.set()
    assert answered.wait(LIMIT)
    assert memory.buf[0] == 42
    child.join(LIMIT)
    assert child.exitcode == 0


def test_the_answer_comes_after_the_addition(ctx, memory):
    asked, seen = ctx.Event(), []

    class Answered:
        def set(self):
            seen.append(memory.buf[0])

    asked.set()
    studio.add_one(SharedMemory(memory.name), asked, Answered())
    assert seen == [1]


def test_shared_memory_needs_no_bytes_of_the_receiver(ctx, memory):
    array = pickle.dumps(np.zeros(1_000_000, np.uint8))
    with ctx.Pool(1) as pool:
        copied = pool.apply_async(studio.bytes_needed, (pickle.loads, array)).get(LIMIT)
        shared = pool.apply_async(studio.bytes_needed, (pickle.loads, pickle.dumps(memory))).get(LIMIT)
    assert 1_000_000 < copied < 3_000_000
    assert shared < 100_000


def test_no_vote_is_lost(ctx):
    with ctx.Manager() as manager:
        votes, voters, lock = manager.dict(), manager.list(), ctx.Lock()
        people = {"Ann": "tea", "Bo": "coffee", "Cy": "tea"}
        jobs = [(studio.vote, (votes, voters, lock, name, drink)) for name, drink in people.items()]
        assert run(ctx, *jobs) == [0] * 3
        assert dict(votes) == {"tea": 2, "coffee": 1}
        assert sorted(voters) == ["Ann", "Bo", "Cy"]


def test_a_vote_is_read_and_written_while_the_lock_is_held(ctx):
    lock, held = ctx.Lock(), []

    class Votes(dict):
        def get(self, *args):
            held.append(is_held(lock))
            return super().get(*args)

        def __setitem__(self, *args):
            held.append(is_held(lock))
            super().__setitem__(*args)

    votes = Votes(tea=1)
    studio.vote(votes, [], lock, "Ann", "tea")
    assert votes == {"tea": 2}
    assert held == [True, True]


def test_voters_wait_for_the_lock(ctx):
    with ctx.Manager() as manager:
        votes, lock = manager.dict(), ctx.Lock()
        lock.acquire()
        args = (votes, manager.list(), lock, "Ann", "tea")
        voter = ctx.Process(target=studio.vote, args=args, daemon=True)
        voter.start()
        voter.join(0.3)  # it must not have voted whenever we look
        assert dict(votes) == {}
        lock.release()
        voter.join(LIMIT)
        assert dict(votes) == {"tea": 1}


def test_one_of_two_votes_is_lost_without_a_lock(ctx):
    with ctx.Manager() as manager:
        votes, both = manager.dict(tea=0), ctx.Barrier(2)
        assert run(ctx, *[(studio.vote_unlocked, (both, votes, "tea"))] * 2) == [0] * 2
        assert dict(votes) == {"tea": 1}


def test_a_look_that_comes_too_late_ends_the_process():
    ctx = multiprocessing.get_context("spawn")  # under fork pytest's own traceback would be printed
    large = SharedMemory(create=True, size=1_000_000)
    (code,) = run(ctx, (studio.look_too_late, (large,)))
    large.close()
    large.unlink()
    assert code not in (None, 0, 1)  # 1 would be an exception


def test_a_guest_leaves_the_memory_as_it_is(memory):
    memory.buf[0] = 7
    guest = python(
        "import sys; from mpdemos.workers.shared_data import attach\n"
        "memory = attach(sys.argv[1]); print(memory.buf[0]); memory.close()",
        memory.name,
    )
    assert (guest.returncode, guest.stdout.strip(), guest.stderr) == (0, "7", "")
    assert studio.exists(memory.name)


LEAK = "There appear to be 1 leaked shared_memory objects to clean up at shutdown"  # quoted in the lesson


@posix
def test_a_tracked_guest_takes_it_away():
    memory = SharedMemory(create=True, size=1)
    guest = python(
        "import sys; from multiprocessing.shared_memory import SharedMemory; SharedMemory(sys.argv[1])",
        memory.name,
    )
    assert guest.returncode == 0
    assert LEAK in guest.stderr
    assert not studio.exists(memory.name)
    SharedMemory(memory.name, create=True, size=1).close()  # so that there is something to unlink
    memory.close()
    memory.unlink()


@posix
def test_a_crash_leaves_nothing_but_a_message():
    crashed = python(
        "import os; from multiprocessing.shared_memory import SharedMemory\n"
        "print(SharedMemory(create=True, size=1).name, flush=True); os._exit(1)"
    )
    assert crashed.returncode == 1
    assert LEAK in crashed.stderr
    assert not studio.exists(crashed.stdout.strip())


def test_exists(memory):
    assert studio.exists(memory.name)
    assert not studio.exists(f"{memory.name}-not")


def test_a_pool_looks_into_the_table(ctx):
    shape = (100, 3)
    memory = SharedMemory(create=True, size=100 * 3 * 8)
    studio.view(memory, shape, float)[:] = np.arange(300).reshape(shape)
    with ctx.Pool(2, initializer=studio.keep_table, initargs=(memory, shape)) as pool:
        assert pool.map_async(studio.highest, range(3)).get(LIMIT) == [297, 298, 299]
    memory.close()
    memory.unlink()


def test_a_worker_keeps_the_memory_of_its_table_open(memory):
    studio.keep_table(SharedMemory(memory.name), (2, 2))
    assert studio.kept.name == memory.name
    assert studio.highest(1) == 0
    studio.table = None
    studio.kept.close()


PROGRAM = """
import multiprocessing, sys
from multiprocessing.shared_memory import SharedMemory
from mpdemos.workers import shared_data as studio
ctx = multiprocessing.get_context(sys.argv[1])
memory = SharedMemory(create=True, size=4000)
all_here, done = ctx.Barrier(2), ctx.Value("i", 0)
jobs = [(all_here, memory, (100, 40), range(top, 100, 40), done) for top in (0, 20)]
painters = [ctx.Process(target=studio.paint, args=job) for job in jobs]
for painter in painters: painter.start()
for painter in painters: painter.join()
memory.close()
memory.unlink()
print(memory.name, done.value)
"""


@pytest.mark.parametrize("method", multiprocessing.get_all_start_methods())
def test_a_program_that_cleans_up_ends_without_a_word(method):
    ended = python(PROGRAM, method)
    assert (ended.returncode, ended.stderr) == (0, "")
    name, stripes = ended.stdout.split()
    assert stripes == "5"
    assert not studio.exists(name)
