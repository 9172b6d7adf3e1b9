# Mooring. `make help` says what there is. Needs git, make and any Python from 3.9 on; the rest is fetched.

# The first Python that runs; a shim that only prints an error does not.
PYTHON ?= $(shell for p in python3 python python3.13 /usr/bin/python3; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 9))' >/dev/null 2>&1 && { echo $$p; break; }; done)
BIN := .venv/bin
UV := $(BIN)/uv
CODE := layers/mooring/mooring functions cli local tools tests
# SAM and cfn-lint want some region to check against, and must not phone home or look for credentials.
AWS := SAM_CLI_TELEMETRY=0 AWS_DEFAULT_REGION=eu-central-1 AWS_EC2_METADATA_DISABLED=true \
	AWS_ACCESS_KEY_ID=none AWS_SECRET_ACCESS_KEY=none
COMPILE := $(UV) pip compile --quiet --generate-hashes --no-emit-index-url --no-header --no-annotate \
	--python-version 3.13 --universal

.DEFAULT_GOAL := help
.PHONY: help setup run test bench check format validate build lock schemas openapi clean deploy smoke
.PHONY: soak soak-short safeguards scale simulate

help: ## Say what can be made (this)
	@awk -F ':.*## ' '/^[a-z<>%-]+:.*## / { sub("%", "<function>", $$1); printf "  make %-20s %s\n", $$1, $$2 }' \
		$(firstword $(MAKEFILE_LIST))

setup: ## Make the environment .venv (Python 3.13, everything locked by hash)
	@test -n "$(PYTHON)" || { echo "setup: no Python found: install python3 (3.9 or later)" >&2; exit 1; }
	@$(PYTHON) tools/bootstrap.py

run: setup ## Run everything on this machine; PORT (default 8000) names the port, Ctrl-C stops it
	@exec $(BIN)/python -m local

test: setup ## Run all tests with coverage, or some without: make test ARGS="-k callback"
	@command -v chromium chromium-browser google-chrome >/dev/null 2>&1 || \
		echo "test: no Chromium found; the browser tests fail until: sudo apt-get install -y chromium" >&2
	$(BIN)/python -m pytest -n 2 --dist loadgroup $(if $(ARGS),$(ARGS),--cov --cov-report=term)

bench: setup ## Measure beside a bare Lambda, Authlib and Slack Bolt; DOC=1 rewrites docs/performance.md
	@$(BIN)/python -m tests.bench $(if $(DOC),--doc) $(ARGS)

soak: setup ## Ten minutes of faults and kills under load, about twenty in all; DOC=1 rewrites docs/reliability.md
	@$(BIN)/python -m tests.soak $(if $(DOC),--doc) $(ARGS)

soak-short: setup ## The same with two minutes of faults and fewer connections, about six in all
	@$(BIN)/python -m tests.soak --connections 300 --minutes 2 --sweep-every 10 $(ARGS)

safeguards: setup ## Take the safeguards of the refresh out one at a time, and see that a test fails each time
	@$(BIN)/python -m tests.safeguards $(ARGS)

scale: setup ## Count calls and rows against stored connections, and one worker's pace; DOC=1 rewrites docs/scale.md
	@$(BIN)/python -m tests.scale $(if $(DOC),--doc) $(ARGS)

simulate: setup ## Simulate ten million connections; DOC=1 rewrites docs/scale.md
	@$(BIN)/python -m tools.simulate $(if $(DOC),--doc)

check: setup ## Format, lint, types, architecture, template, secrets: all that needs no running stack
	$(BIN)/ruff format --check $(CODE)
	$(BIN)/ruff check $(CODE)
	$(BIN)/mypy
	$(BIN)/bandit --quiet --configfile pyproject.toml --recursive layers functions cli local tools
	$(BIN)/python -m tools.hygiene
	$(BIN)/python -m pytest -q tests/architecture tests/template

format: setup ## Put the code into the one format and fix what ruff can fix
	$(BIN)/ruff check --fix --quiet $(CODE) || true
	$(BIN)/ruff format $(CODE)

validate: setup ## Check template.yaml with SAM (its transform and its linter) and cfn-lint
	$(AWS) $(BIN)/sam validate --template template.yaml
	$(AWS) $(BIN)/sam validate --lint --template template.yaml
	$(AWS) $(BIN)/cfn-lint --non-zero-exit-code informational --regions eu-central-1 us-east-1 -- template.yaml

build: setup ## Stage what ships into build/ (arm64, byte code included) and print the sizes
	@$(BIN)/python tools/stage.py --target build

deploy: setup ## Deploy to AWS: asks the first time, never again; STAGE names which installation
	@$(BIN)/python -m tools.deploy $(if $(STAGE),--stage $(STAGE)) $(ARGS)

smoke: setup ## Check an installation from outside: make smoke URL=https://connect.example.com
	@test -n "$(URL)" || { echo "smoke: which one? make smoke URL=https://connect.example.com" >&2; exit 2; }
	@$(BIN)/python -m tools.smoke $(URL) $(ARGS)

invoke-%: setup ## Run one function once against the running local stack; EVENT names another event file
	@$(BIN)/python -m local.invoke $* $(EVENT)

lock: setup ## Choose the newest versions again and write requirements/*.txt with hashes
	$(COMPILE) --upgrade requirements/layer.in -o requirements/layer.txt
	$(COMPILE) --upgrade requirements/dev.in -o requirements/dev.txt
	$(COMPILE) --upgrade -c requirements/dev.txt requirements/ric.in -o requirements/ric.txt
	$(COMPILE) --upgrade requirements/bench-authlib.in -o requirements/bench-authlib.txt
	$(COMPILE) --upgrade requirements/bench-slack.in -o requirements/bench-slack.txt

schemas: setup ## Write the JSON Schemas that let editors complete mooring.yaml and descriptors
	$(BIN)/python -m mooring.providers.schemas docs/schemas docs/adding-a-provider.md

openapi: setup ## Write docs/openapi.yaml, the description of the routes for services
	$(BIN)/python -m tools.openapi docs/openapi.yaml

clean: ## Remove everything that make made, the environment included
	rm -rf build .local .venv .bootstrap .coverage dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .aws-sam
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
