"""What the tests of `mpdemos.live` share."""

import os
import re
import time
from multiprocessing import forkserver, resource_tracker

import psutil

from mpdemos.watch import remover

PATIENCE = 60.0  # seconds: no test needs them, and a machine under load gets them


def wait_until(condition, told=lambda: "", patience=PATIENCE):
    deadline = time.monotonic() + patience
    while not (found := condition()):
        assert time.monotonic() < deadline, told()
        time.sleep(0.01)
    return found


def says(control, pattern, patience=PATIENCE):
    """Wait until the control's words match."""
    return wait_until(lambda: re.search(pattern, control.state), lambda: control.state, patience)


def descendants():
    """Every process that came from this one, without the library's own two helpers and ours."""
    helpers = {
        getattr(forkserver._forkserver, "_forkserver_pid", None),
        resource_tracker._resource_tracker._pid,
        *(each.pid for each in remover._removers),
    }
    return [process for process in psutil.Process().children(recursive=True) if process.pid not in helpers]


def wait_for(file, number):
    """A task that ends when there is such a file."""
    while not os.path.exists(file):
        time.sleep(0.02)
    return number


def hold(thing):
    """Come in and stay: for a process that is killed while it is inside."""
    with thing:
        time.sleep(1000)


def take_one(shelf):
    """Take one plate and stay with it."""
    shelf.get()
    time.sleep(1000)


def rest(_thing):
    """Do nothing."""
    time.sleep(1000)


def named(control, name):
    """The control's process of this name."""
    return next(child for child in control._children if child.name == name)
