"""Promise 1: a watched context can stand wherever a plain one stood."""

import inspect
import multiprocessing
import pickle
import queue
import sys
import threading
from multiprocessing import connection, context, managers, pool, process, queues, reduction, synchronize

import pytest
import watchworkers
from watchtools import METHODS

from mpdemos import watch

NAMES = [name for name in dir(context.BaseContext) if not name.startswith("_")]


@pytest.fixture(params=["plain", "watched"])
def either(request):
    """The plain context and the watched one, so that what is said of one is said of both."""
    if request.param == "plain":
        yield multiprocessing.get_context("spawn")
    else:
        with watch("spawn") as mp:
            yield mp


@pytest.fixture
def both():
    with watch("spawn") as mp:
        yield multiprocessing.get_context("spawn"), mp


# Names and signatures


def parameters(function):
    return [(p.name, p.kind, p.default) for p in inspect.signature(function).parameters.values()]


@pytest.mark.parametrize("name", NAMES)
def test_every_name_has_the_same_signature(name, both):
    plain, watched = (getattr(context, name) for context in both)
    assert callable(plain) == callable(watched)
    if inspect.isroutine(plain):
        assert parameters(plain) == parameters(watched)
    elif inspect.isclass(plain):
        assert plain is watched


def test_the_process_class_has_the_same_names_and_signatures(both):
    plain, watched = (context.Process for context in both)
    assert parameters(plain) == parameters(watched)
    assert watched.__name__ == plain.__name__
    assert issubclass(watched, plain)
    for name in dir(plain):
        if not name.startswith("_") and inspect.isroutine(getattr(plain, name)):
            assert parameters(getattr(plain, name)) == parameters(getattr(watched, name)), name


def test_the_context_says_how_it_starts_processes(method):
    with watch(method) as mp:
        plain = multiprocessing.get_context(method)
        assert mp.get_start_method() == plain.get_start_method() == method
        assert mp.get_context() is mp
        assert type(mp.get_context("spawn")) is type(plain.get_context("spawn"))
        for context_ in (mp, plain):
            with pytest.raises(ValueError, match="cannot set start method of concrete context"):
                context_.set_start_method(method)


# What the factories make

FACTORIES = {
    "Lock": (),
    "RLock": (),
    "Semaphore": (2,),
    "BoundedSemaphore": (2,),
    "Condition": (),
    "Event": (),
    "Barrier": (2,),
    "Queue": (3,),
    "JoinableQueue": (3,),
    "SimpleQueue": (),
    "Value": ("i", 7),
    "Array": ("i", [1, 2]),
    "RawValue": ("i", 7),
    "RawArray": ("i", [1, 2]),
}
CLASSES = {
    "Lock": synchronize.Lock,
    "RLock": synchronize.RLock,
    "Semaphore": synchronize.Semaphore,
    "BoundedSemaphore": synchronize.BoundedSemaphore,
    "Condition": synchronize.Condition,
    "Event": synchronize.Event,
    "Barrier": synchronize.Barrier,
    "Queue": queues.Queue,
    "JoinableQueue": queues.JoinableQueue,
    "SimpleQueue": queues.SimpleQueue,
}


@pytest.mark.parametrize("name", FACTORIES)
def test_what_a_factory_makes_is_of_the_same_kind(name, both):
    plain, watched = (getattr(context, name)(*FACTORIES[name]) for context in both)
    if name in CLASSES:
        assert type(plain) is CLASSES[name]
        assert isinstance(watched, CLASSES[name])
        assert type(watched).__name__ == type(plain).__name__
    else:
        assert type(watched) is type(plain)
    names = {name for name in dir(plain) if not name.startswith("_")}
    assert names <= set(dir(watched))
    for name in names:
        ours, theirs = getattr(type(watched), name, None), getattr(type(plain), name, None)
        if inspect.isfunction(ours) and inspect.isfunction(theirs):
            assert parameters(ours) == parameters(theirs), name


def test_a_pipe_is_two_connections(either):
    for duplex in (True, False):
        reader, writer = either.Pipe(duplex)
        with reader, writer:
            assert all(isinstance(end, type(connection.Pipe()[0])) for end in (reader, writer))
            assert (reader.writable, writer.readable) == (duplex, duplex)


def test_a_pool_and_a_manager_are_the_libraries_own(either):
    with either.Pool(1) as workers, either.Manager() as manager:
        assert isinstance(workers, pool.Pool)
        assert isinstance(manager, managers.SyncManager)
        shared = manager.list([1])
        shared.append(2)
        assert list(shared) == [1, 2]
        assert manager.Lock().acquire() is True


