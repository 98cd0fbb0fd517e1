import signal
import tempfile
from pathlib import Path

import pytest

if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:  # so it is in a script's background, and is inherited
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture
def tmp_path():
    """Shorter than pytest's own: sockets are below it, and an address has at most 103 letters on macOS."""
    with tempfile.TemporaryDirectory(prefix="", ignore_cleanup_errors=True) as name:
        yield Path(name)


@pytest.fixture
def alarm():
    """Call it with seconds: a test that takes longer fails, and does not stop the run. Windows has none."""
    if not hasattr(signal, "setitimer"):
        yield lambda seconds: None
        return

    def set_it(seconds):
        def give_up(number, frame):
            raise TimeoutError(f"the test took more than {seconds} seconds")

        signal.signal(signal.SIGALRM, give_up)
        signal.setitimer(signal.ITIMER_REAL, seconds, 5)  # again, if what cleans up after it waits too

    former = signal.getsignal(signal.SIGALRM)
    yield set_it
    signal.setitimer(signal.ITIMER_REAL, 0)
    signal.signal(signal.SIGALRM, former)
