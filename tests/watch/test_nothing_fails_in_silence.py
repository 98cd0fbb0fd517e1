"""Promise 4: a child that fails makes its block fail, and says why."""

import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from multiprocessing import connection
from pathlib import Path

import pytest
import watchworkers
from watchtools import (
    METHODS,
    PATIENCE,
    all_wait,
    environment,
    expire_when_last,
    posix_only,
    script,
    wait_until,
)

from mpdemos import ChildFailed, Stuck, watch
from mpdemos.watch import Failure, context

ADVICE = "put `%%worker` on the first line of that cell"


def run_one(mp, target, *args, name="child"):
    child = mp.Process(target=target, args=args, name=name)
    child.start()
    child.join()
    return child


@posix_only
def test_who_was_asked_to_end_and_failed_afterwards_failed():
    with pytest.raises(ChildFailed, match="ValueError: a real bug"), watch() as mp:
        ready, gate = mp.Event(), mp.Event()
        child = mp.Process(target=watchworkers.fail_when_asked_to_end, args=(ready, gate), name="child")
        child.start()
        ready.wait()
        child.terminate()
        gate.set()
        child.join()
    assert "child ended with exit code 1: ValueError: a real bug." in mp.explain()


@posix_only
@pytest.mark.parametrize("how", ["exit", "unwind"])
def test_who_obeys_when_asked_to_end_has_not_failed(how):
    with watch() as mp:
        ready = mp.Event()
        target = getattr(watchworkers, f"{how}_when_asked_to_end")
        child = mp.Process(target=target, args=(ready,), name="child")
        child.start()
        ready.wait()
        child.terminate()
        child.join()
    assert child.exitcode == 1
    assert "child was ended by MainProcess." in mp.explain()


def test_a_note_is_not_taken_for_the_error():
    with pytest.raises(ChildFailed) as caught, watch() as mp:
        run_one(mp, watchworkers.fail_with_a_note)
    (failure,) = caught.value.failures
    assert failure.error == "ValueError: not a number"
    assert "while reading line 7" in failure.traceback


def test_an_exception_in_a_child(method, capfd):
    with pytest.raises(ChildFailed) as caught, watch(method) as mp:
        run_one(mp, watchworkers.divide, 1, 0, name="divider")
    (failure,) = caught.value.failures
    assert isinstance(failure, Failure)
    assert failure.process == "divider"
    assert failure.exitcode == 1
    assert failure.error == "ZeroDivisionError: division by zero"
    assert "return a / b" in failure.traceback
    assert "mpdemos/watch" not in failure.traceback.replace(os.sep, "/")
    text = str(caught.value)
    assert text.startswith("divider ended with exit code 1: ZeroDivisionError: division by zero")
    assert failure.traceback.rstrip() in text
    assert ADVICE not in text
    assert "divider ended with exit code 1: ZeroDivisionError: division by zero." in mp.explain()
    if method != "forkserver":  # the fork server has the stderr of the test that started it
        assert "ZeroDivisionError" in capfd.readouterr().err  # the library's own print is not taken away


@pytest.mark.parametrize(
    ("code", "exitcode", "words"),
    [
        (3, 3, "child ended with exit code 3.\nIt called sys.exit(3)."),
        ("out of tea", 1, "child ended with exit code 1.\nIt called sys.exit(out of tea)."),
    ],
)
def test_sys_exit(method, code, exitcode, words):
    with pytest.raises(ChildFailed) as caught, watch(method) as mp:
        run_one(mp, watchworkers.leave, code)
    assert [f.exitcode for f in caught.value.failures] == [exitcode]
    assert str(caught.value) == words


@pytest.mark.parametrize("code", [0, None])
def test_sys_exit_without_a_failure(code):
    with watch() as mp:
        assert run_one(mp, watchworkers.leave, code).exitcode == 0


@pytest.mark.parametrize("code", [1, 4])
def test_os_exit(method, code):
    with pytest.raises(ChildFailed, match=rf"child ended with exit code {code}\.$"), watch(method) as mp:
        run_one(mp, watchworkers.leave_at_once, code)


@posix_only
def test_a_signal(method):
    with pytest.raises(ChildFailed) as caught, watch(method) as mp:
        run_one(mp, watchworkers.kill_itself, name="victim")
    assert caught.value.failures == (Failure("victim", -signal.SIGKILL, "", ""),)
    assert str(caught.value) == "victim was killed by SIGKILL (exit code -9)."


