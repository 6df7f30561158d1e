# AI Coach: `make run` is all one needs. `make help` lists the rest.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory
PY := .venv/bin/python

.PHONY: help run install install-dev install-training native-server test test-all check bench clean

help:  ## this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /\1|/' \
		| while IFS='|' read -r name text; do printf '  make %-18s %s\n' "$$name" "$$text"; done

run: install  ## install what is missing, start everything; PORT=8010 make run moves it
	@exec $(PY) manage.py up

install:  ## only install (a virtual environment in .venv)
	@bash launcher/install.sh requirements.txt

install-dev:  ## also what tests and checks need
	@bash launcher/install.sh requirements-dev.txt

install-training:  ## also what local fine-tuning needs
	@bash launcher/install.sh requirements-training.txt

native-server: install  ## build the embedded model's server for this very processor (optional, faster reading)
	@bash launcher/native.sh

test: install-dev  ## all tests that need no server of the system
	@bash launcher/apt.sh chromium chromium
	@$(PY) -m pytest

test-all: install-dev  ## all tests, with PostgreSQL and Redis of the system, the slow ones too
	@bash launcher/apt.sh chromium chromium
	@bash launcher/apt.sh redis-server redis-server
	@bash launcher/apt.sh initdb postgresql
	@$(PY) -m pytest -m "not ollama"

check: install-dev  ## lint, types, imports, migrations, translations, fast tests
	@$(PY) -m ruff check .
	@$(PY) -m ruff format --check .
	@$(PY) -m mypy .
	@.venv/bin/lint-imports
	@$(PY) manage.py makemigrations --check --dry-run
	@$(PY) -m pytest -m "not e2e and not real_model and not slow and not services and not ollama"

bench: install-dev  ## benchmarks with a fake model server
	@$(PY) -m bench

clean:  ## remove .venv and caches; your data in var/ stays
	@rm -rf .venv .pytest_cache .mypy_cache .ruff_cache .import_linter_cache staticfiles bench/results tests/e2e/artifacts
	@find . -path ./var -prune -o -name __pycache__ -type d -prune -exec rm -rf {} +
	@echo "Removed .venv and caches. Your data in var/ is still there."
