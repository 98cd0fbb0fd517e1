"""How nbval compares the notebooks, and how it ends their kernels."""

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
    """Let the kernel end by itself: killed with its helpers, it leaves its semaphores for ever."""
    self.kc.stop_channels()
    self.km.shutdown_kernel()
    del self.km


RunningKernel.stop = _stop
