"""What the browser tests share: where things are, how long to wait, and what a notebook shows."""

import json
import os
import time
import urllib.request
from pathlib import Path

from leftovers import tagged

ROOT = Path(__file__).parents[2]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
PATIENCE = 300_000  # milliseconds; a safety net: JupyterLab takes over 120 s to start while five suites do
IS_ROOT = hasattr(os, "geteuid") and os.geteuid() == 0
SAID_BY_IPYTHON = (  # when the cell with %load_ext is run again
    "The mpdemos extension is already loaded. To reload it, use:\n  %reload_ext mpdemos\n"
)
PRINTED_BY_A_CHILD = "from the child\n"  # in lesson 00; whether and where it shows is the lesson

PANEL = "window.jupyterapp.shell.currentWidget"
READY = "window.jupyterapp?.shell.currentWidget?.sessionContext?.session?.kernel?.status === 'idle'"
IN_TIME = f"""(work => Promise.race([work, new Promise((_, fail) =>
    setTimeout(() => fail(new Error('it does not end')), {PATIENCE}))]))"""
RUN = f"""async numbers => {{
    for (const number of numbers) {{
        {PANEL}.content.activeCellIndex = number;
        await window.jupyterapp.commands.execute('notebook:run-cell');
    }}
}}"""
PICTURES = """[...document.querySelectorAll('.jp-OutputArea img[src^="data:image/svg"]')]"""


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
    return "".join(shown).replace(PRINTED_BY_A_CHILD, "").replace(SAID_BY_IPYTHON, "")


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


def execute(page, command, arguments="{}"):
    """A command of JupyterLab's, as its menus give it. Returns at once."""
    page.evaluate(f"void window.jupyterapp.commands.execute('{command}', {arguments})")


def run_all(page):
    """Run All, to its end."""
    page.evaluate(f"{IN_TIME}(window.jupyterapp.commands.execute('notebook:run-all-cells'))")


def run(page, numbers):
    """Run these cells, one after the other, to the end of the last one."""
    page.evaluate(f"{IN_TIME}(({RUN})({numbers}))")


def cells(page):
    return page.evaluate(f"{PANEL}.content.model.toJSON().cells")


def end_kernels(lab):
    """As closing JupyterLab does; then nothing but the server may be left of all that it started."""
    for session in ask(lab, "GET", "/api/sessions"):
        ask(lab, "DELETE", f"/api/sessions/{session['id']}")
    wait_until(lambda: [process.pid for process in tagged(lab.tag)] == [lab.server], "a process is left")


def idle(lab):
    """Whether there is a kernel, and all of them wait for work."""
    states = [session["kernel"]["execution_state"] for session in ask(lab, "GET", "/api/sessions")]
    return set(states) == {"idle"}


def ask(lab, method, path):
    headers = {"Authorization": f"token {lab.token}"}
    request = urllib.request.Request(lab.address + path, method=method, headers=headers)
    with urllib.request.urlopen(request, timeout=PATIENCE / 1000) as answer:
        return json.loads(answer.read() or "null")


def wait_until(holds, what):
    deadline = time.monotonic() + PATIENCE / 1000
    while not (found := holds()):
        assert time.monotonic() < deadline, what
        time.sleep(0.1)
    return found
