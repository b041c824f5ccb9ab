# make help lists the targets. Variables: PYTHON=python3.12 picks the interpreter, ARGS="..." adds overrides.
PYTHON ?= python3
ARGS ?=
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

.DEFAULT_GOAL := help
.PHONY: help setup train test test-gpu test-slurm soak fuzz lint format docs notebooks tensorboard bench clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "%-14s%s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: $(READY) ## make .venv and install the package with all that it needs

$(READY): pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' || { \
	  echo "pixelcnn-lit needs Python 3.11, 3.12 or 3.13; $(PYTHON) is $$($(PYTHON) -V 2>&1). Name another one: make PYTHON=python3.12 setup" >&2; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV) || { \
	  echo "could not make $(VENV): on Debian and Ubuntu, install the package python3-venv" >&2; exit 1; }
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --editable ".[dev]"
	@touch $(READY)

train: setup ## train the quick-start model on real digits: two to four minutes on two CPU cores
	$(BIN)/python -m pixelcnn_lit.train experiment=quickstart $(ARGS)

test: setup ## run all tests
	$(BIN)/python -m pytest $(ARGS)

soak: setup ## run the long tests: many kills, many damaged files, long use
	$(BIN)/python -m pytest -m soak $(ARGS)

test-gpu: setup ## run the tests of a GPU, at most eight minutes: the conformance kit, training, sampling, speed
	$(BIN)/python -m pytest -n 4 --device cuda tests/test_conformance.py $(ARGS)
	$(BIN)/python -m pytest -n 0 --device cuda -m "not soak" tests/gpu $(ARGS)

test-slurm: setup ## as root on Debian: a sweep on a Slurm cluster of one node, made for it; kills and requeues two jobs
	PYTHON=$(CURDIR)/$(BIN)/python tests/cluster/slurm.sh

fuzz: setup ## ask the commands for hundreds of wrong things
	$(BIN)/python -m pytest -m soak tests/cli/test_fuzz.py $(ARGS)

lint: setup ## check style and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: setup ## rewrite the code in the house style
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

docs: setup ## build the site, build/site/index.html; a dead link or an undocumented public name fails
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet $(ARGS)

notebooks: setup ## write the notebooks of examples/notebooks, .ipynb beside each .py; open them with Jupyter or VS Code
	$(BIN)/jupytext --quiet --to ipynb examples/notebooks/*.py

tensorboard: setup ## open the dashboards of all runs at http://localhost:6006
	$(BIN)/tensorboard --logdir outputs $(ARGS)

bench: setup ## measure the speed of training and sampling against the textbook's ways, side by side
	$(BIN)/python -m benchmarks $(ARGS)

clean: ## remove the environment and caches; outputs/ stays
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .hypothesis dist build
	find src tests benchmarks -name __pycache__ -type d -prune -exec rm -rf {} +