@pytest.mark.parametrize("name", ["Lock", "RLock", "Semaphore", "BoundedSemaphore", "Condition"])
def test_representations_are_the_same(name, both):
    shown = []
    for context_ in both:
        thing = getattr(context_, name)()
        before = repr(thing)
        with thing:
            shown.append((before, repr(thing)))
    assert shown[0] == shown[1]


# What they return and raise


def test_locks_return_what_locks_return(either):
    for lock in (either.Lock(), either.RLock(), either.Semaphore(1), either.BoundedSemaphore(1)):
        assert lock.acquire() is True
        assert lock.release() is None
        assert lock.acquire(block=False) is True
        lock.release()
        assert lock.acquire(True, 5) is True
        lock.release()
        with lock as entered:
            assert entered is True
    lock = either.Lock()
    lock.acquire()
    assert lock.acquire(False) is False
    assert lock.acquire(timeout=0.01) is False
    assert lock.acquire(timeout=-1) is False
    semaphore = either.Semaphore(2)
    semaphore.acquire()
    if sys.platform != "darwin":
        assert semaphore.get_value() == 1
    if hasattr(synchronize.Lock, "locked"):
        assert lock.locked() is True
        lock.release()
        assert lock.locked() is False


def test_locks_refuse_what_locks_refuse(either):
    with pytest.raises(ValueError, match="released too many times"):
        either.Lock().release()
    with pytest.raises(AssertionError, match="attempt to release recursive lock not owned by thread"):
        either.RLock().release()
    with pytest.raises(ValueError, match="released too many times"):
        either.BoundedSemaphore(1).release()
    with pytest.raises(TypeError):
        either.Lock().acquire("block", 1, 2, 3)
    with pytest.raises(AssertionError, match="lock is not owned"):
        either.Condition().notify()
    with pytest.raises(AssertionError, match="must acquire"):
        either.Condition().wait(0)


def test_an_event_a_condition_and_a_barrier_return_what_they_return(either):
    event = either.Event()
    assert event.wait(0.01) is False
    assert event.set() is None
    assert event.wait() is True
    assert event.is_set() is True
    assert event.clear() is None
    assert event.is_set() is False
    lock = either.Lock()
    for condition in (either.Condition(), either.Condition(lock)):
        with condition as entered:
            assert entered is True
            assert condition.wait(0.01) is False
            assert condition.wait_for(lambda: 7, 0.01) == 7
            assert condition.notify_all() is None
    called = []
    barrier = either.Barrier(1, lambda: called.append(1), 5)
    assert barrier.wait() == 0
    assert (barrier.parties, barrier.n_waiting, barrier.broken, called) == (1, 0, False, [1])
    barrier.abort()
    with pytest.raises(threading.BrokenBarrierError):
        barrier.wait()


def test_queues_return_and_refuse_what_queues_do(either):
    items = either.Queue(1)
    assert items.put("a") is None
    with pytest.raises(queue.Full):
        items.put("b", block=False)
    with pytest.raises(queue.Full):
        items.put("b", timeout=0.01)
    assert items.get(timeout=60) == "a"
    with pytest.raises(queue.Empty):
        items.get_nowait()
    with pytest.raises(queue.Empty):
        items.get(True, 0.01)
    items.close()
    with pytest.raises(ValueError, match="is closed"):
        items.put("c")
    jobs = either.JoinableQueue()
    jobs.put([1, {"b": 2}])
    assert jobs.get() == [1, {"b": 2}]
    assert jobs.task_done() is None
    assert jobs.join() is None
    with pytest.raises(ValueError, match=r"task_done\(\) called too many times"):
        jobs.task_done()
    simple = either.SimpleQueue()
    assert simple.empty() is True
    assert simple.put(None) is None
    assert simple.get() is None
    simple.close()


def test_an_item_that_cannot_be_pickled_is_dropped_as_ever(either, capfd):
    items = either.Queue()
    items.put(lambda: 0)
    items.put("next")
    assert items.get(timeout=20) == "next"
    assert "pickle" in capfd.readouterr().err


