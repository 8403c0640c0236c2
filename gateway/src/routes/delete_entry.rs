//! DELETE of a file.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::response::Response;
use http::StatusCode;
use rowhouse_proto::ErrorCode;
use rowhouse_proto::wire::shard::{DeleteEntry, execute_request};

use super::entry_target::EntryTarget;
use super::put_entry::outside_first;
use super::receive;
use crate::app::App;
use crate::respond::{Rejection, empty};
use crate::session::with_credentials;

pub async fn delete_entry(State(app): State<Arc<App>>, request: Request) -> Result<Response, Rejection> {
    let (mut parts, _body) = request.into_parts();
    let call = app.call(&parts.extensions);
    let (target, credentials) = EntryTarget::writable(&app, &call, &mut parts).await?;
    let address = receive::client_addr(&parts);
    with_credentials(&app, &call, &credentials, &target.user, ErrorCode::NoSession, |credential| {
        let op = execute_request::Op::DeleteEntry(DeleteEntry {
            credential: Some(credential),
            tenant: target.tenant_bytes(),
            path: target.path.as_str().to_owned(),
        });
        app.execute_user(&call, &target.user, address.clone(), op)
    })
    .await
    .map_err(|rejection| outside_first(rejection, &target.path))?;
    Ok(empty(StatusCode::NO_CONTENT))
}
