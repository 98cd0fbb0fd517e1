"""Each lesson in a real JupyterLab, as a newcomer has it: opened untrusted; a cell of each section, the
last section first; then Run All, twice."""

import json
import re
from itertools import pairwise

import nbformat
import pytest
from labtools import (
    NOTEBOOKS,
    PANEL,
    PICTURES,
    READY,
    cells,
    end_kernels,
    execute,
    facts,
    pictures,
    run,
    run_all,
    wait_until,
)
from leftovers import tagged

HEADINGS = """[...document.querySelectorAll('.jp-RenderedMarkdown :is(h1, h2, h3, h4, h5, h6)')]
    .map(heading => Number(heading.tagName[1]))"""
# What a cell says that is run before those that it needs, in the words of Python or IPython.
NOT_YET = re.compile(r"(Name|ModuleNotFound|FileNotFound)Error|magic `%%worker` not found")
SIZES = f"{PICTURES}.map(image => [image.alt.length, image.naturalWidth, image.clientHeight])"
# What the lessons themselves show. JupyterLab's own editors, buttons and the list that holds the cells have
# findings of their own (editors and the buttons beside headings without a name), which are not ours to cure.
OURS = {
    "include": [[".jp-RenderedHTMLCommon"], [".jp-OutputArea-output"]],
    "exclude": [[".jp-collapseHeadingButton"]],
}


def test_the_lab_opens_prepared_and_leaves_the_users_own_settings_alone(page, lab):
    """What the browser is sent to: the first lesson, the list of lessons beside it, nothing in the way."""
    (start,) = lab.home.rglob("jpserver-file-to-run-*-open.html")
    page.goto(start.as_uri())
    page.wait_for_function(READY)
    assert page.evaluate(f"{PANEL}.context.path") == "notebooks/00-start-here.ipynb"
    page.locator(".jp-DirListing-item").first.wait_for()
    listed = page.locator(".jp-DirListing-itemName").all_inner_texts()
    assert [name for name in listed if name.endswith(".ipynb")] == [path.name for path in NOTEBOOKS]
    assert page.locator(".cm-lineNumbers").count() == 0
    assert page.locator(".jp-Dialog, .Toastify__toast").count() == 0

    execute(page, "apputils:incr-font-size", json.dumps({"key": "code-font-size"}))
    kept = lab.checkout / ".jupyter/lab/lab/user-settings/@jupyterlab/apputils-extension"
    wait_until((kept / "themes.jupyterlab-settings").exists, "the setting is not kept")
    wait_until(lambda: list(lab.checkout.glob(".jupyter/lab/lab/workspaces/*")), "the tabs are not kept")
    assert not (lab.home / ".jupyter").exists()
    assert not (lab.home / ".ipython").exists()
    end_kernels(lab)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_newcomer_opens_it_and_runs_it_in_any_order(path, opened, page, screenshots):
    opened(path.name)
    before = nbformat.read(path, as_version=4).cells
    stored = page.evaluate(SIZES)
    assert len(stored) == pictures(before) > 0, "before anything was run, in a notebook that is not trusted"
    assert all(min(size) > 0 for size in stored)
    assert page.locator(".jp-PlaceholderText:visible").count() == 0, "an answer shows before the prediction"
    levels = page.evaluate(HEADINGS)
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after <= level + 1 for level, after in pairwise(levels))
    page.screenshot(path=screenshots / f"{path.stem}-first-screen.png")

    code = [number for number, cell in enumerate(before) if cell.cell_type == "code"]
    sections = [number for number, cell in enumerate(before) if cell.source.startswith("## ")]
    below = [[number for number in code if number > section] for section in sections]
    firsts = sorted({numbers[0] for numbers in below if numbers}, reverse=True)
    run(page, firsts)
    now = cells(page)
    for number in firsts:
        shown = json.dumps(now[number]["outputs"])
        assert facts(now[number]) == facts(before[number]) or NOT_YET.search(shown), shown
    for time in (1, 2):
        run_all(page)
        now = cells(page)
        assert now[code[-1]]["execution_count"] == len(firsts) + time * len(code)
        for cell, after in zip(before, now, strict=True):
            assert facts(after) == facts(cell), cell.source
    page.wait_for_function(f"{PICTURES}.length === {pictures(now)}")  # a widget needs a moment
    drawn = page.evaluate(SIZES)
    assert all(min(size) > 0 for size in drawn)
    page.locator('.jp-OutputArea img[src^="data:image/svg"]').first.screenshot(
        path=screenshots / f"{path.stem}-picture.png"
    )
    assert not_accessible(page) == []


def not_accessible(page):
    """What axe-core finds serious or critical in what is ours."""
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe-core is not installed").Axe
    found = axe().run(page, context=OURS, options={"resultTypes": ["violations"]}).response["violations"]
    return [
        (finding["id"], [node["html"] for node in finding["nodes"]])
        for finding in found
        if finding["impact"] in ("serious", "critical")
    ]


HANGS = """\
with watch(limit=None) as mp:
    lock, held = mp.Lock(), mp.Event()
    mp.Process(target=bank.hold_and_wait, args=(lock, held)).start()
    held.wait()
    print("the child has it")
    lock.acquire()
"""


def test_an_interrupt_ends_what_hangs_and_a_restart_begins_again(opened, page, lab):
    """A cell that waits for a lock for ever, without a limit: the learner's own stop button must end it."""
    opened("02-lock.ipynb")
    imports = next(n for n, cell in enumerate(cells(page)) if "import lock as bank" in cell["source"])
    page.evaluate(f"{PANEL}.content.activeCellIndex = {imports}")
    execute(page, "notebook:run-cell")
    execute(page, "notebook:insert-cell-below")
    page.wait_for_function(f"{PANEL}.content.activeCellIndex === {imports + 1}")
    idle = len(tagged(lab.tag))
    page.evaluate(f"source => {PANEL}.content.activeCell.model.sharedModel.setSource(source)", HANGS)
    execute(page, "notebook:run-cell")
    shown = f"{PANEL}.content.model.toJSON().cells[{imports + 1}].outputs"
    page.wait_for_function(f"{shown}.some(output => output.text?.includes('the child has it'))")
    assert len(tagged(lab.tag)) > idle

    execute(page, "notebook:interrupt-kernel")
    page.wait_for_function(f"{READY} && {shown}.some(output => output.ename === 'KeyboardInterrupt')")
    children = "multiprocessing.active_children()"
    page.evaluate(f"source => {PANEL}.content.activeCell.model.sharedModel.setSource(source)", children)
    execute(page, "notebook:run-cell")
    page.wait_for_function(f"{READY} && {shown}[0]?.data?.['text/plain'] === '[]'")

    page.evaluate(f"{PANEL}.sessionContext.session.kernel.restart()")
    page.wait_for_function(READY)
    execute(page, "notebook:run-cell")
    page.wait_for_function(f"{READY} && {shown}[0]?.ename === 'NameError'")
