"""Each live control in a real JupyterLab: the still picture, then driven by clicks and by the keyboard."""

import re

import pytest
from labtools import run_all

from mpdemos import live

nbformat = pytest.importorskip("nbformat")

KINDS = ["Lock", "Semaphore", "Event", "Queue", "Pool"]
VIEW = "application/vnd.jupyter.widget-view+json"
NAME = "live.ipynb"


@pytest.fixture
def notebook(lab):
    """A notebook with a cell for each control, and what such a cell stores."""
    cells = []
    for kind in KINDS:
        shown = getattr(live, kind)()._repr_mimebundle_()
        del shown[VIEW]  # it holds for one kernel only, and is not stored
        stored = nbformat.v4.new_output("execute_result", shown, execution_count=1)
        source = f"from mpdemos import live\n\nlive.{kind}()"
        cells.append(nbformat.v4.new_code_cell(source, outputs=[stored], execution_count=1))
    kernel = {"name": "python3", "display_name": "Python 3 (ipykernel)", "language": "python"}
    path = lab.checkout / "notebooks" / NAME
    nbformat.write(nbformat.v4.new_notebook(cells=cells, metadata={"kernelspec": kernel}), path)
    yield path
    path.unlink()


class Driver:
    """One control on the page."""

    def __init__(self, page, number):
        self.page = page
        self.box = page.locator(".mpdemos-live").nth(number)

    def button(self, name):
        return self.box.get_by_role("button", name=name, exact=True)

    def click(self, name):
        self.button(name).click()

    def says(self, text):
        self.box.get_by_text(text).wait_for()

    def picture(self):
        return self.box.get_by_role("img").get_attribute("src")


def test_each_control_is_driven_by_clicks(notebook, page, opened, screenshots):
    axe = pytest.importorskip("axe_playwright_python.sync_playwright").Axe()
    opened(NAME)
    stills = page.locator(".jp-OutputArea img")
    stills.nth(len(KINDS) - 1).wait_for()
    assert stills.count() == len(KINDS)
    assert page.get_by_text("picture of an earlier run").count() == len(KINDS)

    run_all(page)
    page.locator(".mpdemos-live").nth(len(KINDS) - 1).wait_for()
    drivers = {kind: Driver(page, number) for number, kind in enumerate(KINDS)}
    for kind, control in drivers.items():
        control.says("Nothing runs yet")
        before = control.picture()
        control.click("Start")
        STEPS[kind](control)
        assert control.picture() != before
        found = axe.run(page, context=".mpdemos-live").response["violations"]
        assert [v["id"] for v in found if v["impact"] in ("serious", "critical")] == []
        control.box.scroll_into_view_if_needed()
        page.screenshot(path=screenshots / f"live-{kind}.png")
    for control in list(drivers.values())[:-1]:
        control.says("Every process has ended")  # when the next one was started
    drivers["Pool"].click("Stop")
    drivers["Pool"].says("Stopped. Every process has ended.")


def lock(control):
    control.says("The till is held by")
    control.click("One more teller")
    control.click("Kill the holder")
    control.says("(dead)")


def semaphore(control):
    control.says("2 places, 2 inside")
    control.box.get_by_label("places").select_option("3")
    control.says("3 places, 3 inside")


def event(control):
    """By the keyboard alone."""
    control.says("walker-1, walker-2 and walker-3 wait")
    control.button("Stop").focus()
    control.page.keyboard.press("Tab")
    control.page.keyboard.press("Space")
    control.says("everybody walks")
    control.page.keyboard.press("Tab")
    control.page.keyboard.press("Space")
    control.says("walker-1, walker-2 and walker-3 wait")


def queue(control):
    control.click("One more waiter")
    control.click("One more waiter")
    control.click("Put a plate")
    control.says(re.compile("waits? for a plate"))


def pool(control):
    control.click("Submit 4 tasks")
    control.says("2 of 2 workers are busy")
    control.click("Kill a busy worker")
    control.says("1 lost")


STEPS = {"Lock": lock, "Semaphore": semaphore, "Event": event, "Queue": queue, "Pool": pool}
