//! Physical bytes: what is counted is what the rows say, at every step; and a user with a quota fills no disk
//! by overwriting.

use crate::machine_fixture;

use machine_fixture::script::*;
use machine_fixture::upload::*;
use machine_fixture::*;
use proptest::prelude::*;
use rowhouse_node::apply::{PHYSICAL_QUOTAS, Precheck, UPLOADS_OF_USER_MAX, precheck};
use rowhouse_node::state::tables;
use rowhouse_proto::ErrorCode::{self, *};
use rowhouse_proto::UPLOAD_WINDOW_BYTES;
use rowhouse_proto::wire::command::command::Body;
use rowhouse_proto::wire::state::PhysicalUsage;

const QUOTA: u64 = 8 * MIB;
const BOUND: u64 = PHYSICAL_QUOTAS * QUOTA + UPLOAD_WINDOW_BYTES;

/// Alice has a quota, Bob has none.
fn with_quota() -> Script {
    let mut script = Script::new();
    script.limit(ALICE, QUOTA);
    script
}

fn upload(script: &mut Script, user: u8, nth: u16, length: u64) -> Option<ErrorCode> {
    let object = wide_id(nth);
    let refused = script.run(begin_id(user, "/pub/a", &object, Some(length)));
    refused.or_else(|| script.run(commit_id(user, "/pub/a", &object, length)))
}

fn early(script: &mut Script, body: Body) -> Precheck {
    let now_ms = START_MS + script.ms;
    let command = script.command(body);
    precheck(&script.replica.view(), &command, None, now_ms).expect("readable")
}

#[test]
fn overwriting_in_a_loop_fills_no_disk() {
    let mut script = with_quota();
    let mut nth = 0;
    let mut fill = |script: &mut Script| {
        for _ in 0..1000 {
            nth += 1;
            match upload(script, ALICE, nth, MIB) {
                None => script.ms += 1,
                refused => return refused,
            }
        }
        None
    };
    assert_eq!(fill(&mut script), Some(TooMuchStored));
    assert_eq!(physical(&script.replica, ALICE).bytes, BOUND, "to the last byte");
    let again = early(&mut script, begin(ALICE, "/pub/b", 255, Some(1)));
    assert_eq!(again, Precheck::Refused(TooMuchStored.into()), "before it comes to the log");
    assert_eq!(
        script.run(put(cookie(1), ALICE, "/pub/small", b"x")),
        None,
        "small bodies leave no old version"
    );
    assert!(script.get("/pub/a", None).is_ok());
    assert_eq!(upload(&mut script, BOB, 60_000, 100 * MIB), None, "another user's disk");

    for expected in [BOUND, MIB] {
        assert_eq!(physical(&script.replica, ALICE).bytes, expected);
        for _ in 0..2 {
            script.ms += GRACE_MS;
            script.run(collect());
        }
    }
    assert_eq!(fill(&mut script), Some(TooMuchStored), "and works again after the grace");
    assert_eq!(physical(&script.replica, ALICE), counted(&script.replica, ALICE));
}

#[test]
fn what_is_declared_counts_until_its_put() {
    let mut script = with_quota();
    assert_eq!(script.run(begin(ALICE, "/pub/a", 1, Some(3 * MIB))), None);
    assert_eq!(physical(&script.replica, ALICE), PhysicalUsage { bytes: 3 * MIB, uploads: 1 });
    assert_eq!(script.run(renew(ALICE, "/pub/a", 1)), None);
    assert_eq!(physical(&script.replica, ALICE).bytes, UPLOAD_WINDOW_BYTES, "this one may be any length");
    assert_eq!(script.run(commit(ALICE, "/pub/a", 1, 2 * MIB)), None);
    assert_eq!(physical(&script.replica, ALICE), PhysicalUsage { bytes: 2 * MIB, uploads: 0 });

    // Given up: it counts until its chunks are erased.
    assert_eq!(script.run(begin(ALICE, "/pub/b", 2, Some(5 * MIB))), None);
    script.ms += LIFETIME_MS;
    script.run(collect());
    assert_eq!(physical(&script.replica, ALICE), PhysicalUsage { bytes: 7 * MIB, uploads: 0 });
    script.ms += GRACE_MS;
    script.run(collect());
    assert_eq!(physical(&script.replica, ALICE).bytes, 2 * MIB);
    assert_eq!(script.run(delete(cookie(1), ALICE, "/pub/a")), None);
    assert_eq!(physical(&script.replica, ALICE).bytes, 2 * MIB, "readers may be at it");
    for _ in 0..2 {
        script.ms += GRACE_MS;
        script.run(collect());
    }
    assert_eq!(script.replica.rows_of(tables::PHYSICAL_USAGE), 0);
}

