//! A user's grants: who may list them and revoke one by its id, and what they are told.

use crate::machine_fixture;

use bytes::Bytes;
use machine_fixture::account::*;
use machine_fixture::script::*;
use machine_fixture::*;
use rowhouse_node::read;
use rowhouse_proto::ErrorCode::{self, *};
use rowhouse_proto::wire::command::{self, command::Body};
use rowhouse_proto::wire::shard::{self, ListGrants, credential::Kind};

const BEARER_1: u8 = 11;
const BEARER_2: u8 = 12;
const BOBS: u8 = 13;
const APP: u8 = 14;

/// Alice has two grants and a session for one app, Bob has one grant.
fn granted() -> Script {
    let mut script = Script::new();
    assert_eq!(script.mint(ALICE, "second-made-first", "n1", BEARER_1), None);
    assert_eq!(script.mint(ALICE, "first-made-second", "n2", BEARER_2), None);
    assert_eq!(script.mint(BOB, "bobs", "n3", BOBS), None);
    assert_eq!(
        script.run(open_session(ALICE, auth_token(0, 99), APP, &["/pub/app/:rw", "/:r", "/:w"])),
        None
    );
    script
}

fn list(script: &Script, kind: Option<Kind>, tenant: Bytes) -> Result<Vec<String>, ErrorCode> {
    let credential = kind.map(|kind| shard::Credential { kind: Some(kind) });
    let query = ListGrants { credential, tenant };
    let listed = unrefused(read::list_grants(&script.replica.view(), &query, START_MS + script.ms))?;
    Ok(listed.grants.into_iter().map(|grant| grant.grant_id).collect())
}

fn cookie_kind(secret: u8) -> Option<Kind> {
    Some(Kind::CookieHash(hash(secret)))
}

fn bearer_kind(secret: u8) -> Option<Kind> {
    Some(Kind::BearerHash(hash(secret)))
}

#[test]
fn root_sessions_list_their_user_s_living_grants_oldest_first() {
    let mut script = granted();
    let both = vec!["second-made-first".to_owned(), "first-made-second".to_owned()];
    assert_eq!(list(&script, cookie_kind(1), key_of(ALICE)), Ok(both.clone()));
    for tenant in [key_of(ALICE), key_of(BOB), Bytes::new()] {
        assert_eq!(list(&script, bearer_kind(BEARER_1), tenant), Ok(both.clone()), "a bearer names its user");
    }
    assert_eq!(list(&script, bearer_kind(BOBS), key_of(ALICE)), Ok(vec!["bobs".to_owned()]));
    for kind in [None, cookie_kind(77), bearer_kind(77), Some(Kind::Operator(true))] {
        assert_eq!(list(&script, kind, key_of(ALICE)), Err(NoSession));
    }
    assert_eq!(list(&script, cookie_kind(1), key_of(BOB)), Err(NoSession), "another user's cookie");
    assert_eq!(list(&script, cookie_kind(1), Bytes::new()), Err(NoSession));
    assert_eq!(list(&script, cookie_kind(APP), key_of(ALICE)), Err(RootRequired), "two halves are no root");

    let query =
        ListGrants { credential: Some(shard::Credential { kind: cookie_kind(1) }), tenant: key_of(ALICE) };
    let item = read::list_grants(&script.replica.view(), &query, START_MS).expect("listed").grants.remove(0);
    let stored = grant("second-made-first", CLIENT, 7200);
    assert_eq!(
        (item.client_id, item.capabilities, item.issued_at, item.expires_at),
        (stored.client_id, stored.capabilities, stored.issued_at, stored.expires_at)
    );

    assert_eq!(script.both(revoke_by_id(cookie(1), ALICE, "second-made-first")), None);
    assert_eq!(list(&script, cookie_kind(1), key_of(ALICE)), Ok(both[1..].to_vec()));
    script.ms = 7_200_000;
    assert_eq!(list(&script, cookie_kind(1), key_of(ALICE)), Ok(Vec::new()), "expired");
}

#[test]
fn a_grant_is_revoked_by_its_id_by_root_sessions_of_its_user() {
    let mut script = granted();
    let first = "second-made-first";
    for credential in [None, cookie(77), bearer(77), cookie(2), operator()] {
        assert_eq!(script.both(revoke_by_id(credential, ALICE, "not an id")), Some(NoSession));
    }
    for id in ["not an id", first] {
        assert_eq!(script.both(revoke_by_id(cookie(APP), ALICE, id)), Some(RootRequired));
    }
    for id in ["", "not an id", "a.b", "ä", &"a".repeat(23)] {
        assert_eq!(script.both(revoke_by_id(cookie(1), ALICE, id)), Some(GrantIdFormat), "{id}");
    }
    for id in ["unknown", "bobs"] {
        assert_eq!(script.both(revoke_by_id(cookie(1), ALICE, id)), Some(NotFound), "{id}");
        assert_eq!(script.both(revoke_by_id(bearer(BEARER_1), BOB, id)), Some(NotFound), "{id}");
    }
    assert_eq!(script.both(put(bearer(BEARER_1), ALICE, "/pub/a", b"x")), None, "nothing was revoked");
    assert_eq!(script.both(put(bearer(BOBS), BOB, "/pub/a", b"x")), None);

    assert_eq!(script.both(revoke_by_id(cookie(1), ALICE, first)), None);
    assert_eq!(script.both(revoke_by_id(cookie(1), ALICE, first)), None, "it is so already");
    assert_eq!(script.both(put(bearer(BEARER_1), ALICE, "/pub/a", b"x")), Some(NoSession));
    let again = mint(ALICE, grant(first, CLIENT, 7200), nonce("n4"), 15);
    assert_eq!(script.run(again), Some(GrantRevoked), "for ever");
    let own = Body::RevokeGrant(command::RevokeGrant {
        user: Bytes::new(),
        by: Some(command::revoke_grant::By::ById(command::revoke_grant::ById {
            credential: bearer(BEARER_2),
            grant_id: "first-made-second".into(),
        })),
    });
    assert_eq!(script.both(own.clone()), None, "its own, by a bearer");
    assert_eq!(script.both(own), Some(NoSession));
    assert_eq!(script.both(put(bearer(BOBS), BOB, "/pub/a", b"x")), None, "Bob's works on");
}
