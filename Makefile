# make demo   install, then tune and compare four optimizers on the embedded digits
# make test   install and run the default tests        make test-all   the slow ones too
# make lint   format, lint, types, layers              make ui         look at the runs
# make bench  ratios against hand-written loops        make docs       render tables from results
# make containers  build and run the containers; as root, a quarter of an hour
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin

.PHONY: demo test test-all lint format ui bench docs containers clean
.DEFAULT_GOAL := demo

$(VENV)/.base: pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "Installing; the first time takes some minutes and about 6 GB, most of it torch."
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e .
	touch $@

$(VENV)/.dev: $(VENV)/.base
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[dev]'
	touch $@

demo: $(VENV)/.base
	$(BIN)/python -m lit_lossopt demo

# Three at once keep two cores busy, because many tests wait for another process or the disk. They take 2 GB each.
test: $(VENV)/.dev
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 3 --dist worksteal -m "not slow and not gpu"

test-all: $(VENV)/.dev
	$(BIN)/python -m pytest -m "not gpu"

lint: $(VENV)/.dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m tests.support.documented_tests
	$(BIN)/python -m tests.support.typed_examples

format: $(VENV)/.dev
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

# The safe settings for a person's own machine: this machine only, no jobs, no gateway, no telemetry.
ui: $(VENV)/.base
	MLFLOW_SERVER_ENABLE_JOB_EXECUTION=false MLFLOW_ENABLE_AI_GATEWAY=false MLFLOW_DISABLE_TELEMETRY=true \
		$(BIN)/mlflow ui --host 127.0.0.1 --port 5000

bench: $(VENV)/.dev
	$(BIN)/python -m benchmarks.speed
	$(BIN)/python -m benchmarks.operators
	$(BIN)/python -m benchmarks.augmentation
	$(BIN)/python -m benchmarks.tracking
	$(BIN)/python -m benchmarks.checkpointing
	$(BIN)/python -m benchmarks.probe
	$(BIN)/python -m benchmarks.render

docs: $(VENV)/.dev
	$(BIN)/python -m benchmarks.render

containers:
	containers/check.sh

clean:
	rm -rf build dist .pytest_cache .mypy_cache .ruff_cache .import_linter_cache
