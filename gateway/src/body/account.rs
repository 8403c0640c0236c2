//! The body of an account route while it is read: bounded in size and in the room it takes with all others.
//! The reason for a refusal travels as a `Refusal` through the extractor that reads the body.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use axum::body::Body;
use bytes::Bytes;
use http::HeaderMap;
use http_body::{Body as HttpBody, Frame, SizeHint};
use rowhouse_proto::{ErrorCode, Refusal};

use super::{declared_length, drain, expects_continue};
use crate::cluster::{ACCOUNT_BODY_BYTES_MAX, AccountLease};

/// At most `ACCOUNT_BODY_BYTES_MAX` bytes, each of which holds room while the body is read. A refused body ends
/// with an error whose cause is the `Refusal`; before that its rest is drained, unless the client waits to be asked.
pub struct AccountBody {
    inner: Body,
    lease: AccountLease,
    declared: Option<u64>,
    /// The client sends nothing until the body is asked for.
    held_back: bool,
    read: usize,
    refused: Option<Refused>,
}

struct Refused {
    code: ErrorCode,
    /// The client sends regardless, and would meet a reset instead of the answer.
    draining: Option<Draining>,
}

type Next = Result<Frame<Bytes>, axum::Error>;
type Draining = Pin<Box<dyn Future<Output = ()> + Send>>;

impl AccountBody {
    /// `headers` are those of the request; `lease` is empty.
    pub fn new(inner: Body, headers: &HeaderMap, lease: AccountLease) -> Self {
        let (declared, held_back) = (declared_length(headers), expects_continue(headers));
        Self { inner, lease, declared, held_back, read: 0, refused: None }
    }

    fn poll_within(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Next>, ErrorCode>> {
        if self.declared.is_some_and(|length| length > ACCOUNT_BODY_BYTES_MAX as u64) {
            return Poll::Ready(Err(ErrorCode::AccountBodyTooLarge));
        }
        self.held_back = false;
        let frame = ready!(Pin::new(&mut self.inner).poll_frame(cx));
        let came = frame.as_ref().and_then(|frame| frame.as_ref().ok()?.data_ref()).map_or(0, Bytes::len);
        self.read += came;
        if self.read > ACCOUNT_BODY_BYTES_MAX {
            return Poll::Ready(Err(ErrorCode::AccountBodyTooLarge));
        }
        self.lease.grow(came)?;
        Poll::Ready(Ok(frame))
    }

    fn refuse(&mut self, code: ErrorCode) {
        let rest = std::mem::take(&mut self.inner);
        let draining: Option<Draining> = if self.held_back { None } else { Some(Box::pin(drain(rest))) };
        self.refused = Some(Refused { code, draining });
    }
}

impl HttpBody for AccountBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Next>> {
        let this = self.get_mut();
        if this.refused.is_none() {
            match ready!(this.poll_within(cx)) {
                Ok(frame) => return Poll::Ready(frame),
                Err(code) => this.refuse(code),
            }
        }
        let Some(refused) = &mut this.refused else { return Poll::Ready(None) };
        if let Some(draining) = &mut refused.draining {
            ready!(draining.as_mut().poll(cx));
            refused.draining = None;
        }
        Poll::Ready(Some(Err(axum::Error::new(Refusal::from(refused.code)))))
    }

    fn is_end_stream(&self) -> bool {
        self.refused.is_none() && self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}
