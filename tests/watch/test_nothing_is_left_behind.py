"""Promise 5: after the block no child is alive and no folder is there, however the block was left.

The fixture `nothing_is_left` looks after every test of this folder; the tests here give it something to find.
"""

import importlib
import os
import signal
import stat
import subprocess
import sys
import threading
import time
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing.managers import SyncManager

import psutil
import pytest
import watchworkers
from leftovers import SHARED
from watchtools import METHODS, PATIENCE, environment, expire_when, posix_only, running, script, wait_until

from mpdemos import Stuck, watch
from mpdemos.watch import context, pools, remover


def gone(pid):
    return not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE


def started_pids(mp):
    return [event.detail["pid"] for event in mp.events if event.action == "starts"]


def test_forgotten_joins(method):
    with watch(method) as mp:
        children = [mp.Process(target=watchworkers.nothing) for _ in range(3)]
        for child in children:
            child.start()
    assert [child.exitcode for child in children] == [0, 0, 0]
    assert all(gone(pid) for pid in started_pids(mp))


def test_a_forgotten_daemon(method):
    with watch(method) as mp:
        started = mp.Event()
        child = mp.Process(target=watchworkers.sleep_in, args=(started,), daemon=True)
        child.start()
        started.wait()
    assert gone(child.pid)


@posix_only
def test_a_forgotten_daemon_that_is_deaf():
    with pytest.raises(Stuck), watch(limit=PATIENCE) as mp:  # or the child may end by itself
        started = mp.Event()
        child = mp.Process(target=watchworkers.sleep_deaf, args=(started,), daemon=True)
        child.start()
        started.wait()
        expire_when(mp, lambda: mp._guard._over)  # when the block is being left
    assert gone(child.pid)


def test_an_open_pool(method):
    with watch(method) as mp:
        pool = mp.Pool(2)
        assert pool.map(watchworkers.square, range(4)) == [0, 1, 4, 9]
    assert len(started_pids(mp)) == 2
    assert all(gone(pid) for pid in started_pids(mp))


def test_a_pool_with_work_left(method):
    with watch(method) as mp:
        pool = mp.Pool(2)
        started = mp.Manager().Event()
        pool.apply_async(watchworkers.sleep_in, (started,))
        started.wait()
    assert all(gone(pid) for pid in started_pids(mp))


def test_a_manager(method):
    with watch(method) as mp:
        numbers = mp.Manager().list([1])
        numbers.append(2)
        assert list(numbers) == [1, 2]
    assert len(started_pids(mp)) == 1
    assert all(gone(pid) for pid in started_pids(mp))


class Counters(SyncManager):
    """A manager that is not made by a factory of the context."""


def test_a_manager_that_was_made_by_its_class(method):
    with watch(method) as mp:
        manager = Counters(ctx=mp)
        manager.start()
        numbers = manager.list([1])
        numbers.append(2)
        assert list(numbers) == [1, 2]
    (pid,) = started_pids(mp)
    assert gone(pid)


LEAVES_A_POOL = """
from multiprocessing.pool import Pool
from mpdemos import watch

if __name__ == "__main__":
    method, how = sys.argv[1:]
    try:
        with watch(method) as mp:
            pool = Pool(2, context=mp)
            print(pool.map(abs, [-3]))
            if how == "by an error":
                raise ZeroDivisionError
    except ZeroDivisionError:
        print(how)
"""


@pytest.mark.parametrize("how", ["at its end", "by an error"])
def test_a_pool_that_was_made_by_its_class(tmp_path, method, how):
    """A program, for its end would wait for ever for the lock of a worker that the watch had just killed."""
    command = [sys.executable, str(script(tmp_path, LEAVES_A_POOL)), method, how]
    done = subprocess.run(
        command, env=environment(tmp_path / "t"), capture_output=True, text=True, timeout=PATIENCE
    )
    told = "[3]\n" if how == "at its end" else "[3]\nby an error\n"
    assert (done.returncode, done.stdout, done.stderr) == (0, told, "")


