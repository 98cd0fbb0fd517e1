"""Run CPython's own multiprocessing tests, processes flavour, and print the outcome as JSON.

    python run_peer.py plain|watched spawn|forkserver|fork [unittest arguments]

"watched" takes every factory of CPython's mixin from a watched context; nothing else is changed.
"""

from __future__ import annotations

import json
import os
import sys
import unittest

from test import support

if __name__ != "__main__":
    # Every child would make a lock when it imports the tests, to see whether the platform can. Some tests end
    # children that have just begun: between the lock and the word to the resource tracker it would stay.
    support.skip_if_broken_multiprocessing_synchronize = lambda: None
from test import _test_multiprocessing as peer  # type: ignore[attr-defined]

if __name__ == "__main__":
    os.environ["MPDEMOS_PEER_METHOD"] = sys.argv[2]
# At module level: the children import this file and look for the test classes in it.
peer.install_tests_in_module_dict(globals(), os.environ["MPDEMOS_PEER_METHOD"], only_type="processes")


def main() -> None:
    kind, method, *arguments = sys.argv[1:]
    if kind == "plain":
        run(arguments)
    else:
        from mpdemos import watch

        with watch(method, limit=None, check=False) as mp:
            take_factories_from(mp)
            run(arguments)


def take_factories_from(context: object) -> None:
    mixin = peer.ProcessesMixin
    for name in list(vars(mixin)):
        if name[0].isupper() and name != "TYPE":
            made = getattr(context, name)
            setattr(mixin, name, made if name == "Process" else staticmethod(made))


def run(arguments: list[str]) -> None:
    result = unittest.main(argv=["peer", *arguments], exit=False, verbosity=2).result
    outcome = {
        "ran": result.testsRun,
        "skipped": len(result.skipped),
        "failed": [str(test) for test, _text in result.failures + result.errors],
    }
    print(json.dumps(outcome))


if __name__ == "__main__":
    main()
