"""The one place that measures: the charts of the lessons and `make bench` call the same functions.

`maps`, `messages`, `primitives` and `starts` are context managers. Each opens several ways to do the same
thing; calling a way does it once, and returns the seconds that one item took. `rounds` and `medians` call the
ways in turn, so that a busy moment of the computer hits all of them alike::

    with measure.maps(pool.count_primes, blocks, ["serial", "Pool"]) as ways:
        times = measure.medians(ways, 5)
    print("times as fast:", times["serial"] / times["Pool"])
"""

from __future__ import annotations

import importlib
import multiprocessing
import os
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent import futures
from contextlib import ExitStack, contextmanager, suppress
from functools import cached_property, partial
from multiprocessing import connection, shared_memory
from typing import Any

from .watch import start_method
from .workers import pipe

Ways = dict[str, Callable[[], float]]


def rounds(ways: Ways, number: int) -> dict[str, list[float]]:
    """Call all the ways in turn, ``number`` times: the seconds an item, of each way in each round."""
    times: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(number):
        for name, way in ways.items():
            times[name].append(way())
    return times


def medians(ways: Ways, number: int = 3) -> dict[str, float]:
    """The median of ``number`` rounds: seconds an item, for each way."""
    return {name: statistics.median(spent) for name, spent in rounds(ways, number).items()}


def cpus() -> int:
    """How many CPUs this process may use, as far as Python can tell."""
    return getattr(os, "process_cpu_count", os.cpu_count)() or 1


def _context(ctx: Any) -> Any:
    return ctx or multiprocessing.get_context(start_method())


@contextmanager
def _children(ctx: Any, target: Callable[..., None], *args_of_each: tuple[Any, ...]) -> Iterator[None]:
    """Children that serve until the block ends, one for each tuple of arguments."""
    children = [ctx.Process(target=_serve, args=(target, *args), daemon=True) for args in args_of_each]
    for child in children:
        child.start()
    try:
        yield
    finally:
        for child in children:
            child.terminate()
            child.join()


def _serve(target: Callable[..., None], *args: Any) -> None:
    threading.Thread(target=_end_with_parent, daemon=True).start()
    target(*args)


def _end_with_parent() -> None:
    connection.wait([multiprocessing.parent_process().sentinel])  # type: ignore[union-attr]
    os._exit(1)


# --- One list, many workers. An engine yields a function, of a chunk size or None, that returns the results.

_Run = Callable[[int | None], Any]


@contextmanager
def _ceiling(ctx: Any, workers: int, function: Callable[[Any], Any], items: Sequence[Any]) -> Iterator[_Run]:
    """As many independent processes, each with its share from the start: no items and no results travel."""
    lines = [ctx.Pipe() for _ in range(workers)]

    def run(_chunk: int | None) -> None:
        for ours, _ in lines:
            ours.send("go")
        for ours, _ in lines:
            ours.recv()

    shares = [(theirs, function, items[n::workers]) for n, (_, theirs) in enumerate(lines)]
    with _children(ctx, _work_alone, *shares):
        for _, theirs in lines:
            theirs.close()  # so that a child that ends is an EOFError here
        yield run


def _work_alone(line: Any, function: Callable[[Any], Any], share: Sequence[Any]) -> None:
    while line.recv():
        list(map(function, share))
        line.send("done")


@contextmanager
def _pool(ctx: Any, workers: int, function: Callable[[Any], Any], items: Sequence[Any]) -> Iterator[_Run]:
    with ctx.Pool(workers) as pool:
        yield lambda chunk: pool.map(function, items, chunk)


@contextmanager
def _imap(ctx: Any, workers: int, function: Callable[[Any], Any], items: Sequence[Any]) -> Iterator[_Run]:
    with ctx.Pool(workers) as pool:
        yield lambda chunk: list(pool.imap_unordered(function, items, chunk or 1))


def _executor(make: Callable[[Any, int], Any]) -> Callable[..., Any]:
    @contextmanager
    def engine(
        ctx: Any, workers: int, function: Callable[[Any], Any], items: Sequence[Any]
    ) -> Iterator[_Run]:
        with make(ctx, workers) as executor:
            yield lambda chunk: list(executor.map(function, items, chunksize=chunk or 1))

    return engine