@pytest.mark.parametrize("how", ["kept", "dropped", "not waited for", "cancelled"])
def test_an_executor_that_is_left_to_itself_finishes(how, method, monkeypatch):
    """No task can end before the block is being left, and each needs a manager for that."""
    with watch(method, limit=None) as mp:
        leaving = mp.Manager().Event()
        most = 1 if how == "kept" and method != "fork" else None  # the library can replace no other worker
        executor = ProcessPoolExecutor(1, mp_context=mp, max_tasks_per_child=most)
        tasks = [executor.submit(watchworkers.wait_for, leaving) for _ in range(8)]
        wait_until(tasks[0].running)
        if how in ("not waited for", "cancelled"):
            executor.shutdown(wait=False, cancel_futures=how == "cancelled")
        elif how == "dropped":
            del executor
        let_finish = mp._let_finish
        monkeypatch.setattr(mp, "_let_finish", lambda: leaving.set() or let_finish())
    assert all(gone(pid) for pid in started_pids(mp))
    assert [task.result(0) for task in tasks if not task.cancelled()]  # which raises what went wrong
    assert tasks[-1].cancelled() == (how == "cancelled")


def test_an_executor_that_cannot_finish_is_ended(method):
    with pytest.raises(Stuck), watch(method) as mp:
        task = ProcessPoolExecutor(1, mp_context=mp).submit(watchworkers.sleep_for_ever)
        wait_until(task.running)
        expire_when(mp, lambda: mp._guard._over)  # when the block is being left
    assert all(gone(pid) for pid in started_pids(mp))
    with pytest.raises(BrokenProcessPool):
        task.result()


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, SystemExit, GeneratorExit])
def test_an_exception_ends_the_children(error, method):
    with pytest.raises(error), watch(method) as mp:
        started = mp.Event()
        mp.Manager()
        mp.Pool(1)
        child = mp.Process(target=watchworkers.sleep_in, args=(started,))
        child.start()
        started.wait()
        raise error
    assert len(started_pids(mp)) == 3
    assert all(gone(pid) for pid in started_pids(mp))


def test_a_watch_that_cannot_be_entered_leaves_nothing():
    with watch() as mp, pytest.raises(RuntimeError, match="used once"):
        mp.__enter__()


def test_a_watch_whose_guard_cannot_start_leaves_nothing(tmp_path, monkeypatch):
    def no_thread(self):
        raise RuntimeError("can't start new thread")

    handler = signal.getsignal(signal.SIGINT)
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", no_thread)
        with pytest.raises(RuntimeError, match="new thread"), (later := watch()):
            pytest.fail("the block was entered")
    assert list(tmp_path.glob("mpdemos-*")) == []
    assert signal.getsignal(signal.SIGINT) is handler
    with pytest.raises(RuntimeError, match="use a watch in a with statement"):
        later.explain()


def test_what_cannot_be_read_keeps_nothing_from_being_put_away(monkeypatch, tmp_path):
    """The fixture looks: the children, the folder, the thread, the handler."""
    with pytest.raises(ZeroDivisionError), watch() as mp:
        monkeypatch.setattr(mp, "_read", lambda: 1 / 0)
        mp.Process(target=watchworkers.sleep_for_ever).start()
        raise ValueError


def test_a_thread_that_is_left_keeps_no_file_open():
    """On Windows the file would keep its folder."""
    with watch() as mp:
        items = mp.Queue()
        items.put("for the feeder thread")  # which lives as long as the queue
        assert stat.S_ISREG(os.fstat(mp._recorder._fd).st_mode)
    assert stat.S_ISCHR(os.fstat(mp._recorder._fd).st_mode)  # nowhere
    mp._recorder.note("this thread writes still")
    items.close()
    items.join_thread()


