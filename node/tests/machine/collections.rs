//! Moves, and collections that only operators see.

use crate::machine_fixture;

use bytes::Bytes;
use machine_fixture::script::*;
use machine_fixture::upload::*;
use machine_fixture::*;
use rowhouse_node::apply::{Precheck, TREE_INLINE_BYTES_MAX, TREE_ROWS_MAX, precheck};
use rowhouse_node::read;
use rowhouse_node::state::tables;
use rowhouse_proto::ErrorCode::*;
use rowhouse_proto::domain::path::ancestors;
use rowhouse_proto::wire::command::{MakeCollection, MoveEntries, RemoveCollection, command::Body};
use rowhouse_proto::wire::shard::{FindMember, ListCollection, Member};
use rowhouse_proto::wire::state::Usage;
use rowhouse_proto::{ErrorCode, INLINE_BODY_BYTES_MAX};

fn relocate(user: u8, from: &str, to: &str, overwrite: bool) -> Body {
    Body::MoveEntries(MoveEntries { user: key_of(user), from: from.into(), to: to.into(), overwrite })
}

fn make(user: u8, path: &str) -> Body {
    Body::MakeCollection(MakeCollection { user: key_of(user), path: path.into() })
}

fn remove(user: u8, path: &str) -> Body {
    Body::RemoveCollection(RemoveCollection { user: key_of(user), path: path.into() })
}

trait Collections {
    fn put_all(&mut self, paths: &[&str]);
    fn page(&self, path: &str, after: &str, limit: u32) -> Result<Vec<Member>, ErrorCode>;
    fn names(&self, path: &str) -> Result<Vec<String>, ErrorCode>;
    fn found(&self, path: &str) -> Result<Member, ErrorCode>;
    fn usage(&self) -> Usage;
    fn told(&self) -> Vec<String>;
    fn refused(&mut self, body: Body) -> Option<ErrorCode>;
}

impl Collections for Script {
    fn put_all(&mut self, paths: &[&str]) {
        for path in paths {
            assert_eq!(self.run(put(cookie(1), ALICE, path, path.as_bytes())), None, "{path}");
        }
    }

    fn page(&self, path: &str, after: &str, limit: u32) -> Result<Vec<Member>, ErrorCode> {
        let query = ListCollection { tenant: key_of(ALICE), path: path.into(), after: after.into(), limit };
        unrefused(read::list_collection(&self.replica.view(), &query)).map(|page| page.members)
    }

    fn names(&self, path: &str) -> Result<Vec<String>, ErrorCode> {
        self.page(path, "", 1000).map(|members| members.into_iter().map(|member| member.name).collect())
    }

    fn found(&self, path: &str) -> Result<Member, ErrorCode> {
        let query = FindMember { tenant: key_of(ALICE), path: path.into() };
        unrefused(read::find_member(&self.replica.view(), &query))
    }

    fn usage(&self) -> Usage {
        self.replica.row(&tables::usage(&key_bytes(ALICE))).unwrap_or_default()
    }

    /// The event log in words.
    fn told(&self) -> Vec<String> {
        let words = |deleted| if deleted { "DEL" } else { "PUT" };
        self.replica
            .events()
            .into_iter()
            .map(|event| format!("{} {}", words(event.deleted), event.path))
            .collect()
    }

    /// The refusal, which the leader and the replicas give alike and which changes no entry, event or usage.
    fn refused(&mut self, body: Body) -> Option<ErrorCode> {
        let command = self.command(body);
        let judged = precheck(&self.replica.view(), &command, None, START_MS + self.ms).expect("readable");
        let before = (self.replica.rows_of(tables::EVENT), self.usage(), kept(self));
        let refusal = self.replica.refusal(&command);
        let after = (self.replica.rows_of(tables::EVENT), self.usage(), kept(self));
        assert!(refusal.is_none() || before == after, "a refusal changed something");
        match judged {
            Precheck::Refused(early) => assert_eq!(Some(early.code), refusal),
            _ => assert_eq!(refusal, None, "the leader would have proposed it"),
        }
        refusal
    }
}

/// All rows of entries, bodies and collections.
fn kept(script: &Script) -> Vec<(Bytes, Bytes)> {
    let is_kept = |key: &Bytes| [tables::ENTRY, tables::BODY, tables::COLLECTION].contains(&key[0]);
    script
        .replica
        .rows
        .0
        .iter()
        .filter(|(key, _)| is_kept(key))
        .map(|(key, value)| (key.clone(), value.clone()))
        .collect()
}