@posix_only
def test_a_signal_from_the_parent_but_not_by_the_process_object(method):
    with pytest.raises(ChildFailed, match="killed by SIGTERM"), watch(method) as mp:
        started = mp.Event()
        child = mp.Process(target=watchworkers.sleep_in, args=(started,))
        child.start()
        started.wait()
        os.kill(child.pid, signal.SIGTERM)
        child.join()


def test_several_failures_are_all_told():
    with pytest.raises(ChildFailed) as caught, watch() as mp:
        children = [
            mp.Process(target=watchworkers.leave, args=(code,), name=f"c{code}") for code in (0, 1, 2, 3)
        ]
        for child in children:
            child.start()
    assert sorted(f.process for f in caught.value.failures) == ["c1", "c2", "c3"]
    assert str(caught.value).count("\n\n") == 2


@pytest.mark.parametrize("notice", ["join", "is_alive", "nothing", "close"])
def test_a_failure_is_noticed_however_the_parent_looks_at_its_child(notice):
    with pytest.raises(ChildFailed, match="exit code 3"), watch() as mp:
        child = mp.Process(target=watchworkers.leave, args=(3,))
        child.start()
        if notice == "join":
            child.join()
            assert "exit code 3" in mp.explain()
        elif notice == "is_alive":
            while child.is_alive():
                time.sleep(0.001)
            assert "exit code 3" in mp.explain()
        elif notice == "close":
            wait_until(lambda: child._popen.poll() is not None)  # its sentinel is ready a moment earlier
            child.close()


def test_a_child_that_died_in_a_conversation_is_told_though_its_pipe_broke_before_its_sentinel(
    method, monkeypatch
):
    monkeypatch.setattr(context, "_DYING", PATIENCE)
    with pytest.raises(EOFError) as caught, watch(method) as mp:
        ours, theirs = mp.Pipe()
        mp.Process(target=watchworkers.hang_up_and_die, args=(theirs,), name="teller").start()
        theirs.close()
        ours.recv()
    (note,) = caught.value.__notes__
    assert note == "Also, in this watched block: teller ended with exit code 7."


def test_a_child_that_only_closed_its_pipe_is_not_waited_for_long():
    with pytest.raises(EOFError) as caught, watch() as mp:
        ours, theirs = mp.Pipe()
        mp.Process(target=watchworkers.hang_up, args=(theirs,)).start()
        theirs.close()
        ours.recv()
    assert not hasattr(caught.value, "__notes__")


def test_check_false_says_nothing_and_explains(method):
    with watch(method, check=False) as mp:
        assert run_one(mp, watchworkers.divide, 1, 0, name="divider").exitcode == 1
    assert "divider ended with exit code 1: ZeroDivisionError" in mp.explain()


@pytest.mark.parametrize("how", ["terminate", "kill", "interrupt"])
def test_a_child_that_the_parent_ended_did_not_fail(method, how):
    with watch(method) as mp:
        if not hasattr(mp.Process, how):
            pytest.skip(f"this Python has no Process.{how}")
        started = mp.Event()
        child = mp.Process(target=watchworkers.sleep_in, args=(started,), name="sleeper")
        child.start()
        started.wait()
        getattr(child, how)()
        child.join()
        assert child.exitcode != 0
    assert "sleeper was ended by MainProcess." in mp.explain()


@pytest.mark.parametrize("how", ["terminate", "kill"])
def test_a_child_that_has_ended_is_sent_no_signal(method, how, monkeypatch):
    """The pid of one that a fork server has reaped may be another process's by now."""
    with watch(method) as mp:
        child = mp.Process(target=watchworkers.nothing)
        child.start()
        connection.wait([child.sentinel])
        with monkeypatch.context() as patch:
            patch.setattr(os, "kill", lambda *_: pytest.fail("a signal was sent"))
            getattr(child, how)()


@pytest.mark.parametrize("how", ["terminate", "kill"])
def test_a_child_that_had_failed_before_the_parent_ended_it_did_fail(how):
    with pytest.raises(ChildFailed, match="exit code 3"), watch() as mp:
        child = mp.Process(target=watchworkers.leave, args=(3,))
        child.start()
        connection.wait([child.sentinel])
        getattr(child, how)()


