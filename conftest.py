"""How nbval compares the notebooks, how it starts and ends their kernels, and that a run leaves nothing."""

import os
import signal
import sys
import tempfile
import time

import nbval.kernel
import pytest
from kernels import PrivateKernel
from leftovers import nobody_has, shared_memory
from nbval.kernel import RunningKernel
from nbval.plugin import IPyNbFile

# A child that fails on purpose prints its traceback on stderr. Whether that reaches the cell depends on the
# start method and on the platform, so stderr is never stored (tests/test_notebooks.py) and not compared.
_read = IPyNbFile.__init__


def _init(self, *args, **kwargs):
    _read(self, *args, **kwargs)
    self.skip_compare = (*self.skip_compare, "stderr")


IPyNbFile.__init__ = _init


def _stop(self):
    """End the kernel and its children by SIGTERM, which resource trackers ignore: they remove what is left.

    A kernel that is asked to end first ends its children, its tracker too: that takes it half a minute and
    SIGKILL, and then nobody removes what those children had.
    """
    self.kc.stop_channels()
    if sys.platform != "win32":  # there are no trackers
        self.km.signal_kernel(signal.SIGTERM)
    self.km.shutdown_kernel()
    del self.km


RunningKernel.stop = _stop


nbval.kernel.KernelManager = PrivateKernel
_start = nbval.kernel.start_new_kernel


def _start_and_say_why_not(*args, stderr, **options):
    """Start a kernel; if it does not come up, its own words are in the error."""
    with tempfile.TemporaryFile("w+") as words:
        try:
            return _start(*args, stderr=words, **options)
        except RuntimeError as error:
            words.seek(0)
            error.add_note(f"The kernel said:\n{words.read()}")
            raise


nbval.kernel.start_new_kernel = _start_and_say_why_not

BEFORE = pytest.StashKey[set[int]]()
# A run of `make soak` sees what the runs beside it have left, and keep until their workers end.
PATIENCE = 900 if "MPDEMOS_SOAK" in os.environ else 20  # seconds


def pytest_configure(config):
    """Note what is in shared memory before."""
    config.stash[BEFORE] = shared_memory().keys()


@pytest.hookimpl(wrapper=True, trylast=True)
def pytest_sessionfinish(session):
    """The run fails if it leaves shared memory. Which test it was only a run of fewer tests can tell."""
    yield  # the workers of pytest-xdist end in here, and their kernels with them
    if session.config.pluginmanager.hasplugin("dsession"):
        new = shared_memory().keys() - session.config.stash[BEFORE]
        deadline = time.monotonic() + PATIENCE
        while (left := nobody_has(new)) and time.monotonic() < deadline:
            time.sleep(0.1)  # a resource tracker may be about to remove it
        if left:
            print(f"\nleft in shared memory, where no process uses it: {', '.join(left)}")
            session.exitstatus = pytest.ExitCode.TESTS_FAILED
