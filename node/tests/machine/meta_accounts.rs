//! Signup tokens, settings and the audit chain in the meta group.

use crate::machine_fixture::meta_store::{NOW_MS, Store, bootstrap};
use crate::machine_fixture::{Rows, account::TOKEN, hash, quota};

use bytes::Bytes;
use prost::Message;
use rowhouse_node::apply::ACCOUNTS_SINCE;
use rowhouse_node::meta::{self, AUDIT_RECORDS_MAX, MetaMachine, SIGNUP_TOKENS_MAX, audit_hash, audit_page};
use rowhouse_proto::wire::account::{QuotaField, QuotaPatch, UserQuota};
use rowhouse_proto::wire::command::meta_command::Body;
use rowhouse_proto::wire::command::{
    AppendAudit, ChangeSettings, CreateSignupToken, ReserveSignupToken, SettleSignupToken,
};
use rowhouse_proto::wire::meta::list_signup_tokens::State;
use rowhouse_proto::wire::meta::{AuditRecord, ClusterRecord, ListSignupTokens, SignupToken};
use rowhouse_proto::{COMMAND_VERSION, COMMAND_VERSIONS, META_GROUP, VersionRange};
use rowhouse_raft::state::{Txn, View};
use rowhouse_raft::{EntryContext, Error, Machine};

fn store() -> Store {
    let mut store = Store::default();
    store.accepted(bootstrap(3, 16));
    store
}

fn view(store: &Store) -> View<'_> {
    View::new(&store.0, Bytes::new())
}

fn cluster(store: &Store) -> ClusterRecord {
    meta::cluster(&view(store)).expect("readable").expect("bootstrapped")
}

/// As if everything before had happened.
fn change_cluster(rows: &mut Rows, change: impl FnOnce(&mut ClusterRecord)) {
    let value = rows.0.get_mut(&b"\x01"[..]).expect("bootstrapped");
    let mut record = ClusterRecord::decode(&value[1..]).expect("a stored message");
    change(&mut record);
    *value = [&value[..1], &record.encode_to_vec()].concat().into();
}

fn create(token: &str, id: u8) -> Body {
    let id = vec![id; 16].into();
    Body::CreateSignupToken(CreateSignupToken { token: token.into(), id, quota: None })
}

fn reserve(token: &str, user: u8) -> Body {
    Body::ReserveSignupToken(ReserveSignupToken { token: token.into(), user: hash(user) })
}

fn settle(token: &str, number: u64, spent: bool) -> Body {
    Body::SettleSignupToken(SettleSignupToken { token: token.into(), number, spent })
}

fn token(store: &Store, token: &str) -> SignupToken {
    meta::signup_token(&view(store), token).expect("readable").expect("a token")
}

/// All and spent.
fn totals(store: &Store) -> (u64, u64) {
    let cluster = cluster(store);
    (cluster.signup_tokens, cluster.spent_signup_tokens)
}

fn page(store: &Store, state: State, after: &str, limit: usize) -> Vec<String> {
    let query = ListSignupTokens { after: after.into(), state: state.into(), ..ListSignupTokens::default() };
    let rows = meta::signup_token_page(&view(store), &query, limit).expect("readable");
    rows.into_iter().map(|row| row.token).collect()
}

fn unchanged(store: &mut Store, body: Body) {
    let before = store.0.0.clone();
    store.accepted(body);
    assert_eq!(before, store.0.0, "all was so already");
}

#[test]
fn a_token_is_made_once_however_often_it_is_asked_for() {
    let mut store = Store::default();
    store.refused(create(TOKEN, 1));
    store.accepted(bootstrap(3, 16));
    let version = store.map().map_version;
    let own = quota(Some(5), Some(&["/pub/app/"]));
    let with_quota = |quota| {
        let id = vec![1; 16].into();
        Body::CreateSignupToken(CreateSignupToken { token: TOKEN.into(), id, quota: Some(quota) })
    };
    store.refused(with_quota(quota(None, Some(&["/"]))));
    store.accepted(with_quota(own.clone()));
    unchanged(&mut store, with_quota(own.clone()));
    store.refused(create(TOKEN, 2));
    let row = token(&store, TOKEN);
    assert_eq!(
        (row.quota, row.created_at_ms, row.used_by, row.reservation),
        (Some(own), NOW_MS, Bytes::new(), 0)
    );
    for text in ["", &"x".repeat(65)] {
        store.refused(create(text, 3));
    }
    store.accepted(create(&"x".repeat(64), 3));
    let short = CreateSignupToken { token: "t".into(), id: vec![1; 15].into(), quota: None };
    store.refused(Body::CreateSignupToken(short));
    assert_eq!(totals(&store), (2, 0));
    assert_eq!(store.map().map_version, version, "no map has them");
    assert_eq!(meta::signup_token(&view(&store), "unknown").expect("readable"), None);
}

