# The tasks of developers and users. `make` alone lists them.
.DEFAULT_GOAL := help
SHELL := /bin/bash
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# Some containers set this. Without bytecode each of the many processes compiles its modules again, half of its start.
unexport PYTHONDONTWRITEBYTECODE
READY := $(VENV)/.ready

OLD_PYTHON = { echo "found $$($(PYTHON) --version), expected Python 3.11 or newer: make $(MAKECMDGOALS) PYTHON=python3.12" >&2; exit 1; }

.PHONY: help setup run up test slow unit soak fuzz bench bench-preflight beam lint fmt bundle provision deploy publish aggregate docs screenshots protos requirements clean

help: ## show this list
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

setup: $(READY) ## create .venv with all dependencies, and the command .venv/bin/sluice

# uv installs the pinned packages several times faster than pip; pip installs uv itself.
$(READY): requirements.txt requirements-uv.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		$(OLD_PYTHON)
	@rm -rf $(VENV)
	$(PYTHON) -m venv $(VENV)
	@$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements-uv.txt
	$(BIN)/uv pip install --quiet --python $(BIN)/python --require-hashes -r requirements.txt
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation -e .
	@touch $@

run: $(READY) ## run the whole pipeline once on the emulators (SOURCE=, CONTRACT=, REPORT=)
	@$(BIN)/sluice run $(if $(SOURCE),--source '$(SOURCE)') $(if $(CONTRACT),--contract '$(CONTRACT)') $(if $(REPORT),--report '$(REPORT)')

up: $(READY) ## run the local stack until Ctrl-C (CONTRACT=, ARGS=--allow-changes)
	@exec $(BIN)/sluice up $(if $(CONTRACT),--contract '$(CONTRACT)') $(ARGS)

# Two processes share the tests; each has emulators of its own. Tests of one group stay in one process.
# A test beyond its time limit ends its process, and a new one takes over: an exception raised by a signal can leave the
# lock of the coverage tracer locked, and all later tests would wait.
PARALLEL := -n $(or $(WORKERS),2) --dist loadgroup --no-loadscope-reorder --timeout-method=thread

test: $(READY) ## run all tests except the slow ones, with coverage (WORKERS=)
	$(BIN)/pytest $(PARALLEL) -m 'not slow' --durations=20 --cov --cov-report=term --cov-fail-under=90
	@$(BIN)/coverage report --include='shared/*,functions/*' --fail-under=95 --format=total >/dev/null || \
		{ echo "found less than 95 % coverage of shared/ and functions/, expected at least that" >&2; exit 1; }

slow: $(READY) ## run the slow tests (WORKERS=)
	$(BIN)/pytest $(PARALLEL) -m slow --durations=20

unit: $(READY) ## run the unit tests (WORKERS=)
	$(BIN)/pytest $(PARALLEL) -q tests/unit

soak: $(READY) ## play fault scenarios under load, then compare the tables with the events (ARGS=)
	@$(BIN)/python -m tests.faults $(ARGS)

# In a separate environment: its compiled package has no wheel for every Python, and nothing else needs it.
FUZZ := build/fuzz
fuzz: $(READY) ## fuzz the validation of events, guided by coverage (RUNS=)
	@test -x $(FUZZ)/bin/python || $(BIN)/uv venv --quiet --python $(BIN)/python $(FUZZ)
	@$(BIN)/uv pip install --quiet --python $(FUZZ)/bin/python --require-hashes -r requirements.txt -r tests/fuzz/requirements.txt
	@$(FUZZ)/bin/python tests/fuzz/seeds.py $(FUZZ)/seeds
	@mkdir -p $(FUZZ)/found
	$(FUZZ)/bin/python tests/fuzz/fuzz_events.py -runs=$(or $(RUNS),1000000) -dict=tests/fuzz/events.dict -max_len=4096 \
		-artifact_prefix=$(FUZZ)/ $(FUZZ)/found tests/fuzz/corpus $(FUZZ)/seeds

# In a separate environment: Apache Beam, one of the alternatives, requires older versions of shared packages.
BENCH := build/bench
PREFLIGHT := -m tests.bench.preflight $(if $(ROWS),--rows '$(ROWS)')
bench: bench-preflight $(READY) ## compare the performance of this project with alternatives (ROWS=, JSON=)
	@! $(BIN)/python $(PREFLIGHT) --needs-beam || $(MAKE) --no-print-directory $(BENCH)/.ready
	@$(BIN)/python -m tests.bench $(if $(ROWS),--rows '$(ROWS)',--record) $(if $(JSON),--json '$(JSON)')

# Before `make setup`: a missing program ends the run at once. The modules need no package.
bench-preflight:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || $(OLD_PYTHON)
	@$(PYTHON) $(PREFLIGHT)

