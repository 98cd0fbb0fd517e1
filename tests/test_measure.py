"""What measures measures the right thing and leaves nothing behind, and the ratios that lessons rest on hold.

Each gate is the median of ratios within a round, where both sides are measured one right after the other.
What else runs on the machine slows down both, now this one more and now that one. Five rounds are enough on a
calm machine; on a busy one more of them bring the median to what it is.
"""

import importlib
import multiprocessing
import os
import statistics
import subprocess
import sys
from contextlib import ExitStack, nullcontext

import psutil
import pytest

from mpdemos import measure
from mpdemos.workers import pool as tasks

LONG = [range(n, n + 8000) for n in range(200_000, 392_000, 8000)]  # some 15 ms each
TINY = [104_729] * 10_000  # some 12 µs each
MOST = 40  # rounds


@pytest.fixture(scope="module")
def ctx():
    return multiprocessing.get_context("spawn")


def times_as_fast(ways, quick, slow, gate):
    """The median of five rounds, or of more if that is below the gate."""
    ratios = []
    while len(ratios) < 5 or (statistics.median(ratios) < gate and len(ratios) < MOST):
        once = measure.medians(ways, 1)
        ratios.append(once[slow] / once[quick])
    return statistics.median(ratios)


# The ratios


@pytest.mark.slow
@pytest.mark.parametrize(("engine", "gate"), [("Pool", 0.75), ("Dask", 0.6)])
def test_long_tasks_come_near_the_ceiling(ctx, engine, gate):
    if engine == "Dask":
        pytest.importorskip("distributed")
    with measure.maps(tasks.count_primes, LONG, ["ceiling", engine], workers=2, ctx=ctx) as ways:
        assert times_as_fast(ways, engine, "ceiling", gate) >= gate


@pytest.mark.slow
def test_tiny_tasks_want_chunks_and_without_them_a_loop_is_faster(ctx):
    names = ["serial", "Pool", "Pool, chunksize=1"]
    with measure.maps(tasks.is_prime, TINY, names, workers=2, ctx=ctx) as ways:
        assert times_as_fast(ways, "Pool", "Pool, chunksize=1", 1.5) >= 1.5
        assert times_as_fast(ways, "serial", "Pool, chunksize=1", 1) > 1


@pytest.mark.slow
def test_shared_memory_beats_a_queue(ctx):
    with measure.messages(64_000_000, ["Queue", "shared memory"], times=1, ctx=ctx) as ways:
        assert times_as_fast(ways, "shared memory", "Queue", 5) >= 5


# What is measured


def test_rounds_go_through_all_ways_in_turn():
    called = []
    ways = {name: lambda name=name: called.append(name) or len(called) for name in "ab"}
    assert measure.rounds(ways, 2) == {"a": [1, 3], "b": [2, 4]}
    assert called == ["a", "b", "a", "b"]
    assert measure.medians(ways, 3) == {"a": 7, "b": 8}


def test_every_way_to_map_gives_the_results_of_a_loop(ctx):
    names = ["serial", *measure._ENGINES]
    with measure.maps(tasks.count_primes, LONG[:3], names, workers=2, ctx=ctx) as ways:
        assert {"serial", "ceiling", "Pool", "imap_unordered", "executor", "threads"} <= set(ways)
        assert all(way() > 0 for way in ways.values())
    if "joblib" in ways:  # its resource tracker is for the whole program: other tests would find it left
        importlib.import_module("joblib.externals.loky.backend.resource_tracker")._resource_tracker._stop()
    assert multiprocessing.active_children() == []


def test_processes_start_before_threads_and_interpreters(ctx, monkeypatch):
    """A child that is forked while interpreters exist crashes, seen on 3.14 and 3.15."""
    begun = []
    for name in ("threads", "interpreters", "executor"):
        run = lambda _chunk, name=name: begun.append(name) or [1]  # noqa: E731
        monkeypatch.setitem(measure._ENGINES, name, lambda *_, run=run: nullcontext(run))
    with measure.maps(abs, [-1], ["serial", "threads", "interpreters", "executor"], ctx=ctx) as ways:
        assert list(ways) == ["serial", "threads", "interpreters", "executor"]
    assert begun == ["executor", "threads", "interpreters"]


