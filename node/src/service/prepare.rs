//! Turns a client's operation into the command that the log shall decide. Tokens are verified here, without any state.
//!
//! Some errors must not be reported before the state machine's own checks; they are kept in `Prepared::later`.

use bytes::Bytes;
use pubky_common::auth::AuthToken;
use pubky_common::auth::grant::GrantClaims;
use pubky_common::crypto::PublicKey;
use rowhouse_proto::domain::user;
use rowhouse_proto::domain::{auth_token, jws};
use rowhouse_proto::wire::command::{self, command::Body, create_user, revoke_grant};
use rowhouse_proto::wire::shard::{self, ExecuteRequest, execute_request::Op};
use rowhouse_proto::{ErrorCode, INLINE_BODY_BYTES_MAX, Refusal};

use super::answer::Answer;
use super::prepare_account as accounts;
use super::prepare_collection as collections;
use super::prepare_lock as locks;
use super::prepared::{Prepared, credential};

/// Verifies operations: what it knows of this homeserver and of time.
#[derive(Clone, Copy)]
pub struct Verifier<'a> {
    /// The homeserver's public key, which a proof must name as its audience.
    pub homeserver_z32: &'a str,
    /// The present in unix seconds.
    pub now_s: u64,
    /// Time of an upload until it is renewed or committed.
    pub upload_lifetime_ms: u64,
}

impl Verifier<'_> {
    /// The command for an operation, or the refusal of a token that is no good.
    pub fn prepare(self, request: ExecuteRequest) -> Result<Prepared, Refusal> {
        match request.op.ok_or(ErrorCode::WrongVersion)? {
            Op::CookieSignup(op) => cookie_signup(op),
            Op::CookieSignin(op) => cookie_signin(op),
            Op::CookieSignout(op) => cookie_signout(op),
            Op::GrantSignup(op) => self.grant_signup(op),
            Op::GrantExchange(op) => self.grant_exchange(op),
            Op::BearerLogout(op) => Ok(bearer_logout(op)),
            Op::ProofLogout(op) => self.proof_logout(&op),
            Op::PutEntry(op) | Op::PutEntryIf(op) => put_entry(op),
            Op::DeleteEntry(op) | Op::DeleteEntryIf(op) => delete_entry(op),
            Op::BeginUpload(op) | Op::BeginUploadIf(op) => self.begin_upload(op),
            Op::AbandonUpload(op) => abandon_upload(op),
            Op::LockEntry(op) => locks::lock_entry(op),
            Op::RefreshLock(op) => locks::refresh_lock(op),
            Op::UnlockEntry(op) => locks::unlock_entry(op),
            Op::SettleSignup(op) => accounts::settle_signup(op),
            Op::DisableUser(op) => accounts::disable_user(op),
            Op::ChangeQuota(op) => accounts::change_quota(op),
            Op::MakeCollection(op) => collections::make_collection(op),
            Op::RemoveCollection(op) => collections::remove_collection(op),
            Op::MoveEntries(op) => collections::move_entries(op),
            Op::RevokeGrantById(op) => Ok(accounts::revoke_grant(op)),
        }
    }

    fn grant_signup(self, op: shard::GrantSignup) -> Result<Prepared, Refusal> {
        let grant = jws::verify_grant(&op.grant)?;
        jws::check_expiry(&grant, self.now_s)?;
        jws::check_signup(&grant, self.now_s)?;
        let nonce = self.nonce(&op.pop, &grant)?;
        let command = command::CreateUser {
            user: key_bytes(&grant.iss),
            guard: Some(create_user::Guard::PopNonce(nonce)),
            session: None,
            admission: op.admission,
            ..command::CreateUser::default()
        };
        Ok(Prepared::new(Body::CreateUser(command), Answer::Done, Some(*grant.iss.as_bytes()))
            .anonymous()
            .growing())
    }

    fn grant_exchange(self, op: shard::GrantExchange) -> Result<Prepared, Refusal> {
        let grant = jws::verify_grant(&op.grant)?;
        jws::check_expiry(&grant, self.now_s)?;
        // A revoked grant is refused before its proof is looked at (docs/rules/protocol.md#grants-and-proofs, check 5).
        let (nonce, later) = match jws::verify_pop(&op.pop, &grant, self.homeserver_z32, self.now_s) {
            Ok(pop) => (nonce_of(pop.nonce.as_str(), pop.iat), None),
            Err(refusal) => (command::PopNonce::default(), Some(refusal)),
        };
        let command = command::MintBearer {
            user: key_bytes(&grant.iss),
            grant: Some(grant_message(&grant)),
            nonce: Some(nonce),
            bearer_hash: op.bearer_hash,
        };
        let answer = Answer::GrantSession(shard::GrantSession {
            user: key_bytes(&grant.iss),
            client_id: grant.client_id.as_str().to_owned(),
            capabilities: grant.caps.iter().map(ToString::to_string).collect(),
            ..shard::GrantSession::default()
        });
        let prepared =
            Prepared::new(Body::MintBearer(command), answer, Some(*grant.iss.as_bytes())).anonymous();
        Ok(Prepared { later, ..prepared })
    }

    /// An expired grant can be revoked too.
    fn proof_logout(self, op: &shard::ProofLogout) -> Result<Prepared, Refusal> {
        let grant = jws::verify_grant(&op.grant)?;
        let nonce = self.nonce(&op.pop, &grant)?;
        let proof = revoke_grant::ByProof { grant: Some(grant_message(&grant)), nonce: Some(nonce) };
        let command =
            command::RevokeGrant { user: key_bytes(&grant.iss), by: Some(revoke_grant::By::Proof(proof)) };
        Ok(Prepared::new(Body::RevokeGrant(command), Answer::Done, Some(*grant.iss.as_bytes())).anonymous())
    }

    fn begin_upload(self, op: shard::BeginUpload) -> Result<Prepared, Refusal> {
        let user = user::parse(&op.tenant)?;
        let command = command::BeginUpload {
            credential: op.credential.and_then(credential),
            user: op.tenant,
            path: op.path,
            object: op.object,
            content_length: op.content_length,
            lifetime_ms: self.upload_lifetime_ms,
            renew: op.renew,
            reserved_bytes: op.reserved_bytes,
            default_quota_bytes: None,
            conditions: op.conditions,
        };
        let answer = Answer::UploadBegun { lifetime_ms: self.upload_lifetime_ms };
        Ok(Prepared::new(Body::BeginUpload(command), answer, Some(user)).growing())
    }

    fn nonce(self, pop: &str, grant: &GrantClaims) -> Result<command::PopNonce, Refusal> {
        let pop = jws::verify_pop(pop, grant, self.homeserver_z32, self.now_s)?;
        Ok(nonce_of(pop.nonce.as_str(), pop.iat))
    }
}

