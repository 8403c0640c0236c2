//! Listings against the plainest possible implementation, and their refusals.

use crate::machine_fixture;

use std::collections::BTreeSet;

use machine_fixture::*;
use proptest::prelude::*;
use pubky_common::crypto::Keypair;
use rowhouse_node::apply::ApplyError;
use rowhouse_node::read::list_entries;
use rowhouse_node::state::tables;
use rowhouse_proto::ErrorCode;
use rowhouse_proto::wire::shard::{Credential, ListEntries, credential::Kind};
use rowhouse_proto::wire::state::Entry;

const USER: u8 = 1;

fn with_files<'a>(paths: impl IntoIterator<Item = &'a str>) -> Replica {
    let mut replica = Replica::default();
    for path in paths {
        replica.put_row(tables::entry(&key_bytes(USER), path), &Entry::default());
        replica.put_row(tables::entry(&key_bytes(USER + 1), path), &Entry::default());
    }
    replica
}

fn query(path: &str) -> ListEntries {
    ListEntries { tenant: key_of(USER), path: path.to_owned(), limit: 100, ..ListEntries::default() }
}

fn cursor(path: &str) -> String {
    format!("pubky://{}{path}", Keypair::from_secret(&[77; 32]).public_key().z32())
}

fn list(replica: &Replica, query: &ListEntries) -> Result<Vec<String>, ErrorCode> {
    match list_entries(&replica.view(), query, START_MS) {
        Ok(listing) => Ok(listing.paths),
        Err(ApplyError::Refused(refusal)) => Err(refusal.code),
        Err(ApplyError::Failed(error)) => panic!("{error}"),
    }
}

/// Every name the listing could show, by brute force, then cut to the page.
fn naive(paths: &BTreeSet<String>, query: &ListEntries, cursor: Option<&str>) -> Vec<String> {
    let below = paths.iter().filter_map(|path| path.strip_prefix(&query.path));
    let names: BTreeSet<String> = below
        .map(|rest| match rest.split_once('/').filter(|_| query.shallow) {
            Some((child, _)) => format!("{}{child}/", query.path),
            None => format!("{}{rest}", query.path),
        })
        .collect();
    let mut names: Vec<String> = names.into_iter().collect();
    if query.reverse {
        names.reverse();
    }
    names.retain(|name| match cursor {
        None => true,
        Some(cursor) if query.reverse => name.as_str() < cursor,
        Some(cursor) => name.as_str() > cursor,
    });
    names.truncate(query.limit as usize);
    names
}

/// Names around '/' in byte order, and ones that SQL or a regular expression would misread.
fn segment() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec!["a", "a-", "a.", "a0", "b", "_", "%", "(", "é"])
}

fn path() -> impl Strategy<Value = String> {
    prop::collection::vec(segment(), 1..4).prop_map(|segments| format!("/pub/{}", segments.join("/")))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 600, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_page_is_what_sorting_and_filtering_everything_gives(
        paths in prop::collection::btree_set(path(), 1..25),
        directory in prop_oneof![Just("/pub/".to_owned()), path().prop_map(|path| format!("{path}/"))],
        from in prop::option::of((path(), any::<bool>())),
        limit in 0u32..12,
        reverse: bool,
        shallow: bool,
    ) {
        let replica = with_files(paths.iter().map(String::as_str));
        let from = from.map(|(path, slash)| if slash { format!("{path}/") } else { path });
        let mut query = query(&directory);
        query.limit = limit;
        query.reverse = reverse;
        query.shallow = shallow;
        query.cursor = from.as_deref().map(cursor).unwrap_or_default();
        let exists = paths.iter().any(|path| path.starts_with(&directory));
        let expected =
            if exists { Ok(naive(&paths, &query, from.as_deref())) } else { Err(ErrorCode::DirectoryNotFound) };
        prop_assert_eq!(list(&replica, &query), expected);
    }

    #[test]
    fn pages_joined_by_cursors_are_the_whole_listing(
        paths in prop::collection::btree_set(path(), 1..25),
        limit in 1u32..5,
        reverse: bool,
        shallow: bool,
    ) {
        let replica = with_files(paths.iter().map(String::as_str));
        let mut query = query("/pub/");
        query.reverse = reverse;
        query.shallow = shallow;
        let whole = list(&replica, &query).expect("not empty");
        query.limit = limit;
        let mut joined: Vec<String> = Vec::new();
        for _ in 0..=whole.len() {
            let page = list(&replica, &query).expect("not empty");
            let Some(last) = page.last() else { break };
            query.cursor = cursor(last);
            joined.extend(page);
        }
        prop_assert_eq!(joined, whole);
    }
}

#[test]
fn the_protocol_s_examples_of_order_hold() {
    let replica = with_files([
        "/pub/example.com/a.txt",
        "/pub/example.com/b/c.txt",
        "/pub/example.com.txt",
        "/pub/example.con-file",
        "/pub/example.con/d.txt",
    ]);
    let mut query = query("/pub/");
    query.shallow = true;
    let all = ["/pub/example.com.txt", "/pub/example.com/", "/pub/example.con-file", "/pub/example.con/"];
    assert_eq!(list(&replica, &query).expect("exists"), all);
    query.cursor = cursor("/pub/example.com/a.txt");
    assert_eq!(list(&replica, &query).expect("exists"), all[2..]);
    query.reverse = true;
    assert_eq!(list(&replica, &query).expect("exists"), ["/pub/example.com/", "/pub/example.com.txt"]);
}

#[test]
fn existence_comes_before_the_cursor_and_permission_before_both() {
    let replica = with_files(["/pub/a/b", "/priv/a/b"]);
    let mut query = query("/pub/missing/");
    query.cursor = "nonsense".to_owned();
    assert_eq!(list(&replica, &query), Err(ErrorCode::DirectoryNotFound));
    query.path = "/pub/a/".to_owned();
    assert_eq!(list(&replica, &query), Err(ErrorCode::InvalidCursor));
    query.limit = 0;
    assert_eq!(list(&replica, &query), Err(ErrorCode::InvalidCursor));
    query.path = "/priv/a/".to_owned();
    assert_eq!(list(&replica, &query), Err(ErrorCode::ReadNeedsAuth));
    query.path = "/".to_owned();
    assert_eq!(list(&replica, &query), Err(ErrorCode::ReadOutsideRoots));
}

#[test]
fn a_private_directory_needs_a_covering_session() {
    let mut replica = Replica::default();
    replica.apply(&command(1, 0, create_user(USER, auth_token(0, 0), 1)));
    replica.apply(&command(2, 0, open_session(USER, auth_token(0, 1), 2, &["/priv/app/:r"])));
    replica.apply(&command(3, 0, put(cookie(1), USER, "/priv/app/x", b"x")));
    let mut query = query("/priv/");
    let with = |secret| Some(Credential { kind: Some(Kind::CookieHash(hash(secret))) });
    query.credential = with(2);
    assert_eq!(list(&replica, &query), Err(ErrorCode::NoReadCapability));
    query.path = "/priv/app/".to_owned();
    assert_eq!(list(&replica, &query).expect("covered"), ["/priv/app/x"]);
    query.credential = with(9);
    assert_eq!(list(&replica, &query), Err(ErrorCode::ReadNeedsAuth));
}
