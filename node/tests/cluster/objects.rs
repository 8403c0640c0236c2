//! Large bodies over whole nodes: copies, repair, and what is left behind.

mod copies;
mod moves;
mod parts;
mod repair;

use std::time::Duration;

use bytes::Bytes;
use rowhouse_node::NodeConfig;
use rowhouse_proto::wire::chunk::chunk_client::ChunkClient;
use rowhouse_proto::wire::chunk::{FetchRequest, StageRequest};
use rowhouse_proto::wire::meta::{GroupStatus, ObjectStatus};
use rowhouse_proto::wire::shard::{
    BeginUpload, Entry, ExecuteRequest, PutEntry, ReadEntry, Upload, execute_reply, execute_request,
    query_reply, query_request,
};
use rowhouse_proto::{CHUNK_BYTES, ErrorCode, WIRE_VERSION};

use super::client::{Client, User, request_id};
use super::harness::{Cluster, wait_for};

const MESSAGE_BYTES_MAX: usize = CHUNK_BYTES + 1024;

fn quick(config: &mut NodeConfig) {
    config.objects.upload_expiry_s = Duration::from_secs(2);
    config.objects.garbage_grace_s = Duration::from_secs(2);
    config.objects.orphan_age_s = Duration::from_secs(6);
    config.objects.scrub_interval_s = Duration::from_secs(1);
    config.storage.flush_interval_s = Duration::from_secs(1);
}

/// Not compressible, different for each seed.
fn body_of(seed: u8, length: usize) -> Bytes {
    let mut body = vec![0; length];
    blake3::Hasher::new_keyed(&[seed; 32]).finalize_xof().fill(&mut body);
    body.into()
}

fn begin(cluster: &Cluster, user: &User, path: &str, object: [u8; 16]) {
    let begin = BeginUpload {
        credential: user.credential(),
        tenant: user.tenant(),
        path: path.into(),
        object: object.to_vec().into(),
        content_length: None,
        renew: false,
        reserved_bytes: 0,
        conditions: None,
    };
    let op = execute_request::Op::BeginUpload(begin);
    cluster.client.execute(user.shard(), request_id(), op).expect("begun");
}

/// The replica that has all chunks now.
fn stage(cluster: &Cluster, n: usize, user: &User, object: [u8; 16], body: &Bytes) -> u64 {
    try_stage(cluster, n, user, object, body).expect("taken")
}

/// `None` if the node does not take them.
fn try_stage(cluster: &Cluster, n: usize, user: &User, object: [u8; 16], body: &Bytes) -> Option<u64> {
    let requests: Vec<StageRequest> = body
        .chunks(CHUNK_BYTES)
        .enumerate()
        .map(|(index, chunk)| StageRequest {
            version: WIRE_VERSION,
            group: user.shard(),
            object: object.to_vec().into(),
            index: index as u32,
            body: body.slice_ref(chunk),
            crc32c: crc32c::crc32c(chunk),
        })
        .collect();
    let count = requests.len();
    cluster.client.runtime.block_on(async {
        let channel = Client::connect(cluster.address(n), &cluster.client.gateway).await?;
        let mut client = ChunkClient::new(channel).max_encoding_message_size(MESSAGE_BYTES_MAX);
        let answer = client.stage(futures::stream::iter(requests)).await.ok()?;
        let mut replies = answer.into_inner();
        let mut replica = 0;
        for index in 0..count as u32 {
            let reply = replies.message().await.ok()?.expect("one reply a chunk");
            assert_eq!(reply.index, index);
            replica = reply.replica;
        }
        Some(replica)
    })
}

fn put_op(user: &User, path: &str, object: [u8; 16], body: &Bytes, holders: Vec<u64>) -> execute_request::Op {
    let execute_request::Op::PutEntry(put) = Client::put_op(user, path, b"") else { panic!("a put") };
    let upload = Upload {
        object: object.to_vec().into(),
        length: body.len() as u64,
        hash: Bytes::copy_from_slice(blake3::hash(body).as_bytes()),
        holders,
    };
    execute_request::Op::PutEntry(PutEntry { upload: Some(upload), content_length: None, ..put })
}

/// What the leader says at once.
fn refusal(cluster: &Cluster, user: &User, op: &execute_request::Op) -> Option<ErrorCode> {
    let request = ExecuteRequest {
        version: WIRE_VERSION,
        group: user.shard(),
        request_id: request_id(),
        issued_at_us: cluster.client.issued_at(),
        op: Some(op.clone()),
        ..ExecuteRequest::default()
    };
    let reply = cluster.client.execute_once(cluster.address(cluster.leader_of(user.shard())), request);
    match reply.and_then(|reply| reply.result) {
        Some(execute_reply::Result::Failure(failure)) => ErrorCode::from_number(failure.code),
        other => panic!("not refused: {other:?}"),
    }
}

fn upload(cluster: &Cluster, user: &User, path: &str, object: [u8; 16], body: &Bytes, nodes: &[usize]) {
    begin(cluster, user, path, object);
    let holders = nodes.iter().map(|n| stage(cluster, *n, user, object, body)).collect();
    let op = put_op(user, path, object, body, holders);
    cluster.client.execute(user.shard(), request_id(), op).expect("committed");
}

/// What one node has of an object; `None` if it lacks a chunk.
fn fetch(cluster: &Cluster, n: usize, user: &User, object: [u8; 16], length: usize) -> Option<Vec<u8>> {
    let to = length.div_ceil(CHUNK_BYTES) as u32;
    fetched(cluster, n, user, FetchRequest { object: object.to_vec().into(), to, ..FetchRequest::default() })
}

/// What one node answers; `None` if it is an error.
fn fetched(cluster: &Cluster, n: usize, user: &User, request: FetchRequest) -> Option<Vec<u8>> {
    let request = FetchRequest { version: WIRE_VERSION, group: user.shard(), ..request };
    cluster.client.runtime.block_on(async {
        let channel = Client::connect(cluster.address(n), &cluster.client.gateway).await?;
        let mut client = ChunkClient::new(channel).max_decoding_message_size(MESSAGE_BYTES_MAX);
        let mut chunks = client.fetch(request).await.ok()?.into_inner();
        let mut body = Vec::new();
        while let Some(chunk) = chunks.message().await.ok()? {
            body.extend_from_slice(&chunk.body);
        }
        Some(body)
    })
}

fn entry(cluster: &Cluster, user: &User, path: &str) -> Entry {
    let read = ReadEntry { tenant: user.tenant(), path: path.into(), ..ReadEntry::default() };
    match cluster.client.query(user.shard(), query_request::Op::ReadEntry(read)) {
        Ok(query_reply::Result::Entry(entry)) => entry,
        other => panic!("no entry: {other:?}"),
    }
}

fn objects(cluster: &Cluster, n: usize) -> Option<ObjectStatus> {
    cluster.status(n, false)?.objects
}

fn shard_status(cluster: &Cluster, n: usize, user: &User) -> GroupStatus {
    wait_for("a status", || {
        cluster.status(n, false)?.groups.into_iter().find(|status| status.group == user.shard())
    })
}
