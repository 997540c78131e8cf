# Needs make and Python 3.11 or later, nothing else. Targets: venv quickstart test test-all lint format clean bench-venv
# vllm-venv vllm-test ray-venv ray-test.
#   PYTHON       the interpreter of a new virtual environment       make venv PYTHON=python3.12
#   PIP_OPTIONS  options of every pip call, an index for example    make venv PIP_OPTIONS="--extra-index-url URL"
#   ARGS         more arguments for quickstart or test              make quickstart ARGS="--set train.seed=1"

PYTHON ?= python3
PIP_OPTIONS ?=
ARGS ?=
SHELL := /bin/sh
BIN := .venv/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check install $(PIP_OPTIONS) --constraint constraints.txt
BENCH_PIP := .venv-bench/bin/python -m pip --disable-pip-version-check install $(PIP_OPTIONS) \
  --constraint benchmarks/constraints-bench.txt
VLLM_PIP := .venv-vllm/bin/python -m pip --disable-pip-version-check install $(PIP_OPTIONS) \
  --constraint benchmarks/constraints-vllm.txt
RAY_PIP := .venv-ray/bin/python -m pip --disable-pip-version-check install $(PIP_OPTIONS) \
  --constraint benchmarks/constraints-ray.txt

.PHONY: venv bench-venv vllm-venv vllm-test ray-venv ray-test quickstart test lint format clean clean-venv

# $(call environment,FOLDER) makes a virtual environment. `.incomplete` stands while an installation is under way: after an
# interruption the next one starts from an empty folder. One of your own that works is kept and brought to the pinned versions.
define environment
	@command -v $(PYTHON) >/dev/null || \
	  { echo "error: '$(PYTHON)' not found: install Python 3.11 or later, or name yours: make PYTHON=/path/to/python3"; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "error: '$(PYTHON)' is older than Python 3.11: name a newer one: make PYTHON=python3.11"; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || \
	  { echo "error: '$(PYTHON)' lacks venv and ensurepip: install them (Debian, Ubuntu: apt install python3-venv)"; exit 1; }
	@if [ -e $(1)/.incomplete ] || ! $(1)/bin/python -c 'import pip, sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then \
	  $(PYTHON) -m venv --clear --without-pip $(1) && touch $(1)/.incomplete && $(1)/bin/python -m ensurepip --default-pip; fi
	@touch $(1)/.incomplete
endef

venv: .venv/.complete

.venv/.complete: pyproject.toml constraints.txt
	$(call environment,.venv)
	$(PIP) torch setuptools
	$(PIP) --no-build-isolation --editable '.[dev]'
	@rm .venv/.incomplete
	@touch $@

# The peers of the benchmarks, never in the core environment.
bench-venv: .venv-bench/.complete

.venv-bench/.complete: benchmarks/constraints-bench.txt
	$(call environment,.venv-bench)
	$(BENCH_PIP) torch setuptools
	$(BENCH_PIP) --no-build-isolation trl 'lm-eval[ifeval]'
	@rm .venv-bench/.incomplete
	@touch $@

# vLLM's build for the CPU, to test and measure its engine without a GPU (docs/vllm.md); never in the core environment.
vllm-venv: .venv-vllm/.complete

.venv-vllm/.complete: pyproject.toml benchmarks/constraints-vllm.txt
	$(call environment,.venv-vllm)
	@$(VLLM_PIP) torch==2.13.0+cpu setuptools || \
	  { echo "error: no CPU build of torch found: name the index that has it: PIP_OPTIONS=\"--extra-index-url URL\""; exit 1; }
	$(VLLM_PIP) --no-deps --no-build-isolation --requirement benchmarks/constraints-vllm.txt
	$(VLLM_PIP) --no-deps --no-build-isolation --editable .
	@rm .venv-vllm/.incomplete
	@touch $@

vllm-test: vllm-venv
	.venv-vllm/bin/python -m pytest -q -n 0 tests/with_vllm $(ARGS)

# Ray Train, to start ranks on a cluster (docs/ray.md); never in the core environment.
ray-venv: .venv-ray/.complete

.venv-ray/.complete: pyproject.toml benchmarks/constraints-ray.txt
	$(call environment,.venv-ray)
	$(RAY_PIP) torch setuptools
	$(RAY_PIP) --no-build-isolation --editable '.[ray]' pytest pytest-timeout pytest-xdist beartype
	@rm .venv-ray/.incomplete
	@touch $@

ray-test: ray-venv
	.venv-ray/bin/python -m pytest -q -n 0 --timeout=1800 tests/with_ray tests/unit/launch $(ARGS)

quickstart: venv
	@n=1; while [ -e runs/quickstart-$$n ]; do n=$$((n + 1)); done; \
	  exec $(BIN)/prorl train quickstart --out runs/quickstart-$$n $(ARGS)

test: venv
	$(BIN)/python -m pytest -q $(ARGS)

test-all: venv
	$(BIN)/python -m pytest -q -m '' $(ARGS)

lint: venv
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: venv
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# Caches and builds only; runs/ holds your results and stays.
clean:
	rm -rf build dist src/*.egg-info .pytest_cache .mypy_cache .ruff_cache
	find src tests scripts benchmarks -name __pycache__ -type d -prune -exec rm -rf {} +

clean-venv:
	rm -rf .venv
