"""Run the notebooks from top to bottom and store what they print: `make notebooks`.

    python tools/notebooks.py [notebooks/02-lock.ipynb …]

Stores outputs and execution counts 1..n, and takes out what differs from run to run or names a machine.
A notebook whose text did not change is left as it is, so a picture changes only with its cell.
"""

from __future__ import annotations

import copy
import os
import re
import sys
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from slide_types import set_slide_types, split

NOTEBOOKS = Path(__file__).parent.parent / "notebooks"
CELL_TIMEOUT = 60  # seconds
KEPT = {"tags", "slideshow", "jupyter"}  # of a cell's metadata
PICTURES = re.compile(r"(?s)data:image/(?:svg\+xml|png);base64,[A-Za-z0-9+/=]+|<details>.*?</details>")


def main(paths: list[Path]) -> None:
    # nbval starts its kernels under pytest, where ipykernel leaves the children's own output alone;
    # outputs must be made the same way to be compared (see the function `_is_test` of ipykernel).
    os.environ.setdefault("PYTEST_CURRENT_TEST", "notebooks")
    for path in paths:
        before = nbformat.read(path, as_version=4)
        after = nbformat.read(path, as_version=4)
        split(after)
        NotebookClient(
            after,
            timeout=CELL_TIMEOUT,
            record_timing=False,
            resources={"metadata": {"path": str(path.parent)}},
        ).execute()
        clean(after)
        if comparable(before) != comparable(after):
            nbformat.write(after, path)
            print(f"{path.name}: stored")
        else:
            print(f"{path.name}: unchanged")


def clean(notebook: nbformat.NotebookNode) -> None:
    """Keep what a reader needs: no times, no versions, no widget state; streams joined, nothing on stderr."""
    notebook.metadata = nbformat.from_dict(
        {
            "kernelspec": {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"},
            "language_info": {"name": "python"},
        }
    )
    for number, cell in enumerate(notebook.cells):
        cell.id = f"cell-{number:03}"
        for name in set(cell.metadata) - KEPT:
            del cell.metadata[name]
        answered = number > 0 and notebook.cells[number - 1].source.startswith("predict(")
        if cell.cell_type == "code" and answered:
            cell.metadata["jupyter"] = {
                "outputs_hidden": True
            }  # a reader predicts first; running it shows it
        if cell.cell_type == "code":
            cell.outputs = joined(o for o in cell.outputs if o.get("name") != "stderr")
    set_slide_types(notebook)


def joined(outputs):
    """Neighbouring pieces of one stream as one output: where the pieces break varies."""
    kept: list = []
    for output in outputs:
        # Of a live control its still picture is kept: the widget is gone with the kernel.
        output.get("data", {}).pop("application/vnd.jupyter.widget-view+json", None)
        if kept and output.output_type == "stream" and kept[-1].get("name") == output.name:
            kept[-1].text += output.text
        else:
            kept.append(output)
    return kept


def comparable(notebook: nbformat.NotebookNode) -> str:
    """A notebook's text without what nbval does not compare either."""
    notebook = copy.deepcopy(notebook)
    for cell in notebook.cells:
        if "nbval-ignore-output" in cell.metadata.get("tags", []):
            cell.outputs = []
    return PICTURES.sub("", nbformat.writes(notebook))


if __name__ == "__main__":
    main([Path(argument) for argument in sys.argv[1:]] or sorted(NOTEBOOKS.glob("*.ipynb")))
