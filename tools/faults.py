"""Break things at random moments while the demos of the lessons run, and see which promise does not hold.

    python tools/faults.py --moments 200 --seed 1

Each moment has a kernel of its own and one watched cell of a lesson. The cell runs twice, to see how long it
takes; it runs again, and the fault comes at a random moment of it. One kernel in four is struck within the
first second of its first run instead, when helpers start. Then the cell has to end within its limit and two
seconds, by an error that names what happened or as if nothing had. What was recorded before the fault can be
read, the kernel can go on, and two seconds later nothing is left. Needs the signals of POSIX; as root on
Linux each kernel has a /dev/shm and a temporary folder of its own, small enough to fill.
"""

import argparse
import ast
import contextlib
import json
import os
import queue
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cache
from multiprocessing import get_all_start_methods
from pathlib import Path

import psutil
from IPython.core.inputtransformer2 import TransformerManager
from jupyter_client import BlockingKernelClient
from jupyter_client.connect import write_connection_file

from mpdemos.watch.remover import cleans_up

ROOT = Path(__file__).parent.parent
LIMIT = 5  # seconds of each watched block, in place of the lessons' 10, 20 and 30
COLD = 0.25  # of all kernels are struck in the first run of the cell
EARLY = 0.3  # of the faults that last come before the cell, which makes its locks and queues at once
GRACE = 2.0  # seconds: beyond the limit for the end of the cell, and then for all that shall disappear
PAUSE = 1.5  # seconds that a process is stopped at most
YOUNG = 0.1  # seconds: whether it will be a child or a helper does not show yet
PATIENCE = 60.0  # seconds that a kernel may take to answer
# seconds: the library makes a semaphore first and then tells its resource tracker of it, so that one whose
# maker is killed in between stays; with and without `watch`
IN_THE_MAKING = 0.2
TAG = "MPDEMOS_TEST_TAG"  # in the environment of all that a kernel starts
IS_ROOT = sys.platform == "linux" and os.geteuid() == 0


# --- Demos


@dataclass(frozen=True)
class Demo:
    name: str
    before: str  # the cells that it needs
    code: str


@cache
def demos() -> list[Demo]:
    """The watched cells of lessons 02 to 08, each with the cells that define what it uses."""
    found = []
    for path in sorted((ROOT / "notebooks").glob("0[2-8]-*.ipynb")):
        cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
        codes = [_python("".join(cell["source"])) if cell["cell_type"] == "code" else "" for cell in cells]
        for number, code in enumerate(codes):
            if "with watch(" in code and not _only_defines(code):
                before = "\n".join(_needed(codes[:number], _wanted(code)))
                short = re.sub(r"limit=(10|20|30)\b", f"limit={LIMIT}", code)
                short = short.replace("watch()", f"watch(limit={LIMIT})")
                short = short.replace('watch("spawn")', f'watch("spawn", limit={LIMIT})')
                found.append(Demo(f"{path.stem} [{number}]", before, short))
    return found


def _python(code: str) -> str:
    """A cell's Python, a magic of one line being a call; that with a cell magic is left out."""
    return "" if code.startswith("%%") else TransformerManager().transform_cell(code)


def _only_defines(code: str) -> bool:
    kinds = ast.FunctionDef | ast.Import | ast.ImportFrom
    return all(isinstance(node, kinds) for node in ast.parse(code).body)


def _names(code: str) -> tuple[set[str], set[str]]:
    """What a cell binds, and what it uses."""
    binds: set[str] = set()
    uses: set[str] = set()
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.Name):
            (uses if isinstance(node.ctx, ast.Load) else binds).add(node.id)
        elif isinstance(node, ast.FunctionDef | ast.ClassDef):
            binds.add(node.name)
        elif isinstance(node, ast.alias):
            binds.add((node.asname or node.name).split(".")[0])
    return binds, uses


def _wanted(code: str) -> set[str]:
    binds, uses = _names(code)
    return uses - binds


