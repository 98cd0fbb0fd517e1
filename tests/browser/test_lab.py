"""Each notebook in a real JupyterLab, as a newcomer has it: opened untrusted, then Run All.

Needs a Chromium on this machine (.ci/run installs one); without one these tests skip.
"""

import json
import os
import secrets
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import nbformat
import pytest

sync_api = pytest.importorskip("playwright.sync_api", reason="Playwright is not installed")

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
NOTEBOOKS = sorted((Path(__file__).parents[2] / "notebooks").glob("*.ipynb"))
PATIENCE = 30_000  # milliseconds; a safety net
QUIET = ["--disable-gpu", "--no-first-run", "--disable-background-networking", "--disable-component-update"]
READY = "window.jupyterapp?.shell.currentWidget?.sessionContext?.session?.kernel?.status === 'idle'"
HAS_RUN = """() => {
    const panel = window.jupyterapp.shell.currentWidget;
    const cells = panel.content.model.toJSON().cells.filter(cell => cell.cell_type === 'code');
    return panel.sessionContext.session.kernel.status === 'idle' && cells.at(-1).execution_count !== null
        && cells.every(cell => cell.execution_count !== null);
}"""
PRINTED_BY_A_CHILD = "from the child\n"  # in lesson 00; whether and where it shows is the lesson
PICTURES = """[...document.querySelectorAll('.jp-OutputArea img[src^="data:image/svg"]')]"""

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine")


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    """A JupyterLab on a copy of the notebooks, with folders of its own: its address and its token."""
    home = tmp_path_factory.mktemp("lab")
    shutil.copytree(NOTEBOOKS[0].parent, home / "notebooks", ignore=shutil.ignore_patterns(".*"))
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    token = secrets.token_hex(16)
    # ipykernel leaves the children's own output alone where it sees this, and a learner's kernel does not
    environment = {key: value for key, value in os.environ.items() if key != "PYTEST_CURRENT_TEST"}
    for name in ("JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR", "IPYTHONDIR"):
        environment[name] = str(home / name)
    for name in ("JUPYTERLAB_SETTINGS_DIR", "JUPYTERLAB_WORKSPACES_DIR"):
        environment[name] = str(home / name)
    settings = home / "JUPYTERLAB_SETTINGS_DIR" / "@jupyterlab" / "notebook-extension"
    settings.mkdir(parents=True)
    all_cells = {"windowingMode": "none"}  # or only what is on the screen is in the page
    (settings / "tracker.jupyterlab-settings").write_text(json.dumps(all_cells), encoding="utf-8")
    command = [sys.executable, "-m", "jupyterlab", "--no-browser", f"--ServerApp.root_dir={home}"]
    command += ["--ip=127.0.0.1", f"--port={port}", f"--IdentityProvider.token={token}"]
    command += ["--LabApp.expose_app_in_browser=True"]
    if hasattr(os, "geteuid") and os.geteuid() == 0:
        command.append("--allow-root")
    address = f"http://127.0.0.1:{port}"
    with open(home / "log", "wb") as log:
        server = subprocess.Popen(command, env=environment, stdout=log, stderr=subprocess.STDOUT)
        try:
            wait_for(f"{address}/api?token={token}", server)
            yield address, token
        finally:
            server.terminate()
            server.wait(30)


def wait_for(address, server):
    deadline = time.monotonic() + PATIENCE / 1000
    while True:
        assert server.poll() is None, "JupyterLab ended"
        try:
            urllib.request.urlopen(address).close()
            return
        except urllib.error.URLError:
            assert time.monotonic() < deadline, "JupyterLab does not answer"
            time.sleep(0.1)


@pytest.fixture(scope="module")
def browser():
    with sync_api.sync_playwright() as playwright:
        sandbox = ["--no-sandbox"] if hasattr(os, "geteuid") and os.geteuid() == 0 else []
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=QUIET + sandbox)
        yield browser
        browser.close()


@pytest.fixture
def page(browser):
    page = browser.new_page(viewport={"width": 1280, "height": 900})
    page.set_default_timeout(PATIENCE)
    yield page
    page.close()


def facts(cell):
    """What a code cell shows and nbval compares: its text."""
    if cell["cell_type"] != "code" or "nbval-ignore-output" in cell["metadata"].get("tags", []):
        return None
    shown = []
    for output in cell["outputs"]:
        if output["output_type"] == "stream" and output["name"] == "stdout":
            shown.append(joined(output["text"]))
        elif output["output_type"] == "error":
            shown.append(f"{output['ename']}: {output['evalue']}")
        elif "data" in output:
            shown.append(joined(output["data"].get("text/plain", "")))
    return "".join(shown).replace(PRINTED_BY_A_CHILD, "")


def pictures(cells):
    """How many timelines stand in these cells where a reader sees them."""
    return sum(
        "data:image/svg+xml;base64," in joined(output.get("data", {}).get("text/html", ""))
        for cell in cells
        if cell["cell_type"] == "code" and not cell["metadata"].get("jupyter", {}).get("outputs_hidden")
        for output in cell["outputs"]
    )


def joined(text):
    return text if isinstance(text, str) else "".join(text)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_newcomer_opens_it_and_runs_all(path, lab, page):
    address, token = lab
    errors = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.goto(f"{address}/doc/tree/notebooks/{path.name}?token={token}")
    page.wait_for_function(READY)

    sizes = f"{PICTURES}.map(image => [image.alt.length, image.naturalWidth, image.clientHeight])"
    before = nbformat.read(path, as_version=4).cells
    stored = page.evaluate(sizes)
    assert len(stored) == pictures(before) > 0, "before anything was run, in a notebook that is not trusted"
    assert all(min(size) > 0 for size in stored)

    page.evaluate("window.jupyterapp.commands.execute('notebook:run-all-cells')")
    page.wait_for_function(HAS_RUN)
    now = page.evaluate("window.jupyterapp.shell.currentWidget.content.model.toJSON()")
    for cell, after in zip(before, now["cells"], strict=True):
        assert facts(after) == facts(cell), cell.source
    drawn = page.evaluate(sizes)
    assert len(drawn) == pictures(now["cells"])
    assert all(min(size) > 0 for size in drawn)
    assert errors == []
