"""Measure side by side and print tables: `make bench`. `make bench ARGS=--write` puts them into docs/ too."""

import multiprocessing
import os
import platform
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from itertools import pairwise
from pathlib import Path

if __name__ == "__main__":  # children import this file again, and need nothing of this
    import statistics
    import subprocess
    import tempfile
    from importlib import metadata

    import matplotlib.pyplot as plt
    import psutil
    from jupyter_client.manager import start_new_kernel

    from mpdemos import measure, watch
    from mpdemos.watch.explain import explain
    from mpdemos.watch.picture import Timeline
    from mpdemos.workers import event, lock, pipe, pool, queue, semaphore

DOCS = Path(__file__).parent.parent / "docs"
ROUNDS = 5
UNITS = {"ns": 1e9, "µs": 1e6, "ms": 1e3, "s": 1}
POOLS = ["Pool", "Pool, chunksize=1", "Pool, tuned", "imap_unordered", "imap_unordered, tuned"]
PEERS = ["executor", "executor, tuned", "threads", "interpreters", "joblib", "mpire", "Dask", "Dask, tuned"]
LONG, TINY, SMALL, LARGE = "64 long tasks", "20,000 tiny tasks", "A message of 64 bytes", "A message of 64 MB"
CROWD = 64  # processes
SUITE, KERNELS = "Test of every notebook, two at a time", "as many empty kernels"
SCALE = f"`watch` over {CROWD} processes"
PRIMITIVES, STARTS, DEMOS = "Primitives", "Start and end, NumPy to import", "Demos, plain and watched"
ABOUT = {
    LONG: "`map` of a function that takes what `serial` shows. The time of one task.",
    TINY: "`map` of a function that takes what `serial` shows. The time of one task.",
    SMALL: "There, and its echo back. The time of one of them. Shared memory is read in place.",
    PRIMITIVES: "Acquire and release, set and clear, or `wait` at a Barrier of one: nobody waits. But in "
    "`wake a process` two processes meet at a Barrier.",
    SUITE: "Every cell of every notebook is run and compared. An empty kernel starts, runs `pass` and ends.",
    DEMOS: "A watched demo may take 1.05 times as long as a plain one. The plain one is measured twice: the "
    "difference is noise.",
}
INTRODUCTION = """\
# Numbers

Measured side by side by `make bench`, which prints these tables for your machine. All ways to do a thing
are measured in turn, several times. What disturbs one disturbs the others, so **trust the ratios, not the
times**.

*The best* is the quickest way in a table. `ceiling` is what is possible here: as many independent processes
as CPUs, each with its share of the tasks, and no messages. `serial ÷ 2` would be two CPUs for free. `tuned`
makes sixteen tasks for each worker.

![Four charts: how many times as fast as a loop each kind of map is; a message by each channel; each
primitive; a start by each method. The tables have the same numbers.](numbers.svg)

"""


# --- Demos and operations, watched and plain


def run(ctx, *jobs):
    """Run each function with its arguments in a process of its own."""
    processes = [ctx.Process(target=target, args=args) for target, args in jobs]
    for process in processes:
        process.start()
    for process in processes:
        process.join()


def lock_demo(ctx):
    work = ctx.Barrier(3), ctx.Lock(), ctx.Value("i", 0, lock=False), 4
    run(ctx, *[(lock.deposit, work)] * 3)


def semaphore_demo(ctx):
    places, go, notes = ctx.Semaphore(2), ctx.Event(), ctx.SimpleQueue()
    go.set()
    run(ctx, *[(semaphore.worker_with, (places, 0.05, go, notes))] * 5)


def event_demo(ctx):
    line, notes = ctx.Barrier(3), ctx.SimpleQueue()
    run(ctx, *[(event.runner, (line, 0.05, notes))] * 3)


def queue_demo(ctx):
    shelf, served = ctx.Queue(5), ctx.SimpleQueue()
    run(ctx, (queue.cook, (shelf, [*range(20), None])), (queue.carry, (shelf, served)))


def pipe_demo(ctx):
    here, there = ctx.Pipe()
    child = ctx.Process(target=pipe.clerk, args=(there,))
    child.start()
    there.close()
    for item in [*pipe.PRICES] * 3:
        here.send(item)
        here.recv()
    here.send(None)
    child.join()


def pool_demo(ctx):
    with ctx.Pool(2) as workers:
        workers.map(pool.count_primes, [range(n, n + 10_000) for n in range(0, 60_000, 10_000)], 1)


def watched(demo):
    with watch(limit=60) as mp:
        demo(mp)


