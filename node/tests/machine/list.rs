//! Listings against the plainest possible implementation, and their refusals.

use crate::machine_fixture;

use std::collections::BTreeSet;
use std::sync::LazyLock;

use bytes::Bytes;
use machine_fixture::*;
use proptest::prelude::*;
use proptest::sample::Index;
use pubky_common::crypto::Keypair;
use rowhouse_node::apply::ApplyError;
use rowhouse_node::read::{LIST_LIMIT_MAX, list_entries};
use rowhouse_node::state::tables;
use rowhouse_proto::ErrorCode;
use rowhouse_proto::domain::user::UserKey;
use rowhouse_proto::wire::shard::{Credential, ListEntries, credential::Kind};
use rowhouse_proto::wire::state::Entry;

const USER: u8 = 1;

fn with_files<'a>(paths: impl IntoIterator<Item = &'a str>) -> Replica {
    with_files_of(&key_bytes(USER), paths)
}

/// The user's files, and neighbours that have those and others.
fn with_files_of<'a>(user: &UserKey, paths: impl IntoIterator<Item = &'a str>) -> Replica {
    let mut replica = Replica::default();
    let neighbours = neighbours(user);
    for path in paths {
        replica.put_row(tables::entry(user, path), &Entry::default());
        for neighbour in &neighbours {
            replica.put_row(tables::entry(neighbour, path), &Entry::default());
            replica.put_row(tables::entry(neighbour, &format!("{path}/not theirs")), &Entry::default());
        }
    }
    replica
}

/// The keys right before and right behind one, and the one that its last byte would suggest.
fn neighbours(user: &UserKey) -> Vec<UserKey> {
    let (mut before, mut behind, mut cut) = (*user, *user, *user);
    for byte in before.iter_mut().rev() {
        *byte = byte.wrapping_sub(1);
        if *byte != u8::MAX {
            break;
        }
    }
    for byte in behind.iter_mut().rev() {
        *byte = byte.wrapping_add(1);
        if *byte != 0 {
            break;
        }
    }
    cut[31] = 0;
    [before, behind, cut].into_iter().filter(|neighbour| neighbour != user).collect()
}

fn query(path: &str) -> ListEntries {
    ListEntries { tenant: key_of(USER), path: path.to_owned(), limit: 100, ..ListEntries::default() }
}

fn cursor(path: &str) -> String {
    format!("pubky://{}{path}", some_key())
}

/// Whose key a cursor names does not matter.
fn some_key() -> &'static str {
    static KEY: LazyLock<String> = LazyLock::new(|| Keypair::from_secret(&[77; 32]).public_key().z32());
    &KEY
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
    names.truncate(query.limit.min(LIST_LIMIT_MAX) as usize);
    names
}

/// Names around '/' in byte order, ones that SQL, a regular expression or a URL would misread, and the last ones of
/// UTF-8.
const SEGMENTS: [&str; 21] = [
    "a",
    "a-",
    "a.",
    "a0",
    "a b",
    " .",
    "b",
    "d",
    "d\u{10FFFF}",
    "-",
    "0",
    "...",
    "_",
    "%",
    "%2F",
    "(",
    "a(b)",
    "é",
    "\u{141}\u{f3}d\u{17a}",
    "\u{1F600}",
    "\u{10FFFF}",
];

fn path() -> impl Strategy<Value = String> {
    // Few names near the root, so that directories have several files.
    let few = prop::sample::select(&SEGMENTS[..9]);
    let any = prop::sample::select(&SEGMENTS[..]);
    (
        prop_oneof![Just("pub"), Just("pub"), Just("priv")],
        prop::collection::vec(few, 0..2),
        prop::collection::vec(any, 1..4),
    )
        .prop_map(|(root, above, below)| format!("/{root}/{}", [above, below].concat().join("/")))
}

/// Keys at whose end a carry begins, or that lie at the end of all.
fn user() -> impl Strategy<Value = UserKey> {
    let ending = |bytes: usize| {
        let mut key = [0x5A; 32];
        key[32 - bytes..].fill(0xFF);
        key
    };
    let mut first = [0x5A; 32];
    first[0] = 0xFF;
    prop::sample::select(vec![[0x5A; 32], ending(1), ending(2), ending(31), [0xFF; 32], [0; 32], first])
}

/// Where a cursor points, given the files that there are.
#[derive(Clone, Debug)]
enum Cursor {
    None,
    /// A file that is there.
    File(Index),
    /// A directory that is there: the first so many segments of a file's path.
    Directory(Index, usize),
    /// Below a file or a directory that is there.
    Below(Index, usize),
    /// Most likely not there, and of another directory.
    Any(String, bool),
}

