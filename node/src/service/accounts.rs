//! The meta group's part of accounts: signup tokens, who may sign up, settings, and the audit chain. Changes go through
//! its log, reads wait for its barrier; both are answered where the group is led.

use std::sync::Arc;

use bytes::Bytes;
use prost::Message;
use rowhouse_proto::domain::user;
use rowhouse_proto::wire::account::{SignupAdmission, SignupReservation, signup_admission::Verdict};
use rowhouse_proto::wire::command::{self, MetaOutcome, meta_command::Body};
use rowhouse_proto::wire::meta::meta_execute_reply::Result as Changed;
use rowhouse_proto::wire::meta::meta_execute_request::Op as Change;
use rowhouse_proto::wire::meta::meta_query_reply::Result as Answer;
use rowhouse_proto::wire::meta::meta_query_request::Op as Question;
use rowhouse_proto::wire::meta::{
    AccountSettings, AdmitSignup, AdmittedSignup, AuditPage, ClusterRecord, MetaDone, MetaExecuteRequest,
    MetaQueryRequest, Settings, SignupToken, SignupTokenPage,
};
use rowhouse_proto::{ErrorCode, Refusal, WIRE_VERSION};

use super::MetaService;
use super::refusal::{internal, of_barrier, of_proposal};
use crate::apply::ACCOUNTS_SINCE;
use crate::proposal::propose;
use crate::{Group, meta};

/// Most records of a page.
const PAGE_MAX: u32 = 1000;
/// Reservations told with the totals; the next question tells of more.
const HELD_MAX: usize = 64;

impl MetaService {
    /// A change, decided by the meta group's log. `NotLeader` names the node that leads it.
    pub(super) async fn answer_execute(&self, request: MetaExecuteRequest) -> Result<Changed, Refusal> {
        let group = self.asked(request.version, &request.cluster_id)?;
        let trace = request.trace;
        match request.op.ok_or(ErrorCode::WrongVersion)? {
            Change::AdmitSignup(asked) => self.admit(&group, asked, trace).await.map(Changed::AdmittedSignup),
            Change::SettleSignupToken(op) => {
                let command =
                    command::SettleSignupToken { token: op.token, number: op.number, spent: op.spent };
                self.decide(&group, Body::SettleSignupToken(command), trace).await
            }
            Change::CreateSignupToken(op) => {
                let command = command::CreateSignupToken { token: op.token, id: op.id, quota: op.quota };
                self.decide(&group, Body::CreateSignupToken(command), trace).await
            }
            Change::ChangeSettings(op) => {
                let command = command::ChangeSettings { signup_mode: op.signup_mode, defaults: op.defaults };
                self.decide(&group, Body::ChangeSettings(command), trace).await
            }
            Change::AppendAudit(op) => {
                let command = command::AppendAudit {
                    id: op.id,
                    who: op.who,
                    action: op.action,
                    target: op.target,
                    result: op.result,
                };
                self.decide(&group, Body::AppendAudit(command), trace).await
            }
        }
    }

    /// A linearizable read of the meta group's state.
    pub(super) async fn answer_query(&self, request: MetaQueryRequest) -> Result<Answer, Refusal> {
        let group = self.asked(request.version, &request.cluster_id)?;
        group.read_barrier().await.map_err(of_barrier)?;
        let now_ms = self.local.clock.physical_ms();
        group.read(|view| {
            let cluster = record(meta::cluster(view))?;
            match request.op.ok_or(ErrorCode::WrongVersion)? {
                Question::GetSignupToken(_) if is_open(&cluster) => {
                    Err(ErrorCode::SignupTokensNotRequired.into())
                }
                Question::GetSignupToken(asked) => meta::signup_token(view, &asked.token)
                    .map_err(|error| internal(&error))?
                    .map(|row| Answer::SignupToken(aged(row, now_ms)))
                    .ok_or_else(|| ErrorCode::SignupTokenNotFound.into()),
                Question::ListSignupTokens(asked) => {
                    let limit = asked.limit.min(PAGE_MAX) as usize;
                    let tokens =
                        meta::signup_token_page(view, &asked, limit).map_err(|error| internal(&error))?;
                    let tokens = tokens.into_iter().map(|row| aged(row, now_ms)).collect();
                    Ok(Answer::SignupTokenPage(SignupTokenPage { tokens }))
                }
                Question::GetAccountSettings(_) => Ok(Answer::AccountSettings(AccountSettings {
                    settings: cluster.settings,
                    map_version: cluster.map_version,
                    signup_tokens: cluster.signup_tokens,
                    spent_signup_tokens: cluster.spent_signup_tokens,
                    held: meta::held(view, HELD_MAX, now_ms).map_err(|error| internal(&error))?,
                })),
                Question::ListAudit(asked) => {
                    let limit = asked.limit.min(PAGE_MAX) as usize;
                    let records =
                        meta::audit_page(view, asked.from, limit).map_err(|error| internal(&error))?;
                    Ok(Answer::AuditPage(AuditPage { records }))
                }
            }
        })
    }

