"""The records of all processes put together: who lived when, waited, held, sent and received."""

from __future__ import annotations

import re
from collections import Counter, defaultdict, deque
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from .record import Record


class Event(NamedTuple):
    """One thing that one process did.

    Attributes:
        seconds: since the block began, on the one clock of all processes of the machine.
        process: the name of the process.
        action: what it did: ``acquired``, ``released``, ``waits``, ``starts`` …
        resource: the label of the object that it did it to, or its kind and number, or empty.
        detail: what else there is to say, as JSON values; None if nothing.
        thread: the name of the thread; empty for the main thread.
    """

    seconds: float
    process: str
    action: str
    resource: str
    detail: Any
    thread: str


class Span(NamedTuple):
    """Something that lasted: ``kind`` is wait, hold or task; times in ns; an ``end`` of None never came."""

    process: str
    kind: str
    resource: str
    what: Any
    start: int
    end: int | None


class Message(NamedTuple):
    """An item on its way; a receiver of "" never came."""

    resource: str
    sender: str
    sent: int
    receiver: str
    received: int


@dataclass
class Life:
    """One process: its times in ns, and how it ended."""

    name: str
    pid: int
    parent: int = 0
    start: int = 0
    end: int | None = None
    gone: bool = False  # its parent has seen that: until then it may have pipes open
    exitcode: int | None = None
    error: str = ""
    exits: bool = False
    returned: bool = False
    obeys: bool = False  # it failed because it was asked to end
    ended_by: str = ""
    clean: bool = False
    lost: int = 0
    is_parent: bool = False
    thread: str = ""  # that runs the block or the process's function; empty for the main thread
    worker_of: str = ""  # the key of its pool
    number: int = 0  # in the order in which the parent started its children


@dataclass
class _Open:
    """What has begun and not ended yet."""

    waits: dict[tuple[str, str, str, str], tuple[int, Any]] = field(default_factory=dict)
    holds: dict[tuple[str, str], list[int]] = field(default_factory=lambda: defaultdict(list))
    tasks: dict[tuple[str, str, str], tuple[int, Any]] = field(default_factory=dict)


_ENDS_A_WAIT = {
    "acquired": "acquire",
    "got": "get",
    "put": "put",
}
_ENDS_ITS_DETAIL = {
    "gave up",
    "empty",
    "full",
    "joined",
    "came through",
    "notified",
    "passed",
    "all done",
    "sent",
    "received",
    "end of file",
    "no more tasks",
    "result",
}
_PRIVATE = {"process", "makes", "reaps", "sees the end of", "ended"}