def test_no_file_stays_open(no_collection):
    """On Windows an open file would keep its folder, too."""
    process = psutil.Process()
    files, numbers = [], []
    for _ in range(3):
        with watch() as mp:
            mp.Lock().acquire()
            folder = os.path.basename(mp._folder)  # on Windows its path has two spellings
            assert [file.path for file in process.open_files() if folder in file.path]
        files.append([file.path for file in process.open_files() if folder in file.path])
        numbers.append(process.num_fds() if os.name == "posix" else 0)  # there psutil shows no removed file
    assert files == [[], [], []]
    assert numbers == numbers[:1] * 3


def test_a_file_that_comes_while_the_folder_is_removed_goes_too(tmp_path, monkeypatch):
    """Of a child that was started too late for the end of the block."""
    rmdir, came = os.rmdir, []

    def rmdir_late(path, **how):
        if os.path.basename(path).startswith("mpdemos-") and not came:
            came.append(tmp_path / os.path.basename(path) / "999-1.jsonl")
            came[0].touch()
        rmdir(path, **how)

    monkeypatch.setattr(os, "rmdir", rmdir_late)
    with watch():
        pass
    assert came
    assert list(tmp_path.glob("mpdemos-*")) == []


def test_a_process_that_never_started_is_no_trouble():
    with watch() as mp:
        mp.Process(target=watchworkers.nothing)
    assert started_pids(mp) == []


def test_ctrl_c_waits_until_the_children_are_ended():
    with pytest.raises(KeyboardInterrupt), watch() as mp:
        started = mp.Event()
        child = mp.Process(target=watchworkers.sleep_in, args=(started,))
        child.start()
        started.wait()
        end_children = mp._end_children

        def end_later():
            signal.raise_signal(signal.SIGINT)
            end_children()

        mp._end_children = end_later
        raise ValueError
    assert gone(child.pid)


def test_a_handler_of_the_program_hears_ctrl_c():
    heard = []
    former = signal.signal(signal.SIGINT, lambda number, frame: heard.append(number))
    try:
        with watch():
            signal.raise_signal(signal.SIGINT)
    finally:
        signal.signal(signal.SIGINT, former)
    assert heard == [signal.SIGINT]


@posix_only
def test_ctrl_c_is_heard_by_a_parent_that_was_about_to_block(method):
    """A signal in the moment before a system call does not cut it short; nor does one to another thread."""
    with pytest.raises(KeyboardInterrupt), watch(method, limit=None) as mp:
        child = sleeper(mp)
        join_and_interrupt(mp, child)
    assert child.exitcode == -signal.SIGKILL  # and not 0: it did not sleep to its end


@posix_only
@pytest.mark.parametrize("inner", ["open", "over"])
def test_ctrl_c_is_heard_within_two_watches(inner):
    with pytest.raises(KeyboardInterrupt), watch(limit=None) as outer:
        with watch(limit=None) as mp:
            if inner == "open":
                child = sleeper(mp)
                join_and_interrupt(mp, child)
        child = sleeper(outer)
        join_and_interrupt(outer, child)
    assert child.exitcode == -signal.SIGKILL


def sleeper(mp):
    started = mp.Event()
    child = mp.Process(target=watchworkers.sleep_for_now, args=(started,))
    child.start()
    started.wait()
    return child


def join_and_interrupt(mp, child):
    threading.Thread(target=interrupt_during_join, args=(mp, child.name)).start()
    child.join()


def interrupt_during_join(mp, name):
    wait_until(lambda: any(event.detail == ["join", name] for event in mp.events))
    signal.pthread_kill(threading.get_ident(), signal.SIGINT)


@posix_only
@pytest.mark.parametrize("when", ["before", "within"])
def test_one_ctrl_c_is_one(when):
    heard = []

    def hear(number, frame):
        heard.append(number)

    former = signal.signal(signal.SIGINT, hear)
    try:
        with watch(limit=None) as mp:
            if when == "within":
                signal.signal(signal.SIGINT, hear)
            looks = []
            look = mp._guard._handler.look
            mp._guard._handler.look = lambda: looks.append(look())
            signal.raise_signal(signal.SIGINT)
            wait_until(lambda: len(looks) > 3)
    finally:
        signal.signal(signal.SIGINT, former)
    assert heard == [signal.SIGINT]


