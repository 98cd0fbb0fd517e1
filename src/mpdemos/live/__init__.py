"""Live controls: real processes, steered from a notebook by buttons, with their timeline as it goes on.

``live.Lock()`` as the last line of a cell shows one. Nothing runs before Start is pressed. Without
ipywidgets, or where no kernel runs, a reader sees a picture of an earlier run and a line that says so.
"""

from .control import Control
from .controls import Event, Lock, Pool, Queue, Semaphore

__all__ = ["Control", "Event", "Lock", "Pool", "Queue", "Semaphore"]
