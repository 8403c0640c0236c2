//! The bytes each command writes, fixed: replicas of different versions must agree on them, and old state
//! must stay readable. A difference here is a format change. `ROWHOUSE_BLESS=1` rewrites the files.

use crate::machine_fixture;

use bytes::Bytes;
use machine_fixture::upload::*;
use machine_fixture::*;
use prost::Message;

fn check(replica: &mut Replica, name: &str, command: &rowhouse_proto::wire::command::Command) {
    let encoded: Bytes = command.encode_to_vec().into();
    let (outcomes, writes) = replica.apply_bytes(std::slice::from_ref(&encoded));
    golden::check("machine_golden", name, &encoded, &outcomes[0].encode_to_vec(), &writes);
}

/// Old bodies are collected after their grace.
fn at_ms(name: &str, number: u64) -> u64 {
    number * 10 + if name == "collect_objects" { GRACE_MS } else { 0 }
}

#[test]
fn every_command_writes_the_bytes_it_always_wrote() {
    let mut replica = Replica::default();
    let (user, client) = (1, 9);
    let steps = [
        ("create_user", create_user(user, auth_token(0, 0), 1)),
        ("open_cookie_session", open_session(user, auth_token(1, 0), 2, &["/pub/app/:rw", "/priv/:r"])),
        ("mint_bearer", mint(user, grant("grant-1", client, 7200), nonce("nonce-1"), 3)),
        ("put_entry", put(bearer(3), user, "/pub/app/a", b"hello")),
        ("delete_entry", delete(cookie(1), user, "/pub/app/a")),
        ("close_cookie_session", {
            use rowhouse_proto::wire::command::{CloseCookieSession, command::Body};
            Body::CloseCookieSession(CloseCookieSession { user: key_of(user), secret_hash: hash(2) })
        }),
        ("revoke_grant", bearer_logout(3)),
        ("refused", put(bearer(3), user, "/pub/app/a", b"hello")),
        ("begin_upload", begin(user, "/pub/app/b", 4, None)),
        ("put_object", commit(user, "/pub/app/b", 4, 3 * MIB)),
        ("replace_object", put(cookie(1), user, "/pub/app/b", b"hello")),
        ("collect_objects", collect()),
        ("close", close(event_t(60_000))),
    ];
    for (at, (name, body)) in steps.into_iter().enumerate() {
        let number = at as u64;
        check(&mut replica, name, &command(number, at_ms(name, number), body));
    }
}
