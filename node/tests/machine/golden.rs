//! The bytes each command writes, fixed: replicas of different versions must agree on them, and old state
//! must stay readable. A difference here is a format change. `ROWHOUSE_BLESS=1` rewrites the files.

use crate::machine_fixture;

use bytes::Bytes;
use machine_fixture::account::*;
use machine_fixture::condition::*;
use machine_fixture::golden::golden_files;
use machine_fixture::packet::*;
use machine_fixture::upload::*;
use machine_fixture::*;
use prost::Message;
use rowhouse_proto::wire::account::signup_admission::Verdict;
use rowhouse_proto::wire::account::user_quota::Storage;
use rowhouse_proto::wire::account::{QuotaField, UserQuota};
use rowhouse_proto::wire::command::create_user::Guard;
use rowhouse_proto::wire::command::{
    CloseCookieSession, Command, CreateUser, MakeCollection, MoveEntries, RemoveCollection, command::Body,
};

golden_files! {
    CreateUser => "create_user", "create_user_by_grant", "create_user_by_token", "create_user_openly",
        "create_user_by_void_reservation";
    OpenCookieSession => "open_cookie_session";
    CloseCookieSession => "close_cookie_session";
    MintBearer => "mint_bearer", "mint_another_bearer", "mint_chosen_bearer";
    RevokeGrant => "revoke_grant", "revoke_grant_by_proof", "revoke_grant_by_id";
    PutEntry => "put_entry", "put_object", "replace_object", "refused", "put_held_object",
        "put_object_with_few_copies", "put_under_default_quota", "put_over_default_quota", "put_by_operator",
        "put_if_matching", "put_under_lock";
    DeleteEntry => "delete_entry", "delete_by_operator", "delete_if_matching";
    Close => "close";
    BeginUpload => "begin_upload", "begin_sized_upload", "renew_upload", "begin_another_upload",
        "begin_upload_under_default_quota", "begin_upload_under_lock";
    CollectObjects => "collect_objects";
    SettleSignup => "settle_signup", "settle_spent_signup";
    DisableUser => "disable_user", "enable_user";
    ChangeQuota => "change_quota", "reset_quota";
    MakeCollection => "make_collection";
    MoveEntries => "move_entries", "move_over_a_file";
    RemoveCollection => "remove_collection";
    LockEntry => "lock_entry";
    RefreshLock => "refresh_lock";
    UnlockEntry => "unlock_entry";
    AbandonUpload => "abandon_upload";
    NotePacket => "note_packet", "note_leaving";
    MarkPass => "mark_pass";
}

fn check(replica: &mut Replica, name: &str, command: &Command) {
    let encoded: Bytes = command.encode_to_vec().into();
    let (outcomes, writes) = replica.apply_bytes(std::slice::from_ref(&encoded));
    golden::check("machine_golden", name, &encoded, &outcomes[0].encode_to_vec(), &writes);
}

/// Old bodies are collected after their grace.
fn at_ms(name: &str, number: u64) -> u64 {
    number * 10 + if name == "collect_objects" { GRACE_MS } else { 0 }
}

fn sign_out(user: u8, secret: u8) -> Body {
    Body::CloseCookieSession(CloseCookieSession { user: key_of(user), secret_hash: hash(secret) })
}

fn create_user_by_grant(user: u8, nth: &str) -> Body {
    let guard = Some(Guard::PopNonce(nonce(nth)));
    Body::CreateUser(CreateUser { user: key_of(user), guard, ..CreateUser::default() })
}

/// The commands and fields of the version that brought accounts' settlement. The first one indexes the users there are.
fn account_steps(user: u8, another: u8) -> impl Iterator<Item = (u32, &'static str, Body)> {
    let (new, void, open) = (3, 4, 5);
    let own = UserQuota {
        rate_read: Some("10mb/s".into()),
        rate_read_burst: Some(20),
        ..quota(Some(5), Some(&["/pub/app/", "/pub/x"]))
    };
    let unlimited = UserQuota { storage: Some(Storage::StorageUnlimited(true)), ..UserQuota::default() };
    let signup = |user, nth, verdict| admitted(user, auth_token(0, nth), user, verdict);
    [
        (4, "create_user_by_token", signup(new, 0, reserved(TOKEN, 5, Some(own)))),
        (4, "settle_spent_signup", settle(new, TOKEN, 5)),
        (4, "settle_signup", settle(void, "DDDD-EEEE-FFFF", 7)),
        (4, "create_user_by_void_reservation", signup(void, 1, reserved("DDDD-EEEE-FFFF", 7, None))),
        (4, "create_user_openly", signup(open, 2, Verdict::Open(true))),
        (4, "disable_user", disable(new, true)),
        (4, "enable_user", disable(new, false)),
        (4, "change_quota", change_quota(new, unlimited, &[QuotaField::AllowedWritePaths])),
        (
            4,
            "reset_quota",
            change_quota(
                new,
                UserQuota::default(),
                &[QuotaField::Storage, QuotaField::RateRead, QuotaField::RateReadBurst],
            ),
        ),
        (
            4,
            "put_under_default_quota",
            under_quota(put(cookie(1), user, "/pub/app/e", b"hello"), Some(4 * MIB)),
        ),
        (4, "put_over_default_quota", under_quota(put(cookie(1), user, "/pub/app/f", b"hello"), Some(0))),
        (
            4,
            "begin_upload_under_default_quota",
            under_quota(begin(user, "/pub/app/g", 7, None), Some(1 << 40)),
        ),
        (4, "mint_chosen_bearer", mint(user, grant("abcdefghijklmnopqrstuv", 9, 7200), nonce("nonce-9"), 8)),
        (4, "revoke_grant_by_id", revoke_by_id(cookie(1), user, "abcdefghijklmnopqrstuv")),
        (4, "put_by_operator", put(operator(), another, "/priv/app/a", b"hello")),
        (4, "delete_by_operator", delete(operator(), another, "/priv/app/a")),
    ]
    .into_iter()
}

