# Two commands: `make demo` and `make test`. Both make and use .venv; nothing else is touched.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check
POSTS ?= 1000
FAULTS ?= 100
MINUTES ?= 30
INPUTS ?= 1000000
RECORDS ?= 100000
SECONDS ?= 300

.DEFAULT_GOAL := help
.PHONY: help demo test test-faults test-fuzz audit soak bench lint types unit generated format clean

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

unit: $(VENV)/.dev ## the tests, on a real embedded Kafka
	$(BIN)/python -m pytest $(ARGS)

test-faults: $(VENV)/.dev ## real processes, real Kafka, faults at random (FAULTS=100; 1000: 85 min): nothing is lost
	$(BIN)/python -m tests.faults --faults $(FAULTS) $(ARGS)

soak: $(VENV)/.bench ## half an hour at half load, rebalancing (MINUTES=30): memory and latency stay flat
	$(BIN)/python -m bench.soak --minutes $(MINUTES) $(ARGS)

bench: $(VENV)/.bench ## cost beside other consumers, saturation, faults, backlog (about 20 minutes)
	$(BIN)/python -m bench $(ARGS)

test-fuzz: $(VENV)/.fuzz ## hostile input (INPUTS=1000000, RECORDS=100000, SECONDS=300 of atheris a target): no crash
	$(BIN)/python -m tests.hostile fuzz --inputs $(INPUTS)
	$(BIN)/python -m tests.hostile consume --records $(RECORDS)
	for target in decode answers bodies http; do \
	  $(BIN)/python -m tests.hostile.coverage $$target $(SECONDS) || exit 1; done

audit: $(VENV)/.fuzz ## constraints.txt against known vulnerabilities; what can't be looked up fails
	$(BIN)/pip-audit --requirement constraints.txt --no-deps --disable-pip --strict

format: $(VENV)/.dev ## let ruff mend what it can
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

generated: $(VENV)/.dev ## write again what is generated: JSON Schemas, AsyncAPI, docs
	$(BIN)/python -m schemas.generate
	$(BIN)/python -m emostream.reference

clean: ## remove .venv and caches
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "emostream needs Python 3.11 or newer; try: make PYTHON=python3.12 $(MAKECMDGOALS)"; exit 2; }
	@$(PYTHON) -m venv $(VENV)

# What the demo needs: no torch. Installed again when the project's requirements change.
$(VENV)/.demo: pyproject.toml constraints.txt | $(BIN)/python
	@echo "Installing emostream into $(VENV) (once) …"
	@$(PIP) install --quiet --constraint constraints.txt --editable '.[embedded]'
	@touch $@

# What the tests need: everything, torch included.
$(VENV)/.dev: pyproject.toml constraints.txt | $(BIN)/python
	@echo "Installing emostream with torch and the test tools into $(VENV) (once) …"
	@$(PIP) install --quiet --upgrade 'pip>=25.1'  # knows dependency groups
	@$(PIP) install --quiet --constraint constraints.txt --editable '.[embedded,torch,training]' --group dev
	@touch $@ $(VENV)/.demo

# What the programs of bench/ need beside the demo's: peers to compare with, py-spy, pictures.
$(VENV)/.bench: pyproject.toml constraints.txt | $(BIN)/python
	@echo "Installing emostream and the bench's tools into $(VENV) (once) …"
	@$(PIP) install --quiet --upgrade 'pip>=25.1'  # knows dependency groups
	@$(PIP) install --quiet --constraint constraints.txt --editable '.[embedded]' --group bench
	@touch $@ $(VENV)/.demo

# What `make test-fuzz` and `make audit` need beside .dev.
$(VENV)/.fuzz: $(VENV)/.dev
	@$(PIP) install --quiet --constraint constraints.txt --group fuzz --group audit
	@touch $@
