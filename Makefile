# make serve   install AllTalk into .venv and serve on http://127.0.0.1:7851 (ARGS="--port 8000")
# make test    everything a change must pass: lint, types, the whole test suite
# make check   the quick half of it, while you work
# make format  rewrite the code as the linter wants it
#
# PYTHON=python3.12 chooses the interpreter; otherwise the first one found that is new enough.
# WORKERS=4 spreads the tests over four processes instead of two.

SHELL := /bin/sh
BIN := .venv/bin
WORKERS := 2
PYTEST := $(BIN)/python -m pytest --numprocesses $(WORKERS) --dist loadfile --no-loadscope-reorder
NEW_ENOUGH := import sys; sys.exit(sys.version_info < (3, 11))

# An interpreter that was asked for by name replaces a .venv of another one.
EXACT := $(if $(filter undefined file,$(origin PYTHON)),,--exact)
ifndef PYTHON
PYTHON := $(shell for each in python3 python3.13 python3.12 python3.11 python; do \
	$$each -c '$(NEW_ENOUGH)' 2>/dev/null && echo $$each && break; done)
endif

.PHONY: serve test check format lint tools python

serve: python
	@$(PYTHON) scripts/environment.py serve $(EXACT)
	@exec $(BIN)/alltalk serve $(ARGS)

test: lint
	$(PYTEST) -m 'not gpu and not model' $(ARGS)

check: lint
	$(PYTEST) $(ARGS)

format: tools
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

lint: tools
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy alltalk engines

tools: python
	@$(PYTHON) scripts/environment.py test $(EXACT)

python:
	@$(or $(PYTHON),false) -c '$(NEW_ENOUGH)' 2>/dev/null || { echo "AllTalk needs Python 3.11 \
	or newer; $(or $(PYTHON),python3) is missing or older. Install one, or name it: \
	make PYTHON=python3.12" >&2; exit 1; }
