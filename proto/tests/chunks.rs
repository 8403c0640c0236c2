//! Messages about chunks, written and read without copies, against the code generated for the same contract.

use std::convert::Infallible;

use bytes::{BufMut, Bytes, BytesMut};
use futures::{Stream, StreamExt, TryStreamExt, stream};
use http::{HeaderMap, Request, Response};
use http_body::Frame;
use http_body_util::{BodyExt, StreamBody};
use proptest::prelude::*;
use prost::Message;
use rowhouse_proto::CHUNK_BYTES;
use rowhouse_proto::chunks::{Client, FETCH, MESSAGE_BYTES_MAX, Messages, Parcel, Pieces, reply};
use rowhouse_proto::wire::chunk::chunk_client::ChunkClient;
use rowhouse_proto::wire::chunk::chunk_server::{Chunk, ChunkServer, SERVICE_NAME};
use rowhouse_proto::wire::chunk::{FetchReply, FetchRequest, StageReply, StageRequest};
use tonic::body::Body;
use tonic::{Code, Status, Streaming};
use tower::service_fn;

fn bytes_of(seed: usize, length: usize) -> Bytes {
    (0..length).map(|at| ((at * 7 + at / 251 + seed) % 256) as u8).collect()
}

fn pieces_of(body: &Bytes, sizes: &[usize]) -> Pieces {
    let (mut pieces, mut rest, mut sizes) = (Pieces::default(), body.clone(), sizes.iter().cycle());
    while !rest.is_empty() {
        let size = sizes.next().copied().unwrap_or(usize::MAX).clamp(1, rest.len());
        pieces.push(rest.split_to(size));
    }
    pieces
}

fn whole(pieces: Pieces) -> Bytes {
    pieces.into_iter().flatten().collect()
}

/// In frames of these sizes.
fn framed(wire: &Bytes, sizes: &[usize], trailers: Option<HeaderMap>) -> Body {
    let data = pieces_of(wire, sizes).into_iter().map(Frame::data);
    let frames = data.chain(trailers.map(Frame::trailers)).map(Ok::<_, Status>);
    Body::new(StreamBody::new(stream::iter(frames.collect::<Vec<_>>())))
}

fn ended_with(status: &Status) -> Option<HeaderMap> {
    let mut trailers = HeaderMap::new();
    status.add_header(&mut trailers).expect("words");
    Some(trailers)
}

fn fine() -> Option<HeaderMap> {
    ended_with(&Status::new(Code::Ok, ""))
}

fn prefixed(message: &[u8]) -> Bytes {
    let mut wire = BytesMut::new();
    wire.put_u8(0);
    wire.put_u32(message.len() as u32);
    wire.put_slice(message);
    wire.freeze()
}

fn fetched(index: u32, body: Pieces) -> Parcel<FetchReply> {
    Parcel { head: FetchReply { index, body: Bytes::new() }, body }
}

/// Every message, and how the answer ended.
async fn read(response: Response<Body>) -> (Vec<(u32, Bytes)>, Code) {
    let mut messages = match Messages::<FetchReply>::of_response(response) {
        Ok(messages) => messages,
        Err(status) => return (Vec::new(), status.code()),
    };
    let mut found = Vec::new();
    loop {
        match messages.next().await {
            Ok(Some(message)) => found.push((message.head.index, whole(message.body))),
            Ok(None) => return (found, Code::Ok),
            Err(status) => return (found, status.code()),
        }
    }
}

async fn read_wire(wire: &Bytes) -> (Vec<(u32, Bytes)>, Code) {
    read(Response::new(framed(wire, &[], fine()))).await
}