#[test]
fn a_body_of_unknown_length_counts_as_it_grows() {
    let mut script = with_quota();
    let object = id(1);
    assert_eq!(script.run(begin_id(ALICE, "/pub/a", &object, None)), None);
    assert_eq!(physical(&script.replica, ALICE).bytes, UPLOAD_WINDOW_BYTES);
    assert_eq!(script.run(renew_with(ALICE, "/pub/a", &object, BOUND)), None);
    assert_eq!(script.run(renew(ALICE, "/pub/a", 1)), None, "more time alone");
    assert_eq!(physical(&script.replica, ALICE).bytes, BOUND);
    let more = renew_with(ALICE, "/pub/a", &object, BOUND + 1);
    assert_eq!(early(&mut script, more.clone()), Precheck::Refused(TooMuchStored.into()));
    assert_eq!(script.run(more), Some(TooMuchStored));
    assert_eq!(script.run(commit(ALICE, "/pub/a", 1, QUOTA - 256)), None, "what it turned out to be");
    assert_eq!(physical(&script.replica, ALICE).bytes, QUOTA - 256);
    assert_eq!(script.run(begin(BOB, "/pub/a", 2, Some(u64::MAX))), None, "no quota, no bound");
    assert_eq!(script.run(begin(BOB, "/pub/a", 3, None)), Some(TooMuchStored), "but that of counting");
}

#[test]
fn a_put_longer_than_it_said_is_judged_again() {
    let mut script = with_quota();
    for n in 1..=3 {
        assert_eq!(script.run(begin(ALICE, &format!("/pub/{n}"), n, Some(QUOTA - 256))), None);
    }
    assert_eq!(script.run(begin(ALICE, "/pub/4", 4, Some(1))), None);
    let before = physical(&script.replica, ALICE);
    assert_eq!(script.run(commit(ALICE, "/pub/4", 4, QUOTA - 256)), Some(TooMuchStored));
    assert_eq!(physical(&script.replica, ALICE), before, "a refused put changes nothing");
    assert_eq!(script.run(commit(ALICE, "/pub/4", 4, MIB)), None);
}

#[test]
fn one_user_holds_a_bounded_number_of_uploads() {
    let mut script = Script::new();
    let most = u16::try_from(UPLOADS_OF_USER_MAX).expect("a few");
    for n in 0..most {
        assert_eq!(script.run(begin_id(ALICE, "/pub/a", &wide_id(n), None)), None);
    }
    let one_more = begin_id(ALICE, "/pub/a", &wide_id(most), None);
    assert_eq!(early(&mut script, one_more.clone()), Precheck::Refused(TooManyUploads.into()));
    assert_eq!(script.run(one_more.clone()), Some(TooManyUploads));
    assert_eq!(script.run(renew_with(ALICE, "/pub/a", &wide_id(0), 0)), None, "it goes on with those it has");
    assert_eq!(script.run(begin_id(BOB, "/pub/a", &wide_id(most + 1), None)), None, "and others with theirs");
    assert_eq!(script.run(commit_id(ALICE, "/pub/a", &wide_id(1), MIB)), None);
    assert_eq!(script.run(one_more), None, "one is done");
    script.ms += LIFETIME_MS;
    script.run(collect());
    assert_eq!(physical(&script.replica, ALICE).uploads, 0, "the rest were given up");
}