@posix_only
def test_a_signal_to_a_forked_child_is_none_to_its_parent():
    if "fork" not in METHODS:
        pytest.skip("needs fork")
    with watch("fork") as mp:
        reader, writer = mp.Pipe(duplex=False)
        mp.Process(target=watchworkers.send_wakeup_fd, args=(writer,)).start()
        assert reader.recv() == -1


@posix_only
@pytest.mark.parametrize("when", ["before", "within"])
def test_an_event_loop_keeps_its_signals(when):
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    try:
        if when == "before":
            signal.set_wakeup_fd(writer)
        with watch():
            if when == "within":
                signal.set_wakeup_fd(writer)
        assert signal.set_wakeup_fd(-1) == writer
        with watch():
            pass
        assert signal.set_wakeup_fd(-1) == -1
    finally:
        signal.set_wakeup_fd(-1)
        os.close(reader)
        os.close(writer)


# Signals to a whole program

PROGRAM = """
import watchworkers
from mpdemos import watch

def main(method, where):
    with watch(method, limit=None) as mp:
        manager = mp.Manager()
        pool = mp.Pool(1)
        started = [mp.Event() for _ in range(2)]
        children = [
            mp.Process(target=watchworkers.sleep_in, args=(event,), name=f"sleeper-{n}")
            for n, event in enumerate(started)
        ]
        for child in children:
            child.start()
        for event in started:
            event.wait()
        if where == "leaving":
            let_finish = mp._let_finish
            def tell():
                print("ready")
                let_finish()
            mp._let_finish = tell
        else:
            print("ready")
            children[0].join()

if __name__ == "__main__":
    main(*sys.argv[1:])
"""


@posix_only
@pytest.mark.parametrize("everybody", [False, True], ids=["alone", "with children"])
@pytest.mark.parametrize("where", ["inside", "leaving"])
def test_ctrl_c_ends_everything(tmp_path, method, where, everybody):
    with running(script(tmp_path, PROGRAM), method, where) as run:
        run.await_line("ready")
        run.send(signal.SIGINT, everybody)
        code, told = run.end()
        wait_until(lambda: not run.processes())  # the library's helpers need a moment
        assert "KeyboardInterrupt" in told
        assert code == -signal.SIGINT
        assert run.folders() == []


@posix_only
@pytest.mark.parametrize("where", ["inside", "leaving"])
def test_orphans_end_by_themselves(tmp_path, method, where):
    with running(script(tmp_path, PROGRAM), method, where) as run:
        run.await_line("ready")
        # The parent and two sleepers; inside the block also a manager and a pool's worker.
        assert len(run.processes()) >= (5 if where == "inside" else 3)
        assert len(run.folders()) == 1
        run.send(signal.SIGKILL)
        run.wait()
        wait_until(lambda: not run.processes())
        assert run.folders() == []


SEMAPHORES = """
import time
from multiprocessing import synchronize, util
from mpdemos import watch

def main(method):
    with watch(method) as mp:
        kept = mp.Lock(), mp.Event(), mp.Barrier(2), mp.Queue(), mp.Value("i"), mp.Pool(1)
        ends = list(util._finalizer_registry.values())
        print("ready", *[end._args[0] for end in ends if end._callback is synchronize.SemLock._cleanup])
        time.sleep(1000)

if __name__ == "__main__":
    main(*sys.argv[1:])
"""


