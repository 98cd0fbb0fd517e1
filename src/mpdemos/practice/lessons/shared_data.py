"""Lesson 08: exercises and questions."""

from __future__ import annotations

import multiprocessing
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from multiprocessing.managers import DictProxy
from multiprocessing.shared_memory import SharedMemory
from typing import Any

from ...watch import Watch
from ..exercise import exercise
from ..predict import Question
from ..temptation import Meeting, Tempting, holds, together, uses
from ..trial import Trial


@contextmanager
def _block(size: int) -> Iterator[_Block]:
    """A block of shared memory, until the end of the with."""
    memory = _Block(create=True, size=size)
    try:
        yield memory
    finally:
        SharedMemory.close(memory)
        SharedMemory.unlink(memory)


class _Block(SharedMemory):
    """Shared memory that notes what the learner does at the end of it."""

    recorder: Any = None

    def __reduce__(self) -> Any:
        return _open, (self.name, self.recorder)

    def close(self) -> None:
        """As of any shared memory."""
        try:
            super().close()
        except BufferError:
            raise BufferError("an array still looks into this memory: del each such name first") from None
        self.recorder.note("closes")

    def unlink(self) -> None:
        """Note it, and leave the memory to its owner."""
        self.recorder.note("unlinks")

    def __del__(self) -> None:
        with suppress(OSError, BufferError):
            super().close()


def _open(name: str, recorder: Any) -> _Block:
    memory = _Block(name)
    memory.recorder = recorder
    return memory


_PICTURE = (4000, 500)
_SHARES = [range(first, 90, 3) for first in range(3)]  # nobody has the other rows


@exercise(
    "shared_data-1",
    "Turn some rows of a shared picture into their negative, in place.",
    answers=("negative",),
    hints=(
        "`picture = …` gives a name to a new array, which nobody else has. `picture[row] = …` writes into "
        "the one that is there.",
        "For each row: picture[row] = 255 - picture[row].",
        "An array that looks into the memory keeps it from being closed: `del picture`, then memory.close().",
    ),
    limit=20,
)
def negative(trial: Trial) -> None:
    """The first of three is alone, so that nobody else can have touched the rows of others."""
    import numpy as np

    from ...workers.shared_data import view

    with _block(_PICTURE[0] * _PICTURE[1]) as memory:
        before = np.arange(memory.size, dtype=np.uint32).astype(np.uint8)[: _PICTURE[0] * _PICTURE[1]]
        before = before.reshape(_PICTURE)
        view(memory, _PICTURE)[:] = before
        with trial.watch() as mp:
            memory.recorder = mp._recorder
            jobs = [(trial.answer, memory, _PICTURE, rows) for rows in _SHARES]
            together(mp, _measured, jobs[:1], "early")
            early = view(memory, _PICTURE).copy()
            together(mp, _measured, jobs[1:], "late")
        late = view(memory, _PICTURE).copy()
    changed = set(np.flatnonzero((early != before).any(axis=1)).tolist())
    trial.require(
        changed,
        "The shared picture is as it was: what you changed is a copy, which goes with its process. "
        "`255 - picture` makes one, and so does `picture[rows]`. Write by `picture[row] = …`.",
    )
    others = sorted(changed - set(_SHARES[0]))
    trial.require(
        not others,
        f"early-1 had the rows 0, 3, 6 … 87, and changed row {others and others[0]}, which is not its own.",
    )
    peaks = [event.detail for event in mp.events if event.action == "allocated"]
    trial.require(
        max(peaks) < before.nbytes // 2,
        f"The picture has {before.nbytes:,} bytes, and a process that had 30 of 4,000 rows allocated "
        f"{max(peaks):,}: it copied the picture. Change the rows where they are.",
    )
    right = before.copy()
    for rows in _SHARES:
        right[rows] = 255 - before[rows]
    wrong = np.argwhere(late != right).tolist()
    row, x = wrong[0] if wrong else (0, 0)
    trial.require(
        not wrong,
        f"In row {row} a pixel was {before[row, x]} and is {late[row, x]}. It should be {right[row, x]}.",
    )
    told = Counter((event.process, event.action) for event in mp.events)
    names = {event.process for event in mp.events if event.action == "allocated"}
    for name in sorted(names):
        trial.require(
            not told[name, "unlinks"],
            f"{name} unlinked the memory, which it does not own: the others could not open it any more.",
        )
        trial.require(told[name, "closes"], f"{name} did not close the memory: memory.close() is missing.")