def _needed(codes: list[str], wanted: set[str]) -> list[str]:
    """Of the cells before, those that define what is wanted; the imports always."""
    needed = []
    for number, code in reversed(list(enumerate(codes))):
        if not code or "predict(" in code:
            continue
        if _names(code)[0] & wanted or number <= 2:
            needed.append(code)
            wanted = (wanted - _names(code)[0]) | _wanted(code)
    return needed[::-1]


# --- Kernels


# When a cell failed, without the time that a busy machine takes to draw the traceback: that is IPython's.
NOTE_END = """\
def _note_end(*args, _show=get_ipython().showtraceback, **options):
    global _ended
    import time
    _ended = time.monotonic()
    _show(*args, **options)
get_ipython().showtraceback = _note_end
"""
PROBE = """\
def _probe():
    import gc, json
    from mpdemos.watch import Watch
    told = []
    for watch in sorted((o for o in gc.get_objects() if type(o) is Watch and o._state != "new"), key=id):
        story = {"folder": watch._folder, "state": watch._state, "records": len(watch._told().records)}
        story["raised"] = bool(watch._check and watch._failures)
        story |= {"events": len(watch.events), "told": watch.explain(), "drawn": len(watch.timeline().svg)}
        told.append(story)
    print(json.dumps(told))
_probe()
"""
GO_ON = f"""\
import time as _time
from mpdemos import watch as _watch
with _watch(limit={PATIENCE:g}) as _mp:
    _child = _mp.Process(target=_time.sleep, args=(0,))
    _child.start()
    _child.join()
print(_child.exitcode)
"""


@dataclass
class Said:
    """What a cell said: what it printed, and its error with the traceback; None if the kernel is gone."""

    printed: str = ""
    error: str | None = ""
    seconds: float = 0.0
    end: float = 0.0


