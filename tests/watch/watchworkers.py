"""What the children of these tests run. Spawned ones find it: pytest puts this folder on sys.path."""

import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import suppress
from multiprocessing import Process, connection, util

import psutil


def nothing(*args):
    pass


def square(x):
    return x * x


def same(x):
    return x


def sleep_for_ever():
    """In naps: a signal that comes just before a sleep is heard after it."""
    while True:
        time.sleep(0.2)


def sleep_in(started):
    started.set()
    sleep_for_ever()


def sleep_for_now(started):
    """Sleep for longer than anybody has to wait, and yet end."""
    started.set()
    for _ in range(600):
        time.sleep(0.2)


def sleep_deaf(started):
    """Sleep, and hear neither Ctrl-C nor a polite request to end."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    sleep_in(started)


def sleep_with_child(started):
    """A process that starts one of its own, by the plain library."""
    Process(target=sleep_for_ever, daemon=True).start()
    sleep_in(started)


def start_and_join(mp):
    """A process of a context that is its parent's."""
    child = mp.Process(target=nothing)
    child.start()
    child.join()


def send_wakeup_fd(writer):
    """Send where signals to this process are written to."""
    writer.send(signal.set_wakeup_fd(-1))


# How a child can end


def divide(a, b):
    return a / b


def run_out_of_time(_):
    raise multiprocessing.TimeoutError("my own")


def leave(code):
    sys.exit(code)


def leave_at_once(code):
    os._exit(code)


def kill_itself(*args):
    os.kill(os.getpid(), signal.SIGKILL)
    sleep_for_ever()  # nobody is quicker than SIGKILL


def fail(*args):
    raise RuntimeError("no ink left")


class Clock(Process):
    """A process class that a learner wrote, from the plain library."""

    def __init__(self, interval, ticks, counter, name="clock"):
        super().__init__(name=name)
        self.interval, self.ticks, self.counter = interval, ticks, counter

    def run(self):
        for _ in range(self.ticks):
            time.sleep(self.interval)
            with self.counter.get_lock():
                self.counter.value += 1


class Headstrong(Process):
    """A process class with names and ways of its own, some of which do not return."""

    def __init__(self, gate, ready=None):
        super().__init__(name="server")
        self.gate, self.ready, self.end = gate, ready, 10
        self._end = self._join = self._watch = self._recorder = self._plain = "mine"

    def start(self):
        super().start()
        if self.ready is not None:
            self.ready.wait()
        return "started"

    def run(self):
        self.gate.wait()

    def join(self):
        super().join()
        return "joined"

    def kill(self):
        raise RuntimeError("nobody kills it")


class Explicit(Process):
    """A process class whose methods call those of the library by name."""

    def __init__(self, gate):
        super().__init__(name="server")
        self.gate = gate

    def start(self):
        Process.start(self)

    def run(self):
        self.gate.wait()
        raise ValueError("no ink left")

    def terminate(self):
        Process.terminate(self)

    def close(self):
        Process.close(self)


class Model:
    """What shall not be asked for its repr in another process."""

    def __repr__(self):
        raise AttributeError("cache")

    def __call__(self, x):
        return x + 1

    def predict(self, x):
        return x + 1


def sleep_with_zombie_and_child(started):
    """Neither was started by multiprocessing."""
    subprocess.Popen([sys.executable, "-c", ""], stdin=subprocess.DEVNULL)
    subprocess.Popen([sys.executable, "-c", "import time; time.sleep(1000)"], stdin=subprocess.DEVNULL)
    while psutil.Process().children()[0].status() != psutil.STATUS_ZOMBIE:
        time.sleep(0.01)
    sleep_in(started)


def watch_and_sleep(started):
    from mpdemos import watch

    with watch():
        sleep_in(started)


def give_up(number, frame):
    raise TimeoutError("it took more than 2 seconds")


def become_another_program(told):
    told.send_bytes(b"here")
    os.execv(sys.executable, [sys.executable, "-c", "import time; time.sleep(100)"])


def close_all_files_and_write(path, lock, gate, done):
    os.closerange(3, 256)  # as a daemon does
    files = [os.open(path, os.O_CREAT | os.O_APPEND | os.O_WRONLY) for _ in range(3, 256)]
    gate.wait()
    for file in files[:3]:
        with lock:
            os.write(file, b"a line\n")
    done.set()


def put_at_the_alarm(queue):
    """Wait for what only a handler of this process puts."""
    signal.signal(signal.SIGALRM, lambda *_: queue.put("alarm"))
    signal.setitimer(signal.ITIMER_REAL, 2)
    assert queue.get() == "alarm"


def put_at_a_signal(queue, number):
    """Wait for what only a handler of this process puts."""
    signal.signal(number, lambda *_: queue.put("signal"))
    assert queue.get() == "signal"


def get(queue):
    return queue.get()


def receive_from_a_copy(reader, writer, told):
    """Receive what a copy of this process sends when it is told to."""
    pid = os.fork()
    if not pid:
        told.recv_bytes()
        writer.send_bytes(b"now")
        os._exit(0)
    assert reader.recv_bytes() == b"now"
    os.waitpid(pid, 0)


