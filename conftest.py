"""How nbval compares the notebooks, and how it starts and ends their kernels."""

import signal
import sys
import tempfile

import nbval.kernel
from kernels import PrivateKernel
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