fn block_on<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().build().expect("a runtime").block_on(work)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_pieces_in_any_frames_are_the_same_messages(
        lengths in proptest::collection::vec(0..5_000_usize, 0..5),
        pieces in proptest::collection::vec(1..3_000_usize, 1..6),
        frames in proptest::collection::vec(1..3_000_usize, 1..6),
    ) {
        block_on(async {
            let sent: Vec<(u32, Bytes)> = lengths
                .iter()
                .enumerate()
                .map(|(index, length)| (index as u32, bytes_of(index, *length)))
                .collect();
            let parcels: Vec<_> =
                sent.iter().map(|(index, body)| Ok(fetched(*index, pieces_of(body, &pieces)))).collect();
            let written = reply(stream::iter(parcels)).into_body().collect().await.expect("written");
            let trailers = written.trailers().cloned();
            let wire = written.to_bytes();
            let response = Response::new(framed(&wire, &frames, trailers));
            assert_eq!(read(response).await, (sent, Code::Ok));
        });
    }

    #[test]
    fn no_bytes_bring_it_down(wire in proptest::collection::vec(any::<u8>(), 0..200), length in 0..200_u8) {
        let mut wire = wire;
        // A plausible prefix lets the rest be parsed.
        wire.splice(..wire.len().min(5), [0, 0, 0, 0, length]);
        block_on(read_wire(&wire.into()));
    }
}

#[test]
fn bodies_are_neither_copied_when_written_nor_when_read() {
    block_on(async {
        let body = bytes_of(1, CHUNK_BYTES);
        let pieces = pieces_of(&body, &[300_000]);
        let written = reply(stream::iter([Ok(fetched(7, pieces))])).into_body();
        let frames: Vec<Bytes> = BodyExt::into_data_stream(written).try_collect().await.expect("written");
        let places = |pieces: &mut dyn Iterator<Item = &Bytes>| -> Vec<_> {
            pieces.map(|piece| (piece.as_ptr() as usize, piece.len())).collect()
        };
        let of_body =
            places(&mut body.chunks(300_000).map(|piece| body.slice_ref(piece)).collect::<Vec<_>>().iter());
        assert_eq!(places(&mut frames[1..].iter()), of_body);

        let frames = stream::iter(frames.into_iter().map(|data| Ok::<_, Status>(Frame::data(data))));
        let mut read = Messages::<FetchReply>::of_request(Body::new(StreamBody::new(frames)));
        let message = read.next().await.expect("well formed").expect("one");
        assert_eq!(places(&mut message.body.iter()), of_body);
    });
}

#[test]
fn fields_may_come_in_any_order_and_number() {
    let with_unknown = {
        let mut wire = FetchReply { index: 3, body: bytes_of(1, 100) }.encode_to_vec();
        prost::encoding::string::encode(99, &"of a later version".to_owned(), &mut wire);
        wire
    };
    let body_first = {
        let mut wire = Vec::new();
        prost::encoding::bytes::encode(2, &bytes_of(1, 100), &mut wire);
        prost::encoding::uint32::encode(1, &3, &mut wire);
        wire
    };
    let twice = {
        let mut wire = FetchReply { index: 9, body: bytes_of(2, 50) }.encode_to_vec();
        wire.extend(FetchReply { index: 3, body: bytes_of(1, 100) }.encode_to_vec());
        wire
    };
    let empty = {
        let mut wire = FetchReply { index: 3, body: Bytes::new() }.encode_to_vec();
        prost::encoding::bytes::encode(2, &Bytes::new(), &mut wire);
        wire
    };
    for (message, length) in
        [(with_unknown, 100), (body_first, 100), (twice, 100), (empty, 0), (vec![8, 3], 0)]
    {
        let found = block_on(read_wire(&prefixed(&message)));
        assert_eq!(found, (vec![(3, bytes_of(1, length))], Code::Ok), "{message:?}");
    }
    assert_eq!(block_on(read_wire(&prefixed(&[]))), (vec![(0, Bytes::new())], Code::Ok), "all defaults");
}

