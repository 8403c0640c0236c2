//! `GET /events-stream`: events of up to 50 users, each after a cursor of their own, as a batch or live.
//!
//! What the query alone decides is refused here. Whether the users exist, and whether the credential may read, is
//! answered by the read itself: an empty batch of one user is one RPC.

use std::borrow::Cow;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::Response;
use http::{HeaderMap, StatusCode};
use pubky_common::constants::storage::PUBLIC_ROOT;
use pubky_common::crypto::PublicKey;
use rowhouse_proto::domain::path::{is_private, is_public};
use rowhouse_proto::wire::shard::Credential;
use rowhouse_proto::{ErrorCode, Refusal};

use crate::app::App;
use crate::cluster::{Call, Map};
use crate::credentials::{Credentials, is_bearer_scheme};
use crate::feed::{
    Frames, Pace, StreamBody, StreamParams, StreamUser, UserPages, UserSelection, batch_body, live_pieces,
    refused,
};
use crate::layers::Target;
use crate::respond::{EVENT_STREAM, Rejection, with_body};
use crate::session::{Session, authenticate, with_credentials};

/// Of a query with private paths and more than one user.
const ONE_USER: &str = "A private read must be scoped to exactly one user";

/// `GET /events-stream`.
pub async fn events_stream(State(app): State<Arc<App>>, request: Request) -> Result<Response, Rejection> {
    let call = app.call(request.extensions());
    let params = StreamParams::of_users(request.uri().query().unwrap_or_default())?;
    let host = request.extensions().get::<Target>().map(|target| &target.user);
    let asking = Asking { app: &app, call, params: &params, host, headers: request.headers() };
    let stream = Stream { map: app.cluster.map().await?, asking };
    let body = match stream.asking.reader().await? {
        Reader::Anybody => stream.body(None).await?,
        Reader::Session(user, credentials) => {
            let (app, call) = (&app, &stream.asking.call);
            let answer =
                with_credentials(app, call, &credentials, user, ErrorCode::ReadNeedsAuth, |_, credential| {
                    stream.body(Some(credential))
                });
            answer.await?
        }
    };
    Ok(with_body(StatusCode::OK, EVENT_STREAM, body))
}

/// Who asks for what.
struct Asking<'a> {
    app: &'a Arc<App>,
    call: Call,
    params: &'a StreamParams,
    /// The user whom the request's host names, if it names one.
    host: Option<&'a PublicKey>,
    headers: &'a HeaderMap,
}

/// As whom the stream is read.
enum Reader<'a> {
    Anybody,
    /// The user, with what the client presented.
    Session(&'a PublicKey, Credentials),
}

impl Asking<'_> {
    /// Refuses what can be refused without a look at the session, in the order of the paths.
    async fn reader(&self) -> Result<Reader<'_>, Rejection> {
        let users = &self.params.users;
        let mut reader = Reader::Anybody;
        for path in self.params.paths.iter().filter(|path| !is_public(path)) {
            if !is_private(path) {
                return Err(ErrorCode::ReadOutsideRoots.into());
            }
            let [StreamUser { key, .. }] = &users[..] else { return Err(self.of_many_users().await) };
            let credentials = self.presented(Some(key));
            if credentials.is_empty() {
                return Err(self.of_another_user(key).await);
            }
            reader = Reader::Session(key, credentials);
        }
        Ok(reader)
    }

    /// Another tenant's cookie may come with the request, because the host is often the homeserver itself.
    fn presented(&self, tenant: Option<&PublicKey>) -> Credentials {
        let mut presented = Credentials::of(self.headers, tenant);
        if is_bearer_scheme(self.headers) {
            presented.cookie = None;
        }
        presented
    }

    async fn of_many_users(&self) -> Rejection {
        match self.session_of_host().await {
            Ok(Some(_)) => Refusal::new(ErrorCode::TenantMismatch, ONE_USER).into(),
            Ok(None) => ErrorCode::ReadNeedsAuth.into(),
            Err(refused) => refused,
        }
    }

    /// The client has nothing of `user`; perhaps it is signed in as the host's.
    async fn of_another_user(&self, user: &PublicKey) -> Rejection {
        match self.session_of_host().await {
            Ok(Some(_)) if self.host != Some(user) => ErrorCode::TenantMismatch.into(),
            Ok(_) => ErrorCode::ReadNeedsAuth.into(),
            Err(refused) => refused,
        }
    }

    async fn session_of_host(&self) -> Result<Option<Session>, Rejection> {
        authenticate(self.app, &self.call, &self.presented(self.host), self.host).await
    }
}

/// A stream whose query is fine.
struct Stream<'a> {
    map: Arc<Map>,
    asking: Asking<'a>,
}

