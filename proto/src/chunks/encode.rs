//! Writes messages into the body of a request or of an answer. A message's head is one small frame. Its body follows
//! in frames of its own, as it lies in memory.

use bytes::{BufMut, Bytes};
use futures::{Stream, StreamExt, TryStreamExt, stream};
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderValue, Response};
use http_body::Frame;
use http_body_util::StreamBody;
use prost::encoding::{WireType, encode_key, encode_varint};
use tonic::body::Body;
use tonic::metadata::GRPC_CONTENT_TYPE;
use tonic::{Code, Status};

use super::{Laden, PREFIX_BYTES, Parcel, Pieces};

/// Room for the key and the length of the body's field.
const FIELD_BYTES_MAX: usize = 16;

fn frames<M: Laden>(Parcel { head, body }: Parcel<M>) -> impl Iterator<Item = Bytes> + Send {
    let mut first = Vec::with_capacity(PREFIX_BYTES + head.encoded_len() + FIELD_BYTES_MAX);
    first.put_bytes(0, PREFIX_BYTES);
    head.encode_raw(&mut first);
    let body = match M::BODY {
        Some(field) if !body.is_empty() => {
            encode_key(field, WireType::LengthDelimited, &mut first);
            encode_varint(body.len() as u64, &mut first);
            body
        }
        _ => Pieces::default(),
    };
    // Nobody accepts a longer one.
    let length = u32::try_from(first.len() - PREFIX_BYTES + body.len()).unwrap_or(u32::MAX);
    first[1..PREFIX_BYTES].copy_from_slice(&length.to_be_bytes());
    std::iter::once(Bytes::from(first)).chain(body)
}

pub(super) fn request<M: Laden + 'static>(parcels: impl Stream<Item = Parcel<M>> + Send + 'static) -> Body {
    let frames = parcels.flat_map(|parcel| stream::iter(frames(parcel)));
    Body::new(StreamBody::new(frames.map(|data| Ok::<_, Status>(Frame::data(data)))))
}

/// An answer with these messages up to the first error, and then the status that the stream ended with.
pub fn reply<M: Laden + 'static>(
    parcels: impl Stream<Item = Result<Parcel<M>, Status>> + Send + 'static,
) -> Response<Body> {
    let data = parcels.map_ok(|parcel| stream::iter(frames(parcel).map(Ok))).try_flatten();
    let frames = stream::unfold(Some(Box::pin(data)), |data| async {
        let mut data = data?;
        let (frame, data) = match data.next().await {
            Some(Ok(bytes)) => (Frame::data(bytes), Some(data)),
            Some(Err(status)) => (Frame::trailers(trailers(&status)), None),
            None => (Frame::trailers(trailers(&Status::new(Code::Ok, ""))), None),
        };
        Some((Ok::<_, Status>(frame), data))
    });
    let mut response = Response::new(Body::new(StreamBody::new(frames)));
    response.headers_mut().insert(CONTENT_TYPE, GRPC_CONTENT_TYPE);
    response
}

fn trailers(status: &Status) -> HeaderMap {
    let mut trailers = HeaderMap::new();
    if let Err(unspeakable) = status.add_header(&mut trailers) {
        trailers.clear();
        trailers.insert(Status::GRPC_STATUS, HeaderValue::from(i32::from(unspeakable.code())));
    }
    trailers
}
