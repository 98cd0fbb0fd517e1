"""What the live controls share: buttons, a line of words, a picture, and a thread that does the work.

A press only hands a function to the thread, so no button ever blocks. The thread starts the processes in a
watched block; again and again it does what was pressed, reads the record, and draws. When it is told to stop
it leaves the block, and the watch kills every process: none of them has anything to lose.
"""

from __future__ import annotations

import atexit
import base64
import re
import signal
import threading
import time
from collections.abc import Callable, Iterable
from importlib.resources import files
from multiprocessing import process
from queue import Empty, SimpleQueue
from typing import Any

from ..watch import watch
from ..watch.errors import how_it_ended
from ..watch.explain import listed
from ..watch.history import History, natural
from ..watch.picture import Timeline, escape
from . import workers

LIMIT = 300  # seconds until a control that was forgotten ends by itself
MOST = 6  # processes of one kind
_WINDOW = 20  # seconds that the picture shows
_TICK = 0.3  # seconds from one picture to the next
_GOODBYE = 20.0  # seconds that a thread has to end its processes
_STYLE = (  # readable from the last row, as the picture is; with room for two lines, so that nothing jumps
    "<style>.mpdemos-live { --jp-widgets-font-size: 18px; --jp-widgets-inline-height: 36px }"
    ".mpdemos-live span { display: block; font-size: 18px; line-height: 1.4; min-height: 2.8em }</style>"
)
_VIEW = "application/vnd.jupyter.widget-view+json"
_WORDS = (
    "{kind}, live: this is the picture of an earlier run. To steer processes of your own, run this cell in "
    "JupyterLab with ipywidgets (`make lab` has both), then press Start."
)


