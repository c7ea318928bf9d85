# A fresh machine needs Python 3.11 or 3.12 with venv, and nothing else.
PYTHON ?= $(shell command -v python3.11 || command -v python3.12 || command -v python3)
VENV := .venv
RUN := $(VENV)/bin/python

# PyPI's torch for Linux is the CUDA build. Without an NVIDIA driver the demo takes the CPU build from PyTorch's own index
# and leaves out CUDA and diffusion, 3.2 GB instead of 9 (docs/decisions/009-cpu-install.md).
CPU_TORCH := torch==2.13.0+cpu
TORCH_INDEX ?= https://download.pytorch.org/whl/cpu
COMPLETE := $(or $(wildcard $(VENV)/.ready),$(shell command -v nvidia-smi))
PIP := $(RUN) -m pip install --quiet --disable-pip-version-check --no-deps

# On a Mac with Apple's processor PyPI's torch is the small one. Resolved for it and not run there (README).
READY := $(if $(filter Darwin-arm64,$(shell uname -s)-$(shell uname -m)),.ready-macos,$(if $(COMPLETE),.ready,.ready-cpu))

.PHONY: demo test checks environment locks clean

## demo: build the avatar of the sample portrait (about twelve minutes on two cores, the first time; a second run reuses finished work)
demo: $(VENV)/$(READY)
	@$(RUN) jobs/build_avatar.py --recipe laptop --workspace runs/demo

## test: lint, types, import arrows, then the whole CPU test suite in two processes: what needs Ray, and beside it the rest
test: checks
	@sh tests/side_by_side.sh $(RUN)

## checks: everything that needs no test run
checks: environment
	@$(VENV)/bin/ruff check .
	@$(VENV)/bin/ruff format --check .
	@$(VENV)/bin/mypy
	@$(VENV)/bin/lint-imports

environment: $(VENV)/.ready

# --no-deps: the lock is complete, and it holds one build of OpenCV that serves the two packages that ask for others.
$(VENV)/.ready: requirements.lock pyproject.toml $(VENV)/pyvenv.cfg
	@echo "installing the pinned environment into $(VENV) (about 9 GB, a few minutes)"
	@$(PIP) --require-hashes -r requirements.lock
	@$(PIP) --no-build-isolation -e . -e ./client
	@touch $@

$(VENV)/.ready-cpu: requirements-cpu.lock pyproject.toml $(VENV)/pyvenv.cfg
	@echo "installing the pinned environment for a CPU into $(VENV) (about 3 GB, a few minutes)"
	@$(PIP) --retries 1 --timeout 15 --index-url $(TORCH_INDEX) $(CPU_TORCH) 2>/dev/null || ( \
	  echo "torch's CPU build cannot be reached at $(TORCH_INDEX)" && $(MAKE) --no-print-directory environment )
	@test -e $(VENV)/.ready || ( $(PIP) --require-hashes -r requirements-cpu.lock && \
	  $(PIP) --no-build-isolation -e . -e ./client )
	@touch $@

$(VENV)/.ready-macos: locks/macos-arm64.lock pyproject.toml $(VENV)/pyvenv.cfg
	@echo "installing the pinned environment for macOS into $(VENV) (about 2 GB, a few minutes)"
	@$(PIP) --require-hashes -r locks/macos-arm64.lock
	@$(PIP) --no-build-isolation -e . -e ./client
	@touch $@

## locks: the locks of macOS and Windows anew, with uv (those of Linux: docs/decisions/009-cpu-install.md)
locks:
	@sh locks/make.sh

$(VENV)/pyvenv.cfg:
	@$(PYTHON) -c 'import sys; sys.exit(None if (3, 11) <= sys.version_info[:2] <= (3, 12) else "Python 3.11 or 3.12 is needed: make PYTHON=/path/to/python3.11")'
	@$(PYTHON) -m venv $(VENV)

clean:
	rm -rf $(VENV) .pytest_cache .ruff_cache .mypy_cache
