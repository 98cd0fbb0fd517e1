"""Lesson 02: exercises and questions."""

from __future__ import annotations

import multiprocessing
from typing import Any

from ...watch import ChildFailed, Stuck, Watch
from ..exercise import exercise
from ..predict import Question
from ..temptation import Contended, Diary, Meeting, Number, together, uses
from ..trial import Trial


@exercise(
    "lock-1",
    "Write two lines so that nobody writes between them.",
    answers=("stamp",),
    hints=(
        "Both lines belong together: from the first one to the second one, nobody else may be let in.",
        "`with lock:` above both lines, not one for each.",
    ),
)
def stamp(trial: Trial) -> None:
    """Three processes stamp at the same moment; who writes without the lock meets another one there."""
    with trial.watch() as mp:
        lock = mp.Lock()
        mp.label(pen=lock)
        diary = Diary(mp, lock, trial.busy)
        pen = Contended(lock)
        together(mp, trial.answer, [(pen, diary, name) for name in ("Ann", "Bo", "Cy")], "guest")
    written = uses(mp, "pen")
    lines = [use.what for use in written]
    told = ", ".join(map(str, lines)) or "nothing"
    trial.require(
        not any("\n" in line for line in lines),
        r"diary.write(line) ends the line itself: write one line with each call, and no \n.",
    )
    right = [f"{name} {what}" for name in ("Ann", "Bo", "Cy") for what in ("in", "out")]
    trial.require(
        sorted(map(str, lines)) == right,
        f"Each of the three writes its name with 'in', then with 'out'; written was: {told}.",
    )
    trial.require(
        all(use.hold for use in written), f"Somebody wrote without holding the lock. The diary: {told}."
    )
    trial.require(
        all(len({use.hold for use in written if use.process == each.process}) == 1 for each in written),
        f"The lock was released between 'in' and 'out', so somebody can write there. The diary: {told}.",
    )
    pairs = zip(lines[::2], lines[1::2], strict=True)
    trial.require(
        all(str(second) == str(first).replace(" in", " out") for first, second in pairs),
        f"Each 'in' must be followed by the 'out' of the same name. The diary: {told}.",
    )


@exercise(
    "lock-2",
    "Take money out only if enough is there; tell by the exit code whether you did.",
    answers=("withdraw",),
    hints=(
        "Looking, deciding and taking are one piece of work: who looks in between sees money that is "
        "already spoken for.",
        "Hold the till from the first look at balance.value until the new balance is written.",
        "sys.exit(1) ends a process with exit code 1. Inside `with till:` it releases the till on "
        "its way out.",
    ),
)
def withdraw(trial: Trial) -> None:
    """Five withdraw 3 from 11: three succeed and two are refused, whoever comes first. One gets the rest."""
    with trial.watch(check=False) as mp:
        till = mp.Lock()
        mp.label(till=till)
        balance = Number(mp, till, 11)
        done = together(mp, trial.answer, [(Contended(till), balance, 3)] * 5, "customer")
        left = balance._number.value
        (last,) = together(mp, trial.answer, [(Contended(till), balance, 2)], "latecomer")
    if errors := [failure for failure in mp._failures if failure.traceback]:
        raise ChildFailed(errors)  # its exit code is 1 as well, and by mistake
    codes = sorted(process.exitcode for process in done)
    trial.require(
        not set(codes) - {0, 1}, f"A customer ends with exit code 0 or 1; these ended with {codes}."
    )
    _one_hold_each(trial, mp, "till")
    trial.require(left >= 0, f"The till gave out more than was in it: {left} is left.")
    trial.require(
        codes == [0, 0, 0, 1, 1],
        f"With 11 in the till, three of five customers can have 3 each. The exit codes were {codes}: "
        "0 is for who got the money, 1 for who did not.",
    )
    trial.require(left == 2, f"Three times 3 from 11 leaves 2, and the balance is {left}.")
    trial.require(
        last.exitcode == 0, "2 were left, and a customer who wanted 2 was refused: just enough is enough."
    )


def _one_hold_each(trial: Trial, mp: Watch, lock: str) -> None:
    """Each process reads and writes in one hold of the lock."""
    used = uses(mp, lock)
    trial.require(used, "Nobody looked at the balance.")
    trial.require(
        all(use.hold for use in used),
        f"The balance was read or written without holding the {lock}: two processes saw the same money.",
    )
    holds = {use.process: {other.hold for other in used if other.process == use.process} for use in used}
    trial.require(
        all(len(each) == 1 for each in holds.values()),
        f"The {lock} was released between reading the balance and writing it: what was read is old by then.",
    )


class Sticky(Contended):
    """A lock whose holder lingers until another process holds another one: what makes a deadlock happen."""

    def __init__(self, lock: Any, meeting: Meeting) -> None:
        super().__init__(lock)
        self._meeting = meeting

    def acquire(self, block: bool = True, timeout: float | None = None) -> bool:
        """As a lock's."""
        if block and timeout is None:
            self._lock._trace.note("insists")
        got = super().acquire(block, timeout)
        if got:
            self._meeting.meet(0.5)
        return got


class Shelves:
    """A shared array of numbers; each use is an event."""

    def __init__(self, mp: Watch, numbers: list[int]) -> None:
        self._recorder = mp._recorder
        self.numbers = multiprocessing.get_context(mp._name).Array("i", numbers, lock=False)

    def __len__(self) -> int:
        return len(self.numbers)

    def __getitem__(self, which: Any) -> Any:
        found = self.numbers[which]
        self._recorder.note("reads")
        return found

    def __setitem__(self, which: Any, new: Any) -> None:
        self._recorder.note("writes")
        self.numbers[which] = new


