"""Workers of lesson 00: each one sends what it finds to its parent, which shows it."""

import multiprocessing
import os
import signal
import threading
import time
from multiprocessing.connection import Connection
from multiprocessing.queues import SimpleQueue
from multiprocessing.synchronize import Event
from typing import Any

Answers = SimpleQueue[Any]

visits = 0
latch = threading.Lock()


def introduce(answers: Answers) -> None:
    """Tell who runs this function."""
    me, parent = multiprocessing.current_process(), multiprocessing.parent_process()
    answers.put({"name": me.name, "pid": os.getpid(), "parent": parent and parent.pid})


def greet(door: Event, answers: Answers, seconds: float) -> None:
    """Wait until the door opens, take off the coat, say hello."""
    door.wait()
    time.sleep(seconds)
    answers.put(f"hello from {multiprocessing.current_process().name}")


def visit(answers: Answers) -> None:
    """Count one more visit, in the memory of the process that runs this."""
    global visits
    visits += 1
    answers.put(visits)


def shout(line: str) -> None:
    """Print a line: the one worker of the collection that does so, to show where it goes."""
    print(line)


def look_up(answers: Answers, name: str) -> None:
    """Tell what an environment variable holds here."""
    answers.put(os.environ.get(name))


def try_latch(answers: Answers) -> None:
    """Tell whether this process can acquire the latch, a lock for threads."""
    answers.put(latch.acquire(timeout=0.2))


def ignore_interrupts() -> None:
    """Leave Ctrl-C and "Interrupt kernel" to the parent; the initializer of a pool."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def vanish(answers: Answers) -> None:
    """Start a child, tell its process id, then die at once, as a kernel does that is killed."""
    spawn = multiprocessing.get_context("spawn")
    news, tell = spawn.Pipe(duplex=False)
    child = spawn.Process(target=stay, args=(tell,), daemon=True)
    child.start()
    news.recv()
    answers.put(child.pid)
    os._exit(1)


def stay(tell: Connection) -> None:
    """Tell that this process runs, then stay for a while."""
    tell.send("here")
    time.sleep(30)
