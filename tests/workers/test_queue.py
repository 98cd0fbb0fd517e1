import multiprocessing
import time
from collections import Counter
from queue import Empty

import pytest

from mpdemos.workers import queue as kitchen

SOON = 120  # seconds: a safety net, never reached
BIG = b"x" * 1_000_000  # more than any pipe holds


@pytest.fixture(params=multiprocessing.get_all_start_methods())
def ctx(request):
    return multiprocessing.get_context(request.param)


@pytest.fixture
def run(ctx):
    """Start a worker in a process that does not outlive its test."""
    started = []

    def start(target, *args):
        started.append(ctx.Process(target=target, args=args))
        started[-1].start()
        return started[-1]

    yield start
    left = [child for child in started if child.is_alive()]
    for child in left:
        child.kill()
        child.join(SOON)
    assert not left


def ends(*children):
    for child in children:
        child.join(SOON)
    return [child.exitcode for child in children] == [0] * len(children)


def test_a_reader_that_waits_may_come_first(ctx, run):
    q, answers = ctx.Queue(), ctx.SimpleQueue()
    reader = run(kitchen.reader_proc, q, answers, True)
    writer = run(kitchen.writer_proc, q, answers)
    assert sorted([answers.get(), answers.get()]) == ["got 1", "put 1"]
    assert ends(reader, writer)


def test_a_reader_that_does_not_wait_loses(ctx, run):
    q, answers = ctx.Queue(), ctx.SimpleQueue()
    assert ends(run(kitchen.reader_proc, q, answers, False))
    assert ends(run(kitchen.writer_proc, q, answers))
    assert [answers.get(), answers.get()] == ["nothing there", "put 1"]
    assert q.get(timeout=SOON) == 1


def test_a_writer_finds_no_room(ctx, run):
    q, answers = ctx.Queue(maxsize=1), ctx.SimpleQueue()
    q.put(0)
    assert ends(run(kitchen.writer_proc, q, answers))
    assert answers.get() == "no room"
    assert q.get(timeout=SOON) == 0


@pytest.mark.parametrize("maxsize", [0, 1])
def test_plates_keep_their_order(ctx, run, maxsize):
    shelf, served = ctx.Queue(maxsize), ctx.SimpleQueue()
    cook = run(kitchen.cook, shelf, [1, 2, 3, None])
    waiter = run(kitchen.carry, shelf, served)
    assert served.get() == [1, 2, 3]
    assert ends(cook, waiter)


def test_every_plate_is_carried_once_and_every_waiter_ends(ctx, run):
    shelf, served = ctx.Queue(maxsize=2), ctx.SimpleQueue()
    waiters = [run(kitchen.carry, shelf, served) for _ in range(3)]
    assert ends(*[run(kitchen.cook, shelf, range(start, start + 4)) for start in (0, 4)])
    kitchen.cook(shelf, [None] * 3)
    assert sorted(plate for _ in waiters for plate in served.get()) == list(range(8))
    assert ends(*waiters)


def test_every_dish_and_the_sentinel_are_marked_as_done(ctx, run):
    dishes, washed = ctx.JoinableQueue(), ctx.SimpleQueue()
    washer = run(kitchen.wash, dishes, washed)
    kitchen.cook(dishes, ["cup", "pan", None])
    assert ends(washer)
    assert [washed.get(), washed.get()] == ["clean cup", "clean pan"]
    with pytest.raises(ValueError, match="too many times"):
        dishes.task_done()


def test_a_dish_is_clean_before_it_is_marked_as_done():
    happened, left = [], ["cup", None]

    class Dishes:
        def get(self):
            return left.pop(0)

        def task_done(self):
            happened.append("done")

    class Washed:
        put = happened.append

    kitchen.wash(Dishes(), Washed())
    assert happened == ["clean cup", "done", "done"]


def test_who_leaves_does_not_wait_for_a_getter_but_who_cooks_does(ctx, run):
    assert ends(run(kitchen.leave, ctx.Queue(), BIG))
    shelf = ctx.Queue()
    cook = run(kitchen.cook, shelf, [BIG])
    cook.join(0.3)
    assert cook.is_alive()
    assert shelf.get(timeout=SOON) == BIG
    assert ends(cook)


def test_what_cannot_be_pickled_is_lost_and_the_next_plate_comes(ctx, run):
    shelf, home = ctx.Queue(), ctx.Event()
    cook = run(kitchen.cook_badly, shelf, home)
    assert shelf.get(timeout=SOON) == "salad"
    cook.join(0.2)
    assert cook.is_alive()
    home.set()
    assert ends(cook)
    with pytest.raises(Empty):
        shelf.get(timeout=0.1)


def test_who_is_killed_while_waiting_keeps_the_queue_locked(ctx, run):
    shelf, here = ctx.Queue(), ctx.Event()
    waiter = run(kitchen.expect, shelf, here)
    assert here.wait(SOON)
    while shelf._rlock.acquire(block=False):  # it does not wait for a plate yet
        shelf._rlock.release()
        assert waiter.is_alive()
        time.sleep(0.01)
    waiter.terminate()
    waiter.join(SOON)
    shelf.put("soup")
    with pytest.raises(Empty):
        shelf.get(timeout=0.5)


def test_a_waiter_who_is_not_killed_gets_the_plate(ctx, run):
    shelf, here = ctx.Queue(), ctx.Event()
    waiter = run(kitchen.expect, shelf, here)
    assert here.wait(SOON)
    shelf.put("soup")
    assert ends(waiter)


def test_a_hot_plate_is_not_sent_before_it_is_cool():
    shelf, plate = multiprocessing.get_context("spawn").Queue(), kitchen.HotPlate()
    shelf.put(plate)
    with pytest.raises(Empty):
        shelf.get(timeout=0.2)
    plate.cool.set()
    assert shelf.get(timeout=SOON) == "a cool plate"


def test_the_log_is_counted_whole(ctx, run, tmp_path):
    log = tmp_path / "server.log"
    log.write_text("GET /a 200\nGET /b 404\n" * 5 + "GET /c 200\n")
    batches, counts = ctx.Queue(maxsize=1), ctx.SimpleQueue()
    counters = [run(kitchen.count_status, batches, counts) for _ in range(2)]
    assert ends(run(kitchen.read_log, log, batches, 4))
    kitchen.cook(batches, [None, None])
    assert counts.get() + counts.get() == Counter({"200": 6, "404": 5})
    assert ends(*counters)


def test_a_log_is_cut_into_batches(tmp_path):
    log = tmp_path / "server.log"
    log.write_text("a\nb\nc\nd\ne\n")
    batches = multiprocessing.get_context("spawn").Queue()
    kitchen.read_log(log, batches, 2)
    assert [batches.get(timeout=SOON) for _ in range(3)] == [["a", "b"], ["c", "d"], ["e"]]
