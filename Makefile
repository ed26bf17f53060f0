# `make` lists the targets. All it needs is make and a Python from 3.11 on.

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
SHELL := /bin/sh

VENV := .venv
BIN := $(VENV)/bin
# The first of these that is new enough; another one: make serve PYTHON=/path/to/python
PYTHON ?= $(shell for python in python3 python3.13 python3.12 python3.11; do \
	$$python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$python && break; done)
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet
# Exactly what the lock names, and nothing that a compiler would have to build.
INSTALL := $(PIP) install --require-hashes --only-binary :all: --requirement

# The tests find the environment's programs and those that tests/tools.sh fetched.
export PATH := $(CURDIR)/$(BIN):$(CURDIR)/.tools/bin:$(PATH)

# Each variable given on the command line, PORT=8711 say, is the setting BRINERY_PORT.
quoted = '$(subst ','\'',$(1))'
given = $(foreach name,$(filter-out PYTHON VENV SHELL PATH ARGS,$(.VARIABLES)),$(if $(filter command,$(origin $(name))),$(name)))
settings = $(foreach name,$(given),BRINERY_$(name)=$(call quoted,$($(name))))

DOCKER ?= docker
BASE_IMAGE ?= python:3.11-slim-bookworm
IMAGE ?= brinery:latest
LOCK ?= requirements.lock
# The Dockerfile's own arguments, those that were given.
arguments = $(foreach name,BASE_IMAGE BUNDLE LOCK UID ALLOWED_GLOBALS,$(if $(filter command environment,$(origin $(name))),--build-arg $(name)=$(call quoted,$($(name)))))

.PHONY: help
help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-10s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

.PHONY: serve
serve: $(VENV)/.serve ## Serve BUNDLE (pickles/) on PORT (8000); any setting may be given: WORKERS=2 LOG_FORMAT=console
	@exec env $(settings) $(BIN)/brinery serve

.PHONY: install
install: $(VENV)/.serve ## Set up .venv, and nothing more

.PHONY: test
test: $(VENV)/.test tools lint ## All fast checks: lint, types, layers, tests with branch coverage
	$(BIN)/pytest -n 2 --dist loadfile -m 'not slow and not by_hand' --cov --cov-report=term $(ARGS)

.PHONY: test-all
test-all: $(VENV)/.test tools ## The checks that need more time than `make test` has, and only those
	@sh tests/tools.sh azurite clients
	$(BIN)/pytest -n 2 --dist loadfile -m 'slow and not by_hand' $(ARGS)

# Newman's reports; the key of a caller must not stand in them.
REPORTS := postman/reports
NEWMAN := postman/node_modules/.bin/newman

.PHONY: newman
newman: ## Test the deployment at HOST (http://127.0.0.1:8000), with KEY= if it wants one; ARGS= goes to Newman
	@case $(call quoted,$(HOST)) in '' | http://?* | https://?*) ;; *) \
		echo HOST is $(call quoted,$(HOST)). 'Expected an address with http:// or https://, such as HOST=http://127.0.0.1:8000.' >&2; \
		exit 1 ;; esac
	@sh tests/tools.sh newman
	@test -x $(NEWMAN) || { echo "Newman is not installed: install Node.js with npm, then try again." >&2; exit 1; }
	@$(NEWMAN) run postman/brinery.postman_collection.json \
		--environment postman/brinery.postman_environment.json \
		$(if $(HOST),--env-var api-host=$(call quoted,$(HOST))) $(if $(KEY),--env-var api-key=$(call quoted,$(KEY))) \
		--reporters cli,junit,htmlextra --reporter-cli-no-success-assertions \
		--reporter-junit-export $(REPORTS)/newman.xml \
		--reporter-htmlextra-export $(REPORTS)/newman.html --reporter-htmlextra-template postman/report.hbs \
		--reporter-htmlextra-browserTitle Brinery $(ARGS)