@pytest.mark.skipif(not SHARED.is_dir(), reason="this system does not list its semaphores")
@pytest.mark.parametrize("method", [method for method in METHODS if method != "fork"])
def test_a_group_that_is_killed_leaves_no_semaphore(tmp_path, method):
    """Jupyter does so with the group of a kernel that has died; the resource tracker is one of it."""
    with running(script(tmp_path, SEMAPHORES), method) as run:
        names = run.await_words("ready")
        assert len(names) >= 10
        made = [SHARED / f"sem.{name.removeprefix('/')}" for name in names]
        assert all(semaphore.exists() for semaphore in made)
        run.send(signal.SIGKILL, everybody=True)
        run.wait()
        wait_until(lambda: not run.processes())
        left = [semaphore for semaphore in made if semaphore.exists()]
        for semaphore in left:  # they would stay until the machine is started anew
            semaphore.unlink()
        assert left == []
        assert run.folders() == []


ALONE = """
import time
from mpdemos import watch

if __name__ == "__main__":
    with watch(sys.argv[1]) as mp:
        if sys.argv[2] == "after a child":
            mp.Manager().shutdown()
        print("ready")
        time.sleep(1000)
"""


@posix_only
@pytest.mark.parametrize(
    ("method", "when"), [("spawn", "no child"), *((m, "after a child") for m in METHODS)]
)
def test_a_killed_program_without_children_leaves_no_folder(tmp_path, method, when):
    """Not the library's own either, where managers and the fork server meet."""
    with running(script(tmp_path, ALONE), method, when) as run:
        run.await_line("ready")
        assert len(run.folders()) == 1
        assert list(run.folder.glob("pymp-*"))
        run.send(signal.SIGKILL)
        run.wait()
        wait_until(lambda: not run.processes())
        assert list(run.folder.iterdir()) == []


@posix_only
def test_a_killed_remover_is_replaced(monkeypatch):
    with watch():
        pass
    (first,) = remover._removers
    first.kill()
    first.wait()
    told, tell = [], remover._tell
    monkeypatch.setattr(remover, "_tell", lambda who, *what: told.append(who) or tell(who, *what))
    with watch():
        assert len(remover._removers) == 2
        assert remover._removers[-1].poll() is None
        assert told == remover._removers  # the second one, when the first did not hear it


KILLS_THE_REMOVER = """
import os, signal
from mpdemos.watch import remover

first = remover.make_folder()
remover._removers[0].kill()
remover._removers[0].wait()
if {another}:
    remover.make_folder()
print("ready", flush=True)
if {killed}:
    os.kill(os.getpid(), signal.SIGKILL)
"""


@posix_only
@pytest.mark.parametrize(("another", "killed"), [(False, False), (True, True)])
def test_what_a_killed_remover_knew_is_removed(tmp_path, another, killed):
    """By the next remover; at the latest by the process itself, if that can."""
    with running(script(tmp_path, KILLS_THE_REMOVER.format(another=another, killed=killed))) as run:
        run.await_line("ready")
        assert run.wait() == (-signal.SIGKILL if killed else 0)
        wait_until(lambda: not run.processes())
        assert run.folders() == []


FORKS_WITHOUT_A_REMOVER = """
import multiprocessing, os
from mpdemos.watch import remover

folder = remover.make_folder()
remover._removers[0].kill()
remover._removers[0].wait()
child = multiprocessing.get_context("fork").Process(target=remover.make_folder)
child.start()
child.join()
print("still there" if os.path.isdir(folder) else "gone", flush=True)
"""


@posix_only
def test_a_forked_child_leaves_its_parent_the_folder(tmp_path):
    """Also if it had to start a remover of its own."""
    with running(script(tmp_path, FORKS_WITHOUT_A_REMOVER)) as run:
        run.await_line("still there")
        assert run.wait() == 0
        wait_until(lambda: not run.processes())
        assert run.folders() == []


