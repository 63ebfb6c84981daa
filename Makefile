# The front door: `make` alone lists what there is. All of it sets up what it needs by itself.
# PYTHON=… chooses the interpreter; PYTEST_ARGS, DEMO_ARGS, UP_ARGS, SPEC_ARGS, NEMESIS_ARGS and
# BENCH_ARGS are passed on.

SHELL := bash
.DEFAULT_GOAL := help

VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

export AGENT_ENV ?= development
PYTEST_WORKERS ?= 4
SEEDS ?= 0-9
JOBS ?= 1

.PHONY: help setup demo up test test-long faults nemesis bugs check format docs screenshots bench clean

help: ## list these
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-11s %s\n", $$1, $$2 }' Makefile

setup: $(READY) ## make .venv with everything that the others need; does nothing the second time
	@echo "$(VENV) is ready"

$(READY): pyproject.toml constraints.txt scripts/setup.sh
	@PYTHON='$(PYTHON)' bash scripts/setup.sh $(VENV)
	@touch $@

demo: $(READY) ## do the main job from start to end, on servers that it starts itself
	@exec $(BIN)/agent demo $(DEMO_ARGS)

up: $(READY) ## run the whole system until Ctrl-C, on servers of its own or those of the environment
	@exec $(BIN)/agent up $(UP_ARGS)

test: $(READY) ## run every test, on real servers
	$(BIN)/python -m pytest -n $(PYTEST_WORKERS) --dist loadfile $(PYTEST_ARGS)

test-long: $(READY) ## run the tests that take minutes each and that `make test` leaves out
	$(BIN)/python -m pytest -n $(PYTEST_WORKERS) -m long $(PYTEST_ARGS)

faults: $(READY) ## run the tests that kill, stop and cut off, and show how soon work went on
	$(BIN)/python -m pytest tests/faults -n 2 --dist loadfile -m 'long or not long' $(PYTEST_ARGS)

nemesis: $(READY) ## run the line with random faults, by SEEDS=0-99, JOBS=2 at once, and judge it
	@exec $(BIN)/python -m tests.nemesis $(SEEDS) --jobs $(JOBS) $(NEMESIS_ARGS)

bugs: $(READY) ## make deliberate bugs in a copy, and say which tests notice
	@$(BIN)/python -m scripts.bugs $(BUGS)

check: $(READY) ## check format, lint, types, import rules, pages, deployment files and the formal model
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m scripts.settings_doc --check
	$(BIN)/python -m scripts.house
	$(BIN)/python -m scripts.spec

spec: $(READY) ## have TLC check the formal model in docs/spec; wants Java, and Maven once
	$(BIN)/python -m scripts.spec $(SPEC_ARGS)

format: $(READY) ## format the code, and mend what the linter can
	$(BIN)/ruff check --fix-only --quiet .
	$(BIN)/ruff format .

docs: $(READY) ## write docs/settings.md and docs/problems.md anew from the code
	$(BIN)/python -m scripts.settings_doc
	$(BIN)/python -m scripts.problems_doc

screenshots: $(READY) ## photograph the pages of a made-up system for docs/dashboard.md; wants Chromium
	$(BIN)/python -m scripts.screenshots

bench: $(READY) ## measure, beside what else there is
	$(BIN)/python -m benchmarks $(BENCH_ARGS)

clean: ## remove caches and build results; .venv and the data in .agent stay
	rm -rf build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
	find . -name __pycache__ -type d -not -path './$(VENV)/*' -prune -exec rm -rf {} +