def test_a_pipe_returns_and_raises_what_pipes_do(either):
    here, there = either.Pipe()
    assert here.send({"a": 1}) is None
    assert there.poll(5) is True
    assert there.recv() == {"a": 1}
    here.send_bytes(b"abcdef", 1, 3)
    assert there.recv_bytes() == b"bcd"
    there.send_bytes(b"xyz")
    room = bytearray(5)
    assert here.recv_bytes_into(room, 1) == 3
    assert room == b"\0xyz\0"
    assert connection.wait([here, there], 0) == []
    here.close()
    with pytest.raises(EOFError):
        there.recv()
    with pytest.raises(OSError, match="closed"):
        here.send(1)
    there.close()
    reader, writer = either.Pipe(duplex=False)
    with reader, writer, pytest.raises(OSError, match="write-only"):
        writer.recv()


def test_a_process_answers_what_processes_answer(method):
    for kind in ("plain", "watched"):
        context_ = multiprocessing.get_context(method) if kind == "plain" else watch(method, check=False)
        with context_ if kind == "watched" else multiprocessing.Pipe()[0]:
            child = context_.Process(target=watchworkers.leave, args=(3,), name="leaver", daemon=True)
            assert (child.exitcode, child.pid, child.is_alive(), child.daemon) == (None, None, False, True)
            assert child.name == "leaver"
            assert "initial" in repr(child)
            with pytest.raises(AssertionError, match="can only join a started process"):
                child.join()
            assert child.start() is None
            with pytest.raises(AssertionError, match="cannot start a process twice"):
                child.start()
            assert child.join() is None
            assert (child.exitcode, child.is_alive()) == (3, False)
            assert "stopped exitcode=3" in repr(child)
            child.close()
            with pytest.raises(ValueError, match="process object is closed"):
                child.join()
            with pytest.raises(ValueError, match="process object is closed"):
                _ = child.exitcode


def test_a_child_that_gets_the_context_gets_the_plain_one(method):
    with watch(method) as mp:
        answer, give = mp.Pipe(duplex=False)
        child = mp.Process(target=watchworkers.make_own, args=(mp, give))
        child.start()
        name, started_by, made = answer.recv()
        child.join()
    if method != "fork":  # a forked child has the very same object
        assert name == type(multiprocessing.get_context(method)).__name__
        assert made == "multiprocessing.synchronize"
    assert started_by == method


# Pickling: what the library refuses is refused, in its own words

PICKLED = [*FACTORIES, "Pipe", "Process", "Pool", "AuthenticationString"]


def pickling_of(context_, name, dumps):
    """How pickling the thing of this name ends: the exception's type and text, or "pickled"."""
    if name == "Pipe":
        thing = context_.Pipe()[0]
    elif name == "Process":
        thing = context_.Process(target=watchworkers.nothing, name="p")
    elif name == "Pool":
        thing = context_.Pool(1)
    elif name == "AuthenticationString":
        thing = process.current_process().authkey
    else:
        thing = getattr(context_, name)(*FACTORIES[name])
    try:
        dumps(thing)
    except Exception as error:
        return type(error), str(error)
    finally:
        if name == "Pool":
            thing.terminate()
    return "pickled"


@pytest.mark.parametrize("name", PICKLED)
@pytest.mark.parametrize("dumps", [pickle.dumps, reduction.ForkingPickler.dumps], ids=["pickle", "forking"])
def test_pickling_outside_of_spawning_ends_in_the_same_way(name, dumps, both):
    plain, watched = (pickling_of(context, name, dumps) for context in both)
    assert plain == watched


def test_what_these_tests_know_of_pickling_is_right(either):
    """The test above compares; this one says what the words are, so that two wrongs cannot agree."""
    kind, text = pickling_of(either, "Lock", pickle.dumps)
    assert kind is RuntimeError
    assert text == "Lock objects should only be shared between processes through inheritance"
    kind, text = pickling_of(either, "Queue", pickle.dumps)
    assert text == "Queue objects should only be shared between processes through inheritance"


def refusals_of(context_, names):
    """What Pool.map says of an argument of each kind."""
    said = {}
    with context_.Pool(1) as workers:
        for name in names:
            thing = getattr(context_, name)(*FACTORIES[name])
            with pytest.raises(RuntimeError) as caught:
                workers.map(watchworkers.nothing, [thing])
            said[name] = str(caught.value)
    return said


@pytest.mark.parametrize("method", METHODS)
def test_pool_map_refuses_the_same_arguments_in_the_same_words(method):
    names = [name for name in FACTORIES if not name.startswith("Raw")]
    plain = refusals_of(multiprocessing.get_context(method), names)
    with watch(method) as mp:
        watched = refusals_of(mp, names)
    assert plain == watched
    assert "through inheritance" in plain["Lock"]
