"""What the learner is told: one of three states, the reason in words, and a picture of the processes."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from html import escape

NOT_ATTEMPTED, NOT_YET, RIGHT = "not attempted", "not yet", "right"
_LOOK = {NOT_ATTEMPTED: ("○", "#57606a"), NOT_YET: ("△", "#8f3f00"), RIGHT: ("✓", "#00664f")}


@dataclass(frozen=True)
class Verdict:
    """What came of a check; Jupyter shows it.

    Attributes:
        exercise: the name of the exercise.
        state: ``not attempted``, ``not yet`` or ``right``.
        reason: why, and what to do next.
        svg: a picture of what the learner's processes did, or empty.
        told: the same in words, for who does not see the picture.
        printed: the beginning of what the learner's code printed.
    """

    exercise: str
    state: str
    reason: str
    svg: str = ""
    told: str = ""
    printed: str = ""

    def __bool__(self) -> bool:
        return self.state == RIGHT

    def __repr__(self) -> str:
        mark, _ = _LOOK[self.state]
        text = f"{mark} {self.exercise}: {self.state}. {self.reason}"
        return text + (f"\nYour code printed:\n{self.printed}" if self.printed else "")

    def _repr_mimebundle_(self, **kwargs: object) -> dict[str, str]:
        mark, colour = _LOOK[self.state]
        first, _, more = self.reason.partition("\n")
        html = (
            f'<div style="border-left: 6px solid {colour}; padding: 4px 12px">'
            f'<b style="color: {colour}">{mark} {escape(self.exercise)}: {self.state}.</b> '
            f"{escape(first)}"
        )
        if more:
            html += f"<pre>{escape(more)}</pre>"
        if self.printed:
            html += f"<p>Your code printed:</p><pre>{escape(self.printed)}</pre>"
        if self.svg:
            data = base64.b64encode(self.svg.encode()).decode()
            html += f'<p>This is what your processes did:</p><img alt="{escape(self.told)}" '
            html += f'src="data:image/svg+xml;base64,{data}" width="1000">'
        return {"text/html": html + "</div>", "text/plain": repr(self)}
