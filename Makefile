# Each target installs what it needs, says what it does, and may be run again at any time.
BIN := .venv/bin
PYTEST := $(BIN)/python -m pytest

.PHONY: help setup demo down test lint types unit integration bench lock docs clean

help: ## Show this
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 14

setup: ## Make .venv as requirements.lock says
	@sh scripts/setup.sh

demo: setup ## Bring the whole business up on this machine; MARKITUP_IMAGE=... runs another local image
	@$(BIN)/python -m demo up

down: setup ## Take the demo away: containers, networks, volumes, processes, files
	@$(BIN)/python -m demo down

test: setup lint types unit integration ## Run every check there is

lint: setup
	@sh scripts/test-machine.sh
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/python -m stacks.reference --check

types: setup
	$(BIN)/basedpyright

unit: setup
	@sh scripts/test-machine.sh
	@$(BIN)/python -m engine.install
	@$(BIN)/python -m demo.docker_engine
	$(PYTEST) -n 2 --dist loadgroup tests --ignore tests/integration --ignore tests/browser

integration: setup
	@sh scripts/test-machine.sh
	@$(BIN)/python -m engine.install
	@$(BIN)/python -m demo.docker_engine
	$(PYTEST) tests/integration tests/browser

bench: setup ## Measure, write bench/results.json and print a table
	@$(BIN)/python -m engine.install
	$(BIN)/python -m bench

lock: setup ## Resolve the Python packages and the Go toolchain again
	$(BIN)/uv pip compile pyproject.toml --group pyproject.toml:local --group pyproject.toml:dev --generate-hashes \
		--python-version 3.11 --universal --quiet -o requirements.lock --custom-compile-command "make lock"
	$(BIN)/uv pip compile pyproject.toml --generate-hashes --python-version 3.11 --universal --quiet -c requirements.lock \
		--no-emit-package pulumi-aws -o requirements.control.lock --custom-compile-command "make lock"

docs: setup ## Write the generated parts of docs/ and Pulumi.yaml
	$(BIN)/python -m stacks.reference
	$(BIN)/python -m registry.schema > docs/customers.schema.json

clean: down ## Also remove .venv, the demo's images and the cached engine
	-@$(BIN)/python -m demo clean
	rm -rf .venv
