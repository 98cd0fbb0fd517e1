"""Rules that every committed notebook keeps. nbval compares the outputs; here is what nbval cannot see."""

import ast
import base64
import getpass
import importlib
import json
import os
import re
import socket
import subprocess
import sys
import time
import uuid
from itertools import pairwise
from pathlib import Path
from urllib.parse import unquote

import nbformat
import psutil
import pytest
from chromium import CHROMIUM
from codecells import code, python
from leftovers import TAG, tagged

ROOT = Path(__file__).parent.parent
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
SECTIONS = [
    "Run it",
    "Watch it",
    "Predict, then run",
    "Break it",
    "Fix it",
    "The rest of the API",
    "Traps",
    "Your turn",
    "For real",
    "Remember",
]
MOST_BYTES = 200_000
MOST_LINES = 15  # of code in a cell


@pytest.fixture(params=NOTEBOOKS, ids=lambda path: path.stem)
def path(request):
    return request.param


@pytest.fixture
def notebook(path):
    return nbformat.read(path, as_version=4)


def text(notebook):
    return "\n\n".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")


def headings(notebook):
    prose = re.sub(r"(?s)```.*?```", "", text(notebook))
    return [(len(marks), title.strip()) for marks, title in re.findall(r"(?m)^(#+) (.+)$", prose)]


def test_there_are_notebooks():
    assert [path.name[:2] for path in NOTEBOOKS] == [f"{n:02}" for n in range(len(NOTEBOOKS))]


def test_is_a_valid_notebook(notebook):
    nbformat.validate(notebook)


def test_every_code_cell_was_run_in_order(notebook):
    """nbval compares nothing in a cell without a count."""
    counts = [cell.execution_count for cell in code(notebook)]
    assert counts == list(range(1, len(counts) + 1))


def test_no_unexpected_error_and_no_stderr_is_stored(notebook):
    for cell in code(notebook):
        expected = "raises-exception" in cell.metadata.get("tags", [])
        assert expected or not [o for o in cell.outputs if o.output_type == "error"]
        assert not [o for o in cell.outputs if o.get("name") == "stderr"]


OF_A_MACHINE = (
    r"/home/|/root\b|/Users/|[A-Z]:\\\\|/tmp/\w|/var/folders|site-packages|\.venv"
    r"|token=\w|Bearer \w|\bpid=\d"
)
IN_AN_OUTPUT = r'File \\?"/|\b0x[0-9a-f]{6,}|://[^/\s"]*@'  # a traceback, an address in memory, a password


def unpacked(text):
    """The text, and what its pictures say, whose letters base64 hides."""
    yield re.sub(r'data:image/[a-z+]+;base64,[^"\\]*|"image/png": "[^"]*"', "", text)
    for data in re.findall(r'data:image/[a-z+]+;base64,([^"\\]*)|"image/png": "([^"]*)"', text):
        picture = base64.b64decode("".join(data).replace("\\n", ""))
        yield from re.findall(r"[ -~]{6,}", picture.decode("latin-1"))


def test_names_no_machine(path):
    """No home, no path of a temporary folder, no token, no address of a registry: not in a picture either."""
    for text in unpacked(path.read_text(encoding="utf-8")):
        assert not re.search(OF_A_MACHINE, text)


def test_no_output_names_the_user_or_a_file_of_the_machine(notebook):
    names = {name for name in (getpass.getuser(), socket.gethostname()) if len(name) > 4}
    for cell in code(notebook):
        for text in unpacked(json.dumps(cell.outputs)):
            for pattern in (IN_AN_OUTPUT, *map(re.escape, names - {"runner", "localhost"})):
                assert not re.search(pattern, text)


def test_what_names_a_machine_is_found_in_pictures_too():
    for hidden in (b"<svg><text>/home/ada</text></svg>", b"\x89PNG....tEXtSource\0/home/ada/x.png...."):
        data = base64.b64encode(hidden).decode()
        for text in (
            f'<img src=\\"data:image/svg+xml;base64,{data}\\">',
            f'"image/png": "{data[:8]}\\n{data[8:]}\\n"',
        ):
            assert any("/home/" in piece for piece in unpacked(text))


def test_metadata_is_clean(notebook):
    assert notebook.metadata.kernelspec.name == "python3"
    assert set(notebook.metadata) == {"kernelspec", "language_info"}
    for cell in notebook.cells:
        assert set(cell.metadata) <= {"tags", "slideshow", "jupyter"}
        assert cell.metadata.slideshow.slide_type in ("slide", "subslide", "fragment", "-", "skip", "notes")


def test_is_small(path):
    assert path.stat().st_size < MOST_BYTES


def test_cells_are_short(notebook):
    for cell in code(notebook):
        assert len(cell.source.splitlines()) <= MOST_LINES, cell.source


def test_headings_are_in_order(notebook):
    levels = [level for level, _title in headings(notebook)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after <= before + 1 for before, after in pairwise(levels))


