#!/usr/bin/env bash
# Shows that the tests can fail: with each planted bug the simulation, or else the survival run, must
# find something. The planted binary never takes the place of the real one.
set -euo pipefail
cd "$(dirname "$0")/.."

export CARGO_TARGET_DIR="${CARGO_TARGET_DIR:-$HOME/.cache/rowhouse/target}"
BUGS=("${@:-ack-before-sync skip-dedup vote-at-once}")
SEEDS="${SEEDS:-200}"
KILLS="${KILLS:-40}"
LOGS="$CARGO_TARGET_DIR/planted-bugs"
PLANTED="$CARGO_TARGET_DIR/planted"
mkdir -p "$LOGS" "$PLANTED"

# By simulation first: it can lose what was not synced, which a killed process cannot.
found_by_simulation() {
    ! ROWHOUSE_PLANTED="$1" ROWHOUSE_SIM_SEEDS="$SEEDS" \
        cargo test -p rowhouse-chaos-tests --features planted-bugs --test simulation >"$LOGS/$1.simulation.log" 2>&1
}

build_planted_binary() {
    [[ -x "$PLANTED/rowhouse" ]] && return
    cargo build -p rowhouse --features planted-bugs
    cp "$CARGO_TARGET_DIR/debug/rowhouse" "$PLANTED/rowhouse"
    cargo build --workspace --bins # puts the real binary back
}

# Exit code 1 is a finding; anything else means that the run itself failed.
found_by_survival() {
    build_planted_binary
    local code=0
    ROWHOUSE_BIN="$PLANTED/rowhouse" "$CARGO_TARGET_DIR/debug/rowhouse-chaos" survival \
        --kills "$KILLS" --planted "$1" >"$LOGS/$1.survival.log" 2>&1 || code=$?
    [[ $code -eq 1 ]]
}

missed=0
cargo test -p rowhouse-chaos-tests --features planted-bugs --test simulation --no-run
for bug in ${BUGS[*]}; do
    if found_by_simulation "$bug"; then
        echo "$bug: found by the simulation ($LOGS/$bug.simulation.log)"
        grep -m 3 -E "panicked|violat|seed" "$LOGS/$bug.simulation.log" || true
    elif found_by_survival "$bug"; then
        echo "$bug: found by the survival run ($LOGS/$bug.survival.log)"
        grep -m 3 VIOLATION "$LOGS/$bug.survival.log" || true
    else
        echo "$bug: NOT FOUND"
        missed=1
    fi
done
exit $missed