class Control:
    """A live control for one primitive; a notebook shows it.

    Processes belong to at most one control at any time: making or starting one ends those of the others.

    Attributes:
        state: in words, who holds what and who waits; and what came of the last press.
        image: the timeline, as an HTML image.
        values: the number that is chosen for each setting.
    """

    kind = ""  # the primitive
    settings: tuple[tuple[str, int, int], ...] = ()  # a number to choose: its name, first and largest value
    buttons: tuple[tuple[str, Callable[[Any], None]], ...] = ()

    mp: Any
    thing: Any  # the primitive itself, and the key of its records
    key: str
    history: History  # what was recorded until now

    def __init__(self) -> None:
        _stop_latest()
        self.values = {name: first for name, first, _most in self.settings}
        self.state, self.image = "Nothing runs yet: this is the picture of an earlier run.", self._still()
        self._run: _Run | None = None
        self._build()

    def _begin(self) -> None:
        """Make the primitive and start the first processes."""
        raise NotImplementedError

    def _words(self) -> str:
        """Who holds what and who waits."""
        raise NotImplementedError

    # --- steering, by the widgets or by hand: everything but close() returns at once --------------------

    @property
    def running(self) -> bool:
        """Whether its processes run or are about to."""
        return self._run is not None and self._run.is_alive() and not self._run.told

    def start(self) -> None:
        """Start the processes, as soon as those of any control before have ended."""
        global _latest
        with _one_at_a_time:
            _stop_latest()
            self._run = _latest = _Run(self, _latest)
            self._run.start()

    def stop(self) -> None:
        """End all processes."""
        if self._run is not None:
            self._run.stop()

    def close(self) -> None:
        """End all processes, and wait until they have ended."""
        self.stop()
        if self._run is not None:
            self._run.join(_GOODBYE)

    def press(self, button: str) -> None:
        """Do what a button does.

        Args:
            button: one of ``buttons``.

        Raises:
            KeyError: if there is no such button.
        """
        action = dict(self.buttons)[button]
        if self._run is not None:
            self._run.presses.put(action)

    def choose(self, name: str, value: int) -> None:
        """Choose a number; a control that runs begins anew with it.

        Args:
            name: one of ``settings``.
            value: 1 or more, up to the largest value of this setting.
        """
        self.values[name] = value
        if self.running:
            self.start()

    # --- in the control's thread -----------------------------------------------------------------------

    def live(self, presses: SimpleQueue[Callable[[Any], None] | None]) -> None:
        """Start the processes, do what is pressed, and end them all when it is over."""
        self._show("The processes start …", True)
        self.told, self._children, self._calls = "", list[Any](), list[threading.Thread]()
        try:
            with watch(limit=None, check=False) as self.mp:
                self._begin()
                why = self._go_on(presses)
                for last in self._calls[-1:]:  # a call may wait for a process: that must not be killed before
                    last.join(_GOODBYE / 4)
                raise _Over  # an error ends the processes; else watch waits for them
        except _Over:
            pass
        except Exception as error:
            why = f"{type(error).__name__}: {error}."
        self._show(f"{why} Every process has ended.", False)

    def _go_on(self, presses: SimpleQueue[Callable[[Any], None] | None]) -> str:
        """Returns why it is over."""
        end = time.monotonic() + LIMIT
        while time.monotonic() < end:
            try:
                press = presses.get(timeout=_TICK)
            except Empty:
                pass
            else:
                if press is None:
                    return "Stopped."
                self.told = ""
                self._look()
                press(self)
            self._look()
            for life in self.history.lives.values():
                if life.exitcode in (1, -signal.SIGINT):  # what an interrupt leaves; who is killed leaves -9
                    return f"{life.name} {how_it_ended(life.exitcode)}."
            words = f"{self._words()} {self.told}".strip()
            self.image = _picture(self.history, f"{self.kind}: the last {_WINDOW} seconds")
            self._show(words, True)
        return f"Nobody stopped it for {LIMIT // 60} minutes."

    def _look(self) -> None:
        """Read what was recorded until now."""
        for child in self._children:
            child.is_alive()  # and if it is not, notes its exit code
        self.history = self.mp._told()

    def use(self, **thing: Any) -> None:
        """This is the control's primitive, and its name."""
        self.mp.label(**thing)
        (self.thing,) = thing.values()
        self.key = self.mp._key(self.thing)

    def add(self, name: str, work: Callable[[Any], None], times: int = 1) -> None:
        """Start more processes that work with the primitive, up to `MOST`."""
        for _ in range(times):
            alike = [child for child in self._children if child.name.startswith(name)]
            if sum(child.is_alive() for child in alike) == MOST:
                self.told = f"{MOST} are enough."
                return
            name_of_it, args = f"{name}-{len(alike) + 1}", (work, self.thing)
            child = self.mp.Process(target=workers.steered, args=args, name=name_of_it, daemon=True)
            child.start()
            self._children.append(child)

    def call_in_a_thread(self, call: Callable[[], None]) -> None:
        """Make a call that may have to wait for some process, after those that were made before."""
        before = self._calls[-1] if self._calls else None

        def in_order() -> None:
            if before is not None:
                before.join()
            call()

        self._calls.append(threading.Thread(target=in_order, name="mpdemos-call", daemon=True))
        self._calls[-1].start()

    def kill(self, candidates: Iterable[str], so: str) -> None:
        """Kill the first of these that is alive, as somebody outside would: not on the watch's behalf.

        Args:
            candidates: who held something at the last look, and may have let go of it since.
            so: what came of it, true also of who held nothing any more.
        """
        self.told = "Just now there is nobody to kill."
        for who in filter(self.history.is_alive, candidates):
            for child in process.active_children():
                if child.pid == self.history.lives[who].pid:
                    process.BaseProcess.kill(child)
            self.told = f"{self.history.lives[who].name} was killed: {so}."
            return

    def waiting(self, what: str) -> list[str]:
        """The processes that wait to acquire the primitive, or get from it, …"""
        waits = self.history.waiting.items()
        return [who for (who, _thread, key, _w), (_t, why) in waits if (key, why) == (self.key, what)]

    def they_wait(self, what: str, for_what: str = "") -> str:
        """A clause about those who wait; empty if there are none."""
        who = self.waiting(what)
        return f"; {self.names(who)} wait{'s' if len(who) == 1 else ''}{for_what}" if who else ""

    def names(self, processes: Iterable[str]) -> str:
        """Processes, as a sentence lists them."""
        alive = self.history.is_alive
        told = {self.history.lives[who].name + ("" if alive(who) else " (dead)") for who in processes}
        return listed(sorted(told, key=natural)) or "nobody"

    # --- showing ---------------------------------------------------------------------------------------

    def _build(self) -> None:
        """Make the widgets, if ipywidgets is there."""
        self._box: Any = None
        try:
            import ipywidgets as widgets
        except ImportError:
            return
        self._toggle = widgets.Button(button_style="primary")
        self._toggle.on_click(lambda _: self.stop() if self.running else self.start())
        self._buttons = [
            widgets.Button(description=name, layout={"width": "auto"}) for name, _do in self.buttons
        ]
        for button in self._buttons:
            button.on_click(lambda button: self.press(button.description))
        choices = []
        for name, first, most in self.settings:  # a slider of ipywidgets has no accessible name
            choices.append(widgets.Dropdown(description=name, options=range(1, most + 1), value=first))
            choices[-1].observe(
                lambda change: self.choose(change["owner"].description, change["new"]), "value"
            )
            choices[-1].layout.width = "170px"
        self._line, self._picture = widgets.HTML(), widgets.HTML()
        row = widgets.HBox([self._toggle, *self._buttons, *choices], layout={"flex_flow": "row wrap"})
        self._box = widgets.VBox([widgets.HTML(_STYLE), row, self._line, self._picture])
        self._box.add_class("mpdemos-live")
        self._show(self.state, False)

    def _show(self, state: str, running: bool) -> None:
        self.state = state
        if self._box is None:
            return
        self._toggle.description = "Stop" if running else "Start"  # one button, or the focus would get lost
        for button in self._buttons:
            button.disabled = not running
        self._picture.value = self.image
        self._line.value = f"<span>{escape(state)}</span>"  # last: who reads the words sees the rest

    def _still(self) -> str:
        svg = files(__package__) / "stills" / f"{self.kind.lower()}.svg"
        return _image(svg.read_text(encoding="utf-8"))

    def _repr_mimebundle_(self, **kwargs: Any) -> dict[str, Any]:
        line = _WORDS.format(kind=self.kind)
        bundle: dict[str, Any] = {"text/plain": line, "text/html": f"{self._still()}<p>{escape(line)}</p>"}
        if self._box is not None:
            bundle[_VIEW] = self._box._repr_mimebundle_()[_VIEW]
        return bundle


