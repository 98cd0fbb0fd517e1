"""The floor: what the project depends on is said the same everywhere, and `make` meets any Python kindly."""

import ast
import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from itertools import pairwise
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parent.parent
BOOTSTRAP = ROOT / "tools" / "bootstrap.py"
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
EXTRAS = PROJECT["optional-dependencies"]
LEVELS = ["lab", "teach", "test", "browser", "bench"]  # each holds what the ones before it hold
NEEDED = {"lab": PROJECT["dependencies"] + EXTRAS["cluster"]}
for _before, _level in pairwise(LEVELS):
    NEEDED[_level] = NEEDED[_before] + EXTRAS[_level]
SUPPORTED = ["3.11", "3.12", "3.13", "3.14", "3.15"]


def bounds(lines):
    return {canonicalize_name(r.name): str(r.specifier) for r in map(Requirement, lines)}


def pins(level):
    """The pins of requirements/LEVEL.txt: lists of a requirement and its hashes."""
    text = (ROOT / "requirements" / f"{level}.txt").read_text(encoding="utf-8")
    return [line.split() for line in text.replace("\\\n", " ").splitlines() if line.strip()]


def pinned(level):
    result = {}
    for words in pins(level):
        requirement = Requirement(" ".join(word for word in words if not word.startswith("--hash=")))
        result.setdefault(requirement.name, []).append(requirement)
    return result


# Dependencies


def test_conda_environment_agrees_with_pyproject():
    lines = re.findall(r"^  - ([^:\n]+)$", (ROOT / "environment.yml").read_text(encoding="utf-8"), re.M)
    conda = bounds(line for line in lines if line != "conda-forge")
    assert conda.pop("python") == PROJECT["requires-python"]
    assert conda.pop("pip") == ""
    assert conda == bounds(NEEDED["lab"] + EXTRAS["test"])


def test_every_dependency_has_a_lower_bound():
    assert [line for line in NEEDED["bench"] if ">=" not in line] == []


@pytest.mark.parametrize("level", NEEDED)
def test_every_dependency_is_pinned_within_its_bounds_on_every_python(level):
    found = pinned(level)
    for needed in map(Requirement, NEEDED[level]):
        for python in SUPPORTED:
            here = {"python_version": python, "python_full_version": f"{python}.9"}
            chosen = [
                r.specifier for r in found.get(needed.name, []) if r.marker is None or r.marker.evaluate(here)
            ]
            assert len(chosen) == 1, f"{needed.name} on Python {python}: {chosen}; run `make lock`"
            (pin,) = chosen[0]
            assert pin.operator == "=="
            assert needed.specifier.contains(pin.version), f"{needed} but {pin}; run `make lock`"


def test_jupyter_starts_without_compiling_grammars():
    """They took most of what JupyterLab needed to be imported: see jsonschema in pyproject.toml."""
    asked = "import nbformat, sys; print('lark' in sys.modules)"
    shown = subprocess.run([sys.executable, "-c", asked], check=True, capture_output=True, text=True).stdout
    assert shown == "False\n"


def test_the_lessons_and_the_tests_use_the_same_versions():
    held = [{tuple(words) for words in pins(level)} for level in LEVELS]
    assert all(fewer < more for fewer, more in pairwise(held))


@pytest.mark.parametrize("level", NEEDED)
def test_pins_carry_hashes_and_no_address(level):
    for words in pins(level):
        assert any(re.fullmatch(r"--hash=sha256:[0-9a-f]{64}", word) for word in words), words[0]
    text = (ROOT / "requirements" / f"{level}.txt").read_text(encoding="utf-8")
    options = {word.split("=")[0] for word in text.split() if word.startswith("-")}
    assert options == {"--hash"}
    assert not re.search(r"://|@|#|\.(org|com|net|io)\b", text)


def test_classifiers_name_the_supported_pythons():
    prefix = "Programming Language :: Python :: 3."
    assert [c.split()[-1] for c in PROJECT["classifiers"] if c.startswith(prefix)] == SUPPORTED
    assert PROJECT["requires-python"] == f">={SUPPORTED[0]}"
    for python in SUPPORTED:
        assert f'"{python}"' in (ROOT / ".github/workflows/ci.yml").read_text(encoding="utf-8")


def test_the_audit_looks_at_every_pin():
    audit = (ROOT / ".github" / "workflows" / "audit.yml").read_text(encoding="utf-8")
    assert f"--requirement requirements/{LEVELS[-1]}.txt" in audit  # which holds all the others
    assert f'python: ["{SUPPORTED[0]}", "{SUPPORTED[-1]}"]' in audit


# The two commands