#[derive(Clone, Debug)]
enum Step {
    Begin { user: u8, path: u8, n: u8, declared: Option<u64> },
    Renew { user: u8, n: u8, reserved: u64 },
    Commit { user: u8, path: u8, n: u8, length: u64 },
    Small { user: u8, path: u8 },
    Delete { user: u8, path: u8 },
    Collect,
    Wait(u64),
    Setback(u64),
}

fn step() -> impl Strategy<Value = Step> {
    let (user, path, n) = (1u8..3, 0u8..3, 0u8..12);
    let length = || prop_oneof![4 => 1u64..3 * MIB, 2 => QUOTA - 300..QUOTA, 1 => any::<u64>()];
    prop_oneof![
        6 => (user.clone(), path.clone(), n.clone(), prop::option::of(length()))
            .prop_map(|(user, path, n, declared)| Step::Begin { user, path, n, declared }),
        2 => (user.clone(), n.clone(), length()).prop_map(|(user, n, reserved)| Step::Renew { user, n, reserved }),
        6 => (user.clone(), path.clone(), n, length())
            .prop_map(|(user, path, n, length)| Step::Commit { user, path, n, length }),
        1 => (user.clone(), path.clone()).prop_map(|(user, path)| Step::Small { user, path }),
        2 => (user, path).prop_map(|(user, path)| Step::Delete { user, path }),
        3 => Just(Step::Collect),
        3 => (0u64..600).prop_map(Step::Wait),
        1 => (0u64..2_000).prop_map(Step::Setback),
    ]
}

fn body_of(step: &Step) -> Option<Body> {
    let at = |path: &u8| format!("/pub/{path}");
    Some(match step {
        Step::Begin { user, path, n, declared } => begin(*user, &at(path), *n, *declared),
        Step::Renew { user, n, reserved } => renew_with(*user, "/pub/0", &id(*n), *reserved),
        Step::Commit { user, path, n, length } => commit(*user, &at(path), *n, *length),
        Step::Small { user, path } => put(cookie(*user), *user, &at(path), b"small"),
        Step::Delete { user, path } => delete(cookie(*user), *user, &at(path)),
        Step::Collect => collect(),
        Step::Wait(_) | Step::Setback(_) => return None,
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_counters_are_what_the_rows_say(steps in prop::collection::vec(step(), 1..80)) {
        let mut script = with_quota();
        for step in &steps {
            match step {
                Step::Wait(ms) => script.ms += ms,
                Step::Setback(ms) => script.ms = script.ms.saturating_sub(*ms),
                _ => {}
            }
            let Some(body) = body_of(step) else { continue };
            let before = physical(&script.replica, ALICE);
            let refused = script.run(body);
            for user in [ALICE, BOB] {
                prop_assert_eq!(physical(&script.replica, user), counted(&script.replica, user), "{:?}", step);
            }
            let both = counted(&script.replica, ALICE).uploads + counted(&script.replica, BOB).uploads;
            prop_assert_eq!(uploads(&script.replica), both);
            let after = physical(&script.replica, ALICE);
            prop_assert!(after.bytes <= BOUND);
            prop_assert!(refused.is_none() || after == before, "a refusal changed {:?}", step);
        }
        // Longer than all setbacks together: an age rises only with the present.
        script.pass(200_000);
        for path in 0..3 {
            for user in [ALICE, BOB] {
                script.run(delete(cookie(user), user, &format!("/pub/{path}")));
            }
        }
        for _ in 0..3 {
            script.run(collect());
            script.ms += GRACE_MS;
        }
        prop_assert_eq!(script.replica.rows_of(tables::PHYSICAL_USAGE), 0, "nothing is left");
    }
}
