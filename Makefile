# Every target does its own set-up in .venv; Python 3.11+, git and make are enough.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# Two processes; the tests of a file, which may share a server, stay in one of them.
PYTEST := $(BIN)/pytest -n 2 --dist loadfile
WHOLES := tests/acceptance tests/cluster tests/wheel tests/containers
BENCH := $(BIN)/python -m benchmarks
BENCHMARKS := attempt_overhead export envelope instrumentation batch latency cluster intake backfill history turns job_log what_stays cleanup storage_report metrics console speech notes
STAMP := $(VENV)/.installed
export AWS_EC2_METADATA_DISABLED := true

.DEFAULT_GOAL := help
.PHONY: help setup demo test test-acceptance test-cluster test-wheel test-compose test-hostile zoo drill mutation bench bench-full docs check format lock clean

help: ## Show this list
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

setup: $(STAMP) ## Install mediajobs and its development tools into .venv

$(STAMP): requirements-dev.lock pyproject.toml
	@echo "Installing into $(VENV) (a minute or two, once) ..."
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/pip install --quiet --quiet --disable-pip-version-check --require-hashes -r requirements-dev.lock
	@$(BIN)/pip install --quiet --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

demo: $(STAMP) ## Make all outputs of one video, and render an edit of it (VIDEO=some.mov)
	@$(BIN)/mediajobs demo $(if $(VIDEO),"$(VIDEO)")

test: $(STAMP) ## Run the tests, PostgreSQL and S3 included
	@$(PYTEST) $(WHOLES:%=--ignore %)

test-acceptance: $(STAMP) ## Run the tests of all processes at once: `mediajobs up`, killed runs, logins, deployments
	@$(PYTEST) tests/acceptance

test-cluster: $(STAMP) ## Run the tests of a cluster: Celery workers, servers and machines that go away
	@$(BIN)/pytest tests/cluster

test-wheel: $(STAMP) ## Build the package, install it where nothing else is, and use it there
	@$(BIN)/pytest tests/wheel

test-compose: $(STAMP) ## Build the image and run it, alone and as the cluster of docker-compose.yml (needs Docker)
	@$(BIN)/pytest -s tests/containers

test-hostile: $(STAMP) ## Try every hostile file on every job type; about half an hour (HOSTILE="--seed 2 --fuzzed 500")
	@$(BIN)/python -m tests.hostile $(HOSTILE)

zoo: $(STAMP) ## Do every job on every file of the zoo, and compare with the truth; some minutes (ZOO="--only *.ts")
	@$(BIN)/python -m tests.zoo $(ZOO)

drill: $(STAMP) ## Kill and freeze processes at random while jobs are worked off; ten minutes (DRILL="--engine cluster --seed 2")
	@$(BIN)/python -m tests.drill $(DRILL)

mutation: $(STAMP) ## Put 150 small faults into the code and see that tests find them; up to an hour (MUTATION="--quick attempts")
	@$(BIN)/python -m tests.mutation $(MUTATION)

bench: $(STAMP) ## Measure quickly: every benchmark, tables on the screen, JSON in benchmarks/results
	@for name in $(BENCHMARKS); do $(BENCH).$$name --quick --json benchmarks/results/$$name.json || exit 1; done

bench-full: $(STAMP) ## Measure properly, as for docs/performance.md; takes an hour on two cores, and wants them idle
	@for name in $(BENCHMARKS); do $(BENCH).$$name --json benchmarks/results/$$name.json || exit 1; done

docs: $(STAMP) ## Write the reference in docs/reference, the schema of manifests, and docs/media.md, from the code
	@$(BIN)/python -m tools.reference
	@$(BIN)/python -m mediajobs_dagster.attempts.manifest > docs/manifest.schema.json
	@$(BIN)/python -m tools.media

check: $(STAMP) ## What CI runs: format, lint, types, tests
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/basedpyright
	@$(PYTEST) $(WHOLES:%=--ignore %)

format: $(STAMP) ## Format the code and mend what the linter can mend
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

lock: $(STAMP) ## Resolve the dependencies anew (asks the package registry)
	@$(BIN)/pip install --quiet uv
	@$(BIN)/uv pip compile $(LOCK_FLAGS) --extra all pyproject.toml -o requirements.lock
	@$(BIN)/uv pip compile $(LOCK_FLAGS) --extra dev -c requirements.lock pyproject.toml -o requirements-dev.lock
# Versions and hashes only: a lock must not carry the address of the registry it was made against.
LOCK_FLAGS := --quiet --universal --python-version 3.11 --generate-hashes --no-strip-extras --no-header \
	--no-annotate --no-emit-index-url --no-emit-find-links

clean: ## Remove the virtual environment and what the embedded default wrote
	rm -rf $(VENV) .mediajobs
