"""Before the limit: when it is proved that nobody can go on, and when somebody still may."""

import asyncio
import contextlib
import errno
import multiprocessing
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from multiprocessing import connection, synchronize
from types import SimpleNamespace

import psutil
import pytest
import watchworkers
from watchtools import (
    LIMIT,
    METHODS,
    PATIENCE,
    Story,
    last_actions,
    later,
    posix_only,
    script,
    start,
    wait_until,
)

from mpdemos import Stuck, watch
from mpdemos.watch import context, deadlock, guard
from mpdemos.watch import process as watched_process
from mpdemos.watch.deadlock import nobody_can_go_on
from mpdemos.watch.record import handles_signals, recorder


@posix_only
def test_who_has_set_an_alarm_is_waited_for(method):
    with watch(method, limit=60) as mp:
        queue = mp.Queue()
        start(mp, watchworkers.put_at_the_alarm, queue, name="child").join()
    with pytest.raises(TimeoutError, match="took more than 2 seconds"), watch(method, limit=60) as mp:
        signal.setitimer(signal.ITIMER_REAL, 2)
        signal.signal(signal.SIGALRM, watchworkers.give_up)
        mp.Queue().get()


ENOUGH_LOOKS = 5  # a proof takes fewer


def look_often_before(act, key, monkeypatch):
    """Call ``act`` when somebody waits for ``key`` and the guard has looked often; returns the looks."""
    looks, look = [], context.Watch._nobody_can_go_on

    def look_and_act(mp, at_end=False):
        verdict = look(mp, at_end)
        records, _torn = mp._recorder.read()
        if any(record.resource == key and record.action.startswith("waits") for record in records):
            looks.append(verdict)
        if len(looks) == ENOUGH_LOOKS:
            act()
        return verdict

    monkeypatch.setattr(context.Watch, "_nobody_can_go_on", look_and_act)
    return looks


@posix_only
@pytest.mark.parametrize(
    ("whose", "name"),
    [
        *(("the child's", name) for name in ("SIGTERM", "SIGHUP", "SIGQUIT", "SIGUSR1", "SIGUSR2", "SIGINT")),
        ("the parent's", "SIGTERM"),
        ("the parent's", "SIGINT"),
        ("the parent's, at the end of the block", "SIGINT"),
        ("the parent's, at the end of the block", "SIGTERM"),
    ],
)
def test_who_handles_a_signal_is_waited_for(whose, name, monkeypatch):
    number = getattr(signal, name)
    former = signal.getsignal(number)
    looks = look_often_before(
        lambda: os.kill(child.pid if whose == "the child's" else os.getpid(), number), "Queue-1", monkeypatch
    )
    try:
        with watch(limit=PATIENCE) as mp:
            queue = mp.Queue()
            if whose == "the child's":
                child = start(mp, watchworkers.put_at_a_signal, queue, number, name="child")
            else:
                signal.signal(number, lambda *_: queue.put("signal"))
                child = start(mp, watchworkers.get, queue, name="child")
            if "end" not in whose:
                child.join()
    finally:
        signal.signal(number, former)
    assert len(looks) >= ENOUGH_LOOKS


SENDS_LATER = """
import os, sys
token, writer = map(int, sys.argv[1:])
os.read(token, 1)
os.write(writer, b"\\0\\0\\0\\3now")
"""


def start_program(reader, writer, told):
    fds = told.fileno(), writer.fileno()
    with subprocess.Popen([sys.executable, "-c", SENDS_LATER, *map(str, fds)], pass_fds=fds):
        assert reader.recv_bytes() == b"now"


@posix_only
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
@pytest.mark.parametrize("helper", [watchworkers.receive_from_a_copy, start_program])
def test_who_was_not_started_by_multiprocessing_may_still_help(helper, monkeypatch):
    told, tell = multiprocessing.Pipe(duplex=False)
    looks = look_often_before(lambda: tell.send_bytes(b"now"), "Pipe-1", monkeypatch)
    with watch(limit=PATIENCE) as mp, told, tell:
        helper(*mp.Pipe(duplex=False), told)
    assert len(looks) >= ENOUGH_LOOKS


