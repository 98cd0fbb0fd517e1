"""Whatever a learner's code does, the check ends, says something useful, and leaves nothing behind."""

import json
import math
import multiprocessing
import os
import shutil
import stat
import subprocess
import sys
import tempfile
import textwrap
import threading
import time
import uuid
from types import SimpleNamespace

import psutil
import pytest
from leftovers import TAG, tagged
from practicetools import assert_refused, cell, verdict_on

from mpdemos.practice import check, examiner, hint, progress, solution
from mpdemos.practice.cells import WorkerCells
from mpdemos.practice.examiner import _shortened, examine, how_busy
from mpdemos.practice.exercise import Exercise, all_exercises
from mpdemos.practice.folder import private_folder
from mpdemos.practice.verdict import Verdict

checking = sys.modules["mpdemos.practice.check"]
posix_only = pytest.mark.skipif(os.name == "nt", reason="needs the signals of POSIX")


def stamping(body, before=""):
    """An answer to lock-1 that does this."""
    return f"{before}\ndef stamp(lock, diary, name):\n" + textwrap.indent(
        textwrap.dedent(body).strip(), "    "
    )


NEVER_ENDS = "while True:\n    pass"


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        pytest.param("return stamp(lock, diary, name)", "RecursionError", id="recurses"),
        pytest.param("raise ValueError('no ink')", "ValueError: no ink", id="raises"),
        pytest.param("import sys\nsys.exit(3)", "exit code 3", id="exits"),
        pytest.param("import sys\nsys.exit()", "written was: nothing", id="exits as if all were well"),
        pytest.param("import os\nos._exit(0)", "written was: nothing", id="exits at once"),
        pytest.param("print('x' * 5_000_000)", "written was: nothing", id="prints a lot"),
        pytest.param("lock.acquire()\nlock.acquire()", "which it holds itself", id="waits for itself"),
        pytest.param("open(0).read()", "written was: nothing", id="reads the keyboard"),
        pytest.param(
            "diary.write(name)\ndiary.write(lock)",
            "takes a line of text, not",
            id="writes what is no line",
        ),
    ],
)
def test_the_check_says_what_happened(body, reason):
    assert_refused("lock-1", stamping(body), reason)


def with_limit(name, seconds, monkeypatch):
    """Give an exercise another limit, where it is certain that it will be reached."""
    exercise = all_exercises()[name]
    changed = Exercise(name, exercise.task, exercise.answers, exercise.hints, exercise.checker, limit=seconds)
    monkeypatch.setitem(all_exercises(), name, changed)


@posix_only
@pytest.mark.parametrize(
    "number", ["SIGINT", "SIGKILL", "SIGSEGV", "SIGTERM", "SIGSTOP"]
)  # Windows lacks two
def test_a_worker_that_kills_or_stops_itself(number, monkeypatch):
    with_limit("lock-1", 8, monkeypatch)  # a busy machine needs some seconds to start three
    verdict = verdict_on("lock-1", stamping(f"import os, signal\nos.kill(os.getpid(), signal.{number})"))
    assert verdict.state == "not yet"
    assert "guest-1" in verdict.reason


def test_a_worker_that_never_ends_is_ended_and_drawn(monkeypatch):
    with_limit("lock-1", 1, monkeypatch)
    assert_refused("lock-1", stamping(NEVER_ENDS), "It does not end by itself")


def test_on_a_busy_machine_it_may_take_longer(monkeypatch):
    with_limit("lock-1", 1, monkeypatch)
    now = time.time
    monkeypatch.setattr(time, "time", lambda: now() - 1000)  # so long ago the check seems to have begun
    assert_refused("lock-1", stamping(NEVER_ENDS), "within its limit of 3 seconds")


@pytest.mark.parametrize(
    ("took", "used", "busy"), [(0.3, 0.25, 1), (0.4, 0.2, 2), (60, 0.2, 3), (0.1, 0.2, 1), (0.001, 0, 1)]
)
def test_how_busy_the_machine_is(took, used, busy):
    assert how_busy(took, used) == busy


