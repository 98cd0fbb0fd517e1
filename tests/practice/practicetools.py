"""What the tests of `mpdemos.practice` share."""

import importlib
import multiprocessing
import sys
import time
from multiprocessing import resource_tracker
from unittest import mock

import psutil

from mpdemos import start_method
from mpdemos.practice import check
from mpdemos.practice.cells import WorkerCells
from mpdemos.practice.exercise import all_exercises, find
from mpdemos.watch import remover


def cell(source, namespace=None):
    """What a worker cell puts into the notebook."""
    namespace = {} if namespace is None else namespace
    WorkerCells(namespace).run("", source)
    return namespace


def verdict_on(name, source):
    """What `check` says of an answer."""
    made = cell(source)
    return check(name, *(made[answer] for answer in find(name).answers))


def names(lesson):
    return [name for name in all_exercises() if name.rpartition("-")[0] == lesson]


def each(wrong):
    """The parameters of a test for each wrong answer: the exercise, and what is wrong."""
    return [(name, what) for name, answers in wrong.items() for what in answers]


def assert_starts_unattempted_and_has_a_solution(name):
    started = verdict_on(name, find(name).starter)
    assert started.state == "not attempted", started
    solved = verdict_on(name, find(name).solution)
    assert solved.state == "right", solved


def assert_refused(name, source, reason):
    """The answer is refused, and the learner is told this reason; a picture needs its words.

    Under MPDEMOS_START_METHOD=forkserver it is tried that way first. Not so under fork: with the ends of
    pipes that a child inherits there, some answers are refused for another reason.
    """
    methods = ["forkserver", "spawn"] if start_method() == "forkserver" else ["spawn"]
    with mock.patch.object(sys.modules[check.__module__], "methods", return_value=methods):
        verdict = verdict_on(name, source)
    assert verdict.state == "not yet", verdict
    assert reason in verdict.reason, verdict
    assert bool(verdict.svg) == bool(verdict.told)


def still_running():
    """The processes that came from this one and are not the library's own helpers or ours."""
    known = {resource_tracker._resource_tracker._pid, *(each.pid for each in remover._removers)}
    if "forkserver" in multiprocessing.get_all_start_methods():
        known.add(importlib.import_module("multiprocessing.forkserver")._forkserver._forkserver_pid)
    left = []
    for process in psutil.Process().children(recursive=True):
        try:
            if process.pid not in known and process.status() != psutil.STATUS_ZOMBIE:
                left.append(process)
        except psutil.NoSuchProcess:
            continue
    return left


def helpers_end(patience=60.0):
    """Give what was killed the time to disappear."""
    deadline = time.monotonic() + patience
    while still_running() and time.monotonic() < deadline:
        time.sleep(0.02)
