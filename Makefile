# Two commands matter: `make dev` runs a cluster on this machine, `make test` checks everything.
# One build profile serves both, so that RocksDB is compiled once.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

# Outside the checkout: a fresh clone and CI reuse what was built before.
export CARGO_TARGET_DIR ?= $(HOME)/.cache/rowhouse/target
# ccache saves the C++ objects if it is there.
ifneq ($(wildcard /usr/lib/ccache),)
export PATH := /usr/lib/ccache:$(PATH)
else
# Without it, a c++ that reads RocksDB's common headers once instead of in each of its files.
export PATH := $(CURDIR)/scripts/compiler:$(PATH)
endif

# One selection of packages and targets for every target below. Cargo settles features for the selection as a
# whole, tests included; with another one it would compile much of the tree, RocksDB first, a second time.
SELECTION := --workspace
BUILD := cargo build $(SELECTION) --bins --test tidy

BIN := $(CARGO_TARGET_DIR)/debug/rowhouse
CHAOS := $(CARGO_TARGET_DIR)/debug/rowhouse-chaos
RELEASE := $(CARGO_TARGET_DIR)/release

SEEDS ?= 500
SEED ?=
KILLS ?= 20
KILL_S ?=
KINDS ?=
ROUNDS ?= 1
ARGS ?=
FUZZ_S ?= 300
URL ?= http://127.0.0.1:6286
FILTER ?=
ROOT ?=
IMAGE_ARCHIVE ?= $(CARGO_TARGET_DIR)/rowhouse-image.tar

NEXTEST := $(shell cargo nextest --version >/dev/null 2>&1 && echo yes)

.PHONY: help
help: ## Show this list
	@awk 'BEGIN { FS = ":.*## " } /^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: deps
deps: ## Check for Rust, a C++ compiler, make and libclang; install all but Rust where possible
	@bash scripts/deps.sh
	@bash scripts/first-build.sh

.PHONY: build
build: deps ## Build all crates and binaries
	$(BUILD)

.PHONY: dev
dev: deps ## Run a cluster on this machine (ARGS="--ephemeral", see README)
	$(BUILD)
	@exec "$(BIN)" dev $(ARGS)

.PHONY: test
test: deps ## Run all tests (FILTER=name for some)
	$(BUILD)
ifeq ($(NEXTEST),yes)
	cargo nextest run $(SELECTION) --no-fail-fast $(FILTER)
else
	cargo test $(SELECTION) --lib --bins --tests --no-fail-fast -- $(FILTER)
endif

.PHONY: verify
verify: deps ## Formatting, lints, the workspace's own rules, licences
	cargo fmt --all --check
	cargo clippy $(SELECTION) --all-targets -- -D warnings
	cargo test $(SELECTION) --test tidy
	@if cargo deny --version >/dev/null 2>&1; then cargo deny check; else echo "cargo-deny is not installed: licences not checked"; fi

.PHONY: fix
fix: deps ## Format and apply what clippy can
	cargo fmt --all
	cargo clippy $(SELECTION) --all-targets --fix --allow-dirty --allow-staged

.PHONY: reference
reference: deps ## Rewrite docs/configuration.md, the page of all configuration keys
	$(BUILD)
	"$(BIN)" config-reference > docs/configuration.md

.PHONY: release
release: deps ## Optimized binaries: what benchmarks measure and what ships
	cargo build --release $(SELECTION) --bins
	@echo "built $(RELEASE)/rowhouse and $(RELEASE)/rowhouse-chaos"

.PHONY: clean-root
clean-root: ## Both commands in a new Debian root without libclang, timed (as root, with debootstrap; ROOT=folder)
	bash scripts/clean-root.sh $(if $(ROOT),"$(ROOT)")

.PHONY: sim
sim: deps ## Deterministic simulation (SEEDS=500; a fifth as many while the cluster grows and shrinks)
	ROWHOUSE_SIM_SEEDS=$(SEEDS) cargo test $(SELECTION) --test simulation -- --nocapture

.PHONY: seed
seed: deps ## Replay one seed of the simulation and print what happens in it (SEED=7, FILTER=grows for one of its runs)
	@[[ -n "$(SEED)" ]] || { echo "seed: which one? make seed SEED=7" >&2; exit 64; }
	ROWHOUSE_SIM_SEED=$(SEED) cargo test $(SELECTION) --test simulation -- --nocapture --test-threads=1 \
		$(if $(FILTER),$(FILTER),clients_see a_cluster_grows)

.PHONY: survival
survival: deps ## Kill processes of a fresh cluster under load and judge what clients saw (KILLS=20 or KILL_S=600, KINDS=lose,add)
	$(BUILD)
	"$(CHAOS)" survival $(if $(KILL_S),--seconds $(KILL_S),--kills $(KILLS)) $(if $(KINDS),--kinds $(KINDS)) $(ARGS)

