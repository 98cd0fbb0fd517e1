"""Makes .venv and runs a job in it. `make` calls this; on Windows: `py tools\\bootstrap.py lab`.

    lab [ARG ...]    JupyterLab on the first lesson; arguments go to JupyterLab
    teach [ARG ...]  the same for a projector: larger text, and slides whose cells run
    slides [FILE ...]   each lesson, or these, as slides in one file of HTML that needs no network
    test [ARG ...]   lint, then pytest; arguments go to pytest
    test-all [ARG ...]    the same with the tests that take minutes, and those in a browser
    test-browser [ARG ...]   each notebook in a real JupyterLab; needs a Chromium
    lint             ruff check, ruff format --check, mypy
    notebooks [ARG ...]   run the notebooks again and store their outputs
    soak [ARG ...]   the tests 30 times on a busy machine, to find one that fails once in a while
    late [ARG ...]   each answer of the tests while some processes are late: is the verdict the same?
    mutants [ARG ...]     break the code on purpose: do the tests notice?
    faults [ARG ...]      kill, stop and starve the demos at random moments
    bench [ARG ...]  measure: what watching costs, engines, peers; `--write` writes docs/numbers.md
    lock [ARG ...]   make the pins in requirements/ again; `--upgrade` also takes newer versions
    clean            remove .venv and what tools left behind

This file must also parse on a Python that is too old to run it, Python 2.7 among them, to say so in one line.
"""

import sys

OLDEST = (3, 11)

if sys.version_info[:2] < OLDEST:
    sys.stderr.write(
        "mpdemos needs Python %d.%d or newer, and this is Python %d.%d: install a newer one, then choose it, "
        "for example with `make PYTHON=python3.13 lab`\n" % (OLDEST + tuple(sys.version_info[:2]))
    )
    sys.exit(1)

import hashlib
import json
import os
import platform
import shutil
import signal
import subprocess
import sysconfig
import tempfile
import time
from glob import glob

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
VENV = os.path.join(ROOT, ".venv")
PYTHON = os.path.join(VENV, "Scripts\\python.exe" if os.name == "nt" else "bin/python")
STAMP = os.path.join(VENV, "mpdemos.json")
FIRST = os.path.join("notebooks", "00-start-here.ipynb")
# Each has its pins, and holds what the ones before it hold.
LEVELS = ("lab", "teach", "test", "browser", "bench")


def stop(message):
    sys.stderr.write("mpdemos: %s\n" % message)
    sys.exit(1)


def main(arguments):
    if not arguments or arguments[0] not in JOBS:
        sys.stderr.write(__doc__)
        sys.exit(2)
    os.chdir(ROOT)
    JOBS[arguments[0]](arguments[1:])


# The jobs


def lab(arguments):
    environment("lab")
    jupyterlab("lab", arguments)


def teach(arguments):
    environment("teach")
    if not os.path.exists(os.path.join(ROOT, ".jupyter", "teach")):  # or it may have been changed since
        shutil.copytree(os.path.join(ROOT, "tools", "lab", "teach"), os.path.join(ROOT, ".jupyter", "teach"))
    jupyterlab("teach", arguments)


def jupyterlab(name, arguments):
    """With the settings in tools/lab. What is changed in it, and which tabs are open, is kept in .jupyter.

    The user's own configuration of Jupyter and IPython is neither read nor written.
    """
    own = os.path.join(ROOT, ".jupyter", name)
    os.environ["JUPYTER_CONFIG_PATH"] = os.path.join(ROOT, "tools", "lab")
    os.environ["JUPYTER_CONFIG_DIR"] = own
    os.environ["IPYTHONDIR"] = os.path.join(own, "ipython")
    os.makedirs(os.environ["IPYTHONDIR"], exist_ok=True)
    os.makedirs(os.path.join(own, "custom"), exist_ok=True)
    shutil.copy(os.path.join(ROOT, "tools", "lab", "custom", "custom.css"), os.path.join(own, "custom"))
    # From the root of the checkout, or links from a notebook to the workers' source would lead nowhere.
    become([PYTHON, "-m", "jupyterlab", FIRST, "--ServerApp.root_dir=" + ROOT, "--custom-css"] + arguments)