class Kernel:
    """A kernel with a temporary folder and, as root on Linux, a /dev/shm of its own."""

    def __init__(self, method: str) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="faults-"))
        self.temp, self.shm = self.folder / "tmp", Path("/dev/shm")
        self.temp.mkdir()
        inside: list[str] = []
        if IS_ROOT:
            self.shm = self.folder / "shm"
            self.shm.mkdir()
            _mount(self.temp, "size=1m,nr_inodes=400")
            _mount(self.shm, "size=64m,nr_inodes=1000")
            inside = ["unshare", "-m", "sh", "-c", 'mount --bind "$0" /dev/shm && exec "$@"', str(self.shm)]
        self._shared = set(_entries(self.shm))
        self.killed = 0.0  # when a process was killed, in seconds since the epoch
        self.has_tracker = True  # the library's, who alone removes what no watch has made
        self.unwatched: set[str] = set()  # what the cells before the demo have in shared memory
        own = {TAG: str(self.folder), "TMPDIR": str(self.temp), "MPDEMOS_START_METHOD": method}
        own |= {"IPYTHONDIR": str(self.folder / "ipython"), "JUPYTER_RUNTIME_DIR": str(self.folder)}
        self.client = BlockingKernelClient()
        self._log = open(self.folder / "log", "wb")  # noqa: SIM115
        try:
            self.process, file = self._start(inside, os.environ | own)
            self.client.load_connection_file(file)
            self.client.start_channels(hb=False)
            self.client.wait_for_ready(PATIENCE)
        except BaseException:
            self.remove()
            raise

    def _start(self, inside: list[str], env: dict[str, str]) -> tuple[psutil.Process, str]:
        file = str(self.folder / "kernel.json")
        write_connection_file(file, transport="ipc", ip=str(self.folder / "ipc"))
        command = [*inside, sys.executable, "-m", "ipykernel_launcher", "-f", file]
        self._popen([*command, "--HistoryManager.enabled=False"], env)
        return psutil.Process(self._started.pid), file

    def _popen(self, command: list[str], env: dict[str, str]) -> None:
        self._started = subprocess.Popen(
            command,
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=self._log,
            stderr=self._log,
            start_new_session=True,  # as Jupyter starts its kernels
        )

    def run(self, code: str, begun: threading.Event | None = None, patience: float = PATIENCE) -> Said:
        """Run a cell; ``begun`` is set when the kernel begins it."""
        said = Said()
        message = self.client.execute(code, store_history=False)
        began = time.monotonic()
        while True:
            try:
                answer = self.client.get_iopub_msg(timeout=0.1)
            except queue.Empty:
                said.seconds = time.monotonic() - began
                if not _runs(self.process):
                    said.error, said.end = None, time.monotonic()
                    return said
                if said.seconds > patience:
                    said.error = f"it did not end within {patience:g} seconds"
                    return said
                continue
            if answer["parent_header"].get("msg_id") != message:
                continue
            kind, content = answer["msg_type"], answer["content"]
            if kind == "execute_input":
                began = time.monotonic()
                if begun is not None:
                    begun.set()
            elif kind == "stream" and content["name"] == "stdout":
                said.printed += content["text"]
            elif kind == "error":
                said.error = re.sub(r"\x1b\[[0-9;]*m", "", "\n".join(content["traceback"]))
            elif kind == "status" and content["execution_state"] == "idle":
                said.end = time.monotonic()
                said.seconds = said.end - began
                return said

    def children(self) -> list[psutil.Process]:
        """The processes that the cell started, without the helpers of the library and of the watch."""
        found = []
        with contextlib.suppress(psutil.Error):
            for process in self.process.children(recursive=True):
                with contextlib.suppress(psutil.Error):
                    young = time.time() - process.create_time() < YOUNG
                    command = " ".join(_command(process))
                    server = "multiprocessing.forkserver" in command and process.ppid() == self.process.pid
                    helper = young or server or cleans_up(process)
                    if not helper and process.status() != psutil.STATUS_ZOMBIE:
                        found.append(process)
        return found

    def records(self) -> dict[str, int]:
        """How many lines each record folder holds now."""
        counted = {}
        for folder in self.temp.glob("mpdemos-*"):
            with contextlib.suppress(OSError):
                files = [file.read_bytes() for file in folder.glob("*.jsonl")]
                counted[folder.name] = sum(text.count(b"\n") for text in files)
        return counted

    def quit(self) -> None:
        """End the kernel as Jupyter does: it asks, and has no more patience than this."""
        self.client.shutdown()
        for end in (self.process.terminate, self.process.kill):
            try:
                self.process.wait(2.5)
            except psutil.TimeoutExpired:
                end()
            else:
                return
        self.process.wait(PATIENCE)

    def processes(self) -> list[psutil.Process]:
        found = []
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error, OSError):
                tagged = process.environ().get(TAG) == str(self.folder)
                if tagged and process.status() != psutil.STATUS_ZOMBIE:
                    found.append(process)
        return found

    def left(self) -> list[str]:
        """What is there though the kernel is gone: processes, shared memory and semaphores, folders."""
        told = [f"process {' '.join(_command(process))[-90:]}" for process in self.processes()]
        told += [
            f"/dev/shm/{name}"
            for name in _ours(set(_entries(self.shm)) - self._shared)
            if not was_being_made(self.shm / name, self.killed)
            and (self.has_tracker or (name.startswith("sem.") and name not in self.unwatched))
        ]
        if self.temp.exists():  # tmp…: a TemporaryDirectory of the cell itself
            told += [f"temporary {name}" for name in _ours(os.listdir(self.temp)) if name[:3] != "tmp"]
        return told

    def remove(self) -> None:
        """Leave nothing of this test itself."""
        self.client.stop_channels()
        for process in self.processes():
            with contextlib.suppress(psutil.Error):
                process.kill()
        with contextlib.suppress(psutil.TimeoutExpired, subprocess.TimeoutExpired):
            self._started.wait(PATIENCE)
        self._log.close()
        if IS_ROOT:
            for place in (self.temp, self.shm):
                subprocess.run(["umount", "-l", place], check=False, stderr=subprocess.DEVNULL)
        shutil.rmtree(self.folder, ignore_errors=True)


