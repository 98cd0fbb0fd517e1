"""Workers of lesson 04: a timer that is switched on and off, and others that wait for a signal."""

from __future__ import annotations

import time
from multiprocessing.connection import Connection
from multiprocessing.queues import SimpleQueue
from multiprocessing.synchronize import Barrier, Condition, Event
from pathlib import Path
from typing import Any


def work(e: Event, stop: Event, ticks: Connection) -> None:
    """Tick while ``e`` is set, rest while it is not; end when ``stop`` is set."""
    n = 0
    while True:
        e.wait()  # goes on at once if e is set, else blocks
        if stop.is_set():
            return
        n += 1
        ticks.send(n)
        time.sleep(0.01)


def listen(bell: Event, free: Event, heard: Any) -> None:
    """Be busy until ``free`` is set; then listen for the bell for a moment."""
    free.wait()
    heard.value = bell.wait(timeout=0.2)


def keep_diary(stop: Event, writing: Event, path: Path) -> None:
    """Write until asked to stop, then write the last line."""
    with open(path, "w", encoding="utf-8") as diary:
        try:
            writing.set()
            while not stop.wait(timeout=0.01):  # a pause that ``stop`` cuts short
                diary.write("a line\n")
        finally:
            diary.write("the end\n")


def customer(bread: Condition, loaves: Any, notes: SimpleQueue[str]) -> None:
    """Wait until there is a loaf, and take it."""
    with bread:
        notes.put("here")
        bread.wait_for(lambda: loaves.value > 0)
        loaves.value -= 1
        notes.put("served")


def runner(line: Barrier, seconds: float, notes: SimpleQueue[str]) -> None:
    """Run two rounds; nobody begins the second one before all have run the first."""
    for lap in ("first", "second"):
        time.sleep(seconds)
        notes.put(lap)
        line.wait()


def await_bell(bell: Event, ready: Barrier, spin: bool, cost: Any) -> None:
    """Wait for the bell, or ask for it again and again; tell the seconds of processor time."""
    ready.wait()
    began = time.process_time()
    while spin and not bell.is_set():
        cost.value = time.process_time() - began
    bell.wait()
    cost.value = time.process_time() - began


def wait_for_good(bread: Condition, notes: SimpleQueue[str]) -> None:
    """Wait to be notified, however long it takes."""
    with bread:
        notes.put("here")
        bread.wait()


def client(ready: Barrier, gun: Event, stop: Event, requests: SimpleQueue[int]) -> None:
    """Get ready; after the gun, send requests until asked to stop; tell how many."""
    ready.wait()
    gun.wait()
    sent = 0
    while True:
        time.sleep(0.005)  # one request
        sent += 1
        if stop.is_set():
            requests.put(sent)
            return