@contextmanager
def _joblib(ctx: Any, workers: int, function: Callable[[Any], Any], items: Sequence[Any]) -> Iterator[_Run]:
    joblib, loky = (importlib.import_module(name) for name in ("joblib", "joblib.externals.loky"))
    task = joblib.delayed(function)
    try:
        with joblib.Parallel(workers) as parallel:
            yield lambda _chunk: parallel(task(item) for item in items)
    finally:
        loky.get_reusable_executor().shutdown()


@contextmanager
def _mpire(ctx: Any, workers: int, function: Callable[[Any], Any], items: Sequence[Any]) -> Iterator[_Run]:
    mpire, utils = (importlib.import_module(name) for name in ("mpire", "mpire.utils"))
    single = utils.make_single_arguments  # a range or a tuple would be taken for several arguments
    with mpire.WorkerPool(workers, start_method=ctx.get_start_method(), keep_alive=True) as pool:
        yield lambda chunk: pool.map(function, single(items, generator=False), chunk_size=chunk)


@contextmanager
def _dask(ctx: Any, workers: int, function: Callable[[Any], Any], items: Sequence[Any]) -> Iterator[_Run]:
    distributed = importlib.import_module("distributed")

    def run(chunk: int | None) -> list[Any]:
        if chunk is None:  # a millisecond each: more than a thousand would only take longer
            return list(client.gather(client.map(function, items[:1000], pure=False)))
        chunks = [items[n : n + chunk] for n in range(0, len(items), chunk)]
        done = client.gather(client.map(partial(_each, function), chunks, pure=False))
        return [result for (results,) in done for result in results]

    here = {"host": "127.0.0.1", "dashboard_address": "127.0.0.1:0"}
    cluster = distributed.LocalCluster(n_workers=workers, threads_per_worker=1, **here)
    with cluster, distributed.Client(cluster) as client:
        yield run


def _each(function: Callable[[Any], Any], chunk: Sequence[Any]) -> tuple[list[Any]]:
    return (list(map(function, chunk)),)  # Dask looks at each item of a bare list


_ENGINES: dict[str, Callable[..., Any]] = {
    "ceiling": _ceiling,
    "Pool": _pool,
    "imap_unordered": _imap,
    "executor": _executor(lambda ctx, workers: futures.ProcessPoolExecutor(workers, mp_context=ctx)),
    "threads": _executor(lambda _, workers: futures.ThreadPoolExecutor(workers)),
    "joblib": _joblib,
    "mpire": _mpire,
    "Dask": _dask,
}
_make_interpreters: Any = getattr(futures, "InterpreterPoolExecutor", None)
if _make_interpreters:  # Python 3.14
    _ENGINES["interpreters"] = _executor(lambda _, workers: _make_interpreters(workers))