class ServedKernel(Kernel):
    """A kernel that a Jupyter server started; `_started` is the server."""

    def _start(self, inside: list[str], env: dict[str, str]) -> tuple[psutil.Process, str]:
        command = [*inside, sys.executable, "-m", "jupyter_server", "--no-browser", "--port=0"]
        command += ["--IdentityProvider.token=t", f"--ServerApp.root_dir={self.folder}"]
        command += ["--ServerApp.jpserver_extensions={}", "--allow-root"]
        self._popen(command, env)
        info = _soon(lambda: next(self.folder.glob("jpserver-*.json"), None), "the server does not start")
        url = _soon(lambda: json.loads(info.read_text() or "{}").get("url"), "the server has no address")
        request = urllib.request.Request(
            url + "api/kernels", data=b"{}", method="POST", headers={"Authorization": "token t"}
        )
        made = _soon(lambda: _answer(request), "the server starts no kernel")
        file = str(self.folder / f"kernel-{made['id']}.json")
        found = _soon(lambda: [p for p in self.processes() if file in _command(p)], "no kernel")
        return found[0], file


def was_being_made(file: Path, killed: float) -> bool:
    """Whether a file is a semaphore that a process may just have been making when it was killed."""
    try:
        return file.name.startswith("sem.") and 0 <= killed - file.stat().st_ctime < IN_THE_MAKING
    except FileNotFoundError:
        return True  # by now it is removed


def _entries(folder: Path) -> list[str]:
    return os.listdir(folder) if folder.exists() else []  # macOS shows no semaphore as a file


def _mount(place: Path, options: str) -> None:
    subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", place], check=True)


def _answer(request: urllib.request.Request) -> dict | None:
    try:
        with urllib.request.urlopen(request, timeout=PATIENCE) as answer:
            return json.load(answer)
    except OSError:
        return None


def _soon(look, what: str):
    deadline = time.monotonic() + PATIENCE
    while not (found := look()):
        if time.monotonic() > deadline:
            raise RuntimeError(what)
        time.sleep(0.02)
    return found


