# Everything a developer or user does, by name. `make` alone lists it.
.DEFAULT_GOAL := help
SHELL := /bin/bash
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

.PHONY: help setup run up test quick unit soak fuzz bench lint fmt bundle provision deploy publish aggregate docs protos requirements clean

help: ## show this
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

setup: $(READY) ## make .venv with everything in it, and the command .venv/bin/sluice

# uv installs the pinned packages several times faster than pip; pip brings uv itself.
$(READY): requirements.txt requirements-uv.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "found $$($(PYTHON) --version), expected Python 3.11 or newer: make setup PYTHON=python3.12" >&2; exit 1; }
	@rm -rf $(VENV)
	$(PYTHON) -m venv $(VENV)
	@$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements-uv.txt
	$(BIN)/uv pip install --quiet --python $(BIN)/python --require-hashes -r requirements.txt
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation -e .
	@touch $@

run: $(READY) ## the whole loop once on the emulators (SOURCE=, CONTRACT=, REPORT=)
	@$(BIN)/sluice run $(if $(SOURCE),--source '$(SOURCE)') $(if $(CONTRACT),--contract '$(CONTRACT)') $(if $(REPORT),--report '$(REPORT)')

up: $(READY) ## the local stack until Ctrl-C (CONTRACT=)
	@exec $(BIN)/sluice up $(if $(CONTRACT),--contract '$(CONTRACT)')

# Two processes share the tests; each has emulators of its own. Tests of one group stay in one process.
PARALLEL := -n $(or $(WORKERS),2) --dist loadgroup --no-loadscope-reorder

test: $(READY) ## all tests, with coverage (WORKERS=)
	$(BIN)/pytest $(PARALLEL) --durations=20 --cov --cov-report=term --cov-fail-under=90
	@$(BIN)/coverage report --include='shared/*,functions/*' --fail-under=95 --format=total >/dev/null || \
		{ echo "found less than 95 % coverage of shared/ and functions/, expected at least that" >&2; exit 1; }

quick: $(READY) ## all tests but the slow ones (WORKERS=)
	$(BIN)/pytest $(PARALLEL) -q -m 'not slow'

unit: $(READY) ## the unit tests alone (WORKERS=)
	$(BIN)/pytest $(PARALLEL) -q tests/unit

soak: $(READY) ## kill and break everything under load, then compare the tables with the log (ARGS=)
	@$(BIN)/python -m tests.faults $(ARGS)

# In an environment of its own: a compiled package that nothing else needs, and that isn't made for every Python.
FUZZ := build/fuzz
fuzz: $(READY) ## look for events that break what judges them, led by coverage (RUNS=)
	@test -x $(FUZZ)/bin/python || $(BIN)/uv venv --quiet --python $(BIN)/python $(FUZZ)
	@$(BIN)/uv pip install --quiet --python $(FUZZ)/bin/python --require-hashes -r requirements.txt -r tests/fuzz/requirements.txt
	@$(FUZZ)/bin/python tests/fuzz/seeds.py $(FUZZ)/seeds
	@mkdir -p $(FUZZ)/found
	$(FUZZ)/bin/python tests/fuzz/fuzz_events.py -runs=$(or $(RUNS),1000000) -dict=tests/fuzz/events.dict -max_len=4096 \
		-artifact_prefix=$(FUZZ)/ $(FUZZ)/found tests/fuzz/corpus $(FUZZ)/seeds

# In an environment of its own: Apache Beam, one of the peers, holds back packages that we have newer.
BENCH := build/bench
bench: $(READY) ## measure this project beside what people would run instead (ROWS=, JSON=)
	@test -x $(BENCH)/bin/python || $(BIN)/uv venv --quiet --python $(BIN)/python $(BENCH)
	@$(BIN)/uv pip install --quiet --python $(BENCH)/bin/python --require-hashes -r tests/bench/requirements.txt
	@$(BIN)/python -m tests.bench $(if $(ROWS),--rows '$(ROWS)',--page docs/benchmarks.md) $(if $(JSON),--json '$(JSON)')

lint: $(READY) ## style, formatting, types, imports
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

fmt: $(READY) ## put the formatting right
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

docs: $(READY) ## generate docs/behaviours.md from tests/behaviours.toml
	@$(BIN)/python -m tests.support.behaviours --write

bundle: $(READY) ## build/ingest and build/aggregate, ready to deploy (CONTRACT=)
	@$(BIN)/sluice bundle $(if $(CONTRACT),--contract '$(CONTRACT)')

provision: $(READY) ## topics, subscriptions, tables and the schedule as declared (ARGS=--dry-run)
	@$(BIN)/sluice provision $(ARGS)

deploy: $(READY) ## both functions onto Google Cloud (CONTRACT=, CONFIG=)
	@$(BIN)/sluice deploy $(if $(CONTRACT),--contract '$(CONTRACT)') $(if $(CONFIG),--config '$(CONFIG)')

publish: $(READY) ## a file of events into the topic (SOURCE=, CONTRACT=)
	@$(BIN)/sluice publish --source '$(or $(SOURCE),data)' $(if $(CONTRACT),--contract '$(CONTRACT)')

aggregate: $(READY) ## a day computed now (DATE=)
	@$(BIN)/sluice aggregate $(if $(DATE),--date '$(DATE)') $(if $(CONTRACT),--contract '$(CONTRACT)')

protos: $(READY) ## the messages of shared/bigtable/bigtable.proto as Python
	$(BIN)/python -m grpc_tools.protoc -I shared/bigtable --python_out=shared/bigtable --pyi_out=shared/bigtable shared/bigtable/bigtable.proto

PIN := $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header --no-annotate
requirements: $(READY) ## pin the newest versions of everything again
	$(PIN) --upgrade functions/requirements.in -o functions/ingest/requirements.txt
	$(PIN) --upgrade functions/aggregate/requirements.in -c functions/ingest/requirements.txt -o functions/aggregate/requirements.txt
	$(PIN) --upgrade functions/requirements-otlp.in -c functions/aggregate/requirements.txt -o functions/requirements-otlp.txt
	$(PIN) --upgrade requirements.in -c functions/aggregate/requirements.txt -o requirements.txt
	$(PIN) --upgrade tests/bench/requirements.in -o tests/bench/requirements.txt
	$(PIN) --upgrade requirements-uv.in -o requirements-uv.txt

clean: ## remove what was made
	rm -rf $(VENV) build dist .coverage .coverage.* .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