@posix_only
def test_a_copy_of_a_child_may_still_help(method, monkeypatch):
    told, tell = multiprocessing.get_context(method).Pipe(duplex=False)
    looks = look_often_before(lambda: tell.send_bytes(b"now"), "Pipe-1", monkeypatch)
    with watch(method, limit=PATIENCE) as mp, told, tell:
        start(mp, watchworkers.receive_from_a_copy, *mp.Pipe(duplex=False), told, name="child").join()
    assert len(looks) >= ENOUGH_LOOKS


@posix_only
@pytest.mark.parametrize("who", ["older than the block", "dead, and nobody has asked for its exit code"])
def test_who_cannot_help_is_not_waited_for(who, monkeypatch):
    program = "input()" if who.startswith("older") else ""
    with subprocess.Popen([sys.executable, "-c", program], stdin=subprocess.PIPE) as other:
        if who.startswith("older"):
            monkeypatch.setattr(deadlock, "_YOUNG", -1000)
        else:
            wait_until(lambda: psutil.Process(other.pid).status() == psutil.STATUS_ZOMBIE)
        with pytest.raises(Stuck, match="Nobody can go on"), watch(limit=PATIENCE) as mp:
            mp.Queue().get()


@pytest.mark.parametrize("where", ["in the block", "at its end"])
def test_a_thread_that_is_older_than_the_block_may_still_help(where, monkeypatch):
    told = threading.Event()
    looks = look_often_before(told.set, "Queue-1", monkeypatch)
    with ThreadPoolExecutor(1) as crew, contextlib.ExitStack() as leaving:
        crew.submit(abs, 0).result()
        leaving.callback(told.set)
        with watch(limit=PATIENCE) as mp:
            queue = mp.Queue()
            crew.submit(lambda: told.wait() and queue.put("now"))
            child = start(mp, watchworkers.get, queue, name="child")
            if where == "in the block":
                child.join()
    assert len(looks) >= ENOUGH_LOOKS


ASKS_WHILE_GARBAGE_IS_DUE = """
import gc, os, threading, time
from mpdemos.watch.deadlock import frames_of_threads

class LetsOthersRun:
    def __init__(self):
        self.itself = self

    def __del__(self):
        time.sleep(0.001)

def start_others():
    while True:
        other = threading.Thread(target=int)
        other.start()
        other.join()

for work in (start_others, start_others, *[lambda: time.sleep(1000)] * 6):
    threading.Thread(target=work, daemon=True).start()
for times in range(120):
    gc.set_threshold(0)
    gc.collect(0)
    LetsOthersRun()
    gc.set_threshold(gc.get_count()[0] + times % 12)
    assert len(frames_of_threads()) > 6
assert gc.isenabled()
os._exit(0)
"""


def test_what_threads_run_is_asked_without_a_deadlock_of_pythons_own(tmp_path):
    """Python 3.11 gets into one if it collects garbage meanwhile; the guard would hang with the block."""
    command = [sys.executable, str(script(tmp_path, ASKS_WHILE_GARBAGE_IS_DUE))]
    assert subprocess.run(command, timeout=PATIENCE).returncode == 0


FORKS_WHILE_A_THREAD_ASKS = """
import gc, os, signal, threading
from mpdemos.watch.deadlock import frames_of_threads

def ask():
    while True:
        frames_of_threads()

threading.Thread(target=ask, daemon=True).start()
for _ in range(100):
    child = os.fork()
    if not child:
        signal.alarm(30)  # the end of one that waits for ever
        frames_of_threads()
        os._exit(not gc.isenabled())
    if os.waitpid(child, 0)[1]:
        os._exit(1)
os._exit(0)
"""


@posix_only
def test_who_is_forked_while_a_thread_asks_can_ask_too_and_collects_garbage(tmp_path):
    command = [sys.executable, str(script(tmp_path, FORKS_WHILE_A_THREAD_ASKS))]
    assert subprocess.run(command, timeout=PATIENCE).returncode == 0