class History:
    """Built from the records once; everything else asks it."""

    def __init__(self, records: list[Record], *, began: int, labels: dict[str, str], torn: int = 0) -> None:
        self.records, self.began, self.labels, self.torn = records, began, labels, torn
        self.lives: dict[str, Life] = {}
        self.kinds: dict[str, str] = {}
        self.sizes: dict[str, int] = {}  # permits, parties or places
        self.spans: list[Span] = []
        self.messages: list[Message] = []
        self.counts: dict[str, Counter[tuple[str, str]]] = defaultdict(Counter)
        self.for_ever: set[str] = set()  # who waits, and can only be woken by another process
        self.threads: dict[tuple[str, str], set[str]] = defaultdict(set)  # of a process, that hold it
        self.errors: dict[str, list[str]] = defaultdict(list)
        self._by_pid: dict[int, str] = {}
        self._last_release: dict[tuple[str, str], Span] = {}  # what a refused release would have ended
        self._releases: dict[str, list[int]] = defaultdict(list)  # by who did not hold it
        self._started = 0
        self._workers: Counter[str] = Counter()
        self._sent: dict[tuple[str, Any], tuple[str, int]] = {}
        self._streams: dict[tuple[str, int], deque[tuple[str, int]]] = defaultdict(deque)
        self._open = _Open()
        for record in records:
            self._take(record)
        self._settle_pipes()
        self._close_what_the_dead_left()
        self._spans_of: dict[tuple[str, str], list[Span]] = defaultdict(list)
        for span in self.spans:
            self._spans_of[span.kind, span.resource].append(span)
        self._messages_of: dict[str, list[Message]] = defaultdict(list)
        for message in self.messages:
            self._messages_of[message.resource].append(message)
        self.began_to_matter = self._first_sight()
        self.end = max([began, *(record.time for record in records)])

    # --- reading ---------------------------------------------------------------------------------------

    def _take(self, record: Record) -> None:
        action, key, detail = record.action, record.resource, record.detail
        if action == "process":
            self._meet(record)
        elif record.process not in self.lives:
            # its first line is lost
            name = f"process {record.process.partition('-')[0]}"
            is_parent = record is self.records[0]
            self.lives[record.process] = Life(name, 0, start=record.time, is_parent=is_parent)
        if not record.thread and action != "released":  # Condition.wait releases its lock while it waits
            self.for_ever.discard(record.process)
        if key or action == "acquired":
            self.counts[key][record.process, action] += 1
            self.kinds.setdefault(key, key.partition("-")[0])  # the line that told its kind may be lost
        handler = getattr(self, "_on_" + action.replace(" ", "_"), None)
        if handler is not None:
            handler(record)
        what = _ENDS_A_WAIT.get(action)
        if what is not None or action in _ENDS_ITS_DETAIL:
            self._end_wait(record, detail if what is None else what)

    def _meet(self, record: Record) -> None:
        """A process opened its file; its parent may have said before that it started it, and ended it."""
        detail = record.detail
        life = Life(detail["name"], detail["pid"], detail["parent"], record.time)
        life.is_parent, life.thread = record.process == self.records[0].process, record.thread
        announced = self._by_pid.get(life.pid, "")
        if announced.startswith("pid "):
            told = self.lives.pop(announced)
            life.name, life.worker_of, life.number = told.name, told.worker_of, told.number
            life.ended_by = told.ended_by
        self.lives[record.process] = life
        self._by_pid[life.pid] = record.process

    def _child(self, record: Record) -> Life | None:
        return self.lives.get(self._by_pid.get(record.detail["pid"], ""))

    def _on_starts(self, record: Record) -> None:
        pid, name, pool = record.detail["pid"], record.detail["name"], record.detail["worker_of"]
        life = self._child(record)
        if life is None or life.number:  # it has not opened its file yet, or has the pid of an earlier one
            self._by_pid[pid] = f"pid {pid}"
            self.lives[f"pid {pid}"] = life = Life(name, pid, start=record.time)
        self._started += 1
        life.number, life.worker_of = self._started, pool
        if pool:
            self._workers[pool] += 1
            life.name = f"{self.name(pool)} worker {self._workers[pool]}"

    def _on_sees_the_end_of(self, record: Record) -> None:
        life = self._child(record)
        if life and not life.gone:  # the guard may be late, and note it after who has reaped it
            life.end, life.gone = record.time, True

    def _on_reaps(self, record: Record) -> None:
        if life := self._child(record):
            life.exitcode = record.detail["exitcode"]
            life.end, life.gone = life.end or record.time, True

    def _on_kills(self, record: Record) -> None:
        if life := self._child(record):
            life.ended_by = self.lives[record.process].name

    _on_terminates = _on_interrupts = _on_kills

    def _on_cleans_up(self, record: Record) -> None:
        if life := self._child(record):
            life.ended_by = "watch"

    def _on_failed(self, record: Record) -> None:
        self.lives[record.process].error = record.detail["error"]

    def _on_obeys(self, record: Record) -> None:
        self.lives[record.process].obeys = True

    def _on_exits(self, record: Record) -> None:
        self.lives[record.process].exits = True

    def _on_returned(self, record: Record) -> None:
        self.lives[record.process].returned = True

    def _on_ended(self, record: Record) -> None:
        life = self.lives[record.process]
        life.clean, life.lost = True, record.detail["lost"]
        life.end = record.time

    def _on_makes(self, record: Record) -> None:
        self.kinds[record.resource] = record.detail["kind"]
        self.sizes[record.resource] = record.detail["size"]

    def _on_waits(self, record: Record) -> None:
        self._open.waits[self._wait_key(record, record.detail)] = record.time, record.detail
        if record.action == "waits" and not record.thread:
            self.for_ever.add(record.process)
        if isinstance(record.detail, list) and record.detail[0] == "send":
            # a sender may be killed when the message is out, and before it can note that
            self._streams[record.resource, record.detail[1]].append((record.process, record.time))

    _on_waits_for_now = _on_waits

    def _wait_key(self, record: Record, what: Any) -> tuple[str, str, str, str]:
        return record.process, record.thread, record.resource, str(what)

    def _end_wait(self, record: Record, what: Any) -> None:
        opened = self._open.waits.pop(self._wait_key(record, what), None)
        if opened is not None:
            self.spans.append(Span(record.process, "wait", record.resource, what, opened[0], record.time))

    def _on_acquired(self, record: Record) -> None:
        self._open.holds[record.process, record.resource].append(record.time)
        self.threads[record.process, record.resource].add(record.thread)

    def _on_released(self, record: Record) -> None:
        holder = record.process
        if not self._open.holds.get((holder, record.resource)) and self.kinds.get(record.resource) == "Lock":
            # any process may release a Lock
            holder = next((p for (p, key), h in self._open.holds.items() if h and key == record.resource), "")
        held = self._open.holds.get((holder, record.resource))
        self._last_release.pop((record.process, record.resource), None)
        if held:
            span = Span(holder, "hold", record.resource, "", held.pop(), record.time)
            self._last_release[record.process, record.resource] = span
            self.spans.append(span)
            if not held:
                self.threads.pop((holder, record.resource), None)
        else:
            self._releases[record.resource].append(record.time)

    def _on_not_released(self, record: Record) -> None:
        """Undo: the release just noted was refused."""
        self.counts[record.resource][record.process, "released"] -= 1
        last = self._last_release.pop((record.process, record.resource), None)
        if last is not None:
            self._take_back(last)
            self._open.holds[last.process, record.resource].append(last.start)

    def _take_back(self, span: Span) -> None:
        """Remove a span, one of the latest."""
        for place in range(len(self.spans) - 1, -1, -1):
            if self.spans[place] is span:
                del self.spans[place]
                return

    def _on_sent(self, record: Record) -> None:
        if isinstance(record.detail, str):  # a queue's item
            self._sent[record.resource, record.detail] = record.process, record.time

    def _on_gave_up(self, record: Record) -> None:
        if isinstance(record.detail, list) and record.detail[0] == "send":
            stream = self._streams[record.resource, record.detail[1]]
            if stream:  # it is empty if a line was torn
                stream.pop()

    def _on_got(self, record: Record) -> None:
        sender, sent = self._sent.pop((record.resource, record.detail), ("", 0))
        if sender:
            self.messages.append(Message(record.resource, sender, sent, record.process, record.time))

    def _on_received(self, record: Record) -> None:
        self._streams[record.resource, record.detail[1] + 2].append((record.process, record.time))

    def _settle_pipes(self) -> None:
        """The n-th message sent into one end is the n-th received at the other."""
        for (key, end), sent in list(self._streams.items()):
            if end < 2:
                received = self._streams.get((key, 3 - end), ())
                for (sender, start), (receiver, arrival) in zip(sent, received, strict=False):
                    self.messages.append(Message(key, sender, start, receiver, arrival))
        self.messages.sort(key=lambda message: message.sent)

    def _on_task(self, record: Record) -> None:
        self._end_wait(record, "task")
        place = record.process, record.thread, record.resource
        self._open.tasks[place] = record.time, record.detail

    def _on_done(self, record: Record) -> None:
        opened = self._open.tasks.pop((record.process, record.thread, record.resource), None)
        if opened is not None:
            self.spans.append(
                Span(record.process, "task", record.resource, opened[1], opened[0], record.time)
            )

    def _on_lost(self, record: Record) -> None:
        self.errors[record.resource].append(record.detail)

    _on_unreadable_result = _on_lost

    def _close_what_the_dead_left(self) -> None:
        opened = self._open
        self.waiting = {
            place: (start, what)
            for place, (start, what) in opened.waits.items()
            if self.is_alive(place[0]) and place[1] == self.lives[place[0]].thread
        }
        for (process, _thread, key, _what), (start, what) in opened.waits.items():
            self.spans.append(Span(process, "wait", key, what, start, self.lives[process].end))
        self.holders: dict[str, list[str]] = defaultdict(list)
        for (process, key), starts in opened.holds.items():
            for start in starts:
                self.spans.append(Span(process, "hold", key, "", start, self.lives[process].end))
            if starts:
                self.holders[key].append(process)
        for (process, _thread, key), (start, what) in opened.tasks.items():
            self.spans.append(Span(process, "task", key, what, start, self.lives[process].end))
        self.unfinished = {process: what for (process, _t, _k), (_start, what) in opened.tasks.items()}
        self.spans.sort(key=lambda span: span.start)

    def _first_sight(self) -> int:
        """When the first child was there, or the parent first did anything but prepare and wait for it."""
        prepares = {"process", "makes", "starts", "waits", "waits for now"}
        parent = self.parent()
        for record in self.records:
            if record.process != parent or record.action not in prepares:
                return max(self.began, record.time)
        return self.began

    # --- asking ----------------------------------------------------------------------------------------

    def is_alive(self, process: str) -> bool:
        return self.lives[process].end is None

    def is_under_way(self, key: str, end: int) -> bool:
        """Whether more messages were sent towards this end of a pipe than were received there."""
        sent = sum(1 for r in self.records if r.resource == key and r.detail == ["send", 1 - end])
        received = len(self._streams.get((key, end + 2), ()))
        return sent > 2 * received  # a send is noted twice: when it begins and when it is done

    def spans_of(self, kind: str, key: str) -> list[Span]:
        return self._spans_of.get((kind, key), [])

    def messages_of(self, key: str) -> list[Message]:
        return self._messages_of.get(key, [])

    def by_pid(self, pid: int) -> str:
        return self._by_pid.get(pid, "")

    def name(self, key: str) -> str:
        """A resource as a reader knows it: its label, or its kind and number."""
        return self.labels.get(key, key)

    def spoken(self, key: str) -> str:
        """A resource in a sentence: "lock till", or "Lock-1" where it has no label."""
        if key in self.labels:
            kind = re.sub("(?<=[a-z])(?=[A-Z])", " ", self.kinds.get(key, ""))  # SimpleQueue: simple queue
            return f"{kind.lower()} {self.labels[key]}".strip()
        return key

    def events(self) -> list[Event]:
        return [
            Event(
                (r.time - self.began) / 1e9,
                self.lives[r.process].name,
                r.action,
                self._object(r),
                self._public(r),
                r.thread,
            )
            for r in self.records
            if r.action not in _PRIVATE
        ]

    def _object(self, record: Record) -> str:
        """What an action was done to: a traced object, or another process."""
        detail = record.detail
        if isinstance(detail, dict) and "pid" in detail:
            return self.lives[self.by_pid(detail["pid"])].name if self.by_pid(detail["pid"]) else ""
        if isinstance(detail, list) and detail[0] == "join":
            return self.lives[self.by_pid(detail[1])].name if self.by_pid(detail[1]) else ""
        return self.name(record.resource)

    def _public(self, record: Record) -> Any:
        detail = record.detail
        if isinstance(detail, list) and detail[0] == "join":
            return ["join", self.lives[self.by_pid(detail[1])].name if self.by_pid(detail[1]) else ""]
        return detail

    def most_at_once(self, key: str) -> int:
        """The most holders of ``key`` at the same time; a recursive lock's holder counts once.

        A semaphore may be released by another process than the one that acquired it: what a process did not
        release itself is counted together, under no name.
        """
        kind, changes = self.kinds.get(key, ""), []
        for span in self.spans_of("hold", key):
            shared = "Semaphore" in kind and span.end == self.lives[span.process].end
            changes.append((span.start, 1, "" if shared else span.process))
            if span.end is not None and not shared:
                changes.append((span.end, -1, span.process))
        changes += [(time, -1, "") for time in self._releases.get(key, [])]
        recursive = kind in ("RLock", "Condition", "Value", "Array")
        holding: Counter[str] = Counter()
        most = 0
        for _time, change, process in sorted(changes):  # a release before an acquire of the same moment
            holding[process] += change
            if self.sizes.get(key):
                holding[""] = max(0, holding[""])  # one release too many makes a permit out of nothing
            most = max(most, len(+holding) if recursive else (+holding).total())
        return most

    def parent(self) -> str:
        return next((key for key, life in self.lives.items() if life.is_parent), "")

    def order(self) -> list[str]:
        """Every process: the parent first, then the others as the parent started them."""
        return sorted(self.lives, key=lambda key: (not self.lives[key].is_parent, self.lives[key].number))


def natural(name: str) -> list[tuple[int, str]]:
    """A sorting key that puts teller-2 before teller-10."""
    return [(int(part), "") if part.isdigit() else (-1, part) for part in re.split(r"(\d+)", name)]