impl Stream<'_> {
    /// The body, once its first page was read.
    async fn body(&self, credential: Option<Credential>) -> Result<Body, Rejection> {
        let Asking { app, params, .. } = &self.asking;
        let users = match cursors(&self.users().await?) {
            Ok(users) => users,
            Err(Bad { before, refusal }) => {
                // Whoever stands before it must be here: their refusal comes first.
                let pages = self.pages(&before, credential);
                Frames::new(pages, Some(1)).read().await?;
                return Err(refusal.into());
            }
        };
        let is_guarded = credential.is_some();
        let pages = self.pages(&users, credential);
        let follow = Arc::clone(&app.follow);
        // Before the first read, so that nothing falls between it and the news.
        let listening = params.live.then(|| follow.listen(pages.shards()));
        let mut frames = Frames::new(pages, params.limit);
        frames.read().await?;
        let Some(listening) = listening else { return Ok(batch_body(frames)) };
        let (stop, patience) = (follow.stop.clone(), app.limits.write_timeout_s);
        let pieces = live_pieces(frames, follow, listening, Pace::of_users(is_guarded));
        Ok(Body::new(StreamBody::live(pieces, stop, patience)))
    }

    /// The users, where cursors that are the times of events (docs/rules/feed.md#cursors) have become their ids.
    async fn users(&self) -> Result<Cow<'_, [StreamUser]>, Rejection> {
        let Asking { app, call, params, .. } = &self.asking;
        let mut users = Cow::Borrowed(&params.users[..]);
        for at in 0..users.len() {
            let Some(text) = users[at].cursor.as_deref().filter(|text| text.parse::<u64>().is_err()) else {
                continue;
            };
            match app.feed.cursor(call, text).await {
                Ok(id) => users.to_mut()[at].cursor = Some(id.to_string()),
                // Refused when its turn comes.
                Err(refused) if refused.code() == ErrorCode::InvalidCursor => break,
                Err(refused) => return Err(refused),
            }
        }
        Ok(users)
    }

    fn pages(&self, users: &[(PublicKey, Option<u64>)], credential: Option<Credential>) -> UserPages {
        let Asking { app, call, params, .. } = &self.asking;
        let paths = match &params.paths[..] {
            [] => vec![PUBLIC_ROOT.to_owned()],
            paths => paths.iter().map(|path| path.as_str().to_owned()).collect(),
        };
        let selection = UserSelection { paths, reverse: params.reverse, credential };
        UserPages::new(Arc::clone(&app.cluster), call.clone(), &self.map, users, selection)
    }
}

/// Where each user's events begin; a user stands once.
type Cursors = Vec<(PublicKey, Option<u64>)>;

/// A cursor that is none, and all users up to its own.
struct Bad {
    before: Cursors,
    refusal: Refusal,
}

/// The last cursor of a user counts; all of them must be cursors.
fn cursors(users: &[StreamUser]) -> Result<Cursors, Bad> {
    let mut found: Cursors = Vec::with_capacity(users.len());
    for StreamUser { key, cursor } in users {
        // They are fifty at most, and mostly one.
        let known = found.iter().position(|(known, _)| known == key);
        let at = known.unwrap_or(found.len());
        if known.is_none() {
            found.push((key.clone(), None));
        }
        found[at].1 = match cursor.as_deref().map(|text| (text, text.parse())) {
            None => None,
            Some((_, Ok(id))) => Some(id),
            Some((text, Err(_))) => {
                return Err(Bad { before: found, refusal: refused(ErrorCode::InvalidCursor, text) });
            }
        };
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use pubky_common::crypto::Keypair;

    fn user(key: &PublicKey, cursor: Option<&str>) -> StreamUser {
        StreamUser { key: key.clone(), cursor: cursor.map(str::to_owned) }
    }

    #[test]
    fn the_last_cursor_of_a_user_counts() {
        let (one, other) = (Keypair::random().public_key(), Keypair::random().public_key());
        let users = [user(&one, Some("5")), user(&other, Some("0")), user(&one, Some("+7"))];
        let found = cursors(&users).unwrap_or_else(|bad| panic!("{:?}", bad.refusal));
        assert_eq!(found, [(one.clone(), Some(7)), (other, Some(0))]);
        let found =
            cursors(&[user(&one, Some("5")), user(&one, None)]).unwrap_or_else(|_| panic!("no cursor"));
        assert_eq!(found, [(one, None)]);
    }

    #[test]
    fn the_first_bad_cursor_is_refused_after_those_who_stand_before_it() {
        let keys: Vec<PublicKey> = (0..3).map(|_| Keypair::random().public_key()).collect();
        for text in ["", "x", "-1", "18446744073709551616", "1 "] {
            let users = [user(&keys[0], Some("1")), user(&keys[1], Some(text)), user(&keys[2], Some("y"))];
            let Err(bad) = cursors(&users) else { panic!("{text:?} is no cursor") };
            let before: Vec<_> = bad.before.iter().map(|(key, _)| key.clone()).collect();
            assert_eq!(before, keys[..2]);
            assert_eq!(bad.refusal.text(), format!("Invalid cursor: {text}"));
        }
    }
}
