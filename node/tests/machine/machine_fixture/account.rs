//! Commands about accounts, as version 4 brought them.

use rowhouse_proto::wire::account::signup_admission::Verdict;
use rowhouse_proto::wire::account::{QuotaField, QuotaPatch, SignupAdmission, SignupReservation};
use rowhouse_proto::wire::command::{self, command::Body, credential::Kind, revoke_grant};

use super::*;

pub const TOKEN: &str = "AAAA-BBBB-CCCC";

/// Signup with a root cookie session under `secret`, by the meta group's word.
pub fn admitted(user: u8, token: command::AuthTokenId, secret: u8, verdict: Verdict) -> Body {
    let Body::CreateUser(create) = create_user(user, token, secret) else { panic!("a signup") };
    let admission = Some(SignupAdmission { verdict: Some(verdict) });
    Body::CreateUser(command::CreateUser { admission, ..create })
}

pub fn reserved(token: &str, number: u64, quota: Option<UserQuota>) -> Verdict {
    Verdict::Reserved(SignupReservation { token: token.to_owned(), number, quota })
}

pub fn settle(user: u8, token: &str, number: u64) -> Body {
    Body::SettleSignup(command::SettleSignup { user: key_of(user), token: token.to_owned(), number })
}

pub fn disable(user: u8, disabled: bool) -> Body {
    Body::DisableUser(command::DisableUser { user: key_of(user), disabled })
}

pub fn change_quota(user: u8, set: UserQuota, reset: &[QuotaField]) -> Body {
    let reset = reset.iter().map(|field| i32::from(*field)).collect();
    let patch = Some(QuotaPatch { set: Some(set), reset });
    Body::ChangeQuota(command::ChangeQuota { user: key_of(user), patch })
}

pub fn revoke_by_id(credential: Option<command::Credential>, tenant: u8, grant_id: &str) -> Body {
    let by = revoke_grant::ById { credential, grant_id: grant_id.to_owned() };
    Body::RevokeGrant(command::RevokeGrant { user: key_of(tenant), by: Some(revoke_grant::By::ById(by)) })
}

pub fn operator() -> Option<command::Credential> {
    Some(command::Credential { kind: Some(Kind::Operator(true)) })
}