@contextmanager
def demos():
    ctx, ways = multiprocessing.get_context("spawn"), {}
    for demo in (lock_demo, semaphore_demo, event_demo, queue_demo, pipe_demo, pool_demo):
        name = demo.__name__.removesuffix("_demo")
        ways[name] = ways[f"{name}, again"] = partial(measure.repeat, partial(demo, ctx), 1)
        ways[f"{name}, watched"] = partial(measure.repeat, partial(watched, demo), 1)
    yield ways


@contextmanager
def events():
    def pair(lock):
        lock.acquire()
        lock.release()

    with watch(limit=None) as mp, tempfile.TemporaryFile("w", encoding="utf-8") as file:
        use = {
            "an untraced acquire and release": partial(pair, multiprocessing.get_context("spawn").Lock()),
            "a traced one, two events": partial(pair, mp.Lock()),
            "a recorded event": partial(mp._recorder.note, "acquired", "Lock-1"),
            "print to a file, flushed": partial(print, "acquired", "Lock-1", file=file, flush=True),
        }
        yield {name: partial(measure.repeat, operation, 1000) for name, operation in use.items()}


@contextmanager
def imports():
    def bring(module):
        subprocess.run([sys.executable, "-c", f"import {module}"], check=True)

    modules = ["sys", "multiprocessing", "mpdemos", "numpy", "matplotlib.pyplot", "IPython"]
    yield {module: partial(measure.repeat, partial(bring, module), 1) for module in modules}


@contextmanager
def suite():
    notebooks = sorted((DOCS.parent / "notebooks").glob("*.ipynb"))

    def use_kernel(_):
        manager, client = start_new_kernel(kernel_name="python3")
        client.execute("pass", reply=True, timeout=60)
        client.stop_channels()
        manager.shutdown_kernel()

    def kernels():
        with ThreadPoolExecutor(2) as two:
            list(two.map(use_kernel, notebooks))

    def test():
        command = [
            sys.executable,
            "-m",
            "pytest",
            "-q",
            "-n2",
            "-p",
            "no:cacheprovider",
            *map(str, notebooks),
        ]
        done = subprocess.run(command, cwd=DOCS.parent, capture_output=True, text=True)
        if done.returncode:
            print(done.stdout[-2000:], file=sys.stderr)

    yield {name: partial(measure.repeat, way, 1) for name, way in ((KERNELS, kernels), (SUITE, test))}


# --- How watch scales


def deposit_often(lock, memory, times):
    import psutil

    for _ in range(times):
        with lock:
            pass
    memory.put(psutil.Process().memory_info().rss)


