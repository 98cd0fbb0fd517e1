"""What a watched block raises when its processes hang or fail."""

from __future__ import annotations

import errno
from collections.abc import Iterable
from typing import NamedTuple


class Stuck(RuntimeError):
    """The block reached its limit, or cannot end; the message says what every process was waiting for."""


class Failure(NamedTuple):
    """How one child failed: its name, its exit code, its last error line or what is known, its traceback."""

    process: str
    exitcode: int | None
    error: str
    traceback: str


class ChildFailed(RuntimeError):
    """A child ended with an exit code other than 0, and not by the block; ``failures`` has one for each."""

    def __init__(self, failures: list[Failure]) -> None:
        self.failures = tuple(failures)
        super().__init__("\n\n".join(_describe(failure) for failure in failures))


_FROM_A_CELL = """\
The child could not find the function: it starts as a new interpreter, imports what it needs, and cannot
see what an ordinary cell or a prompt defined. In a notebook, put `%%worker` on the first line of that cell
(`%load_ext mpdemos` once before). Elsewhere, put the function into a module (a .py file) and import it."""

NO_GUARD = """\
It died before it could run anything; what it printed is in the terminal. The commonest cause, in a script:
no `if __name__ == "__main__":` around the lines that start processes."""


def how_it_ended(exitcode: int | None) -> str:
    """An exit code in words, as the documentation of `multiprocessing.Process.exitcode` defines it."""
    if exitcode is None:
        return "was still running"
    if exitcode < 0:
        import signal

        try:
            return f"was killed by {signal.Signals(-exitcode).name} (exit code {exitcode})"
        except ValueError:
            return f"was killed by signal {-exitcode}"
    return f"ended with exit code {exitcode}"


def no_file(trouble: OSError) -> str:
    """What may be behind an error that does not say it, as SQLite's "unable to open" does not."""
    why = trouble.strerror or trouble
    told = f"When this failed, no file could be written where watch keeps its record: {why}."
    return f"{told}\nIf it needed a file: {room_for_a_file(trouble)}."


def room_for_a_file(trouble: OSError) -> str:
    """What to do where no file can be made."""
    if trouble.errno in (errno.EMFILE, errno.ENFILE):
        return "close files, pipes and queues that are not used any more"
    return "free some space or name another folder in the environment variable TMPDIR"


def not_within(limit: float | None) -> str:
    """That a block did not end; no limit if it was ended before."""
    if limit is None:
        return "Nobody can go on: every process waits for another one."
    return f"The block did not end within its limit of {limit:g} second{'' if limit == 1 else 's'}."


def what_to_do(failures: Iterable[Failure]) -> str:
    """Advice for the commonest cause, if it is among these failures; else nothing."""
    return _FROM_A_CELL if any(_cannot_be_found(failure.error) for failure in failures) else ""


def _describe(failure: Failure) -> str:
    lines = [f"{failure.process} {how_it_ended(failure.exitcode)}."]
    if failure.traceback:
        lines[0] = f"{failure.process} {how_it_ended(failure.exitcode)}: {failure.error}"
        lines += filter(None, [what_to_do([failure])])
        lines.append(f"Its traceback:\n{failure.traceback.rstrip()}")
    elif failure.error:
        lines.append(failure.error)
    return "\n".join(lines)


def _cannot_be_found(error: str) -> bool:
    """Whether pickle could not find a name of `__main__`, in the words of 3.13 and of 3.14."""
    return "<module '__main__'" in error or "module '__main__' has no attribute" in error
