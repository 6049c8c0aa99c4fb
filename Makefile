PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv
BIN := $(VENV)/bin
LOCK := pip-compile --quiet --generate-hashes --strip-extras --allow-unsafe --no-emit-index-url --no-emit-find-links --no-emit-options --no-header

PARTS := import gunicorn.workers.ggevent, kombu.transport.redis, services.gateway.app, services.worker.worker, services.demo.server, services.launcher.commands.up

.PHONY: up install install-dev test storm lint lock readme bench bench-profile clean

up: install ## run everything on this machine
	$(BIN)/helicon up

install: $(VENV)/installed ## make the environment that `make up` runs in

install-dev: $(VENV)/installed-dev ## the same, with what tests need

test: install-dev lint ## everything that CI runs
	$(BIN)/python -m pytest

storm: install-dev ## many chats while processes are killed: make storm CHATS=2000 SEED=7
	PYTHONPATH=.:tests $(BIN)/python -m storm $(if $(CHATS),--chats $(CHATS)) $(if $(SEED),--seed $(SEED)) $(if $(EVERY),--every $(EVERY))

lint: install-dev ## style, types, import rules
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/basedpyright
	PYTHONPATH=. $(BIN)/lint-imports

lock: install-dev ## pin the newest versions that pyproject.toml admits
	$(BIN)/python -m pip install --quiet pip-tools
	$(BIN)/$(LOCK) --upgrade -o requirements.lock pyproject.toml
	$(BIN)/$(LOCK) --upgrade --extra dev -c requirements.lock -o requirements-dev.lock pyproject.toml

readme: install-dev ## write the README's tables of settings
	PYTHONPATH=. $(BIN)/python tests/architecture/settings_table.py README.md

bench: install-dev ## measure Helicon beside its peers (bench/README.md); BENCH="--quick --only chat" passes options
	$(BIN)/python -m bench $(BENCH)

bench-profile: install-dev ## where gateway and worker spend their time (bench/profiles)
	$(BIN)/python -m bench.profiling $(BENCH)

clean: ## remove the environment (data in .helicon stay)
	rm -rf $(VENV) *.egg-info

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/installed: $(VENV)/bin/python requirements.lock pyproject.toml
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	$(BIN)/python -c "$(PARTS)" # with nothing but the runtime's own requirements there
	touch $@

$(VENV)/installed-dev: $(VENV)/installed requirements-dev.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-dev.lock
	touch $@