def test_a_remover_is_told_of_the_folder_of_the_library():
    """Also if that could not be made at first."""
    told = []
    library = remover.util.get_temp_dir()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(remover, "_removers", [])
        patch.setattr(remover, "_folders", [])
        patch.setattr(remover, "_start", lambda: "a remover")
        patch.setattr(remover, "_tell", lambda *what: told.append(what) or True)
        with pytest.MonkeyPatch.context() as full, pytest.raises(ZeroDivisionError):
            full.setattr(remover.util, "get_temp_dir", lambda: 1 / 0)
            remover.remove_at_the_end("/ours")
        remover.remove_at_the_end("/ours")
    assert told == [("a remover", library, "/ours")]


def start_in_a_thread(mp, monkeypatch, until):
    """Start a child in a thread that does not tell the watch of it before ``until`` is set."""
    begun, know = threading.Event(), mp._know

    def know_late(child):
        begun.set()
        assert until.wait(PATIENCE)
        time.sleep(0.2)  # long enough for an end of the block that does not wait
        know(child)

    monkeypatch.setattr(mp, "_know", know_late)
    child = mp.Process(target=watchworkers.sleep_for_ever)
    thread = threading.Thread(target=child.start)
    thread.start()
    assert begun.wait(PATIENCE)
    return child, thread


def test_who_is_being_started_when_the_block_ends_is_ended_too(method, monkeypatch):
    """So a pool replaces a worker."""
    monkeypatch.setattr(context, "_START", PATIENCE)
    ends = threading.Event()
    with pytest.raises(KeyError), watch(method) as mp:
        wait_for = mp._starts.wait_for
        monkeypatch.setattr(mp._starts, "wait_for", lambda *args: ends.set() or wait_for(*args))
        child, thread = start_in_a_thread(mp, monkeypatch, ends)
        raise KeyError
    assert child.exitcode not in (None, 0)
    thread.join()


def test_who_is_started_too_late_for_the_end_of_the_block_is_ended_at_once(method, monkeypatch):
    monkeypatch.setattr(context, "_START", 0.1)
    monkeypatch.setattr(context, "_GOODBYE", PATIENCE)
    over, told = threading.Event(), []
    monkeypatch.setattr(threading, "excepthook", lambda args: told.append(str(args.exc_value)))
    with pytest.raises(KeyError), watch(method) as mp:
        child, thread = start_in_a_thread(mp, monkeypatch, over)
        raise KeyError
    over.set()
    thread.join()
    assert gone(child.pid)
    assert told == ["this watched block is over: call watch() again for another one"]


def test_when_the_block_ends_nobody_is_started_any_more():
    told = []

    def start_another():
        try:
            mp.Process(target=watchworkers.nothing).start()
        except RuntimeError as error:
            told.append(str(error))
        clean_up()

    with pytest.raises(KeyError), watch() as mp:
        child = mp.Process(target=watchworkers.sleep_for_ever)
        child.start()
        clean_up, child._traced_clean_up = child._traced_clean_up, start_another
        raise KeyError
    assert told == ["this watched block is over: call watch() again for another one"]


def test_a_pool_that_is_interrupted_while_it_is_made_replaces_no_worker(method, monkeypatch):
    """The limit may come when its first thread runs, and the pool itself cannot be terminated yet."""
    handlers, start = [], threading.Thread.start

    def start_and_be_interrupted(thread):
        start(thread)
        if "_handle_workers" in thread.name:
            handlers.append(thread)
            raise KeyboardInterrupt

    def look_late(*args):
        time.sleep(0.5)  # time enough to leave the block, if nobody waited
        look(*args)

    told, look = [], pools.pool.Pool._maintain_pool
    monkeypatch.setattr(pools.pool.Pool, "_maintain_pool", staticmethod(look_late))
    monkeypatch.setattr(pools, "_POLITE", PATIENCE)
    monkeypatch.setattr(threading, "excepthook", told.append)
    monkeypatch.setattr(threading.Thread, "start", start_and_be_interrupted)
    with pytest.raises(KeyboardInterrupt), watch(method) as mp:
        mp.Pool(2)
    handlers[0].join(PATIENCE)
    assert not handlers[0].is_alive()
    assert told == []  # it did not even try
    assert len(started_pids(mp)) == 2


