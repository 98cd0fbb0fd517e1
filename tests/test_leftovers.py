"""What a test leaves in shared memory is found, and fails the run."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from leftovers import SHARED, nobody_has, shared_memory

HERE = Path(__file__).parent
LEAVES = """\
import _multiprocessing, os, sys
name = f"/mp-left-{os.getpid()}"
lock = _multiprocessing.SemLock(1, 1, 1, name, False)  # the resource tracker is not told
print("sem." + name[1:], flush=True)
sys.stdin.read()
"""

pytestmark = pytest.mark.skipif(not SHARED.is_dir(), reason="this system does not list its shared memory")


@pytest.fixture
def remove():
    """Unlink it after the test."""
    names = []
    yield names.append
    for name in names:
        (SHARED / name).unlink(missing_ok=True)


def test_only_what_no_process_uses_is_left(remove):
    before = shared_memory().keys()
    command = [sys.executable, "-c", LEAVES]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        name = process.stdout.readline().strip()
        remove(name)
        new = shared_memory().keys() - before
        assert name in shared_memory().values()
        assert name not in nobody_has(new)
    assert name in nobody_has(new)
    assert name not in nobody_has(new - new)
    (SHARED / name).unlink()
    assert name not in nobody_has(new)


@pytest.mark.slow
def test_a_run_that_leaves_a_semaphore_fails(tmp_path, remove):
    leaves = tmp_path / "leaves.py"
    leaves.write_text(LEAVES, encoding="utf-8")
    (tmp_path / "test_it.py").write_text(
        "import subprocess, sys\n"
        "def test_it():\n"
        f"    with open({str(tmp_path / 'name')!r}, 'w') as name:\n"
        f"        subprocess.run([sys.executable, {str(leaves)!r}], stdin=subprocess.DEVNULL, stdout=name)\n",
        encoding="utf-8",
    )
    shutil.copy(HERE.parent / "conftest.py", tmp_path)
    command = [sys.executable, "-m", "pytest", "-n1", f"--rootdir={tmp_path}", "-c", os.devnull, "test_it.py"]
    environment = os.environ | {"PYTHONPATH": str(HERE)}
    for name in ("MPDEMOS_SOAK", "PYTEST_ADDOPTS"):  # this run is alone
        environment.pop(name, None)
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=120)
    name = (tmp_path / "name").read_text(encoding="utf-8").strip()
    remove(name)
    assert done.returncode == pytest.ExitCode.TESTS_FAILED, done
    assert f"left in shared memory, where no process uses it: {name}" in done.stdout, done
