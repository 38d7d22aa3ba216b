# One way in for people: make help lists what there is.
# Needs Python 3.11 or newer and make; everything else goes into .venv.

SHELL  := /bin/sh
PYTHON ?= $(firstword $(foreach name,python3.12 python3.11 python3.13 python3 python,$(shell $(name) -c 'import sys, venv; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $(name))))
BIN    := .venv/bin
MODEL  ?=
NOTEBOOKS := $(sort $(wildcard notebooks/0*.ipynb))

.DEFAULT_GOAL := help
.PHONY: help run test test-engines faults lab bench lint clean

help: ## list these targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

run: .venv/run.stamp ## bare machine to a served and measured model, report included (MODEL=flash or pro: V4 itself)
	@$(BIN)/seatrial fetch $(or $(MODEL),smollm2)
	@$(BIN)/seatrial run $(NOTEBOOKS) -p hardware auto $(if $(MODEL),-p model $(MODEL))

test: .venv/test.stamp ## set up and run every test
	@$(BIN)/seatrial fetch smollm2
	@$(BIN)/python -m pytest -n 2 --dist loadgroup

test-engines: .venv/test.stamp ## install real engines into .engines (2.9 GB, once, no GPU) and test with them (SGLANG_SERVER=1: its server too)
	@$(BIN)/seatrial fetch smollm2
	@$(BIN)/python tools/engines.py install
	@SGLANG_SERVER=$(SGLANG_SERVER) SEATRIAL_REQUIRE="sglang parser,mlx,llama-cpp-python,stand-in model" \
		$(BIN)/python -m pytest -m "sglang or own_engine" tests/engines

faults: .venv/test.stamp ## inject every fault five times, print the table and write faults.json
	@$(BIN)/seatrial fetch smollm2
	@$(BIN)/python tools/faults.py --output faults.json

lab: .venv/lab.stamp ## open JupyterLab on the notebooks
	@$(BIN)/jupyter lab --notebook-dir=notebooks $(if $(filter 0,$(shell id -u)),--allow-root)

bench: .venv/run.stamp ## print the benchmark table and write benchmark.json
	@$(BIN)/python tools/bench.py --output benchmark.json

lint: .venv/dev.stamp ## style, types, layers, notebook form, the lock, reference pages
	@$(BIN)/ruff check lib tests tools
	@$(BIN)/ruff format --check lib tests tools
	@$(BIN)/mypy
	@$(BIN)/lint-imports
	@$(BIN)/python tools/notebooks.py --check
	@$(BIN)/python tools/lock.py --check
	@$(BIN)/python tools/docs.py --check

clean: ## remove .venv, .engines and caches; runs/ and downloaded models stay
	@rm -rf .venv .engines .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis

# One environment; each target adds the packages it needs, at the versions of requirements.lock.
.venv/%.stamp: pyproject.toml requirements.lock | .venv/bin/python
	@echo "Installing the $* packages into .venv (pinned in requirements.lock) ..."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint requirements.lock --editable '.[$*]'
	@touch $@

.venv/bin/python:
	@test -n "$(PYTHON)" || { echo "seatrial needs Python 3.11 or newer with venv (on Debian and Ubuntu: apt install python3 python3-venv); none was found. PYTHON=/path/to/python names one." >&2; exit 2; }
	@echo "Creating .venv with $(PYTHON) ..."
	@trap 'rm -rf .venv; echo "Interrupted: no .venv is left." >&2; exit 130' INT TERM; \
		$(PYTHON) -c 'import signal, runpy; signal.signal(signal.SIGINT, signal.SIG_DFL); runpy.run_module("venv", run_name="__main__", alter_sys=True)' .venv || { rm -rf .venv; echo "The virtual environment could not be made (on Debian and Ubuntu: apt install python3-venv)." >&2; exit 2; }
