"""Print what watching costs, as medians and ratios measured side by side in this run: `make bench`."""

from __future__ import annotations

import multiprocessing
import os
import statistics
import sys
import time
from collections.abc import Callable

from mpdemos import watch
from mpdemos.workers import event, lock, pipe, pool, queue, semaphore

ROUNDS, EACH = 15, 2000  # medians of so many rounds of so many operations
PAIRS = 10  # watched and plain runs of a demo, in turn


def microseconds(operation: Callable[[], object]) -> float:
    """The time of one operation: the median of several rounds."""
    rounds = []
    for _ in range(ROUNDS):
        start = time.perf_counter()
        for _ in range(EACH):
            operation()
        rounds.append((time.perf_counter() - start) / EACH * 1e6)
    return statistics.median(rounds)


def lock_pair(lock: object) -> Callable[[], None]:
    acquire, release = lock.acquire, lock.release

    def pair() -> None:
        acquire()
        release()

    return pair


def run(context: object, *jobs: tuple[Callable[..., object], tuple[object, ...]]) -> None:
    """Run each function with its arguments in a process of its own."""
    processes = [context.Process(target=target, args=args) for target, args in jobs]
    for process in processes:
        process.start()
    for process in processes:
        process.join()


def lock_demo(context: object) -> None:
    work = context.Barrier(3), context.Lock(), context.Value("i", 0, lock=False), 4
    run(context, *[(lock.deposit, work)] * 3)


def semaphore_demo(context: object) -> None:
    dishes = context.Semaphore(0)
    for _ in range(200):
        dishes.release()
    run(context, *[(semaphore.serve, (dishes, context.Value("i", 0)))] * 2)


def event_demo(context: object) -> None:
    line, notes = context.Barrier(3), context.SimpleQueue()
    run(context, *[(event.runner, (line, 0.05, notes))] * 3)


def queue_demo(context: object) -> None:
    shelf, served = context.Queue(5), context.SimpleQueue()
    run(context, (queue.cook, (shelf, [*range(20), None])), (queue.carry, (shelf, served)))


def pipe_demo(context: object) -> None:
    here, there = context.Pipe()
    child = context.Process(target=pipe.clerk, args=(there,))
    child.start()
    there.close()
    for item in [*pipe.PRICES] * 3:
        here.send(item)
        here.recv()
    here.send(None)
    child.join()


def pool_demo(context: object) -> None:
    with context.Pool(2) as workers:
        workers.map(pool.count_primes, [range(n, n + 5000) for n in range(0, 60_000, 5000)], chunksize=1)


DEMOS = [lock_demo, semaphore_demo, event_demo, queue_demo, pipe_demo, pool_demo]


def seconds(demo: Callable[[object], None], context: object) -> float:
    start = time.perf_counter()
    demo(context)
    return time.perf_counter() - start


def main() -> None:
    print(f"Python {sys.version.split()[0]}, {os.cpu_count()} CPUs, medians of {ROUNDS} rounds of {EACH}")
    with watch(limit=None) as mp, open(os.devnull, "w", encoding="utf-8") as nowhere:
        recorded = microseconds(lambda: mp._recorder.note("acquired", "Lock-1"))
        untraced = microseconds(lock_pair(multiprocessing.get_context("spawn").Lock()))
        traced = microseconds(lock_pair(mp.Lock()))
        printed = microseconds(lambda: print("acquired", "Lock-1", file=nowhere, flush=True))
    print(f"a recorded event          {recorded:6.2f} us")
    print(f"untraced acquire+release  {untraced:6.2f} us")
    print(f"traced acquire+release    {traced:6.2f} us  (two events)")
    print(f"print, flushed            {printed:6.2f} us  {printed / recorded:.2f} x an event")
    plain = multiprocessing.get_context("spawn")
    for demo in DEMOS:
        ratios = []
        for _ in range(PAIRS):
            before = seconds(demo, plain)
            with watch(limit=60) as mp:
                ratios.append(seconds(demo, mp) / before)
        low, middle, high = min(ratios), statistics.median(ratios), max(ratios)
        name = demo.__name__.removesuffix("_demo")
        print(f"watched / plain, {name:10}{middle:.3f} ({low:.3f} to {high:.3f}), median of {PAIRS} pairs")


if __name__ == "__main__":
    main()
