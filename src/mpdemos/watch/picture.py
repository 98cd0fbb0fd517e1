"""The picture: a lane for each process, drawn as a small SVG that shows offline and in untrusted notebooks.

Presentation attributes only, no style sheet and no reference: nothing that a sanitiser takes away.
States differ in height and outline as well as in colour; the colours are Okabe and Ito's.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable, Iterator
from html import escape as _escape
from pathlib import Path
from typing import Any

from .explain import explain
from .history import History, Message, Span
from .record import Record

WIDTH = 1100
_FONT, _LETTER = 18, 9.6  # the size of the text, and about the width of a letter
_LANE, _RIGHT = 62, 28
_LOW_LANE = 23  # of many processes: as low as a line of text
_HIGH_LANES, _MOST_LANES = 24, 72
_MOST_ARROWS, _MOST_MARKS, _MOST_ROWS = 200, 200, 200
_MOST_COLOURS = 10  # of objects that are held: above it they share one
_MOST_SHAPES = 80_000  # for the spans; a short one takes some six bytes
_NARROW, _MANY_NARROW = 6, 40  # pixels, and spans in a lane that are drawn as one shape
_MANY_SHORT = 20  # below that nobody misses them
_INK, _PALE, _GRID = "#1b1f24", "#57606a", "#d8dee4"
_WORK, _WAIT, _WAIT_EDGE, _DEAD = "#56b4e9", "#fff3d1", "#9a5b00", "#b3261e"
_HOLD = ("#00664f", "#0059a3", "#8f3f00", "#7b2d66", "#3d3d3d")
_TASK = "#cfe8f7"


class Timeline:
    """A picture of a watched block; Jupyter shows it, and ``str()`` is the explanation.

    Args:
        history: what happened.
        title: a heading for the picture; none if empty.
    """

    def __init__(self, history: History, title: str = "") -> None:
        self._history, self._title = history, title
        self._words = explain(history)

    @property
    def svg(self) -> str:
        """The picture as the text of an SVG file."""
        return _Drawing(self._history, self._title, self._words).svg()

    def save(self, path: str | Path) -> Path:
        """Write the picture to a file.

        Args:
            path: where to; the name ends in ``.svg``.

        Returns:
            The path of the file.

        Raises:
            ValueError: if the name does not end in ``.svg``.
        """
        path = Path(path)
        if path.suffix != ".svg":
            better = path.with_suffix(".svg").name
            raise ValueError(f"the picture is SVG: name the file {better}, not {path.name}")
        path.write_text(self.svg, encoding="utf-8")
        return path

    def __str__(self) -> str:
        return self._words

    __repr__ = __str__

    def _repr_mimebundle_(self, **kwargs: Any) -> dict[str, str]:
        data = base64.b64encode(self.svg.encode()).decode()
        image = f'<img alt="{escape(self._words)}" src="data:image/svg+xml;base64,{data}" width="{WIDTH}">'
        return {"text/html": image + self._table(), "text/plain": self._words}

    def _table(self) -> str:
        events = self._history.events()
        rows = "".join(
            f"<tr><td>{event.seconds * 1000:.2f}</td><td>{escape(event.process)}</td>"
            f"<td>{escape(event.action)}</td><td>{escape(event.resource)}</td></tr>"
            for event in events[:_MOST_ROWS]
        )
        more = f"<p>The first {_MOST_ROWS} of {len(events)}.</p>" if len(events) > _MOST_ROWS else ""
        head = "<tr><th>ms</th><th>process</th><th>action</th><th>object</th></tr>"
        return (
            f"<details><summary>Every event, as a table</summary><table>{head}{rows}</table>{more}</details>"
        )


class _Drawing:
    """One picture: places on the page, and the shapes in the order in which they are painted."""

    def __init__(self, history: History, title: str, words: str) -> None:
        self.history, self.title, self.words = history, title, words
        order = [key for key in history.order() if history.lives[key].pid]
        self.left_out = len(order) - _MOST_LANES
        self.lanes = self._most_telling(order) if self.left_out > 0 else order
        self.lane = max(_LOW_LANE, min(_LANE, _LANE * _HIGH_LANES / max(len(self.lanes), 1)))
        self.row = {key: number for number, key in enumerate(self.lanes)}
        held = {span.resource for span in history.spans if span.kind == "hold"}
        self.held = [key for key in history.kinds if key in held]
        self.colour = {
            key: _HOLD[number % len(_HOLD)] if len(held) <= _MOST_COLOURS else _HOLD[0]
            for number, key in enumerate(self.held)
        }
        longest = max([len(history.lives[key].name) for key in self.lanes], default=0)
        self.left = min(30 + longest * _LETTER, 320)
        self.legend = list(self._legend())
        self.top = (46 if title else 14) + 34 * (1 + self.legend[-1][0]) + 8
        self.begin = history.began_to_matter
        self.span = max(history.end - self.begin, 1)
        self.too_short = 0
        self.spans = self._spans()
        self.notes: list[str] = []

    def _most_telling(self, order: list[str]) -> list[str]:
        """The lanes to draw if there are too many: whoever did not end well, then the first ones."""
        chosen = set(
            sorted(order, key=lambda key: not (self._is_parent(key) or self._ended(key)))[:_MOST_LANES]
        )
        return [key for key in order if key in chosen]

    def _is_parent(self, key: str) -> bool:
        return self.history.lives[key].is_parent

    def x(self, time: int) -> float:
        past = min(max(time - self.begin, 0), self.span)
        return self.left + past / self.span * (WIDTH - _RIGHT - self.left)

    def y(self, process: str) -> float:
        return self.top + self.lane * (self.row[process] + 0.5)

    def high(self, height: float) -> float:
        """A height in a lane; the lanes of many processes are lower."""
        return height if self.lane == _LANE else round(height * self.lane / _LANE, 1)

    def svg(self) -> str:
        body = [
            *self._head(),
            *self._axis(),
            *(shape for key in self.lanes for shape in self._lane(key)),
            *self._arrows(),
            *self._marks(),
            *(shape for key in self.lanes for shape in self._end(key)),
        ]
        if self.too_short > _MANY_SHORT:
            self.notes.append(
                f"{self.too_short} spans too short to see are drawn as part of others, or wider"
            )
        if self.left_out > 0:
            self.notes.append(f"{self.left_out} more processes are not drawn")
        bottom = self.top + self.lane * len(self.lanes) + 52
        for note in self.notes:
            body.append(_text(self.left, bottom, note + ".", fill=_PALE))
            bottom += 26
        return (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {bottom:.0f}" '
            f'width="{WIDTH}" height="{bottom:.0f}" font-family="Helvetica, Arial, sans-serif" '
            f'font-size="{_FONT}"><title>{escape(self.words)}</title>'
            f'<rect width="{WIDTH}" height="{bottom:.0f}" fill="#ffffff"/>{"".join(body)}</svg>\n'
        )

    # --- what stands around the lanes ------------------------------------------------------------------

    def _head(self) -> Iterator[str]:
        if self.title:
            large: dict[str, Any] = {"font-weight": "bold", "font-size": 22}
            yield _text(self.left, 32, self.title, **large)
        top = 46 if self.title else 14
        for row, x, draw, text in self.legend:
            y = top + 34 * row + 14
            yield draw(self.left + x, y)
            yield _text(self.left + x + 46, y + 6, text)

    def _legend(self) -> Iterator[tuple[int, float, Any, str]]:
        """Row, x, sample and words of each state that occurs."""
        kinds = {span.kind for span in self.history.spans}
        entries: list[tuple[Any, str]] = [(lambda x, y: _bar(x, x + 36, y, 12, _WORK), "running")]
        if "wait" in kinds:
            entries.append((lambda x, y: _waiting(x, x + 36, y), "waiting"))
        if "task" in kinds:
            entries.append((lambda x, y: _bar(x, x + 36, y, 26, _TASK, stroke="#00527a"), "task"))
        if len(self.held) > _MOST_COLOURS:
            words = f"holding one of {len(self.held)} objects"
            entries.append((lambda x, y: _bar(x, x + 36, y, 28, _HOLD[0]), words))
        for key in self.held if len(self.held) <= _MOST_COLOURS else []:
            words, colour = f"holding {self.history.spoken(key)}", self.colour[key]
            entries.append((lambda x, y, colour=colour: _bar(x, x + 36, y, 28, colour), words))
        if self.history.messages:
            entries.append((lambda x, y: _arrow(x, y - 8, x + 34, y + 8), "message"))
        row, x = 0, 0.0
        for draw, words in entries:
            width = 70 + len(words) * _LETTER
            if x and self.left + x + width > WIDTH:
                row, x = row + 1, 0.0
            yield row, x, draw, words
            x += width

    def _axis(self) -> Iterator[str]:
        bottom = self.top + self.lane * len(self.lanes)
        step = _round_step(self.span / 6)
        unit, size = ("s", 1e9) if self.span > 3e9 else ("ms", 1e6)
        tick = 0.0
        while tick <= self.span:
            x = self.x(int(self.begin + tick))
            yield _line(x, self.top, x, bottom, stroke=_GRID)
            yield _text(x, bottom + 22, f"{tick / size:g}", fill=_PALE, **{"text-anchor": "middle"})
            tick += step
        yield _text(WIDTH - _RIGHT, bottom + 44, f"time ({unit})", fill=_PALE, **{"text-anchor": "end"})

    # --- one lane --------------------------------------------------------------------------------------

    def _lane(self, key: str) -> Iterator[str]:
        life, y = self.history.lives[key], self.y(key)
        name = life.name if len(life.name) * _LETTER < 300 else life.name[:29] + "…"
        yield _text(self.left - 12, y + 6, name, **{"text-anchor": "end"})
        start, end = max(life.start, self.begin), life.end or self.history.end
        yield _line(self.left, y, WIDTH - _RIGHT, y, stroke=_GRID)
        yield _bar(self.x(start), self.x(end), y, self.high(12), _WORK)
        for kind in ("task", "hold", "wait"):  # a wait in the middle of a hold must be seen
            narrow: dict[str, list[Span]] = {}
            for span in self.spans.get((key, kind), []):
                narrow.setdefault(self._paint(span)[0] if self._is_narrow(span) else "", []).append(span)
            for span in narrow.pop("", []):
                yield from self._draw(span, y)
            for spans in narrow.values():
                if len(spans) > _MANY_NARROW:
                    yield self._stripes(spans, y)
                else:
                    yield from (shape for span in spans for shape in self._draw(span, y))
        if life.end is not None:
            yield from self._still_held(key, life.end, y)

    def _is_narrow(self, span: Span) -> bool:
        return self.x(span.end or self.history.end) - self.x(span.start) < _NARROW

    def _paint(self, span: Span) -> tuple[str, float]:
        """The colour and the height of a span."""
        if span.kind == "hold":
            return self.colour[span.resource], self.high(44)
        return (_TASK, self.high(32)) if span.kind == "task" else (_WAIT_EDGE, self.high(28))

    def _stripes(self, spans: list[Span], y: float) -> str:
        """Many narrow spans as one shape."""
        colour, height = self._paint(spans[0])
        steps, pen = [f"M0 {y:.1f}"], 0
        for span in spans:
            start, end = self.x(span.start), self.x(span.end or self.history.end)
            self.too_short += end - start < 1
            left, right = max(int(start), pen), max(int(start) + 1, round(end))
            if right > left:
                steps.append(f"m{left - pen} 0h{right - left}")
                pen = right
        return f'<path d="{"".join(steps)}" stroke="{colour}" stroke-width="{height}"/>'

    def _still_held(self, key: str, end: int, y: float) -> Iterator[str]:
        """A process that ended without releasing: what it held stays held."""
        left, right = self.x(end) + 1, self.x(self.history.end)
        for resource in self.held:
            if key in self.history.holders.get(resource, []) and right - left > 2:
                colour = self.colour[resource]
                edge: dict[str, Any] = {"stroke": colour, "stroke-width": 2, "stroke-dasharray": "2 3"}
                yield _bar(left, right, y, self.high(44), "#ffffff", **edge)
                words = f"{self.history.name(resource)} stays held"
                if right - left > len(words) * _LETTER + 150:
                    middle: dict[str, Any] = {"text-anchor": "middle"}
                    yield _text((left + right) / 2 + 50, y + 6, words, fill=colour, **middle)

    def _spans(self) -> dict[tuple[str, str], list[Span]]:
        """What there is to draw, for each lane and kind: not more than a page can show."""
        spans: dict[tuple[str, str], list[Span]] = {}
        for span in self.history.spans:
            if span.process in self.row:
                spans.setdefault((span.process, span.kind), []).append(span)
        number = sum(map(len, spans.values()))
        grain = self.span / (WIDTH - _RIGHT - self.left)  # a pixel
        spans = {place: _merged(each, grain, self.history.end) for place, each in spans.items()}
        while (left := sum(map(len, spans.values()))) > _MOST_SHAPES and grain < self.span:
            grain *= 2
            spans = {place: _merged(each, grain, self.history.end) for place, each in spans.items()}
        self.too_short = number - left
        return spans

    def _draw(self, span: Span, y: float) -> Iterator[str]:
        left = self.x(max(span.start, self.begin))
        right = self.x(span.end or self.history.end)
        room = int((right - left - 12) / _LETTER)
        name = self.history.name(span.resource)
        if span.kind == "wait":
            if right - left > 0.5:
                yield _waiting(left, right, y, self.high(28))
            words, colour = self._waits_for(span, room), _INK
        elif span.kind == "task":
            yield _bar(left, right, y, self.high(32), _TASK, stroke="#00527a")
            words, colour = str(span.what["function"]), _INK
        else:
            yield _bar(left, right, y, self.high(44), self.colour[span.resource])
            words, colour = name, "#ffffff"
        if words and room >= len(words) and self.lane == _LANE:
            yield _text((left + right) / 2, y + 6, words, fill=colour, **{"text-anchor": "middle"})

    def _waits_for(self, span: Span, room: int) -> str:
        what, name = span.what, self.history.name(span.resource)
        if isinstance(what, list) and what[0] == "join":
            joined = self.history.by_pid(what[1])
            name = "join " + (self.history.lives[joined].name if joined else "")
        elif isinstance(what, list):
            name = f"{what[0]} {name}"
        elif what in ("get", "put"):
            name = f"{what} {name}"
        elif room >= len(name) + len("waits for "):
            name = f"waits for {name}"
        return name if room >= len(name) else ""

    # --- what crosses lanes, and what is a moment ------------------------------------------------------

    def _arrows(self) -> Iterator[str]:
        messages = [m for m in self.history.messages if m.sender in self.row and m.receiver in self.row]
        most = _MOST_ARROWS if self.lane == _LANE else _MOST_ARROWS // 4  # long ones hide the lanes
        if len(messages) > most:
            every = -(-len(messages) // most)
            self.notes.append(f"One message in {every} is drawn")
            messages = messages[::every]
        yield from (self._message(message) for message in messages)

    def _message(self, message: Message) -> str:
        up = self.high(9) if self.row[message.receiver] < self.row[message.sender] else -self.high(9)
        start, end = self.x(message.sent), self.x(message.received)
        return _arrow(start, self.y(message.sender) - up, end, self.y(message.receiver) + up)

    def _marks(self) -> Iterator[str]:
        """The moments at which something was set, cleared or notified."""
        marks = [r for r in self.history.records if r.action in _MARKED and r.process in self.row]
        number, apart = len(marks), 1.0
        while len(marks) > _MOST_MARKS:
            marks, apart = self._spread(marks, apart), apart * 2
        if len(marks) < number:
            self.notes.append(f"Of {number} moments at which something was set, {len(marks)} are marked")
        free: dict[str, float] = {}  # where the next word has room
        words = []
        for record in marks:
            x, y = self.x(record.time), self.y(record.process)
            yield _flag(x, y, record.action == "cleared", self.high(1))
            if x >= free.get(record.process, 0) and self.lane == _LANE:
                free[record.process] = x + 10 + len(record.action) * _LETTER
                words.append(_text(x + 5, y - 20, record.action, stroke="#ffffff", **_HALO))
        yield from words  # above all flags, so that none hides a word

    def _spread(self, marks: list[Record], apart: float) -> list[Record]:
        """Those that are so many pixels away from the one before, in their lane."""
        kept, last = [], dict.fromkeys(self.lanes, -apart)
        for record in marks:
            if self.x(record.time) - last[record.process] >= apart:
                last[record.process] = self.x(record.time)
                kept.append(record)
        return kept

    def _ended(self, key: str) -> bool:
        """Whether it did not end by itself with exit code 0."""
        life = self.history.lives[key]
        ended = life.exitcode if life.worker_of else life.ended_by or life.exitcode
        return bool(
            life.end is not None and not life.is_parent and ended and not (life.worker_of and life.ended_by)
        )

    def _end(self, key: str) -> Iterator[str]:
        end = self.history.lives[key].end
        if end is not None and self._ended(key):
            yield from self._cross(end, self.y(key), self._fate(key))

    def _fate(self, key: str) -> str:
        life = self.history.lives[key]
        if life.ended_by:
            return f"ended by {life.ended_by}"
        if life.exitcode is not None and life.exitcode < 0:
            return "killed"
        return f"exit code {life.exitcode}"

    def _cross(self, time: int, y: float, words: str) -> Iterator[str]:
        x, arm = min(self.x(time), WIDTH - _RIGHT), min(9, self.lane / 3)
        for colour, width in (("#ffffff", 9), (_DEAD, 4)):
            yield _line(x - 9, y - arm, x + 9, y + arm, stroke=colour, **{"stroke-width": width})
            yield _line(x - 9, y + arm, x + 9, y - arm, stroke=colour, **{"stroke-width": width})
        room = len(words) * _LETTER
        left = x + 14
        if left + room > WIDTH - 4:
            left = x - room - 14
        yield _bar(left - 4, left + room, y, min(24, self.lane - 2), "#ffffff")
        yield _text(left, y + 6, words, fill=_DEAD)


def _merged(spans: Iterable[Span], grain: float, end: int) -> list[Span]:
    """Spans too narrow to be told apart, as one."""
    drawn: list[Span] = []
    for span in spans:
        last = drawn[-1] if drawn else None
        if last is not None and last.end is not None and span.start - last.end < grain:
            widths = last.end - last.start, (span.end or end) - span.start
            alike = (last.resource, last.what) == (span.resource, span.what)
            if min(widths) < grain if alike else max(widths) < grain:
                drawn[-1] = last._replace(end=max(last.end, span.end) if span.end else None)
                continue
        drawn.append(span)
    return drawn


_MARKED = ("set", "cleared", "notifies")
_NO_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def escape(words: str) -> str:
    """Words as HTML and SVG may hold them: a process may be called anything."""
    return _escape(_NO_XML.sub("\ufffd", words))


_HALO: dict[str, Any] = {"stroke-width": 4, "paint-order": "stroke"}


def _round_step(step: float) -> float:
    """The next 1, 2 or 5 times a power of ten."""
    power = 10.0 ** (len(str(int(step))) - 1)
    return next(power * factor for factor in (1, 2, 5, 10) if power * factor >= step)


def _attributes(values: dict[str, Any]) -> str:
    return "".join(f' {name}="{value}"' for name, value in values.items())


def _text(x: float, y: float, words: str, fill: str = _INK, **more: Any) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" fill="{fill}"{_attributes(more)}>{escape(words)}</text>'


def _line(x1: float, y1: float, x2: float, y2: float, **more: Any) -> str:
    return f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}"{_attributes(more)}/>'


def _bar(left: float, right: float, y: float, height: float, fill: str, **more: Any) -> str:
    width = max(right - left, 1.0)
    return (
        f'<rect x="{left:.1f}" y="{y - height / 2:.1f}" width="{width:.1f}" height="{height}" '
        f'rx="2" fill="{fill}"{_attributes(more)}/>'
    )


def _waiting(left: float, right: float, y: float, height: float = 28) -> str:
    if right - left < _NARROW:  # dashes would hide it
        return _bar(left, right, y, height, _WAIT, stroke=_WAIT_EDGE)
    return _bar(
        left, right, y, height, _WAIT, stroke=_WAIT_EDGE, **{"stroke-width": 2, "stroke-dasharray": "5 3"}
    )


def _arrow(x1: float, y1: float, x2: float, y2: float) -> str:
    length = max(((x2 - x1) ** 2 + (y2 - y1) ** 2) ** 0.5, 0.1)
    dx, dy = (x2 - x1) / length, (y2 - y1) / length
    back_x, back_y = x2 - 11 * dx, y2 - 11 * dy
    corners = [(x2, y2), (back_x - 5 * dy, back_y + 5 * dx), (back_x + 5 * dy, back_y - 5 * dx)]
    points = " ".join(f"{x:.1f},{y:.1f}" for x, y in corners)
    halo = _line(x1, y1, x2, y2, stroke="#ffffff", **{"stroke-width": 6})
    return (
        halo
        + _line(x1, y1, back_x, back_y, stroke=_INK, **{"stroke-width": 2})
        + f'<polygon points="{points}" fill="{_INK}" stroke="#ffffff" stroke-width="1"/>'
    )


def _flag(x: float, y: float, down: bool, scale: float) -> str:
    top, middle, half = 26 * scale, 16 * scale, 2 * scale
    tip, base = (y - middle, y - half) if down else (y - half, y - middle)
    return (
        _line(x, y - top, x, y + top, stroke="#ffffff", **{"stroke-width": 5})
        + _line(x, y - top, x, y + top, stroke=_INK, **{"stroke-width": 2})
        + f'<polygon points="{x:.1f},{tip:.1f} {x - 6:.1f},{base:.1f} {x + 6:.1f},{base:.1f}" fill="{_INK}"/>'
    )
