"""The workers of lesson 03: how many are inside, and what they give back."""

import multiprocessing
import sys
import time

import pytest

from mpdemos.workers import semaphore

SAFETY = 60  # seconds; nothing waits that long unless it hangs


@pytest.fixture(params=multiprocessing.get_all_start_methods())
def ctx(request):
    return multiprocessing.get_context(request.param)


def run(ctx, *jobs):
    """Start a process for each (function, arguments); give back those that will be joined."""
    processes = [ctx.Process(target=job, args=args, name=f"job-{i}") for i, (job, args) in enumerate(jobs)]
    for process in processes:
        process.start()
    return processes


def join(processes):
    for process in processes:
        process.join(SAFETY)
    hanging = [process.name for process in processes if process.is_alive()]
    for process in processes:
        process.kill()
        process.join()
    assert hanging == []
    return [process.exitcode for process in processes]


def free_places(s):
    free = 0
    while s.acquire(block=False):
        free += 1
    return free


@pytest.mark.parametrize("worker", [semaphore.worker, semaphore.worker_with])
def test_two_of_four_are_inside_and_say_so(ctx, worker):
    s, go, notes = ctx.Semaphore(2), ctx.Event(), ctx.SimpleQueue()
    processes = run(ctx, *[(worker, (s, 0, go, notes))] * 4)
    said = [notes.get(), notes.get()]
    assert not s.acquire(timeout=0.3)  # both places are taken
    assert notes.empty()  # and nobody else is inside
    go.set()
    assert join(processes) == [0] * 4
    said += [notes.get() for _ in range(6)]
    assert {note.split()[1] for note in said[:2]} == {"acquire"}
    assert sorted(said) == sorted(f"job-{i} {what}" for i in range(4) for what in ("acquire", "release"))
    assert free_places(s) == 2


@pytest.mark.parametrize(("worker", "free"), [(semaphore.worker, 0), (semaphore.worker_with, 1)])
def test_only_with_gives_the_place_back_after_an_error(ctx, worker, free):
    s, go, notes = ctx.Semaphore(1), ctx.Event(), ctx.SimpleQueue()
    go.set()
    assert join(run(ctx, (worker, (s, -1, go, notes)))) == [1]
    assert free_places(s) == free


def test_clumsy_makes_a_place_out_of_nothing(ctx):
    s = ctx.Semaphore(1)
    assert join(run(ctx, (semaphore.clumsy, (s,)))) == [0]
    assert free_places(s) == 2


def test_clumsy_is_caught_by_a_bounded_semaphore(ctx):
    s = ctx.BoundedSemaphore(1)
    assert join(run(ctx, (semaphore.clumsy, (s,)))) == [1]
    assert free_places(s) == 1


def test_serve_counts_every_signal(ctx):
    dishes, served = ctx.Semaphore(3), ctx.Value("i", 0, lock=False)
    dishes.release()
    assert join(run(ctx, (semaphore.serve, (dishes, served)))) == [0]
    assert served.value == 4
    assert free_places(dishes) == 0


def test_greedy_and_patient_both_get_in(ctx):
    s, both = ctx.Semaphore(1), ctx.Barrier(2)
    processes = run(ctx, (semaphore.greedy, (s, both, 3)), (semaphore.patient, (s, both)))
    assert join(processes) == [0, 0]
    assert free_places(s) == 1


def test_greedy_stays_inside_until_the_patient_one_has_come(ctx):
    s, both = ctx.Semaphore(1), ctx.Barrier(2)
    processes = run(ctx, (semaphore.greedy, (s, both, 1)))
    deadline = time.monotonic() + SAFETY
    while not both.n_waiting:
        assert time.monotonic() < deadline
    assert not s.acquire(timeout=0.1)
    both.wait(SAFETY)
    assert join(processes) == [0]


def test_greedy_and_patient_stay_nowhere_without_a_place(ctx):
    class Places:
        taken = 0

        def __enter__(self):
            self.taken += 1

        def __exit__(self, *error):
            pass

    places = Places()
    semaphore.greedy(places, ctx.Barrier(1), 3)
    assert places.taken == 1 + 3
    semaphore.patient(places, ctx.Barrier(1))
    assert places.taken == 1 + 3 + 1


def test_two_who_want_two_places_wait_for_ever_but_three_places_are_enough(ctx):
    s, both = ctx.Semaphore(2), ctx.Barrier(2)
    processes = run(ctx, *[(semaphore.take_two, (s, both))] * 2)
    processes[0].join(1)
    assert [process.is_alive() for process in processes] == [True, True]
    s.release()  # a third place
    assert join(processes) == [0, 0]
    assert free_places(s) == 3


def test_add_up_stores_right_totals_and_gives_its_place_back(ctx, tmp_path):
    path, shops = tmp_path / "books.db", ["Bern", "Basel", "Zug"]
    semaphore.make_books(path, shops)
    evening, connections = ctx.Barrier(3), ctx.BoundedSemaphore(2)
    jobs = [(semaphore.add_up, (evening, connections, path, shop)) for shop in shops]
    assert join(run(ctx, *jobs)) == [0] * 3
    assert semaphore.read_totals(path) == [("Basel", 10), ("Bern", 6), ("Zug", 3)]
    assert free_places(connections) == 2


def test_totals_are_read_by_shop(ctx, tmp_path):
    path = tmp_path / "books.db"
    semaphore.make_books(path, ["Zug", "Bern"])
    for shop in ("Zug", "Bern"):
        semaphore.add_up(ctx.Barrier(1), ctx.Semaphore(1), path, shop)
    assert semaphore.read_totals(path) == [("Bern", 6), ("Zug", 3)]


def test_add_up_opens_no_connection_before_it_has_a_place(ctx, tmp_path):
    path = tmp_path / "books.db"  # there is no database yet: to connect would make an empty file
    evening, connections = ctx.Barrier(2), ctx.BoundedSemaphore(1)
    connections.acquire()
    processes = run(ctx, (semaphore.add_up, (evening, connections, path, "Bern")))
    evening.wait(SAFETY)
    processes[0].join(0.5)
    assert not path.exists()
    semaphore.make_books(path, ["Bern"])
    connections.release()
    assert join(processes) == [0]


@pytest.mark.skipif(sys.platform == "darwin", reason="macOS cannot read a semaphore's value")
def test_the_value_is_the_number_of_free_places(ctx):
    s, go, notes = ctx.Semaphore(2), ctx.Event(), ctx.SimpleQueue()
    processes = run(ctx, (semaphore.worker_with, (s, 0, go, notes)))
    notes.get()
    assert s.get_value() == 1
    go.set()
    assert join(processes) == [0]
    assert s.get_value() == 2