#[test]
fn what_is_malformed_is_refused() {
    let prefix = |flag: u8, length: usize| {
        let mut wire = BytesMut::from(&[flag][..]);
        wire.put_u32(length as u32);
        wire.freeze()
    };
    let whole = prefixed(&FetchReply { index: 3, body: bytes_of(1, 100) }.encode_to_vec());
    for (wire, code) in [
        (prefix(0, MESSAGE_BYTES_MAX + 1), Code::OutOfRange),
        (prefix(0, u32::MAX as usize), Code::OutOfRange),
        (prefix(1, 0), Code::Internal),
        // Ends within a prefix, and within a message.
        (whole.slice(..4), Code::Internal),
        (whole.slice(..whole.len() - 1), Code::Internal),
        // A body longer than its message, also by far; a number for a body; a field without a number.
        (prefixed(&[8, 3, 18, 5, 1, 2]), Code::Internal),
        (prefixed(&[18, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 1]), Code::Internal),
        (prefixed(&[16, 5]), Code::Internal),
        (prefixed(&[0, 0]), Code::Internal),
        // A length that lies in another field.
        (prefixed(&[34, 0xFF, 0xFF, 0xFF, 0x7F, 1]), Code::Internal),
    ] {
        assert_eq!(block_on(read_wire(&wire)), (vec![], code), "{wire:?}");
    }
}

#[test]
fn an_answer_is_over_when_it_says_so() {
    let message = prefixed(&FetchReply { index: 3, body: bytes_of(1, 100) }.encode_to_vec());
    let one = vec![(3, bytes_of(1, 100))];
    let full = Status::resource_exhausted("the disk is full: 100 %");
    for (trailers, code) in
        [(fine(), Code::Ok), (ended_with(&full), Code::ResourceExhausted), (None, Code::Unknown)]
    {
        let response = Response::new(framed(&message, &[40], trailers));
        assert_eq!(block_on(read(response)), (one.clone(), code));
    }
    assert_eq!(block_on(read(full.clone().into_http())), (vec![], Code::ResourceExhausted));
    assert_eq!(block_on(read(Status::new(Code::Ok, "").into_http())), (vec![], Code::Ok));
    let refused = Messages::<FetchReply>::of_response(full.into_http()).err();
    assert_eq!(refused.expect("refused").message(), "the disk is full: 100 %");
    for (http, code) in [(503, Code::Unavailable), (404, Code::Unimplemented), (500, Code::Unknown)] {
        let mut response = Response::new(framed(&message, &[], None));
        *response.status_mut() = http::StatusCode::from_u16(http).expect("a status");
        assert_eq!(block_on(read(response)), (vec![], code));
    }
}

/// Takes chunks 0 and 1 and refuses the third; gives what is asked for.
struct Generated;

type Replies<T> = std::pin::Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

fn staged(request: &StageRequest) -> Result<StageReply, Status> {
    let known = request.object == "an object's id.." && request.version == 1 && request.group == 300;
    assert!(known && request.body == bytes_of(request.index as usize, CHUNK_BYTES), "as it was sent");
    match request.index {
        2 => Err(Status::resource_exhausted("the disk is full")),
        index => Ok(StageReply { index, replica: u64::from(request.crc32c) }),
    }
}

#[tonic::async_trait]
impl Chunk for Generated {
    type StageStream = Replies<StageReply>;
    type FetchStream = Replies<FetchReply>;

    async fn stage(
        &self,
        request: tonic::Request<Streaming<StageRequest>>,
    ) -> Result<tonic::Response<Self::StageStream>, Status> {
        let replies = request.into_inner().map(|request| staged(&request?));
        Ok(tonic::Response::new(replies.boxed()))
    }

    async fn fetch(
        &self,
        request: tonic::Request<FetchRequest>,
    ) -> Result<tonic::Response<Self::FetchStream>, Status> {
        let FetchRequest { from, to, .. } = request.into_inner();
        if to <= from {
            return Err(Status::invalid_argument("nothing"));
        }
        let replies = (from..to).map(|index| {
            let body = bytes_of(index as usize, CHUNK_BYTES);
            if index < 2 { Ok(FetchReply { index, body }) } else { Err(Status::not_found("not here")) }
        });
        Ok(tonic::Response::new(stream::iter(replies.collect::<Vec<_>>()).boxed()))
    }
}

fn request(index: u32) -> StageRequest {
    StageRequest {
        version: 1,
        group: 300,
        object: "an object's id..".into(),
        index,
        body: Bytes::new(),
        crc32c: u32::MAX - index,
    }
}