def _measured(negative: Any, memory: _Block, shape: tuple[int, int], rows: range) -> None:
    from ...workers.shared_data import bytes_needed

    memory.recorder.note("allocated", "", bytes_needed(negative, memory, shape, rows))


_TEXTS = [
    ["tea", "soup", "tea", "cake", "tea", "rice"] * 4,
    ["tea", "cake", "rice", "soup"] * 6,
    ["tea"] + ["soup"] * 20 + ["tea", "rice", "cake"],
    ["tea", "rice", "rice", "cake", "tea", "soup"] * 4,
]
_WRITES = {"__setitem__", "__delitem__", "update", "clear"}  # setdefault and pop tell what was there


class _Proxy(DictProxy):  # type: ignore[type-arg]
    """A proxy of a manager's dict: each message is something to be done while holding the lock."""

    temptation: Tempting

    def __reduce__(self) -> Any:
        return (*super().__reduce__(), {"temptation": self.temptation})

    def _callmethod(self, methodname: str, args: Any = (), kwds: Any = None) -> Any:
        self.temptation._use("writes" if methodname in _WRITES else "reads", methodname)
        return super()._callmethod(methodname, args, kwds or {})


@exercise(
    "shared_data-2",
    "Count words into the dict of a manager: lose none, and send few messages.",
    answers=("count_words",),
    hints=(
        "Each use of counts is a message: get is one, and writing is another. Who may come in between?",
        "Count at home first: collections.Counter(words) sends nothing. Then add each number once.",
        "with lock: for each word and its number: counts[word] = counts.get(word, 0) + number.",
    ),
    limit=20,
)
def count_words(trial: Trial) -> None:
    """Four count at the same moment; who reads without the lock meets another one there."""
    with trial.watch() as mp, mp.Manager() as manager:
        lock = mp.Lock()
        mp.label(lock=lock)
        counts: Any = manager.dict()
        counts.__class__ = _Proxy
        counts.temptation = Tempting(mp, lock)
        together(mp, trial.answer, [(words, counts, lock) for words in _TEXTS], "counter")
        found: Any = DictProxy._callmethod(counts, "copy")  # type: ignore[func-returns-value]
    used = uses(mp, "lock")
    trial.require(
        any(use.action == "writes" for use in used),
        "Nobody wrote to counts. `counts = …` only gives a name to a dict of your own: write counts[word].",
    )
    trial.require(
        all(use.hold for use in used),
        "counts was used without holding the lock. Reading and writing are two messages, and in between "
        f"another one has read the same number. Counted were {sum(_as_numbers(found).values())} of 96 words.",
    )
    by_hold: dict[tuple[str, int], list[str]] = {}
    for use in used:
        by_hold.setdefault((use.process, use.hold), []).append(use.action)
    readers = {use.process for use in used if use.action == "reads"}
    blind = sorted({use.process for use in used} - readers)
    trial.require(
        not blind,
        f"{blind and blind[0]} wrote without having read, and replaced what the others had counted.",
    )
    trial.require(
        all("writes" not in actions or actions[0] == "reads" for actions in by_hold.values()),
        "The lock was released between reading a number and writing it: what was read is old by then.",
    )
    right = Counter(word for words in _TEXTS for word in words)
    for word, number in right.items():
        trial.require(
            found.get(word) == number,
            f"{word!r} occurs {number} times in the four texts, and counts says {found.get(word)!r}.",
        )
    trial.require(found == right, f"counts holds more than the words: {found!r:.200}.")
    most = max(Counter(use.process for use in used).values())
    trial.require(
        most <= 20,  # four different words, and some to spare
        f"24 words cost a process {most} messages, and all others waited. Only 4 of the words are different: "
        "count them at home, then send one number for each.",
    )


def _as_numbers(found: Any) -> dict[str, int]:
    return {word: number for word, number in found.items() if isinstance(number, int)}


_HALF = (4, 6)


