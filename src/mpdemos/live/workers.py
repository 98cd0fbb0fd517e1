"""What the processes of the live controls run: plain multiprocessing code, at a pace that an eye can follow.

None of it ends by itself: whoever stops a control ends its processes.
"""

from __future__ import annotations

import signal
import time
from collections.abc import Callable
from itertools import count
from multiprocessing import queues, synchronize
from typing import Any


def hear_interrupts() -> None:
    """Let an interrupt end this process, at once and without a traceback.

    A kernel that has nothing to do ignores interrupts, and a process that it starts then inherits that.
    """
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def steered(work: Callable[..., None], thing: Any) -> None:
    """Work with the thing for as long as this process is left alone."""
    hear_interrupts()
    work(thing)


def count_money(till: synchronize.Lock) -> None:
    """Count the money in the till, then have a break, again and again."""
    while True:
        with till:
            time.sleep(0.8)
        time.sleep(0.4)


def visit(places: synchronize.Semaphore) -> None:
    """Stay a while in one of the places, then have a break, again and again."""
    while True:
        with places:
            time.sleep(1.2)
        time.sleep(0.5)


def walk(go: synchronize.Event) -> None:
    """Take step after step, but begin none unless ``go`` is set."""
    while True:
        go.wait()
        time.sleep(0.7)


def cook(shelf: queues.Queue[int]) -> None:
    """Put plate after plate on the shelf."""
    for plate in count(1):
        time.sleep(0.6)
        shelf.put(plate)


def carry(shelf: queues.Queue[int]) -> None:
    """Carry away plate after plate."""
    while True:
        shelf.get()
        time.sleep(1.0)


def nap(number: int) -> int:
    """Take a second for a task."""
    time.sleep(1.0)
    return number