def test_who_handles_ctrl_c_since_before_the_block_is_waited_for():
    former = signal.signal(signal.SIGINT, lambda *_: None)
    try:
        with watch():
            assert handles_signals()
    finally:
        signal.signal(signal.SIGINT, former)
    with watch():
        assert not handles_signals()


def test_an_event_loop_in_an_older_thread_may_still_help(monkeypatch):
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    told = asyncio.Event()
    looks = look_often_before(lambda: loop.call_soon_threadsafe(told.set), "Queue-1", monkeypatch)

    async def put_when_told(queue):
        await told.wait()
        queue.put("now")

    try:
        with watch(limit=PATIENCE) as mp:
            queue = mp.Queue()
            asyncio.run_coroutine_threadsafe(put_when_told(queue), loop)
            start(mp, watchworkers.get, queue, name="child").join()
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()
    assert len(looks) >= ENOUGH_LOOKS


def test_a_timer_that_is_older_than_the_block_may_still_help(monkeypatch):
    main, timer = threading.get_ident(), threading.Timer(PATIENCE, print)
    timer.start()
    threads = [threading.current_thread(), timer]
    monkeypatch.setattr(threading, "enumerate", lambda: threads)
    frames = {number: sys._current_frames()[number] for number in (main, timer.ident)}
    monkeypatch.setattr(sys, "_current_frames", lambda: frames)
    helps = deadlock.a_thread_may_help(main)
    threads.remove(timer)
    helps_as_another_thread = deadlock.a_thread_may_help(main)
    timer.cancel()
    timer.join()
    assert helps
    assert not helps_as_another_thread


def test_a_thread_that_a_child_has_since_its_imports_may_still_help(monkeypatch, tmp_path):
    over = threading.Event()
    thread = threading.Thread(target=over.wait)
    thread.start()
    monkeypatch.setattr(threading, "enumerate", lambda: [threading.current_thread(), thread])
    may_help = recorder(str(tmp_path)).has_other_threads()
    over.set()
    thread.join()
    assert may_help


fork_only = pytest.mark.skipif("fork" not in multiprocessing.get_all_start_methods(), reason="needs fork")


@fork_only
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
@pytest.mark.parametrize("how", ["terminate", "at the limit", "at the end of the block"])
def test_a_child_that_becomes_another_program_is_ended(how):
    """Its sentinel says that it has ended: nothing that `os.exec` starts has its files."""
    reader, writer = multiprocessing.Pipe(duplex=False)
    ends = contextlib.nullcontext() if how == "terminate" else pytest.raises(Stuck)
    with reader, writer, ends, watch("fork", limit=LIMIT if "limit" in how else 3) as mp:
        child = start(mp, watchworkers.become_another_program, writer, name="child")
        reader.recv_bytes()
        if how == "terminate":
            child.terminate()
        if how != "at the end of the block":
            child.join()
    assert child.exitcode == -(signal.SIGTERM if how == "terminate" else signal.SIGKILL)
    assert "before its function returned" not in mp.explain()


@posix_only
@pytest.mark.parametrize("method", [m for m in multiprocessing.get_all_start_methods() if m != "forkserver"])
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_children_that_the_program_reaps_itself_are_not_waited_for(method):
    former = signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    try:
        with watch(method, limit=PATIENCE) as mp:
            children = [start(mp, watchworkers.nothing, name=f"child-{n}") for n in range(3)]
    finally:
        signal.signal(signal.SIGCHLD, former)
    assert [child.exitcode for child in children] == [None] * 3  # as without watch
    assert multiprocessing.active_children() == []  # not so without it
    assert mp._guard.left() > 0