.PHONY: collection
collection: $(BIN)/python ## Write the Postman collection again, from postman/src and the table of cases
	$(BIN)/python postman/build.py

.PHONY: mutants
mutants: $(VENV)/.test ## Try whether the collection finds each of many wrong servers, one after the other (10 minutes)
	@sh tests/tools.sh newman
	$(BIN)/pytest tests/live/test_newman_fails.py $(ARGS)

.PHONY: faults
faults: $(VENV)/.test ## Inject every fault into the real server, also those that CI has no time for
	$(BIN)/pytest tests/faults $(ARGS)

.PHONY: e2e-container
e2e-container: $(VENV)/.test ## Build the image on BASE_IMAGE and run it: hardened, starved, stopped (10 minutes, needs docker)
	@sh tests/tools.sh prometheus newman
	BASE_IMAGE=$(BASE_IMAGE) DOCKER=$(DOCKER) $(BIN)/pytest tests/e2e/test_container.py $(ARGS)

.PHONY: e2e-cluster
e2e-cluster: $(VENV)/.test tools ## Install, upgrade, drain on the cluster of KUBECONFIG, whose node runs this docker's images (10 minutes)
	@command -v kubectl >/dev/null || { echo "kubectl is not in the PATH." >&2; exit 1; }
	@test -n "$$KUBECONFIG" || { echo "KUBECONFIG is not set: name the cluster to install into." >&2; exit 1; }
	BASE_IMAGE=$(BASE_IMAGE) DOCKER=$(DOCKER) $(BIN)/pytest tests/e2e/test_cluster.py $(ARGS)

.PHONY: fuzz
fuzz: $(VENV)/.test ## Throw many texts at what reads requests, bodies and pickles, others each time
	HYPOTHESIS_PROFILE=fuzz $(BIN)/pytest tests/fuzz $(ARGS)
	SCHEMATHESIS_EXAMPLES=6000 $(BIN)/pytest tests/live/test_schemathesis.py $(ARGS)

.PHONY: oip
oip: $(VENV)/.test ## Drive the server by the Open Inference Protocol's document, OIP_SPEC=open_inference_rest.yaml
	@test -f $(call quoted,$(OIP_SPEC)) || { echo "OIP_SPEC must name the protocol's open_inference_rest.yaml." >&2; exit 1; }
	SCHEMATHESIS_EXAMPLES=400 OIP_SPEC=$(call quoted,$(OIP_SPEC)) $(BIN)/pytest tests/live/test_open_inference.py -k given $(ARGS)

.PHONY: lint
lint: $(VENV)/.test ## Style, format, types and the direction of imports
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports

.PHONY: image
image: ## Build the image IMAGE (brinery:latest), with BUNDLE in it if that is given; needs docker
	$(DOCKER) build $(arguments) --tag $(IMAGE) .
	@# The labels say what the image itself says of its bundle: all but they is there already, and built once.
	@test -z $(call quoted,$(BUNDLE)) || { said=$$($(DOCKER) run --rm $(IMAGE) check /pickles) && \
		said() { echo "$$said" | sed -n "$$1"; } && $(DOCKER) build $(arguments) --tag $(IMAGE) \
		--build-arg MODEL_NAME="$$(said '1s/, version [^,]*$$//p')" \
		--build-arg MODEL_VERSION="$$(said '1s/.*, version //p')" \
		--build-arg MODEL_DIGEST="$$(said 's/^  digest *//p')" .; }

# An environment like the image's, which has neither pip nor what the tests need.
.PHONY: sbom
sbom: $(VENV)/.test ## Write sbom.json, a bill of materials (CycloneDX) of what LOCK (requirements.lock) installs
	$(PYTHON) -m venv --without-pip --clear .sbom
	$(PIP) --python .sbom/bin/python install --require-hashes --only-binary :all: --requirement $(LOCK)
	$(PIP) --python .sbom/bin/python install --no-build-isolation --no-deps .
	$(PIP) --python .sbom/bin/python uninstall --yes setuptools
	$(BIN)/cyclonedx-py environment --output-reproducible --output-file sbom.json .sbom/bin/python
	rm -rf .sbom