@exercise(
    "lock-3",
    "Exchange what two shelves hold; every shelf has its lock.",
    answers=("swap",),
    hints=(
        "Two who swap the same shelves from opposite sides must not each hold one and wait for the other.",
        "Everybody acquires the lock of the shelf with the lower number first.",
        "What if i and j are the same shelf? Its lock can be acquired once.",
    ),
)
def swap(trial: Trial) -> None:
    """Two swap the same shelves from opposite sides, a third one a shelf with itself."""
    hangs = None
    try:
        with trial.watch() as mp:
            locks = [mp.Lock() for _ in range(3)]
            mp.label(shelf_0=locks[0], shelf_1=locks[1], shelf_2=locks[2])
            shelves = Shelves(mp, [10, 11, 12])
            meeting = Meeting(mp)
            sticky = [Sticky(lock, meeting) for lock in locks]
            jobs = [
                (sticky, shelves, 0, 1),
                (sticky, shelves, 1, 0),
                (sticky, shelves, 2, 2),
                (sticky, shelves, 1, 2),
            ]
            together(mp, trial.answer, jobs, "clerk")
    except Stuck as stuck:
        hangs = stuck
    held: dict[str, list[str]] = {}
    orders = set()
    holds: dict[str, int] = {}  # how often each clerk has acquired something
    used_in: dict[str, set[tuple[int, frozenset[str]]]] = {}  # each clerk's holds in which it used a shelf
    for event in mp.events:
        mine = held.setdefault(event.process, [])
        if event.action == "insists":  # who gives up does no harm
            orders |= {(other, event.resource) for other in mine}
        if event.action == "acquired" and event.resource.startswith("shelf"):
            mine.append(event.resource)
            holds[event.process] = holds.get(event.process, 0) + 1
        elif event.action == "released" and event.resource in mine:
            mine.remove(event.resource)
        elif event.action in ("reads", "writes"):
            used_in.setdefault(event.process, set()).add((holds.get(event.process, 0), frozenset(mine)))
    trial.require(
        not any((second, first) in orders for first, second in orders if first != second),
        "Two clerks acquire the same two locks in opposite order. One day each holds one and waits for the "
        "other: a deadlock.",
    )
    trial.require(
        not any(first == second for first, second in orders),
        "A clerk waits for a lock which it holds itself: i and j may be the same shelf.",
    )
    if hangs:
        raise hangs
    trial.require(
        all(
            len(used_in.get(clerk, ())) <= 1 and all(both <= held for _hold, held in used_in.get(clerk, ()))
            for clerk, both in _BOTH.items()
        ),
        "A clerk needs the locks of both shelves at the same time, from the first look to the last change.",
    )
    numbers = list(shelves.numbers)
    trial.require(
        sorted(numbers) == [10, 11, 12], f"Something was lost or doubled: the shelves hold {numbers}."
    )
    trial.require(
        numbers in ([10, 12, 11], [12, 11, 10]),  # in whatever order
        f"After the swaps 0-1, 1-0, 2-2 and 1-2 the shelves cannot hold {numbers}: somebody did not swap.",
    )


_BOTH = {  # who swaps which shelves
    "clerk-1": {"shelf_0", "shelf_1"},
    "clerk-2": {"shelf_0", "shelf_1"},
    "clerk-3": {"shelf_2"},
    "clerk-4": {"shelf_1", "shelf_2"},
}


twice = Question(
    "lock-a",
    "One process acquires the same lock twice, the second time with block=False. What do the two "
    "calls return?",
    {
        "a": (
            "True and True: it holds the lock already",
            "A Lock does not know who holds it. An RLock would let its owner in.",
        ),
        "b": ("True and False", "The lock is taken, whoever asks, and block=False does not wait for it."),
        "c": (
            "nothing: the second call waits for ever",
            "So it would with block=True. With block=False it returns at once.",
        ),
    },
    right="b",
)

lost = Question(
    "lock-b",
    "Two tellers deposit 1 ten times each, without a lock. Before either writes, both have read. What is the "
    "balance, which begins at 0?",
    {
        "a": (
            "20: every deposit counts",
            "Each teller writes what it read plus 1; the other one's 1 is not in it.",
        ),
        "b": (
            "10: one of two deposits is lost, each time",
            "Both read the same number, and both write the same one.",
        ),
        "c": (
            "it depends on luck",
            "So it would, but here a barrier brings the unlucky moment about each time.",
        ),
    },
    right="b",
)

holder = Question(
    "lock-c",
    "A process that holds a lock is terminated. Can anybody else get the lock?",
    {
        "a": (
            "yes: a lock is free when its holder is gone",
            "A multiprocessing lock does not notice that its holder has died.",
        ),
        "b": (
            "yes: `with` releases it on the way out",
            "terminate() ends a process where it stands: neither with nor finally runs.",
        ),
        "c": (
            "no, it stays held",
            "Its holder is gone, and no lock notices that. Others may release it by hand; what it guards may "
            "be half done.",
        ),
    },
    right="c",
)

imported = Question(
    "lock-d",
    "A module makes a lock when it is imported. The parent holds that lock. A child, started by "
    "spawn, tries to "
    "acquire the lock of the same module. Does it get it?",
    {
        "a": (
            "no, the parent holds it",
            "The parent holds its own one. The child imports the module again, and that makes another lock.",
        ),
        "b": ("yes", "There are two locks with one name, and neither guards anything."),
        "c": (
            "it raises an error: locks cannot be shared this way",
            "There is no error, which is what makes this one so hard to find.",
        ),
    },
    right="b",
)