@posix_only
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_child_that_closes_all_its_files_is_alive_and_its_files_are_its_own(method, tmp_path, monkeypatch):
    """Its sentinel says that it has ended; and what watch writes must not get into the next file."""
    gate = multiprocessing.get_context(method).Event()
    looks = look_often_before(gate.set, "Event-1", monkeypatch)
    with watch(method, limit=PATIENCE) as mp:
        lock, done = mp.Lock(), mp.Event()
        work = watchworkers.close_all_files_and_write
        child = start(mp, work, tmp_path / "own", lock, gate, done, name="child")
        done.wait()
        child.join()
    assert len(looks) >= ENOUGH_LOOKS
    assert (tmp_path / "own").read_text() == "a line\n" * 3
    assert "It ended with exit code 0." in mp.explain()


@posix_only
def test_a_child_that_has_opened_other_files_is_no_orphan(monkeypatch):
    """One of them may have got the number of its parent's sentinel, and be ready."""
    waited, ended = [], []
    reader, writer = multiprocessing.Pipe(duplex=False)
    with reader, writer, monkeypatch.context() as patch:
        patch.setattr(watched_process, "active_children", list)
        patch.setattr(watched_process, "_LAST_WORDS", 0)
        patch.setattr(watched_process.os, "_exit", ended.append)
        patch.setattr(watched_process.connection, "wait", waited.extend)
        patch.setattr(
            watched_process.threading, "Thread", lambda target, **_options: SimpleNamespace(start=target)
        )
        watched_process._die_with_parent(reader.fileno())
        (copy,) = waited
        assert copy != reader.fileno()
        assert os.path.sameopenfile(copy, reader.fileno())
        os.close(copy)
    assert ended == [watched_process._ORPHANED]


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_the_main_thread_may_still_help_a_block_of_another_thread(monkeypatch):
    told, gates = threading.Event(), []
    looks = look_often_before(told.set, "Event-1", monkeypatch)

    def block():
        with contextlib.ExitStack() as leaving:
            leaving.callback(told.set)
            with watch(limit=PATIENCE) as mp:
                gates.append(mp.Event())
                start(mp, watchworkers.wait_for, gates[0], name="guest")

    thread = threading.Thread(target=block)
    thread.start()
    told.wait()
    if len(looks) >= ENOUGH_LOOKS:  # else a guest that was killed would never hear of it
        gates[0].set()
    thread.join()
    assert len(looks) >= ENOUGH_LOOKS


def test_where_the_system_does_not_answer_nothing_is_proved(monkeypatch):
    def fails(*_args, **_options):
        raise OSError(errno.EMFILE, "Too many open files")

    with watch() as mp:
        assert mp._others_may_help() is False
        with monkeypatch.context() as full:
            full.setattr(psutil.Process, "children", fails)
            assert mp._others_may_help() is True


@pytest.mark.parametrize("older", [True, False])
def test_at_the_limit_who_may_still_help_is_not_said_to_be_nobody(older):
    told = threading.Event()
    with ThreadPoolExecutor(1) as crew, contextlib.ExitStack() as leaving:
        leaving.callback(told.set)
        if older:
            crew.submit(lambda: told.wait())
        with pytest.raises(Stuck) as caught, watch(limit=LIMIT) as mp:
            mp.Queue().get()
    assert ("nobody who could put is alive or awake" in str(caught.value)) is not older


@pytest.mark.parametrize("path", [queue.__file__, os.path.join("lib", "site-packages", "server", "serve.py")])
def test_a_thread_that_is_none_of_the_program_is_not_waited_for(path):
    code = {}
    exec(compile("def serve(over): over.wait()", path, "exec"), code)
    over = threading.Event()
    thread = threading.Thread(target=code["serve"], args=(over,))
    thread.start()
    try:
        with pytest.raises(Stuck, match="Nobody can go on"), watch(limit=PATIENCE) as mp:
            mp.Queue().get()
    finally:
        over.set()
        thread.join()


def test_trackers_removers_and_fork_servers_do_not_help(method, monkeypatch):
    monkeypatch.setattr(deadlock, "_YOUNG", 1e9)  # as if they had been started in the block
    with pytest.raises(Stuck, match="Nobody can go on"), watch(method, limit=PATIENCE) as mp:
        queue = mp.Queue()
        start(mp, watchworkers.get, queue, name="child").join()