fn asked(from: u32, to: u32) -> FetchRequest {
    let object = "an object's id..".into();
    FetchRequest { version: 1, group: 300, object, from, to, ..FetchRequest::default() }
}

#[test]
fn generated_servers_are_called() {
    block_on(async {
        let server = ChunkServer::new(Generated).max_decoding_message_size(MESSAGE_BYTES_MAX);
        let mut client = Client::new(server);
        let parcels: Vec<_> = (0..3)
            .map(|index| {
                let body = bytes_of(index as usize, CHUNK_BYTES);
                Parcel { head: request(index), body: pieces_of(&body, &[1, 400_000]) }
            })
            .collect();
        let mut replies = client.stage(stream::iter(parcels)).await.expect("taken");
        for index in 0..2 {
            let reply = replies.next().await.expect("stored").expect("one a chunk").head;
            assert_eq!((reply.index, reply.replica), (index, u64::from(u32::MAX - index)));
        }
        let full = replies.next().await.expect_err("full");
        assert_eq!((full.code(), full.message()), (Code::ResourceExhausted, "the disk is full"));

        let mut chunks = client.fetch(asked(0, 3)).await.expect("served");
        for index in 0..2 {
            let chunk = chunks.next().await.expect("here").expect("one more");
            assert_eq!((chunk.head.index, whole(chunk.body)), (index, bytes_of(index as usize, CHUNK_BYTES)));
        }
        assert_eq!(chunks.next().await.expect_err("not here").code(), Code::NotFound);
        let refused = client.fetch(asked(1, 1)).await.err();
        assert_eq!(refused.map(|status| status.code()), Some(Code::InvalidArgument));
    });
}

async fn serve(http: Request<Body>) -> Result<Response<Body>, Infallible> {
    if http.uri().path() == FETCH {
        let asked = Messages::<FetchRequest>::of_request(http.into_body()).next().await;
        let FetchRequest { from, to, .. } = asked.expect("well formed").expect("one").head;
        let replies = (from..to).map(|index| {
            let body = bytes_of(index as usize, CHUNK_BYTES);
            if index < 2 {
                Ok(fetched(index, pieces_of(&body, &[1, 9])))
            } else {
                Err(Status::not_found("not here"))
            }
        });
        return Ok(reply(stream::iter(replies.collect::<Vec<_>>())));
    }
    assert_eq!(http.uri().path(), format!("/{SERVICE_NAME}/Stage"));
    let replies = Messages::<StageRequest>::of_request(http.into_body()).into_stream().map(|parcel| {
        let Parcel { head, body } = parcel?;
        assert!(head.body.is_empty(), "it is beside it");
        staged(&StageRequest { body: whole(body), ..head }).map(Parcel::from)
    });
    Ok(reply(replies))
}

#[test]
fn generated_clients_are_served() {
    block_on(async {
        let mut client = ChunkClient::new(service_fn(serve)).max_decoding_message_size(MESSAGE_BYTES_MAX);
        let requests: Vec<_> = (0..3)
            .map(|index| StageRequest { body: bytes_of(index as usize, CHUNK_BYTES), ..request(index) })
            .collect();
        let mut replies = client.stage(stream::iter(requests)).await.expect("taken").into_inner();
        for index in 0..2 {
            let reply = replies.message().await.expect("stored").expect("one a chunk");
            assert_eq!((reply.index, reply.replica), (index, u64::from(u32::MAX - index)));
        }
        let full = replies.message().await.expect_err("full");
        assert_eq!((full.code(), full.message()), (Code::ResourceExhausted, "the disk is full"));

        let mut chunks = client.fetch(asked(0, 3)).await.expect("served").into_inner();
        for index in 0..2 {
            let chunk = chunks.message().await.expect("here").expect("one more");
            assert_eq!((chunk.index, chunk.body), (index, bytes_of(index as usize, CHUNK_BYTES)));
        }
        assert_eq!(chunks.message().await.expect_err("not here").code(), Code::NotFound);
        let mut all = client.fetch(asked(0, 2)).await.expect("served").into_inner();
        while all.message().await.expect("well ended").is_some() {}
    });
}