    fn asked(&self, version: u32, cluster_id: &[u8]) -> Result<Arc<Group>, Refusal> {
        let ours = self.local.identity.cluster_id();
        if version != WIRE_VERSION || ours.is_none_or(|ours| cluster_id != ours) {
            return Err(ErrorCode::WrongVersion.into());
        }
        self.local.host.group(meta::GROUP).ok_or_else(|| ErrorCode::WrongReplica.into())
    }

    /// Who may sign up. A free token is kept for the user by the log; everything else only needs to be read.
    async fn admit(
        &self,
        group: &Group,
        asked: AdmitSignup,
        trace: Bytes,
    ) -> Result<AdmittedSignup, Refusal> {
        let says = |verdict| AdmittedSignup {
            admission: Some(SignupAdmission { verdict: Some(verdict) }),
            ..AdmittedSignup::default()
        };
        let refused = |code: ErrorCode| says(Verdict::Refused(code.number()));
        user::parse(&asked.user)?;
        // Before anything that costs more: a stranger may ask as often as here, and as often at the user's shard.
        if !asked.client_addr.is_empty() {
            self.attempts.admit_address(&asked.client_addr, self.local.clock.steady_us())?;
        }
        group.read_barrier().await.map_err(of_barrier)?;
        let (cluster, row) = self.known(group, &asked.token)?;
        if is_open(&cluster) {
            return Ok(says(Verdict::Open(true)));
        }
        if asked.token.is_empty() {
            return Ok(refused(ErrorCode::SignupTokenRequired));
        }
        let Some(row) = row else { return Ok(refused(ErrorCode::SignupTokenInvalid)) };
        let row = if row.used_by.is_empty() && row.reserved_by.is_empty() {
            let command =
                command::ReserveSignupToken { token: asked.token.clone(), user: asked.user.clone() };
            // Refused if another user was quicker; the row tells.
            let _decided = self.propose_account(group, Body::ReserveSignupToken(command), trace).await?;
            self.known(group, &asked.token)?.1.ok_or(ErrorCode::Internal)?
        } else {
            row
        };
        Ok(if !row.used_by.is_empty() {
            refused(ErrorCode::SignupTokenUsed)
        } else if row.reserved_by == asked.user {
            let SignupToken { token, reservation: number, quota, .. } = row;
            says(Verdict::Reserved(SignupReservation { token, number, quota }))
        } else if row.reserved_by.is_empty() {
            // Another user was quicker, and gave it up meanwhile: the gateway asks again.
            return Err(ErrorCode::Unavailable.into());
        } else {
            let held = meta::held_token(row, self.local.clock.physical_ms());
            AdmittedSignup { held: Some(held), ..refused(ErrorCode::SignupTokenUsed) }
        })
    }

    fn known(&self, group: &Group, token: &str) -> Result<(ClusterRecord, Option<SignupToken>), Refusal> {
        group.read(|view| {
            let row = meta::signup_token(view, token).map_err(|error| internal(&error))?;
            Ok((record(meta::cluster(view))?, row))
        })
    }

    async fn decide(&self, group: &Group, body: Body, trace: Bytes) -> Result<Changed, Refusal> {
        let outcome = self.propose_account(group, body, trace).await?;
        if outcome.accepted {
            Ok(Changed::Done(MetaDone {}))
        } else {
            Err(Refusal::new(ErrorCode::SettingRefused, outcome.refused))
        }
    }

    async fn propose_account(&self, group: &Group, body: Body, trace: Bytes) -> Result<MetaOutcome, Refusal> {
        let version =
            group.read_latest(|view| meta::command_version(view)).map_err(|error| internal(&error))?;
        // Until every node understands them, some replica would stop at the entry.
        let version = version.filter(|version| *version >= ACCOUNTS_SINCE).ok_or(ErrorCode::WrongVersion)?;
        let entry = meta::encode(version, body, self.local.clock.physical_ms());
        let reply = propose(group, entry, trace).await.map_err(of_proposal)?;
        MetaOutcome::decode(reply).map_err(|error| internal(&error))
    }
}

fn record(read: Result<Option<ClusterRecord>, rowhouse_raft::Error>) -> Result<ClusterRecord, Refusal> {
    read.map_err(|error| internal(&error))?.ok_or_else(|| ErrorCode::Unavailable.into())
}

/// A token as it is answered: with the time since it was reserved.
fn aged(row: SignupToken, now_ms: u64) -> SignupToken {
    let held = !row.reserved_by.is_empty();
    SignupToken { reserved_for_ms: if held { now_ms.saturating_sub(row.reserved_at_ms) } else { 0 }, ..row }
}

fn is_open(cluster: &ClusterRecord) -> bool {
    let mode = cluster.settings.as_ref().map(|Settings { signup_mode, .. }| signup_mode.as_str());
    mode == Some(meta::OPEN_SIGNUP)
}
