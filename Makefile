# Tradewind. `make help` lists the targets.
SHELL := /bin/bash
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

PYTHON ?= python3
VENV := .venv
VERSION := $(shell sed -n 's/^version = "\(.*\)"/\1/p' pyproject.toml)
BIN := $(VENV)/bin
CLUSTER ?= tradewind
PROFILE ?= real
LOCALKUBE := $(BIN)/python -m localkube
PYTEST := $(BIN)/python -m pytest
# Modules are compiled when they are imported. The result must be stored, or every process compiles them again.
unexport PYTHONDONTWRITEBYTECODE
PIP := $(BIN)/pip install --no-compile --quiet --disable-pip-version-check
# On a real cluster on a busy machine a test may miss a time limit; one that fails three times is broken. Earlier
# failures are shown and counted (build/reruns.txt). Rendering a chart does not depend on the machine: one attempt.
RERUN := --reruns 2 --rerun-exclude-path tests/chart --rerun-show-tracebacks -rR
# Tests on clusters mostly wait: two workers, each with clusters of its own, unless a cluster is given.
CLUSTERS := $(RERUN) -n $(if $(TRADEWIND_TEST_KUBECONFIG),0,2) --dist loadfile --no-loadscope-reorder
PROCESSORS := -n auto --dist worksteal

.PHONY: help
help: ## List the targets
	@awk -F ':.*## ' '/^##@/ {printf "\n%s\n", substr($$0, 5)} /^[a-z0-9-]+:.*## / {printf "  %-18s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

##@ Start here
.PHONY: demo
demo: $(VENV)/.demo ## Run a real pipeline on this machine, without a cluster (about a minute the first time)
	$(BIN)/tradewind run examples/weather/dag.yaml
	@echo; echo "The report: $(CURDIR)/.tradewind/volumes/weather-data/report/index.html"
	@echo "Next: $(BIN)/tradewind run examples/hello.yaml"
	@echo "or, with tradewind on PATH: source $(BIN)/activate && tradewind run examples/hello.yaml"

.PHONY: demo-cluster
demo-cluster: $(VENV)/.dev build/tradewind.tar build/weather.tar ## The same on a real Kubernetes, with the chart (the first time builds Kubernetes: 10 to 15 min)
	$(LOCALKUBE) up --name $(CLUSTER)
	$(LOCALKUBE) load-image --name $(CLUSTER) build/tradewind.tar
	$(LOCALKUBE) load-image --name $(CLUSTER) build/weather.tar
	@export KUBECONFIG=$$($(LOCALKUBE) kubeconfig --name $(CLUSTER)) PATH="$(CURDIR)/$(BIN):$$PATH"; \
	kubectl=$$($(LOCALKUBE) tool kubectl) && helm=$$($(LOCALKUBE) tool helm) && set -ex && \
	$$helm upgrade --install tradewind helm/tradewind --namespace tradewind-system --create-namespace --wait --timeout 3m && \
	$$kubectl apply -f examples/weather/ && \
	tradewind trigger weather --follow && \
	$$kubectl wait dag/weather --for='jsonpath={.status.lastRunPhase}=Succeeded' --timeout=30s && \
	$$kubectl get dags,dagruns,pods && set +x && \
	volume=$$($$kubectl get pvc weather-data -o 'jsonpath={.spec.volumeName}') && \
	echo "The report, on the volume of the Pods: $$($$kubectl get pv $$volume -o 'jsonpath={.spec.hostPath.path}')/report/index.html" && \
	echo "The cluster keeps running: export KUBECONFIG=$$KUBECONFIG PATH=$(CURDIR)/$(BIN):\$$PATH, then e.g. \`tradewind runs\`; \`make down\` deletes it."

##@ Tests
.PHONY: test
test: lint ## Everything, real clusters included
	@rm -f build/reruns.txt
	@echo "tests without a cluster run beside those with one: build/beside-*.log"
	@$(MAKE) --no-print-directory --jobs 3 beside-unit beside-simulation test-with-clusters
	@echo "all tests passed"

