"""The record: what each process did, written so that not even SIGKILL loses a line.

Every process appends to a file of its own, one ``os.write`` an event, one JSON array a line. There is
no buffer, lock or thread between an event and its file, so a killed process keeps every record up to
its death and never holds up another one.
"""

from __future__ import annotations

import _signal  # type: ignore[import-not-found,unused-ignore]  # each wait asks; `signal` is much slower
import contextlib
import json
import os
import signal
import sys
import threading
import weakref
from collections.abc import Iterator
from time import perf_counter_ns
from typing import Any, NamedTuple

_FLAGS = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)


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
        self.trouble: OSError | None = None  # why a record is lost
        self._forget()
        _recorders[folder] = self

    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return recorder, (self.folder,)

    def _forget(self) -> None:
        """Let the next record open a new file: this is another process now."""
        self._fd: int | None = None
        self._gap = b""  # what the next line begins with, if a record was lost
        self.process = ""
        self.in_wait = False
        self.receives: Any = None  # the connection that the main thread reads, or is about to
        self._threads = {thread.ident for thread in threading.enumerate()}

    @property
    def path(self) -> str:
        """This process's file."""
        return os.path.join(self.folder, self.process + ".jsonl")

    def open(self, name: str) -> None:
        """Start this process's file; ``name`` is the name that a reader of the record will see."""
        if self._fd is not None:
            return
        self.process = f"{os.getpid()}-{perf_counter_ns()}"
        try:
            self._fd = out_of_the_way(os.open(self.path, _FLAGS, 0o600))
        except OSError as error:
            self._lose(error)  # the program being watched must not notice
        else:
            self.note("process", "", {"name": str(name), "pid": os.getpid(), "parent": os.getppid()})

    def close(self) -> None:
        """Close this process's file; what a thread that the program left behind may write goes nowhere."""
        if self._fd is None:
            return
        known = {*self._threads, threading.get_ident()}
        if all(thread.ident in known for thread in threading.enumerate()):
            os.close(self._fd)
            self._fd = None
        else:  # to close it would give its number to another file, which the thread could then write to
            with contextlib.suppress(OSError):  # there may be no number left
                nowhere = os.open(os.devnull, os.O_RDWR)
                os.dup2(nowhere, self._fd, inheritable=False)
                os.close(nowhere)

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
        text = "null" if detail is None else _encode(detail)
        line = b'[%d,"%s","%s","%s",%s]\n' % (
            now,
            thread.encode(),
            action.encode(),
            resource.encode(),
            text.encode(),
        )
        line = self._gap + line
        try:
            if os.write(self._fd, line) == len(line):
                self._gap = b""
            else:
                self._gap = b"\n"  # end the broken line first, so that it costs one record and not two
                self.lost += 1
        except OSError as error:
            self._lose(error)

    def _lose(self, error: OSError) -> None:
        """Count a record that could not be written, and cut the end off the last line: readers know then."""
        self.lost += 1
        self.trouble = error
        if self._fd is not None and not self._gap:
            self._gap = b"\n?\n"
            with contextlib.suppress(OSError):
                os.ftruncate(self._fd, max(0, os.fstat(self._fd).st_size - 1))

    def test(self) -> OSError | None:
        """Why no process can begin a record now; None if one can."""
        path = os.path.join(self.folder, f"test-{threading.get_native_id()}")  # others may try too
        trouble = None
        try:
            with open(path, "wb") as file:
                file.write(bytes(4096))
        except OSError as error:
            trouble = error
        with contextlib.suppress(OSError):  # half of it would keep the last room from the others' records
            os.unlink(path)
        return trouble

    def read(self) -> tuple[list[Record], int]:
        """All records of the block and how much could not be read, as `read` does.

        If somebody has removed the folder, this process's own are still there.
        """
        records, torn = read(self.folder)
        if self._fd is not None and hasattr(os, "pread") and all(r.process != self.process for r in records):
            data = os.pread(self._fd, _MOST_BYTES, 0)
            own = [_record(self.process, line) for line in data.split(b"\n") if line]
            records = sorted([*filter(None, own), *records], key=lambda record: record.time)
            torn += 1
        return records, torn

    def waits(self, resource: str, what: Any, timeout: float | None) -> None:
        """Note a wait. One that may end by itself "waits for now": by a timeout, a thread or a signal."""
        alone = timeout is None and not self.has_other_threads()
        alone = alone and not handles_signals() and (os.getpid() == self.owner or not seconds_to_the_alarm())
        self.note("waits" if alone else "waits for now", resource, what)

    def has_other_threads(self) -> bool:
        """Whether the program has started a thread in the block that may do something for the others."""
        return any(self._is_new(thread) for thread in threading.enumerate())

    def _is_new(self, thread: threading.Thread) -> bool:
        """Whether a thread was started in the block, and by the program."""
        return thread.ident not in self._threads and not thread.name.startswith(_OUR_THREADS)


def out_of_the_way(fd: int) -> int:
    """Give a file a number that no other one will have, also if the program closes all its files.

    Args:
        fd: its number, which is closed.

    Returns:
        The new number; the same one where there is none.
    """
    if sys.platform == "win32":
        return fd
    import fcntl
    import resource

    most = min(resource.getrlimit(resource.RLIMIT_NOFILE)[0], 1024)  # more would make each process larger
    try:
        far = fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, most - most // 16)
    except (OSError, ValueError):
        return fd
    os.close(fd)
    return far