def test(arguments):
    lint()
    become([PYTHON, "-m", "pytest"] + arguments)


def test_all(arguments):
    environment("browser")
    lint()
    become([PYTHON, "-m", "pytest", "-m", ""] + arguments)


def test_browser(arguments):
    environment("browser")
    become([PYTHON, "-m", "pytest", "-n2", "--dist=loadgroup", os.path.join("tests", "browser")] + arguments)


def lint(_=()):
    environment("test")
    run([PYTHON, "-m", "ruff", "check"])
    run([PYTHON, "-m", "ruff", "format", "--check"])
    for system in sorted({sys.platform, "win32"}):  # what is for Windows alone is seen here first
        cache = os.path.join(".mypy_cache", system)
        run([PYTHON, "-m", "mypy", "--platform", system, "--cache-dir", cache])


def tool(name, level="test"):
    """A job that is a program of its own, in tools/."""

    def job(arguments):
        environment(level)
        become([PYTHON, os.path.join("tools", name + ".py")] + arguments)

    return job


def lock(arguments):
    """Pin for all supported Pythons and systems at once: versions and hashes, never where they came from."""
    uv, scratch = shutil.which("uv"), None
    try:
        if uv is None:  # one for this job alone
            scratch = tempfile.mkdtemp()
            make_venv(scratch, None)
            python = PYTHON.replace(VENV, scratch)
            run([python, "-m", "pip", "install", "--quiet", "uv"])
            uv = os.path.join(os.path.dirname(python), "uv")
        options = [
            "--universal",
            "--python-version=%d.%d" % OLDEST,
            "--generate-hashes",
            "--no-strip-extras",  # or an old pip takes the newest of what another package wants with extras
            "--no-emit-index-url",
            "--no-emit-find-links",
            "--no-annotate",
            "--no-header",
            "--quiet",
        ]
        compile = [uv, "pip", "compile", "pyproject.toml"] + options
        # The largest first: the smaller ones take the same versions.
        for number in reversed(range(len(LEVELS))):
            held = ["cluster"] + list(LEVELS[1 : number + 1])
            same = ["--constraint", pins(LEVELS[number + 1])] if number + 1 < len(LEVELS) else []
            output = ["--output-file", pins(LEVELS[number])]
            run(compile + ["--extra=" + extra for extra in held] + same + output + arguments)
    finally:
        if scratch:
            shutil.rmtree(scratch, ignore_errors=True)


def clean(_):
    remove(VENV)
    caches, written = (
        (".mypy_cache", ".pytest_cache", ".ruff_cache"),
        ("build", "dist", "screenshots", "slides"),
    )
    others = (".jupyter", "__pycache__", "uv.lock", os.path.join("tools", "slides", "node_modules"))
    for name in caches + written + others:
        remove(os.path.join(ROOT, name))
    for folder in ("notebooks", "src", "tests", "tools"):
        for name in ("__pycache__", ".ipynb_checkpoints"):
            for found in glob(os.path.join(folder, "**", name), recursive=True):
                remove(found)


# The environment


