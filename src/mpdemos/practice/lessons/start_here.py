"""Lesson 00: questions."""

from __future__ import annotations

from ..predict import Question

visits = Question(
    "start_here-a",
    "A number in a module is 0 when the module is imported. You set it to 10; a child adds 1 and reports the "
    "number. What does the child report, and what does the kernel have afterwards?",
    {
        "a": ("11 and 11", "So it would be in one process. The child has a memory of its own."),
        "b": ("11 and 10", "So it would be under fork, where the child begins as a copy of the kernel."),
        "c": ("1 and 10", "The child imported the module afresh, and nothing that it changes comes back."),
    },
    right="c",
)

slowest = Question(
    "start_here-b",
    "Which start method takes longest to start one child?",
    {
        "a": ("spawn", "It starts a whole Python, which imports what it needs."),
        "b": ("forkserver", "Only the first child waits for the server; the others are copies of it."),
        "c": (
            "fork",
            "It copies the kernel as it stands: that costs something, and starts no new Python.",
        ),
    },
    right="a",
)
