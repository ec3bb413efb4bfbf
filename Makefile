# Every target does its own set-up in .venv; Python 3.11+, git and make are enough.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# Two processes; tests that share a server stay in one of them.
PYTEST := $(BIN)/pytest -n 2 --dist loadgroup
STAMP := $(VENV)/.installed
export AWS_EC2_METADATA_DISABLED := true

.DEFAULT_GOAL := help
.PHONY: help setup demo test check format lock clean

help: ## Show this list
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

setup: $(STAMP) ## Install mediajobs and its development tools into .venv

$(STAMP): requirements-dev.lock pyproject.toml
	@echo "Installing into $(VENV) (a minute or two, once) ..."
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/pip install --quiet --quiet --disable-pip-version-check --require-hashes -r requirements-dev.lock
	@$(BIN)/pip install --quiet --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

demo: $(STAMP) ## Make a thumbnail, an edit proxy and an audio envelope of one video (VIDEO=some.mov)
	@$(BIN)/mediajobs demo $(if $(VIDEO),"$(VIDEO)")

test: $(STAMP) ## Run the tests, PostgreSQL and S3 included
	@$(PYTEST)

check: $(STAMP) ## What CI runs: format, lint, types, tests
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/basedpyright
	@$(PYTEST)

format: $(STAMP) ## Format the code and mend what the linter can mend
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

lock: $(STAMP) ## Resolve the dependencies anew (asks the package registry)
	@$(BIN)/pip install --quiet uv
	@$(BIN)/uv pip compile $(LOCK_FLAGS) pyproject.toml -o requirements.lock
	@$(BIN)/uv pip compile $(LOCK_FLAGS) --extra dev -c requirements.lock pyproject.toml -o requirements-dev.lock
# Versions and hashes only: a lock must not carry the address of the registry it was made against.
LOCK_FLAGS := --quiet --universal --python-version 3.11 --generate-hashes --no-strip-extras --no-header \
	--no-annotate --no-emit-index-url --no-emit-find-links

clean: ## Remove the virtual environment and what the embedded default wrote
	rm -rf $(VENV) .mediajobs