@pytest.fixture(scope="module")
def bootstrap():
    spec = importlib.util.spec_from_file_location("bootstrap", BOOTSTRAP)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_bootstrap_parses_on_old_pythons():
    new = (
        *(ast.JoinedStr, ast.AnnAssign, ast.NamedExpr, ast.Nonlocal, ast.Starred, ast.Match, ast.YieldFrom),
        *(ast.AsyncFunctionDef, ast.Await),
    )
    for node in ast.walk(ast.parse(BOOTSTRAP.read_text(encoding="utf-8"))):
        assert not isinstance(node, new), f"line {node.lineno}"
        if isinstance(node, ast.arguments):
            assert not node.kwonlyargs
            assert not node.posonlyargs
            assert not any(argument.annotation for argument in node.args)
        if isinstance(node, ast.FunctionDef):
            assert node.returns is None, f"line {node.lineno}"
        if isinstance(node, ast.Raise):
            assert node.cause is None, f"line {node.lineno}"
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            assert node.func.id != "print", f"line {node.lineno}"
    assert BOOTSTRAP.read_bytes().isascii()


def refusal(done):
    """The one line that a command wrote before it gave up."""
    assert done.returncode not in (0, None), done
    (line,) = (done.stdout + done.stderr).strip().splitlines()
    return line


def test_bootstrap_refuses_an_old_python_with_one_line():
    pretend = (
        "import runpy, sys; sys.version_info = (3, 9, 6, 'final', 0); sys.argv = ['bootstrap.py', 'lab'];"
        f"runpy.run_path({str(BOOTSTRAP)!r}, run_name='__main__')"
    )
    line = refusal(subprocess.run([sys.executable, "-c", pretend], capture_output=True, text=True))
    assert "needs Python 3.11 or newer" in line
    assert "3.9" in line


def runs(python):
    return subprocess.run([python, "-c", ""], capture_output=True).returncode == 0


def test_bootstrap_refuses_a_real_old_python_with_one_line():
    names = ["python2.7", "python3.6", "python3.7", "python3.8", "python3.9", "python3.10"]
    old = [python for python in map(shutil.which, names) if python and runs(python)]
    if not old:
        pytest.skip("no old Python here")
    for python in old:
        done = subprocess.run([python, str(BOOTSTRAP), "lab"], capture_output=True, text=True)
        assert "needs Python 3.11 or newer" in refusal(done)


def test_bootstrap_refuses_a_python_without_ensurepip_with_one_line(tmp_path):
    copy = tmp_path / "checkout"
    (copy / "tools").mkdir(parents=True)
    shutil.copy(BOOTSTRAP, copy / "tools")
    shutil.copy(ROOT / "pyproject.toml", copy)
    shutil.copytree(ROOT / "requirements", copy / "requirements")
    (tmp_path / "ensurepip.py").write_text("raise ImportError('a package of its own')")
    done = subprocess.run(
        [sys.executable, str(copy / "tools" / "bootstrap.py"), "lab"],
        env=os.environ | {"PYTHONPATH": str(tmp_path), "PATH": str(tmp_path)},
        capture_output=True,
        text=True,
    )
    assert "install its venv module" in refusal(done)
    assert not (copy / ".venv").exists()


def test_an_unknown_job_shows_the_jobs():
    done = subprocess.run([sys.executable, str(BOOTSTRAP), "lap"], capture_output=True, text=True)
    assert done.returncode == 2
    assert "test [ARG ...]" in done.stderr


needs_make = pytest.mark.skipif(shutil.which("make") is None, reason="no make here")