impl Cursor {
    fn path(&self, paths: &BTreeSet<String>) -> Option<String> {
        let paths: Vec<&String> = paths.iter().collect();
        let cut = |index: &Index, segments: usize| {
            let path = *index.get(&paths);
            let ends: Vec<usize> = path.match_indices('/').map(|(at, _)| at).skip(1).collect();
            path[..ends[segments % ends.len()]].to_owned()
        };
        match self {
            Self::None => None,
            Self::File(index) => Some((*index.get(&paths)).clone()),
            Self::Directory(index, segments) => Some(format!("{}/", cut(index, *segments))),
            Self::Below(index, segments) => Some(format!("{}/a 0", cut(index, *segments))),
            Self::Any(path, slash) => Some(if *slash { format!("{path}/") } else { path.clone() }),
        }
    }
}

fn cursors() -> impl Strategy<Value = Cursor> {
    prop_oneof![
        Just(Cursor::None),
        any::<Index>().prop_map(Cursor::File),
        (any::<Index>(), 0usize..4).prop_map(|(index, segments)| Cursor::Directory(index, segments)),
        (any::<Index>(), 0usize..4).prop_map(|(index, segments)| Cursor::Below(index, segments)),
        (path(), any::<bool>()).prop_map(|(path, slash)| Cursor::Any(path, slash)),
    ]
}

fn limits() -> impl Strategy<Value = u32> {
    prop_oneof![0u32..12, Just(100), Just(999), Just(1000), Just(1001), Just(65_535), Just(u32::MAX)]
}

/// An operator sees private files as well.
fn query_of(user: &UserKey, path: &str) -> ListEntries {
    let tenant = Bytes::copy_from_slice(user);
    let credential = Some(Credential { kind: Some(Kind::Operator(true)) });
    ListEntries { tenant, path: path.to_owned(), credential, limit: 100, ..ListEntries::default() }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 10_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_page_is_what_sorting_and_filtering_everything_gives(
        user in user(),
        paths in prop::collection::btree_set(path(), 1..25),
        directory in prop_oneof![
            Just("/pub/".to_owned()),
            Just("/priv/".to_owned()),
            path().prop_map(|path| format!("{path}/")),
            path().prop_map(|path| path[..=path.rfind('/').unwrap_or(0)].to_owned()),
        ],
        from in cursors(),
        with_scheme: bool,
        limit in limits(),
        reverse: bool,
        shallow: bool,
    ) {
        let replica = with_files_of(&user, paths.iter().map(String::as_str));
        let from = from.path(&paths);
        let mut query = query_of(&user, &directory);
        query.limit = limit;
        query.reverse = reverse;
        query.shallow = shallow;
        query.cursor = from.as_deref().map(cursor).unwrap_or_default();
        if !with_scheme {
            query.cursor = query.cursor.replacen("pubky://", "", 1);
        }
        let exists = paths.iter().any(|path| path.starts_with(&directory));
        let expected =
            if exists { Ok(naive(&paths, &query, from.as_deref())) } else { Err(ErrorCode::DirectoryNotFound) };
        prop_assert_eq!(list(&replica, &query), expected);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 600, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn pages_joined_by_cursors_are_the_whole_listing(
        user in user(),
        paths in prop::collection::btree_set(path().prop_map(|path| path.replacen("/priv/", "/pub/", 1)), 1..25),
        limit in 1u32..5,
        reverse: bool,
        shallow: bool,
    ) {
        let replica = with_files_of(&user, paths.iter().map(String::as_str));
        let mut query = query_of(&user, "/pub/");
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
fn a_page_has_a_thousand_names_at_most() {
    let paths: BTreeSet<String> = (0..1100).map(|number| format!("/pub/{number:04}/file")).collect();
    let replica = with_files(paths.iter().map(String::as_str));
    for shallow in [false, true] {
        for limit in [0, 999, 1000, 1001, 65_535] {
            let query = ListEntries { limit, shallow, ..query("/pub/") };
            assert_eq!(list(&replica, &query).expect("exists"), naive(&paths, &query, None), "{limit}");
        }
    }
}

#[test]
fn the_last_names_of_unicode_are_listed_once_each_and_both_ways() {
    let d = "/pub/t/d\u{10FFFF}/";
    let paths = [
        "/pub/t/d",
        "/pub/t/d-",
        "/pub/t/d.",
        "/pub/t/d0",
        "/pub/t/d\u{10FFFF}/y",
        "/pub/t/\u{141}\u{f3}d\u{17a}",
        "/pub/t/\u{1F600}",
        "/pub/t/\u{10FFFF}",
    ];
    let replica = with_files(paths);
    let shallow = paths.map(|path| if path.starts_with(d) { d } else { path });
    for (is_shallow, mut names) in [(false, paths), (true, shallow)] {
        for reverse in [false, true] {
            let mut page = ListEntries { shallow: is_shallow, reverse, ..query("/pub/t/") };
            assert_eq!(list(&replica, &page).expect("exists"), names);
            page.limit = 1;
            for name in names {
                assert_eq!(list(&replica, &page).expect("exists"), [name]);
                page.cursor = cursor(name);
            }
            assert_eq!(list(&replica, &page).expect("exists"), [""; 0]);
            names.reverse();
        }
    }
    assert_eq!(list(&replica, &query(d)).expect("exists"), ["/pub/t/d\u{10FFFF}/y"]);
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
