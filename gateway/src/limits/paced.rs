//! A response body at a pace. It passes bytes on when they are paid for, and holds at most one frame meanwhile.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use axum::body::Body;
use bytes::Bytes;
use http_body::{Body as HttpBody, Frame, SizeHint};

use super::Pace;
use super::pace::Credit;

/// The body at this pace; as it is without one.
pub fn paced(pace: Option<Pace>, body: Body) -> Body {
    match pace {
        Some(pace) if !body.is_end_stream() => Body::new(Paced {
            inner: body,
            held: Bytes::new(),
            pace,
            credit: Credit::default(),
            paying: None,
        }),
        _ => body,
    }
}

struct Paced {
    inner: Body,
    /// Of a frame that is not paid for whole.
    held: Bytes,
    pace: Pace,
    credit: Credit,
    paying: Option<Pin<Box<dyn Future<Output = Credit> + Send>>>,
}

impl Paced {
    /// Bytes that are sure to come: those held, and those that the body says it has.
    fn sure(&self) -> usize {
        let left = usize::try_from(self.inner.size_hint().lower()).unwrap_or(usize::MAX);
        self.held.len().saturating_add(left)
    }
}

impl HttpBody for Paced {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        loop {
            if self.held.is_empty() {
                match ready!(Pin::new(&mut self.inner).poll_frame(cx)) {
                    Some(Ok(frame)) => match frame.into_data() {
                        Ok(data) => self.held = data,
                        Err(trailers) => return Poll::Ready(Some(Ok(trailers))),
                    },
                    end => return Poll::Ready(end),
                }
                continue;
            }
            if let Some(paying) = &mut self.paying {
                let more = ready!(paying.as_mut().poll(cx));
                self.paying = None;
                self.credit.add(more);
            }
            let length = self.held.len();
            let passed = self.credit.spend(length);
            if passed > 0 {
                return Poll::Ready(Some(Ok(Frame::data(self.held.split_to(passed)))));
            }
            let (pace, sure) = (self.pace.clone(), self.sure());
            self.paying = Some(Box::pin(async move { pace.more(sure).await }));
        }
    }

    fn is_end_stream(&self) -> bool {
        self.held.is_empty() && self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let (hint, held) = (self.inner.size_hint(), self.held.len() as u64);
        let mut whole = SizeHint::new();
        whole.set_lower(hint.lower() + held);
        if let Some(upper) = hint.upper() {
            whole.set_upper(upper + held);
        }
        whole
    }
}
