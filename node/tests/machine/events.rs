//! Events of a shard and of its users, against sorting and filtering all of them.

use crate::machine_fixture;

use machine_fixture::*;
use proptest::prelude::*;
use rowhouse_node::apply::ApplyError;
use rowhouse_node::read::list_events;
use rowhouse_proto::ErrorCode;
use rowhouse_proto::wire::command::Command;
use rowhouse_proto::wire::shard::{
    Credential, EventRecord, ListEvents, UserCursor, credential::Kind as Presented,
};

const USERS: std::ops::Range<u8> = 1..4;
/// One that matches no path filter of these tests.
const UNSEEN: &str = "/pub/unseen/x";

/// Users 1, 2 and 3, each with a root session under their own number.
fn with_users() -> Replica {
    let mut replica = Replica::default();
    for user in USERS {
        let number = u64::from(user);
        let signup = command(number, number, create_user(user, auth_token(number, 0), user));
        assert_eq!(replica.refusal(&signup), None);
    }
    replica
}

/// One write a millisecond.
fn write(replica: &mut Replica, writes: &[(u8, &str)]) {
    let commands: Vec<Command> = (100..)
        .zip(writes)
        .map(|(at, (user, path))| command(at, at, put(cookie(*user), *user, path, b"x")))
        .collect();
    assert!(replica.apply_batch(&commands).iter().all(|outcome| code(outcome).is_none()));
}

fn list(replica: &Replica, query: &ListEvents) -> Result<(Vec<EventRecord>, u64), ErrorCode> {
    match list_events(&replica.view(), SHARD, query, START_MS) {
        Ok(page) => Ok((page.events, page.reached)),
        Err(ApplyError::Refused(refusal)) => Err(refusal.code),
        Err(ApplyError::Failed(error)) => panic!("{error}"),
    }
}

/// All pages of the query.
fn list_all(replica: &Replica, query: &ListEvents) -> Vec<u64> {
    let (mut query, mut found) = (query.clone(), Vec::new());
    for _ in 0..1000 {
        let (events, reached) = list(replica, &query).expect("allowed");
        assert!(events.len() <= query.limit as usize);
        found.extend(events.iter().map(|event| event.id));
        if reached == 0 {
            return found;
        }
        query.after = reached;
    }
    panic!("the pages do not end");
}

fn cursor_of(user: u8, after: u64) -> UserCursor {
    UserCursor { user: key_of(user), after }
}

fn as_user(secret: u8) -> Option<Credential> {
    Some(Credential { kind: Some(Presented::CookieHash(hash(secret))) })
}

fn path() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec![
        "/pub/b",
        "/pub/a/b",
        "/pub/a_b",
        "/pub/a%b",
        "/pub/axb",
        "/priv/a",
        "/priv/b/c",
    ])
}

fn filter() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec![
        "/pub/",
        "/pub/a/",
        "/pub/a_b",
        "/pub/a",
        "/pub/b",
        "/priv/",
        "/priv/b/",
        "/pub/none/",
    ])
}

fn matches(path: &str, filters: &[&str]) -> bool {
    filters.is_empty()
        || filters.iter().any(
            |filter| {
                if filter.ends_with('/') { path.starts_with(filter) } else { path == *filter }
            },
        )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn pages_are_what_sorting_and_filtering_everything_gives(
        writes in prop::collection::vec((USERS, path()), 0..60),
        wanted in prop::collection::btree_map(USERS, 0usize..70, 0..4),
        filters in prop::collection::vec(filter(), 0..3),
        limit in 1u32..12,
        after in 0usize..70,
        reverse: bool,
    ) {
        let mut replica = with_users();
        write(&mut replica, &writes);
        let all = replica.events();
        prop_assert_eq!(all.len(), writes.len());
        // A cursor between two events as well as at one; 0 is none.
        let id_at = |place: usize| match place {
            0 => 0,
            place => all.get(place / 2).map_or(u64::MAX >> 11, |event| event.id + (place % 2) as u64),
        };
        let is_behind = |id: u64, after: u64| if reverse { after == 0 || id < after } else { id > after };
        let operator = Some(Credential { kind: Some(Presented::Operator(true)) });
        let query = ListEvents {
            after: id_at(after),
            limit,
            users: wanted.iter().map(|(user, place)| cursor_of(*user, id_at(*place))).collect(),
            paths: filters.iter().map(|path| (*path).to_owned()).collect(),
            reverse,
            credential: operator,
        };
        let is_wanted = |event: &EventRecord| {
            let user = query.users.iter().find(|it| it.user == event.user);
            let by_user = user.map_or(query.users.is_empty(), |it| is_behind(event.id, it.after));
            by_user && is_behind(event.id, query.after) && matches(&event.path, &filters)
        };
        let mut expected: Vec<u64> = all.iter().filter(|event| is_wanted(event)).map(|event| event.id).collect();
        if reverse {
            expected.reverse();
        }
        prop_assert_eq!(list_all(&replica, &query), expected);
    }
}

