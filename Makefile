# Two commands matter: `make dev` runs a cluster on this machine, `make test` checks everything.
# One build profile serves both, so that RocksDB is compiled once (15 to 30 minutes on two cores).

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

# Outside the checkout: a fresh clone and CI reuse what was built before.
export CARGO_TARGET_DIR ?= $(HOME)/.cache/rowhouse/target
# ccache saves the C++ objects if it is there.
ifneq ($(wildcard /usr/lib/ccache),)
export PATH := /usr/lib/ccache:$(PATH)
endif

BIN := $(CARGO_TARGET_DIR)/debug/rowhouse
CHAOS := $(CARGO_TARGET_DIR)/debug/rowhouse-chaos
RELEASE := $(CARGO_TARGET_DIR)/release

SEEDS ?= 500
KILLS ?= 20
ARGS ?=
URL ?= http://127.0.0.1:6286
FILTER ?=

NEXTEST := $(shell cargo nextest --version >/dev/null 2>&1 && echo yes)

.PHONY: help
help: ## Show this list
	@awk 'BEGIN { FS = ":.*## " } /^[a-z]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: deps
deps: ## Check for a Rust toolchain, a C++ compiler and libclang; install the latter two where possible
	@bash scripts/deps.sh

.PHONY: build
build: deps ## Build all crates and binaries
	cargo build --workspace --bins

.PHONY: dev
dev: deps ## Run a cluster on this machine (ARGS="--ephemeral", see README)
	cargo build -p rowhouse
	@exec $(BIN) dev $(ARGS)

.PHONY: test
test: deps ## Run all tests (FILTER=name for some)
	cargo build --workspace --bins
ifeq ($(NEXTEST),yes)
	cargo nextest run --workspace --no-fail-fast $(FILTER)
else
	cargo test --workspace --lib --bins --tests --no-fail-fast -- $(FILTER)
endif

.PHONY: verify
verify: deps ## Formatting, lints, the workspace's own rules, licences
	cargo fmt --all --check
	cargo clippy --workspace --all-targets -- -D warnings
	cargo test -p rowhouse-chaos-tests --test tidy
	@if cargo deny --version >/dev/null 2>&1; then cargo deny check; else echo "cargo-deny is not installed: licences not checked"; fi

.PHONY: fix
fix: deps ## Format and apply what clippy can
	cargo fmt --all
	cargo clippy --workspace --all-targets --fix --allow-dirty --allow-staged

.PHONY: release
release: deps ## Optimized binaries: what benchmarks measure and what ships
	cargo build --release -p rowhouse -p rowhouse-chaos-tests --bins
	@echo "built $(RELEASE)/rowhouse and $(RELEASE)/rowhouse-chaos"

.PHONY: sim
sim: deps ## Deterministic simulation (SEEDS=500)
	ROWHOUSE_SIM_SEEDS=$(SEEDS) cargo test -p rowhouse-chaos-tests --test simulation -- --nocapture

.PHONY: survival
survival: deps ## Kill processes of a fresh cluster under load and judge what clients saw (KILLS=20)
	cargo build --workspace --bins
	$(CHAOS) survival --kills $(KILLS) $(ARGS)

.PHONY: conformance
conformance: deps ## The unmodified SDK and raw HTTP cases against a real cluster
	cargo build --workspace --bins
	cargo test -p rowhouse-chaos-tests --test 'conformance*'

.PHONY: bench
bench: release ## Measure a running homeserver (URL=http://127.0.0.1:6286)
	$(RELEASE)/rowhouse-chaos bench --url $(URL) $(ARGS)