def environment(level):
    """Make .venv hold what `level` needs; return at once when it does already.

    The stamp says what was installed. It reads "installing" while that is under way, so that an environment
    left half made by Ctrl-C or a power cut is made anew, and an old one is kept when an installation fails.
    """
    before = read_stamp()
    after = {
        "state": "ready",
        "level": level,
        "inputs": inputs(),
        "python": "%s %s" % (platform.python_version(), sysconfig.get_config_var("EXT_SUFFIX")),
        "root": ROOT,
    }
    same = [before.get(key) == after[key] for key in ("state", "python", "root")]
    usable = all(same) and os.path.exists(PYTHON)
    enough = usable and LEVELS.index(before["level"]) >= LEVELS.index(level)
    if enough and before["inputs"] == after["inputs"]:
        return
    uv = shutil.which("uv")
    if uv is None and not can_make_venv():
        stop(
            "this Python cannot make virtual environments: install its venv module "
            "(Debian and Ubuntu: apt install python%d.%d-venv) or uv" % sys.version_info[:2]
        )
    started = time.time()
    if not usable:
        say("making .venv for Python %s" % platform.python_version())
        remove(VENV)
        make_venv(VENV, uv)
    write_stamp(dict(after, state="installing"))
    say("installing %s with %s (a minute or more the first time)" % (pins(level), "uv" if uv else "pip"))
    if not install(level, uv):
        if usable:
            write_stamp(before)
        stop("the installation failed (its own message is above): nothing was started")
    write_stamp(after)
    say(".venv is ready, after %.0f s" % (time.time() - started))


def install(level, uv):
    if uv:
        pip = [uv, "pip", "install", "--python", PYTHON]
    else:
        pip = [PYTHON, "-m", "pip", "install", "--disable-pip-version-check"]
    if not sys.stdout.isatty():
        pip.append("--quiet")
    pinned, project = ["--require-hashes", "-r", pins(level)], ["--no-deps", "--editable", "."]
    return subprocess.call(pip + pinned) == 0 and subprocess.call(pip + project) == 0


def can_make_venv():
    try:
        import ensurepip  # noqa: F401  # Debian keeps it in a package of its own
        import venv  # noqa: F401
    except ImportError:
        return False
    return True


def make_venv(folder, uv):
    # The Python that an active environment was made from: that environment may be the one to be made again.
    python = getattr(sys, "_base_executable", None) or sys.executable
    if uv:
        command = [uv, "venv", "--quiet", "--python", python, folder]
    else:
        command = [python, "-m", "venv", folder]
    if subprocess.call(command) != 0:
        stop("the virtual environment could not be made (the message is above)")


def pins(level):
    return "requirements/%s.txt" % level


def inputs():
    digest = hashlib.sha256()
    for name in ["pyproject.toml"] + [pins(level) for level in LEVELS]:
        with open(os.path.join(ROOT, name), "rb") as file:
            digest.update(file.read())
    return digest.hexdigest()


def read_stamp():
    try:
        with open(STAMP) as file:
            return json.load(file)
    except (OSError, ValueError):
        return {}


def write_stamp(stamp):
    with open(STAMP + ".new", "w") as file:
        json.dump(stamp, file, indent=2)
    os.replace(STAMP + ".new", STAMP)


def remove(folder):
    try:
        if os.path.isdir(folder) and not os.path.islink(folder):
            shutil.rmtree(folder)
        elif os.path.lexists(folder):
            os.remove(folder)
    except OSError as error:
        stop("cannot remove %s, close what runs from it, try again (%s)" % (os.path.basename(folder), error))


# Commands


def say(message):
    sys.stdout.write("mpdemos: %s\n" % message)
    sys.stdout.flush()


def run(command):
    status = subprocess.call(command)
    if status:
        sys.exit(status)


def become(command):
    """Run the last command of a job; Ctrl-C is its own affair."""
    sys.stdout.flush()
    if os.name == "posix":
        os.execv(command[0], command)
    process = subprocess.Popen(command)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    sys.exit(process.wait())


JOBS = {
    "lab": lab,
    "teach": teach,
    "slides": tool("slides", "lab"),
    "test": test,
    "test-all": test_all,
    "test-browser": test_browser,
    "lint": lint,
    "notebooks": tool("notebooks"),
    "soak": tool("soak"),
    "late": tool("late"),
    "mutants": tool("mutants"),
    "faults": tool("faults"),
    "bench": tool("bench", "bench"),
    "lock": lock,
    "clean": clean,
}

if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except KeyboardInterrupt:
        sys.exit(130)
