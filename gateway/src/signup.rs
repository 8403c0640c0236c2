//! A signup over two groups: the meta group knows the token, the user's shard makes the user
//! (docs/rules/consensus.md#a-signup-token-is-spent-once).
//!
//! 1. The meta group keeps the token for the user, unless too many signups come from the same address.
//! 2. The shard makes the user by that reservation.
//! 3. The meta group hears that the token is spent.
//!
//! A gateway may die after each step. The same user may then sign up again with the token. For anybody else the
//! reservation is settled first, as the user's shard says.

use std::sync::Arc;
use std::time::Duration;

use pubky_common::crypto::PublicKey;
use rowhouse_proto::ErrorCode;
use rowhouse_proto::domain::slot::Slot;
use rowhouse_proto::domain::user;
use rowhouse_proto::wire::account::{SignupAdmission, signup_admission::Verdict};
use rowhouse_proto::wire::meta::{
    AdmitSignup, AdmittedSignup, HeldToken, SettleSignupToken, SignupToken, meta_execute_reply,
    meta_execute_request,
};
use rowhouse_proto::wire::shard::{
    GetUser, SettleSignup, execute_reply, execute_request, query_reply, query_request,
};
use tokio_util::task::TaskTracker;

use crate::app::App;
use crate::cluster::{Call, Cluster};
use crate::reference_metrics::signed_up;
use crate::respond::Rejection;

/// A reservation is settled for another user at most once in a request; then the token counts as used.
const ADMISSIONS_MAX: usize = 2;

/// Who signs up, and by which token.
pub struct Signup {
    pub user: PublicKey,
    /// Empty: none.
    pub token: String,
    pub client_addr: String,
}

/// Signs up. `op` makes the shard's operation from the meta group's word.
///
/// It goes on when the client leaves, so that only the gateway's own end can leave a signup half-way.
pub async fn sign_up(
    app: Arc<App>,
    call: Call,
    signup: Signup,
    op: impl FnOnce(SignupAdmission) -> execute_request::Op + Send + 'static,
) -> Result<execute_reply::Result, Rejection> {
    let task = async move {
        let admission = admit(&app, &call, &signup).await?;
        let created = create(&app, &call, &signup, admission, op).await?;
        signed_up();
        Ok(created)
    };
    TaskTracker::new().spawn(task).await.map_err(|_| ErrorCode::Internal)?
}

/// The meta group's word on a signup. A reservation of another user that was given up does not stand in the way.
async fn admit(app: &App, call: &Call, signup: &Signup) -> Result<SignupAdmission, Rejection> {
    for _ in 1..ADMISSIONS_MAX {
        let AdmittedSignup { admission, held } = ask(app, call, signup).await?;
        match held {
            Some(held) if is_given_up(&held, app.limits.signup_reservation_s) => {
                settle(&app.cluster, call, held).await?
            }
            _ => return admission.ok_or_else(|| ErrorCode::Internal.into()),
        }
    }
    ask(app, call, signup).await?.admission.ok_or_else(|| ErrorCode::Internal.into())
}

async fn ask(app: &App, call: &Call, signup: &Signup) -> Result<AdmittedSignup, Rejection> {
    let user = signup.user.as_bytes().to_vec().into();
    let (token, client_addr) = (signup.token.clone(), signup.client_addr.clone());
    let op = meta_execute_request::Op::AdmitSignup(AdmitSignup { user, token, client_addr });
    match app.cluster.meta_execute(call, op).await? {
        meta_execute_reply::Result::AdmittedSignup(admitted) => Ok(admitted),
        _ => Err(ErrorCode::Internal.into()),
    }
}

