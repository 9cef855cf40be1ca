# Two commands: `make demo` and `make test`. Both make and use .venv; nothing else is touched.
# Another Python: make test PYTHON=python3.12 (and VENV=.venv-3.12, to keep both).
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check
POSTS ?= 2400
FAULTS ?= 100
SLICES ?= 1
AT_ONCE ?= 1
WORKERS ?= 2
TIMES ?= 50
SUITES ?= 5
MINUTES ?= 30
INPUTS ?= 1000000
RECORDS ?= 100000
SECONDS ?= 300

# What runs on the base dependencies and the light engine.
LIGHT := $(addprefix tests/,runtime schemas emollm consumer producer monitor emostream \
  training/evaluation test_architecture.py)

.DEFAULT_GOAL := help
.PHONY: help demo test lint types unit unit-light coverage test-faults test-repeat soak bench \
  test-fuzz test-registry audit image format generated lock hooks clean same-python

help: ## this list
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

demo: $(VENV)/.demo ## the whole pipeline on this machine: Kafka, model server, consumer, real posts
	@$(BIN)/emostream demo --posts $(POSTS) $(ARGS)

test: lint types unit ## lint, types, tests

lint: $(VENV)/.dev ## ruff: rules and format
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/.dev ## mypy --strict
	$(BIN)/mypy

# A worker keeps a broker of its own, and a file's tests together.
unit: $(VENV)/.dev ## the tests, on real embedded Kafkas, in two processes (WORKERS=0: in one)
	$(BIN)/python -m pytest -n $(WORKERS) --dist loadfile $(ARGS)

unit-light: $(VENV)/.light ## the tests that need neither torch, Kafka nor a browser: a minute (ARGS=tests/consumer: 15 s)
	$(BIN)/python -m pytest -m "not kafka and not browser" --hypothesis-profile=light $(if $(filter tests/%,$(ARGS)),,$(wildcard $(LIGHT))) $(ARGS)

coverage: $(VENV)/.dev ## the tests once more, and which lines and branches they reach: shown, not a gate
	$(BIN)/coverage erase
	-$(BIN)/coverage run -m pytest --hypothesis-profile=light $(ARGS)
	$(BIN)/coverage combine --quiet
	$(BIN)/coverage report

test-faults: $(VENV)/.dev ## real processes, real Kafka, faults at random (FAULTS=100; 1000 SLICES=10 AT_ONCE=2; ARGS="--delivery exactly-once"): nothing is lost
	$(BIN)/python -m tests.faults --faults $(FAULTS) --slices $(SLICES) --at-once $(AT_ONCE) $(ARGS)

test-repeat: $(VENV)/.dev ## the files that depend on time fifty times, all tests five times (TIMES=50 SUITES=5)
	$(BIN)/python -m tests.repeat --times $(TIMES) --suites $(SUITES) $(ARGS)

soak: $(VENV)/.bench ## half an hour at half load, rebalancing (MINUTES=30): memory and latency stay flat
	$(BIN)/python -m bench.soak --minutes $(MINUTES) $(ARGS)

bench: $(VENV)/.bench ## cost beside other consumers, saturation, faults, backlog (about 20 minutes)
	$(BIN)/python -m bench $(ARGS)

test-registry: $(VENV)/.dev ## a real schema registry: Apicurio, 159 MB from Maven Central once (not part of make test)
	$(BIN)/python -m pytest tests/real_registry/apicurio.py $(ARGS)

test-fuzz: $(VENV)/.fuzz ## hostile input (INPUTS=1000000, RECORDS=100000, SECONDS=300 of atheris a target): no crash
	$(BIN)/python -m tests.hostile fuzz --inputs $(INPUTS)
	$(BIN)/python -m tests.hostile consume --records $(RECORDS)
	for target in decode answers bodies http; do \
	  $(BIN)/python -m tests.hostile.coverage $$target $(SECONDS) || exit 1; done