@contextmanager
def maps(
    function: Callable[[Any], Any],
    items: Sequence[Any],
    names: Iterable[str],
    *,
    workers: int | None = None,
    ctx: Any = None,
) -> Iterator[Ways]:
    """Ways to call a function for each item. The workers have started, and have done it once, beforehand.

    Args:
        function: what to call. Other processes import it: from a module, never from a notebook's cell.
        items: its arguments, one for each call.
        names: ``serial`` is a loop. ``ceiling`` is what is possible here: independent processes that have
            their share of the items and send nothing. The others are ``Pool``, ``imap_unordered``,
            ``executor`` (of processes), ``threads``, ``interpreters``, ``joblib``, ``mpire`` and ``Dask``;
            what is not there is left out. ``Pool, chunksize=100`` says how many items make a task, and
            ``Pool, tuned`` makes sixteen tasks for each worker.
        workers: how many; unless given as many as `cpus`, at most 8.
        ctx: the multiprocessing context; unless given that of `mpdemos.start_method`.

    Yields:
        The ways, by name. A way raises `ValueError` if the results are not those of the loop.
    """
    workers = workers or min(cpus(), 8)
    expected = list(map(function, items))
    engines: dict[str, _Run] = {"serial": lambda _chunk: list(map(function, items))}

    def once(name: str, run: _Run, chunk: int | None) -> float:
        began = time.perf_counter()
        results = run(chunk)
        spent = time.perf_counter() - began
        if results is None:  # the ceiling sends none
            return spent / len(items)
        if sorted(results) != sorted(expected[: len(results)]):
            raise ValueError(f"{name} does not give the results of a loop")
        return spent / len(results)

    with ExitStack() as stack:
        ways: Ways = {}
        for name in names:
            engine, _, option = name.partition(", ")
            if engine not in engines and engine in _ENGINES:
                with suppress(ModuleNotFoundError):
                    open_engine = _ENGINES[engine](_context(ctx), workers, function, items)
                    engines[engine] = stack.enter_context(open_engine)
            if engine in engines:
                size = option.removeprefix("chunksize=")
                chunk = max(1, len(items) // (16 * workers)) if option == "tuned" else int(size or 0) or None
                ways[name] = partial(once, name, engines[engine], chunk)
        # Whoever starts processes goes first: a fork that copies threads or interpreters may crash.
        for name in sorted(ways, key=_stays_in_this_process):
            if name != "serial":
                ways[name]()
        yield ways


def _stays_in_this_process(name: str) -> bool:
    return name.startswith(("threads", "interpreters"))


# --- Messages


def round_trip(send: Callable[[Any], Any], receive: Callable[[], Any], message: bytes, times: int) -> float:
    """Send a message and receive an answer, so many times: the seconds that one such trip took."""
    began = time.perf_counter()
    for _ in range(times):
        send(message)
        receive()
    return (time.perf_counter() - began) / times


class _RawPipe:
    """What a Pipe is made of on Linux and macOS: no pickle, and no length in front of a message."""

    def __init__(self, ctx: Any, size: int) -> None:
        self.reader, self.writer = ctx.Pipe(duplex=False)
        self.size = size

    @cached_property
    def room(self) -> bytearray:
        return bytearray(self.size)

    def send(self, message: bytes) -> None:
        rest = memoryview(message)
        while rest:
            rest = rest[os.write(self.writer.fileno(), rest) :]

    def receive(self) -> bytearray:
        rest = memoryview(self.room)
        while rest:
            rest = rest[os.readv(self.reader.fileno(), [rest]) :]  # type: ignore[attr-defined,unused-ignore]
        return self.room


class _Shared:
    """Shared memory for one message: the sender copies it in, the receiver reads it in place."""

    def __init__(self, ctx: Any, size: int) -> None:
        self.memory, self.size = shared_memory.SharedMemory(create=True, size=size), size
        self.full = ctx.Semaphore(0)

    def send(self, message: bytes) -> None:
        self.memory.buf[: self.size] = message  # type: ignore[index]
        self.full.release()

    def receive(self) -> memoryview:
        self.full.acquire()
        return self.memory.buf[: self.size]  # type: ignore[index]

    def close(self) -> None:
        self.memory.close()
        self.memory.unlink()


CHANNELS = ("raw pipe", "Pipe, bytes", "Pipe", "SimpleQueue", "Queue", "Manager().Queue", "shared memory")


def _channel(name: str, ctx: Any, size: int, stack: ExitStack) -> tuple[Any, Any]:
    """The two functions of a channel: one sends a message, one receives it."""
    if name == "raw pipe":
        raw = _RawPipe(ctx, size)
        return raw.send, raw.receive
    if name == "shared memory":
        shared = _Shared(ctx, size)
        stack.callback(shared.close)
        return shared.send, shared.receive
    if name.startswith("Pipe"):
        reader, writer = ctx.Pipe(duplex=False)
        return (writer.send, reader.recv) if name == "Pipe" else (writer.send_bytes, reader.recv_bytes)
    maker = stack.enter_context(ctx.Manager()) if name.startswith("Manager") else ctx
    queue = maker.SimpleQueue() if name == "SimpleQueue" else maker.Queue()
    return queue.put, queue.get


@contextmanager
def messages(
    size: int, names: Iterable[str] = CHANNELS, *, burst: int = 1, times: int = 100, ctx: Any = None
) -> Iterator[Ways]:
    """Ways to bring messages to another process, which echoes: seconds a message, there or back.

    Args:
        size: bytes of a message.
        names: which of `CHANNELS`. ``raw pipe`` (Linux and macOS) is what the system itself can do.
        burst: so many go there before the last of them comes back. Shared memory here holds one: no burst.
        times: how often.
        ctx: the multiprocessing context; unless given that of `mpdemos.start_method`.

    Yields:
        The ways, by name, and ``memcpy``: a copy within this process.
    """
    ctx, message, room = _context(ctx), os.urandom(size), bytearray(size)
    impossible = ["shared memory"] * (burst > 1) + ["raw pipe"] * (os.name != "posix")

    def once(send: Callable[[Any], Any], receive: Callable[[], Any], times: int = times) -> float:
        send_all = send if burst == 1 else lambda message: [send(message) for _ in range(burst)]
        return round_trip(send_all, receive, message, times) / (burst + 1)

    copy = partial(memoryview(room).__setitem__, slice(None))
    ways: Ways = {"memcpy": partial(once, copy, partial(copy, message))}
    with ExitStack() as stack:
        for name in names:
            if name not in impossible:
                (send, arrive), (echo, receive) = (_channel(name, ctx, size, stack) for _ in range(2))
                stack.enter_context(_children(ctx, pipe.echo, (partial(_last, arrive, burst), echo)))
                once(send, receive, 1)  # so the other process is there
                ways[name] = partial(once, send, receive)
        yield ways


def _last(receive: Callable[[], Any], burst: int) -> Any:
    for _ in range(burst - 1):
        receive()
    return receive()


# --- Primitives, and starts


@contextmanager
def primitives(*, times: int = 1000, ctx: Any = None) -> Iterator[Ways]:
    """Ways to synchronise while nobody has to wait: seconds for a pair such as acquire and release.

    Yields:
        The ways: ``Lock``, … of processes, ``threads: Lock``, … of `threading`, and two that are dear:
        ``Manager().Lock``, and ``wake a process``, one Barrier at which two processes meet.
    """

    def pair(first: Callable[[], Any], second: Callable[[], Any]) -> Callable[[], None]:
        def both() -> None:
            first()
            second()

        return both

    ctx = _context(ctx)
    use: dict[str, Callable[[], Any]] = {}
    for prefix, library in (("", ctx), ("threads: ", threading)):
        for name in ("Lock", "RLock", "Semaphore"):
            lock = getattr(library, name)()
            use[f"{prefix}{name}"] = pair(lock.acquire, lock.release)
        event, condition = library.Event(), library.Condition()
        use[f"{prefix}Event"] = pair(event.set, event.clear)
        use[f"{prefix}Condition"] = pair(condition.acquire, condition.release)
        use[f"{prefix}Barrier"] = library.Barrier(1).wait
    meeting = ctx.Barrier(2)
    with ctx.Manager() as manager, _children(ctx, pipe.echo, (meeting.wait, abs)):
        lock = manager.Lock()
        use["Manager().Lock"] = pair(lock.acquire, lock.release)
        use["wake a process"] = meeting.wait
        meeting.wait()  # so the other process is there
        yield {name: partial(repeat, operation, times) for name, operation in use.items()}


def repeat(operation: Callable[[], Any], times: int) -> float:
    """Do it so many times: the seconds of one."""
    began = time.perf_counter()
    for _ in range(times):
        operation()
    return (time.perf_counter() - began) / times


@contextmanager
def starts(module: str) -> Iterator[Ways]:
    """Ways to start something that needs ``module``, and to wait until it has ended: seconds for one.

    The program that starts it has imported the module. A process started by ``spawn`` or ``forkserver``
    imports it anew, unless the fork server has done so (``forkserver, preload``).

    Yields:
        The ways: ``thread`` and the start methods that there are here.
    """
    methods = multiprocessing.get_all_start_methods()
    ways: Ways = {}
    with ExitStack() as stack:
        for name in ["thread", *methods, *["forkserver, preload"] * ("forkserver" in methods)]:
            # Each in a program of its own: a program has one fork server, and children import its main file.
            code = f"from mpdemos import measure; measure._start_when_told({name!r}, {module!r})"
            command = [sys.executable, "-c", code]
            program = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
            ways[name] = partial(_tell, stack.enter_context(program))
            ways[name]()  # so the fork server is there
        yield ways


def _tell(program: Any) -> float:
    print("start", file=program.stdin, flush=True)
    return float(program.stdout.readline())


def _start_when_told(name: str, module: str) -> None:
    importlib.import_module(module)
    kind, _, preload = name.partition(", ")
    if preload:
        multiprocessing.set_forkserver_preload([module])
    library: Any = threading if kind == "thread" else multiprocessing.get_context(kind)
    make = library.Thread if kind == "thread" else library.Process

    def start_and_join() -> None:
        one = make(target=importlib.import_module, args=(module,))
        one.start()
        one.join()

    for _ in sys.stdin:
        print(repeat(start_and_join, 1), flush=True)
