"""The code cells of a lesson, and what of them Python itself can read."""

import re


def code(notebook):
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def python(source):
    """A cell's Python: a cell magic's own lines are not."""
    if source.startswith("%%"):
        return ""
    return re.sub(r"(?m)^\s*[%!].*$", "pass", source)