def scale():
    """A table: what each event costs the reader when there are few of them and when there are many."""
    lines = [
        "| events | read, µs | explain, µs | draw, µs | picture, kB | a child, MB |",
        "|--:|--:|--:|--:|--:|--:|",
    ]
    for wanted in (1_000, 10_000, 100_000):
        with watch(limit=None) as mp:
            lock, memory = mp.Lock(), mp.SimpleQueue()
            work = lock, memory, wanted // CROWD // 2
            children = [mp.Process(target=deposit_often, args=work) for _ in range(CROWD)]
            for child in children:
                child.start()
            size = statistics.median(memory.get() for _ in children)
            for child in children:
                child.join()
            times = []
            for _ in range(3):
                laps = [time.process_time()]
                history = mp._read()
                laps.append(time.process_time())
                explain(history)
                laps.append(time.process_time())
                svg = Timeline(history).svg
                laps.append(time.process_time())
                times.append([after - before for before, after in pairwise(laps)])
        events = len(history.records)
        costs = [statistics.median(step) / events * 1e6 for step in zip(*times, strict=True)]
        cells = [
            f"{events:,}",
            *(f"{cost:.2f}" for cost in costs),
            f"{len(svg) / 1e3:.0f}",
            f"{size / 1e6:.1f}",
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(
        [f"### {SCALE}", "", "What an event costs who reads the record: time of the CPU.", "", *lines]
    )


# --- All that is measured


def sections():
    """Title, unit, ways, rounds, and what is ideal."""
    ways, share = ["serial", "ceiling", *POOLS, *PEERS], [f"serial ÷ {workers()}", "ceiling"]
    blocks = [range(n, n + 8000) for n in range(0, 512_000, 8000)]
    least = ["memcpy", "raw pipe"] if os.name == "posix" else ["memcpy"]
    yield LONG, "ms", measure.maps(pool.count_primes, blocks, ways), ROUNDS, share
    yield TINY, "µs", measure.maps(pool.is_prime, [104_729] * 20_000, ways), ROUNDS, share
    yield SMALL, "µs", measure.messages(64, times=1000), ROUNDS, least
    yield f"{SMALL}, 1,000 in a row", "µs", measure.messages(64, burst=1000, times=5), ROUNDS, least
    yield "A message of 1 MB", "µs", measure.messages(1_000_000, times=30), ROUNDS, least
    yield LARGE, "ms", measure.messages(64_000_000, times=1), ROUNDS, least
    yield PRIMITIVES, "ns", measure.primitives(), ROUNDS, []
    yield "Start and end, nothing to import", "ms", measure.starts("sys"), 3 * ROUNDS, []
    yield STARTS, "ms", measure.starts("numpy"), 3 * ROUNDS, []
    yield "A new Python that imports one module", "ms", imports(), ROUNDS, []
    yield "Events of `watch`", "µs", events(), 3 * ROUNDS, ["print to a file, flushed"]
    yield DEMOS, "ms", demos(), 4 * ROUNDS, ["plain"]
    yield SUITE, "s", suite(), 3, [KERNELS]


def workers():
    return min(measure.cpus(), 8)


# --- How it is told


def ratio(times, name, other):
    """How many times as long it takes: the median over the rounds."""
    return statistics.median(a / b for a, b in zip(times[name], times[other], strict=True))


def table(title, unit, times, ideals, foreign):
    """A table in Markdown: medians, and ratios to the best and to what is ideal."""
    if "ceiling" in times:
        times[ideals[0]] = [spent / workers() for spent in times["serial"]]
    median = {name: statistics.median(spent) for name, spent in times.items()}
    best = min(set(times) - set(ideals), key=median.get)
    against = [] if "plain" in ideals else [("the best", best)]
    against += [(name, name) for name in ideals]
    lines = [["", unit, *(f"× {label}" for label, _ in against)]]
    for name in times:
        others = [name.partition(", ")[0] if other == "plain" else other for _, other in against]
        ratios = [f"{ratio(times, name, other):,.2f}" for other in others]
        lines.append([name, f"{median[name] * UNITS[unit]:,.2f}", *ratios])
    wide = [max(map(len, column)) for column in zip(*lines, strict=True)]
    lines.insert(1, ["-" * wide[0], *("-" * (width - 1) + ":" for width in wide[1:])])
    rows = [
        f"| {' | '.join([line[0].ljust(wide[0]), *map(str.rjust, line[1:], wide[1:])])} |" for line in lines
    ]
    note = f"Median of {len(times[best])} rounds; other programs used {foreign:.0%} of the CPUs meanwhile."
    return "\n".join([f"### {title}", "", *([ABOUT[title], ""] if title in ABOUT else []), *rows, "", note])


def owed(times):
    """What this project owes, and what it reached: the best round of one against the best of the other."""

    def quicker(title, name, than):
        return min(times[title][than]) / min(times[title][name])

    peers = [name for name in PEERS if name in times[TINY]]
    best_peer = min(peers, key=lambda name: min(times[TINY][name]))
    rows = [
        ("Pool, long tasks: of the ceiling", quicker(LONG, "Pool", "ceiling"), 0.9),
        ("Pool, tiny tasks: as fast as with chunks of 1", quicker(TINY, "Pool", "Pool, chunksize=1"), 2),
        (
            f"Pool, tiny tasks: as fast as the best peer ({best_peer})",
            quicker(TINY, "Pool", best_peer),
            0.95,
        ),
        ("serial, tiny tasks: as fast as a Pool with chunks of 1", quicker(TINY, "serial", POOLS[1]), 1),
        ("shared memory, 64 MB: as fast as a Queue", quicker(LARGE, "shared memory", "Queue"), 10),
    ]
    if "Dask" in times[LONG]:
        rows.append(("Dask, long tasks: of the ceiling", quicker(LONG, "Dask", "ceiling"), 0.75))
    demos = [name.removesuffix(", watched") for name in times[DEMOS] if name.endswith(", watched")]
    slowest = max(ratio(times[DEMOS], f"{name}, watched", name) for name in demos)
    lines = [f"| {what} | at least {least} | {got:.2f} |" for what, got, least in rows]
    lines += [f"| the demo that watching slows down most: of its plain time | at most 1.05 | {slowest:.2f} |"]
    tests = ratio(times[SUITE], SUITE, KERNELS)
    lines += [f"| test of every notebook: of the time of {KERNELS} | at most 2.5 | {tests:.2f} |"]
    return "\n".join(["| | owed | reached |", "|---|--:|--:|", *lines])


def draw(times, path):
    """The picture: four of the tables as bars."""
    plt.rcParams |= {"svg.hashsalt": "mpdemos", "svg.fonttype": "none", "font.size": 9}
    plt.rcParams |= {"axes.spines.top": False, "axes.spines.right": False}
    figure, axes = plt.subplots(2, 2, figsize=(11, 9.5), layout="constrained")
    names = [name for name in times[LONG] if not name.startswith("serial")]
    for shift, title, color, hatch in [(-0.2, LONG, "#0072b2", ""), (0.2, TINY, "#e69f00", "//")]:
        gains = [1 / ratio(times[title], name, "serial") for name in names]
        places = [place + shift for place in range(len(names))]
        bars = axes[0, 0].barh(places, gains, 0.4, color=color, hatch=hatch, edgecolor="white", label=title)
        axes[0, 0].bar_label(bars, fmt="%.2f", padding=3)
    axes[0, 0].axvline(1, color="black", linestyle="--", label="a plain loop")
    axes[0, 0].set(title="map: times as fast as a plain loop", yticks=range(len(names)), yticklabels=names)
    axes[0, 0].margins(x=0.1)
    for place, title, unit in [((0, 1), LARGE, "ms"), ((1, 0), PRIMITIVES, "ns"), ((1, 1), STARTS, "ms")]:
        median = {name: statistics.median(spent) * UNITS[unit] for name, spent in times[title].items()}
        bars = axes[place].barh(list(median), list(median.values()), color="#56b4e9")
        labels = [f"{spent:,.0f}" if spent > 100 else f"{spent:.2g}" for spent in median.values()]
        axes[place].bar_label(bars, labels, padding=3)
        axes[place].set(title=f"{title}: {unit}", xscale="log")
        axes[place].margins(x=0.2)
    for chart in axes.flat:
        chart.invert_yaxis()
    figure.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside lower left", ncols=3)
    figure.savefig(path, metadata={"Date": None})


# --- The machine


def wait_for_calm():
    """Wait, at most ten seconds, until other programs leave the CPUs alone."""
    for _ in range(10):
        if psutil.cpu_percent(1) < 10:
            return


def used():
    """Seconds that anybody, and that this program and its ended children, have used of the CPUs."""
    every, own = psutil.cpu_times(), os.times()
    return sum(every) - every.idle - getattr(every, "iowait", 0), sum(own[:4])


def machine():
    name = platform.processor() or platform.machine()
    if Path("/proc/cpuinfo").exists():
        models = [line for line in Path("/proc/cpuinfo").read_text().splitlines() if "model name" in line]
        name = models[0].partition(": ")[2] if models else name
    memory = psutil.virtual_memory().total / 2**30
    packages = []
    for package in ["numpy", "joblib", "mpire", "distributed"]:
        try:
            packages.append(f"{package} {metadata.version(package)}")
        except metadata.PackageNotFoundError:
            packages.append(f"{package} is not installed and left out")
    return [
        f"- {time.strftime('%Y-%m-%d')}, {name}, {measure.cpus()} CPUs, {memory:.0f} GiB of memory",
        f"- {platform.system()} {platform.release().partition('-')[0]}, Python {platform.python_version()}",
        f"- {', '.join(packages)}",
        f"- start method {measure.start_method()}, {workers()} workers",
    ]


def main(write):
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)  # or each child would compile what it imports
    told, times = ["## Where", "", *machine(), "", "## What", ""], {}
    print("\n".join(told))
    for title, unit, opening, number, ideals in sections():
        wait_for_calm()
        began, before = time.perf_counter(), used()
        with opening as ways:
            times[title] = measure.rounds(ways, number)
        spent = (time.perf_counter() - began) * psutil.cpu_count()
        every, own = (after - earlier for after, earlier in zip(used(), before, strict=True))
        told += [table(title, unit, times[title], ideals, max(0, every - own) / spent), ""]
        print(told[-2], flush=True)
        print()
    wait_for_calm()
    told += [scale(), ""]
    print(told[-2], end="\n\n", flush=True)
    reached = owed(times)
    print(f"### Owed, and reached\n\n{reached}")
    if write:
        draw(times, DOCS / "numbers.svg")
        text = INTRODUCTION + "\n".join(told) + "\n## Owed, and reached\n\n" + reached + "\n"
        (DOCS / "numbers.md").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main("--write" in sys.argv)
