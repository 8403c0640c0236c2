//! `Last-Modified`: a client that asks whether its copy still holds hears of every change.

use crate::machine_fixture;

use machine_fixture::script::*;
use machine_fixture::*;
use proptest::prelude::*;

/// The time in the header of Alice's file.
fn modified_s(script: &Script, path: &str) -> u64 {
    script.get(path, None).expect("a file").modified_ms / 1000
}

fn write(script: &mut Script, path: &str, body: &[u8]) -> u64 {
    assert_eq!(script.run(put(cookie(1), ALICE, path, body)), None);
    modified_s(script, path)
}

#[test]
fn overwrites_within_a_second_run_ahead_of_the_clock() {
    let mut script = Script::new();
    let start_s = START_MS / 1000;
    for nth in 0..5 {
        assert_eq!(write(&mut script, "/pub/a", &[nth]), start_s + u64::from(nth));
    }
    assert_eq!(write(&mut script, "/pub/a", &[4]), start_s + 4, "the same bytes are no change");
    script.ms = 60_500;
    assert_eq!(write(&mut script, "/pub/a", &[4]), start_s + 60, "yet the time of the last PUT");
    assert_eq!(write(&mut script, "/pub/a", &[5]), start_s + 61);
    assert_eq!(write(&mut script, "/pub/b", &[5]), start_s + 60, "other files follow the clock");
}

#[test]
fn a_clock_that_stepped_back_hides_no_change() {
    let mut script = Script::new();
    script.ms = 60_000;
    let first = write(&mut script, "/pub/a", b"first");
    script.ms = 0;
    assert_eq!(write(&mut script, "/pub/a", b"second"), first + 1);
    assert_eq!(write(&mut script, "/pub/a", b"third"), first + 2);
}

#[test]
fn a_file_after_a_deleted_one_is_newer() {
    let mut script = Script::new();
    let first = write(&mut script, "/pub/a", b"first");
    assert_eq!(script.run(delete(cookie(1), ALICE, "/pub/a")), None);
    assert_eq!(write(&mut script, "/pub/a", b"second"), first + 1);
    script.ms = 5_000;
    assert_eq!(script.run(delete(cookie(1), ALICE, "/pub/a")), None);
    assert_eq!(write(&mut script, "/pub/a", b"third"), first + 5, "with the clock, where that is enough");
}

#[derive(Clone, Debug)]
enum Step {
    Put(u8),
    Delete,
    Wait(u64),
    Setback(u64),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (0u8..3).prop_map(Step::Put),
        2 => Just(Step::Delete),
        3 => (0u64..2_500).prop_map(Step::Wait),
        1 => (0u64..100_000).prop_map(Step::Setback),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_copy_of_other_bytes_is_taken_for_current(steps in prop::collection::vec(step(), 1..60)) {
        let mut script = Script::new();
        let mut latest = 0;
        // Clients may have kept the header, and the bytes it came with.
        let mut copies: Vec<(u64, u8)> = Vec::new();
        for step in steps {
            latest = script.ms.max(latest);
            match step {
                Step::Wait(ms) => script.ms += ms,
                // A leader further behind has its requests refused as too old.
                Step::Setback(ms) => {
                    script.ms = script.ms.saturating_sub(ms).max(latest.saturating_sub(100_000));
                }
                Step::Delete => {
                    script.run(delete(cookie(1), ALICE, "/pub/a"));
                }
                Step::Put(body) => {
                    let modified = write(&mut script, "/pub/a", &[body]);
                    for (since, kept) in &copies {
                        // 304 is for a copy that is not older (docs/rules/protocol.md#headers-and-conditions).
                        prop_assert!(*since < modified || *kept == body, "{since} {kept}, {modified} {body}");
                        prop_assert!(*since <= modified, "it never goes back");
                    }
                    copies.push((modified, body));
                }
            }
        }
    }
}
