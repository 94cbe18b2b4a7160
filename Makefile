# `make demo` and `make test` are all a fresh machine needs; both make .venv first. Needs Python 3.11 or newer.
#   make demo PORT=9443     another port
#   make PYTHON=python3.12  another Python
#   make test ARGS="tests/ocsp -x"

VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check
PORT := 8443
ARGS :=

# The first of these that is new enough and can make an environment; Debian packs that part of Python by itself.
CANDIDATES := python3 python3.14 python3.13 python3.12 python3.11
USABLE := import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))
PYTHON = $(shell for python in $(CANDIDATES); do \
	if "$$python" -c "$(USABLE)" 2>/dev/null; then echo "$$python"; break; fi; done)

.PHONY: help demo test soak lint clean

help:
	@echo "make demo   serve https://localhost:$(PORT)/ with a throw-away CA until Ctrl-C"
	@echo "make test   the whole suite, some 5 minutes"
	@echo "make soak   the long tests"
	@echo "make lint   ruff and mypy"
	@echo "make clean  remove $(VENV) and what tools left behind"

# Without a pid file: a second demo in the same folder is refused for its port, with a line that says so.
demo: $(VENV)/installed
	@exec $(BIN)/twistd --nodaemon --pidfile= staplesrv --demo --listen tcp:$(PORT):interface=127.0.0.1

test: $(VENV)/developed
	$(BIN)/python -m pytest -m "not soak" --numprocesses auto --dist worksteal $(ARGS)

soak: $(VENV)/developed
	$(BIN)/python -m pytest -m soak $(ARGS)

lint: $(VENV)/developed
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy

# An environment whose Python has gone (an upgrade of the system) is made anew: its link leads nowhere, so make
# takes it for missing.
$(BIN)/python:
	@test -n "$(PYTHON)" || { echo "staplesrv needs Python 3.11 or newer with venv:" \
		"install it (Debian: apt-get install python3-venv), or say make PYTHON=/path/to/python" >&2; exit 1; }
	@echo "Making $(VENV) with $(PYTHON) ..."
	@$(PYTHON) -m venv --clear $(VENV)

$(VENV)/installed: pyproject.toml $(BIN)/python
	@echo "Installing staplesrv into $(VENV) ..."
	@$(PIP) --upgrade "pip>=25.1"
	@$(PIP) --editable ".[http2]"
	@touch $@

$(VENV)/developed: $(VENV)/installed
	@echo "Installing the tools for tests ..."
	@$(PIP) --group dev
	@touch $@

clean:
	rm -rf $(VENV) .mypy_cache .pytest_cache .ruff_cache .hypothesis build dist
