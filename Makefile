# Everything runs in .venv, which the first target that needs it sets up.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

# Without bytecode every start-up of Dagster takes three times as long.
export PYTHONDONTWRITEBYTECODE :=
export DAGSTER_DISABLE_TELEMETRY := yes
export MPLBACKEND := Agg

.PHONY: help setup demo ui test test-quick test-slow test-versions stress mutants fuzz opcounts coverage lint typecheck check bench hashes check-hashes check-package sbom docs docs-serve clean

help:  ## Say what can be made
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/\t/'

setup: $(STAMP)  ## Install everything into .venv

$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed; say make PYTHON=python3.12")'
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip --version >/dev/null 2>&1 || $(BIN)/python -m ensurepip >/dev/null  # uv makes it without pip
	@echo "Installing into $(VENV) (a few minutes the first time) …"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[test]'
	@touch $@

demo: setup  ## Make two small screens and run everything on them, through Dagster. DEMO_SIZE=ci is smaller
	@DAGSTER_HOME=$(CURDIR) $(BIN)/python -m bioimage_assets.demo.run --size $(or $(DEMO_SIZE),demo)

# `dg dev`, which supersedes it, comes with twenty more packages.
DAGSTER_DEV := $(BIN)/python -W 'ignore:Function `dev_command` is superseded' -m dagster dev

ui: setup  ## Dagster UI with sensors and schedules on, http://127.0.0.1:3000
	@$(BIN)/python -m bioimage_assets.free_port 127.0.0.1 $(or $(PORT),3000)
	@mkdir -p data/incoming
	@DAGSTER_HOME=$(CURDIR) BIOIMAGE_SENSORS=on $(DAGSTER_DEV) --host 127.0.0.1 --port $(or $(PORT),3000)

# The tests of a file stay together and files come in the order of bioimage_assets_tests/conftest.py. Slow ones wait for
# daemons a fifth of their time: four processes keep two cores busy.
PYTEST := $(BIN)/python -m pytest --dist loadfile --no-loadscope-reorder

test: setup  ## All tests; half an hour on two cores
	@$(PYTEST) -n 4

test-quick: setup  ## Tests that take seconds each; some minutes
	@$(PYTEST) -n 2 -m 'not slow'

test-slow: setup  ## The other tests
	@$(PYTEST) -n 3 -m slow

stress: setup  ## Tests at full scale: many processes, hundreds of kills; up to an hour
	@$(BIN)/python -m pytest --stress -m stress

mutants: setup  ## Change core at one place at a time; fails where more than 5 % go unnoticed. MUTANTS_PER_MODULE, MUTANTS_SEED
	@$(BIN)/python -m bioimage_assets_tests.mutants

fuzz: setup  ## Change good files in their structure, each case within bounds; ten minutes. FUZZ_MINUTES, FUZZ_SEED
	@$(BIN)/python -m bioimage_assets_tests.fuzz

opcounts: setup  ## Write how often scans touch a store: bioimage_assets_tests/opcounts/counts.json
	@$(BIN)/python -m pytest -n 0 --write-opcounts bioimage_assets_tests/opcounts

coverage: setup  ## Branches of core that tests reach; fails below 90 %. Eight to nine minutes
	@mkdir -p build && $(BIN)/coverage erase
	@$(BIN)/coverage run -m pytest --dist loadfile --no-loadscope-reorder -n 2 -m 'not slow'
	@$(BIN)/coverage run -m pytest --dist loadfile --no-loadscope-reorder -n 2 -m slow bioimage_assets_tests/core $(foreach name,fingerprints backfills lost_tables plates_without_images,bioimage_assets_tests/dagster/test_$(name).py)
	@$(BIN)/coverage combine -q
	@$(BIN)/coverage json -q -o build/coverage.json
	@$(BIN)/python -c 'import json; found = json.load(open("build/coverage.json"))["totals"]["percent_branches_covered"]; print(f"Branches of core reached by tests: {found:.1f} %"); raise SystemExit(found < 90)'

lint: setup  ## Style
	@$(BIN)/ruff check .

typecheck: setup  ## Types
	@$(BIN)/mypy

check: lint typecheck  ## Style, types and definitions
	@$(BIN)/dagster definitions validate -m bioimage_assets.definitions

bench: setup  ## Benchmarks, as ratios; fails at the end where one missed its goal
	@missed=; for script in bench/*.py; do \
	  case $$script in */_*) continue;; esac; \
	  echo "== $$script"; $(BIN)/python $$script || missed="$$missed $$script"; \
	done; test -z "$$missed" || { echo "Missed:$$missed"; exit 1; }

UV := .tools/bin/uv
$(UV):
	@$(PYTHON) -m venv .tools && .tools/bin/pip install --quiet --disable-pip-version-check uv==0.13.9

hashes: $(UV)  ## Pin what an installation needs by digest: requirements.hashed.txt
	@$(PYTHON) deploy/supply/write_hashes.py --uv $(CURDIR)/$(UV)

test-versions:  ## Quick tests with the newest and the oldest allowed versions, Python 3.11 to 3.13. ONLY=newest-3.12
	@$(MAKE) --no-print-directory $(UV) || echo "uv cannot be installed: its tests are skipped"
	@$(PYTHON) deploy/supply/test_versions.py --uv $(CURDIR)/$(UV) $(foreach name,$(ONLY),--only $(name))

check-hashes: setup  ## Fetch a few of the pinned files; refused where a digest is another
	@$(BIN)/python deploy/supply/check_hashes.py

check-package: $(UV)  ## Build wheel and source distribution, compare them, install and try them in an empty folder; one to four minutes
	@$(PYTHON) deploy/supply/check_package.py --uv $(CURDIR)/$(UV)

sbom: setup  ## List what is installed: build/sbom.cdx.json (CycloneDX) and build/licences.md
	@$(BIN)/python deploy/supply/write_sbom.py

# Of the makers of the theme to whom it may concern; nothing that a reader of ours can do.
docs docs-serve: export NO_MKDOCS_2_WARNING := 1

docs: setup  ## The documentation as a site: build/site/index.html. A broken link fails
	@$(BIN)/python -m mkdocs build --strict --quiet

docs-serve: setup  ## The same while you write, http://127.0.0.1:8000. DOCS_PORT
	@$(BIN)/python -m mkdocs serve --dev-addr 127.0.0.1:$(or $(DOCS_PORT),8000)

clean:  ## Remove what was made here, data included
	rm -rf data/incoming data/warehouse data/catalog data/reports .dagster .tmp_dagster_home_*