def _runs(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return False


def _command(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except psutil.Error:
        return []


def _ours(names) -> list[str]:
    return sorted(name for name in names if not name.startswith("filler"))


# --- Faults: each does its harm and returns what puts the machine in order again


def kill_child(kernel: Kernel, dice: random.Random):
    return _to_a_child(kernel, dice, lambda child: _kill(kernel, child))


def stop_child(kernel: Kernel, dice: random.Random):
    pause = dice.uniform(0.05, PAUSE)

    def stop(child: psutil.Process) -> None:
        child.suspend()
        time.sleep(pause)
        child.resume()

    return _to_a_child(kernel, dice, stop)


def _to_a_child(kernel: Kernel, dice: random.Random, do):
    deadline = time.monotonic() + 1.0
    while not (children := kernel.children()):
        if time.monotonic() > deadline:
            return None
        time.sleep(0.005)
    with contextlib.suppress(psutil.NoSuchProcess):
        do(dice.choice(children))
        return lambda: None
    return None


def _kill(kernel: Kernel, victim: psutil.Process | subprocess.Popen) -> None:
    victim.kill()
    kernel.killed = time.time()


def kill_kernel(kernel: Kernel, dice: random.Random):
    _kill(kernel, kernel.process)
    return lambda: None


def kill_group(kernel: Kernel, dice: random.Random):
    """As Jupyter does when it restarts a kernel that has died: the resource tracker is killed, too."""
    os.killpg(kernel.process.pid, signal.SIGKILL)
    kernel.killed, kernel.has_tracker = time.time(), False
    return lambda: None


def interrupt_kernel(kernel: Kernel, dice: random.Random):
    kernel.process.send_signal(signal.SIGINT)
    return lambda: None


def kill_server(kernel: Kernel, dice: random.Random):
    _kill(kernel, kernel._started)
    return lambda: None


def fill_temp(kernel: Kernel, dice: random.Random):
    fillers = _fill(kernel.temp, dice.choice([False, True]))
    return lambda: [filler.unlink(missing_ok=True) for filler in fillers]


def remove_temp(kernel: Kernel, dice: random.Random):
    whole = dice.choice([False, True])
    shutil.rmtree(kernel.temp, ignore_errors=True)
    if whole and IS_ROOT:
        subprocess.run(["umount", "-l", kernel.temp], check=True)
        kernel.temp.rmdir()
    return lambda: kernel.temp.mkdir(exist_ok=True)


def no_semaphores(kernel: Kernel, dice: random.Random):
    fillers = _fill(kernel.shm, True, blocks=False)
    return lambda: [filler.unlink(missing_ok=True) for filler in fillers]


def no_descriptors(kernel: Kernel, dice: random.Random):
    import resource

    spare = dice.randrange(5)
    before = resource.prlimit(kernel.process.pid, resource.RLIMIT_NOFILE)
    used = {int(name) for name in os.listdir(f"/proc/{kernel.process.pid}/fd")}
    free = [number for number in range(max(used) + 2 + spare) if number not in used]
    resource.prlimit(kernel.process.pid, resource.RLIMIT_NOFILE, (free[spare], before[1]))
    return lambda: resource.prlimit(kernel.process.pid, resource.RLIMIT_NOFILE, before)


def _fill(folder: Path, inodes: bool, blocks: bool = True) -> list[Path]:
    """Leave no room in a folder: no byte, no name, or neither."""
    fillers = []
    with contextlib.suppress(OSError):
        for number in range(10_000 if inodes else 1):
            fillers.append(folder / f"filler-{number}")
            with open(fillers[-1], "wb", buffering=0) as file, contextlib.suppress(OSError):
                while blocks:
                    file.write(bytes(4096))
    return fillers


@dataclass(frozen=True)
class Fault:
    name: str
    do: object
    said: str  # what an error has to say, as a pattern
    needs: str = "POSIX"
    lasts: bool = False

    def why_not(self) -> str:
        """Why it cannot be tried here; empty if it can."""
        if os.name == "nt":
            return "needs the signals of POSIX"
        if self.needs == "root" and not IS_ROOT:
            return "needs root on Linux, for a small /dev/shm or temporary folder"
        if self.needs == "Linux" and sys.platform != "linux":
            return "needs prlimit of Linux"
        return ""


KILLERS = (kill_kernel, kill_group, kill_server)
NO_ROOM = r"No space left on device|disk is full|not complete|temporary folder"
NO_FILE = r"Too many open files|unable to open database file"  # SQLite says no more
FAULTS = [
    Fault("SIGKILL a child", kill_child, r"SIGKILL|terminated abruptly"),
    Fault("SIGSTOP a child, and resume it", stop_child, r"(?!)"),
    Fault("SIGKILL the kernel", kill_kernel, r"(?!)"),
    Fault("SIGKILL the kernel's process group", kill_group, r"(?!)"),
    Fault("SIGINT the kernel", interrupt_kernel, r"KeyboardInterrupt"),
    Fault("fill the temporary folder", fill_temp, NO_ROOM, "root", True),
    Fault(
        "remove the temporary folder",
        remove_temp,
        r"temporary folder|No usable temporary directory",
        lasts=True,
    ),
    Fault("no semaphore is left", no_semaphores, r"semaphore|No space left on device: '", "root", True),
    Fault("no file descriptor is left", no_descriptors, NO_FILE, "Linux", True),
    Fault("SIGKILL the Jupyter server", kill_server, r"(?!)"),
]


# --- The campaign


@dataclass
class Outcome:
    fault: Fault
    what: str
    ended: str = "normally"
    beyond: float = 0.0  # seconds beyond the limit
    clean: float = 0.0  # seconds until nothing was left
    broken: list[str] = field(default_factory=list)
    left: list[str] = field(default_factory=list)


def attack(number: int, seed: int, faults: list[Fault], only: str = "") -> Outcome:
    """One moment: the same seed and number make the same choice of fault, demo, start method and moment."""
    dice = random.Random(f"{seed}-{number}")
    fault = faults[number % len(faults)]
    suited = [demo for demo in demos() if only in demo.name]
    if fault.do in (kill_group, no_semaphores):  # they do not hold for a lock that is not the watch's
        suited = [demo for demo in suited if "own_lock" not in demo.code]
    demo = dice.choice(suited)
    method = dice.choice(sorted(get_all_start_methods()))
    part = dice.random()
    for attempts_left in (2, 1, 0):
        kernel = (ServedKernel if fault.do is kill_server else Kernel)(method)
        try:
            return _attack(kernel, Outcome(fault, f"{demo.name} {method}"), demo, part, dice)
        except RuntimeError as error:  # a machine that is very busy may be too slow for the short limit
            if "did not end within its limit" not in str(error) or not attempts_left:
                raise
        finally:
            kernel.remove()
    raise AssertionError


def _attack(kernel: Kernel, outcome: Outcome, demo: Demo, part: float, dice: random.Random) -> Outcome:
    fault, broken = outcome.fault, outcome.broken
    cold = dice.random() < COLD
    runs = [kernel.run(code) for code in (NOTE_END, demo.before)]
    kernel.unwatched = set(_entries(kernel.shm))
    runs += [kernel.run(demo.code) for _ in range(0 if cold else 2)]
    if any(run.error or run.error is None for run in runs):
        raise RuntimeError(f"{demo.name} fails without a fault: {[run.error for run in runs]}")
    usual = 1.0 if cold else runs[-1].seconds
    moment = part * usual
    early = fault.lasts and dice.random() < EARLY
    outcome.what += " before" if early else f" at {moment:.3f} of {usual:.3f} s"
    outcome.what += ", first run" if cold else ""
    begun, recorded, undo, struck = threading.Event(), {}, [], []

    def strike() -> None:
        begun.wait(PATIENCE)
        time.sleep(moment)
        recorded.update(kernel.records())
        struck.append(time.monotonic())
        undo.append(fault.do(kernel, dice))

    striking = threading.Thread(target=strike)
    if early:
        begun.set()
        moment = 0.0
        strike()
        said = kernel.run(demo.code)
    else:
        striking.start()
        said = kernel.run(demo.code, begun)
        striking.join()
    ended = time.monotonic()
    late = said.end - struck[0]
    seconds = said.seconds
    if said.error and kernel.run("print(_ended)").printed:
        seconds += float(kernel.run("print(_ended)").printed) - said.end
    outcome.beyond = seconds - usual - LIMIT
    if outcome.beyond > GRACE:
        broken.append(f"the cell ended {outcome.beyond:.1f} s beyond its limit")
    if not said.error and late < 0:
        outcome.ended = "too late"
    elif fault.do is interrupt_kernel and not said.error and late > 0.1:
        broken.append(f"the interrupt was lost: the cell ended {late:.3f} s later as if nothing had been")
    if said.error is None:
        outcome.ended = "kernel gone"
        if fault.do not in KILLERS:
            broken.append("the kernel died")
    elif fault.do not in KILLERS:
        if said.error:
            outcome.ended = "error"
            slow = fault.do is stop_child and usual + PAUSE > LIMIT - 1 and "within its limit" in said.error
            if not slow and not re.search(fault.said, said.error):
                broken.append(f"the error does not name what happened:\n{said.error[-3000:]}")
        elif undo[0] is None:
            outcome.ended = "hit nobody"
        _look_at_the_living(kernel, outcome, ended, undo, recorded, demo)
        kernel.quit()
        ended = time.monotonic()
    if fault.do in KILLERS:
        ended = struck[0]
    outcome.left += _left(kernel.left, ended, outcome)
    return outcome


def _look_at_the_living(kernel, outcome, ended, undo, recorded, demo) -> None:
    """Of a kernel that goes on: its watches can be read, it can work, and no child of the cell is left."""
    outcome.left += [
        f"child {' '.join(_command(child))[-90:]}" for child in _left(kernel.children, ended, outcome)
    ]
    outcome.left += [f"{name} of a living kernel" for name in _left(kernel.records, ended, outcome)]
    for put_right in filter(None, undo):
        put_right()
    probe = kernel.run(PROBE)
    if probe.error is None or probe.error:
        outcome.broken.append(f"the watches cannot be read: {probe.error and probe.error[-2000:]}")
    else:
        for story in json.loads(probe.printed):
            if story["state"] != "over":
                outcome.broken.append(f"a watch is {story['state']}")
            before = recorded.get(os.path.basename(story["folder"]), 0)
            if story["records"] < before and outcome.fault.do is not remove_temp:
                outcome.broken.append(f"{before} records before the fault, {story['records']} are readable")
            says = "Stuck" not in demo.code and "check=False" not in demo.code
            says = says and not ("except ChildFailed" in demo.code and story["raised"])
            if says and outcome.ended == "normally" and "was killed by SIGKILL" in story["told"]:
                outcome.broken.append(f"a child was killed, and the cell did not say so: {story['told']}")
    if outcome.fault.do is remove_temp and "forkserver" in outcome.what:
        return  # with it went the socket of the library's fork server
    going_on = kernel.run(GO_ON)
    if going_on.printed.strip() != "0":
        error = going_on.error and going_on.error[-2000:]
        outcome.broken.append(f"the kernel cannot go on: {going_on.printed} {error}")


def _left(look, since: float, outcome: Outcome) -> list:
    """What ``look`` still finds after the grace."""
    while found := look():
        took = time.monotonic() - since
        if took > GRACE:
            return list(found)
        time.sleep(0.05)
    outcome.clean = max(outcome.clean, time.monotonic() - since)
    return []


def campaign(moments, seed: int, jobs: int = 2, faults: list[Fault] = FAULTS, show=print, only: str = ""):
    """Attack at each moment; a promise that breaks is told at once."""
    possible = [fault for fault in faults if not fault.why_not()]
    outcomes = []

    def attempt(number: int) -> None:
        outcome = attack(number, seed, possible, only)
        outcomes.append(outcome)
        if len(outcomes) % 20 == 0:
            print(f"{len(outcomes)} moments", file=sys.stderr, flush=True)
        for trouble in outcome.broken + [f"left: {thing}" for thing in outcome.left]:
            show(f"--- seed {seed}, moment {number}: {outcome.fault.name}, {outcome.what}\n{trouble}")

    with ThreadPoolExecutor(jobs) as pool:
        for attempted in [pool.submit(attempt, number) for number in moments]:
            try:
                attempted.result()
            except BaseException:
                pool.shutdown(cancel_futures=True)
                raise
    return outcomes


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--moments", type=int, default=200)
    parser.add_argument("--seed", type=int, default=random.randrange(1_000_000))
    parser.add_argument("--jobs", type=int, default=2, help="kernels at once")
    parser.add_argument("--only", type=int, nargs="*", help="the numbers of the moments to try again")
    parser.add_argument("--fault", default="", help="only faults whose names contain this")
    parser.add_argument("--demo", default="", help="only demos whose names contain this")
    asked = parser.parse_args()
    faults = [fault for fault in FAULTS if asked.fault in fault.name]
    print(f"seed {asked.seed}: {len(demos())} demos", flush=True)
    for fault in faults:
        if fault.why_not():
            print(f"not tried: {fault.name}: {fault.why_not()}")
    began = time.monotonic()
    show = lambda text: print(text, flush=True)  # noqa: E731
    outcomes = campaign(asked.only or range(asked.moments), asked.seed, asked.jobs, faults, show, asked.demo)
    print(f"\n{'fault':36} tried  held  error  normally  gone  late  nobody  beyond limit  clean after  left")
    for fault in faults:
        mine = [outcome for outcome in outcomes if outcome.fault is fault]
        ended = defaultdict(int)
        for outcome in mine:
            ended[outcome.ended] += 1
        held = sum(not (outcome.broken or outcome.left) for outcome in mine)
        beyond = max([0.0, *(outcome.beyond for outcome in mine)])
        clean = max([0.0, *(outcome.clean for outcome in mine)])
        ways = ("error", "normally", "kernel gone", "too late", "hit nobody")
        counts = [len(mine), held, *(ended[way] for way in ways)]
        left = sum(len(outcome.left) for outcome in mine)
        row = "".join(f"{count:{width}}" for count, width in zip(counts, (6, 6, 7, 10, 6, 6, 8), strict=True))
        print(f"{fault.name:36}{row} {beyond:11.1f} s {clean:10.1f} s {left:5}")
    print(f"{len(outcomes)} moments in {(time.monotonic() - began) / 60:.1f} minutes")
    return int(any(outcome.broken or outcome.left for outcome in outcomes))


if __name__ == "__main__":
    sys.exit(main())