.PHONY: test-with-clusters
test-with-clusters: tools
	@$(PYTEST) -m "chart or integration or e2e or faults" $(CLUSTERS)

# Beside those with clusters, which wait half of the time. Their output is shown on failure, else the last line.
BESIDE = > build/$@.log 2>&1 || { cat build/$@.log; exit 1; }; echo; sed -n 's/^=* \(.* in [0-9.]*s.*\)/$@: \1/p' build/$@.log

# Some start processes and measure time; at most three may be repeated once, and are named.
ONE_MORE := --reruns 1 --max-suite-reruns 3 --rerun-show-tracebacks -rR
.PHONY: beside-unit
beside-unit: $(VENV)/.dev
	@mkdir -p build
	@$(PYTEST) -m unit $(PROCESSORS) $(ONE_MORE) $(BESIDE)

# These use all of a processor, but in virtual time: so only when it is idle.
.PHONY: beside-simulation
beside-simulation: $(VENV)/.dev
	@mkdir -p build
	@chrt --idle 0 $(PYTEST) -m "property or simulation" $(PROCESSORS) $(BESIDE)

.PHONY: test-unit
test-unit: $(VENV)/.dev ## Pure and fast
	$(PYTEST) -m unit $(PROCESSORS)

.PHONY: test-property
test-property: $(VENV)/.dev ## Random inputs and orders
	$(PYTEST) -m property $(PROCESSORS)

.PHONY: test-simulation
test-simulation: $(VENV)/.dev ## The whole controller in virtual time under random faults; SEED=123 plays one in detail
	$(if $(SEED),$(BIN)/python -m tests.simulation.play --seed $(SEED),$(PYTEST) -m simulation $(PROCESSORS))

.PHONY: soak
soak: $(VENV)/.dev ## The same with more seeds: SEEDS=100000, from FIRST=0 on
	$(BIN)/python -m tests.simulation.play $(or $(SEEDS),100000) --first $(or $(FIRST),0)

.PHONY: fuzz
fuzz: $(VENV)/.dev ## Inputs that try to break things: INPUTS=1000000, from FIRST=0 on, TARGETS="template dag"; about 10 min for a million
	$(BIN)/python -m tests.fuzz.play $(TARGETS) --inputs $(or $(INPUTS),1000000) --first $(or $(FIRST),0)

# `make test` uses the same inputs each time; this uses new ones, and prints the commands that repeat them.
NEW = $(shell $(PYTHON) -c 'import random; print(random.randrange(10**6, 10**9))')
.PHONY: nightly
nightly: FIRST := $(NEW)
nightly: $(VENV)/.dev ## New inputs and seeds, for an hour or two; prints the commands that repeat a failure
	@echo "make soak FIRST=$(FIRST) SEEDS=$(or $(SEEDS),20000)"
	$(BIN)/python -m tests.simulation.play $(or $(SEEDS),20000) --first $(FIRST)
	HYPOTHESIS_PROFILE=thorough $(PYTEST) -m property $(PROCESSORS) --hypothesis-seed $(FIRST)
	@echo "make fuzz FIRST=$(FIRST) INPUTS=$(or $(INPUTS),300000)"
	$(BIN)/python -m tests.fuzz.play --inputs $(or $(INPUTS),300000) --first $(FIRST)
	$(PYTEST) -m "integration or e2e or faults" $(CLUSTERS) --fail-on-flaky

.PHONY: test-chart
test-chart: $(VENV)/.dev ## The chart, rendered and linted
	$(PYTEST) -m chart -n auto

.PHONY: test-integration
test-integration: $(VENV)/.dev ## Against a real API server
	$(PYTEST) -m integration $(CLUSTERS)

.PHONY: test-e2e
test-e2e: $(VENV)/.dev ## Real containers on a real node, and faults of the cluster
	$(PYTEST) -m "e2e or faults" $(CLUSTERS)

