"""Workers of lesson 05: a writer and a reader, and a kitchen whose plates wait on a shelf for the waiters."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Iterable
from multiprocessing.queues import JoinableQueue, Queue, SimpleQueue
from multiprocessing.synchronize import Event
from pathlib import Path
from queue import Empty, Full
from typing import Any


def writer_proc(q: Queue[int], answers: SimpleQueue[Any]) -> None:
    """Put 1 without waiting for room; answer what became of it."""
    try:
        q.put(1, block=False)
        answers.put("put 1")
    except Full:
        answers.put("no room")


def reader_proc(q: Queue[int], answers: SimpleQueue[Any], block: bool) -> None:
    """Get an item, waiting for one or not; answer what came."""
    try:
        item = q.get(block=block)
        answers.put(f"got {item}")
    except Empty:
        answers.put("nothing there")


def cook(shelf: Queue[Any], plates: Iterable[Any]) -> None:
    """Put every plate on the shelf."""
    for plate in plates:
        shelf.put(plate)


def carry(shelf: Queue[Any], served: SimpleQueue[list[Any]]) -> None:
    """Carry plates away until None comes; then tell which ones."""
    carried = []
    for plate in iter(shelf.get, None):  # shelf.get() again and again, until it returns None
        time.sleep(0.02)
        carried.append(plate)
    served.put(carried)


def wash(dishes: JoinableQueue[Any], washed: SimpleQueue[str]) -> None:
    """Wash until None comes, and report every dish as done."""
    for dish in iter(dishes.get, None):
        washed.put(f"clean {dish}")
        dishes.task_done()
    dishes.task_done()  # None is an item too


def leave(shelf: Queue[Any], plate: Any) -> None:
    """Put a plate, and end without waiting until it is delivered."""
    shelf.put(plate)
    shelf.cancel_join_thread()


def cook_badly(shelf: Queue[Any], home: Event) -> None:
    """Put something that cannot be pickled, then a plate; stay until it is time to go home."""
    shelf.put(lambda: "soup")
    shelf.put("salad")
    home.wait(60)


def expect(shelf: Queue[Any], here: Event) -> None:
    """Say that it is here, then wait for a plate."""
    here.set()
    shelf.get()


class HotPlate:
    """A plate that nobody can send before it is cool: it makes sure of what else happens now and then."""

    def __init__(self) -> None:
        self.cool = threading.Event()

    def __reduce__(self) -> tuple[Any, ...]:
        """What pickle asks for."""
        self.cool.wait(60)
        return str, ("a cool plate",)


def read_log(path: Path, batches: Queue[Any], size: int) -> None:
    """Put the lines of a log, ``size`` lines at a time."""
    with open(path, encoding="utf-8") as file:
        lines = file.read().splitlines()
    for start in range(0, len(lines), size):
        batches.put(lines[start : start + size])


def count_status(batches: Queue[Any], counts: SimpleQueue[Counter[str]]) -> None:
    """Count the last words of all lines until None comes; then tell."""
    status: Counter[str] = Counter()
    for lines in iter(batches.get, None):
        status.update(line.split()[-1] for line in lines)
    counts.put(status)
