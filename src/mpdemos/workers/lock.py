"""Workers of lesson 02: writers who share a file, and tellers who share a till."""

from __future__ import annotations

import time
from multiprocessing.sharedctypes import Synchronized
from multiprocessing.synchronize import Barrier, Event, Lock, RLock
from pathlib import Path
from typing import Any


def worker_with(lock: Lock, path: Path) -> None:
    """Append nine lines while holding the lock."""
    with lock, open(path, "a+") as file:
        n = 10
        while n > 1:
            print("Lock acquired via with", file=file, flush=True)
            n -= 1


def worker_no_with(lock: Lock, path: Path) -> None:
    """The same without ``with``: ``finally`` releases the lock, whatever happens."""
    lock.acquire()
    try:
        with open(path, "a+") as file:
            n = 10
            while n > 1:
                print("Lock acquired directly", file=file, flush=True)
                n -= 1
    finally:
        lock.release()


def worker_unlocked(both: Barrier, path: Path, line: str) -> None:
    """Append nine lines without a lock, while another writer does the same at the same pace."""
    with open(path, "a+") as file:
        n = 10
        while n > 1:
            second = both.wait() == 1  # never both at once: Windows could lose a line
            if second:
                both.wait()
            print(line, file=file, flush=True)
            if not second:
                both.wait()
            n -= 1


def deposit(all_here: Barrier, till: Lock, balance: Any, times: int) -> None:
    """Add 1 to the balance, so often: read, count, write, all while holding the till."""
    all_here.wait()
    for _ in range(times):
        with till:
            seen = balance.value
            time.sleep(0.03)  # a teller counts the money
            balance.value = seen + 1


def deposit_unlocked(both: Barrier, balance: Any, times: int) -> None:
    """The same without a lock, at the worst moment: everybody has read before anybody writes."""
    for _ in range(times):
        seen = balance.value
        both.wait()  # both have read
        balance.value = seen + 1
        both.wait()  # both have written


def deposit_value(balance: Synchronized[int], times: int) -> None:
    """Add 1 under the lock that a Value brings along."""
    for _ in range(times):
        with balance.get_lock():
            balance.value += 1


def transfer(first: Lock, second: Lock, both: Barrier) -> None:
    """Acquire one account, then the other, when both tellers hold their first one: a deadlock."""
    with first:
        both.wait()
        with second:
            pass


def transfer_in_order(locks: list[Lock], accounts: Any, source: int, target: int, times: int) -> None:
    """Move 1 between two accounts, so often, acquiring the lower lock first, as everybody does."""
    if source == target:
        return  # the same lock twice would wait for itself
    for _ in range(times):
        with locks[min(source, target)]:
            time.sleep(0.001)  # time for the other one to get in between, if the order were wrong
            with locks[max(source, target)]:
                accounts[source] -= 1
                accounts[target] += 1


def hold_and_wait(lock: Lock, held: Event) -> None:
    """Acquire the lock, say so, and never release it."""
    lock.acquire()
    held.set()
    while True:
        time.sleep(1)


def count_down(lock: RLock, n: int, done: Any) -> None:
    """Call itself while holding the lock: only an RLock lets its owner in again."""
    with lock:
        done.value += 1
        if n > 1:
            count_down(lock, n - 1, done)


def release_for(lock: Lock) -> None:
    """Release a lock that somebody else holds."""
    lock.release()
