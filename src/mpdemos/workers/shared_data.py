"""Workers of lesson 08: painters who paint one picture, voters who share a dict, and a guest who looks in."""

from __future__ import annotations

import math
import sys
import time
import tracemalloc
from collections.abc import Callable, Iterable
from multiprocessing import resource_tracker
from multiprocessing.shared_memory import SharedMemory
from multiprocessing.sharedctypes import Synchronized
from multiprocessing.synchronize import Barrier, Event, Lock
from typing import Any

import numpy as np

# What an initializer puts here, once in each worker, every task of that worker finds.
kept: SharedMemory
table: Any


def square(numbers: Any, places: Iterable[int]) -> None:
    """Write squares into some places of a list or an array."""
    for place in places:
        numbers[place] = place * place


def view(memory: Any, shape: tuple[int, ...], kind: Any = np.uint8) -> Any:
    """Look at shared memory as a NumPy array; nothing is copied."""
    return np.frombuffer(memory.buf, kind, count=math.prod(shape)).reshape(shape)


def paint(
    all_here: Barrier, memory: SharedMemory, shape: tuple[int, int], tops: range, done: Synchronized[int]
) -> None:
    """Paint stripes of 20 rows, each from one of the tops, straight into the shared picture; count them."""
    picture = view(memory, shape)
    all_here.wait()
    for top in tops:
        y, x = np.ogrid[top : top + 20, : shape[1]]
        distance = np.hypot(y - shape[0] / 2, x - shape[1] / 2)  # from the middle of the picture
        picture[top : top + 20] = 128 + 127 * np.sin(distance / 8)
        time.sleep(0.03)  # a painter steps back and looks
        with done.get_lock():
            done.value += 1
    del picture  # nobody may look into memory that is closed
    memory.close()


def paint_white(picture: Any) -> None:
    """Paint a whole picture white."""
    picture[:] = 255


def paint_white_shared(memory: SharedMemory, shape: tuple[int, int]) -> None:
    """Paint a whole picture white that lies in shared memory."""
    paint_white(view(memory, shape))
    memory.close()


def add_one(memory: SharedMemory, asked: Event, answered: Event) -> None:
    """When asked, add 1 to the first byte."""
    asked.wait()
    view(memory, (1,))[0] += 1
    answered.set()
    memory.close()


def bytes_needed(get: Callable[..., Any], *args: Any) -> int:
    """Call ``get`` and return how many bytes this process had to allocate for it, at most."""
    tracemalloc.start()
    data = get(*args)
    _now, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    del data
    return peak


def vote(votes: Any, voters: Any, lock: Lock, name: str, drink: str) -> None:
    """Count a vote in a manager's dict, and sign in a manager's list."""
    with lock:  # reading and writing are two messages
        votes[drink] = votes.get(drink, 0) + 1
    voters.append(name)  # one message


def vote_unlocked(both: Barrier, votes: Any, drink: str) -> None:
    """Count a vote without a lock, at the worst moment: everybody has read before anybody writes."""
    seen = votes[drink]
    both.wait()
    votes[drink] = seen + 1


def look_too_late(memory: SharedMemory) -> None:
    """Look through an array after its memory was closed: `np.ndarray` does not notice, frombuffer would."""
    picture = np.ndarray(memory.size, np.uint8, memory.buf)
    memory.close()
    picture.sum()


def attach(name: str) -> SharedMemory:
    """Attach as a guest: from a program that multiprocessing did not start, and that must not clean up."""
    if sys.version_info >= (3, 13):
        return SharedMemory(name, track=False)
    memory = SharedMemory(name)
    if sys.platform != "win32":  # there nobody keeps track
        resource_tracker.unregister(f"/{name}", "shared_memory")
    return memory


def exists(name: str) -> bool:
    """Say whether there is shared memory of this name."""
    try:
        SharedMemory(name).close()
    except FileNotFoundError:
        return False
    return True


def keep_table(memory: SharedMemory, shape: tuple[int, int]) -> None:
    """Keep a shared table of numbers for all tasks of this worker; an initializer."""
    global kept, table
    kept, table = memory, view(memory, shape, float)


def highest(column: int) -> float:
    """Find the highest number in a column of the table."""
    return float(table[:, column].max())