$(BENCH)/.ready: tests/bench/requirements.txt $(READY)
	@test -x $(BENCH)/bin/python || $(BIN)/uv venv --quiet --python $(BIN)/python $(BENCH)
	@$(BIN)/uv pip install --quiet --python $(BENCH)/bin/python --require-hashes -r $< || \
		{ echo "bench: Apache Beam can't be installed in $(BENCH) from $<, for the reason above" >&2; exit 1; }
	@touch $@

# In a separate environment: Apache Beam requires older versions of shared packages.
BEAM := build/beam
beam: $(BEAM)/.ready ## create build/beam, the environment of Apache Beam

$(BEAM)/.ready: infra/beam/requirements.txt $(READY)
	@test -x $(BEAM)/bin/python || $(BIN)/uv venv --quiet --python $(BIN)/python $(BEAM)
	@$(BIN)/uv pip sync --quiet --python $(BEAM)/bin/python --require-hashes infra/beam/requirements.txt
	@touch $@

lint: $(READY) ## check style, formatting, types and imports
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

fmt: $(READY) ## fix style and formatting
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

docs: $(READY) ## generate docs/behaviours.md and docs/benchmarks.md from the tests and the recorded runs
	@$(BIN)/python -m tests.support.behaviours --write
	@$(BIN)/python -m tests.bench.report

bundle: $(READY) ## write build/ingest, build/aggregate, build/load and build/query, ready to deploy (CONTRACT=)
	@$(BIN)/sluice bundle $(if $(CONTRACT),--contract '$(CONTRACT)')

provision: $(READY) ## create the declared topics, subscriptions, tables and schedule (ARGS=--dry-run)
	@$(BIN)/sluice provision $(ARGS)

deploy: $(READY) ## deploy the functions to Google Cloud (CONTRACT=, CONFIG=)
	@$(BIN)/sluice deploy $(if $(CONTRACT),--contract '$(CONTRACT)') $(if $(CONFIG),--config '$(CONFIG)')

publish: $(READY) ## publish a file of events to the topic (SOURCE=, CONTRACT=)
	@$(BIN)/sluice publish --source '$(or $(SOURCE),data)' $(if $(CONTRACT),--contract '$(CONTRACT)')

aggregate: $(READY) ## aggregate a day now (DATE=)
	@$(BIN)/sluice aggregate $(if $(DATE),--date '$(DATE)') $(if $(CONTRACT),--contract '$(CONTRACT)')

screenshots: $(READY) ## write docs/images, the screenshots of the console
	@$(BIN)/python -m tests.browser.screenshots

# In a separate environment: generated code runs on no protobuf older than its protoc, and Beam requires an older one.
PROTOC := build/protoc
protos: $(READY) ## generate the Python classes of the .proto files
	@test -x $(PROTOC)/bin/python || $(BIN)/uv venv --quiet --python $(BIN)/python $(PROTOC)
	@$(BIN)/uv pip install --quiet --python $(PROTOC)/bin/python --require-hashes -r requirements-protos.txt
	for folder in shared/bigtable infra/emulators/protos infra/emulators/bigtable/admin; do \
		$(PROTOC)/bin/python -m grpc_tools.protoc -I $$folder --python_out=$$folder --pyi_out=$$folder $$folder/*.proto || exit; \
	done

PIN := $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header --no-annotate
requirements: $(READY) ## pin the newest versions of all dependencies
	$(PIN) --upgrade functions/requirements.in -o functions/ingest/requirements.txt
	$(PIN) --upgrade functions/aggregate/requirements.in -c functions/ingest/requirements.txt -o functions/aggregate/requirements.txt
	$(PIN) --upgrade functions/load/requirements.in -c functions/aggregate/requirements.txt -o functions/load/requirements.txt
	cp functions/ingest/requirements.txt functions/query/requirements.txt
	$(PIN) --upgrade functions/requirements-otlp.in -c functions/aggregate/requirements.txt -o functions/requirements-otlp.txt
	$(PIN) --upgrade requirements.in -c functions/aggregate/requirements.txt -o requirements.txt
	$(PIN) --upgrade tests/bench/requirements.in -o tests/bench/requirements.txt
	$(PIN) --upgrade infra/beam/requirements.in -o infra/beam/requirements.txt
	$(PIN) --upgrade infra/beam/worker-requirements.in -c infra/beam/requirements.txt -o infra/beam/worker-requirements.txt
	$(PIN) --upgrade requirements-protos.in -o requirements-protos.txt
	$(PIN) --upgrade requirements-uv.in -o requirements-uv.txt

clean: ## remove all generated files
	rm -rf $(VENV) build dist .coverage .coverage.* .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
