"""Print what watching costs, as medians and ratios measured side by side in this run: `make bench`."""

from __future__ import annotations

import multiprocessing
import os
import statistics
import sys
import time
from collections.abc import Callable

from mpdemos import watch
from mpdemos.workers import lock as bank

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


def demo(context: object) -> float:
    """Seconds that three tellers take for four deposits each, start to last join."""
    start = time.perf_counter()
    all_here, till = context.Barrier(3), context.Lock()
    balance = context.Value("i", 0, lock=False)
    tellers = [context.Process(target=bank.deposit, args=(all_here, till, balance, 4)) for _ in range(3)]
    for teller in tellers:
        teller.start()
    for teller in tellers:
        teller.join()
    assert balance.value == 12
    return time.perf_counter() - start


def watched_demo() -> float:
    with watch(limit=60) as mp:
        return demo(mp)


def main() -> None:
    print(f"Python {sys.version.split()[0]}, {os.cpu_count()} CPUs, medians of {ROUNDS} rounds of {EACH}")
    with watch(limit=None) as mp, open(os.devnull, "w", encoding="utf-8") as nowhere:
        event = microseconds(lambda: mp._recorder.note("acquired", "Lock-1"))
        untraced = microseconds(lock_pair(multiprocessing.get_context("spawn").Lock()))
        traced = microseconds(lock_pair(mp.Lock()))
        printed = microseconds(lambda: print("acquired", "Lock-1", file=nowhere, flush=True))
    print(f"a recorded event          {event:6.2f} us")
    print(f"untraced acquire+release  {untraced:6.2f} us")
    print(f"traced acquire+release    {traced:6.2f} us  (two events)")
    print(f"print, flushed            {printed:6.2f} us  {printed / event:.2f} x an event")
    plain = multiprocessing.get_context("spawn")
    ratios = []
    for _ in range(PAIRS):
        before = demo(plain)
        ratios.append(watched_demo() / before)
    low, middle, high = min(ratios), statistics.median(ratios), max(ratios)
    print(
        f"watched / plain, lesson 02's demo: {middle:.3f} ({low:.3f} to {high:.3f}), median of {PAIRS} pairs"
    )


if __name__ == "__main__":
    main()
