"""Where a lesson breaks into slides: none holds more than fits on a screen of 1280 × 720.

A `##` begins a slide, a `###` a slide below it, and so does a cell for which the slide before has no room
left. How high a cell will be is estimated, in pixels of that screen and for the sizes in notebooks/rise.css;
tests/browser measures the slides themselves.
"""

from __future__ import annotations

import base64
import re
import struct
from math import ceil

import nbformat

ROOM, WIDE, HIGHEST_CHART = 680, 1216, 440
LINE, CODE_LINE, LETTERS, CODE_LETTERS = 30, 22.5, 105, 108  # of text, of code: height, letters on a line
GAP = 12
TIMELINE = re.compile(r"data:image/svg\+xml;base64,([A-Za-z0-9+/=]+)")
CHART = re.compile(r"data:image/png;base64,([A-Za-z0-9+/=]+)")
BY_HAND = ("skip", "notes")
LONE_HEADING = re.compile(r"#+ .*")
DRAWS = re.compile(r"\w+\.timeline\(.*\)")
GUARD = "try:\n    import mpdemos"


def split(notebook: nbformat.NotebookNode) -> None:
    """Break the cells where slides may have to: a slide begins with a cell.

    A heading begins a cell, and so does what follows an answer, and a timeline below a long block of code.
    """
    cells = []
    for cell in notebook.cells:
        new = nbformat.v4.new_code_cell if cell.cell_type == "code" else nbformat.v4.new_markdown_cell
        pieces = code_parts(cell.source) if cell.cell_type == "code" else parts(cell.source)
        if len(pieces) > 1:
            cells += [new(piece, metadata=dict(cell.metadata)) for piece in pieces]
        else:
            cells.append(cell)
    notebook.cells = cells


def code_parts(source: str) -> list[str]:
    """A picture below more than seven lines would not fit on a slide with them."""
    code, _, last = source.rpartition("\n")
    if DRAWS.fullmatch(last) and len(code.splitlines()) > 7:
        return [code.rstrip(), last]
    return [source]


def parts(source: str) -> list[str]:
    """The pieces of a markdown cell; none is higher than a slide, unless it is one table or list."""
    pieces: list[str] = []
    for block in blocks(source):
        heading = block.startswith("#") and not LONE_HEADING.fullmatch(pieces[-1] if pieces else "")
        answered = pieces and pieces[-1].endswith("</details>")
        if pieces and not heading and not answered and text_height(f"{pieces[-1]}\n\n{block}") <= ROOM:
            pieces[-1] += f"\n\n{block}"
        else:
            pieces.append(block)
    return pieces


def blocks(source: str) -> list[str]:
    """Paragraphs, lists, tables, fenced code and answers: what stands together."""
    found: list[str] = []
    for paragraph in re.split(r"\n\s*\n", source.strip()):
        if found and (
            found[-1].count("```") % 2 or found[-1].count("<details>") > found[-1].count("</details>")
        ):
            found[-1] += f"\n\n{paragraph}"
        else:
            found.append(paragraph)
    return found


def set_slide_types(notebook: nbformat.NotebookNode) -> None:
    """Give each cell its slide type; what was set by hand to skip or notes stays."""
    used, before = 0.0, None  # on this slide; the cell above, unless it is the slide's first
    answered = False  # by the cell above
    for cell in notebook.cells:
        kind = cell.metadata.get("slideshow", {}).get("slide_type")
        if kind in BY_HAND:
            continue
        if cell.source.startswith(GUARD):
            cell.metadata["slideshow"] = {"slide_type": "skip"}
            continue
        kind, high = by_heading(cell), height(cell)
        if kind == "-" and answered and not is_answer(cell):
            kind = "subslide"  # or the class reads on and need not think
        answered = is_answer(cell)
        if kind == "-" and used + high > ROOM:
            if before and belong_together(before, cell) and height(before) + high <= ROOM:
                before.metadata["slideshow"] = {"slide_type": "subslide"}
                used = height(before)
            else:
                kind = "subslide"
        used = used + high if kind == "-" else high
        before = cell if kind == "-" else None
        cell.metadata["slideshow"] = {"slide_type": kind}


def belong_together(before: nbformat.NotebookNode, cell: nbformat.NotebookNode) -> bool:
    """Is `before` the text that leads to the cell, or the question that it answers?"""
    leads = before.cell_type == "markdown" and before.source.rstrip().endswith(":")
    return leads or cell.source.startswith("<details>")


def is_answer(cell: nbformat.NotebookNode) -> bool:
    """Does it tell, or show when it is run, what the reader was asked to predict?"""
    return cell.source.startswith("<details>") or bool(cell.metadata.get("jupyter", {}).get("outputs_hidden"))


def by_heading(cell: nbformat.NotebookNode) -> str:
    if cell.cell_type == "markdown" and cell.source.startswith(("# ", "## ")):
        return "slide"
    if cell.cell_type == "markdown" and cell.source.startswith("#"):
        return "subslide"
    return "-"


def height(cell: nbformat.NotebookNode) -> float:
    if cell.cell_type == "markdown":
        return text_height(cell.source)
    shown = sum(map(output_height, cell.get("outputs", [])))
    return CODE_LINE * len(cell.source.splitlines()) + 2 * GAP + shown


def text_height(source: str) -> float:
    source = re.sub(r"(?s)<details>.*?</details>", "answer", source)
    total = 0.0
    for block in blocks(source):
        lines = block.splitlines()
        if block.startswith("```"):
            total += CODE_LINE * (len(lines) - 2)
        elif block.startswith("|"):
            total += sum(ceil(len(line) / LETTERS) * 25 + 4 for line in lines)
        else:
            for item in re.split(
                r"\n(?=[-*#] |\d+\. )", block
            ):  # a paragraph, a heading or an item of a list
                large = 1.5 if item.startswith("#") else 1.0
                total += ceil(len(item) * large / LETTERS) * LINE * large
        total += GAP
    return total


def output_height(output: nbformat.NotebookNode) -> float:
    data = output.get("data", {})
    html = joined(data.get("text/html", ""))
    timeline = TIMELINE.search(html)
    if timeline:
        svg = base64.b64decode(timeline[1]).decode()
        wide, high = (re.search(rf'<svg[^>]* {side}="([\d.]+)"', svg)[1] for side in ("width", "height"))
        return float(high) / float(wide) * WIDE + GAP
    if chart := CHART.search(html):
        wide, high = struct.unpack(">II", base64.b64decode(chart[1])[16:24])
        return min(high / wide * WIDE, HIGHEST_CHART) + GAP
    text = joined(output.get("text", "")) or joined(data.get("text/plain", ""))
    if output.output_type == "error":
        text = "\n".join(output.traceback)
    lines = sum(max(1, ceil(len(line) / CODE_LETTERS)) for line in text.rstrip().splitlines())
    return lines * (LINE if html else CODE_LINE) + GAP


def joined(text: str | list[str]) -> str:
    return text if isinstance(text, str) else "".join(text)
