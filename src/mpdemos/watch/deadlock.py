"""The proofs, before the limit, that a block will never end: every process waits, and nothing is under way.

A release, a put or a set is noted before it is done, and what it allows after it was done. So if the
records say that a permit is free or an item is under way, somebody may be about to wake up.
"""

from __future__ import annotations

import gc
import os
import sys
import threading
from types import FrameType
from typing import Any

import psutil

from .history import History
from .remover import is_cleaner

# What belongs to Python, to a package or to no file at all is not the program.
NOT_THE_PROGRAM = (os.path.dirname(os.__file__) + os.sep, "<frozen ")
_PACKAGES = {"site-packages", "dist-packages"}
_YOUNG = 2.0  # seconds: on Linux the clock of births may be a second behind or ahead of that of the events


def nobody_can_go_on(history: History, without_parent: bool = False) -> bool:
    """Whether every process that is alive waits for something that only another one of them could do.

    So the record says. Whether somebody without a record may help is for the two functions below to say.
    """
    if history.torn:  # what is missing may be what wakes somebody up
        return False
    alive = [process for process in history.lives if history.is_alive(process)]
    if without_parent:
        alive = [process for process in alive if process != history.parent()]
    waits = {process: (key, what, start) for (process, _t, key, _w), (start, what) in history.waiting.items()}
    if not alive or not all(process in history.for_ever and process in waits for process in alive):
        return False  # with nobody left, the last ones are about to be gone
    return not any(_may_wake(history, *waits[process]) for process in alive)


def a_thread_may_help(waiting: int) -> bool:
    """Whether another thread runs code of the program: one that is older than the block, as an executor's may
    be, can have been given something to do in it.

    Args:
        waiting: the identifier of the thread of the block.
    """
    threads = {thread.ident: thread for thread in threading.enumerate()}
    ours = {number for number, thread in threads.items() if thread.name.startswith("mpdemos-")}
    frames = {
        number: frame for number, frame in frames_of_threads().items() if number not in {waiting, *ours}
    }
    if any(isinstance(threads.get(number), threading.Timer) for number in frames):
        return True
    return any(map(_runs_the_program, frames.values()))


def frames_of_threads() -> dict[int, FrameType]:
    """What each thread runs, by the identifier of the thread.

    Python 3.11 must not collect garbage meanwhile: a finalizer lets another thread run, which may wait for
    ever for the list of threads, as this one then does for it (CPython issue 106883).
    """
    if sys.version_info >= (3, 12):
        return sys._current_frames()
    with _asking:
        collects = gc.isenabled()
        gc.disable()
        try:
            return sys._current_frames()
        finally:
            if collects:
                gc.enable()


_asking = threading.Lock()
if hasattr(os, "register_at_fork"):  # a child forked meanwhile would never collect
    os.register_at_fork(
        before=_asking.acquire, after_in_parent=_asking.release, after_in_child=_asking.release
    )


def _runs_the_program(frame: FrameType | None) -> bool:
    """Whether a thread does. An event loop of Python's own that no package runs may do so in a moment."""
    loop = package = False
    while frame is not None:
        file = frame.f_code.co_filename
        if _PACKAGES.intersection(file.split(os.sep)):
            package = True
        elif not file.startswith(NOT_THE_PROGRAM):
            return True
        loop = loop or f"{os.sep}asyncio{os.sep}" in file
        frame = frame.f_back
    return loop and not package


def others_may_help(known: set[int], since: float) -> bool:
    """Whether this process, or one that it has started, has started another one that is not watched, be it by
    multiprocessing, `os.fork` or `subprocess`: it may have inherited what the others wait for.

    Args:
        known: the pids of those that are watched, and of what older ones multiprocessing has started.
        since: the time of the clock when the block began; who is older has nothing of it.

    Raises:
        psutil.Error, OSError: if the system cannot be asked.
    """
    server = sys.modules.get("multiprocessing.forkserver")
    known = known | {getattr(getattr(server, "_forkserver", None), "_forkserver_pid", None) or 0}
    return any(
        process.pid not in known and process.create_time() > since - _YOUNG and _may_help(process)
        for process in psutil.Process().children(recursive=True)
    )