/// The operator's, of version 4.
fn collection_steps(user: u8) -> impl Iterator<Item = (&'static str, Body)> {
    let relocate = |from: &str, to: &str| {
        let (from, to) = (from.to_owned(), to.to_owned());
        Body::MoveEntries(MoveEntries { user: key_of(user), from, to, overwrite: true })
    };
    let make = Body::MakeCollection(MakeCollection { user: key_of(user), path: "/pub/app/made/".to_owned() });
    let remove =
        Body::RemoveCollection(RemoveCollection { user: key_of(user), path: "/priv/new/".to_owned() });
    [
        ("make_collection", make),
        ("move_over_a_file", relocate("/pub/app/b", "/pub/app/c")),
        ("move_entries", relocate("/pub/app/", "/priv/new/")),
        ("remove_collection", remove),
    ]
    .into_iter()
}

/// Conditions and locks, of version 5.
fn lock_steps(user: u8) -> impl Iterator<Item = (u32, &'static str, Body)> {
    let path = "/pub/app/locked";
    let tag = |body: &[u8]| tags(&[body]);
    [
        ("lock_entry", lock(1, user, path, 7, 60)),
        ("put_under_lock", on(holding(&[7]), put(cookie(1), user, path, b"hello"))),
        ("refresh_lock", refresh(1, user, path, &[8, 7], 5, false)),
        ("begin_upload_under_lock", on(holding(&[7]), begin(user, path, 8, None))),
        ("unlock_entry", unlock(1, user, path, 7)),
        ("put_if_matching", on(if_match(tag(b"hello")), put(cookie(1), user, path, b"world"))),
        ("delete_if_matching", on(if_match(tag(b"hello")), delete(cookie(1), user, path))),
        ("abandon_upload", abandon(user, 8)),
    ]
    .into_iter()
    .map(|(name, body)| (5, name, body))
}

/// Users' packets, of version 6.
fn packet_steps(user: u8) -> impl Iterator<Item = (u32, &'static str, Body)> {
    [
        ("note_packet", note(user, signed(user, 1_800_000_000_000_000, Some(homeserver())))),
        ("note_leaving", note(user, signed(user, 1_800_000_000_000_001, Some(key_bytes(50))))),
        ("mark_pass", mark(START_MS, Some(user), false)),
    ]
    .into_iter()
    .map(|(name, body)| (6, name, body))
}

#[test]
fn every_command_writes_the_bytes_it_always_wrote() {
    let mut replica = Replica::default();
    let (user, another, client) = (1, 2, 9);
    // With the command version each was first applied under, which stays. A step's place is its request id and its
    // time: new ones come last.
    let steps = [
        (2, "create_user", create_user(user, auth_token(0, 0), 1)),
        (2, "open_cookie_session", open_session(user, auth_token(1, 0), 2, &["/pub/app/:rw", "/priv/:r"])),
        (2, "mint_bearer", mint(user, grant("grant-1", client, 7200), nonce("nonce-1"), 3)),
        (2, "put_entry", put(bearer(3), user, "/pub/app/a", b"hello")),
        (2, "delete_entry", delete(cookie(1), user, "/pub/app/a")),
        (2, "close_cookie_session", sign_out(user, 2)),
        (2, "revoke_grant", bearer_logout(3)),
        (2, "refused", put(bearer(3), user, "/pub/app/a", b"hello")),
        (2, "begin_upload", begin(user, "/pub/app/b", 4, None)),
        (2, "put_object", held_by(commit(user, "/pub/app/b", 4, 3 * MIB), &[])),
        (2, "replace_object", put(cookie(1), user, "/pub/app/b", b"hello")),
        (2, "collect_objects", collect()),
        (2, "close", close(event_t(60_000))),
        (2, "create_user_by_grant", create_user_by_grant(another, "nonce-1")),
        (2, "mint_another_bearer", mint(user, grant("grant-2", client, 7200), nonce("nonce-2"), 4)),
        (2, "revoke_grant_by_proof", proof_logout(user, grant("grant-2", client, 7200), nonce("nonce-3"))),
        (2, "begin_sized_upload", begin(user, "/pub/app/c", 5, Some(3 * MIB))),
        (2, "renew_upload", renew(user, "/pub/app/c", 5)),
        (3, "put_held_object", commit(user, "/pub/app/c", 5, 3 * MIB)),
        (3, "begin_another_upload", begin(user, "/pub/app/d", 6, None)),
        (3, "put_object_with_few_copies", held_by(commit(user, "/pub/app/d", 6, MIB), &[1, 4])),
    ];
    let collections = collection_steps(user).map(|(name, body)| (4, name, body));
    let steps = steps.into_iter().chain(account_steps(user, another)).chain(collections);
    let steps = steps.chain(lock_steps(user)).chain(packet_steps(user));
    let mut compared = Vec::new();
    for (number, (version, name, body)) in (0..).zip(steps) {
        assert!(files_of(&body).contains(&name), "{name} is listed under its command");
        let command = Command { version, ..command(number, at_ms(name, number), body) };
        check(&mut replica, name, &command);
        compared.push(name);
    }
    golden::check_complete("machine_golden", FILES, &compared);
}