class _Current:
    """The number of the current half: ``value``."""

    def __init__(self, mp: Watch, lock: Any) -> None:
        self._number = multiprocessing.get_context(mp._name).Value("B", 0, lock=False)
        self._lock, self._recorder = lock, mp._recorder

    @property
    def value(self) -> int:
        """0 or 1."""
        return int(self._number.value)

    @value.setter
    def value(self, new: int) -> None:
        if not holds(self._lock):
            self._recorder.note(
                "wrong",
                "",
                "write changed current.value without holding the lock. A reader may be copying the half that "
                "was current, and your next picture goes there.",
            )
        self._number.value = new


@exercise(
    "shared_data-3",
    "Of two halves, fill the one that nobody reads, then make it current; read a whole one.",
    answers=("write", "read"),
    hints=(
        "While the rows come, readers look at the half that current.value names. Fill the other one: "
        "1 - current.value.",
        "write needs the lock for a moment only: to change current.value when the last row is there.",
        "read looks at current.value and copies that half, both in one hold of the lock. `halves[n]` is a "
        "view; `halves[n].copy()` is a copy.",
    ),
    limit=20,
)
def two_halves(trial: Trial) -> None:
    """One reads while a picture comes in; for another one the world changes whenever it lets go the lock."""
    write, read = trial.answers
    with _block(4 * _HALF[0] * _HALF[1]) as memory, trial.watch() as mp:
        memory.recorder = mp._recorder
        lock = mp.Lock()
        mp.label(lock=lock)
        middle, looked = Meeting(mp, busy=trial.busy), Meeting(mp, busy=trial.busy)
        mine, busy = _Current(mp, lock), _Current(mp, lock)
        jobs = [
            mp.Process(target=_film, args=(write, memory, mine, lock, middle, looked), name="camera"),
            mp.Process(target=_look, args=(read, memory, mine, lock, middle, looked), name="reader-1"),
            mp.Process(target=_look_in_a_busy_world, args=(read, memory, busy, lock), name="reader-2"),
        ]
        for job in jobs:
            job.start()
        for job in jobs:
            job.join()
    for event in mp.events:
        trial.require(event.action != "wrong", str(event.detail))


def _worlds(memory: _Block) -> Any:
    from ...workers.shared_data import view

    return view(memory, (2, 2, *_HALF))


def _film(write: Any, memory: _Block, current: _Current, lock: Any, middle: Meeting, looked: Meeting) -> None:
    """Let the learner write two pictures, of the numbers 2 and 3; a picture of the number 1 is current."""
    halves = _worlds(memory)[0]
    halves[0] = 1
    for number in (2, 3):
        shown = current.value
        try:
            write(halves, current, lock, _rows(halves, current, lock, shown, number, middle, looked))
        finally:
            middle.meet()  # in case that there was no middle
        if current.value == shown:
            _wrong(
                memory, f"write returned, and current.value is still {shown}: nobody sees the new picture."
            )
        elif (halves[shown] != number - 1).any():
            _wrong(memory, "write changed the half that was current, and a reader may be copying it.")
        elif (halves[1 - shown] != number).any():
            _wrong(memory, "The half that is current after write is not the whole new picture.")


def _rows(
    halves: Any, current: _Current, lock: Any, shown: int, number: int, middle: Meeting, looked: Meeting
) -> Iterator[Any]:
    """The rows of a picture, as they come; before each one, look at what was done so far."""
    import numpy as np

    told = current._recorder.note
    for y in range(_HALF[0]):
        if holds(lock):
            told(
                "wrong",
                "",
                "write held the lock while the rows came: until the last one is there no reader gets in, "
                "although a whole picture lies in the other half. Hold it only to change current.value.",
            )
        elif y == 2:
            middle.meet()
            looked.meet()
        if current.value != shown:
            told("wrong", "", "current.value was changed before the last row had come: readers see a half.")
        elif (halves[shown] != number - 1).any():
            told(
                "wrong",
                "",
                "write filled the half that current.value names, and readers look at that one meanwhile. "
                "Fill the other one.",
            )
        yield np.full(_HALF[1], number, np.uint8)


def _wrong(memory: _Block, reason: str) -> None:
    memory.recorder.note("wrong", "", reason)