def test_a_child_that_watches_leaves_its_parent_the_folder_of_the_library(method):
    folder = remover.util.get_temp_dir()
    with watch(method) as mp:
        mp.Process(target=watchworkers.watch_too).start()
    assert os.path.isdir(folder)


COPIES = """
import os
from mpdemos import watch

def main():
    with watch() as mp:
        gate = mp.Event()
        child = mp.Process(target=gate.wait)
        child.start()
        pid = os.fork()
        if pid:
            os.waitpid(pid, 0)
            gate.set()
            child.join()
    if pid:
        print("exit code", child.exitcode, "events", len(mp.events) > 3)

if __name__ == "__main__":
    main()
"""


@posix_only
def test_a_forked_copy_of_the_block_ends_nothing(tmp_path):
    told = subprocess.run(
        [sys.executable, "-W", "ignore", str(script(tmp_path, COPIES))],
        env=environment(tmp_path / "t"),
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )
    assert told.stdout == "exit code 0 events True\n", told.stderr


FORKS = """
import os, time
from mpdemos import watch

with watch():
    pass
if not os.fork():
    time.sleep(1000)
"""


@posix_only
def test_the_end_does_not_wait_for_a_forked_process_that_stays(tmp_path):
    """It has the remover's input open, too."""
    path = script(tmp_path, FORKS)
    with running(path) as run:
        assert run.wait() == 0
        assert [process.cmdline()[-1] for process in run.processes()] == [str(path)]


@posix_only
@pytest.mark.parametrize("method", METHODS)
def test_an_interrupt_while_a_child_starts_leaves_no_child(method, monkeypatch):
    popen = importlib.import_module(f"multiprocessing.popen_{method.replace('spawn', 'spawn_posix')}").Popen
    launch = popen._launch

    def interrupted_launch(self, child):
        launch(self, child)
        signal.raise_signal(signal.SIGINT)

    with pytest.raises(KeyboardInterrupt), watch(method) as mp:
        monkeypatch.setattr(popen, "_launch", interrupted_launch)
        mp.Process(target=watchworkers.sleep_for_ever, name="sleeper").start()
        pytest.fail("the interrupt was lost")
    assert "sleeper was ended by watch." in mp.explain()


@posix_only
def test_a_start_that_is_cut_short_leaves_no_child(monkeypatch):
    popen = importlib.import_module("multiprocessing.popen_spawn_posix").Popen
    launch = popen._launch

    def cut_short(self, child):
        launch(self, child)
        pids.append(self.pid)
        raise KeyboardInterrupt

    pids = []
    with pytest.raises(KeyboardInterrupt) as caught, watch("spawn") as mp:
        monkeypatch.setattr(popen, "_launch", cut_short)
        mp.Process(target=watchworkers.sleep_for_ever).start()
    assert caught.value.__traceback__  # which would keep the pipes of the child open
    wait_until(lambda: gone(pids[0]))
    os.waitpid(pids[0], 0)


FAMILY = """
import watchworkers
from mpdemos import watch

if __name__ == "__main__":
    with watch(sys.argv[1]) as mp:
        started = mp.Event()
        child = mp.Process(target=watchworkers.sleep_with_child, args=(started,))
        child.start()
        started.wait()
        print("ready")
        child.join()
"""


@posix_only
@pytest.mark.parametrize("method", METHODS)
def test_an_orphan_takes_its_own_children_along(tmp_path, method):
    with running(script(tmp_path, FAMILY), method) as run:
        run.await_line("ready")
        run.send(signal.SIGKILL)
        run.wait()
        wait_until(lambda: not run.processes())


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("family", ["sleep_with_child", "sleep_with_zombie_and_child"])
def test_the_end_of_the_block_takes_the_childrens_children_along(tmp_path, method, family):
    text = FAMILY.replace("child.join()", "1 / 0").replace("sleep_with_child", family)
    with running(script(tmp_path, text), method) as run:
        assert run.wait() == 1
        wait_until(lambda: not run.processes())