#[test]
fn a_moved_file_is_whole_at_its_new_path_and_gone_from_the_old_one() {
    let mut script = Script::new();
    script.put_all(&["/pub/a", "/pub/target"]);
    let before = script.usage();
    let first = script.get("/pub/a", None).expect("stored");
    assert_eq!(script.refused(relocate(ALICE, "/pub/a", "/priv/new/b", false)), None);
    assert_eq!(script.get("/pub/a", None).err(), Some(NotFound));
    let moved = script.found("/priv/new/b").expect("moved").entry.expect("a file");
    assert_eq!((&moved.hash, moved.length), (&first.hash, first.length));
    assert!(moved.modified_ms >= first.modified_ms);
    assert_eq!((script.usage().bytes, script.usage().files), (before.bytes, before.files));
    assert_eq!(script.told(), ["PUT /pub/a", "PUT /pub/target", "DEL /pub/a", "PUT /priv/new/b"]);

    assert_eq!(script.refused(relocate(ALICE, "/priv/new/b", "/pub/target", false)), Some(DestinationExists));
    assert_eq!(script.refused(relocate(ALICE, "/priv/new/b", "/pub/target", true)), None);
    let replaced = script.get("/pub/target", None).expect("replaced");
    assert_eq!(replaced.body, "/pub/a");
    assert_eq!((script.usage().bytes, script.usage().files), (6 + 256, 1));
    assert_eq!(script.replica.rows_of(tables::BODY), 1);
    assert_eq!(script.told()[4..], ["DEL /priv/new/b", "PUT /pub/target"]);
}

#[test]
fn what_comes_to_a_path_is_newer_than_what_left_it() {
    let mut script = Script::new();
    script.put_all(&["/pub/a"]);
    let first = script.get("/pub/a", None).expect("stored").modified_ms;
    assert_eq!(script.run(relocate(ALICE, "/pub/a", "/pub/b", false)), None);
    assert_eq!(script.run(put(cookie(1), ALICE, "/pub/a", b"other bytes")), None);
    let second = script.get("/pub/a", None).expect("stored").modified_ms;
    assert!(second / 1000 > first / 1000, "Last-Modified counts whole seconds");
    let there = script.get("/pub/b", None).expect("stored").modified_ms;
    assert_eq!(script.run(relocate(ALICE, "/pub/a", "/pub/b", true)), None);
    let replaced = script.get("/pub/b", None).expect("stored").modified_ms;
    assert!(replaced / 1000 > there / 1000, "other bytes are at the path now");
    assert_eq!(script.run(put(cookie(1), ALICE, "/pub/a", b"third bytes")), None);
    let third = script.get("/pub/a", None).expect("stored").modified_ms;
    assert!(third / 1000 > second / 1000, "the second ones left by the move");
}

#[test]
fn a_collection_moves_with_everything_below_and_nothing_beside_it() {
    let mut script = Script::new();
    script.put_all(&["/pub/d/b", "/pub/d/a/x", "/pub/d-x", "/pub/d0", "/pub/d.txt"]);
    assert_eq!(script.run(begin(ALICE, "/pub/d/large", 1, None)), None);
    assert_eq!(script.run(commit(ALICE, "/pub/d/large", 1, 3 * MIB)), None);
    assert_eq!(script.run(make(ALICE, "/pub/d/empty/")), None);
    let (usage, events) = (script.usage(), script.told().len());
    let stored = physical(&script.replica, ALICE);
    assert_eq!(script.refused(relocate(ALICE, "/pub/d/", "/pub/e/f/", false)), None);
    assert_eq!(script.found("/pub/d").err(), Some(NotFound));
    assert_eq!(script.names("/pub/"), Ok(["d-x", "d.txt", "d0", "e/"].map(str::to_owned).to_vec()));
    assert_eq!(script.names("/pub/e/f/"), Ok(["a/", "b", "empty/", "large"].map(str::to_owned).to_vec()));
    assert_eq!(script.get("/pub/e/f/a/x", None).expect("moved").body, "/pub/d/a/x");
    let large = script.get("/pub/e/f/large", None).expect("moved");
    assert_eq!((large.object.as_ref(), large.length), (&id(1)[..], 3 * MIB));
    assert_eq!((script.usage().bytes, script.usage().files), (usage.bytes, usage.files));
    assert_eq!((physical(&script.replica, ALICE), counted(&script.replica, ALICE)), (stored, stored));
    let expected = [
        "DEL /pub/d/a/x",
        "PUT /pub/e/f/a/x",
        "DEL /pub/d/b",
        "PUT /pub/e/f/b",
        "DEL /pub/d/large",
        "PUT /pub/e/f/large",
    ];
    assert_eq!(script.told()[events..], expected);
    let ids: Vec<u64> = script.replica.events().iter().map(|event| event.id).collect();
    assert!(ids.is_sorted_by(|a, b| a < b));
}

