# make lab                             JupyterLab on the lessons
# make teach                           the same for a projector: larger text, and slides whose cells run
# make slides                          each lesson as slides in one file that needs no network; needs npm
# make test                            lint, the tests, every cell of every notebook
# make test-all                        the same with the tests that take minutes, and those in a browser
# make test-browser                    each notebook in a real JupyterLab; needs a Chromium
# make soak, late, mutants, faults, bench     attacks and measurements: see CONTRIBUTING.md
# make lab ARGS="--no-browser --port 9999"     arguments for JupyterLab; `make test ARGS="-k lock"`: for pytest
# make PYTHON=python3.13 lab           with another Python
#
# All make .venv first, and make it again only when the Python, pyproject.toml or requirements/ changed.
# tools/bootstrap.py does the work, for a platform without make too.

PYTHON ?= python3
ARGS ?=

bootstrap = @command -v "$(PYTHON)" >/dev/null 2>&1 || \
	{ echo "mpdemos needs Python 3.11 or newer, and there is no $(PYTHON) here: install Python first" >&2; exit 1; }; \
	exec "$(PYTHON)" tools/bootstrap.py

.PHONY: lab teach slides test test-all test-browser lint notebooks soak late mutants faults bench lock clean

lab:
	$(bootstrap) lab $(ARGS)

teach:
	$(bootstrap) teach $(ARGS)

slides:
	$(bootstrap) slides $(ARGS)

test:
	$(bootstrap) test $(ARGS)

test-all:
	$(bootstrap) test-all $(ARGS)

test-browser:
	$(bootstrap) test-browser $(ARGS)

lint:
	$(bootstrap) lint

notebooks:
	$(bootstrap) notebooks $(ARGS)

soak:
	$(bootstrap) soak $(ARGS)

late:
	$(bootstrap) late $(ARGS)

mutants:
	$(bootstrap) mutants $(ARGS)

faults:
	$(bootstrap) faults $(ARGS)

bench:
	$(bootstrap) bench $(ARGS)

lock:
	$(bootstrap) lock $(ARGS)

clean:
	$(bootstrap) clean
