"""Lesson 01, Process: what its children do.

``line`` is a child's end of a Pipe: what the child sends through it, the parent receives.
"""

from __future__ import annotations

import logging
import multiprocessing
import os
import sys
import time
from logging.handlers import QueueHandler
from multiprocessing.connection import Connection
from multiprocessing.queues import Queue
from multiprocessing.synchronize import Lock


def worker(interval: float, line: Connection) -> None:
    """Send five ticks, one every ``interval`` seconds; then wait for an answer."""
    n = 5
    while n > 0:
        line.send(n)
        time.sleep(interval)
        n -= 1
    line.recv()


class ClockProcess(multiprocessing.Process):
    """A process that sends five ticks, one every ``interval`` seconds."""

    def __init__(self, interval: float, line: Connection) -> None:
        super().__init__(name="clock")
        self.interval = interval
        self.line = line

    def run(self) -> None:
        """Tick: only this method runs in the child."""
        n = 5
        while n > 0:
            self.line.send(n)
            time.sleep(self.interval)
            n -= 1


results: list[int] = []


def square(number: int) -> int:
    """Keep the square in a global list, and return it."""
    results.append(number * number)
    return number * number


def send_square(number: int, line: Connection) -> None:
    """Send the square."""
    line.send(number * number)


def end(how: str) -> None:
    """End by itself, in one of the four ways."""
    if how == "exit":
        sys.exit(3)
    if how == "raise":
        raise ValueError("no such price")
    if how == "crash":
        os._exit(7)  # at once, as when C code crashes: nothing is cleaned up


def stay(line: Connection) -> None:
    """Say "here", stay for a minute, and say "bye" on the way out."""
    try:
        line.send("here")
        for _ in range(600):
            time.sleep(0.1)  # in naps: a signal that comes just before a sleep is heard after it
    finally:
        line.send("bye")


def introduce(line: Connection) -> None:
    """Send who this process is, who started it, and what it sees."""
    me, parent = multiprocessing.current_process(), multiprocessing.parent_process()
    level = logging.getLogger("prices").getEffectiveLevel()
    line.send((me.name, me.pid, parent and parent.pid, len(results), logging.getLevelName(level)))


def note(path: str, flush: bool, line: Connection) -> None:
    """Write into a file, and stay."""
    with open(path, "w", encoding="utf-8") as file:
        file.write("I was here")
        if flush:
            file.flush()
        stay(line)


def hold(lock: Lock, line: Connection) -> None:
    """Stay, with the lock in hand."""
    with lock:
        stay(line)


def have_child(line: Connection) -> None:
    """Start a child of its own; send how that went."""
    child = multiprocessing.Process(target=end, args=("return",), name="grandchild")
    try:
        child.start()
        child.join()
        line.send(f"its child ended with exit code {child.exitcode}")
    except AssertionError as error:
        line.send(f"AssertionError: {error}")


def ask_user(line: Connection) -> None:
    """Send what the user types."""
    try:
        line.send(input())
    except EOFError as error:
        line.send(f"EOFError: {error}")


def log(queue: Queue[logging.LogRecord]) -> None:
    """Log into a queue: the parent decides what becomes of it."""
    logger = logging.getLogger("prices")
    logger.setLevel(logging.INFO)
    logger.addHandler(QueueHandler(queue))
    logger.info("3 prices read")


def add_up(path: str) -> None:
    """Write the sum of the numbers in a file into a file beside it."""
    with open(path, encoding="utf-8") as file:
        total = sum(int(price) for price in file)
    with open(path + ".total", "w", encoding="utf-8") as file:
        file.write(str(total))