#[test]
fn a_move_that_cannot_be_whole_changes_nothing() {
    let mut script = Script::new();
    script.put_all(&["/pub/m/a", "/pub/m/d/1", "/pub/m/d/2", "/pub/file"]);
    assert_eq!(script.run(make(ALICE, "/pub/empty/")), None);
    let cases = [
        ("/pub/none", "/pub/x", true, NotFound),
        ("/pub/m/none/", "/pub/x/", true, NotFound),
        ("/pub/m/a/", "/pub/x/", true, NotFound),
        ("/pub/m/d", "/pub/x", true, NotFound),
        ("/pub/m/d/", "/pub/x", true, NotFound),
        ("/pub/m/a", "/pub/m/a", true, MoveIntoItself),
        ("/pub/m/a", "/pub/m/a/b", true, MoveIntoItself),
        ("/pub/m/d/", "/pub/m/d/", true, MoveIntoItself),
        ("/pub/m/d/", "/pub/m/d/inner/", true, MoveIntoItself),
        ("/pub/m/a", "/pub/file", false, DestinationExists),
        ("/pub/m/a", "/pub/m/d", false, DestinationExists),
        ("/pub/m/a", "/pub/m/d", true, PathCollision),
        ("/pub/m/a", "/pub/empty", true, PathCollision),
        ("/pub/m/a", "/pub/file/below", true, PathCollision),
        ("/pub/m/d/", "/pub/file/", true, PathCollision),
        ("/pub/m/d/", "/pub/file/below/", true, PathCollision),
        ("/pub/m/d/", "/pub/m/", true, PathCollision),
        ("/pub/m/d/", "/pub/empty/", false, DestinationExists),
        ("/pub/m/a", "/etc/x", true, WriteOutsideRoots),
        ("/pub/m/d/", "/pub/", true, WriteOutsideRoots),
        ("/pub/", "/priv/x/", true, WriteOutsideRoots),
        ("/pub/m/a", "/pub/../x", true, InvalidStoragePath),
    ];
    for (from, to, overwrite, code) in cases {
        assert_eq!(script.refused(relocate(ALICE, from, to, overwrite)), Some(code), "{from} to {to}");
    }
    assert_eq!(script.refused(relocate(7, "/pub/m/a", "/pub/x", true)), Some(NotFound), "nobody");
    let long = format!("/pub/{}/", ["x".repeat(240), "y".repeat(240), "z".repeat(240)].join("/"));
    script.put_all(&[&format!("/pub/m/d/{}", "w".repeat(255))]);
    assert_eq!(script.refused(relocate(ALICE, "/pub/m/d/", &long, true)), Some(InvalidStoragePath));
}

#[test]
fn one_command_moves_and_removes_a_bounded_number() {
    let mut script = Script::new();
    for number in 0..TREE_ROWS_MAX {
        assert_eq!(script.run(put(cookie(1), ALICE, &format!("/pub/d/{number}"), b"x")), None);
    }
    assert_eq!(script.refused(relocate(ALICE, "/pub/d/", "/pub/e/", false)), None);
    assert_eq!(script.run(make(ALICE, "/pub/e/one-more/")), None);
    assert_eq!(script.refused(relocate(ALICE, "/pub/e/", "/pub/d/", false)), Some(CollectionTooLarge));
    assert_eq!(script.refused(remove(ALICE, "/pub/e/")), Some(CollectionTooLarge));
    assert_eq!(script.refused(remove(ALICE, "/pub/e/one-more/")), None);
    assert_eq!(script.refused(remove(ALICE, "/pub/e/")), None);
    assert_eq!((script.usage().bytes, script.usage().files), (0, 0));

    let body = vec![1; INLINE_BODY_BYTES_MAX];
    let fit = TREE_INLINE_BYTES_MAX / INLINE_BODY_BYTES_MAX as u64;
    for number in 0..=fit {
        assert_eq!(script.run(put(cookie(1), ALICE, &format!("/pub/d/{number}"), &body)), None);
    }
    assert_eq!(script.refused(relocate(ALICE, "/pub/d/", "/pub/e/", false)), Some(CollectionTooLarge));
    assert_eq!(script.run(delete(cookie(1), ALICE, "/pub/d/0")), None);
    assert_eq!(script.refused(relocate(ALICE, "/pub/d/", "/pub/e/", false)), None);
}

