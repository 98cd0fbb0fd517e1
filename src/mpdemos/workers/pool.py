"""Workers of lesson 07: tasks for a pool, and what its workers are given when they start."""

from __future__ import annotations

import multiprocessing
import os
import signal
from math import isqrt
from multiprocessing.sharedctypes import Synchronized
from multiprocessing.synchronize import Event, Lock, Semaphore
from pathlib import Path
from typing import Any

# What an initializer puts here, once in each worker, every task of that worker finds.
lock: Lock
total: Synchronized[int]
gate: Event
prices: dict[str, int] = {}


def is_prime(n: int) -> bool:
    """Whether no smaller number but 1 divides n."""
    return n > 1 and all(n % d for d in range(2, isqrt(n) + 1))


def count_primes(numbers: range) -> int:
    """Count the primes among the numbers: real work for a CPU."""
    return sum(map(is_prime, numbers))


def power(base: int, exponent: int) -> int:
    """Raise ``base`` to ``exponent``."""
    return int(base**exponent)


def share(a_lock: Lock, a_total: Synchronized[int]) -> None:
    """Keep a lock and a number for all tasks of this worker; an initializer."""
    global lock, total
    lock, total = a_lock, a_total


def add(amount: int) -> None:
    """Add to the total that all workers share, one at a time."""
    with lock:
        total.value += amount


def keep_gate(a_gate: Event) -> None:
    """Keep a gate for all tasks of this worker; an initializer."""
    global gate
    gate = a_gate


def serve(guest: str) -> str:
    """Serve a guest; the slow one only when the gate is open."""
    if guest == "slow":
        gate.wait()
    return guest


def load(table: dict[str, int]) -> None:
    """Keep a large table for all tasks of this worker; an initializer."""
    prices.update(table)


def price(item: str) -> int:
    """Look up one item in the table that this worker keeps."""
    return prices[item]


def price_in(table: dict[str, int], item: str) -> int:
    """Look up one item in a table that travels with the task."""
    return table[item]


def connect(attempts: Semaphore) -> None:
    """Count one attempt and fail; an initializer that raises."""
    attempts.release()
    raise ConnectionError("the database does not answer")


def get_killed(item: Any) -> None:
    """End this process at once, as the operating system does when memory runs out."""
    os.kill(os.getpid(), getattr(signal, "SIGKILL", signal.SIGTERM))


def limit_threads() -> None:
    """Let the libraries under NumPy use one thread, if it is imported later than this; an initializer."""
    os.environ["OMP_NUM_THREADS"] = "1"


def roll(generator: Any) -> float:
    """Draw a number from a generator of `random` or NumPy."""
    return float(generator.random())


def nest() -> list[int]:
    """Open a pool inside a worker."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.map(abs, [-1])


class SoldOut(Exception):
    """An exception that cannot travel: pickle calls it with the one argument that `Exception` was given."""

    def __init__(self, item: str, wanted: int) -> None:
        super().__init__(f"{wanted} {item} wanted")


class SoldOutAgain(Exception):
    """The same, able to travel: `Exception` gets every argument."""

    def __init__(self, item: str, wanted: int) -> None:
        super().__init__(item, wanted)


def count_errors(path: Path) -> tuple[str, int | str]:
    """Count the lines of a log file that begin with ERROR; what goes wrong is part of the answer."""
    try:
        with open(path, encoding="utf-8") as file:
            return path.name, sum(line.startswith("ERROR") for line in file)
    except (OSError, UnicodeDecodeError) as error:
        return path.name, type(error).__name__