def test_a_proved_deadlock_is_ended_before_the_limit(method):
    with pytest.raises(Stuck) as caught, watch(method, limit=60) as mp:
        a, b, both = mp.Lock(), mp.Lock(), mp.Barrier(2)
        children = [
            start(mp, watchworkers.take_both, a, b, both, name="teller-1"),
            start(mp, watchworkers.take_both, b, a, both, name="teller-2"),
        ]
        for child in children:
            child.join()
    text = str(caught.value)
    assert text.startswith("Nobody can go on: every process waits for another one.\n")
    assert ": a deadlock." in text


@pytest.mark.parametrize(
    ("kind", "size", "hang", "way_out"),
    [
        ("Lock", 1, [("main", "acquired"), ("p", "waits", "acquire")], [("main", "released")]),
        ("Semaphore", 1, [("main", "acquired"), ("p", "waits", "acquire")], [("main", "released")]),
        ("Event", 0, [("p", "waits", "set")], [("main", "set")]),
        (
            "Condition",
            1,
            [("p", "acquired"), ("p", "waits", "notify"), ("p", "released")],
            [("main", "notifies")],
        ),
        ("Queue", 0, [("p", "waits", "get")], [("main", "put")]),
        ("Queue", 1, [("main", "put"), ("p", "waits", "put")], [("main", "got", "1-1")]),
        ("Barrier", 2, [("p", "waits", "the others")], [("main", "waits", "the others"), ("main", "passed")]),
        ("Pipe", 0, [("p", "waits", ["receive", 0])], [("main", "waits", ["send", 1])]),
        ("Pipe", 0, [("p", "waits", ["receive", 0])], [("main", "closed", 1)]),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_proves_that_nobody_can_go_on_and_what_does_not(kind, size, hang, way_out):
    for steps, proved in ((hang, True), (hang + way_out, False)):
        story = Story()
        story.meet("p")
        story.make("Thing-1", kind, size)
        for who, action, *detail in steps:
            story.note("MainProcess" if who == "main" else who, action, "Thing-1", *detail)
        assert not nobody_can_go_on(story.history()), "the parent is not waiting yet"
        story.note("MainProcess", "waits", "", ["join", story.pids["p"]])
        assert nobody_can_go_on(story.history()) is proved


@pytest.mark.parametrize(
    ("steps", "proved"),
    [
        ("main notifies 1, late waits", True),  # nobody was there to hear it
        ("main notifies all, late waits", True),
        ("late waits, main notifies 0", True),
        ("late waits, main notifies 1", False),
        ("late waits, main notifies all", False),
        ("p waits, late waits, main notifies 1, p notified, p waits", True),
        ("p waits, late waits, main notifies 2, p notified, p waits", False),
        ("p waits, late waits, main notifies all, p notified, p waits", False),
        ("p waits, main notifies all, late waits, p notified, p waits", True),
        ("p waits, main notifies 3, p notified, p waits, late waits", True),
        ("p waits for now, p gave up, late waits, main notifies 1, p waits", False),
        ("p waits for now, main notifies 1, p gave up, p waits, late waits", True),
    ],
)
def test_a_notification_reaches_only_who_waits_already(steps, proved):
    story = Story()
    story.make("Condition-1", "Condition", 1)
    story.meet("late")
    if "p " in steps:
        story.meet("p")
    for step in steps.split(", "):
        who, action = step.split(" ", 1)
        if who == "main":
            many = action.removeprefix("notifies ")
            story.note("MainProcess", "notifies", "Condition-1", int(many) if many.isdigit() else many)
        else:
            story.note(who, action, "Condition-1", "notify")
    story.note("MainProcess", "waits", "", ["join", story.pids["late"]])
    assert nobody_can_go_on(story.history()) is proved


def test_a_notification_of_another_condition_wakes_nobody_here():
    story = Story()
    story.meet("late")
    for key in ("Condition-1", "Condition-2"):
        story.make(key, "Condition", 1)
    story.note("late", "waits", "Condition-1", "notify")
    story.note("MainProcess", "notifies", "Condition-2", 1)
    story.note("MainProcess", "waits", "", ["join", story.pids["late"]])
    assert nobody_can_go_on(story.history())


@pytest.mark.parametrize(
    ("before", "proved"),
    [([], True), (["set"], False), (["set", "cleared"], True), (["cleared", "set"], False)],
)
def test_who_waits_for_an_event_that_is_set_goes_on(before, proved):
    story = Story()
    story.meet("late")
    story.make("Event-1", "Event")
    for action in before:
        story.note("MainProcess", action, "Event-1")
    story.note("late", "waits", "Event-1", "set")
    story.note("MainProcess", "waits", "", ["join", story.pids["late"]])
    assert nobody_can_go_on(story.history()) is proved


def test_an_end_that_the_guard_notes_late_is_no_news():
    story = Story()
    for name in ("writer", "reader"):
        story.meet(name)
    story.make("Pipe-1", "Pipe")
    story.note("MainProcess", "reaps", detail={"pid": story.pids["writer"], "exitcode": 0})
    story.note("reader", "waits", "Pipe-1", ["receive", 0])
    story.note("MainProcess", "sees the end of", detail={"pid": story.pids["writer"]})
    story.note("MainProcess", "waits", "", ["join", story.pids["reader"]])
    assert nobody_can_go_on(story.history())


def test_a_wait_with_a_timeout_proves_nothing():
    story = Story()
    story.meet("p")
    story.make("Event-1", "Event")
    story.note("p", "waits for now", "Event-1", "set")
    story.note("MainProcess", "waits", "", ["join", story.pids["p"]])
    assert not nobody_can_go_on(story.history())


def test_who_has_done_everything_needs_time_to_leave():
    """On a busy machine a child takes a while between its last record and its end."""
    story = Story()
    story.meet("p")
    story.note("p", "returned")
    story.note("p", "ended", detail={"lost": 0})
    assert not nobody_can_go_on(story.history(), without_parent=True)


def test_a_record_with_a_gap_proves_nothing():
    story = Story()
    story.meet("p")
    story.make("Event-1", "Event")
    story.note("p", "waits", "Event-1", "set")
    assert nobody_can_go_on(story.history(), without_parent=True)
    assert not nobody_can_go_on(story.history(torn=1), without_parent=True)


@pytest.mark.parametrize(
    ("before", "after", "proved"),
    [
        (["writer"], [], True),
        ([], ["writer"], False),  # the reader may see the end of the pipe
        (["writer"], ["reader"], False),  # the join returns
    ],
)
def test_the_end_of_a_process_may_be_the_end_of_a_pipe_or_of_a_join(before, after, proved):
    story = Story()
    for name in ("writer", "reader"):
        story.meet(name)
    story.make("Pipe-1", "Pipe")
    for name in before:
        story.end(name)
    story.note("reader", "waits", "Pipe-1", ["receive", 0])
    for name in after:
        story.end(name)
    story.note("MainProcess", "waits", "", ["join", story.pids["reader"]])
    assert nobody_can_go_on(story.history()) is proved


def test_the_end_of_a_child_that_nobody_joins_is_seen():
    with pytest.raises(Stuck, match="Nobody can go on"), watch(limit=PATIENCE) as mp:
        start(mp, watchworkers.leave_at_once, 1, name="cook")
        mp.Queue().get()


def test_what_is_missing_in_a_torn_record_may_wake_somebody_up():
    story = Story()
    story.note("MainProcess", "waits", "Event-1", "set")
    assert nobody_can_go_on(story.history())
    assert not nobody_can_go_on(story.history(torn=1))


@pytest.mark.parametrize("portion", [2, 100])
def test_any_number_of_things_is_waited_for(portion, monkeypatch):
    """Windows waits for 63 things at a time, before Python 3.13."""
    monkeypatch.setattr(guard, "_MOST_AT_ONCE", portion)
    pipes = [multiprocessing.Pipe(duplex=False) for _ in range(5)]
    readers = [reader for reader, _writer in pipes]
    assert guard.wait_for_any(readers, 0.05) == []
    pipes[4][1].send_bytes(b"x")
    assert guard.wait_for_any(readers, None) == [readers[4]]
    for end in (end for ends in pipes for end in ends):
        end.close()


def test_looking_for_a_deadlock_reaps_no_child():
    """Two threads that wait for one child: the slower one would take it for alive, and lose its exit code."""
    with watch(limit=PATIENCE) as mp:
        second = start(mp, time.sleep, 0.7, name="second")
        first = start(mp, watchworkers.nothing, name="first")  # last: each start reaps whoever has ended
        second.join()
        assert first._popen.returncode is None


# Whoever may still wake up is waited for. A stopped process stands for one that a busy machine does not run.


def wake_by_release(mp):
    lock = mp.Lock()
    lock.acquire()
    return watchworkers.hold_once, (lock,), lock.release


def wake_by_semaphore(mp):
    semaphore = mp.Semaphore(1)
    semaphore.acquire()
    return watchworkers.hold_once, (semaphore,), semaphore.release


def wake_by_set(mp):
    event = mp.Event()
    return watchworkers.wait_for, (event,), event.set


def wake_by_put(mp):
    items = mp.Queue()
    return watchworkers.get_all, (items, 1), lambda: items.put(1)


def wake_by_get(mp):
    items = mp.Queue(1)
    items.put(1)
    return watchworkers.produce, (items, [2]), items.get


def wake_by_notify(mp):
    condition = mp.Condition()

    def notify():
        with condition:
            condition.notify()

    return watchworkers.wait_notified, (condition,), notify


def wake_by_coming(mp):
    barrier = mp.Barrier(2)
    return watchworkers.wait_for, (barrier,), barrier.wait


def wake_by_send(mp):
    here, there = mp.Pipe()
    return watchworkers.echo, (there, 1), lambda: here.send(1)


def wake_by_end_of_file(mp):
    reader, writer = mp.Pipe(duplex=False)

    def close():
        reader.close()
        writer.close()

    return watchworkers.receive_until_end, (reader,), close


def wake_by_task_done(mp):
    jobs = mp.JoinableQueue()
    jobs.put(1)
    jobs.get()
    return jobs.join, (), jobs.task_done


WAKERS = [value for name, value in list(globals().items()) if name.startswith("wake_by_")]


def is_in_its_wait(action):
    """Who waits to be notified has the condition's lock until that is noted as released."""
    return action == "released" or (action.startswith("waits") and action != "waits notify")


@posix_only
@pytest.mark.parametrize("wake_by", WAKERS, ids=lambda wake_by: wake_by.__name__)
def test_a_process_that_is_about_to_wake_up_is_waited_for(wake_by, monkeypatch):
    monkeypatch.setattr(context.Watch, "_others_may_help", lambda mp: False)  # as the program below might
    with watch("spawn", limit=PATIENCE) as mp:
        target, args, wake = wake_by(mp)
        child = start(mp, target, *args, name="sleeper")
        wait_until(lambda: is_in_its_wait(last_actions(mp).get("sleeper", "")))
        os.kill(child.pid, signal.SIGSTOP)
        going_on = subprocess.Popen(["sh", "-c", f"sleep 1; kill -CONT {child.pid}"])
        wake()
        child.join()
        going_on.wait()
    assert child.exitcode == 0


@contextlib.contextmanager
def pipe_at_its_end(mp):
    """The end to read from, when the only one who could have sent has ended, before anybody reads."""
    reader, writer = mp.Pipe(duplex=False)
    sender = start(mp, watchworkers.nothing, name="sender")
    sender.join()
    writer.close()
    yield reader
    reader.close()


@pytest.mark.parametrize("method", METHODS)
def test_a_parent_that_is_about_to_read_the_end_of_file_is_waited_for(method, monkeypatch):
    plain = connection.Connection._recv_bytes

    def late(self, *args):
        time.sleep(5 * guard._LOOK)
        return plain(self, *args)

    with watch(method, limit=PATIENCE) as mp, pipe_at_its_end(mp) as reader:
        monkeypatch.setattr(connection.Connection, "_recv_bytes", late)
        with pytest.raises(EOFError):
            reader.recv()


def test_a_parent_that_waits_for_the_processor_is_waited_for(monkeypatch):
    asked = []

    def is_asleep(pid):
        asked.append(pid)
        return pid != os.getpid()

    monkeypatch.setattr(context, "_is_asleep", is_asleep)
    with watch(limit=PATIENCE) as mp:
        event = mp.Event()
        monkeypatch.setattr(synchronize.Event, "wait", lambda *_: wait_until(lambda: os.getpid() in asked))
        assert event.wait()


def test_a_parent_that_reads_the_end_of_file_while_it_is_judged_is_waited_for(monkeypatch):
    plain, judged = connection.Connection._recv_bytes, threading.Event()

    def late(self, *args):
        if threading.current_thread() is threading.main_thread():  # and not the guard's, which judges
            assert judged.wait(PATIENCE)
        return plain(self, *args)

    def judge(history, **how):
        verdict = nobody_can_go_on(history, **how)
        if verdict:
            judged.set()
            wait_until(lambda: mp._recorder.receives is None)
        return verdict

    monkeypatch.setattr(deadlock, "nobody_can_go_on", judge)
    with watch("spawn", limit=PATIENCE) as mp, pipe_at_its_end(mp) as reader:
        monkeypatch.setattr(connection.Connection, "_recv_bytes", late)
        with pytest.raises(EOFError):
            reader.recv()
        time.sleep(guard._LOOK)  # time enough to be interrupted, if the verdict stood


@pytest.mark.parametrize("method", METHODS)
def test_a_parent_that_reads_from_a_child_that_is_just_leaving_is_waited_for(method):
    with watch(method, limit=PATIENCE) as mp:
        reader, writer = mp.Pipe(duplex=False)
        start(mp, watchworkers.leave_slowly, writer, 5 * guard._LOOK, name="sender")
        writer.close()
        wait_until(lambda: any(life.clean for life in mp._read().lives.values()))
        with pytest.raises(EOFError):
            reader.recv()


@pytest.mark.skipif(sys.platform != "linux", reason="only there is it known who waits for the processor")
@pytest.mark.parametrize("method", METHODS)
def test_a_child_that_is_about_to_read_the_end_of_file_is_waited_for(method):
    with watch(method, limit=PATIENCE) as mp, pipe_at_its_end(mp) as reader:
        closed = mp.Event()
        child = start(mp, watchworkers.read_end_of_file_late, reader, closed, 5 * guard._LOOK, name="late")
        reader.close()
        closed.set()
        child.join()
    assert child.exitcode == 0


@pytest.mark.parametrize("method", METHODS)
def test_a_process_that_waits_for_an_unwatched_one_is_waited_for(method):
    with watch(method, limit=PATIENCE) as mp:
        event = mp.Event()
        child = start(mp, watchworkers.wait_for_own_child, event, method, name="middle")
        child.join()
    assert child.exitcode == 0


def test_a_parent_that_waits_for_a_thread_of_its_own_is_waited_for():
    with watch(limit=PATIENCE) as mp:
        event = mp.Event()
        later(event.set)
        assert event.wait() is True


def test_a_parent_that_waits_for_an_unwatched_process_of_its_own_is_waited_for():
    with watch("spawn", limit=PATIENCE) as mp:
        event = mp.Event()
        helper = multiprocessing.get_context("spawn").Process(target=watchworkers.set_later, args=(event,))
        helper.start()
        assert event.wait() is True
        helper.join()


def test_a_parent_that_waits_with_a_timeout_is_waited_for():
    with watch(limit=PATIENCE) as mp:
        assert mp.Event().wait(1) is False
        with pytest.raises(threading.BrokenBarrierError):
            mp.Barrier(2, timeout=1).wait()