audit: $(VENV)/.audit ## constraints.txt against known vulnerabilities; what can't be looked up fails
	$(BIN)/pip-audit --requirement constraints.txt --no-deps --disable-pip --strict

image: $(VENV)/.image ## the container image and its SBOM, by buildah (BASE=…@sha256:…; LOCK=demo: with the small model)
	SBOM_TOOLS=$(abspath $(BIN)) infra/image/build

format: $(VENV)/.dev ## let ruff repair what it can
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

generated: $(VENV)/.dev ## write again what is generated: JSON Schemas, AsyncAPI, docs, dashboards
	$(BIN)/python -m schemas.generate
	$(BIN)/python -m emostream.reference
	$(BIN)/python -m infra.grafana.generate

lock: $(VENV)/.lock ## resolve the requirements again: constraints.txt and locks/ (ARGS=--upgrade: the newest)
	UV=$(BIN)/uv .ci/lock $(ARGS)

hooks: $(VENV)/.dev ## let git run the linters before each commit (pre-commit)
	$(BIN)/pre-commit install

clean: ## remove .venv and caches
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis .coverage*

# The newest Python that is refused: the first that nobody has tried yet.
SUPPORTED := import sys; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 15))

$(BIN)/python:
	@command -v $(PYTHON) >/dev/null || \
	  { echo "There is no $(PYTHON); name one: make PYTHON=python3.12 $(MAKECMDGOALS)"; exit 2; }
	@$(PYTHON) -c '$(SUPPORTED)' || \
	  { echo "emostream runs on Python 3.11 to 3.14, and this is $$($(PYTHON) -V); try:" \
	    "make PYTHON=python3.12 $(MAKECMDGOALS)"; exit 2; }
	@$(PYTHON) -m venv $(VENV)

# A .venv keeps the Python that made it: say so, rather than test another one than was asked for.
same-python: $(BIN)/python
ifeq ($(origin PYTHON),command line)
	@test "$$($(PYTHON) -V)" = "$$($(BIN)/python -V)" || \
	  { echo "$(VENV) has $$($(BIN)/python -V), and $(PYTHON) is $$($(PYTHON) -V): make clean first," \
	    "or keep both: make $(MAKECMDGOALS) PYTHON=$(PYTHON) VENV=.venv-$$($(PYTHON) -c 'import sys; print("%d.%d" % sys.version_info[:2])')"; exit 2; }
endif

# What a target needs, by hash, then this checkout itself; again when its lock changes.
define install
@echo "Installing $(1) into $(VENV) (once): $$(grep -c '^[a-z]' locks/$(2).txt) packages, by hash:"
@sed -n 's/^\([a-z0-9._-]*==[^ ;]*\).*/\1/p' locks/$(2).txt | tr '\n' ' ' | fold -s -w 78; echo
@$(PIP) install --quiet --require-hashes --requirement locks/$(2).txt
@$(PIP) install --quiet --no-deps --no-build-isolation --editable .
@touch $@
endef

$(VENV)/.demo: locks/demo.txt pyproject.toml | same-python # no torch, no test tools
	$(call install,emostream: 0.4 GB,demo)

$(VENV)/.light: locks/light.txt pyproject.toml | same-python # the test tools, no torch
	$(call install,emostream and the test tools,light)
	@touch $(VENV)/.demo

$(VENV)/.dev: locks/dev.txt pyproject.toml | same-python # everything, torch included
	$(call install,emostream with torch and the test tools: 6 GB and minutes,dev)
	@touch $(VENV)/.demo $(VENV)/.light

$(VENV)/.bench: locks/bench.txt pyproject.toml | same-python # peers to compare with, pictures
	$(call install,emostream and the tools of the benchmarks,bench)
	@touch $(VENV)/.demo

# Tools beside what is there.
$(VENV)/.fuzz: $(VENV)/.dev
$(VENV)/.fuzz $(VENV)/.audit $(VENV)/.image $(VENV)/.lock: $(VENV)/.%: locks/%.txt | same-python
	@$(PIP) install --quiet --require-hashes --requirement $<
	@touch $@