def test_a_check_that_never_ends_is_ended(monkeypatch):
    """The learner's module itself never ends in a child, so not even the watched block begins."""
    with_limit("lock-1", 0.1, monkeypatch)
    monkeypatch.setattr(checking, "_START_UP", 2.0)
    endless = "import os\nif 'MPDEMOS_CHECK' in os.environ:\n    while True:\n        pass\n"
    assert_refused("lock-1", stamping("pass", endless), "did not end within")


STAY = f"import time; time.sleep(600)  # {uuid.uuid4().hex}"  # no other run of these tests has it
CHILDREN = f"""
import subprocess, sys
stay = [sys.executable, "-c", {STAY!r}]
def start(number, **options):
    for _ in range(number):
        subprocess.Popen(stay, **options)
"""


def test_a_thousand_processes_are_refused():
    assert_refused("lock-1", stamping("start(1000)", CHILDREN), "more than 64 processes")


def test_children_that_are_left_are_ended():
    """Also those that left the session; the fixture looks whether any process is left."""
    verdict = verdict_on("lock-1", stamping("start(2, start_new_session=True)\nlock.acquire()", CHILDREN))
    assert verdict.state == "not yet"
    assert [p for p in psutil.process_iter(["cmdline"]) if STAY in (p.info["cmdline"] or [])] == []


def test_what_was_printed_is_shown_in_part():
    verdict = verdict_on("lock-1", stamping("print('here', name)\nprint('y' * 100_000)"))
    assert "here " in verdict.printed  # whoever was first
    assert len(verdict.printed) < 3000
    assert "Your code printed" in repr(verdict)
    assert "here " in verdict._repr_mimebundle_()["text/html"]


def test_what_the_system_cannot_spell_is_printed(monkeypatch):
    monkeypatch.setenv("PYTHONIOENCODING", "ascii")  # as on Windows, where it is cp1252
    assert "✓ " in verdict_on("lock-1", stamping("print('✓', name)")).printed


def test_lines_are_those_of_the_cell_and_no_frame_is_ours():
    reason = verdict_on("lock-1", stamping("raise ValueError('no ink')")).reason
    assert "Your worker cell, line 4, in stamp" in reason
    assert "mpdemos" not in reason


def test_a_long_traceback_is_cut_and_says_so():
    lines = [str(number) for number in range(25)]
    assert _shortened("\n".join(lines[:24])).split("\n") == lines[:24]
    assert _shortened("\n".join(lines)).split("\n") == [*lines[:12], "  … 1 more lines …", *lines[-12:]]


def test_a_picture_shows_what_happened():
    verdict = verdict_on("lock-1", stamping("lock.acquire()\ndiary.write(name)"))
    html = verdict._repr_mimebundle_()["text/html"]
    assert "guest-1" in verdict.told
    assert f'alt="{verdict.told[:20]}' in html
    assert "data:image/svg+xml;base64," in html


def test_the_lines_of_a_reason_are_shown_as_they_are():
    def shown(reason):
        return Verdict("lock-1", "not yet", reason)._repr_mimebundle_()["text/html"]

    assert "all of it" in shown("all of it")
    assert "<pre>" not in shown("all of it")
    assert "first" in shown("first\n  second\n  third")
    assert "<pre>  second\n  third</pre>" in shown("first\n  second\n  third")


def test_an_ordinary_cell_is_told_from_a_worker_cell():
    namespace = {"__name__": "__main__"}
    exec("def stamp(lock, diary, name):\n    pass", namespace)
    verdict = check("lock-1", namespace["stamp"])
    assert verdict.state == "not yet"
    assert "put %%worker on the first line" in verdict.reason


@pytest.mark.parametrize("answer", [None, 3, lambda: None, print, math.sqrt, threading.Thread.run])
def test_what_is_no_answer_is_refused_at_once(answer):
    assert check("lock-1", answer).state == "not yet"


def test_a_wrong_call_says_the_right_one():
    with pytest.raises(TypeError, match=r'check\("lock-1", stamp\)'):
        check("lock-1")
    with pytest.raises(ValueError, match=r"no exercise 'lock-9'; there is lock-1, lock-2, lock-3"):
        check("lock-9", print)
    for ask in (hint, solution):
        with pytest.raises(ValueError, match="there is lock-1"):
            ask("lock-0")