.PHONY: day
day: deps ## A day in the life: the cluster grows, heals and shrinks under load and kills (SEED=1)
	$(BUILD)
	"$(CHAOS)" survival --day --large-kib-max 20480 $(if $(SEED),--seed $(SEED)) $(ARGS)

.PHONY: rolling
rolling: deps ## Restart every process in turn under load of SDK clients; no request may fail (ROUNDS=1)
	$(BUILD)
	for round in $$(seq $(ROUNDS)); do \
		ROWHOUSE_ROLLING_P99=1 cargo test $(SELECTION) --test rolling -- --nocapture; \
	done

.PHONY: conformance
conformance: deps ## The unmodified SDK and raw HTTP cases against a real cluster
	$(BUILD)
	cargo test $(SELECTION) --test 'conformance*'

.PHONY: metrics
metrics: deps ## Check what a real cluster tells by promtool, and dashboards by Prometheus (Debian package prometheus)
	@command -v promtool >/dev/null || { echo "metrics: promtool is missing: on Debian, apt-get install prometheus" >&2; exit 69; }
	$(BUILD)
	ROWHOUSE_PROMTOOL=1 cargo test $(SELECTION) --test processes -- metrics:: dashboards::

.PHONY: observe
observe: deps ## Run a cluster with Prometheus and an OTLP collector beside it, and say where to look (needs prometheus, python3-venv)
	$(BUILD)
	@exec bash scripts/observe.sh "$(BIN)"

.PHONY: alerts
alerts: ## Check the rules of alerts, and run their unit tests (needs promtool: Debian package prometheus)
	@command -v promtool >/dev/null || { echo "alerts: promtool is missing: on Debian, apt-get install prometheus" >&2; exit 69; }
	promtool check rules observability/alerts/*.yml
	promtool test rules observability/alerts/tests/*.yml

.PHONY: status-page
status-page: deps ## Look at the status page in headless Chromium and take its screenshots (needs Debian's chromium, nodejs, npm)
	$(BUILD)
	bash scripts/status-page/check.sh "$(BIN)" docs/images

.PHONY: helm-test
helm-test: ## Check the Helm chart: lint, schemas, assertions, policies; with the program if it is built (installs its own tools)
	bash scripts/helm/test.sh $(wildcard $(BIN))

.PHONY: helm-sync
helm-sync: ## Copy alerts and dashboards into the chart, and write the table of its values
	bash scripts/helm/tools.sh "$(HOME)/.cache/rowhouse/helm"
	"$(HOME)/.cache/rowhouse/helm/python/bin/python" scripts/helm/sync.py

.PHONY: fuzz
fuzz: ## Fuzz what strangers send, each target in turn (FUZZ_S=300; needs nightly Rust and cargo-fuzz)
	for target in $$(cargo +nightly fuzz list); do \
		mkdir -p "fuzz/corpus/$$target"; \
		cargo +nightly fuzz run --target-dir "$(CARGO_TARGET_DIR)/fuzz" "$$target" \
			"fuzz/corpus/$$target" "fuzz/seeds/$$target" -- \
			-max_total_time=$(FUZZ_S) -timeout=10; \
	done

.PHONY: bench
bench: release ## Measure a running homeserver (URL=http://127.0.0.1:6286)
	"$(RELEASE)/rowhouse-chaos" bench --url $(URL) $(ARGS)

.PHONY: image
image: ## Build the container image without an engine, as an archive (BUILD_PROFILE=release; PROGRAMS=folder, BASES=local; needs root)
	bash scripts/image/build.sh "$(IMAGE_ARCHIVE)"

.PHONY: image-test
image-test: deps ## Build the image twice, compare, and run it unprivileged by runc (needs root)
	$(BUILD)
	bash scripts/image/test.sh "$(dir $(BIN))"

.PHONY: pods-test
pods-test: deps ## Run what Kubernetes would run of the chart on this machine: Jobs, pods, probes, a rolling update under load (needs root)
	$(BUILD)
	cargo test $(SELECTION) --no-run --test rolling --test conformance_sdk
	bash scripts/pods/test.sh "$(dir $(BIN))"

.PHONY: compose-test
compose-test: deps ## Check compose.yaml by Docker Compose, and run its services on this machine (needs root)
	$(BUILD)
	cargo test $(SELECTION) --no-run --test conformance_sdk
	bash scripts/pods/compose.sh "$(dir $(BIN))"

.PHONY: kube-test
kube-test: deps ## Install, upgrade and uninstall the chart on a real API server, which the first run builds (8 minutes; needs root)
	$(BUILD)
	bash scripts/kube/test.sh "$(BIN)"
