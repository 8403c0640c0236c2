//! Deterministic simulation: three nodes with two shards and the meta group on one thread and virtual time, under
//! crashes, lost unsynced writes, partitions and clock steps, with clients and an oracle. In `churn` the cluster
//! grows to five nodes and shrinks again meanwhile.
//! An auditor reads the feed over all shards in each of them.
//!
//! The code under test is the real one: groups, log store, state store, framing, the Pubky state
//! machine. Only disk and network are stand-ins. A seed fixes the whole run; `ROWHOUSE_SIM_SEEDS` sets
//! how many are run, `ROWHOUSE_SIM_SEED` runs one and prints what happens in it.

mod audit;
mod auditor;
mod churn;
mod client;
mod cluster;
mod divergence;
mod load;
mod meta_client;
mod nemesis;
mod nodes;
mod probe;
mod run;
mod trace;
mod wrong_clocks;

use load::Report;
use run::{SimOptions, run};

/// Enough for a change to be looked at; more by `make sim SEEDS=n`.
const SEEDS_DEFAULT: u64 = 50;
/// So many of these runs take as long as one in which the cluster grows and shrinks.
const RUNS_PER_CHURN: u64 = 5;
const FAULT_ROUNDS: u32 = 12;

/// Seeds that once found a bug, kept for ever.
const REGRESSION_SEEDS: [u64; 0] = [];
const CHURN_REGRESSION_SEEDS: [u64; 0] = [];

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok()?.parse().ok()
}

/// Those of a test: the one that was asked for, or the kept ones and the first few, each in place of `runs`.
fn seeds(kept: &[u64], runs: u64) -> Vec<u64> {
    match number(trace::SEED) {
        Some(seed) => vec![seed],
        None => {
            let count = number("ROWHOUSE_SIM_SEEDS").unwrap_or(SEEDS_DEFAULT).div_ceil(runs);
            kept.iter().copied().chain(0..count).collect()
        }
    }
}

fn simulate(seed: u64) -> Report {
    run(SimOptions { seed, fault_rounds: FAULT_ROUNDS })
}

#[test]
fn clients_see_a_linearizable_homeserver_under_faults() {
    let seeds = seeds(&REGRESSION_SEEDS, 1);
    let mut total = Report::default();
    for seed in &seeds {
        println!("seed {seed}");
        total.add(&simulate(*seed));
    }
    println!("{total:?}");
    assert!(total.registered >= seeds.len() as u32, "the meta group must have been used: {total:?}");
    assert!(total.puts > 10 * seeds.len() as u32, "the runs must have written: {total:?}");
    assert!(total.audit.rounds > 5 * seeds.len() as u32, "the feed must have been read: {total:?}");
    if seeds.len() >= SEEDS_DEFAULT as usize {
        let faults = total.faults;
        assert!(
            faults.crashes > 0 && faults.partitions > 0 && faults.one_way > 0 && faults.clock_steps > 0,
            "every fault must have been tried: {faults:?}"
        );
        let audit = total.audit;
        assert!(
            audit.closes > 0 && audit.behind > 0 && audit.resumed > 0 && audit.unsettled > 0,
            "the feed must have been read in every way: {audit:?}"
        );
    }
}

#[test]
fn a_cluster_grows_and_shrinks_under_faults_and_loses_nothing() {
    let mut total = churn::Churned::default();
    let seeds = seeds(&CHURN_REGRESSION_SEEDS, RUNS_PER_CHURN);
    for seed in &seeds {
        println!("seed {seed}");
        total.add(&churn::run(*seed));
    }
    println!("{total:?}");
    if seeds.len() as u64 >= SEEDS_DEFAULT / RUNS_PER_CHURN {
        let (counts, faults) = (total.counts, total.faults);
        assert!(
            counts.changes > 0 && counts.destroyed > 0 && counts.snapshots > 0 && counts.fetched > 0,
            "replicas must have moved: {counts:?}"
        );
        assert!(counts.overtaken > 0 && counts.transfers > 0, "steps must have come too late: {counts:?}");
        assert!(
            faults.crashes > 0 && faults.partitions > 0 && faults.clock_steps > 0 && faults.hand_overs > 0,
            "every fault must have been tried: {faults:?}"
        );
    }
}

#[test]
fn nodes_with_wrong_clocks_serve_and_are_corrected() {
    for (seed, error_us) in (0..).zip(wrong_clocks::ERRORS_US) {
        for errors_us in [[error_us, 0, 0], [error_us; 3]] {
            println!("{errors_us:?}");
            wrong_clocks::run(seed, errors_us);
        }
    }
}

#[test]
fn a_seed_gives_the_same_trace_twice() {
    for seed in [1, 7] {
        let (first, second) = (simulate(seed), simulate(seed));
        assert!(!first.trace.is_empty());
        for (step, (one, other)) in first.trace.iter().zip(&second.trace).enumerate() {
            assert_eq!(one, other, "seed {seed} differs at step {step}");
        }
        assert_eq!(first, second, "seed {seed}");
    }
    assert_eq!(churn::run(1), churn::run(1), "while the cluster grows and shrinks");
}
