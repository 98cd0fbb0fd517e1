"""Write each lesson as slides to take home: `make slides`.

    python tools/slides.py [notebooks/02-lock.ipynb …]

One file a lesson, in slides/, with all that it needs in it: it works without a network. Space goes on, Esc
shows all slides, S opens the speaker's view with the notes. What is shown is what the notebook stores;
nothing is run.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import nbformat
from nbconvert.exporters import SlidesExporter

ROOT = Path(__file__).parent.parent
NPM = ROOT / "tools" / "slides"  # says which reveal.js
REVEAL = NPM / "node_modules" / "reveal.js"
STYLE = ROOT / "notebooks" / "rise.css"  # where RISE looks for it


def main(paths: list[Path]) -> None:
    get_reveal()
    folder = ROOT / "slides"
    folder.mkdir(exist_ok=True)
    for path in paths:
        target = folder / f"{path.stem}.html"
        target.write_text(slides(path), encoding="utf-8")
        print(target.relative_to(ROOT))


def get_reveal() -> None:
    """Install the pinned reveal.js, unless it is there."""
    wanted, installed = NPM / "package-lock.json", REVEAL.parent / ".package-lock.json"
    if installed.exists() and installed.stat().st_mtime >= wanted.stat().st_mtime:
        return
    npm = shutil.which("npm")
    if npm is None:
        sys.exit(
            "mpdemos: the slides need reveal.js, and npm, which installs it, is not here: install Node.js "
            "(https://nodejs.org; Debian and Ubuntu: apt install npm), then `make slides` again"
        )
    command = [npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"]
    if subprocess.run(command, cwd=NPM).returncode:
        sys.exit(
            "mpdemos: npm could not install reveal.js (its own message is above): no slides were written"
        )


def slides(path: Path) -> str:
    """A notebook as one page of HTML."""
    notebook = nbformat.read(path, as_version=4)
    notebook.cells = with_notes(notebook.cells, notes(path))
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            cell.source = re.sub(r"(\]\([\w-]+)\.ipynb", r"\1.html", cell.source)
        for output in cell.get("outputs", []):  # without a kernel a live control is dead: its text is shown
            output.get("data", {}).pop("application/vnd.jupyter.widget-view+json", None)
    exporter = SlidesExporter(template_name="template", extra_template_basedirs=[str(NPM)])
    scripts = [read(REVEAL / "dist" / "reveal.js"), read(REVEAL / "plugin" / "notes" / "notes.js")]
    resources = {
        "metadata": {"name": path.stem},
        "slides": {
            "scripts": [script.replace("</script", "<\\/script") for script in scripts],
            "reveal_css": read(REVEAL / "dist" / "reveal.css"),
            "our_css": read(STYLE),
        },
    }
    page, _resources = exporter.from_notebook_node(notebook, resources)
    return page


def notes(path: Path) -> dict[str, str]:
    """What to say in each section of a lesson; it stands in docs/notes, where no learner has to read it."""
    text = read(ROOT / "docs" / "notes" / f"{path.stem}.md")
    titles_and_texts = re.split(r"(?m)^## (.+)$", text)[1:]
    pairs = zip(titles_and_texts[::2], titles_and_texts[1::2], strict=True)
    return {title.rpartition(" (")[0]: f"**{title}**\n{body}" for title, body in pairs}


def with_notes(cells: list, told: dict[str, str]) -> list:
    """The cells, and behind the first one of each section its notes."""
    found = []
    for number, cell in enumerate(cells):
        found.append(cell)
        titles = re.findall(r"(?m)^## (.+)$", cell.source) if cell.cell_type == "markdown" else []
        for title in titles or (["Opening"] if number == 0 else []):
            note = nbformat.v4.new_markdown_cell(told[title])
            note.metadata["slideshow"] = {"slide_type": "notes"}
            found.append(note)
    return found


def read(path: Path) -> str:
    return path.read_text(encoding="utf-8")


if __name__ == "__main__":
    main([Path(argument) for argument in sys.argv[1:]] or sorted((ROOT / "notebooks").glob("*.ipynb")))