def test_hints_get_plainer(capsys, monkeypatch):
    monkeypatch.setattr(checking, "_hinted", {})
    for _ in range(3):
        hint("lock-1")
    told = capsys.readouterr().out.splitlines()
    assert [line[:11] for line in told] == ["Hint 1 of 2", "Hint 2 of 2", "Hint 2 of 2"]
    assert told[0] != told[1] == told[2]


def test_the_solution_shows_after_three_different_answers_or_a_right_one(capsys):
    solution("lock-1", reveal=True)
    assert "with lock:" in capsys.readouterr().out
    solution("lock-1")
    assert "3 to go" in capsys.readouterr().out
    for number in (1, 2, 2, 3):
        assert "lock:" not in capsys.readouterr().out
        verdict_on("lock-1", stamping(f"raise ValueError({number})"))
        solution("lock-1")
    assert "with lock:" in capsys.readouterr().out
    checking.progress.note_try("lock-1", right=False, source="4")
    solution("lock-1")
    assert "with lock:" in capsys.readouterr().out


def test_who_was_right_sees_the_solution(capsys):
    verdict_on("lock-1", all_exercises()["lock-1"].solution)
    solution("lock-1")
    assert "with lock:" in capsys.readouterr().out
    assert "✓ lock-1" in repr(progress())


def test_an_untouched_starter_is_no_try():
    verdict_on("lock-1", all_exercises()["lock-1"].starter + "\n# a comment\n")
    assert "○ lock-1" in repr(progress())


KILLED_KERNEL = """
import os, sys, threading, time
from dataclasses import replace
sys.path.insert(0, {here!r})
from practicetools import cell
from mpdemos.practice import check
from mpdemos.practice.exercise import all_exercises
all_exercises()["lock-1"] = replace(all_exercises()["lock-1"], limit=600)  # it does not end by itself
stamp = cell('''
import pathlib, subprocess, sys, time
def stamp(lock, diary, name):
    {starts}
    pathlib.Path({sign!r}).touch()
    time.sleep(600)
''')["stamp"]
check("lock-1", stamp)
"""


@pytest.mark.parametrize("how", ["kill", "interrupt"])
@pytest.mark.parametrize(
    "starts", ["", "subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'])"]
)
@posix_only
def test_a_kernel_that_dies_in_a_check_leaves_nothing(how, starts, tmp_path):
    sign = tmp_path / "sign"
    text = KILLED_KERNEL.format(here=os.path.dirname(__file__), sign=str(sign), starts=starts)
    environment = os.environ | {TAG: str(tmp_path)}
    kernel = subprocess.Popen([sys.executable, "-c", text], env=environment, stderr=subprocess.DEVNULL)
    wait_until(sign.exists)
    kernel.send_signal({"kill": 9, "interrupt": 2}[how])
    kernel.wait(60)
    wait_until(lambda: not tagged(str(tmp_path)))


def test_who_begins_while_the_others_are_killed_is_killed_too(monkeypatch):
    killed = []

    def process(pid):
        def kill():
            killed.append(pid)
            raise psutil.NoSuchProcess(pid)  # as one that has just ended

        return SimpleNamespace(pid=pid, kill=kill)

    found = iter([[process(os.getpid()), process(-1), process(-2)], [process(-3)], []])
    monkeypatch.setenv(examiner.TAG, "a tag")
    monkeypatch.setattr(examiner, "processes_of", lambda tag: next(found))
    monkeypatch.setattr(examiner, "cleans_up", lambda process: process.pid == -2)
    examiner._end_all_others()
    assert killed == [-1, -3]


def wait_until(condition, patience=60):
    deadline = time.monotonic() + patience
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.mark.parametrize("kind", ["no JSON", "a list", "numbers", "a folder", "huge", "nothing"])
def test_a_result_that_is_none_of_ours_is_not_believed(tmp_path, kind):
    """An answer may write where the result is expected."""
    examiner, path = object.__new__(checking._Examiner), tmp_path / "result.json"
    examiner._path = path
    good = json.dumps(dict.fromkeys(("reason", "svg", "told"), ""))
    contents = {"no JSON": good[1:], "a list": "[]", "numbers": good.replace('""', "5")}
    if kind == "a folder":
        path.mkdir()
    elif kind != "nothing":
        path.write_text(contents.get(kind, good + " " * 5_000_000), encoding="utf-8")
    assert examiner.result() is None