async fn create(
    app: &App,
    call: &Call,
    signup: &Signup,
    admission: SignupAdmission,
    op: impl FnOnce(SignupAdmission) -> execute_request::Op,
) -> Result<execute_reply::Result, Rejection> {
    let number = match &admission.verdict {
        Some(Verdict::Reserved(reservation)) => Some(reservation.number),
        _ => None,
    };
    let shard = app.cluster.shard_of_user(&signup.user).await?;
    let result = app.cluster.execute(call, shard, signup.client_addr.clone(), op(admission)).await;
    let Some(number) = number else { return result };
    let token = signup.token.clone();
    let is_void = matches!(&result, Err(rejection) if rejection.code() == ErrorCode::SignupTokenUsed);
    let settled = match &result {
        Ok(_) => settle_token(&app.cluster, call, SettleSignupToken { token, number, spent: true }).await,
        // The user exists, perhaps by this very token, and never will by another request. Or the reservation was given
        // up, and the meta group did not hear of it.
        Err(rejection) if rejection.code() == ErrorCode::UserExists || is_void => {
            let user = signup.user.as_bytes().to_vec().into();
            settle(&app.cluster, call, HeldToken { token, user, number, age_ms: 0 }).await
        }
        Err(_) => Ok(()),
    };
    if let Err(rejection) = settled {
        // What the shard decided stands; the next one who asks for the token, or for the list of tokens, settles it.
        tracing::warn!(code = ?rejection.code(), "a signup token's end was not heard by the meta group");
    }
    // Nobody used the token, and the next attempt has a new reservation.
    if is_void { Err(ErrorCode::Unavailable.into()) } else { result }
}

/// The reservation of a token as the meta group answered it; `None` if it is kept for nobody.
pub fn held_token(row: &SignupToken) -> Option<HeldToken> {
    let SignupToken { token, reserved_by, reservation, reserved_for_ms, .. } = row;
    (!reserved_by.is_empty()).then(|| HeldToken {
        token: token.clone(),
        user: reserved_by.clone(),
        number: *reservation,
        age_ms: *reserved_for_ms,
    })
}

/// Settles a reservation that has ended by itself: its user exists, or was waited for as long as `reservation`. One that
/// may still be at work is left alone, so that whoever merely looks at tokens stops nobody's signup. Says whether
/// anything was settled.
pub async fn settle_if_over(
    cluster: &Cluster,
    reservation: Duration,
    call: &Call,
    held: HeldToken,
) -> Result<bool, Rejection> {
    let user = user::parse(&held.user)?;
    let shard = cluster.map().await?.shard_of_slot(Slot::of_key(&user));
    let op = query_request::Op::GetUser(GetUser { tenant: held.user.clone() });
    match cluster.query(call, shard, op).await {
        Ok(query_reply::Result::Account(account)) => {
            let HeldToken { token, number, .. } = held;
            let spent = account.signup_token == token;
            settle_token(cluster, call, SettleSignupToken { token, number, spent }).await?;
            Ok(true)
        }
        Ok(_) => Err(ErrorCode::Internal.into()),
        Err(rejection) if rejection.code() != ErrorCode::NotFound => Err(rejection),
        Err(_) if is_given_up(&held, reservation) => {
            settle(cluster, call, held).await?;
            Ok(true)
        }
        Err(_) => Ok(false),
    }
}

fn is_given_up(held: &HeldToken, reservation: Duration) -> bool {
    u128::from(held.age_ms) >= reservation.as_millis()
}

/// Finds out what became of a reservation, and tells the meta group. A user that does not exist yet will never exist by
/// it.
async fn settle(cluster: &Cluster, call: &Call, held: HeldToken) -> Result<(), Rejection> {
    let user = user::parse(&held.user)?;
    let shard = cluster.map().await?.shard_of_slot(Slot::of_key(&user));
    let op = SettleSignup { tenant: held.user, token: held.token.clone(), number: held.number };
    let op = execute_request::Op::SettleSignup(op);
    let execute_reply::Result::SignupSettled(settled) =
        cluster.execute(call, shard, String::new(), op).await?
    else {
        return Err(ErrorCode::Internal.into());
    };
    let (token, number, spent) = (held.token, held.number, settled.spent);
    settle_token(cluster, call, SettleSignupToken { token, number, spent }).await
}

async fn settle_token(cluster: &Cluster, call: &Call, settled: SettleSignupToken) -> Result<(), Rejection> {
    let op = meta_execute_request::Op::SettleSignupToken(settled);
    cluster.meta_execute(call, op).await.map(drop)
}
