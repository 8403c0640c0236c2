//! A directory's listing: one `pubky://` line for each entry, decoded, without a last newline.

use axum::response::Response;
use http::StatusCode;
use rowhouse_proto::ErrorCode;
use rowhouse_proto::wire::shard::{ListEntries, query_reply, query_request};

use super::entry_read::EntryRead;
use super::entry_response::vary_legacy;
use super::list_params::ListParams;
use crate::body::leased;
use crate::limits::paced;
use crate::respond::{Rejection, TEXT, with_body};

const SCHEME: &str = "pubky://";

/// The listing of the directory that is read.
pub async fn list_entries(read: &EntryRead<'_>, params: ListParams) -> Result<Response, Rejection> {
    let EntryRead { app, target, .. } = read;
    let (result, pace) = read
        .ask(|credential| {
            query_request::Op::ListEntries(ListEntries {
                credential,
                tenant: target.tenant_bytes(),
                path: target.path.as_str().to_owned(),
                limit: params.limit.into(),
                cursor: params.cursor.clone(),
                reverse: params.reverse,
                shallow: params.shallow,
            })
        })
        .await?;
    let query_reply::Result::Listing(listing) = result else { return Err(ErrorCode::Internal.into()) };
    let body = render(&target.user.z32(), &listing.paths);
    let mut lease = app.cluster.admission().bytes();
    lease.grow(body.len())?;
    let body = paced(pace, leased(body.into(), lease).into());
    let mut response = with_body(StatusCode::OK, TEXT, body);
    vary_legacy(&mut response, target.legacy);
    Ok(response)
}

fn render(user: &str, paths: &[String]) -> String {
    let line = SCHEME.len() + user.len() + 1;
    let mut body = String::with_capacity(paths.iter().map(|path| path.len() + line).sum());
    for path in paths {
        if !body.is_empty() {
            body.push('\n');
        }
        body.push_str(SCHEME);
        body.push_str(user);
        body.push_str(path);
    }
    body
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_joined_without_a_last_newline() {
        assert_eq!(render("key", &[]), "");
        assert_eq!(
            render("key", &["/pub/a b".into(), "/pub/dir/".into()]),
            "pubky://key/pub/a b\npubky://key/pub/dir/"
        );
    }
}
