"""Worker of lesson 09: a task that stands still at a known point, so that its process can be killed there."""

from __future__ import annotations

import os
from typing import Any


def add_up(numbers: range, go: Any, begun: Any) -> int:
    """Tell ``begun``, a queue, who begins; wait for ``go``, an event; add up."""
    begun.put(os.getpid())
    go.wait()
    return sum(numbers)
