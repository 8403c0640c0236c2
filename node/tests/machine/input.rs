//! Bad input: whatever command lies in the log, apply answers, and the same on every replica; what is no command
//! stops them all.

use crate::machine_fixture;

use bytes::Bytes;
use machine_fixture::account::*;
use machine_fixture::*;
use proptest::prelude::*;
use prost::Message;
use rowhouse_proto::COMMAND_VERSION;
use rowhouse_proto::wire::account::QuotaPatch;
use rowhouse_proto::wire::command::{
    AuthTokenId, ChangeQuota, Command, DisableUser, PopNonce, command::Body,
};
use rowhouse_raft::Error;

fn number() -> impl Strategy<Value = u64> {
    prop_oneof![Just(0), Just(u64::MAX), any::<u64>(), (0u64..10_000_000).prop_map(|ms| START_MS + ms)]
}

fn bytes() -> impl Strategy<Value = Bytes> {
    prop_oneof![
        Just(Bytes::new()),
        Just(key_of(1)),
        Just(hash(1)),
        prop::collection::vec(any::<u8>(), 0..40).prop_map(Bytes::from),
    ]
}

fn text() -> impl Strategy<Value = String> {
    prop_oneof![Just("/pub/a".to_owned()), Just("/pub/a/".to_owned()), "\\PC{0,12}", "/pub/[a-c/.]{0,9}"]
}

/// Bodies of the right shape with any content.
fn body() -> impl Strategy<Value = Body> {
    prop_oneof![
        (bytes(), number(), bytes()).prop_map(|(user, timestamp_us, secret_hash)| {
            let mut body = create_user(1, auth_token(0, 0), 1);
            if let Body::CreateUser(create) = &mut body {
                create.user = user;
                create.guard = Some(rowhouse_proto::wire::command::create_user::Guard::AuthToken(
                    rowhouse_proto::wire::command::AuthTokenId { timestamp_us },
                ));
                create.session.as_mut().expect("built with one").secret_hash = secret_hash;
            }
            body
        }),
        (text(), number(), number(), bytes()).prop_map(|(id, expires_at, issued_at, bearer_hash)| {
            let mut body = mint(1, grant("g", 9, 60), nonce("n"), 10);
            if let Body::MintBearer(mint) = &mut body {
                let grant = mint.grant.as_mut().expect("built with one");
                (grant.id, grant.expires_at) = (id.clone(), expires_at);
                mint.nonce = Some(PopNonce { nonce: id, issued_at: Some(issued_at) });
                mint.bearer_hash = bearer_hash;
            }
            body
        }),
        (text(), bytes(), bytes()).prop_map(|(path, user, content)| {
            let mut body = put(cookie(1), 1, &path, &content);
            if let Body::PutEntry(put) = &mut body {
                put.user = user;
            }
            body
        }),
        text().prop_map(|path| put(cookie(1), 1, &path, b"x")),
        text().prop_map(|path| delete(cookie(1), 1, &path)),
        number().prop_map(close),
        Just(bearer_logout(10)),
        account_body(),
    ]
}

fn account_body() -> impl Strategy<Value = Body> {
    let user = || prop_oneof![Just(1u8), Just(2u8)];
    prop_oneof![
        (user(), text(), number()).prop_map(|(user, token, number)| settle(user, &token, number)),
        (user(), number(), text(), number()).prop_map(|(user, timestamp_us, token, number)| {
            let token_id = AuthTokenId { timestamp_us };
            admitted(
                user,
                token_id,
                user,
                reserved(&token, number, Some(quota(Some(number), Some(&[&token])))),
            )
        }),
        (bytes(), any::<bool>())
            .prop_map(|(user, disabled)| Body::DisableUser(DisableUser { user, disabled })),
        (bytes(), text(), number(), prop::collection::vec(-1i32..9, 0..4)).prop_map(
            |(user, path, storage_mb, reset)| {
                let set = Some(quota(Some(storage_mb), Some(&[&path])));
                Body::ChangeQuota(ChangeQuota { user, patch: Some(QuotaPatch { set, reset }) })
            }
        ),
        text().prop_map(|id| revoke_by_id(cookie(1), 1, &id)),
        (text(), prop::option::of(number()))
            .prop_map(|(path, quota)| under_quota(put(operator(), 1, &path, b"x"), quota)),
        text().prop_map(|path| delete(operator(), 1, &path)),
    ]
}

fn any_command() -> impl Strategy<Value = Command> {
    (bytes(), number(), number(), number(), body()).prop_map(
        |(request_id, issued_at_us, hlc_us, now_ms, body)| {
            let request_id = if request_id.len() > 20 { request_id.slice(..16) } else { request_id };
            let version = COMMAND_VERSION;
            Command { version, request_id, issued_at_us, hlc_us, now_ms, body: Some(body) }
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn odd_commands_are_answered_alike_everywhere(commands in prop::collection::vec(any_command(), 1..40)) {
        let (mut one, mut other) = (Replica::default(), Replica::default());
        let start = command(1, 0, create_user(1, auth_token(0, 0), 1));
        one.apply(&start);
        other.apply(&start);
        let single: Vec<_> = commands.iter().map(|command| one.apply(command)).collect();
        prop_assert_eq!(single, other.apply_batch(&commands));
        prop_assert!(one.rows.0 == other.rows.0);
        prop_assert!(one.events().is_sorted_by(|a, b| a.id < b.id));
    }

    #[test]
    fn broken_bytes_stop_the_replica_and_change_nothing(
        bytes in prop::collection::vec(any::<u8>(), 0..200),
        cut in 0usize..300,
    ) {
        let mut replica = Replica::default();
        let whole = command(1, 0, put(cookie(1), 1, "/pub/a", b"x")).encode_to_vec();
        for broken in [Bytes::from(bytes), Bytes::copy_from_slice(&whole[..cut.min(whole.len() - 1)])] {
            let stopped = replica.stopped(&broken);
            prop_assert!(matches!(stopped, Error::Unapplicable { index: 1, .. }), "{}", stopped);
        }
    }
}