def test_sections_follow_the_anatomy(path, notebook):
    found = [title for level, title in headings(notebook) if level == 2 and title in SECTIONS]
    if path.stem.startswith("00"):
        assert found == [title for title in SECTIONS if title in found]
        assert {"Run it", "Watch it", "Traps", "Remember"} <= set(found)
    else:
        assert found == SECTIONS


def test_says_what_the_learner_will_be_able_to_do(notebook):
    opening = text(notebook).split("\n## ")[0]
    for part in ("**You will be able to**", "**You need**", "minutes"):
        assert part in opening


def test_asks_for_predictions(path, notebook):
    asked = [cell for cell in code(notebook) if cell.source.startswith("predict(")]
    assert len(asked) >= (1 if path.stem.startswith("00") else 2)
    assert text(notebook).count("<details>") == text(notebook).count("</details>")


def test_says_what_to_install_in_its_first_cell(notebook):
    first = code(notebook)[0].source
    assert "make lab" in first
    assert first.startswith("try:\n    import mpdemos")


def test_every_relative_link_resolves(path, notebook):
    for target in re.findall(r"\]\(([^)\s]+)\)", text(notebook)):
        if not re.match(r"[a-z]+:", target) and not target.startswith("#"):
            assert (path.parent / unquote(target.partition("#")[0])).exists(), target


def test_every_import_and_worker_resolves(notebook):
    modules = {}
    for cell in code(notebook):
        for node in ast.walk(ast.parse(python(cell.source))):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("mpdemos"):
                module = importlib.import_module(node.module)
                for name in node.names:
                    if node.module == "mpdemos.workers":
                        modules[name.asname or name.name] = importlib.import_module(
                            f"{node.module}.{name.name}"
                        )
                    elif not hasattr(module, name.name):
                        importlib.import_module(f"{node.module}.{name.name}")
    for cell in code(notebook):
        for node in ast.walk(ast.parse(python(cell.source))):
            if (
                isinstance(node, ast.Attribute)
                and isinstance(node.value, ast.Name)
                and node.value.id in modules
            ):
                assert hasattr(modules[node.value.id], node.attr), f"{node.value.id}.{node.attr}"


def test_every_picture_says_what_it_shows(notebook):
    for cell in code(notebook):
        for output in cell.outputs:
            html = "".join(output.get("data", {}).get("text/html", ""))
            for image in re.findall(r"<img[^>]*>", html):
                assert re.search(r'alt="[^"]{20,}"', image)
    assert not re.findall(r"!\[\]\(", text(notebook))


def test_a_lesson_draws_a_timeline(notebook):
    pictures = [o for cell in code(notebook) for o in cell.outputs if "svg+xml;base64" in json.dumps(o)]
    assert pictures


def test_without_the_package_its_first_cell_says_what_to_install(notebook, monkeypatch):
    monkeypatch.setitem(sys.modules, "mpdemos", None)
    with pytest.raises(ModuleNotFoundError, match="make lab"):
        exec(python(code(notebook)[0].source), {})


NOTHING_LEFT = """\
import multiprocessing
assert multiprocessing.active_children() == [], multiprocessing.active_children()"""


@pytest.mark.slow  # every cell twice
@pytest.mark.skipif(CHROMIUM is not None, reason="tests/browser runs each lesson in any order, in JupyterLab")
def test_runs_the_plain_way_and_again_in_reverse(path, notebook, tmp_path):
    """By nbconvert, for nbval lets an unknown magic pass: from top to bottom, then from bottom to top.

    On the way back a cell may find a variable of a later cell and say so; it may not hang or leave anything.
    """
    forth = code(notebook)
    may_fail = {"tags": ["raises-exception"]}
    back = [nbformat.v4.new_code_cell(cell.source, metadata=may_fail) for cell in reversed(forth)]
    cells = [*forth, *back, nbformat.v4.new_code_cell(NOTHING_LEFT)]
    again = nbformat.v4.new_notebook(cells=cells, metadata=notebook.metadata)
    nbformat.write(again, tmp_path / path.name)
    command = [sys.executable, "-m", "nbconvert", "--execute", "--to", "notebook", "--output=done"]
    command += ["--ExecutePreprocessor.timeout=300", str(tmp_path / path.name)]
    tag = uuid.uuid4().hex
    environment = os.environ | {TAG: tag}
    done = subprocess.run(command, capture_output=True, text=True, timeout=1200, env=environment)
    assert done.returncode == 0, done.stderr[-3000:]
    assert left_behind(tag) == []


def left_behind(tag):
    """Processes that carry the tag in their environment and do not end by themselves soon."""
    deadline = time.monotonic() + 60
    while True:
        left = tagged(tag)
        if not left or time.monotonic() > deadline:
            return left
        psutil.wait_procs(left, timeout=0.2)
