"""A JupyterLab as `make lab` opens it, and a Chromium to look at it.

Needs a Chromium on this machine (.ci/run installs one); without one these tests skip. Screenshots go to the
folder that MPDEMOS_SCREENSHOTS names.
"""

import json
import os
import re
import secrets
import shutil
import subprocess
import sys
import urllib.error
import urllib.request
import uuid
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace

import pytest
from chromium import CHROMIUM
from labtools import IS_ROOT, PATIENCE, READY, ROOT, end_kernels, idle, wait_until
from leftovers import TAG

QUIET = ["--disable-gpu", "--no-first-run", "--disable-background-networking", "--disable-component-update"]
SETTINGS = {
    "notebook-extension/tracker": {"windowingMode": "none"},  # or only what is on the screen is in the page
    "docmanager-extension/plugin": {"autosave": False},  # or the next test finds what a long one has run
}
MAKE_LAB = """\
import sys
sys.path.insert(0, "tools")
import bootstrap
bootstrap.environment = lambda level: None  # this one
bootstrap.PYTHON = sys.executable
bootstrap.main(sys.argv[1:])
"""


@pytest.fixture(scope="module")  # or other tests of this run would meet its processes
def lab(tmp_path_factory):
    """`make lab` in a copy of the checkout, for a user whose home is empty."""
    folder = tmp_path_factory.mktemp("lab")
    home, checkout = folder / "home", folder / "checkout"
    runtime = home / "runtime"
    home.mkdir()
    for name in ("notebooks", "tools"):
        ignored = shutil.ignore_patterns(".*", "__pycache__", "node_modules")
        shutil.copytree(ROOT / name, checkout / name, ignore=ignored)
    for plugin, setting in SETTINGS.items():
        kept = checkout / f".jupyter/lab/lab/user-settings/@jupyterlab/{plugin}.jupyterlab-settings"
        kept.parent.mkdir(parents=True)
        kept.write_text(json.dumps(setting), encoding="utf-8")
    token, tag = secrets.token_hex(16), uuid.uuid4().hex
    command = [sys.executable, "-c", MAKE_LAB, "lab", "--no-browser", "--ip=127.0.0.1", "--port=0"]
    command += [f"--IdentityProvider.token={token}", "--LabApp.expose_app_in_browser=True"]
    command += ["--allow-root"] if IS_ROOT else []
    # ipykernel leaves the children's own output alone where it sees this, and a learner's kernel does not
    environment = {key: value for key, value in os.environ.items() if key != "PYTEST_CURRENT_TEST"}
    environment |= {"HOME": str(home), "USERPROFILE": str(home), TAG: tag}
    environment["JUPYTER_RUNTIME_DIR"] = str(runtime)
    with open(folder / "log", "wb") as log:
        server = subprocess.Popen(
            command, cwd=checkout, env=environment, stdout=log, stderr=subprocess.STDOUT
        )
        try:
            address = wait_until(lambda: address_of(server, runtime), "JupyterLab does not start")
            wait_until(lambda: answers(f"{address}/api?token={token}"), "JupyterLab does not answer")
            yield SimpleNamespace(
                address=address, token=token, home=home, checkout=checkout, server=server.pid, tag=tag
            )
        finally:
            server.terminate()
            server.wait(PATIENCE / 1000)


def address_of(server, runtime):
    """Where the server listens, if it has said so: a port chosen for it could be another's by then."""
    assert server.poll() is None, "JupyterLab ended"
    for told in runtime.glob("jpserver-*.json"):
        with suppress(ValueError):  # it is being written
            return json.loads(told.read_text(encoding="utf-8"))["url"].rstrip("/")
    return None


def answers(address):
    try:
        urllib.request.urlopen(address).close()
    except urllib.error.URLError:
        return False
    return True


@pytest.fixture(scope="module")  # or other tests of this run would meet its processes
def browser():
    if CHROMIUM is None:
        pytest.skip("no Chromium on this machine, or no Playwright")
    from playwright import sync_api

    with sync_api.sync_playwright() as playwright:
        sandbox = ["--no-sandbox"] if IS_ROOT else []
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=QUIET + sandbox)
        yield browser
        browser.close()


# What RISE itself says on the console whenever it opens a notebook; no setting of ours changes it.
SAID_BY_RISE = (
    # It holds a JupyterLab of its own, 4.3, whose toolbar looks for its colours in a circle.
    r"RangeError: Maximum call stack size exceeded",
    # It looks for a style sheet of each notebook. There is none: rise.css is for all.
    r"Refused to apply style from '\S+/notebooks/[\w-]+\.css' because its MIME type \('text/html'\)",
    # The ipywidgets manager needs a console, which its JupyterLab does not have: live controls do not show.
    r"Error: Shared module @jupyterlab/console doesn't exist in shared scope default",
)


@pytest.fixture
def page(browser):
    """A page of its own for each test. Nothing may stand on its console as an error, but what RISE says."""
    page = browser.new_page(viewport={"width": 1280, "height": 720})
    page.set_default_timeout(PATIENCE)
    errors = []

    def told(message):
        by_rise = "/rise/" in page.url and re.match("|".join(SAID_BY_RISE), message.text)
        if message.type == "error" and not by_rise:
            errors.append(message.text)

    page.on("console", told)
    page.on("pageerror", lambda error: errors.append(f"{error}\n{error.stack}"))
    yield page
    page.close()
    assert errors == []


@pytest.fixture
def opened(page, lab):
    """Open a lesson as a newcomer has it: untrusted, alone on the page. Its kernel ends with the test."""

    def opened(name):
        page.goto(f"{lab.address}/doc/tree/notebooks/{name}?token={lab.token}")
        page.wait_for_function(READY)

    yield opened
    end_kernels(lab)


@pytest.fixture
def presented(page, lab):
    """Open a lesson as slides, live in RISE."""

    def presented(name):
        page.goto(f"{lab.address}/rise/notebooks/{name}?token={lab.token}")
        page.locator(".reveal .slides section.present section.present").wait_for()
        wait_until(lambda: idle(lab), "the kernel is not ready")

    yield presented
    end_kernels(lab)


@pytest.fixture(scope="session")
def screenshots(tmp_path_factory):
    named = os.environ.get("MPDEMOS_SCREENSHOTS")
    folder = Path(named) if named else tmp_path_factory.mktemp("screenshots")
    folder.mkdir(parents=True, exist_ok=True)
    return folder
