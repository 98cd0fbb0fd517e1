import multiprocessing

import pytest


@pytest.fixture(autouse=True)
def no_test_hangs(alarm):
    """A worker that waits for ever makes its test fail."""
    alarm(240)
    yield
    for child in multiprocessing.active_children():  # the interpreter would wait for them when it exits
        child.kill()
        child.join()
