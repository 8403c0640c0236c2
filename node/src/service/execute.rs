//! A change: verify, admit, judge by the state behind a read barrier, propose, answer.

use bytes::Bytes;
use prost::Message;
use rowhouse_proto::domain::quota;
use rowhouse_proto::wire::command::{Command, Outcome};
use rowhouse_proto::wire::shard::{Done, ExecuteRequest, execute_reply::Result as Reply};
use rowhouse_proto::{ErrorCode, Refusal, WIRE_VERSION};

use super::answer::Answer;
use super::prepare::Verifier;
use super::prepared::Prepared;
use super::refusal::{internal, of_barrier, of_proposal, of_stamp};
use super::shard::{ShardService, Told};
use crate::Group;
use crate::apply::{Precheck, changes_nothing, precheck};
use crate::clock::Stamp;
use crate::meta::OPEN_SIGNUP;
use crate::proposal::propose;
use crate::{planted, read};

impl ShardService {
    /// Checks the request against applied state, then proposes its command and waits until it is applied.
    ///
    /// `Unavailable` while this node does not know the time; `WrongVersion` for a request of another wire version.
    pub(super) async fn answer_execute(&self, request: ExecuteRequest) -> Result<Told<Reply>, Refusal> {
        if request.version != WIRE_VERSION {
            return Err(ErrorCode::WrongVersion.into());
        }
        let group = self.group(request.group)?;
        self.clock.merge(request.seen_hlc_us);
        // Nothing is decided by a clock that may be years off; a node that knows the time will be found.
        let now_us = self.clock.judged_us().ok_or(ErrorCode::Unavailable)?;
        let trace = request.trace.clone();
        let head = Head {
            shard: request.group,
            request_id: request.request_id.clone(),
            issued_at_us: request.issued_at_us,
            client_addr: request.client_addr.clone(),
        };
        let verifier = Verifier {
            homeserver_z32: &self.homeserver_z32,
            now_s: now_us / 1_000_000,
            upload_lifetime_ms: self.upload_lifetime_ms,
        };
        let prepared = verifier.prepare(request)?;
        self.admit(&head, &prepared)?;
        group.read_barrier().await.map_err(of_barrier)?;
        let now_ms = self.clock.physical_ms();
        if group.read(|view| changes_nothing(view, &prepared.body, now_ms))? {
            return Ok(Reply::Done(Done {}).into());
        }
        self.propose(&group, head, prepared, trace).await
    }

    fn admit(&self, head: &Head, prepared: &Prepared) -> Result<(), Refusal> {
        if let Some(user) = &prepared.user {
            self.check_home(user, head.shard)?;
        }
        if prepared.anonymous {
            self.attempts.admit(&head.client_addr, head.shard, self.clock.steady_us())?;
        }
        Ok(())
    }

    /// Bytes that a user without a quota may store, as the cluster's settings have it.
    fn default_quota_bytes(&self) -> Option<u64> {
        quota::storage_bytes(self.default_quota().as_ref(), None)
    }

    fn is_signup_open(&self) -> bool {
        self.view.map().settings.as_ref().is_some_and(|settings| settings.signup_mode == OPEN_SIGNUP)
    }

    async fn propose(
        &self,
        group: &Group,
        head: Head,
        mut prepared: Prepared,
        trace: Bytes,
    ) -> Result<Told<Reply>, Refusal> {
        let version = self.view.command_version();
        if prepared.is_too_new(version) {
            return Err(ErrorCode::WrongVersion.into());
        }
        // An older gateway asks for no token: it signs up nobody where one is needed.
        if prepared.is_unadmitted() && !self.is_signup_open() {
            return Err(ErrorCode::WrongVersion.into());
        }
        prepared.complete(version, self.default_quota_bytes());
        let paced = prepared.paced_user();
        let signed_in = prepared.signed_in_user();
        let Prepared { body, answer, content_length, later, grows, holders, .. } = prepared;
        let Stamp { hlc_us, now_ms } = self.clock.stamp().map_err(|error| of_stamp(&error))?;
        let command = Command {
            version,
            request_id: head.request_id,
            issued_at_us: head.issued_at_us,
            hlc_us,
            now_ms,
            body: Some(body),
        };
        let judged = group.read(|view| {
            let judged = precheck(view, &command, content_length, now_ms)?;
            let bandwidth = match paced {
                Some(user) => read::bandwidth(view, &user, self.default_quota().as_ref())?,
                None => None,
            };
            Ok((judged, bandwidth))
        });
        let (judged, bandwidth) = judged.map_err(|error: rowhouse_raft::Error| internal(&error))?;
        let told = |reply| Told { reply, bandwidth };
        match judged {
            Precheck::Known(outcome) => return finish(answer, outcome).map(told),
            Precheck::Refused(refusal) => return Err(refusal),
            Precheck::Propose => {}
        }
        if let Some(refusal) = later {
            return Err(refusal);
        }
        if grows {
            self.space.check(head.shard)?;
        }
        if holders.is_some_and(|holders| !planted::commit_with_one_copy() && !group.is_quorum(&holders)) {
            return Err(ErrorCode::TooFewCopies.into());
        }
        let reply = propose(group, command.encode_to_vec().into(), trace).await.map_err(of_proposal)?;
        let outcome = Outcome::decode(reply).map_err(|error| internal(&error))?;
        let reply = finish(answer, outcome)?;
        if let Some(user) = signed_in {
            self.hints.seen(group.id(), user);
        }
        Ok(told(reply))
    }
}

/// The rest of a request, once its operation became a command.
struct Head {
    shard: u32,
    request_id: Bytes,
    issued_at_us: u64,
    client_addr: String,
}

fn finish(answer: Answer, outcome: Outcome) -> Result<Reply, Refusal> {
    match Refusal::of_outcome(&outcome) {
        Some(refusal) => Err(refusal),
        None => Ok(answer.complete(outcome)),
    }
}