fn cookie_signup(op: shard::CookieSignup) -> Result<Prepared, Refusal> {
    let token = auth_token::verify(&op.auth_token)?;
    let command = command::CreateUser {
        user: key_bytes(token.public_key()),
        guard: Some(create_user::Guard::AuthToken(token_id(&token))),
        session: Some(session_spec(&token, op.cookie_hash)),
        admission: op.admission,
        ..command::CreateUser::default()
    };
    let (answer, user) = (cookie_answer(&token), *token.public_key().as_bytes());
    Ok(Prepared::new(Body::CreateUser(command), answer, Some(user)).anonymous().growing())
}

fn cookie_signin(op: shard::CookieSignin) -> Result<Prepared, Refusal> {
    let token = auth_token::verify(&op.auth_token)?;
    let command = command::OpenCookieSession {
        user: key_bytes(token.public_key()),
        auth_token: Some(token_id(&token)),
        session: Some(session_spec(&token, op.cookie_hash)),
    };
    let (answer, user) = (cookie_answer(&token), *token.public_key().as_bytes());
    Ok(Prepared::new(Body::OpenCookieSession(command), answer, Some(user)).anonymous())
}

fn cookie_signout(op: shard::CookieSignout) -> Result<Prepared, Refusal> {
    let user = user::parse(&op.user)?;
    let command = command::CloseCookieSession { user: op.user, secret_hash: op.cookie_hash };
    Ok(Prepared::new(Body::CloseCookieSession(command), Answer::Done, Some(user)))
}

fn bearer_logout(op: shard::BearerLogout) -> Prepared {
    let by = revoke_grant::By::BearerHash(op.bearer_hash);
    let command = command::RevokeGrant { user: Bytes::new(), by: Some(by) };
    Prepared::new(Body::RevokeGrant(command), Answer::Done, None)
}

