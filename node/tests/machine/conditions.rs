//! Conditional writes: If-Match and If-None-Match, judged where the write stands in the log.

use crate::machine_fixture;

use machine_fixture::condition::*;
use machine_fixture::script::*;
use machine_fixture::upload::*;
use machine_fixture::*;
use rowhouse_proto::ErrorCode::*;
use rowhouse_proto::wire::command::command::Body;
use rowhouse_proto::wire::entry::Conditions;
use rowhouse_proto::wire::state::User;

const PATH: &str = "/pub/a";

fn put_if(conditions: Conditions, body: &[u8]) -> Body {
    on(conditions, put(cookie(1), ALICE, PATH, body))
}

#[test]
fn a_write_happens_only_while_its_conditions_hold() {
    let mut script = Script::new();
    assert_eq!(script.both(put_if(if_match(any()), b"x")), Some(PreconditionFailed), "nothing is there");
    assert_eq!(script.both(put_if(if_match(tags(&[b"x"])), b"x")), Some(PreconditionFailed));
    assert_eq!(script.both(put_if(if_none_match(any()), b"one")), None);
    assert_eq!(script.both(put_if(if_none_match(any()), b"two")), Some(PreconditionFailed));
    assert_eq!(script.both(put_if(if_none_match(tags(&[b"one"])), b"two")), Some(PreconditionFailed));
    assert_eq!(script.both(put_if(if_match(tags(&[b"two"])), b"two")), Some(PreconditionFailed));
    assert_eq!(script.get(PATH, None).expect("there").body, &b"one"[..]);
    assert_eq!(script.replica.events().len(), 1, "refusals write no event");
    assert_eq!(script.both(put_if(if_match(tags(&[b"two", b"one"])), b"two")), None);
    assert_eq!(script.both(put_if(if_none_match(tags(&[b"one"])), b"three")), None);
    assert_eq!(script.both(put_if(if_match(any()), b"four")), None);

    let delete_if = |conditions| on(conditions, delete(cookie(1), ALICE, PATH));
    assert_eq!(script.both(delete_if(if_match(tags(&[b"one"])))), Some(PreconditionFailed));
    assert_eq!(script.both(delete_if(if_none_match(any()))), Some(PreconditionFailed));
    assert_eq!(script.both(delete_if(if_match(tags(&[b"four"])))), None);
    for conditions in [if_match(any()), if_match(tags(&[b"four"])), if_none_match(any())] {
        assert_eq!(script.both(delete_if(conditions)), Some(NotFound), "nothing is there");
    }
}

#[test]
fn of_many_writers_with_one_tag_one_wins() {
    let mut script = Script::new();
    assert_eq!(script.run(put(cookie(1), ALICE, PATH, b"first")), None);
    let commands: Vec<_> =
        (0..64u8).map(|writer| script.command(put_if(if_match(tags(&[b"first"])), &[writer]))).collect();
    // All of them passed their leader's judgement before the first was applied.
    let won = script.replica.apply_batch(&commands).iter().filter(|outcome| outcome.code == 0).count();
    assert_eq!(won, 1);
    assert_eq!(script.get(PATH, None).expect("there").body, &[0u8][..]);
    assert_eq!(script.replica.events().len(), 2);
}

#[test]
fn a_retry_hears_of_its_own_success() {
    let mut script = Script::new();
    for (number, body) in [
        put_if(if_none_match(any()), b"one"),
        put_if(if_match(tags(&[b"one"])), b"two"),
        on(if_match(tags(&[b"two"])), delete(cookie(1), ALICE, PATH)),
    ]
    .into_iter()
    .enumerate()
    {
        let first = script.command(body);
        assert_eq!(script.replica.refusal(&first), None, "{number}");
        script.ms += 20_000;
        assert_eq!(script.replica.refusal(&script.again(&first)), None, "{number}");
    }
    assert_eq!(script.replica.events().len(), 3);
}

#[test]
fn every_other_refusal_comes_before_a_condition() {
    let mut script = Script::new();
    assert_eq!(script.run(put(cookie(1), ALICE, PATH, b"one")), None);
    let never = || if_match(tags(&[b"another"]));
    let below = |body| on(never(), put(cookie(1), ALICE, "/pub/a/b", body));
    assert_eq!(script.both(below(b"x")), Some(PathCollision));
    script.set_user(ALICE, &User { quota: Some(quota(None, Some(&["/pub/ok/"]))), ..User::default() });
    assert_eq!(script.both(put_if(never(), b"x")), Some(WritePathNotAllowed));
    script.set_user(ALICE, &User { quota: Some(quota(Some(0), None)), ..User::default() });
    assert_eq!(script.both(put_if(never(), b"x")), Some(QuotaExceeded));
    assert_eq!(script.both(on(never(), put(None, ALICE, PATH, b"x"))), Some(NoSession));
}

#[test]
fn an_upload_is_judged_before_its_body_and_again_at_its_end() {
    let mut script = Script::new();
    let begin_if = |conditions| on(conditions, begin(ALICE, PATH, 4, Some(MIB)));
    assert_eq!(script.early(begin_if(if_match(any()))), Some(PreconditionFailed));
    assert_eq!(script.both(begin_if(if_none_match(any()))), None);
    assert_eq!(script.run(put(cookie(1), ALICE, PATH, b"in between")), None);
    assert_eq!(script.both(on(if_none_match(any()), commit(ALICE, PATH, 4, MIB))), Some(PreconditionFailed));
    assert_eq!(script.get(PATH, None).expect("there").body, &b"in between"[..]);
    assert_eq!(script.both(on(if_match(tags(&[b"in between"])), commit(ALICE, PATH, 4, MIB))), None);
}
