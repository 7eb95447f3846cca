# Every target works alone on a fresh clone: it sets up what it needs. Python 3.11 or newer and pip are all it takes.

PYTHON ?= python3
BIN := .venv/bin
READY := .venv/ready

.PHONY: setup demo browser test check sbom bench docs docs-check format postgres-url cluster cluster-down chaos torture fuzz lock clean

setup: $(READY)

$(READY): requirements/dev.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "carryover needs Python 3.11 or newer; name one: make PYTHON=python3.12 ...")'
	$(PYTHON) -m venv --clear .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r requirements/dev.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --no-index --editable .
	@touch $@

demo: $(READY)
	@$(BIN)/carryover demo

# Pages are tested in a real browser: Debian's is installed where there is none. Without one those tests are skipped.
BROWSERS := chromium chromium-browser google-chrome
APT := DEBIAN_FRONTEND=noninteractive apt-get -qq -o Acquire::Retries=1 -o Acquire::http::Timeout=20

browser:
	@for name in $(BROWSERS); do command -v $$name >/dev/null && exit 0; done; \
	if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
		echo "installing Chromium for the tests of pages"; \
		{ $(APT) update; $(APT) install -y --no-install-recommends chromium; } >/dev/null 2>&1 && exit 0; \
	fi; \
	echo "no Chromium here, and it cannot be installed: the tests of pages will be skipped"

# Three at a time, also on two cores: many tests wait for servers.
test: $(READY) browser
	$(BIN)/python -m pytest -n 3 --dist worksteal

# `SUPPLY="--must-answer"` fails where the advisory service does not answer; `--service ADDRESS` asks another one.
check: $(READY)
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/pyright
	$(BIN)/lint-imports
	$(BIN)/python -m pytest tests/house
	$(BIN)/python docs/generate.py --check
	$(BIN)/python -m supply check $(SUPPLY)

# The bill of materials of what the runtime lock installs.
sbom: $(READY)
	$(BIN)/python -m supply sbom

bench: $(READY)
	$(BIN)/python -m benchmarks

docs: $(READY)
	$(BIN)/python docs/generate.py

format: $(READY)
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

# A throw-away PostgreSQL for `CARRYOVER_DATABASE_URL`; it runs on until `python -m servers postgres-down`.
postgres-url: $(READY)
	@$(BIN)/python -m servers postgres-url

# Three PostgreSQL nodes, Redis, two API processes and two workers on this machine.
cluster: $(READY)
	@$(BIN)/python -m servers cluster up

cluster-down: $(READY)
	@$(BIN)/python -m servers cluster down

# Twenty faults on a cluster of its own, and every answer compared with the log: a quarter of an hour.
chaos: $(READY)
	@$(BIN)/python -m benchmarks.chaos --faults 20

# Everything that can break, for half an hour, and every answer compared with the log. `TORTURE="--seed 1 --only line"`.
torture: $(READY)
	@$(BIN)/python -m torture $(TORTURE)

# A million inputs that nobody means through every reader of ours, then state machines and the whole API, long: half an
# hour. `FUZZ="--seed 1 --only record/"`; it goes on from where it was, in .fuzz.
fuzz: $(READY)
	@PYTHONPATH=tests:. $(BIN)/python -m fuzz $(FUZZ)
	CARRYOVER_FUZZ=long $(BIN)/python -m pytest -s tests/fuzz

# Needs uv on the PATH; the locks name no index, so that any mirror serves.
lock: $(READY)
	uv pip compile pyproject.toml --universal --python-version 3.11 --all-extras --group model \
		--generate-hashes --no-emit-index-url --no-header --quiet --output-file requirements/run.lock
	uv pip compile pyproject.toml --universal --python-version 3.11 --all-extras --group dev \
		--generate-hashes --no-emit-index-url --no-header --quiet --output-file requirements/dev.lock
	$(BIN)/python -m supply parts

clean:
	rm -rf .venv .pytest_cache .ruff_cache .hypothesis .fuzz .import_linter_cache
