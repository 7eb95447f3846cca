# Every target works alone on a fresh clone: it sets up what it needs. Python 3.11 or newer and pip are all it takes.

PYTHON ?= python3
BIN := .venv/bin
READY := .venv/ready

.PHONY: setup demo test check bench docs docs-check format lock clean

setup: $(READY)

$(READY): requirements/dev.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "carryover needs Python 3.11 or newer; name one: make PYTHON=python3.12 ...")'
	$(PYTHON) -m venv --clear .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r requirements/dev.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --no-index --editable .
	@touch $@

demo: $(READY)
	@$(BIN)/carryover demo

test: $(READY)
	$(BIN)/python -m pytest -n 2 --dist worksteal

check: $(READY)
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/pyright
	$(BIN)/lint-imports
	$(BIN)/python -m pytest tests/house
	$(BIN)/python docs/generate.py --check

bench: $(READY)
	$(BIN)/python -m benchmarks

docs: $(READY)
	$(BIN)/python docs/generate.py

format: $(READY)
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

# Needs uv on the PATH; the locks name no index, so that any mirror serves.
lock:
	uv pip compile pyproject.toml --universal --python-version 3.11 --extra models --group model \
		--generate-hashes --no-emit-index-url --no-header --quiet --output-file requirements/run.lock
	uv pip compile pyproject.toml --universal --python-version 3.11 --extra models --group dev \
		--generate-hashes --no-emit-index-url --no-header --quiet --output-file requirements/dev.lock

clean:
	rm -rf .venv .pytest_cache .ruff_cache .hypothesis .import_linter_cache