def test_an_exception_in_the_block_gets_a_note_about_the_failed_child():
    with pytest.raises(KeyError) as caught, watch() as mp:
        run_one(mp, watchworkers.divide, 1, 0, name="divider")
        raise KeyError("mine")
    (note,) = caught.value.__notes__
    assert "divider ended with exit code 1: ZeroDivisionError" in note


@dataclass(frozen=True)
class Refused(Exception):
    why: int


def test_an_exception_that_takes_no_note_is_raised_as_it_is():
    with pytest.raises(Refused), watch(limit=PATIENCE) as mp:
        run_one(mp, watchworkers.leave, 7)
        raise Refused(1)


@pytest.mark.skipif("fork" not in METHODS, reason="the other methods refuse it by themselves")
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
@pytest.mark.parametrize("name", [1, Path("data.csv")])
def test_a_name_may_be_what_it_may_be_without_watch(name):
    with watch("fork", limit=PATIENCE) as mp:
        run_one(mp, watchworkers.nothing, name=name)
    assert mp.explain().startswith(f"MainProcess started 1 process: {name}.\nIt ended with exit code 0.")


def test_an_exception_in_the_block_gets_no_note_without_a_failure():
    with pytest.raises(KeyError) as caught, watch() as mp:
        run_one(mp, watchworkers.nothing)
        raise KeyError("mine")
    assert not hasattr(caught.value, "__notes__")


def test_a_hang_after_a_failure_tells_of_both():
    with pytest.raises(Stuck) as caught, watch() as mp:
        run_one(mp, watchworkers.divide, 1, 0, name="divider")
        expire_when_last(mp, all_wait("MainProcess", what="get"))
        mp.Queue().get()
    assert "divider failed with ZeroDivisionError" in str(caught.value)
    assert isinstance(caught.value.__cause__, ChildFailed)


# The commonest mistake: a function that the child cannot find

NOTEBOOK = """
from mpdemos import watch

def work():
    pass

with watch({method!r}) as mp:
    child = mp.Process(target=work, name="worker")
    child.start()
    child.join()
"""


@pytest.mark.parametrize("method", [method for method in METHODS if method != "fork"])
def test_a_function_from_a_notebook_cell(tmp_path, method):
    # The __main__ of `python -c` has no file that a child could run, as a notebook's has none.
    done = subprocess.run(
        [sys.executable, "-c", NOTEBOOK.format(method=method)],
        env=environment(tmp_path / "t"),
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )
    assert done.returncode == 1
    told = done.stderr[done.stderr.index("ChildFailed: ") :]
    assert "worker ended with exit code 1: AttributeError: " in told
    assert "cannot\nsee what an ordinary cell or a prompt defined" in told
    assert ADVICE in told
    assert list((tmp_path / "t").glob("mpdemos-*")) == []


@pytest.mark.parametrize(
    "error",
    [
        "AttributeError: Can't get attribute 'work' on <module '__main__' (built-in)>",  # up to 3.13
        "AttributeError: module '__main__' has no attribute 'work'",  # from 3.14
    ],
)
def test_both_texts_of_the_commonest_mistake_are_known(error):
    assert ADVICE in str(ChildFailed([Failure("p", 1, error, "Traceback …")]))


def test_other_missing_attributes_get_no_such_advice():
    for error in ("AttributeError: module 'math' has no attribute 'work'", "NameError: name '__main__'"):
        assert ADVICE not in str(ChildFailed([Failure("p", 1, error, "Traceback …")]))


def test_a_script_without_a_guard(tmp_path):
    path = script(
        tmp_path,
        "from mpdemos import watch\n"
        "import watchworkers\n"
        "with watch('spawn') as mp:\n"
        "    child = mp.Process(target=watchworkers.nothing, name='worker')\n"
        "    child.start()\n"
        "    child.join()\n",
    )
    done = subprocess.run(
        [sys.executable, str(path)],
        env=environment(tmp_path / "t"),
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )
    assert done.returncode == 1
    told = done.stderr[done.stderr.rindex("ChildFailed: ") :]
    assert "worker ended with exit code 1." in told
    assert 'no `if __name__ == "__main__":` around the lines that start processes' in told
