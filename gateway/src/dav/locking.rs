//! LOCK, UNLOCK and PROPPATCH, by `dav-server`. Its fake locks always succeed and hold nobody off; it refuses to keep
//! properties of a client's own, and lets Windows believe that it set its times.

use std::io::SeekFrom;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use axum::body::Body;
use axum::extract::Request;
use axum::response::Response;
use bytes::{Buf, Bytes};
use dav_server::DavHandler;
use dav_server::davpath::DavPath;
use dav_server::fakels::FakeLs;
use dav_server::fs::{
    DavDirEntry, DavFile, DavFileSystem, DavMetaData, DavProp, FsError, FsFuture, FsResult, FsStream,
    OpenOptions, ReadDirMeta,
};
use futures::FutureExt;
use futures::future::{self, BoxFuture};
use http::StatusCode;
use http_body_util::Full;
use rowhouse_proto::ErrorCode;
use rowhouse_proto::wire::shard::Entry;

use super::member::{Member, account, find};
use super::place::{PREFIX, Place};
use super::transfer::put_nothing;
use super::xml_body;
use crate::app::App;
use crate::etag::etag;
use crate::respond::Rejection;

/// `LOCK`, `UNLOCK` or `PROPPATCH` of what is at a place.
pub async fn locking(app: &Arc<App>, place: Place, request: Request) -> Result<Response, Rejection> {
    let call = app.call(request.extensions());
    let found = match &place {
        Place::Root => Some(Facts::collection()),
        Place::User(user) => account(app, &call, user).await.map(|_| Some(Facts::collection()))?,
        Place::Member(user, path) => find(app, &call, user, path).await?.map(Facts::of),
    };
    let (parts, body) = request.into_parts();
    let body = xml_body::read(app, body).await?;
    if !body.is_empty() {
        // The crate's parser recurses; whatever passes here is shallow.
        xml_body::elements(&body)?;
    }
    let mut at = DavPath::new(parts.uri.path()).map_err(|_| ErrorCode::InvalidStoragePath)?;
    at.set_prefix(PREFIX).map_err(|_| ErrorCode::NotFound)?;
    let one = One { app: Arc::clone(app), at, place, found };
    let handler = DavHandler::builder()
        .strip_prefix(PREFIX)
        .filesystem(Box::new(one))
        .locksystem(FakeLs::new())
        .build_handler();
    let response = handler.handle(Request::from_parts(parts, Full::new(body))).await;
    Ok(response.map(Body::new))
}

/// A file system of the one resource that a request is about.
#[derive(Clone)]
struct One {
    app: Arc<App>,
    at: DavPath,
    place: Place,
    found: Option<Facts>,
}

impl DavFileSystem for One {
    /// A lock of nothing makes an empty file.
    fn open<'a>(&'a self, path: &'a DavPath, options: OpenOptions) -> FsFuture<'a, Box<dyn DavFile>> {
        async move {
            let Place::Member(user, to) = &self.place else { return Err(FsError::Forbidden) };
            if !options.create || *path != self.at || self.found.is_some() || to.is_directory() {
                return Err(FsError::Forbidden);
            }
            match put_nothing(&self.app, user.clone(), to.clone()).await {
                Ok(()) => Ok(Box::new(Nothing) as Box<dyn DavFile>),
                Err(refused) => Err(match refused.code().http_status() {
                    StatusCode::NOT_FOUND | StatusCode::CONFLICT => FsError::NotFound,
                    StatusCode::FORBIDDEN => FsError::Forbidden,
                    StatusCode::INSUFFICIENT_STORAGE => FsError::InsufficientStorage,
                    _ => FsError::GeneralFailure,
                }),
            }
        }
        .boxed()
    }

    fn read_dir<'a>(
        &'a self,
        _path: &'a DavPath,
        _meta: ReadDirMeta,
    ) -> FsFuture<'a, FsStream<Box<dyn DavDirEntry>>> {
        future::ready(Err(FsError::NotImplemented)).boxed()
    }

    fn metadata<'a>(&'a self, path: &'a DavPath) -> FsFuture<'a, Box<dyn DavMetaData>> {
        let found = self.found.clone().filter(|_| *path == self.at).ok_or(FsError::NotFound);
        future::ready(found.map(|facts| Box::new(facts) as Box<dyn DavMetaData>)).boxed()
    }

    /// Refuses each, by its name.
    fn patch_props<'a>(
        &'a self,
        _path: &'a DavPath,
        patch: Vec<(bool, DavProp)>,
    ) -> FsFuture<'a, Vec<(StatusCode, DavProp)>> {
        let refused = |(_, property)| (StatusCode::FORBIDDEN, DavProp { xml: None, ..property });
        future::ready(Ok(patch.into_iter().map(refused).collect())).boxed()
    }
}

/// What locks and conditions look at.
#[derive(Clone, Debug)]
struct Facts {
    /// `None`: a collection.
    file: Option<(u64, SystemTime, String)>,
}

impl Facts {
    fn of(member: Member) -> Self {
        let Member::File(Entry { length, modified_ms, hash, .. }) = member else { return Self::collection() };
        let modified = UNIX_EPOCH.checked_add(Duration::from_millis(modified_ms)).unwrap_or(UNIX_EPOCH);
        // The crate adds the quotes.
        Self { file: Some((length, modified, etag(&hash).trim_matches('"').to_owned())) }
    }

    fn collection() -> Self {
        Self { file: None }
    }
}

impl DavMetaData for Facts {
    fn len(&self) -> u64 {
        self.file.as_ref().map_or(0, |(length, ..)| *length)
    }

    fn modified(&self) -> FsResult<SystemTime> {
        self.file.as_ref().map(|(_, modified, _)| *modified).ok_or(FsError::NotImplemented)
    }

    fn is_dir(&self) -> bool {
        self.file.is_none()
    }

    fn etag(&self) -> Option<String> {
        self.file.as_ref().map(|(.., tag)| tag.clone())
    }
}

/// The file that a lock has made: nobody writes through it.
#[derive(Debug)]
struct Nothing;

impl DavFile for Nothing {
    fn metadata(&mut self) -> FsFuture<'_, Box<dyn DavMetaData>> {
        unused()
    }

    fn write_buf(&mut self, _buf: Box<dyn Buf + Send>) -> FsFuture<'_, ()> {
        unused()
    }

    fn write_bytes(&mut self, _buf: Bytes) -> FsFuture<'_, ()> {
        unused()
    }

    fn read_bytes(&mut self, _count: usize) -> FsFuture<'_, Bytes> {
        unused()
    }

    fn seek(&mut self, _position: SeekFrom) -> FsFuture<'_, u64> {
        unused()
    }

    fn flush(&mut self) -> FsFuture<'_, ()> {
        unused()
    }
}

fn unused<'a, T: Send + 'a>() -> BoxFuture<'a, FsResult<T>> {
    future::ready(Err(FsError::NotImplemented)).boxed()
}
