#!/usr/bin/env bash
# Before a first build: what it will do, for how long, and where it is kept. Silent once RocksDB is built.
set -euo pipefail

# All crates and RocksDB in the development profile (docs/benchmarks.md), and what the target folder then takes.
CPU_MINUTES=30
GIGABYTES=4

target=${CARGO_TARGET_DIR:-${HOME:-}/.cache/rowhouse/target}
profile=${1:-debug}
compgen -G "$target/$profile/build/librocksdb-sys-*/out/librocksdb.a" >/dev/null && exit 0

cores=$(nproc)
cat <<TEXT
rowhouse: first build. RocksDB and about 440 crates are compiled, once: about $(((CPU_MINUTES + cores - 1) / cores)) minutes on $cores cores.
rowhouse: kept in $target (about $GIGABYTES GB), for every checkout; later starts take seconds.
TEXT
