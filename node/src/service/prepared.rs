//! A change that is verified, and what it needs before it may be proposed under the version in force.

use rowhouse_proto::Refusal;
use rowhouse_proto::domain::user::UserKey;
use rowhouse_proto::wire::account::signup_admission::Verdict;
use rowhouse_proto::wire::command::{self, command::Body, credential, revoke_grant};
use rowhouse_proto::wire::shard;
use rowhouse_raft::ReplicaId;

use super::answer::Answer;
use crate::apply::{ACCOUNTS_SINCE, HOLDERS_SINCE, LOCKS_SINCE};

/// A change ready to be judged and proposed.
pub struct Prepared {
    /// The command.
    pub body: Body,
    /// The client's answer when it succeeds.
    pub answer: Answer,
    /// The user whose shard it must be; a bearer alone names none.
    pub user: Option<UserKey>,
    /// The Content-Length header of a PUT, or the length of an upload that was counted.
    pub content_length: Option<u64>,
    /// The refusal to give unless the state machine has an earlier one.
    pub later: Option<Refusal>,
    /// Whether it needs no session, so that anybody may send it: it has its own admission.
    pub anonymous: bool,
    /// Whether it adds data: it waits while disks are full.
    pub grows: bool,
    /// The replicas whose disks hold its body, if that is an object.
    pub holders: Option<Vec<ReplicaId>>,
}

impl Prepared {
    pub(super) fn new(body: Body, answer: Answer, user: Option<UserKey>) -> Self {
        Self {
            body,
            answer,
            user,
            content_length: None,
            later: None,
            anonymous: false,
            grows: false,
            holders: None,
        }
    }

    pub(super) fn anonymous(mut self) -> Self {
        self.anonymous = true;
        self
    }

    /// Completes the command with what only newer versions have: the holders, the default quota, and the word on a
    /// signup. Older versions know no word, and let everybody sign up.
    pub fn complete(&mut self, version: u32, default_quota_bytes: Option<u64>) {
        self.name_holders(version);
        let field = match &mut self.body {
            Body::CreateUser(create) if version < ACCOUNTS_SINCE => {
                create.admission = None;
                return;
            }
            Body::PutEntry(put) => &mut put.default_quota_bytes,
            Body::BeginUpload(begin) => &mut begin.default_quota_bytes,
            _ => return,
        };
        *field = default_quota_bytes.filter(|_| version >= ACCOUNTS_SINCE);
    }

    /// The user of whose session a body comes; `None` if none does, or if the operator sends it.
    pub fn paced_user(&self) -> Option<UserKey> {
        let credential = match &self.body {
            Body::PutEntry(put) => put.credential.as_ref(),
            Body::BeginUpload(begin) => begin.credential.as_ref(),
            _ => return None,
        };
        self.user.filter(|_| !by_operator(credential))
    }

    /// Who signs up or in by this: the client publishes its packet before long.
    pub fn signed_in_user(&self) -> Option<UserKey> {
        match &self.body {
            Body::CreateUser(_) | Body::OpenCookieSession(_) | Body::MintBearer(_) => self.user,
            _ => None,
        }
    }

    /// Whether some replica may stop at the command while this version is in force.
    pub fn is_too_new(&self, version: u32) -> bool {
        let is_new = match &self.body {
            Body::SettleSignup(_) | Body::DisableUser(_) | Body::ChangeQuota(_) => true,
            Body::MakeCollection(_) | Body::RemoveCollection(_) | Body::MoveEntries(_) => true,
            Body::RevokeGrant(revoke) => matches!(revoke.by, Some(revoke_grant::By::ById(_))),
            Body::CreateUser(create) => !matches!(word(create), None | Some(Verdict::Open(_))),
            Body::PutEntry(put) => by_operator(put.credential.as_ref()),
            Body::DeleteEntry(delete) => by_operator(delete.credential.as_ref()),
            Body::BeginUpload(begin) => by_operator(begin.credential.as_ref()),
            _ => false,
        };
        is_new && version < ACCOUNTS_SINCE || self.needs_locks() && version < LOCKS_SINCE
    }

    /// Whether it came with locks, or depends on what is there. An older program would leave the condition out.
    fn needs_locks(&self) -> bool {
        match &self.body {
            Body::LockEntry(_) | Body::RefreshLock(_) | Body::UnlockEntry(_) | Body::AbandonUpload(_) => true,
            Body::PutEntry(put) => put.conditions.is_some(),
            Body::DeleteEntry(delete) => delete.conditions.is_some(),
            Body::BeginUpload(begin) => begin.conditions.is_some(),
            _ => false,
        }
    }

    /// Whether it is a signup on which the meta group has said nothing that this program understands.
    pub fn is_unadmitted(&self) -> bool {
        matches!(&self.body, Body::CreateUser(create) if word(create).is_none())
    }

    /// Names the holders in the command, if its version has them.
    fn name_holders(&mut self, version: u32) {
        if version >= HOLDERS_SINCE
            && let Body::PutEntry(command::PutEntry { object: Some(object), .. }) = &mut self.body
        {
            object.holders = self.holders.clone().unwrap_or_default();
        }
    }

    pub(super) fn growing(mut self) -> Self {
        self.grows = true;
        self
    }
}

fn by_operator(presented: Option<&command::Credential>) -> bool {
    matches!(presented.and_then(|credential| credential.kind.as_ref()), Some(credential::Kind::Operator(_)))
}

fn word(create: &command::CreateUser) -> Option<&Verdict> {
    create.admission.as_ref()?.verdict.as_ref()
}

/// A request's credential as its command carries it.
pub(super) fn credential(presented: shard::Credential) -> Option<command::Credential> {
    let kind = match presented.kind? {
        shard::credential::Kind::BearerHash(hash) => credential::Kind::BearerHash(hash),
        shard::credential::Kind::CookieHash(hash) => credential::Kind::CookieHash(hash),
        shard::credential::Kind::Operator(operator) => credential::Kind::Operator(operator),
    };
    Some(command::Credential { kind: Some(kind) })
}
