# A fresh machine needs Python 3.11 or 3.12 with venv, and nothing else.
PYTHON ?= $(shell command -v python3.11 || command -v python3.12 || command -v python3)
VENV := .venv
RUN := $(VENV)/bin/python

.PHONY: demo test checks environment clean

## demo: build the avatar of the sample portrait (about five minutes on two cores; a second run reuses finished work)
demo: environment
	@$(RUN) jobs/build_avatar.py --recipe laptop --workspace runs/demo

## test: lint, types, import arrows, then the whole CPU test suite
test: checks
	@$(RUN) -m pytest -m "not heavy"

## checks: everything that needs no test run
checks: environment
	@$(VENV)/bin/ruff check .
	@$(VENV)/bin/ruff format --check .
	@$(VENV)/bin/mypy
	@$(VENV)/bin/lint-imports

environment: $(VENV)/.ready

# --no-deps: the lock is complete, and it holds one build of OpenCV that serves the two packages that ask for others.
$(VENV)/.ready: requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(None if (3, 11) <= sys.version_info[:2] <= (3, 12) else "Python 3.11 or 3.12 is needed: make PYTHON=/path/to/python3.11")'
	@test -x $(RUN) || $(PYTHON) -m venv $(VENV)
	@echo "installing the pinned environment into $(VENV) (about 8 GB, a few minutes)"
	@$(RUN) -m pip install --quiet --disable-pip-version-check --no-deps -r requirements.lock
	@$(RUN) -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

clean:
	rm -rf $(VENV) .pytest_cache .ruff_cache .mypy_cache
