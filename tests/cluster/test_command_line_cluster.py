"""Lesson 09 on a cluster that was started from the command line, and what must hold for its own one."""

import contextlib
import json
import os
import subprocess
import sys
import time
import uuid
from pathlib import Path

import nbformat
import psutil
import pytest
from codecells import code, python
from leftovers import TAG, end, tagged
from nbclient import NotebookClient

LESSON = Path(__file__).parents[2] / "notebooks" / "09-beyond-one-machine.ipynb"
LIMIT = 180  # seconds; a safety net: Dask needs 50 of them to start while five suites run
LEASES = {  # scheduler, workers and client need the same; without them a dead holder's lock takes 40 s
    "DASK_DISTRIBUTED__SCHEDULER__LOCKS__LEASE_TIMEOUT": "10s",
    "DASK_DISTRIBUTED__SCHEDULER__LOCKS__LEASE_VALIDATION_INTERVAL": "200ms",
}
COMMAND = [sys.executable, "-m", "dask"]
ADDRESS = ["--host", "127.0.0.1", "--no-dashboard", "--scheduler-file"]


def eventually(condition, log):
    deadline = time.monotonic() + LIMIT
    while not condition():
        assert time.monotonic() < deadline, log.read_text(encoding="utf-8", errors="replace")[-3000:]
        time.sleep(0.05)


def family(processes):
    """Processes, and all that they have started."""
    found = list(processes)
    for process in processes:
        with contextlib.suppress(psutil.NoSuchProcess):
            found += process.children(recursive=True)
    return found


@pytest.fixture
def address(tmp_path, monkeypatch):
    """The address of a scheduler with two workers, each with two threads."""
    distributed = pytest.importorskip("distributed")
    for name, value in LEASES.items():
        monkeypatch.setenv(name, value)
    file, log = tmp_path / "scheduler.json", tmp_path / "log.txt"
    worker = [*COMMAND, "worker", "--nthreads", "2", "--local-directory", str(tmp_path)]
    started = []
    with open(log, "wb") as output:
        try:
            for command in ([*COMMAND, "scheduler", "--port", "0"], worker, worker):
                command = [*command, *ADDRESS, str(file)]
                started.append(psutil.Popen(command, stdout=output, stderr=output, cwd=tmp_path))
                eventually(file.exists, log)
            eventually(lambda: "address" in file.read_text(), log)
            address = json.loads(file.read_text())["address"]
            with distributed.Client(address, set_as_default=False) as client:
                eventually(lambda: len(client.nthreads()) == 2, log)
            yield address
            assert all(process.is_running() for process in started), log.read_text()[-3000:]
        finally:
            end(family(started))


def shown(cell):
    """What a learner reads below a cell, without pictures and without what goes to stderr."""
    text = ""
    for output in cell.outputs:
        if output.output_type == "stream" and output.name == "stdout":
            text += output.text
        elif output.output_type != "stream":
            text += "".join(output.data["text/plain"])
    return text


def test_the_lesson_runs_unchanged_on_a_cluster_from_the_command_line(address, monkeypatch):
    monkeypatch.setenv("DASK_SCHEDULER_ADDRESS", address)
    stored, run = (nbformat.read(LESSON, as_version=4) for _ in range(2))
    where = code(run)[-1]
    where.source = f"""\
assert client.scheduler.address == {address!r} and client.cluster is None
while any(client.processing().values()):  # no task of the lesson runs for ever, nor one that began again
    time.sleep(0.1)
{where.source}"""
    NotebookClient(run, timeout=2 * LIMIT, resources={"metadata": {"path": str(LESSON.parent)}}).execute()
    for before, after in zip(code(stored), code(run), strict=True):
        if "nbval-ignore-output" not in before.metadata.get("tags", []):
            assert shown(after) == shown(before), before.source

    import distributed

    with distributed.Client(address, set_as_default=False) as client:  # the lesson has not closed it
        assert len(client.nthreads()) == 2


def test_without_distributed_the_first_cell_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(ModuleNotFoundError, match=r"distributed is missing.*make lab.*\[cluster\]"):
        exec(python(code(nbformat.read(LESSON, as_version=4))[0].source), {})


def test_no_worker_outlives_a_kernel_that_is_killed():
    pytest.importorskip("distributed")
    cells = code(nbformat.read(LESSON, as_version=4))
    number = next(i for i, cell in enumerate(cells) if "Client(**LOCAL" in cell.source)
    kernel = "\n".join(python(cell.source) for cell in cells[: number + 1])
    kernel += "\nprint(*client.run(os.getpid).values(), flush=True)\ninput()"
    tag = uuid.uuid4().hex
    environment = {k: v for k, v in os.environ.items() if k != "DASK_SCHEDULER_ADDRESS"}
    with subprocess.Popen(
        [sys.executable, "-c", kernel],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=environment | {TAG: tag},
    ) as process:
        try:
            workers = [psutil.Process(int(pid)) for pid in process.stdout.readline().split()]
        finally:
            process.kill()
    assert len(workers) == 3
    _gone, alive = psutil.wait_procs(workers, timeout=LIMIT)
    assert alive == []
    psutil.wait_procs(tagged(tag), timeout=LIMIT)
    assert tagged(tag) == []