#[test]
fn many_events_at_other_paths_are_passed_over_in_bounded_pages() {
    let mut replica = with_users();
    let writes: Vec<(u8, &str)> =
        std::iter::repeat_n((1, UNSEEN), 10_000).chain([(1, "/pub/seen")]).collect();
    write(&mut replica, &writes);
    let last = replica.events().last().expect("events").id;
    for users in [vec![], vec![cursor_of(1, 0)]] {
        let query = ListEvents { limit: 5, users, paths: vec!["/pub/seen".into()], ..ListEvents::default() };
        let (events, reached) = list(&replica, &query).expect("allowed");
        assert!(events.is_empty() && reached > 0 && reached < last, "the first page looked at a part");
        assert_eq!(list_all(&replica, &query), [last]);
    }
}

#[test]
fn clients_read_events_where_they_may_read_files() {
    use ErrorCode::*;
    let mut replica = with_users();
    write(&mut replica, &[(1, "/pub/a"), (1, "/priv/a"), (2, "/priv/a")]);
    let half = command(90, 90, open_session(1, auth_token(90, 0), 9, &["/priv/a:r"]));
    assert_eq!(replica.refusal(&half), None);
    let query = |users: &[u8], paths: &[&str], secret: Option<u8>| ListEvents {
        users: users.iter().map(|user| cursor_of(*user, 0)).collect(),
        paths: paths.iter().map(|path| (*path).to_owned()).collect(),
        credential: secret.and_then(as_user),
        ..ListEvents::default()
    };
    type Case = (&'static [u8], &'static [&'static str], Option<u8>, Result<usize, ErrorCode>);
    let table: &[Case] = &[
        (&[1], &["/pub/"], None, Ok(1)),
        (&[1], &["/pub/"], Some(77), Ok(1)),
        (&[1, 2], &["/pub/"], None, Ok(1)),
        (&[1], &[], Some(1), Err(ReadOutsideRoots)),
        (&[1], &["/"], Some(1), Err(ReadOutsideRoots)),
        (&[1], &["/pub"], Some(1), Err(ReadOutsideRoots)),
        (&[1], &["/priv/"], None, Err(ReadNeedsAuth)),
        (&[1], &["/priv/"], Some(77), Err(ReadNeedsAuth)),
        (&[1], &["/priv/"], Some(1), Ok(1)),
        (&[1], &["/pub/", "/priv/"], Some(1), Ok(2)),
        (&[1], &["/priv/"], Some(9), Err(NoReadCapability)),
        (&[1], &["/priv/a"], Some(9), Ok(1)),
        (&[9], &["/pub/"], None, Err(NotFound)),
        (&[9], &["/priv/"], None, Err(ReadNeedsAuth)),
        (&[1, 9], &["/pub/"], None, Err(NotFound)),
    ];
    for (users, paths, secret, expected) in table {
        let found = list(&replica, &query(users, paths, *secret)).map(|(events, _)| events.len());
        assert_eq!(&found, expected, "{users:?} {paths:?} {secret:?}");
    }
}

#[test]
fn a_session_that_ended_reads_no_later_event() {
    let mut replica = with_users();
    write(&mut replica, &[(1, "/priv/a")]);
    let query = ListEvents {
        users: vec![cursor_of(1, 0)],
        paths: vec!["/priv/".into()],
        credential: as_user(1),
        ..ListEvents::default()
    };
    assert_eq!(list(&replica, &query).expect("alive").0.len(), 1);
    let other = command(500, 500, open_session(1, auth_token(500, 0), 8, &["/:rw"]));
    assert_eq!(replica.refusal(&other), None);
    let end = rowhouse_proto::wire::command::CloseCookieSession { user: key_of(1), secret_hash: hash(1) };
    let end = rowhouse_proto::wire::command::command::Body::CloseCookieSession(end);
    let after = command(502, 502, put(cookie(8), 1, "/priv/b", b"x"));
    let outcomes = replica.apply_batch(&[command(501, 501, end), after]);
    assert!(outcomes.iter().all(|outcome| code(outcome).is_none()));
    assert_eq!(list(&replica, &query), Err(ErrorCode::ReadNeedsAuth));
}
