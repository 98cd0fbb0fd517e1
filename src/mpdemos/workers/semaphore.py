"""Workers of lesson 03: visitors who share a few places, and shops that share a few database connections."""

from __future__ import annotations

import sqlite3
import time
from contextlib import closing
from multiprocessing import current_process
from multiprocessing.queues import SimpleQueue
from multiprocessing.synchronize import Barrier, Event, Semaphore
from pathlib import Path
from typing import Any


def worker(s: Semaphore, i: float, go: Event, notes: SimpleQueue[str]) -> None:
    """Take a place; when ``go`` is set, stay ``i`` seconds more; give the place back."""
    s.acquire()
    notes.put(current_process().name + " acquire")
    go.wait()
    time.sleep(i)
    notes.put(current_process().name + " release")
    s.release()


def worker_with(s: Semaphore, i: float, go: Event, notes: SimpleQueue[str]) -> None:
    """The same using ``with``, which gives the place back whatever happens."""
    with s:
        notes.put(current_process().name + " acquire")
        go.wait()
        time.sleep(i)
        notes.put(current_process().name + " release")


def clumsy(s: Semaphore) -> None:
    """Give one place back twice: when done, and again in ``finally``, to be on the safe side."""
    s.acquire()
    try:
        time.sleep(0.01)
        s.release()
    finally:
        s.release()


def serve(dishes: Semaphore, served: Any) -> None:
    """Take dishes as long as there are any, and count them."""
    while dishes.acquire(timeout=0.1):
        served.value += 1


def greedy(s: Semaphore, both: Barrier, turns: int) -> None:
    """Wait inside until the patient one stands at the door; then leave and come back, again and again."""
    with s:
        both.wait()
        time.sleep(0.02)
    for _ in range(turns):
        with s:
            time.sleep(0.005)


def patient(s: Semaphore, both: Barrier) -> None:
    """Come when the greedy one is inside, and wait for the place."""
    both.wait()
    with s:
        time.sleep(0.005)


def take_two(s: Semaphore, both: Barrier) -> None:
    """Take one place and, when both processes have one, a second: a deadlock."""
    with s:
        both.wait()
        with s:
            pass


def make_books(path: Path, shops: list[str]) -> None:
    """Make a database with a few orders for each shop, and no totals yet."""
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("CREATE TABLE orders (shop TEXT, price INTEGER)")
        connection.execute("CREATE TABLE totals (shop TEXT, total INTEGER)")
        orders = [(shop, price) for shop in shops for price in range(len(shop))]
        connection.executemany("INSERT INTO orders VALUES (?, ?)", orders)


def read_totals(path: Path) -> list[tuple[str, int]]:
    """The totals that are in the database, by shop."""
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute("SELECT * FROM totals ORDER BY shop").fetchall()


def add_up(evening: Barrier, connections: Semaphore, path: Path, shop: str) -> None:
    """When all shops have closed, store the total of one: with a connection only while holding a place."""
    evening.wait()
    with connections, closing(sqlite3.connect(path, timeout=30)) as connection:
        orders = connection.execute("SELECT sum(price) FROM orders WHERE shop = ?", (shop,))
        (total,) = orders.fetchone()
        time.sleep(0.03)  # a slow query
        with connection:  # a transaction
            connection.execute("INSERT INTO totals VALUES (?, ?)", (shop, total))
