# What people type. Everything long prints a progress line; `make help` lists the commands.
# State lives below .local/ (ignored), built programs and recordings in the user's cache.

SHELL := /bin/bash
.DEFAULT_GOAL := help
VENV := .local/venv
PYTHON := $(VENV)/bin/python
LOCK := requirements/dev.txt
TOOLS_LOCK := requirements/tools.txt
PATHS := common api operator inference devstack tools tests bench
AUDIO ?=
CLUSTER ?=
demo_flags = $(if $(AUDIO),--audio "$(AUDIO)") $(if $(filter current,$(CLUSTER)),--current-cluster)
up_flags = $(if $(filter current,$(CLUSTER)),--current-cluster)
compile = $(VENV)/bin/uv pip compile --generate-hashes --no-emit-index-url --no-header \
	--python-version 3.11 --upgrade -q

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

# Pure tests need no servers, so nothing has to be built for them.
.PHONY: test
test: $(if $(filter-out unit,$(or $(PART),all)),setup,$(VENV)/ready) ## all tests, on real servers; PART=unit|runtime|api|operator|worker|e2e for some of them
	@$(PYTHON) -m $(if $(TESTS),pytest $(TESTS),tests.parts $(PART))

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
	@$(compile) pyproject.toml --all-extras --group test --group servers --group lint -o $(LOCK)
	@for name in tools go recordings; do \
		$(compile) --no-deps requirements/$$name.in -o requirements/$$name.txt || exit; \
	done

.PHONY: setup
setup: $(VENV)/ready ## make the environments and programs; the other commands call it
	@$(PYTHON) -m devstack setup $(up_flags)

.PHONY: clean
clean: down ## remove all local state (the cache of built programs stays)
	@rm -rf .local

venv_inputs := $(LOCK) $(TOOLS_LOCK) pyproject.toml Makefile

ifndef VENV_IS_LOCKED
# Two commands at once make one environment: the second waits, and then finds nothing to do.
$(VENV)/ready: $(venv_inputs)
	@mkdir -p .local
	@flock .local/venv.lock $(MAKE) -s VENV_IS_LOCKED=yes $@
else
$(VENV)/ready: $(venv_inputs)
	@tools/system-packages.sh
	@echo "making the Python environment in $(VENV)" >&2
# A stack that runs loads its programs from the folder that is about to be emptied.
	@[ ! -x $(PYTHON) ] || $(PYTHON) -m devstack down >/dev/null 2>&1 || true
	@python3 -m venv --clear $(VENV)
	@$(VENV)/bin/pip install -q --disable-pip-version-check --require-hashes -r $(TOOLS_LOCK)
	@$(VENV)/bin/uv pip install -q --python $(PYTHON) --require-hashes -r $(LOCK)
	@$(VENV)/bin/uv pip install -q --python $(PYTHON) --no-deps -e .
	@touch $@
endif
