"""The explanation: what happened, and at the limit who waits for whom, in sentences."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Any

from .errors import how_it_ended, not_within
from .history import History, Life, natural

_HELD = ("Lock", "RLock", "Semaphore", "BoundedSemaphore", "Condition", "Value", "Array")

_MOST_LOST = 3  # tasks that are named
_MOST_NAMES, _MOST_SENTENCES = 12, 50  # above it the first are told, and how many more there are


def listed(words: Iterable[str]) -> str:
    """Words as a sentence lists them: a, b and c."""
    *most, last = list(words) or [""]
    return f"{', '.join(most)} and {last}" if most else last


def _first(words: list[str]) -> str:
    """Words as a sentence lists them; of very many the first, and how many more there are."""
    if len(words) <= _MOST_NAMES:
        return listed(words)
    return f"{', '.join(words[: _MOST_NAMES - 2])} and {len(words) - _MOST_NAMES + 2} more"


def times(count: int, word: str) -> str:
    """A count and its word: 1 time, 2 times."""
    return f"{count} {word}" if count == 1 else f"{count} {word}s"


# --- what happened ---------------------------------------------------------------------------------------


def explain(history: History) -> str:
    """Facts that hold on every run of a correct program: counts and endings, no durations."""
    ends = _how_they_ended(history)
    used = list(filter(None, (_told_of(history, key, kind) for key, kind in history.kinds.items())))
    sentences = [_who_ran(history), *ends[:_MOST_SENTENCES]]
    if len(ends) > _MOST_SENTENCES:
        sentences.append(f"{len(ends) - _MOST_SENTENCES} more did not end by themselves with exit code 0.")
    sentences += used[:_MOST_SENTENCES]
    if len(used) > _MOST_SENTENCES:
        sentences.append(f"{len(used) - _MOST_SENTENCES} more objects were used.")
    if missing := _missing(history):
        sentences.append(missing)
    return "\n".join(sentences)


def _children(history: History) -> list[Life]:
    return [history.lives[key] for key in history.order() if not history.lives[key].is_parent]


def _who_ran(history: History) -> str:
    children = _children(history)
    if not children:
        return "No process was started."
    parent = history.lives[history.parent()].name
    shown = _first([life.name for life in children])
    return f"{parent} started {len(children)} process{'es' if len(children) > 1 else ''}: {shown}."


def _how_they_ended(history: History) -> list[str]:
    children = _children(history)
    sentences = []
    for life in children:
        if life.ended_by and (life.exitcode != 1 or life.obeys or not life.error):
            if not life.worker_of:  # a pool ends its workers when it is done
                sentences.append(f"{life.name} was ended by {life.ended_by}.")
        elif life.exitcode:
            reason = f": {life.error}" if life.error else ""
            sentences.append(f"{life.name} {how_it_ended(life.exitcode)}{reason}.".replace("..", "."))
    own = [life for life in children if not life.worker_of]
    if own and not sentences and all(life.exitcode == 0 for life in own):
        sentences.append(("Each" if len(children) > 1 else "It") + " ended with exit code 0.")
    return sentences


def _missing(history: History) -> str:
    children = _children(history)
    early = [life for life in children if life.exitcode == 0 and not life.clean and not life.ended_by]
    cut = [life.name for life in children if life.lost or life in early]
    if not (cut or history.torn):
        return ""
    whose = _first(cut) if cut else "a process"
    left = ", or it left by os._exit" if early else ""
    return f"The record of {whose} is not complete: not every event could be written or read{left}."


def _by_process(history: History, key: str, action: str) -> list[tuple[str, int]]:
    counted: Counter[str] = Counter()
    for (process, done), count in history.counts[key].items():
        if done == action and count:
            counted[history.lives[process].name] += count
    return sorted(counted.items(), key=lambda item: natural(item[0]))


def _count(history: History, key: str, *actions: str) -> int:
    return sum(count for (_process, done), count in history.counts[key].items() if done in actions)


def _each(history: History, key: str, action: str) -> str:
    parts = [f"{name} {count}" for name, count in _by_process(history, key, action)]
    return ", ".join(parts) if len(parts) <= _MOST_NAMES else _first(parts)


def _told_of(history: History, key: str, kind: str) -> str:
    what = history.spoken(key)
    if kind in _HELD and kind != "Condition":
        return _told_of_lock(history, key, what)
    teller = {
        "Condition": _told_of_condition,
        "Event": _told_of_event,
        "Barrier": _told_of_barrier,
        "Queue": _told_of_queue,
        "JoinableQueue": _told_of_queue,
        "SimpleQueue": _told_of_queue,
        "Pipe": _told_of_pipe,
        "Pool": _told_of_pool,
        "ProcessPoolExecutor": _told_of_pool,
    }.get(kind)
    return teller(history, key, what) if teller else ""


def _told_of_lock(history: History, key: str, what: str) -> str:
    acquired = _count(history, key, "acquired")
    if not acquired:
        return ""
    sentence = f"{what} was acquired {times(acquired, 'time')} ({_each(history, key, 'acquired')})"
    if most := history.most_at_once(key):
        sentence += f", by at most {most} at once."
    else:  # a semaphore that begins with 0
        released = times(_count(history, key, "released"), "time")
        sentence += f" and released {released} ({_each(history, key, 'released')})."
    if holders := _holders(history, key):
        names = _first(sorted(_with_fate(history.lives[p]) for p in holders))
        sentence += f" Never released by {names}."
    return sentence


def _holders(history: History, key: str) -> list[str]:
    """Nobody holds a signal: a semaphore that begins with 0, or is released by who did not acquire it."""
    counts = history.counts[key]
    released = {process: n for (process, action), n in counts.items() if action == "released"}
    signal = any(n > counts[process, "acquired"] for process, n in released.items())
    if "Semaphore" in history.kinds.get(key, "") and (not history.sizes.get(key) or signal):
        return []
    return history.holders.get(key, [])


def _told_of_condition(history: History, key: str, what: str) -> str:
    notified = _count(history, key, "notified")
    waited = sum(
        r.action.startswith("waits") for r in history.records if (r.resource, r.detail) == (key, "notify")
    )
    if not waited and not _count(history, key, "notifies"):
        return ""
    who = _names(history, key, "notifies")
    were = "was" if waited == 1 else "were"
    return f"{what} was notified by {who}; {notified} of {times(waited, 'wait')} {were} notified."


def _names(history: History, key: str, action: str) -> str:
    return _first([name for name, _count in _by_process(history, key, action)]) or "nobody"


def _told_of_event(history: History, key: str, what: str) -> str:
    through = _count(history, key, "came through")
    waited = _count(history, key, "waits", "waits for now")
    if not waited and not _count(history, key, "set"):
        return ""
    setters = _each(history, key, "set")
    sentence = f"{what} was set {times(_count(history, key, 'set'), 'time')}"
    sentence += f" ({setters})" if setters else ""
    if cleared := _count(history, key, "cleared"):
        sentence += f", cleared {times(cleared, 'time')}"
    return f"{sentence}; {through} of {times(waited, 'wait')} came through."


def _told_of_barrier(history: History, key: str, what: str) -> str:
    passed = _count(history, key, "passed")
    waited = _count(history, key, "waits", "waits for now")
    return f"{what}: {passed} of {times(waited, 'wait')} passed." if waited else ""


def _told_of_queue(history: History, key: str, what: str) -> str:
    put, got = _count(history, key, "put"), _count(history, key, "got")
    if not put and not got:
        return ""
    sentence = f"{what}: {times(put, 'item')} put by {_names(history, key, 'put')}, {got} got"
    sentence += f" by {_names(history, key, 'got')}." if got else "."
    if lost := history.errors.get(key):
        sentence += f" {times(len(lost), 'item')} could not be pickled and never arrived: {lost[0]}."
    return sentence


def _told_of_pipe(history: History, key: str, what: str) -> str:
    sent: Counter[tuple[str, str]] = Counter(
        (history.lives[m.sender].name, history.lives[m.receiver].name) for m in history.messages_of(key)
    )
    if not sent:
        return ""
    parts = [f"{times(count, 'message')} from {a} to {b}" for (a, b), count in sorted(sent.items())]
    return f"{what}: {', '.join(parts) if len(parts) <= _MOST_NAMES else _first(parts)}."


def _told_of_pool(history: History, key: str, what: str) -> str:
    done = len(history.spans_of("task", key))
    items = sum(span.what["items"] for span in history.spans_of("task", key))
    if not done:
        return ""
    text = f"{what} ran {times(done, 'task')}" + (f" with {items} items." if items != done else ".")
    if unreadable := history.errors.get(key):
        text += f" A result could not be unpickled: {unreadable[0]}."
    return text


# --- who waits for whom ----------------------------------------------------------------------------------


def stuck(history: History, limit: float | None, *, reader_died: bool = False, others: bool = False) -> str:
    """Why the block did not end: the wait-for graph in words; no limit if it was ended before."""
    waits = _Waits(history, proved=limit is None, others=others)
    lines = waits.cycle() or waits.sentences()
    lines += _fates(history, reader_died)
    if not lines:
        lines = ["No process waits for another one: somebody still works, or polls, or needs a larger limit."]
    lines += filter(None, [_missing(history)])
    return "\n".join([not_within(limit), *lines])


def _fates(history: History, reader_died: bool) -> list[str]:
    """What went wrong before, and may be the reason."""
    lines = []
    failed: Counter[str] = Counter()
    for life in _children(history):
        gone = life.end is not None
        failing = life.error or life.exitcode or not (life.clean or life.returned)
        if gone and not life.ended_by and failing:
            reason = life.error or _fate(life)
            failed[reason] += 1
            if failed[reason] == 1:
                lines.append(f"{life.name} {_fate(life)}.")
    lines += _lost_tasks(history)
    lines += [
        f"{count - 1} more ended the same way: {error}." for error, count in failed.items() if count > 1
    ]
    for key, errors in history.errors.items():
        if history.kinds.get(key) == "Pool":
            lines.append(f"{history.spoken(key)} lost a result that could not be unpickled: {errors[0]}.")
        else:
            lines.append(f"{history.spoken(key)} lost an item that could not be pickled: {errors[0]}.")
    if reader_died:
        lines.append("The pool's thread that receives results has died: no result will arrive any more.")
    return lines


def _lost_tasks(history: History) -> list[str]:
    lines = []
    for process, task in history.unfinished.items():
        if not history.is_alive(process):
            life = history.lives[process]
            hangs = history.kinds.get(life.worker_of) != "ProcessPoolExecutor"
            lines.append(
                f"{life.name} was running {task['function']} when it ended: that task is lost"
                + (", and a Pool waits for its result for ever." if hangs else ".")
            )
    more = len(lines) - _MOST_LOST
    return lines if more <= 0 else [*lines[:_MOST_LOST], f"{times(more, 'more task')} got lost in that way."]


def _with_fate(life: Life) -> str:
    return f"{life.name}, which {_fate(life)}" if life.end is not None else life.name


def _fate(life: Life) -> str:
    if life.ended_by:
        return f"was ended by {life.ended_by}"
    if life.error:
        return f"failed with {life.error}"
    if life.exitcode:
        return how_it_ended(life.exitcode)
    if life.clean or life.returned:
        return "has ended"
    ended = "ended" if life.exitcode is None else how_it_ended(life.exitcode)
    return f"{ended} before its function returned"


class _Waits:
    """Who waits for what, and who could end it.

    ``proved``: nobody can go on. ``others``: somebody who is not in the record may do something yet.
    """

    def __init__(self, history: History, *, proved: bool, others: bool) -> None:
        self.history, self.proved, self.others = history, proved, others
        self.of: dict[str, tuple[str, Any]] = {}
        waiting = sorted(history.waiting.items(), key=lambda item: item[1][0])
        latest = {process: (key, what) for (process, _thread, key, _w), (_start, what) in waiting}
        self.of |= {process: latest[process] for process in history.order() if process in latest}
        for process, life in history.lives.items():
            finishing = life.returned and not life.clean and life.end is None
            if finishing and process not in self.of and (queue := self._fed(process)):
                self.of[process] = queue, "drain"

    def _fed(self, process: str) -> str:
        """A queue whose items this process put, and that nobody has got yet."""
        counts = self.history.counts
        for key, kind in self.history.kinds.items():
            put = counts[key][process, "put"]
            got = sum(n for (_p, action), n in counts[key].items() if action == "got")
            total = sum(n for (_p, action), n in counts[key].items() if action == "put")
            if kind in ("Queue", "JoinableQueue") and put and got < total:
                return key
        return ""

    def _blockers(self, process: str) -> list[str]:
        """The processes alive that this one waits for, where that is known."""
        key, what = self.of[process]
        if what == "acquire":
            holders = [p for p in _holders(self.history, key) if self.history.is_alive(p)]
            return [p for p in holders if p != process] or ([process] if process in holders else [])
        if isinstance(what, list) and what[0] == "join":
            joined = self.history.by_pid(what[1])
            return [joined] if joined else []
        return []

    def _deadlocked(self) -> dict[str, list[str]]:
        """Who waits for ever, and only for processes that do so too; and for whom."""
        waits = {p: self._blockers(p) for p in self.of if p in self.history.for_ever}
        if self._is_somebody_awake() and not self.proved:  # who waits for its own lock may wait for a signal
            waits = {p: blockers for p, blockers in waits.items() if blockers != [p]}
        while free := [p for p, blockers in waits.items() if not blockers or not waits.keys() >= {*blockers}]:
            for process in free:
                del waits[process]
        return waits

    def cycle(self) -> list[str]:
        """A cycle of processes that wait for each other's locks, as one sentence."""
        waits = self._deadlocked()
        for first in self.of:
            path = [first]
            while path[-1] in waits:
                following = waits[path[-1]][0]
                if following in path:
                    round_ = path[path.index(following) :]
                    others = [p for p in self.of if p not in round_]
                    name = "a deadlock" if len(round_) > 1 else "a deadlock with itself"
                    text = "; ".join(self.sentence(p) for p in round_) + f": {name}."
                    return [text, *(self.sentence(p) + "." for p in others)]
                path.append(following)
        return []

    def sentences(self) -> list[str]:
        """One line for each thing that is waited for."""
        groups: dict[tuple[str, str], list[str]] = {}
        for process, (key, what) in self.of.items():
            groups.setdefault((key, str(what)), []).append(process)
        return [self.sentence(*processes) + "." for processes in groups.values()]

    def sentence(self, *processes: str) -> str:
        history = self.history
        key, what = self.of[processes[0]]
        names = listed(sorted((history.lives[p].name for p in processes), key=natural))
        verb, whose = ("waits", "its") if len(processes) == 1 else ("wait", "their")
        thing = history.spoken(key)
        if isinstance(what, list) and what[0] == "join":
            return f"{names} {verb} to join {self._joined(what[1])}"
        if isinstance(what, list):
            return f"{names} {verb} to {what[0]} on {thing}" + self._other_end(key, what, processes)
        return f"{names} {verb} " + {
            "acquire": f"for {thing}{self._held(key, processes)}",
            "get": f"for an item from {thing}{self._nobody_left('put')}",
            "put": f"for room in {thing}{self._nobody_left('get')}",
            "set": f"for {thing} to be set{self._nobody_left('set it')}",
            "notify": f"for a notification of {thing}{self._nobody_left('notify')}",
            "the others": f"at {thing} for the others{self._nobody_left('come')}",
            "task done": f"for every item of {thing} to be marked by task_done(){self._nobody_left('do so')}",
            "task": f"for a task from {thing}",
            "result": f"for a result from {thing}",
            "drain": f"for {whose} queue {history.name(key)} to be drained{self._nobody_left('get')}",
        }.get(str(what), f"for {thing}")

    def _joined(self, pid: int) -> str:
        life = self.history.lives.get(self.history.by_pid(pid))
        return life.name if life else f"process {pid}"

    def _held(self, key: str, processes: tuple[str, ...]) -> str:
        holders = _holders(self.history, key)
        if not holders:
            return ""
        if list(processes) == holders:
            own = self.history.threads[holders[0], key] <= {self.history.lives[holders[0]].thread}
            return ", which it holds itself" if own else ", held by one of its own threads"
        return ", held by " + listed(
            sorted((_with_fate(self.history.lives[p]) for p in holders), key=natural)
        )

    def _other_end(self, key: str, what: list[Any], processes: tuple[str, ...]) -> str:
        """Whether the far end of the pipe does the same."""
        for process, (other_key, other) in self.of.items():
            if other_key == key and isinstance(other, list) and process not in processes and other != what:
                same = other[0] == what[0]
                name = self.history.lives[process].name
                return f", and so does {name} at the other end" if same else ""
        return ""

    def _nobody_left(self, do: str) -> str:
        return "" if self._is_somebody_awake() else f"; nobody who could {do} is alive or awake"

    def _is_somebody_awake(self) -> bool:
        """Whether somebody may do something yet: who does not wait for ever, or has no record at all."""
        wait = {p for p, (_key, what) in self.of.items() if p in self.history.for_ever or what == "drain"}
        return self.others or any(self.history.is_alive(p) and p not in wait for p in self.history.lives)
