//! Reads messages from the body of a request or of an answer. A message is gathered frame by frame, and its fields
//! are read across the borders of frames.

use std::marker::PhantomData;

use bytes::Buf;
use futures::{Stream, stream};
use http::{HeaderMap, Response, StatusCode};
use http_body_util::BodyExt;
use prost::encoding::{DecodeContext, WireType, decode_key, decode_varint};
use tonic::body::Body;
use tonic::{Code, Status};

use super::{Laden, MESSAGE_BYTES_MAX, PREFIX_BYTES, Parcel, Pieces};

/// The messages of one body, in order.
pub struct Messages<M> {
    body: Body,
    /// Whether the end must say how it went: answers do, requests do not.
    has_verdict: bool,
    gathered: Pieces,
    /// Length of the open message.
    length: Option<usize>,
    message: PhantomData<fn() -> M>,
}

impl<M: Laden> Messages<M> {
    /// The messages of a request's body.
    pub fn of_request(body: Body) -> Self {
        Self { body, has_verdict: false, gathered: Pieces::default(), length: None, message: PhantomData }
    }

    /// The messages of an answer. An error if the answer is nothing but a status.
    pub fn of_response(response: Response<Body>) -> Result<Self, Status> {
        let (head, body) = response.into_parts();
        match (Status::from_header_map(&head.headers), head.status) {
            (Some(status), _) if status.code() == Code::Ok => Ok(Self::of_request(Body::empty())),
            (Some(status), _) => Err(status),
            (None, StatusCode::OK) => Ok(Self { has_verdict: true, ..Self::of_request(body) }),
            (None, status) => Err(Status::new(code_of(status), format!("HTTP status {status}"))),
        }
    }

    /// The next message; `None` at the end. The future may be dropped at any time without loss.
    ///
    /// An error is the sender's status, a lost connection, or a malformed message.
    pub async fn next(&mut self) -> Result<Option<Parcel<M>>, Status> {
        loop {
            if self.length.is_none() && self.gathered.len() >= PREFIX_BYTES {
                self.length = Some(prefix(&mut self.gathered)?);
            }
            if let Some(length) = self.length.take_if(|length| self.gathered.len() >= *length) {
                return parse(self.gathered.split_to(length)).map(Some);
            }
            match self.body.frame().await.transpose()?.map(http_body::Frame::into_data) {
                Some(Ok(data)) => self.gathered.push(data),
                Some(Err(frame)) => return self.end(frame.into_trailers().unwrap_or_default()),
                None => return self.end(HeaderMap::new()),
            }
        }
    }

    /// The messages as a stream, which ends after the first error.
    pub fn into_stream(self) -> impl Stream<Item = Result<Parcel<M>, Status>> + Send {
        stream::try_unfold(self, |mut messages| async {
            Ok(messages.next().await?.map(|message| (message, messages)))
        })
    }

    fn end(&self, trailers: HeaderMap) -> Result<Option<Parcel<M>>, Status> {
        match Status::from_header_map(&trailers) {
            Some(status) if status.code() != Code::Ok => Err(status),
            None if self.has_verdict => Err(Status::unknown("the answer ended without a status")),
            _ if self.length.is_some() || !self.gathered.is_empty() => {
                Err(Status::internal("the stream ended within a message"))
            }
            _ => Ok(None),
        }
    }
}

/// Reads a prefix: the length of the message that follows, in bytes.
fn prefix(gathered: &mut Pieces) -> Result<usize, Status> {
    if gathered.get_u8() != 0 {
        return Err(Status::internal("messages about chunks are never compressed"));
    }
    usize::try_from(gathered.get_u32()).ok().filter(|length| *length <= MESSAGE_BYTES_MAX).ok_or_else(|| {
        Status::out_of_range(format!("a message about a chunk has at most {MESSAGE_BYTES_MAX} bytes"))
    })
}

fn parse<M: Laden>(mut message: Pieces) -> Result<Parcel<M>, Status> {
    let malformed = |error| Status::internal(format!("a malformed message: {error}"));
    let mut parcel = Parcel::<M>::default();
    while message.has_remaining() {
        let (field, wire_type) = decode_key(&mut message).map_err(malformed)?;
        if Some(field) != M::BODY {
            let context = DecodeContext::default();
            parcel.head.merge_field(field, wire_type, &mut message, context).map_err(malformed)?;
            continue;
        }
        if wire_type != WireType::LengthDelimited {
            return Err(Status::internal("a malformed message: its body is no bytes"));
        }
        let length = decode_varint(&mut message).map_err(malformed)?;
        let length = usize::try_from(length).ok().filter(|length| *length <= message.len());
        let length =
            length.ok_or_else(|| Status::internal("a malformed message: it ends within its body"))?;
        parcel.body = message.split_to(length);
    }
    Ok(parcel)
}

/// The gRPC code for an HTTP status, which only a proxy answers (gRPC's own mapping).
fn code_of(status: StatusCode) -> Code {
    match status {
        StatusCode::BAD_REQUEST => Code::Internal,
        StatusCode::UNAUTHORIZED => Code::Unauthenticated,
        StatusCode::FORBIDDEN => Code::PermissionDenied,
        StatusCode::NOT_FOUND => Code::Unimplemented,
        StatusCode::TOO_MANY_REQUESTS
        | StatusCode::BAD_GATEWAY
        | StatusCode::SERVICE_UNAVAILABLE
        | StatusCode::GATEWAY_TIMEOUT => Code::Unavailable,
        _ => Code::Unknown,
    }
}
