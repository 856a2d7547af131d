# Two commands matter: `make demo` and `make test`. Both set up what they need.
# Needs GNU make, Python 3.11-3.13 and a package index as pip is configured; no terminal.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help

VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
FITS := import ensurepip, sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))
PYTHON ?= $(shell for name in python3.11 python3.12 python3.13 python3; do \
	$$name -c '$(FITS)' 2>/dev/null && { echo $$name; break; }; done)
WORKERS ?= 2

DIR ?= .
KEEP ?=
BENCH ?= dispatch api footprint
SEEDS ?= 0:1000
URL ?=

.PHONY: help setup services demo test lint soak bench docs screenshot changelog constraints clean

help: ## what can be made
	@grep -E '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## /\1\t/' | expand -t 14

setup: services $(STAMP) ## a virtual environment with everything pinned, and the programs that tests use

services:
	@deploy/services.sh

$(STAMP): pyproject.toml constraints.txt
	@test -n "$(PYTHON)" || { echo "No Python 3.11-3.13 with venv found: install one, or say make PYTHON=/path/to/python3" >&2; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[mcp,sandbox,bench,test]'
	@touch $@

demo: setup ## a swarm on this machine works through DIR=..., loses a node, catches a liar; KEEP=1 leaves it running
	$(BIN)/quorate demo --dir "$(DIR)" $(if $(KEEP),--keep)

test: lint ## style, types and every test; the last line counts them
	$(BIN)/pytest -n $(WORKERS) --dist loadfile

lint: setup ## ruff and mypy
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

soak: setup ## what takes longer: more crashes, more seeds (SEEDS=0:1000)
	$(BIN)/pytest -m soak --timeout=3600
	$(BIN)/quorate sim --seeds $(SEEDS)

bench: setup ## measure beside peers (BENCH="dispatch api footprint"); tables go to benchmarks/results
	for name in $(BENCH); do $(BIN)/quorate bench $$name; done

docs: setup ## write the reference anew from the code
	$(BIN)/python docs/generate.py

screenshot: setup ## the pictures in docs/images, of a demo run for the occasion, or of what runs at URL=...#token=...
	$(BIN)/python docs/screenshot.py docs/images $(if $(URL),"$(URL)")

changelog: setup ## turn changelog.d/ into a section of CHANGELOG.md (VERSION=...)
	$(BIN)/python docs/changelog.py $(VERSION)

constraints: setup ## pin what is installed now
	@{ sed '/^[^#]/,$$d' constraints.txt; $(BIN)/python -m pip freeze --exclude-editable | grep -v ' @ '; } > constraints.new
	@mv constraints.new constraints.txt
	@git --no-pager diff --stat -- constraints.txt

clean: ## remove what was built, not what was installed
	rm -rf build dist demo .pytest_cache .mypy_cache .ruff_cache .hypothesis src/*.egg-info
	find src tests benchmarks examples docs -name __pycache__ -prune -exec rm -rf {} + 2>/dev/null || true