def _look(read: Any, memory: _Block, current: _Current, lock: Any, middle: Meeting, looked: Meeting) -> None:
    """Read while a picture comes in."""
    middle.meet(60)
    halves = _worlds(memory)[0]
    try:
        _judge(memory, halves, read(halves, current, lock), {1, 2, 3})
    finally:
        looked.meet(0)  # the camera waits, and nobody for the camera


def _look_in_a_busy_world(read: Any, memory: _Block, current: _Current, lock: Any) -> None:
    halves = _worlds(memory)[1]
    door = _Door(halves, current, lock)
    picture = read(halves, current, door)
    if not door.shown:
        _wrong(
            memory,
            "read never acquired the lock: between its look at current.value and the end of its copy others "
            "can write two pictures.",
        )
    else:
        _judge(memory, halves, picture, door.shown)


def _judge(memory: _Block, halves: Any, picture: Any, allowed: set[int]) -> None:
    """A picture of one number is whole."""
    import numpy as np

    if not isinstance(picture, np.ndarray) or picture.shape != _HALF:
        _wrong(memory, f"read returns a copy of one half, an array of shape {_HALF}, not {picture!r:.100}.")
    elif np.shares_memory(picture, halves):
        _wrong(memory, "read returned a view: what it shows changes with the next pictures. Return a copy.")
    elif len(found := set(picture.ravel().tolist())) > 1:
        _wrong(
            memory,
            "read returned a part of one picture and a part of another. Look at current.value and copy that "
            "half in one and the same hold of the lock.",
        )
    elif not found <= allowed:
        _wrong(
            memory,
            "read returned a picture that was not current while it held the lock. Look at current.value and "
            "copy that half before you let the lock go.",
        )


class _Door:
    """The lock of a reader in a busy world: whenever he does not hold it, others write.

    Attributes:
        shown: the numbers of the pictures that were current while the lock was held.
    """

    def __init__(self, halves: Any, current: _Current, lock: Any) -> None:
        self._halves, self._current, self._lock, self._number = halves, current, lock, 1
        self.shown: set[int] = set()
        self._write()

    def _write(self) -> None:
        """A picture is made current, and of the next one a part is there."""
        self._number += 1
        now = 1 - self._current.value
        self._current._number.value = now
        self._halves[now] = self._number
        self._halves[1 - now, : _HALF[0] // 2] = self._number + 1
        self._halves[1 - now, _HALF[0] // 2 :] = self._number - 1

    def acquire(self, *args: Any, **kwargs: Any) -> bool:
        """As a lock's."""
        got = bool(self._lock.acquire(*args, **kwargs))
        if got:
            self._write()
            self.shown.add(self._number)
        return got

    def release(self) -> None:
        """As a lock's."""
        self._write()
        self._write()  # with that of the next acquire an odd number: what was current is not
        self._lock.release()

    def __enter__(self) -> bool:
        return self.acquire()

    def __exit__(self, *error: object) -> None:
        self.release()


acquired = Question(
    "shared_data-a",
    "`square` writes ten numbers into an Array, one at a time, and never mentions a lock. How often is the "
    "lock of the Array acquired?",
    {
        "a": ("never: nobody asks for it", "An Array has a lock of its own, and asks for it by itself."),
        "b": ("twice: once by each process", "So it would be if each wrote all its numbers as one slice."),
        "c": ("ten times", "Once for every single number that is read or written: safe, and slow."),
    },
    right="c",
)

seen = Question(
    "shared_data-b",
    "The child waits, and will add 1 to the first byte. It has been started when you write 41 there. What do "
    "you read in the end?",
    {
        "a": (
            "1: the child has a copy from before",
            "A copy it would have of an argument. This is one memory.",
        ),
        "b": ("41: nothing came back", "Nothing has to come back: the child wrote where you read."),
        "c": ("42", "It sees what you write, and you see what it writes, at once."),
    },
    right="c",
)

white = Question(
    "shared_data-c",
    "You pass a black NumPy array to a process, which paints it white. How many of its 86,400 pixels are "
    "white in the end?",
    {
        "a": ("all of them", "The painter painted its own copy, and that went with its process."),
        "b": ("none, and no error says so", "The copy is white, and gone. The exit code is 0."),
        "c": (
            "none: the process fails, for the array is not shared",
            "A copy is an array like any other; whoever gets it can paint it.",
        ),
    },
    right="b",
)
