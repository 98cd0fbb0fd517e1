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
            file.write("Lock acquired via with\n")
            n -= 1


def worker_no_with(lock: Lock, path: Path) -> None:
    """The same without ``with``: ``finally`` releases the lock, whatever happens."""
    lock.acquire()
    try:
        with open(path, "a+") as file:
            n = 10
            while n > 1:
                file.write("Lock acquired directly\n")
                n -= 1
    finally:
        lock.release()


def deposit(till: Lock, balance: Any, times: int) -> None:
    """Add 1 to the balance, so often: read, count, write, all while holding the till."""
    for _ in range(times):
        with till:
            seen = balance.value
            time.sleep(0.003)  # a teller counts the money
            balance.value = seen + 1


def deposit_unlocked(both: Barrier, balance: Any, times: int) -> None:
    """The same without a lock, at the worst moment: everybody has read before anybody writes."""
    for _ in range(times):
        seen = balance.value
        both.wait()
        balance.value = seen + 1
        both.wait()


def deposit_value(balance: Synchronized[int], times: int) -> None:
    """Add 1 under the lock that a Value brings along."""
    for _ in range(times):
        with balance.get_lock():
            balance.value += 1


def transfer(first: Lock, second: Lock, both: Barrier) -> None:
    """Take one account, then the other, when both tellers hold their first one: a deadlock."""
    with first:
        both.wait()
        with second:
            pass


def transfer_in_order(locks: list[Lock], accounts: Any, source: int, target: int) -> None:
    """Move 1 between two accounts, taking the lower lock first, as everybody does."""
    with locks[min(source, target)], locks[max(source, target)]:
        accounts[source] -= 1
        accounts[target] += 1


def hold_and_wait(lock: Lock, held: Event) -> None:
    """Acquire the lock, say so, and never release it."""
    lock.acquire()
    held.set()
    while True:
        time.sleep(1)


def count_down(lock: RLock, n: int, done: Any) -> None:
    """Call itself while holding the lock: an RLock lets its owner in again."""
    with lock:
        done.value += 1
        if n > 1:
            count_down(lock, n - 1, done)


def release_for(lock: Lock) -> None:
    """Release a lock that somebody else holds."""
    lock.release()