def _may_help(process: psutil.Process) -> bool:
    try:
        # Windows adds a conhost.exe to a program of the terminal.
        return process.name() != "conhost.exe" and not is_cleaner(process.cmdline())
    except psutil.NoSuchProcess:  # or a zombie, which has no command line
        return False


def result_is_lost(history: History, pool: str, job: int, outstanding: list[int]) -> bool:
    """Whether a job of a Pool will never have its result: a Pool does not run a task again.

    The task may have died with its worker, or have killed the worker that could not unpickle it; which task
    that was nobody knows, unless only one job is outstanding.
    """
    dead = [p for p, life in history.lives.items() if life.worker_of == pool and not history.is_alive(p)]
    taken = [history.unfinished[process]["job"] for process in dead if process in history.unfinished]
    unread = any(history.counts[pool][process, "gave up"] for process in dead)
    return job in taken or (unread and outstanding == [job])


def children_are_idle(history: History) -> bool:
    """Whether all children have done what they could: a worker waits for a task, any other child for ever."""
    waiting = {process for process, *_rest in history.waiting}
    return all(
        process in waiting and (life.worker_of or process in history.for_ever)
        for process, life in history.lives.items()
        if history.is_alive(process) and process != history.parent()
    )


def _may_wake(history: History, key: str, what: Any, start: int) -> bool:
    if isinstance(what, list):
        return _may_hear(history, key, what, start)
    if what == "acquire":
        return history.sizes.get(key, 0) + _total(history, key, "released") > _total(history, key, "acquired")
    if what == "get":
        return _total(history, key, "sent") + _total(history, key, "put") > 2 * _total(history, key, "got")
    if what == "put":
        return _total(history, key, "put") - _total(history, key, "got") < history.sizes.get(key, 0)
    if what == "set":
        return _is_set(history, key) or _since(history, key, "set", start)
    if what == "notify":
        return _is_notified(history, key)
    if what == "the others":
        ends = _total(history, key, "passed") + _total(history, key, "gave up")
        came = _total(history, key, "waits") + _total(history, key, "waits for now")
        return came - ends >= history.sizes.get(key, 0) or _since(history, key, "passed", start)
    return True


def _is_notified(history: History, key: str) -> bool:
    """Whether somebody who waits may have been notified, and has not said so yet.

    All this is noted while the condition's lock is held, so the records are in the order in which it
    happened. A notification reaches only those who wait already. Who is about to give up, or has died, still
    counts as waiting: that may be one too many, but never one too few.
    """
    waiting = notified = 0
    for record in history.records:
        if record.resource != key:
            continue
        if record.action == "notifies":
            some = isinstance(record.detail, int) and record.detail >= 0
            notified += record.detail if some else waiting
        elif record.detail == "notify":
            waiting += record.action.startswith("waits")
            waiting -= record.action in ("notified", "gave up")
            notified -= record.action == "notified"
        notified = min(max(0, notified), waiting)
    return notified > 0


def _may_hear(history: History, key: str, what: list[Any], start: int) -> bool:
    """A join is hopeless as long as the joined process is; a message may be under way."""
    if what[0] == "join":
        joined = history.by_pid(what[1])
        return not joined or not history.is_alive(joined)
    if what[0] == "receive":
        lives = history.lives.values()
        ended = any(life.end is not None and (life.end >= start or not life.gone) for life in lives)
        may_be_end_of_file = ended or _since(history, key, "closed", start)
        return may_be_end_of_file or history.is_under_way(key, what[1])
    return True  # a send: whether it blocks depends on the size of the pipe


def _total(history: History, key: str, action: str) -> int:
    return sum(count for (_process, done), count in history.counts[key].items() if done == action)


def _is_set(history: History, key: str) -> bool:
    changes = [record.action for record in history.records if record.resource == key]
    return next((action == "set" for action in reversed(changes) if action in ("set", "cleared")), False)


def _since(history: History, key: str, action: str, start: int) -> bool:
    return any(r.time >= start for r in history.records if r.resource == key and r.action == action)
