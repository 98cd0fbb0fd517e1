"""A chart with words for who does not see it; JupyterLab gives matplotlib's own pictures none."""

from __future__ import annotations

import base64
import io
from html import escape
from typing import Any


class Chart:
    """A matplotlib figure as an image with an alternative text; Jupyter shows it, and ``str()`` is the text.

    Args:
        figure: the figure; it is closed, so that it does not show a second time.
        words: what it shows, the same on every run: no times.
    """

    def __init__(self, figure: Any, words: str) -> None:
        import matplotlib.pyplot as plt

        file = io.BytesIO()
        figure.savefig(file, format="png", dpi=110)
        plt.close(figure)
        self._png, self._words = file.getvalue(), words

    def __repr__(self) -> str:
        return self._words

    def _repr_mimebundle_(self, **kwargs: object) -> dict[str, str]:
        data = base64.b64encode(self._png).decode()
        image = f'<img alt="{escape(self._words)}" src="data:image/png;base64,{data}">'
        return {"text/html": image, "text/plain": self._words}
