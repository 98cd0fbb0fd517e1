"""The worker of lesson 09. A cluster hands it a queue and an event of its own; here they are plain ones."""

import os
import threading
from queue import SimpleQueue

from mpdemos.workers import beyond

LIMIT = 120  # seconds; a safety net


def test_it_tells_who_begins_and_adds_up_when_it_may_go():
    begun, go, sums = SimpleQueue(), threading.Event(), SimpleQueue()
    task = threading.Thread(target=lambda: sums.put(beyond.add_up(range(1, 5), go, begun)), daemon=True)
    task.start()
    assert begun.get(timeout=LIMIT) == os.getpid()
    task.join(0.1)
    assert sums.empty()
    go.set()
    assert sums.get(timeout=LIMIT) == 10
