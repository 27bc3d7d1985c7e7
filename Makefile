# Needs Python 3.11 or newer, make and a package index. Everything is installed into .venv, at the versions of
# constraints.txt, the first time that a target asks for it.

PYTHON ?= python3
ARGS ?=

VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.complete
PIP := $(BIN)/python -m pip --disable-pip-version-check
BENCHMARKS := engine vae gmm lda speed

.DEFAULT_GOAL := help
.PHONY: help setup demo test test-all fuzz lint types docs bench clean

help: ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1|\2/p' Makefile | while IFS='|' read -r target what; do \
		printf '%-18s %s\n' "$$target" "$$what"; done

setup: $(STAMP) ## install everything into .venv (PYTHON=python3.11 chooses the interpreter)

demo: $(STAMP) ## train the VAE and mixture on MNIST (ARGS="--help" lists the options)
	$(BIN)/python examples/vae_gmm_mnist.py $(ARGS)

test: $(STAMP) ## run the tests, without the slow ones (ARGS go to pytest)
	$(BIN)/python -m pytest -m "not slow" $(ARGS)

test-all: $(STAMP) ## run every test
	$(BIN)/python -m pytest $(ARGS)

fuzz: $(STAMP) ## read 10,000 damaged files (ARGS="--inputs 100000 --seed 1" for others)
	$(BIN)/python -m tests.faults.fuzz $(ARGS)

lint: $(STAMP) ## check style and formatting
	$(BIN)/python -m ruff check
	$(BIN)/python -m ruff format --check

types: $(STAMP) ## check types
	$(BIN)/python -m mypy

docs: $(STAMP) ## build the documentation into docs/_build/html
	$(BIN)/python -m sphinx -W -b html docs docs/_build/html

bench: $(STAMP) ## run the benchmarks
	@set -e; for name in $(BENCHMARKS); do echo "benchmarks/$$name.py"; $(BIN)/python -m benchmarks.$$name; done

clean: ## remove what was built or cached; .venv stays
	rm -rf build dist docs/_build .mypy_cache .pytest_cache .ruff_cache .hypothesis .benchmarks .coverage *.egg-info
	find pgmgraph modules examples benchmarks tests docs -name __pycache__ -type d -prune -exec rm -rf {} + 2>/dev/null || true

# The stamp is the last thing written, so a set-up that failed half-way is taken up again by the next `make`.
# Without build isolation the build uses the pinned setuptools, where pip would fetch the newest one.
$(STAMP): constraints.txt setup.cfg pyproject.toml
	@rm -f $(STAMP)
	@command -v "$(PYTHON)" >/dev/null || { \
		echo "There is no $(PYTHON) here. Name a Python 3.11 or newer: make setup PYTHON=/path/to/python" >&2; exit 1; }
	@"$(PYTHON)" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
		echo "pgmgraph needs Python 3.11 or newer, and $(PYTHON) is $$("$(PYTHON)" -V 2>&1). Name another: make setup PYTHON=/path/to/python" >&2; exit 1; }
	@"$(PYTHON)" -c 'import ensurepip, venv' 2>/dev/null || { \
		echo "$(PYTHON) lacks the venv or ensurepip module. Install it (on Debian and Ubuntu: the package python3-venv)." >&2; exit 1; }
	@$(BIN)/python -m pip --version >/dev/null 2>&1 || "$(PYTHON)" -m venv --clear $(VENV)
	$(PIP) install --constraint constraints.txt pip setuptools wheel
	$(PIP) install --constraint constraints.txt --no-build-isolation --editable ".[dev,docs,audio,vision]"
	@touch $(STAMP)