#[test]
fn tokens_are_bounded() {
    let mut store = store();
    change_cluster(&mut store.0, |cluster| cluster.signup_tokens = SIGNUP_TOKENS_MAX - 1);
    store.accepted(create("last", 1));
    store.refused(create("one more", 2));
    unchanged(&mut store, create("last", 1));
}

#[test]
fn a_token_is_kept_for_one_user_at_a_time() {
    let mut store = Store::default();
    store.refused(reserve(TOKEN, 1));
    store.accepted(bootstrap(3, 16));
    store.refused(reserve(TOKEN, 1));
    store.accepted(create(TOKEN, 1));
    store.accepted(create("another", 2));
    let nobody = ReserveSignupToken { token: TOKEN.into(), user: hash(1).slice(..31) };
    store.refused(Body::ReserveSignupToken(nobody));
    store.accepted(reserve(TOKEN, 1));
    unchanged(&mut store, reserve(TOKEN, 1));
    store.refused(reserve(TOKEN, 2));
    store.accepted(reserve("another", 2));
    let row = token(&store, TOKEN);
    assert_eq!((row.reserved_by, row.reservation, row.reserved_at_ms), (hash(1), 1, NOW_MS));
    assert_eq!(token(&store, "another").reservation, 2, "no number is given twice");
    assert_eq!(totals(&store), (2, 0));
}

#[test]
fn only_the_reservation_that_is_meant_is_settled() {
    let mut store = Store::default();
    store.refused(settle(TOKEN, 1, true));
    store.accepted(bootstrap(3, 16));
    store.refused(settle(TOKEN, 1, true));
    store.accepted(create(TOKEN, 1));
    for number in [0, 1] {
        unchanged(&mut store, settle(TOKEN, number, true));
    }
    store.accepted(reserve(TOKEN, 1));
    store.accepted(settle(TOKEN, 1, false));
    assert_eq!((token(&store, TOKEN).reserved_by, totals(&store)), (Bytes::new(), (1, 0)));
    unchanged(&mut store, settle(TOKEN, 1, true));

    store.accepted(reserve(TOKEN, 2));
    for spent in [true, false] {
        unchanged(&mut store, settle(TOKEN, 1, spent));
    }
    store.accepted(settle(TOKEN, 2, true));
    let row = token(&store, TOKEN);
    assert_eq!((row.used_by, row.used_at_ms, row.reserved_by), (hash(2), NOW_MS, Bytes::new()));
    for (number, spent) in [(2, true), (2, false), (3, true)] {
        unchanged(&mut store, settle(TOKEN, number, spent));
    }
    for user in [1, 2] {
        store.refused(reserve(TOKEN, user));
    }
    assert_eq!(totals(&store), (1, 1));
}

