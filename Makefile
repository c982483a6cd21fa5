# The same few commands by hand, in hooks and in CI. `make run` and `make test` set up what they need.
VENV := .venv
BIN := $(VENV)/bin
PYTHON ?= python3
# Installed first and alone: where an index has a build for the CPU, an open range would fetch gigabytes of CUDA.
TORCH ?= torch==2.13.0
# Parses the file; nothing is started, so any program does for podman.
COMPOSE := $(BIN)/podman-compose --podman-path /bin/echo
# How long `make fuzz` takes for each of its two parts, and `make soak` in all.
FUZZ_SECONDS ?= 120
SOAK_MINUTES ?= 5
FROM_TESTS := PYTHONPATH=.:tests $(BIN)/python

.PHONY: run test test-slow test-all check lint format bench bench-engine bench-gpu fuzz soak audit lock clean

run: $(VENV)/ready
	$(BIN)/denoir serve

test: $(VENV)/ready-dev
	$(BIN)/pytest -m "not slow and not browser"

test-slow: $(VENV)/ready-dev
	$(BIN)/pytest -m "slow or browser"

test-all: test test-slow

check: lint test

lint: $(VENV)/ready-dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/basedpyright
	$(BIN)/lint-imports
	$(BIN)/hadolint Dockerfile
	$(COMPOSE) config > /dev/null
	$(COMPOSE) --profile gpu config > /dev/null

format: $(VENV)/ready-dev
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: $(VENV)/ready-dev
	$(BIN)/python -m benchmarks.speed

bench-engine: $(VENV)/ready-dev
	$(BIN)/pip install --quiet --editable ".[bench]"
	$(BIN)/python -m benchmarks.engine

bench-gpu: $(VENV)/ready-dev
	$(BIN)/python -m benchmarks.gpu

fuzz: $(VENV)/ready-dev
	$(BIN)/pip install --quiet --editable ".[fuzz]"
	$(FROM_TESTS) -m tests.fuzz.pictures --seconds $(FUZZ_SECONDS)
	$(FROM_TESTS) -m tests.fuzz.api --seconds $(FUZZ_SECONDS)

soak: $(VENV)/ready-dev
	$(FROM_TESTS) -m tests.load.soak --minutes $(SOAK_MINUTES)

audit: $(VENV)/ready-dev
	$(BIN)/pip install --quiet --editable ".[audit]"
	$(BIN)/python -m locks.audit

lock: $(VENV)/ready-dev
	$(BIN)/pip install --quiet pip-tools
	$(BIN)/python locks/lock.py

clean:
	rm -rf $(VENV) build *.egg-info .pytest_cache .ruff_cache

$(VENV)/ready: pyproject.toml models/winograd.c
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet "$(TORCH)"
	$(BIN)/pip install --quiet --editable .
	touch $@

$(VENV)/ready-dev: $(VENV)/ready
	$(BIN)/pip install --quiet --editable ".[dev]"
	touch $@
