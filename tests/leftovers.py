"""What a test may not leave behind: processes, found by a tag in their environment, and shared memory."""

from contextlib import suppress
from pathlib import Path

import psutil

from mpdemos.watch.remover import cleans_up

TAG = "MPDEMOS_TEST_TAG"
PATIENCE = 120  # seconds: a safety net
SHARED = Path("/dev/shm")  # where Linux has semaphores and shared memory; other systems list them nowhere


def tagged(tag):
    """The living processes with that tag: those that were given it, and all that they started."""
    return [process for process in psutil.process_iter() if _has_tag(process, tag)]


def _has_tag(process, tag):
    try:
        return process.environ().get(TAG) == tag and process.status() != psutil.STATUS_ZOMBIE
    except (psutil.Error, OSError):  # it has just ended, or it is somebody else's
        return False


def end(processes):
    """Kill processes and wait for their end.

    A resource tracker is not killed: it ends by itself, when it has removed what the killed ones left.
    """
    for process in processes:
        with suppress(psutil.Error):
            if not cleans_up(process):
                process.kill()
    _gone, alive = psutil.wait_procs(processes, timeout=PATIENCE)
    assert alive == []


def shared_memory():
    """The semaphores and blocks that multiprocessing has in shared memory: the name of each inode."""
    found = {}
    for kind in ("sem.mp-*", "psm_*"):
        for path in SHARED.glob(kind):
            with suppress(FileNotFoundError):  # it has just been removed
                found[path.stat().st_ino] = path.name
    return found


def nobody_has(these):
    """The names of those inodes that still exist, though no living process uses them."""
    used = set()  # by inode, for who made a semaphore has it under another name
    for maps in Path("/proc").glob("[0-9]*/maps"):
        with suppress(OSError):  # it has just ended, or it is somebody else's
            lines = maps.read_text().splitlines()
            used |= {int(line.split()[4]) for line in lines if f" {SHARED}/" in line}
    return sorted(name for inode, name in shared_memory().items() if inode in these and inode not in used)