#[test]
fn tokens_are_listed_by_their_state() {
    let mut store = store();
    for (id, text) in (1..).zip(["b", "c", "a", "ab", "d"]) {
        store.accepted(create(text, id));
    }
    for (number, text) in (1..).zip(["c", "a", "d"]) {
        store.accepted(reserve(text, number));
    }
    store.accepted(settle("c", 1, true));
    store.accepted(settle("d", 3, false));
    assert_eq!(page(&store, State::All, "", 10), ["a", "ab", "b", "c", "d"]);
    assert_eq!(page(&store, State::All, "a", 2), ["ab", "b"], "exclusive");
    assert_eq!(page(&store, State::All, "aa", 1), ["ab"], "it need not exist");
    assert_eq!(page(&store, State::All, "d", 10), [""; 0]);
    assert_eq!(page(&store, State::Used, "", 10), ["c"]);
    assert_eq!(page(&store, State::Unused, "", 10), ["a", "ab", "b", "d"], "kept ones are not used yet");
    assert_eq!(page(&store, State::Unused, "ab", 10), ["b", "d"]);
    assert_eq!(page(&store, State::All, "", 0), [""; 0]);

    let held = |limit, now_ms| meta::held(&view(&store), limit, now_ms).expect("readable");
    let one = held(10, NOW_MS + 5);
    let facts = |held: &rowhouse_proto::wire::meta::HeldToken| {
        (held.token.clone(), held.user.clone(), held.number, held.age_ms)
    };
    assert_eq!(one.iter().map(facts).collect::<Vec<_>>(), [("a".to_owned(), hash(2), 2, 5)]);
    assert_eq!(held(10, NOW_MS - 5)[0].age_ms, 0, "by a clock behind");
    assert_eq!(held(0, NOW_MS).len(), 0);
    store.accepted(reserve("b", 9));
    assert_eq!(meta::held(&view(&store), 1, NOW_MS).expect("readable").len(), 1);
    assert_eq!(totals(&store), (5, 1));
}

fn change(signup_mode: Option<&str>, set: Option<UserQuota>, reset: &[QuotaField]) -> Body {
    let reset = reset.iter().map(|field| i32::from(*field)).collect();
    let signup_mode = signup_mode.map(str::to_owned);
    Body::ChangeSettings(ChangeSettings { signup_mode, defaults: Some(QuotaPatch { set, reset }) })
}

#[test]
fn settings_are_changed_one_by_one_and_told_in_the_map() {
    let mut store = Store::default();
    store.refused(change(Some("open"), None, &[]));
    store.accepted(bootstrap(3, 16));
    let version = store.map().map_version;
    store.accepted(change(Some("token_required"), None, &[]));
    let settings = |store: &Store| store.map().settings.expect("settings");
    assert_eq!(settings(&store).signup_mode, "token_required");
    assert_eq!(store.map().map_version, version + 1);
    store.accepted(change(None, Some(quota(Some(7), None)), &[]));
    let read = UserQuota { rate_read: Some("1mb/s".into()), ..UserQuota::default() };
    store.accepted(change(None, Some(read.clone()), &[]));
    let both = UserQuota { rate_read: read.rate_read, ..quota(Some(7), None) };
    assert_eq!(settings(&store).defaults, Some(both.clone()));
    unchanged(&mut store, change(Some("token_required"), Some(both), &[]));
    assert_eq!(store.map().map_version, version + 3, "nothing changed, nothing is told");
    let burst = UserQuota { rate_write_burst: Some(5), ..UserQuota::default() };
    for bad in [
        change(Some(""), None, &[]),
        change(Some("closed"), Some(quota(Some(1), None)), &[]),
        change(None, Some(quota(None, Some(&["/pub/"]))), &[]),
        change(None, None, &[QuotaField::AllowedWritePaths]),
        change(Some("open"), Some(burst), &[]),
    ] {
        store.refused(bad);
    }
    assert!(!store.apply_as(ACCOUNTS_SINCE - 1, change(Some("token_required"), None, &[])).accepted);
    store.accepted(change(Some("open"), None, &[QuotaField::Storage, QuotaField::RateRead]));
    assert_eq!(
        (settings(&store).signup_mode, settings(&store).defaults),
        ("open".into(), Some(UserQuota::default()))
    );
}

fn audit(nth: u64, action: &str) -> Body {
    Body::AppendAudit(AppendAudit {
        id: Bytes::copy_from_slice(&u128::from(nth).to_be_bytes()),
        who: "admin from 127.0.0.1".into(),
        action: action.into(),
        target: "a user".into(),
        result: String::new(),
    })
}

fn records(store: &Store, from: u64, limit: usize) -> Vec<AuditRecord> {
    audit_page(&view(store), from, limit).expect("readable")
}

/// The first record that does not follow from the one before it, or is not what was written.
fn broken_at(records: &[AuditRecord], newest: &Bytes) -> Option<u64> {
    let mut previous = records.first()?.previous.clone();
    for record in records {
        if record.previous != previous || record.hash != audit_hash(record) {
            return Some(record.number);
        }
        previous = record.hash.clone();
    }
    (previous != *newest).then(|| records.last().map_or(0, |last| last.number + 1))
}