#[test]
fn collections_are_made_below_others_and_nowhere_else() {
    let mut script = Script::new();
    script.put_all(&["/pub/file", "/pub/d/x"]);
    for (path, refusal) in [
        ("/pub/new/", None),
        ("/pub/new/", Some(PathExists)),
        ("/pub/d/", Some(PathExists)),
        ("/pub/file/", Some(PathExists)),
        ("/pub/", Some(PathExists)),
        ("/priv/", Some(PathExists)),
        ("/priv/a /", None),
        ("/pub/none/new/", Some(NoParent)),
        ("/pub/file/new/", Some(NoParent)),
        ("/other/", Some(WriteOutsideRoots)),
        ("/", Some(WriteOutsideRoots)),
        ("/pub/no-slash", Some(NotFound)),
    ] {
        assert_eq!(script.refused(make(ALICE, path)), refusal, "{path}");
    }
    assert_eq!(script.refused(make(7, "/pub/x/")), Some(NotFound));
    assert_eq!(script.told().len(), 2, "collections tell nobody");
    assert_eq!(script.found("/pub/new"), Ok(Member::default()));
    // Clients do not see them, and a file may take the name.
    script.put_all(&["/pub/new"]);
    assert!(script.found("/pub/new/").expect("the file").entry.is_some());
    assert_eq!(script.names("/pub/"), Ok(["d/", "file", "new"].map(str::to_owned).to_vec()));
    assert_eq!(script.run(delete(cookie(1), ALICE, "/pub/new")), None);
    assert_eq!(script.names("/pub/"), Ok(["d/", "file", "new/"].map(str::to_owned).to_vec()));
}

#[test]
fn a_removed_collection_leaves_an_event_for_each_file_and_no_row() {
    let mut script = Script::new();
    script.put_all(&["/pub/d/b", "/pub/d/a/x", "/pub/d-x"]);
    assert_eq!(script.run(begin(ALICE, "/pub/d/large", 1, None)), None);
    assert_eq!(script.run(commit(ALICE, "/pub/d/large", 1, MIB)), None);
    assert_eq!(script.run(make(ALICE, "/pub/d/empty/")), None);
    for path in ["/pub/", "/pub/d", "/pub/none/", "/pub/d-x/"] {
        assert!(script.refused(remove(ALICE, path)).is_some(), "{path}");
    }
    let events = script.told().len();
    assert_eq!(script.refused(remove(ALICE, "/pub/d/")), None);
    assert_eq!(script.told()[events..], ["DEL /pub/d/a/x", "DEL /pub/d/b", "DEL /pub/d/large"]);
    assert_eq!((script.usage().bytes, script.usage().files), (8 + 256, 1));
    assert_eq!(script.replica.rows_of(tables::COLLECTION), 0);
    assert_eq!(script.replica.rows_of(tables::BODY), 1);
    assert_eq!(physical(&script.replica, ALICE), counted(&script.replica, ALICE));
    assert_eq!(script.refused(remove(ALICE, "/pub/d/")), Some(NotFound));
}

#[test]
fn pages_of_any_size_tell_every_member_once() {
    let mut script = Script::new();
    let files = ["a", "a-", "a.b", "a0", "b/c/d", "b/e", "b-", "c d/e ", "é", "z/z/z/z", "~"];
    let files: Vec<String> = files.iter().map(|name| format!("/pub/x/{}", name.trim_end())).collect();
    script.put_all(&files.iter().map(String::as_str).collect::<Vec<_>>());
    for made in ["/pub/x/b/f/", "/pub/x/0/", "/pub/x/made/", "/pub/x/made/deep/", "/pub/x/~~/"] {
        assert_eq!(script.run(make(ALICE, made)), None, "{made}");
    }
    let whole = ["0/", "a", "a-", "a.b", "a0", "b-", "b/", "c d/", "made/", "z/", "~", "~~/", "é"];
    assert_eq!(script.names("/pub/x/"), Ok(whole.map(str::to_owned).to_vec()));
    for limit in 1..=whole.len() as u32 + 1 {
        let (mut told, mut after) = (Vec::new(), String::new());
        for _ in 0..=whole.len() {
            let page = script.page("/pub/x/", &after, limit).expect("there");
            let short = page.len() < limit as usize;
            told.extend(page.into_iter().map(|member| member.name));
            after = told.last().cloned().unwrap_or_default();
            if short {
                break;
            }
        }
        assert_eq!(told, whole, "by {limit}");
    }
    let sizes: Vec<Option<u64>> = script
        .page("/pub/x/b/", "", 10)
        .expect("there")
        .into_iter()
        .map(|member| member.entry.map(|entry| entry.length))
        .collect();
    assert_eq!(sizes, [None, Some("/pub/x/b/e".len() as u64), None]);
    assert_eq!(script.names("/pub/none/"), Err(NotFound));
    assert_eq!(script.names("/pub/x"), Err(NotFound), "without its slash");
    assert_eq!(script.names("/priv/"), Ok(Vec::new()), "roots are always there");
    let path = rowhouse_proto::domain::path::parse_canonical("/pub/x/b/c/d").expect("canonical");
    assert!(ancestors(&path).all(|above| script.found(above) == Ok(Member::default())));
}