SHARES = """
import subprocess, sys, watchworkers
from multiprocessing import resource_tracker, shared_memory
from mpdemos import watch

def share(started, name):
    resource_tracker._resource_tracker._fd = None  # as of a program that it has started
    memory = shared_memory.SharedMemory(name, create=True, size=100)
    watchworkers.sleep_in(started)

if __name__ == "__main__":
    with watch("fork") as mp:
        started = mp.Event()
        mp.Process(target=share, args=(started, sys.argv[1])).start()
        started.wait()
        1 / 0
"""


@pytest.mark.skipif(not os.path.isdir(SHARED), reason="looks into the folder of shared memory")
def test_who_cleans_up_after_a_child_is_not_ended(tmp_path):
    name = f"mpdemos-test-{os.getpid()}"
    with running(script(tmp_path, SHARES), name) as run:
        assert run.wait() == 1
        wait_until(lambda: not run.processes())
        assert not os.path.exists(os.path.join(SHARED, name))


A_YOUNG_ONE = """
import psutil
looks = []

def nothing_at_first(process, cmdline=psutil.Process.cmdline):
    looks.append(process.pid)
    return cmdline(process) if looks.count(process.pid) > 3 else []

psutil.Process.cmdline = nothing_at_first
"""


@pytest.mark.skipif(not os.path.isdir(SHARED), reason="looks into the folder of shared memory")
def test_who_is_just_becoming_a_program_that_cleans_up_is_not_ended(tmp_path):
    """Until Linux has its arguments it has none to show, which on a busy machine may take 40 ms."""
    name = f"mpdemos-test-{os.getpid()}"
    with running(script(tmp_path, A_YOUNG_ONE + SHARES), name) as run:
        assert run.wait() == 1
        wait_until(lambda: not run.processes())
        assert not os.path.exists(os.path.join(SHARED, name))


class FakeProcess:
    def __init__(self, pid, parent=None):
        self.pid, self._parent = pid, parent

    def ppid(self):
        if self._parent is None:
            raise psutil.NoSuchProcess(self.pid)
        return self._parent


def test_one_that_has_just_ended_does_not_hide_the_others(monkeypatch):
    there = FakeProcess(9, parent=7)
    with monkeypatch.context() as patch:
        patch.setattr(psutil.Process, "children", lambda self, recursive: [FakeProcess(8), there])
        assert context._started_by([FakeProcess(7)]) == [there]


def test_who_never_gets_a_command_line_does_not_clean_up(monkeypatch):
    monkeypatch.setattr(remover, "_BIRTH", 0.05)
    monkeypatch.setattr(psutil.Process, "cmdline", lambda process: [])
    assert not remover.cleans_up(psutil.Process())


@pytest.mark.parametrize("method", METHODS)
def test_a_child_that_watches_and_is_ended_leaves_no_folder(tmp_path, method):
    text = FAMILY.replace("child.join()", "1 / 0").replace("sleep_with_child", "watch_and_sleep")
    with running(script(tmp_path, text), method) as run:
        assert run.wait() == 1
        wait_until(lambda: not run.processes())
        assert run.folders() == []


def test_a_remover_is_known_for_what_it_is():
    with watch():
        assert remover.cleans_up(psutil.Process(remover._removers[-1].pid))


@posix_only
def test_without_a_watch_orphans_would_stay(tmp_path):
    """The tests above can fail: this is what the plain library does."""
    plain = PROGRAM.replace("from mpdemos import watch", "import contextlib, multiprocessing").replace(
        "watch(method, limit=None)", "contextlib.nullcontext(multiprocessing.get_context(method))"
    )
    with running(script(tmp_path, plain), "spawn", "inside") as run:
        run.await_line("ready")
        run.send(signal.SIGKILL)
        run.wait()
        time.sleep(1)
        assert len(run.processes()) >= 2
