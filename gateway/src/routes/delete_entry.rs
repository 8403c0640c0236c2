//! DELETE of a file.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::response::Response;
use http::StatusCode;
use rowhouse_proto::ErrorCode;
use rowhouse_proto::wire::shard::{DeleteEntry, execute_request::Op};

use super::entry_change::EntryChange;
use crate::app::App;
use crate::respond::{Rejection, empty};

/// `DELETE` of a file: 204.
pub async fn delete_entry(State(app): State<Arc<App>>, request: Request) -> Result<Response, Rejection> {
    let (change, call, _body) = EntryChange::of(&app, request, ErrorCode::NoSession).await?;
    let op = if change.conditions.is_some() { Op::DeleteEntryIf } else { Op::DeleteEntry };
    change
        .ask(&call, |credential| {
            op(DeleteEntry {
                credential: Some(credential),
                tenant: change.target.tenant_bytes(),
                path: change.target.path.as_str().to_owned(),
                conditions: change.conditions.clone(),
            })
        })
        .await?;
    Ok(empty(StatusCode::NO_CONTENT))
}