@needs_make
def test_make_refuses_a_missing_python_with_one_line():
    done = subprocess.run(
        ["make", "--silent", "PYTHON=no-such-python", "lab"], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode != 0
    line, *rest = done.stderr.splitlines()
    assert "no no-such-python here" in line
    assert all(other.startswith("make") for other in rest)


@needs_make
def test_make_passes_arguments_on():
    options = "--no-browser --port 9999"
    done = subprocess.run(
        ["make", "-n", "PYTHON=other", "lab", f"ARGS={options}"], cwd=ROOT, capture_output=True, text=True
    )
    assert f'"other" tools/bootstrap.py lab {options}' in done.stdout


@pytest.mark.parametrize("job", ["lab", "teach"])
def test_jupyterlab_keeps_its_settings_in_the_checkout(job, bootstrap, tmp_path, monkeypatch):
    shutil.copytree(ROOT / "tools" / "lab", tmp_path / "tools" / "lab")
    started = []
    monkeypatch.setattr(bootstrap, "ROOT", str(tmp_path))
    monkeypatch.setattr(bootstrap, "environment", lambda level: started.append(level))
    monkeypatch.setattr(bootstrap, "become", started.append)
    monkeypatch.setattr(bootstrap.os, "environ", {})
    settings = tmp_path / ".jupyter" / job / "lab" / "user-settings" / "@jupyterlab" / "apputils-extension"
    bootstrap.JOBS[job](["--no-browser"])
    assert started[0] == job
    assert started[1][1:4] == ["-m", "jupyterlab", bootstrap.FIRST]
    assert started[1][-1] == "--no-browser"
    assert bootstrap.os.environ["JUPYTER_CONFIG_DIR"] == str(tmp_path / ".jupyter" / job)
    assert bootstrap.os.environ["JUPYTER_CONFIG_PATH"] == str(tmp_path / "tools" / "lab")
    assert Path(bootstrap.os.environ["IPYTHONDIR"]).is_dir()
    assert settings.exists() == (job == "teach"), "larger text, for a projector alone"
    if job == "teach":
        changed = settings / "themes.jupyterlab-settings"
        changed.write_text("{}", encoding="utf-8")
        bootstrap.JOBS[job]([])
        assert changed.read_text(encoding="utf-8") == "{}", "what a teacher changed stays"


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such bit")
def test_ci_script_can_be_run():
    assert os.access(ROOT / ".ci" / "run", os.X_OK)


# The environment: made once, made again when it has to be


class Checkout:
    """A checkout whose commands are noted and pretend to work."""

    def __init__(self, bootstrap, folder, patch):
        self.bootstrap, self.folder, self.commands, self.answer = bootstrap, folder, [], 0
        (folder / "requirements").mkdir()
        for name in ("pyproject.toml", *(f"requirements/{level}.txt" for level in NEEDED)):
            (folder / name).write_text("1")
        patch.setattr(bootstrap, "ROOT", str(folder))
        patch.setattr(bootstrap, "VENV", str(folder / ".venv"))
        patch.setattr(bootstrap, "PYTHON", str(folder / ".venv" / "python"))
        patch.setattr(bootstrap, "STAMP", str(folder / ".venv" / "stamp"))
        patch.setattr(bootstrap.shutil, "which", lambda name: None)
        patch.setattr(bootstrap.subprocess, "call", self.call)

    def call(self, command):
        if command[1:3] == ["-m", "venv"]:
            self.commands.append("venv")
            (self.folder / ".venv").mkdir()
            (self.folder / ".venv" / "python").touch()
            return 0
        self.commands.append(command[-1])
        if isinstance(self.answer, type):
            raise self.answer
        return self.answer

    def make(self, level):
        self.commands = []
        self.bootstrap.environment(level)
        return self.commands


@pytest.fixture
def checkout(bootstrap, tmp_path, monkeypatch):
    return Checkout(bootstrap, tmp_path, monkeypatch)


NEW_LAB = ["venv", "requirements/lab.txt", "."]
MORE_TEST = ["requirements/test.txt", "."]


def test_a_second_run_installs_nothing(checkout):
    assert checkout.make("lab") == NEW_LAB
    assert checkout.make("lab") == []


def test_the_lab_needs_nothing_more_than_the_tests(checkout):
    assert checkout.make("lab") == NEW_LAB
    assert checkout.make("test") == MORE_TEST
    assert checkout.make("lab") == []
    assert checkout.make("test") == []


@pytest.mark.parametrize("name", ["pyproject.toml", "requirements/lab.txt", "requirements/test.txt"])
def test_a_change_of_dependencies_is_installed(checkout, name):
    checkout.make("test")
    (checkout.folder / name).write_text("2")
    assert checkout.make("test") == MORE_TEST
    assert checkout.make("test") == []


def test_another_python_gets_an_environment_of_its_own(checkout, monkeypatch):
    checkout.make("lab")
    monkeypatch.setattr(checkout.bootstrap.platform, "python_version", lambda: "3.99.0")
    assert checkout.make("lab") == NEW_LAB


def test_a_python_that_is_gone_is_replaced(checkout):
    checkout.make("lab")
    (checkout.folder / ".venv" / "python").unlink()
    assert checkout.make("lab") == NEW_LAB


def test_a_moved_checkout_gets_a_new_environment(checkout):
    checkout.make("lab")
    stamp = checkout.folder / ".venv" / "stamp"
    stamp.write_text(json.dumps(json.loads(stamp.read_text()) | {"root": "elsewhere"}))
    assert checkout.make("lab") == NEW_LAB


def test_an_interrupted_installation_is_repaired(checkout):
    checkout.answer = KeyboardInterrupt
    with pytest.raises(KeyboardInterrupt):
        checkout.make("lab")
    checkout.answer = 0
    assert checkout.make("lab") == NEW_LAB


def test_a_venv_that_something_else_made_is_replaced(checkout):
    (checkout.folder / ".venv").mkdir()
    (checkout.folder / ".venv" / "python").touch()
    assert checkout.make("lab") == NEW_LAB


def test_a_failed_installation_stops_and_keeps_what_was_there(checkout, capsys):
    checkout.make("lab")
    checkout.answer = 1
    with pytest.raises(SystemExit, match="1"):
        checkout.make("test")
    assert "installation failed" in capsys.readouterr().err
    checkout.answer = 0
    assert checkout.make("lab") == []
    assert checkout.make("test") == MORE_TEST


def test_the_readme_lists_every_lesson():
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    lessons = [path.name for path in (ROOT / "notebooks").glob("*.ipynb")]
    assert [name for name in lessons if name not in readme] == []


def test_each_mutant_can_still_be_made():
    """A change of the code leaves the list behind without a word; `make mutants` does not begin then."""
    entries = tomllib.loads((ROOT / "tools" / "mutants.toml").read_text(encoding="utf-8"))["file"]
    source = {
        each["path"]: (ROOT / "src/mpdemos" / each["path"]).read_text(encoding="utf-8") for each in entries
    }
    found = {
        (each["path"], mutant["breaks"]): source[each["path"]].count(mutant["old"])
        for each in entries
        for mutant in each["mutants"]
    }
    assert {what: times for what, times in found.items() if times != 1} == {}
