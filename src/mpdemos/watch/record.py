"""The record: what each process did, written so that not even SIGKILL loses a line.

Every process appends to a file of its own, one ``os.write`` an event, one JSON array a line. There is
no buffer, lock or thread between an event and its file, so a killed process keeps every record up to
its death and never holds up another one.
"""

from __future__ import annotations

import json
import os
import threading
import weakref
from collections.abc import Iterator
from multiprocessing import process
from time import perf_counter_ns
from typing import Any, NamedTuple

_FLAGS = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)


class Record(NamedTuple):
    """One line of one process's file.

    ``time`` is `time.perf_counter_ns` of the machine (one clock for all processes since Python 3.10),
    ``process`` names the file (one for each process), ``thread`` is empty for the main thread,
    ``resource`` is the key of a traced object or empty, ``detail`` whatever the action needs to say.
    """

    time: int
    process: str
    thread: str
    action: str
    resource: str
    detail: Any


class Recorder:
    """Writes the records of this process into ``folder``; pickles into the child's own recorder."""

    def __init__(self, folder: str) -> None:
        self.folder = folder
        self.owner = 0  # the pid of the process whose children are watched
        self.lost = 0
        self._forget()
        _recorders[folder] = self

    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return recorder, (self.folder,)

    def _forget(self) -> None:
        """Let the next record open a new file: this is another process now."""
        self._fd: int | None = None
        self._torn = False
        self.process = ""
        self.in_wait = False
        self._threads = {thread.ident for thread in threading.enumerate()}

    def open(self, name: str) -> None:
        """Start this process's file; ``name`` is the name that a reader of the record will see."""
        if self._fd is not None:
            return
        self.process = f"{os.getpid()}-{perf_counter_ns()}"
        try:
            self._fd = os.open(os.path.join(self.folder, self.process + ".jsonl"), _FLAGS, 0o600)
        except OSError:
            self.lost += 1  # the program being watched must not notice
        else:
            self.note("process", "", {"name": name, "pid": os.getpid(), "parent": os.getppid()})

    def close(self) -> None:
        """Close this process's file, unless a thread that the program left behind may be writing to it."""
        known = {*self._threads, threading.get_ident()}
        if self._fd is not None and all(thread.ident in known for thread in threading.enumerate()):
            os.close(self._fd)
            self._fd = None

    def note(self, action: str, resource: str = "", detail: Any = None) -> None:
        """Append one record. Never raises: a full disk costs the record, not the program."""
        now = perf_counter_ns()
        if self._fd is None:
            import multiprocessing

            self.open(multiprocessing.current_process().name)
            if self._fd is None:
                return
        if threading.get_ident() == _main_thread:
            thread = ""
            if action != "released":  # Condition.wait releases its lock while it waits
                self.in_wait = action == "waits"
        else:
            thread = json.dumps(threading.current_thread().name)[1:-1]
        text = "null" if detail is None else json.dumps(detail)
        line = b'[%d,"%s","%s","%s",%s]\n' % (
            now,
            thread.encode(),
            action.encode(),
            resource.encode(),
            text.encode(),
        )
        if self._torn:
            line = b"\n" + line  # end the broken line first, so that it costs one record and not two
        try:
            self._torn = os.write(self._fd, line) != len(line)
            self.lost += self._torn
        except OSError:
            self.lost += 1

    def waits(self, resource: str, what: Any, timeout: float | None) -> None:
        """Note a wait. One that may end by itself "waits for now": by a timeout, or somebody unwatched."""
        alone = timeout is None and not self.has_other_threads()
        alone = alone and (os.getpid() == self.owner or not process._children)  # type: ignore[attr-defined]
        self.note("waits" if alone else "waits for now", resource, what)

    def has_other_threads(self) -> bool:
        """Whether the program has started a thread in the block that may do something for the others."""
        return any(self._is_new(thread) for thread in threading.enumerate())

    def _is_new(self, thread: threading.Thread) -> bool:
        """Whether a thread was started in the block, and by the program."""
        return thread.ident not in self._threads and not thread.name.startswith(_OUR_THREADS)


_OUR_THREADS = ("mpdemos-", "QueueFeederThread")
_recorders: weakref.WeakValueDictionary[str, Recorder] = weakref.WeakValueDictionary()
_main_thread = threading.main_thread().ident


def _after_fork() -> None:
    global _main_thread
    _main_thread = threading.get_ident()
    for each in list(_recorders.values()):
        if each._fd is not None:
            os.close(each._fd)
        each._forget()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


def recorder(folder: str) -> Recorder:
    """This process's recorder for ``folder``: one for all objects of a watch."""
    return _recorders.get(folder) or Recorder(folder)


def read(folder: str) -> tuple[list[Record], int]:
    """All records in ``folder`` by time, and how many lines could not be read.

    A line is unreadable when its process was stopped in the middle of it or the disk was full.
    """
    records: list[Record] = []
    torn = 0
    for name in sorted(name for name in os.listdir(folder) if name.endswith(".jsonl")):
        for record in _read_file(os.path.join(folder, name)):
            if record is None:
                torn += 1
            else:
                records.append(record)
    records.sort(key=lambda record: record.time)
    return records, torn


def _read_file(path: str) -> Iterator[Record | None]:
    """Each line of one process's file as a record, or None for a line that is not one."""
    process = os.path.basename(path).removesuffix(".jsonl")
    with open(path, "rb") as file:
        lines = file.read().split(b"\n")
    for line in lines:
        if not line:
            continue
        try:
            time, thread, action, resource, detail = json.loads(line)
            if not (isinstance(time, int) and isinstance(action, str)):
                raise ValueError(line)
        except (ValueError, RecursionError):
            yield None
        else:
            yield Record(time, process, thread, action, resource, detail)
