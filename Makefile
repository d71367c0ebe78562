# What people type. Everything long prints a progress line; `make help` lists the commands.
# State lives below .local/ (ignored), built programs and recordings in the user's cache.

SHELL := /bin/bash
.DEFAULT_GOAL := help
VENV := .local/venv
PYTHON := $(VENV)/bin/python
LOCK := requirements/dev.txt
UV_VERSION := 0.13.0
PATHS := common api operator inference devstack tools tests bench
AUDIO ?=
CLUSTER ?=
demo_flags = $(if $(AUDIO),--audio "$(AUDIO)") $(if $(filter current,$(CLUSTER)),--current-cluster)
up_flags = $(if $(filter current,$(CLUSTER)),--current-cluster)

.PHONY: help
help: ## this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /  make \1\t/' | expand -t 22

.PHONY: demo
demo: setup ## one call through everything, told as it happens (AUDIO=my.mp3, CLUSTER=current)
	@$(PYTHON) -m devstack demo $(demo_flags)

.PHONY: up
up: setup ## start everything and leave it running; prints address, key and login
	@$(PYTHON) -m devstack up $(up_flags)

.PHONY: down
down: ## end what `make up` started
	@if [ -x $(PYTHON) ]; then $(PYTHON) -m devstack down; else echo "nothing was running"; fi

.PHONY: test
test: setup ## all tests, on real servers
	@$(PYTHON) -m pytest $(TESTS)

.PHONY: check
check: $(VENV)/ready ## lint, types, floors, generated files: what CI checks
	@$(VENV)/bin/ruff check $(PATHS)
	@$(VENV)/bin/ruff format --check $(PATHS)
	@$(VENV)/bin/mypy
	@$(VENV)/bin/pyright
	@$(VENV)/bin/lint-imports
	@$(PYTHON) -m tools.generate --check
	@$(PYTHON) -m pytest -q tests/repo

.PHONY: generate
generate: $(VENV)/ready ## write the generated files: crds/, docs/reference/
	@$(PYTHON) -m tools.generate

.PHONY: format
format: $(VENV)/ready ## repair what can be repaired
	@$(VENV)/bin/ruff check --fix $(PATHS)
	@$(VENV)/bin/ruff format $(PATHS)

.PHONY: bench
bench: setup ## side by side with faster-whisper: real-time factor and time to first segment
	@$(PYTHON) -m bench.transcription

.PHONY: controlplane
controlplane: $(VENV)/ready ## build kube-apiserver, etcd, kubectl and helm into the cache
	@$(PYTHON) -m devstack.controlplane

.PHONY: lock
lock: $(VENV)/ready ## resolve the dependencies anew
	@$(VENV)/bin/uv pip compile pyproject.toml --all-extras --group test --group servers --group lint \
		--generate-hashes --no-emit-index-url --no-header --python-version 3.11 --upgrade -q -o $(LOCK)

.PHONY: setup
setup: $(VENV)/ready ## make the environments and programs; the other commands call it
	@$(PYTHON) -m devstack setup

.PHONY: clean
clean: down ## remove all local state (the cache of built programs stays)
	@rm -rf .local

$(VENV)/ready: $(LOCK) pyproject.toml Makefile
	@tools/system-packages.sh
	@echo "making the Python environment in $(VENV)" >&2
	@python3 -m venv --clear $(VENV)
	@$(VENV)/bin/pip install -q --disable-pip-version-check uv==$(UV_VERSION)
	@$(VENV)/bin/uv pip install -q --python $(PYTHON) --require-hashes -r $(LOCK)
	@$(VENV)/bin/uv pip install -q --python $(PYTHON) --no-deps -e .
	@touch $@