.PHONY: bench
bench: $(VENV)/.serve ## Measure the speed against other servers (25 minutes, needs wrk) into docs/performance.md; ARGS=--quick
	$(BIN)/python -m benchmarks $(ARGS)

.PHONY: fmt
fmt: $(VENV)/.test ## Format, and mend what can be mended without thought
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

.PHONY: docs
docs: $(VENV)/.test ## Write the reference pages, and the chart's, that are made from the code
	$(BIN)/brinery settings --markdown > docs/configuration.md.new
	mv docs/configuration.md.new docs/configuration.md
	$(BIN)/python helm/reference.py

.PHONY: tools
tools: ## What the tests run beside Python: promtool, Newman
	@sh tests/tools.sh promtool newman

COMPILE = .lock/bin/uv pip compile --quiet --upgrade --universal --python-version 3.11 --fork-strategy fewest \
	--generate-hashes --no-emit-index-url --custom-compile-command 'make lock'

EXTRAS = --extra remote --extra mlflow --extra oci --extra skops --extra grpc

.PHONY: lock
lock: .lock/bin/uv ## Resolve the newest releases for Python 3.11 to 3.13 into the lock files
	@# setuptools is there to install Brinery itself without a network. The widest set goes first: the others take
	@# their versions from it, so that what is tested is what is installed.
	echo 'setuptools >=77' | $(COMPILE) setup.cfg - --extra dev $(EXTRAS) \
		--output-file requirements-dev.lock
	echo 'setuptools >=77' | $(COMPILE) setup.cfg - $(EXTRAS) \
		--constraint requirements-dev.lock --output-file requirements-all.lock
	echo 'setuptools >=77' | $(COMPILE) setup.cfg - --extra remote --extra mlflow --extra oci \
		--constraint requirements-dev.lock --output-file requirements-remote.lock
	echo 'setuptools >=77' | $(COMPILE) setup.cfg - --constraint requirements-dev.lock --output-file requirements.lock
	@# What the clients' models compute is compared with what ours do: by the same numerics.
	grep -oE '^(numpy|scikit-learn|scipy)==[^ ;]+' requirements.lock | \
		$(COMPILE) tests/clients/clients.in - --output-file tests/clients/clients.lock
	$(COMPILE) tests/clients/mlserver.in --output-file tests/clients/mlserver.lock

.PHONY: clean
clean: ## Remove what the tools left behind, but no environment
	rm -rf .coverage .coverage.* .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache \
		.schemathesis build dist brinery.egg-info htmlcov $(REPORTS)
	find server tests examples benchmarks -name __pycache__ -type d -prune -exec rm -rf {} +

.PHONY: distclean
distclean: clean ## Back to a fresh clone
	rm -rf $(VENV) .lock .sbom .tools sbom.json postman/node_modules tests/azurite/node_modules

# The stamps: nothing is installed again before a lock file changes.
$(BIN)/python:
	@test -n "$(PYTHON)" || { echo "Brinery needs Python 3.11 or newer; none of python3, python3.13, python3.12, python3.11 is." >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)

$(VENV)/.runtime: requirements.lock | $(BIN)/python
	$(INSTALL) requirements.lock
	@touch $@

$(VENV)/.serve: setup.cfg setup.py pyproject.toml server/engine/_walk.c $(VENV)/.runtime
	$(PIP) install --no-build-isolation --no-deps --editable .
	@touch $@

$(VENV)/.test: requirements-dev.lock $(VENV)/.serve
	$(INSTALL) requirements-dev.lock
	@touch $@

.lock/bin/uv: | $(BIN)/python
	$(BIN)/python -m venv .lock
	.lock/bin/python -m pip --disable-pip-version-check --quiet install 'uv >=0.9'