def test_the_folder_of_a_trial_is_private_and_its_name_is_short():
    """An address in it, as a manager has one, may have 103 letters on macOS; its temporary folder has 48."""
    with checking._own_folder() as folder:
        if os.name != "nt":
            assert stat.S_IMODE(folder.stat().st_mode) == 0o700
        longest = 48 + len(str(folder).removeprefix(tempfile.gettempdir()))
        assert longest + len("/pymp-xxxxxxxx/listener-xxxxxxxx") <= 103
    assert not folder.exists()


def test_an_answer_may_come_from_a_module_of_the_learners_own(tmp_path, monkeypatch):
    (tmp_path / "own_answer.py").write_text(all_exercises()["lock-1"].solution, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    import own_answer

    assert check("lock-1", own_answer.stamp)


def test_an_answer_whose_module_cannot_be_read_is_refused(tmp_path, monkeypatch):
    (tmp_path / "unreadable_answer.py").write_bytes(b"# coding: latin-1\ndef stamp():\n    '\xff'\n")
    monkeypatch.syspath_prepend(tmp_path)
    import unreadable_answer

    assert "one of your own functions" in check("lock-1", unreadable_answer.stamp).reason


def test_an_answer_whose_folder_somebody_removed_is_asked_for_again():
    answer = all_exercises()["lock-1"].solution
    made = cell(answer)
    shutil.rmtree(private_folder())
    assert "run that cell again" in check("lock-1", made["stamp"]).reason
    assert check("lock-1", cell(answer)["stamp"])


def test_an_inner_function_is_refused():
    made = cell("def make():\n    def stamp(lock, diary, name):\n        pass\n    return stamp")
    assert "not at the top level" in check("lock-1", made["make"]()).reason


def test_a_lambda_is_refused():
    made = cell("stamp = lambda lock, diary, name: None")
    assert "write it with def" in check("lock-1", made["stamp"]).reason


def test_a_misspelt_name_is_noticed():
    """Or the answer before it would be judged once more, and nobody would know why."""
    namespace = {}
    cells = WorkerCells(namespace)
    cells.run("", all_exercises()["lock-1"].starter)
    cells.run("", all_exercises()["lock-1"].solution.replace("stamp", "stemp"))
    verdict = check("lock-1", namespace["stamp"])
    assert verdict.state == "not attempted"
    assert "ran last defines stemp; this is about an older stamp" in verdict.reason
    cells.run("", all_exercises()["lock-1"].solution + "\nANOTHER = 1")
    cells.run("", "def stemp(): pass")
    verdict = check("lock-1", namespace["stamp"])
    assert verdict.state == "right"
    assert "this is about an older stamp" in verdict.reason
    cells.run("", "def other(): pass")
    assert "older" not in check("lock-1", namespace["stamp"]).reason


@pytest.mark.parametrize(
    "failing", ["def stamp(lock, diary, name:\n    pass", "import nothing_like_it\ndef stamp(): pass"]
)
def test_a_worker_cell_that_failed_last_is_noticed(failing):
    namespace = {}
    cells = WorkerCells(namespace)
    cells.run("", all_exercises()["lock-1"].starter)
    with pytest.raises((SyntaxError, ImportError)):
        cells.run("", failing)
    told = "The worker cell that defines stamp failed when it ran last; this is about an older one."
    assert told in check("lock-1", namespace["stamp"]).reason
    cells.run("", all_exercises()["lock-1"].starter)
    assert "older" not in check("lock-1", namespace["stamp"]).reason


def test_an_answer_is_tried_under_spawn_and_under_the_platforms_default():
    default = multiprocessing.get_all_start_methods()[0]  # as the documentation says
    assert checking.methods() == list(dict.fromkeys(["spawn", default]))
    tried = []

    def checker(trial):
        tried.append(trial.method)
        trial.require(trial.method == "spawn", "not under the second one")

    exercise = Exercise("lock-0", "", (), (), checker)
    assert examine(exercise, [], ["spawn", "other"], 1)["reason"] == "not under the second one"
    assert tried == ["spawn", "other"]
