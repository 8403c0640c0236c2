//! `POST|GET|DELETE /auth/grant/session`: exchange of a grant for a bearer, the bearer's session, and
//! sign-out by bearer or by proof. The bearer is drawn here; shards learn its hash only.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::response::Response;
use http::StatusCode;
use pubky_common::auth::grant_session_responses::{GrantSessionInfo, GrantSessionResponse};
use pubky_common::auth::jws::{ClientId, GrantId};
use pubky_common::capabilities::Capability;
use pubky_common::crypto::PublicKey;
use rowhouse_proto::ErrorCode;
use rowhouse_proto::domain::secret::Bearer;
use rowhouse_proto::domain::slot::Slot;
use rowhouse_proto::wire::shard::{
    BearerLogout, GrantExchange, GrantSession, ProofLogout, execute_reply, execute_request,
};

use super::grant_request::GrantRequest;
use super::receive;
use crate::app::App;
use crate::cluster::Call;
use crate::credentials::{BearerHash, Credentials};
use crate::layers::Target;
use crate::respond::{Rejection, empty, json, refuse};
use crate::session::{self, Session};

/// `POST /auth/grant/session`: a bearer for a grant and its proof.
pub async fn grant_exchange(State(app): State<Arc<App>>, request: Request) -> Result<Response, Response> {
    let (parts, body) = request.into_parts();
    let call = app.call(&parts.extensions);
    let request: GrantRequest = receive::json(&app, &parts, body).await?;
    let issuer = request.issuer().map_err(refuse)?;
    let bearer = Bearer::generate(Slot::of_user(&issuer));
    let op = execute_request::Op::GrantExchange(GrantExchange {
        grant: request.grant.0,
        pop: request.pop.0,
        bearer_hash: bearer.hash().0.to_vec().into(),
    });
    let shard = app.cluster.shard_of_user(&issuer).await.map_err(refuse)?;
    let result = app.cluster.execute(&call, shard, receive::client_addr(&parts), op).await.map_err(refuse)?;
    let execute_reply::Result::GrantSession(session) = result else {
        return Err(refuse(ErrorCode::Internal));
    };
    let session = session_info(&app.homeserver, session).ok_or_else(|| refuse(ErrorCode::Internal))?;
    Ok(json(&GrantSessionResponse { token: bearer.as_str().to_owned(), session }))
}

/// `GET /auth/grant/session`: the session of the bearer. A cookie's session has none here: 401.
pub async fn grant_session(State(app): State<Arc<App>>, request: Request) -> Result<Response, Rejection> {
    let call = app.call(request.extensions());
    let tenant = request.extensions().get::<Target>().map(|target| &target.user);
    let credentials = Credentials::of(request.headers(), tenant);
    match session::authenticate(&app, &call, &credentials, tenant).await? {
        Some(Session::Grant(session)) => {
            Ok(json(&session_info(&app.homeserver, session).ok_or(ErrorCode::Internal)?))
        }
        Some(Session::Cookie(_)) => Err(ErrorCode::Unauthorized.into()),
        None => Err(ErrorCode::NoSession.into()),
    }
}

/// With a body the proof decides; without one the bearer does, and a dead bearer is a sign-out already done.
pub async fn grant_signout(State(app): State<Arc<App>>, request: Request) -> Result<Response, Response> {
    let (parts, body) = request.into_parts();
    let call = app.call(&parts.extensions);
    let proof: Option<GrantRequest> = receive::optional_json(&app, &parts, body).await?;
    if let Some(proof) = proof {
        let issuer = proof.issuer().map_err(refuse)?;
        let op = execute_request::Op::ProofLogout(ProofLogout { grant: proof.grant.0, pop: proof.pop.0 });
        let shard = app.cluster.shard_of_user(&issuer).await.map_err(refuse)?;
        app.cluster.execute(&call, shard, receive::client_addr(&parts), op).await.map_err(refuse)?;
    } else if let Some(bearer) = Credentials::of(&parts.headers, None).bearer {
        bearer_logout(&app, &call, bearer).await.map_err(refuse)?;
    }
    Ok(empty(StatusCode::OK))
}

async fn bearer_logout(app: &App, call: &Call, bearer: BearerHash) -> Result<(), Rejection> {
    let shard = app.cluster.map().await?.shard_of_slot(bearer.slot);
    let op = execute_request::Op::BearerLogout(BearerLogout { bearer_hash: bearer.hash.0.to_vec().into() });
    match app.cluster.execute(call, shard, String::new(), op).await {
        Err(rejection) if rejection.code() != ErrorCode::NoSession => Err(rejection),
        _ => Ok(()),
    }
}

/// `None` for a session that no shard should hold.
fn session_info(homeserver: &PublicKey, session: GrantSession) -> Option<GrantSessionInfo> {
    let user: [u8; 32] = session.user.as_ref().try_into().ok()?;
    Some(GrantSessionInfo {
        homeserver: homeserver.clone(),
        pubky: pkarr::PublicKey::try_from(&user).ok()?.into(),
        client_id: ClientId::new(&session.client_id).ok()?,
        capabilities: session
            .capabilities
            .iter()
            .map(|text| Capability::try_from(text.as_str()).ok())
            .collect::<Option<_>>()?,
        grant_id: GrantId::parse(&session.grant_id).ok()?,
        token_expires_at: session.token_expires_at,
        grant_expires_at: session.grant_expires_at,
        created_at: session.created_at,
    })
}
