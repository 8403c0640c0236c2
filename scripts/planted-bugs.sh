#!/usr/bin/env bash
# Shows that the tests can fail: each planted bug must be found by the simulation, by the tests of large bodies,
# or else by the survival run. The planted binary never takes the place of the real one.
set -euo pipefail
cd "$(dirname "$0")/.."

export CARGO_TARGET_DIR="${CARGO_TARGET_DIR:-$HOME/.cache/rowhouse/target}"
BUGS=("${@:-ack-before-sync skip-dedup vote-at-once diverge commit-with-one-copy erase-at-overwrite skip-checksum \
    vote-before-complete reuse-replica-id obey-deposed-coordinators forget-tombstones keep-removed-chunks \
    ids-at-propose emit-past-frontier close-without-entry forget-last-t ignore-conditions ignore-locks \
    publish-without-look-up regress-timestamp}")
SEEDS="${SEEDS:-200}"
KILLS="${KILLS:-40}"
LOGS="$CARGO_TARGET_DIR/planted-bugs"
PLANTED="$CARGO_TARGET_DIR/planted"
mkdir -p "$LOGS" "$PLANTED"

# The selection of the Makefile: with another one cargo would compile RocksDB a second time.
FEATURES=(--workspace --features "rowhouse/planted-bugs,rowhouse-chaos-tests/planted-bugs")
OF_OBJECTS=" commit-with-one-copy erase-at-overwrite skip-checksum "
# The simulation writes without conditions.
OF_CONDITIONS=" ignore-conditions ignore-locks "
# The simulation has no DHT.
OF_PACKETS=" publish-without-look-up regress-timestamp "

# Nothing is removed where the cluster does not change.
OF_CHANGES=" keep-removed-chunks "

run_planted() {
    local bug="$1" test="$2" filter="$3"
    ROWHOUSE_PLANTED="$bug" ROWHOUSE_SIM_SEEDS="$SEEDS" \
        cargo test "${FEATURES[@]}" --test "$test" -- $filter >"$LOGS/$bug.$test.log" 2>&1
}

# By simulation first: it can lose what was not synced, which a killed process cannot.
found_by_test() {
    if [[ "$OF_OBJECTS" == *" $1 "* ]]; then
        TEST=cluster
        ! run_planted "$1" cluster cluster::objects
    elif [[ "$OF_PACKETS" == *" $1 "* ]]; then
        TEST=cluster
        ! run_planted "$1" cluster packet
    elif [[ "$OF_CONDITIONS" == *" $1 "* ]]; then
        TEST=machine
        ! run_planted "$1" machine ""
    else
        TEST=simulation
        ! run_planted "$1" simulation ""
    fi
}

build_planted_binary() {
    [[ -x "$PLANTED/rowhouse" ]] && return
    cargo build "${FEATURES[@]}" --bins
    cp "$CARGO_TARGET_DIR/debug/rowhouse" "$PLANTED/rowhouse"
    cargo build --workspace --bins # puts the real binary back
}

# Exit code 1 is a finding, or that nothing was proved; anything else means that the run itself failed.
found_by_survival() {
    build_planted_binary
    local code=0 kinds=""
    [[ "$OF_CHANGES" == *" $1 "* ]] && kinds="--kinds=lose,add,drain,wipe,move"
    ROWHOUSE_BIN="$PLANTED/rowhouse" "$CARGO_TARGET_DIR/debug/rowhouse-chaos" survival \
        --kills "$KILLS" $kinds --planted "$1" >"$LOGS/$1.survival.log" 2>&1 || code=$?
    [[ $code -eq 1 ]] && grep -q '^VIOLATION' "$LOGS/$1.survival.log"
}

missed=0
cargo test "${FEATURES[@]}" --test simulation --test cluster --test machine --no-run
# Without a bug they pass: else a failure would be no finding.
run_planted none simulation ""
run_planted none cluster cluster::objects
run_planted none cluster packet
run_planted none machine ""
for bug in ${BUGS[*]}; do
    if found_by_test "$bug"; then
        echo "$bug: found by the test \`$TEST\` ($LOGS/$bug.$TEST.log)"
        grep -m 3 -E "panicked|violat|seed" "$LOGS/$bug.$TEST.log" || true
    elif found_by_survival "$bug"; then
        echo "$bug: found by the survival run ($LOGS/$bug.survival.log)"
        grep -m 3 VIOLATION "$LOGS/$bug.survival.log" || true
    else
        echo "$bug: NOT FOUND"
        missed=1
    fi
done
exit $missed