def test_the_chunk_size_in_a_name_is_used(ctx, monkeypatch):
    seen = []
    engine = nullcontext(lambda chunk: seen.append(chunk) or [*range(96)])
    monkeypatch.setitem(measure._ENGINES, "Pool", lambda *_: engine)
    names = ["Pool", "Pool, chunksize=7", "Pool, tuned"]
    with measure.maps(abs, range(96), names, workers=2, ctx=ctx):
        assert seen == [None, 7, 3]


def test_wrong_results_are_an_error(monkeypatch):
    monkeypatch.setitem(measure._ENGINES, "threads", lambda *_: nullcontext(lambda chunk: [1, 3]))
    with pytest.raises(ValueError, match="threads"), measure.maps(abs, [1, 2], ["threads"]):
        pass


def test_what_is_not_installed_is_left_out(monkeypatch):
    monkeypatch.setitem(sys.modules, "joblib", None)
    with measure.maps(abs, [-1], ["serial", "joblib"]) as ways:
        assert list(ways) == ["serial"]


def test_the_ceiling_does_each_item_once(ctx, tmp_path):
    folders = [tmp_path / name for name in "abcde"]
    with measure._ceiling(ctx, 2, os.mkdir, folders) as run:  # mkdir fails where a folder is
        run(None)
    assert all(folder.exists() for folder in folders)


@pytest.mark.parametrize("name", measure.CHANNELS)
def test_a_channel_delivers(ctx, name):
    if name == "raw pipe" and os.name != "posix":
        pytest.skip("no such pipe here")
    with ExitStack() as stack:
        send, receive = measure._channel(name, ctx, 5, stack)
        send(b"hello")
        assert bytes(receive()) == b"hello"


@pytest.mark.parametrize("method", multiprocessing.get_all_start_methods())
def test_messages_travel_under_each_start_method(method):
    ctx = multiprocessing.get_context(method)
    with measure.messages(1000, times=2, ctx=ctx) as ways:
        assert set(ways) >= {"memcpy", "Pipe", "Queue", "shared memory"}
        assert all(way() > 0 for way in ways.values())
    with measure.messages(1000, ["Queue", "shared memory"], burst=5, times=2, ctx=ctx) as ways:
        assert list(ways) == ["memcpy", "Queue"]
        assert ways["Queue"]() > 0
    assert multiprocessing.active_children() == []


def test_a_burst_is_counted_message_by_message(ctx, monkeypatch):
    monkeypatch.setattr(measure, "round_trip", lambda send, receive, message, times: 12.0)
    with measure.messages(8, [], ctx=ctx) as ways:
        assert ways["memcpy"]() == 6
    with measure.messages(8, [], burst=5, ctx=ctx) as ways:
        assert ways["memcpy"]() == 2


def test_primitives(ctx):
    with measure.primitives(times=2, ctx=ctx) as ways:
        assert {"Lock", "threads: Lock", "Barrier", "Manager().Lock", "wake a process"} <= set(ways)
        assert all(way() > 0 for way in ways.values())
    assert multiprocessing.active_children() == []


def test_starts():
    with measure.starts("json") as ways:
        assert set(ways) >= {"thread", *multiprocessing.get_all_start_methods()}
        assert all(way() > 0 for way in ways.values())


# What it costs, and what it leaves


@pytest.mark.parametrize(
    ("module", "unwanted"),
    [
        ("mpdemos", {"mpdemos.measure", "numpy", "matplotlib", "IPython"}),
        ("mpdemos.measure", {"numpy", "matplotlib", "IPython", "joblib", "mpire", "distributed"}),
    ],
)
def test_nothing_is_imported_before_it_is_needed(module, unwanted):
    code = f"import sys, {module}; assert not {unwanted} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


MEASURING = """\
import multiprocessing, sys
from mpdemos import measure
with measure.messages(8, ["Queue"]):
    print(*[child.pid for child in multiprocessing.active_children()], flush=True)
    sys.stdin.read()
"""


def test_children_end_with_a_parent_that_is_killed(tmp_path):
    with subprocess.Popen(
        [sys.executable, "-c", MEASURING],
        env=os.environ | {"TMPDIR": str(tmp_path)},  # a killed fork server leaves the address of its socket
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as parent:
        (pid,) = map(int, parent.stdout.readline().split())
        child = psutil.Process(pid)
        parent.kill()
        child.wait(60)