fn put_entry(op: shard::PutEntry) -> Result<Prepared, Refusal> {
    let user = user::parse(&op.tenant)?;
    let too_large = op.body.len() > INLINE_BODY_BYTES_MAX;
    let (hash, object, holders, length) = match op.upload {
        // The upload's bytes were counted: the quota is judged first, as at the end of an upload.
        Some(upload) => {
            let object = command::Object { id: upload.object, length: upload.length, holders: Vec::new() };
            (upload.hash, Some(object), Some(upload.holders), Some(upload.length))
        }
        None if too_large => (Bytes::new(), None, None, op.content_length),
        None => {
            let hash = Bytes::copy_from_slice(blake3::hash(&op.body).as_bytes());
            (hash, None, None, op.content_length)
        }
    };
    let command = command::PutEntry {
        credential: op.credential.and_then(credential),
        user: op.tenant,
        path: op.path,
        body: op.body,
        hash,
        content_type: op.content_type,
        object,
        default_quota_bytes: None,
        conditions: op.conditions,
    };
    let prepared = Prepared::new(Body::PutEntry(command), Answer::Done, Some(user)).growing();
    let later = too_large.then(|| ErrorCode::BodyTooLarge.into());
    Ok(Prepared { content_length: length, later, holders, ..prepared })
}

fn abandon_upload(op: shard::AbandonUpload) -> Result<Prepared, Refusal> {
    let user = user::parse(&op.tenant)?;
    let command = command::AbandonUpload { user: op.tenant, object: op.object };
    Ok(Prepared::new(Body::AbandonUpload(command), Answer::Done, Some(user)))
}

fn delete_entry(op: shard::DeleteEntry) -> Result<Prepared, Refusal> {
    let user = user::parse(&op.tenant)?;
    let command = command::DeleteEntry {
        credential: op.credential.and_then(credential),
        user: op.tenant,
        path: op.path,
        conditions: op.conditions,
    };
    Ok(Prepared::new(Body::DeleteEntry(command), Answer::Done, Some(user)))
}

fn token_id(token: &AuthToken) -> command::AuthTokenId {
    command::AuthTokenId { timestamp_us: token.timestamp().as_u64() }
}

/// Exactly what the token says, not normalised.
fn capability_texts(token: &AuthToken) -> Vec<String> {
    token.capabilities().iter().map(ToString::to_string).collect()
}

fn session_spec(token: &AuthToken, secret_hash: Bytes) -> command::CookieSessionSpec {
    command::CookieSessionSpec { secret_hash, capabilities: capability_texts(token) }
}

fn cookie_answer(token: &AuthToken) -> Answer {
    Answer::CookieSession(shard::CookieSession {
        user: key_bytes(token.public_key()),
        capabilities: capability_texts(token),
        created_at_us: 0,
    })
}

fn nonce_of(nonce: &str, issued_at: u64) -> command::PopNonce {
    command::PopNonce { nonce: nonce.to_owned(), issued_at: Some(issued_at) }
}

fn grant_message(grant: &GrantClaims) -> command::Grant {
    command::Grant {
        id: grant.jti.as_str().to_owned(),
        client_id: grant.client_id.as_str().to_owned(),
        capabilities: grant.caps.iter().map(ToString::to_string).collect(),
        client_key: key_bytes(&grant.cnf),
        issued_at: grant.iat,
        expires_at: grant.exp,
    }
}

fn key_bytes(key: &PublicKey) -> Bytes {
    Bytes::copy_from_slice(key.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::apply::HOLDERS_SINCE;

    #[test]
    fn an_upload_is_begun_with_what_it_reserves() {
        let tenant = Bytes::from_static(&[7; 32]);
        let begin = |content_length, reserved_bytes| {
            let op = shard::BeginUpload {
                tenant: tenant.clone(),
                content_length,
                reserved_bytes,
                ..shard::BeginUpload::default()
            };
            let request = ExecuteRequest { op: Some(Op::BeginUpload(op)), ..ExecuteRequest::default() };
            let verifier = Verifier { homeserver_z32: "", now_s: 0, upload_lifetime_ms: 5 };
            match verifier.prepare(request).map(|prepared| prepared.body) {
                Ok(Body::BeginUpload(begin)) => (begin.content_length, begin.reserved_bytes),
                _ => panic!("an upload"),
            }
        };
        assert_eq!(begin(None, 9), (None, 9));
        assert_eq!(begin(Some(3), 0), (Some(3), 0));
    }

    #[test]
    fn holders_are_named_only_under_a_version_that_has_them() {
        for (version, expected) in [(HOLDERS_SINCE - 1, vec![]), (HOLDERS_SINCE, vec![1, 2])] {
            let upload = shard::Upload { holders: vec![1, 2], ..shard::Upload::default() };
            let op = shard::PutEntry {
                tenant: Bytes::from_static(&[7; 32]),
                upload: Some(upload),
                ..shard::PutEntry::default()
            };
            let mut prepared = put_entry(op).expect("a put");
            prepared.complete(version, None);
            assert_eq!(prepared.holders, Some(vec![1, 2]), "the leader judges in any case");
            let Body::PutEntry(put) = prepared.body else { panic!("a put") };
            assert_eq!(put.object.map(|object| object.holders), Some(expected));
        }
    }
}