#[test]
fn the_audit_chain_tells_when_a_record_was_changed_or_is_missing() {
    let mut store = Store::default();
    store.refused(audit(1, "before everything"));
    store.accepted(bootstrap(3, 16));
    let version = store.map().map_version;
    for nth in 1..=9 {
        assert!(store.apply_at(COMMAND_VERSION, NOW_MS + nth, audit(nth, &format!("action {nth}"))).accepted);
    }
    let (all, newest) = (records(&store, 0, 100), cluster(&store).audit_hash);
    let facts: Vec<(u64, u64)> = all.iter().map(|record| (record.number, record.at_ms)).collect();
    assert_eq!(facts, (1..=9).map(|nth| (nth, NOW_MS + nth)).collect::<Vec<_>>());
    assert_eq!((all[0].previous.len(), all[8].hash.clone()), (0, newest.clone()));
    assert_eq!(store.map().map_version, version);
    assert_eq!(broken_at(&all, &newest), None);

    type Tamper = fn(&mut Vec<AuditRecord>);
    let tampered: [(Tamper, u64); 6] = [
        (|all| all[3].result = "done".into(), 4),
        (|all| all[3].at_ms += 1, 4),
        (|all| all.swap(3, 4), 5),
        (|all| drop(all.remove(3)), 5),
        (|all| drop(all.pop()), 9),
        (
            |all| {
                all[3].who = "somebody else".into();
                all[3].hash = audit_hash(&all[3]);
            },
            5,
        ),
    ];
    for (tamper, at) in tampered {
        let mut changed = all.clone();
        tamper(&mut changed);
        assert_eq!(broken_at(&changed, &newest), Some(at));
    }
}

#[test]
fn an_audit_record_is_written_once_and_bounded() {
    let mut store = store();
    store.accepted(audit(1, "first"));
    unchanged(&mut store, audit(1, "first, again"));
    let Body::AppendAudit(record) = audit(2, "") else { panic!("a record") };
    for field in 0..4 {
        let mut long = record.clone();
        let text = [&mut long.who, &mut long.action, &mut long.target, &mut long.result];
        *text.into_iter().nth(field).expect("one of four") = "x".repeat(1025);
        store.refused(Body::AppendAudit(long));
    }
    store.refused(Body::AppendAudit(AppendAudit { id: hash(1), ..record.clone() }));
    store.accepted(Body::AppendAudit(AppendAudit { who: "x".repeat(1024), ..record }));
    assert_eq!(records(&store, 0, 100).len(), 2);
}

#[test]
fn the_oldest_audit_records_go_and_the_chain_goes_on() {
    let mut store = store();
    let more = 3;
    for nth in 1..=AUDIT_RECORDS_MAX + more {
        store.accepted(audit(nth, "again"));
    }
    let all = records(&store, 0, usize::MAX);
    assert_eq!((all.len() as u64, all[0].number), (AUDIT_RECORDS_MAX, more + 1));
    assert!(!all[0].previous.is_empty(), "it names the one that is gone");
    assert_eq!(broken_at(&all, &cluster(&store).audit_hash), None);
    assert_eq!(records(&store, 1, 2), all[..2], "from before the oldest");
    assert_eq!(records(&store, more + 3, 2), all[2..4]);
    assert_eq!(records(&store, AUDIT_RECORDS_MAX + more + 1, 2), []);
    let rows_before = store.0.0.len();
    store.accepted(audit(1, "its id is forgotten with it"));
    assert_eq!(store.0.0.len(), rows_before, "rows are bounded");
}

#[test]
fn a_program_without_tokens_stops_at_their_commands() {
    let store = store();
    let old = MetaMachine { versions: VersionRange { max: COMMAND_VERSION - 1, ..COMMAND_VERSIONS } };
    let context = EntryContext { group: META_GROUP as u16, term: 1, index: 9, voters: &[] };
    let mut txn = Txn::new(view(&store));
    let command = meta::encode(COMMAND_VERSION, create(TOKEN, 1), NOW_MS);
    let stopped = old.apply(context, &command, &mut txn).expect_err("must stop");
    assert!(matches!(&stopped, Error::Unapplicable { index: 9, .. }), "{stopped}");
    assert!(txn.into_writes().is_empty());
}
