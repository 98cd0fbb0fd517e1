"""What a notebook shows of a control, with widgets and without."""

import base64
import json
import re
import subprocess
import sys

import pytest
from livetools import descendants, says, wait_until

from mpdemos import live
from mpdemos.live import control as control_module
from mpdemos.watch.history import History
from mpdemos.watch.record import Record

KINDS = [live.Lock, live.Semaphore, live.Event, live.Queue, live.Pool]
VIEW = "application/vnd.jupyter.widget-view+json"


@pytest.fixture(params=KINDS, ids=lambda kind: kind.kind)
def kind(request):
    return request.param


def test_no_widget_is_imported_before_a_control_is_made():
    program = "import sys, mpdemos, mpdemos.live; print('ipywidgets' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"
    program = "import sys, mpdemos; print('mpdemos.live' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"


def test_shows_a_picture_and_a_line_and_starts_nothing(kind):
    shown = kind()._repr_mimebundle_()
    assert set(shown) == {"text/plain", "text/html", VIEW}
    (words,) = re.findall('<img alt="(MainProcess started [^"]+)" src="data:image/svg', shown["text/html"])
    assert len(words) > 60
    assert "<script" not in shown["text/html"]
    assert shown["text/plain"].startswith(f"{kind.kind}, live")
    assert "\n" not in shown["text/plain"]
    assert shown["text/plain"].replace("&", "&amp;") in shown["text/html"]
    assert descendants() == []


def test_shows_the_same_text_on_every_run(kind):
    first, second = kind()._repr_mimebundle_(), kind()._repr_mimebundle_()
    assert first.pop(VIEW) != second.pop(VIEW)
    assert first == second


def test_without_ipywidgets_shows_the_same_and_can_be_steered(kind, run, monkeypatch):
    with_widgets = kind()._repr_mimebundle_()
    monkeypatch.setitem(sys.modules, "ipywidgets", None)
    control = kind()
    without = control._repr_mimebundle_()
    assert VIEW not in without
    assert without == {name: value for name, value in with_widgets.items() if name != VIEW}
    json.dumps(without)
    run(control)
    says(control, "till|place|go|shelf|worker")


def test_every_widget_has_a_name(kind):
    control = kind()
    toggle, *others = control._box.children[1].children
    assert toggle.description == "Start"
    assert [widget.description for widget in others] == [
        *(name for name, _do in kind.buttons),
        *(name for name, _first, _most in kind.settings),
    ]


def test_the_widgets_steer():
    control = live.Semaphore()
    row, line, picture = control._box.children[1:]
    toggle, release, kill, places, _workers = row.children
    assert release.disabled
    assert kill.disabled
    late = []
    line.observe(lambda _change: late.append(picture.value != control.image), "value")
    toggle.click()
    says(control, "2 places, 2 inside")
    wait_until(lambda: "2 places, 2 inside" in line.value)
    assert toggle.description == "Stop"
    assert not release.disabled
    assert "semaphore places" in picture.value
    release.click()
    wait_until(lambda: "One release too many" in line.value)
    places.value = 4
    wait_until(lambda: "4 places, 4 inside" in line.value)
    toggle.click()
    wait_until(lambda: "Every process has ended" in line.value)
    assert toggle.description == "Start"
    assert kill.disabled
    assert late
    assert not any(late)


# The picture


def at(seconds, process, action, resource="", detail=None):
    return Record(int(seconds * 1e9), process, "", action, resource, detail)


def test_the_picture_shows_the_last_seconds_only(monkeypatch):
    monkeypatch.setattr(control_module.time, "perf_counter_ns", lambda: 100_000_000_000)
    records = [at(0, "0-1", "process", detail={"name": "MainProcess", "pid": 10, "parent": 1})]
    records.append(at(0, "0-1", "makes", "Lock-1", {"kind": "Lock", "size": 1}))
    for number, (name, ends) in enumerate([("gone", 70), ("dead-holder", 75), ("alive", None)], 1):
        pid = {"pid": number, "name": name, "worker_of": ""}
        records.append(at(1, "0-1", "starts", detail=pid))
        records.append(at(1, f"{number}-1", "process", detail={"name": name, "pid": number, "parent": 10}))
        if ends:
            records.append(at(ends, "0-1", "sees the end of", detail={"pid": number}))
            records.append(at(ends, "0-1", "reaps", detail={"pid": number, "exitcode": -9}))
    records += [at(60, "1-1", "acquired", "Lock-1"), at(61, "1-1", "released", "Lock-1")]
    records += [at(70, "2-1", "acquired", "Lock-1"), at(71, "3-1", "waits", "Lock-1", "acquire")]
    history = History(sorted(records, key=lambda record: record.time), began=0, labels={"Lock-1": "till"})
    image = control_module._picture(history, "a title")
    svg = base64.b64decode(re.findall('base64,([^"]*)', image)[0]).decode()
    assert re.findall('text-anchor="end">([^<]*)<', svg)[1:] == ["MainProcess", "dead-holder", "alive"]
    assert "waits for till" in svg
    assert all(float(x) >= 0 for x in re.findall(r' x="([-\d.]+)"', svg))
    assert "MainProcess started 3 processes: gone, dead-holder and alive." in image  # the words tell all