def handles_signals() -> bool:
    """Whether this process does something of its own when it gets a signal that is meant for programs."""
    interrupt: Any = _signal.getsignal(signal.SIGINT)
    while hasattr(interrupt, "_former"):  # a watch's own passes it on
        interrupt = interrupt._former[signal.SIGINT]
    others = map(_signal.getsignal, _MEANT_FOR_PROGRAMS)
    return any(map(callable, others)) or (callable(interrupt) and interrupt is not signal.default_int_handler)


def seconds_to_the_alarm() -> float:
    """When the timer of this process goes off, by `signal.alarm` or `setitimer`; 0 if it has none."""
    if sys.platform == "win32":
        return 0.0
    return signal.getitimer(signal.ITIMER_REAL)[0]


_encode = json.JSONEncoder(default=int).encode  # int makes JSON of a number of NumPy
_MEANT_FOR_PROGRAMS = [
    getattr(signal, name)
    for name in ("SIGTERM", "SIGHUP", "SIGQUIT", "SIGUSR1", "SIGUSR2")
    if hasattr(signal, name)
]
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
    known = _recorders.get(folder)
    if known is None:
        known = Recorder(folder)
        # Any other thread was started by the program: when its main module was imported, for example.
        known._threads = {_main_thread, threading.get_ident()}
    return known


def read(folder: str, pid: int | None = None) -> tuple[list[Record], int]:
    """All records in ``folder`` by time, or those of one process, and how much could not be read.

    A line is unreadable when its process was stopped in the middle of it or the disk was full. What this
    module did not write is left out too, and so is what is too much for a reader's memory. Who was ended
    before the first line has lost nothing: a pool ends its workers also while they start.
    """
    records: list[Record] = []
    torn = 0
    try:
        entries = [entry for entry in os.scandir(folder) if _is_of(pid, entry.name)]
    except OSError:  # somebody has removed it, or there is no file descriptor for it
        return [], 1
    entries.sort(key=lambda entry: entry.name)
    files = [entry.path for entry in entries if entry.is_file(follow_symlinks=False)]
    torn += len(entries) - len(files)
    room = _MOST_BYTES
    if sum(map(_size, files)) > room:
        room //= len(files)
    for path in files:
        for record in _read_file(path, room):
            if record is None:
                torn += 1
            else:
                records.append(record)
    records.sort(key=lambda record: record.time)
    codes = {str(r.detail["pid"]): r.detail["exitcode"] or 0 for r in records if r.action == "reaps"}
    torn -= sum(codes.get(_pid(path), 0) < 0 and _size(path) == 0 for path in files)
    return records, torn


def _is_of(pid: int | None, name: str) -> bool:
    return name.endswith(".jsonl") and (pid is None or _pid(name) == str(pid))


def _pid(path: str) -> str:
    return os.path.basename(path).partition("-")[0]


def _size(path: str) -> int:
    return os.path.getsize(path) if os.path.exists(path) else 0


def _read_file(path: str, room: int) -> Iterator[Record | None]:
    """Each line of one process's file as a record, or None for a line that is not one."""
    process = os.path.basename(path).removesuffix(".jsonl")
    try:
        with open(path, "rb") as file:
            data = file.read(room + 1)
    except OSError:
        data = b"?"
    if not data or len(data) > room:  # a file is empty if not even its first line could be written
        yield None
    *lines, rest = data[:room].split(b"\n")
    for line in filter(None, lines):
        yield _record(process, line)
    if rest:  # it is not whole, or what came after it could not be written
        if record := _record(process, rest):
            yield record
        yield None


def _record(process: str, line: bytes) -> Record | None:
    if len(line) > _MOST_LINE:
        return None
    try:
        time, *words, detail = json.loads(line)
        thread, action, resource = words
    except (ValueError, TypeError, RecursionError):
        return None
    if not (_fits(time, int) and time >= 0 and _fits(words, [str, str, str])):
        return None
    return Record(time, process, thread, action, resource, detail) if _is_detail(action, detail) else None


def _is_detail(action: str, detail: Any) -> bool:
    return _fits(detail, _DETAILS.get(action, (None, str, int, [(str, int), int])))


def _fits(value: Any, shape: Any) -> bool:
    """Whether a value has the types of ``shape``; a tuple lists several shapes."""
    if isinstance(shape, tuple):
        return any(_fits(value, each) for each in shape)
    if isinstance(shape, dict):
        return isinstance(value, dict) and all(
            key in value and _fits(value[key], each) for key, each in shape.items()
        )
    if isinstance(shape, list):
        return isinstance(value, list) and len(value) == len(shape) and all(map(_fits, value, shape))
    if shape is int:
        return isinstance(value, int) and abs(value) < 2**63
    return value is None if shape is None else isinstance(value, shape)


_MOST_BYTES = 100_000_000  # of the files of a block: more than a million records
_MOST_LINE = 10_000_000  # bytes: a traceback is the longest thing to be noted
_PID = {"pid": int}
_DETAILS: dict[str, Any] = {  # of the actions whose detail the history looks into
    "process": {"name": str, "pid": int, "parent": int},
    "starts": {"pid": int, "name": str, "worker_of": str},
    "reaps": {"pid": int, "exitcode": (int, None)},
    **dict.fromkeys(("sees the end of", "kills", "terminates", "interrupts", "cleans up"), _PID),
    "failed": {"error": str, "traceback": str},
    "exits": str,
    "ended": {"lost": int},
    "makes": {"kind": str, "size": int},
    "got": str,
    "received": [str, int],
    "task": {"job": int, "function": str, "items": int},
    "lost": str,
    "unreadable result": str,
}