class _Over(Exception):
    """Leaves the watched block; says why."""


class _Run(threading.Thread):
    """One start of a control."""

    def __init__(self, control: Control, before: _Run | None) -> None:
        super().__init__(name="mpdemos-live", daemon=True)
        self.presses: SimpleQueue[Callable[[Any], None] | None] = SimpleQueue()
        self.told = False  # to stop
        self._control, self._before = control, before

    def stop(self) -> None:
        self.told = True
        self.presses.put(None)

    def run(self) -> None:
        if self._before is not None:
            self._before.join()
            self._before = None
        if not self.told:
            self._control.live(self.presses)


_latest: _Run | None = None
_one_at_a_time = threading.Lock()


def _stop_latest() -> None:
    if _latest is not None:
        _latest.stop()


@atexit.register
def _end_latest() -> None:
    _stop_latest()
    if _latest is not None:
        _latest.join(_GOODBYE)


def _picture(history: History, title: str) -> str:
    """The last seconds of a history; what is older is cut off."""
    timeline = Timeline(history, title)  # its sentences tell all of it
    history.end = time.perf_counter_ns()
    since = history.began_to_matter = history.end - _WINDOW * 1_000_000_000
    holders = {who for each in history.holders.values() for who in each}
    for who, life in list(history.lives.items()):
        if life.end is not None and life.end < since:
            life.end = since
            if who not in holders:
                del history.lives[who]
    spans = (span for span in history.spans if span.process in history.lives)
    history.spans = [span for span in spans if span.end is None or span.end > since]
    history.messages = [message for message in history.messages if message.sent > since]
    history.records = [record for record in history.records if record.time > since]
    return _image(timeline.svg)


def _image(svg: str) -> str:
    """An SVG of `watch` in HTML. The size is said, so that nothing jumps while a new one is loaded."""
    (words,) = re.findall("(?s)<title>(.*?)</title>", svg)
    width, height = re.findall(r'(?:width|height)="(\d+)"', svg)[:2]
    data = base64.b64encode(svg.encode()).decode()
    return (
        f'<img alt="{words}" src="data:image/svg+xml;base64,{data}" width="{width}" height="{height}" '
        'style="max-width: 100%; height: auto">'
    )