.PHONY: test-faults
test-faults: $(VENV)/.dev ## Only the faults (KILLS=100 OUTAGES=10 BROKEN=5000 WIDE=10000 for a long run)
	$(PYTEST) -m faults $(CLUSTERS)

.PHONY: lint
lint: $(VENV)/.dev check-generated ## Style, types, layers, words, generated files
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python docs/words.py

.PHONY: check-generated
check-generated: $(VENV)/.dev ## Fail if a generated file is out of date
	$(BIN)/python -m tradewind.api.crd --check crds helm/tradewind/files/crds
	$(BIN)/python helm/values.py --check
	$(BIN)/python examples/golden.py --check
	$(BIN)/python docs/reference.py --check
	$(BIN)/python docs/drawings.py --check

##@ Numbers
SIZE ?= full
WORKLOADS ?=
.PHONY: bench
bench: $(VENV)/.dev ## Measure on fake nodes, beside the raw path (WORKLOADS="fan hop" SIZE=small|full; full takes over an hour)
	$(BIN)/python -m bench $(WORKLOADS) --size $(SIZE) --chart docs/bench.svg

##@ Work
.PHONY: generate
generate: $(VENV)/.dev ## Generate CRDs, the chart's value schema, simulations of examples, references, drawings
	$(BIN)/python -m tradewind.api.crd crds helm/tradewind/files/crds
	$(BIN)/python -m tradewind.api.pod_fields
	$(BIN)/python helm/values.py
	$(BIN)/python examples/golden.py
	$(BIN)/python docs/reference.py
	$(BIN)/python docs/drawings.py

.PHONY: picture
picture: $(VENV)/.dev ## Take the picture in README: a run of an example in a terminal
	$(BIN)/python docs/picture.py

.PHONY: format
format: $(VENV)/.dev ## Format the code
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

.PHONY: venv
venv: $(VENV)/.dev ## The virtual environment with everything for development

.PHONY: tools
tools: $(VENV)/.dev ## Build the programs and images of the local cluster (once; minutes)
	$(LOCALKUBE) build-images
	$(LOCALKUBE) tool kubectl
	$(LOCALKUBE) tool helm
	$(LOCALKUBE) tool kwok

.PHONY: image
image: build/tradewind.tar ## Build the controller's image into build/tradewind.tar

build/tradewind.tar: Dockerfile .dockerignore pyproject.toml constraints.txt $(shell find controller -name '*.py') | $(VENV)/.dev
	@mkdir -p build
	$(LOCALKUBE) build-project --file Dockerfile --context . --tag docker.io/library/tradewind:$(VERSION) --output $@

build/weather.tar: examples/weather/Dockerfile examples/weather/requirements.txt $(wildcard examples/weather/weather/*) | $(VENV)/.dev
	@mkdir -p build
	$(LOCALKUBE) build-project --file examples/weather/Dockerfile --context examples/weather --tag docker.io/library/tradewind-weather:0.1.0 --output $@

##@ Local cluster
.PHONY: up
up: $(VENV)/.dev ## Start it (CLUSTER=name PROFILE=real|kwok)
	$(LOCALKUBE) up --name $(CLUSTER) --profile $(PROFILE)

.PHONY: down
down: $(VENV)/.dev ## Delete it
	$(LOCALKUBE) down --name $(CLUSTER)

.PHONY: status
status: $(VENV)/.dev ## Show its components
	$(LOCALKUBE) status --name $(CLUSTER)

# Set-up
$(VENV)/.base: pyproject.toml constraints.txt
	@echo "installing Tradewind into $(VENV) (about 30 s the first time)"
	@test -d $(VENV) || $(PYTHON) -m venv $(VENV)
	@$(PIP) -c constraints.txt -e .
	@touch $@

$(VENV)/.demo: $(VENV)/.base examples/weather/requirements.txt
	@$(PIP) --no-deps -r examples/weather/requirements.txt
	@touch $@

$(VENV)/.dev: $(VENV)/.demo
	@echo "installing the tools for development into $(VENV)"
	@$(PIP) -c constraints.txt -e '.[dev]'
	@touch $@
