# Everything a contributor runs. `make help` lists it; parameters, not variants: make test T=services/consent
SHELL := /bin/bash
.DEFAULT_GOAL := help
VENV := .venv
RUN := $(VENV)/bin/
STAMP := $(VENV)/.installed
T ?=
JOBS ?= 2

.PHONY: help setup generate check test test-integration test-e2e bench up down demo image

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## /{printf "  %-18s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(STAMP) ## Create .venv from the hash-locked requirements

$(STAMP): requirements/dev.lock requirements/bootstrap.lock $(wildcard libs/*/pyproject.toml services/*/pyproject.toml examples/*/pyproject.toml) tools/setup
	@tools/setup $(VENV)
	@touch $@

generate: setup ## Regenerate stubs, locks, schemas and other committed outputs
	$(RUN)python tools/generate.py

check: setup ## Lint, types, architecture rules, contracts and docs
	$(RUN)python tools/check.py

test: setup ## Run every test (T=path narrows it)
	$(RUN)pytest -n $(JOBS) --dist loadfile $(or $(T),libs services examples tests)

test-integration: setup ## Run the tests that need real PostgreSQL and NATS
	$(RUN)pytest -n $(JOBS) --dist loadfile -m integration $(or $(T),libs services examples tests)

test-e2e: setup ## Run the stories over the whole stack
	$(RUN)pytest $(or $(T),tests/e2e)

bench: setup ## Measure; prints ratios to a floor and writes benchmarks/results
	$(RUN)python -m benchmarks $(T)

up: setup ## Start the whole suite here (Ctrl-C drains)
	$(RUN)assent up

down: setup ## Stop a suite started in this folder
	$(RUN)assent down

demo: setup ## Personalize a live banking session, end to end
	$(RUN)assent demo

image: ## Build one service's image: make image SERVICE=consent
	docker build --build-arg SERVICE=$(or $(SERVICE),$(error name one: make image SERVICE=consent)) -t assent/$(SERVICE):$(or $(VERSION),development) .
