//! DELETE of a file.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::response::Response;
use http::StatusCode;
use rowhouse_proto::wire::shard::{DeleteEntry, execute_request};

use super::entry_change::EntryChange;
use crate::app::App;
use crate::respond::{Rejection, empty};

/// `DELETE` of a file: 204.
pub async fn delete_entry(State(app): State<Arc<App>>, request: Request) -> Result<Response, Rejection> {
    let (change, call, _body) = EntryChange::of(&app, request).await?;
    change
        .ask(&call, |credential| {
            execute_request::Op::DeleteEntry(DeleteEntry {
                credential: Some(credential),
                tenant: change.target.tenant_bytes(),
                path: change.target.path.as_str().to_owned(),
            })
        })
        .await?;
    Ok(empty(StatusCode::NO_CONTENT))
}
