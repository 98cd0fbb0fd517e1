"""Make the pictures that stand where a live control cannot run: one short run of each, driven by its buttons.

python tools/stills.py
"""

from __future__ import annotations

import base64
import re
import time
from pathlib import Path

from mpdemos import live

STILLS = Path(__file__).parent.parent / "src" / "mpdemos" / "live" / "stills"
RUNS = {
    live.Lock: {8: "One more teller", 14: "Kill the holder"},
    live.Semaphore: {9: "Release once too often", 15: "Kill one inside"},
    live.Event: {5: "Set", 10: "Clear", 15: "Set"},
    live.Queue: {3: "Put a plate", 11: "One more waiter", 15: "Kill a waiter"},
    live.Pool: {3: "Submit 4 tasks", 9: "Submit 4 tasks", 10: "Kill a busy worker", 15: "Submit 4 tasks"},
}


def main() -> None:
    for make, presses in RUNS.items():
        control = make()
        control.start()
        for second in range(19):
            time.sleep(1)
            if second in presses:
                control.press(presses[second])
        print(control.kind, "-", control.state)
        svg = base64.b64decode(re.findall('base64,([^"]*)', control.image)[0])
        (STILLS / f"{control.kind.lower()}.svg").write_bytes(svg)
        control.close()


if __name__ == "__main__":
    main()