def fail_when_asked_to_end(ready, gate):
    signal.signal(signal.SIGTERM, lambda *_: None)
    ready.set()
    gate.wait()
    raise ValueError("a real bug")


class AskedToEnd(Exception):
    pass


def _unwind(number, frame):
    raise AskedToEnd


def unwind_when_asked_to_end(ready):
    signal.signal(signal.SIGTERM, _unwind)
    ready.set()
    sleep_for_ever()


def exit_when_asked_to_end(ready):
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    ready.set()
    sleep_for_ever()


def watch_too():
    from mpdemos import watch

    with watch():
        pass


def fail_with_a_note():
    error = ValueError("not a number")
    error.add_note("while reading line 7")
    raise error


# Writing records


def count_records(event, counter):
    """Write a record, then count it, until somebody ends this process."""
    while True:
        event.set()
        counter.value += 1


def work_on_a_full_disk(lock, counter, rounds):
    import resource

    _soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2000, hard))  # in the middle of a line
    for _ in range(rounds):
        with lock:
            counter.value += 1


def fail_where_no_file_can_grow():
    import resource

    _soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4000, hard))  # enough for the record
    raise ValueError("mine")


def use_in_a_thread(lock):
    thread = threading.Thread(target=hold_once, args=(lock,), name='an "odd" näme')
    thread.start()
    thread.join()


# Locks and their kin


def hold_once(lock):
    with lock:
        pass


def hold_in(lock, taken):
    with lock:
        taken.set()


def take_in_turn(lock, rounds, ready):
    ready.wait()
    for _ in range(rounds):
        with lock:
            pass


def meet_inside(lock, inside):
    with lock:
        inside.wait()


def hold_twice(lock):
    with lock, lock:
        pass


def release_wrongly(lock):
    with suppress(ValueError, AssertionError):
        lock.release()


def take_both(first, second, both_have_one):
    with first:
        both_have_one.wait()
        with second:
            pass


def keep(lock, taken):
    lock.acquire()
    taken.set()
    sleep_for_ever()


def take_and_die(lock):
    lock.acquire()
    os._exit(0)


def wait_notified(condition, ready=None):
    with condition:
        if ready is not None:
            ready.release()
        condition.wait()


def wait_for(thing):
    thing.wait()


def set_later(event):
    time.sleep(1)
    event.set()


def wait_for_own_child(event, method):
    """Wait for what a process of its own, started by the plain library, will do."""
    child = multiprocessing.get_context(method).Process(target=set_later, args=(event,))
    child.start()
    event.wait()
    child.join()


def make_own(context, answer):
    """What a child finds when it is given the context itself."""
    lock = context.Lock()
    answer.send((type(context).__name__, context.get_start_method(), type(lock).__module__))


# Messages


def produce(queue, items):
    for item in items:
        queue.put(item)


def consume(queue):
    while queue.get() is not None:
        pass


def get_all(queue, count):
    for _ in range(count):
        queue.get()


def get_and_finish(queue, count):
    for _ in range(count):
        queue.get()
        queue.task_done()


def echo(connection, count):
    for _ in range(count):
        connection.send(connection.recv())


def echo_through(connection):
    """Receive a connection, and echo what comes through that one."""
    echo(connection.recv(), 1)


def send_all(connection, items):
    for item in items:
        connection.send(item)


def receive_until_end(connection):
    with suppress(EOFError):
        while True:
            connection.recv()


def hang_up_and_die(connection):
    """Be dead to the pipe a moment before the sentinel is ready, as any killed process may be."""
    connection.close()
    time.sleep(0.2)
    os._exit(7)


def hang_up(connection):
    connection.close()
    sleep_for_ever()


def send_bytes(connection, size):
    connection.send_bytes(bytes(size))


# Pools


class Unreadable:
    """Can be pickled, cannot be unpickled."""

    def __reduce__(self):
        return fail, ()


def add_one(counter):
    with counter.get_lock():
        counter.value += 1


def give_unreadable(x):
    return Unreadable()


def die_on_three(x):
    if x == 3:
        kill_itself()
    return x


# Memory


def tell_memory(answer, things, few, many):
    """Tell how many bytes Python has in use after few events, and after many of each kind."""
    import gc
    import tracemalloc

    lock, event, queue, (here, there) = things
    tracemalloc.start()
    for rounds in (few, many):
        for _ in range(rounds):
            with lock:
                event.set()
            event.clear()
            queue.put(1)
            queue.get()
            here.send(1)
            there.recv()
        gc.collect()
        answer.send(tracemalloc.get_traced_memory()[0])


def read_end_of_file_late(reader, closed, seconds):
    """Use the processor between the note of a wait and the wait itself, as one does that does not get it."""
    plain = connection.Connection._recv_bytes

    def late(self, *args):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            pass
        return plain(self, *args)

    closed.wait()
    connection.Connection._recv_bytes = late
    try:
        reader.recv()
    except EOFError:
        return
    raise AssertionError("somebody still has the other end")


def leave_slowly(line, seconds):
    """Be there, with an open pipe, for a while after the last record, as one does that gets no processor."""
    util.Finalize(None, time.sleep, (seconds,), exitpriority=-2000)
