import multiprocessing
import signal

import pytest

PATIENCE = 60  # seconds: no test needs them, and a machine under load gets them


@pytest.fixture(autouse=True)
def no_test_hangs():
    """A worker that waits for ever makes its test fail, and does not stop the run."""
    if hasattr(signal, "setitimer"):

        def give_up(number, frame):
            raise TimeoutError(f"the test took more than {PATIENCE} seconds")

        former = signal.signal(signal.SIGALRM, give_up)
        signal.setitimer(signal.ITIMER_REAL, PATIENCE, 5)  # again, if what cleans up after it waits too
    yield
    if hasattr(signal, "setitimer"):
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, former)
    for child in multiprocessing.active_children():  # the interpreter would wait for them when it exits
        child.kill()
        child.join()
