//! Large bodies over whole nodes: copies, repair, and what is left behind.

use std::os::unix::fs::FileExt;
use std::time::Duration;

use bytes::Bytes;
use rowhouse_node::NodeConfig;
use rowhouse_node::blobs::{BlobOptions, BlobStore, ScrubMark};
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
    config.objects.upload_lifetime = Duration::from_secs(2);
    config.objects.garbage_grace = Duration::from_secs(2);
    config.objects.orphan_age = Duration::from_secs(6);
    config.objects.scrub_interval = Duration::from_secs(1);
    config.flush_interval = Duration::from_secs(1);
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
    };
    let op = execute_request::Op::BeginUpload(begin);
    cluster.client.execute(user.shard(), request_id(), op).expect("begun");
}

/// The replica that has all chunks now.
fn stage(cluster: &Cluster, n: usize, user: &User, object: [u8; 16], body: &Bytes) -> u64 {
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
        let channel = Client::connect(cluster.address(n), &cluster.client.gateway).await.expect("a node");
        let mut client = ChunkClient::new(channel).max_encoding_message_size(MESSAGE_BYTES_MAX);
        let answer = client.stage(futures::stream::iter(requests)).await.expect("taken");
        let mut replies = answer.into_inner();
        let mut replica = 0;
        for index in 0..count as u32 {
            let reply = replies.message().await.expect("stored").expect("one reply a chunk");
            assert_eq!(reply.index, index);
            replica = reply.replica;
        }
        replica
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
    let request = FetchRequest {
        version: WIRE_VERSION,
        group: user.shard(),
        object: object.to_vec().into(),
        from: 0,
        to: length.div_ceil(CHUNK_BYTES) as u32,
    };
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

#[test]
fn a_body_on_two_disks_comes_to_the_third() {
    let cluster = Cluster::initialized_with(3, quick);
    let user = User::new(40);
    cluster.client.signup(&user);
    let body = body_of(1, 2 * CHUNK_BYTES + 12_345);
    upload(&cluster, &user, "/pub/a", [1; 16], &body, &[0, 2]);
    let stored = entry(&cluster, &user, "/pub/a");
    assert_eq!((stored.length, &stored.object[..]), (body.len() as u64, &[1; 16][..]));
    for n in 0..3 {
        let copy = wait_for("the copy", || fetch(&cluster, n, &user, [1; 16], body.len()));
        assert!(copy == body, "node {n}");
    }
    // By whichever came first: filling, or the read above that found it lacking.
    wait_for("it to be counted", || {
        let status = objects(&cluster, 1)?;
        (status.filled + status.repaired > 0).then_some(())
    });
    cluster.assert_converged();
}

#[test]
fn one_copy_is_not_enough() {
    let cluster = Cluster::initialized_with(3, quick);
    let user = User::new(41);
    cluster.client.signup(&user);
    let body = body_of(2, CHUNK_BYTES + 1);
    begin(&cluster, &user, "/pub/a", [2; 16]);
    let one = stage(&cluster, 1, &user, [2; 16], &body);
    for holders in [vec![], vec![one], vec![one, one], vec![one, 999]] {
        let op = put_op(&user, "/pub/a", [2; 16], &body, holders);
        assert_eq!(refusal(&cluster, &user, &op), Some(ErrorCode::TooFewCopies));
    }
    assert_eq!(cluster.client.get(&user, "/pub/a"), None);
    let two = stage(&cluster, 2, &user, [2; 16], &body);
    let op = put_op(&user, "/pub/a", [2; 16], &body, vec![one, two]);
    cluster.client.execute(user.shard(), request_id(), op).expect("two of three");
}

#[test]
fn a_replica_that_was_away_is_filled() {
    let mut cluster = Cluster::initialized_with(3, quick);
    let user = User::new(42);
    cluster.client.signup(&user);
    cluster.kill(0);
    let body = body_of(3, 3 * CHUNK_BYTES);
    upload(&cluster, &user, "/pub/a", [3; 16], &body, &[1, 2]);
    cluster.restart(0);
    let copy = wait_for("the copy", || fetch(&cluster, 0, &user, [3; 16], body.len()));
    assert!(copy == body);
    wait_for("nothing to be missing", || {
        let groups = cluster.status(0, false)?.groups;
        groups.iter().all(|group| group.objects_missing == 0).then_some(())
    });
}

#[test]
fn what_nobody_refers_to_is_erased_everywhere() {
    let cluster = Cluster::initialized_with(3, quick);
    let user = User::new(43);
    cluster.client.signup(&user);
    let body = body_of(4, CHUNK_BYTES + 5);
    upload(&cluster, &user, "/pub/a", [4; 16], &body, &[0, 1, 2]);
    upload(&cluster, &user, "/pub/a", [5; 16], &body, &[0, 1, 2]);
    // Never committed, and never even begun.
    begin(&cluster, &user, "/pub/b", [6; 16]);
    for n in 0..3 {
        stage(&cluster, n, &user, [6; 16], &body);
        stage(&cluster, n, &user, [7; 16], &body);
    }
    for object in [[4; 16], [6; 16], [7; 16]] {
        for n in 0..3 {
            wait_for("chunks to be erased", || {
                fetch(&cluster, n, &user, object, body.len()).is_none().then_some(())
            });
        }
    }
    for n in 0..3 {
        assert!(fetch(&cluster, n, &user, [5; 16], body.len()).expect("the live one") == body);
        assert!(objects(&cluster, n).expect("runs").swept >= 1);
    }
    cluster.assert_converged();
}

/// Flips a byte in the middle of every chunk store file of a node.
fn rot(cluster: &Cluster, n: usize) {
    let segments = cluster.dir(n).path().join("data/blobs/segments");
    for file in std::fs::read_dir(segments).expect("segments") {
        let path = file.expect("a segment").path();
        let file = std::fs::File::options().read(true).write(true).open(&path).expect("a segment");
        let middle = file.metadata().expect("metadata").len() / 2;
        let mut byte = [0];
        file.read_exact_at(&mut byte, middle).expect("a byte");
        file.write_all_at(&[!byte[0]], middle).expect("written");
    }
}

fn repaired(cluster: &Cluster, n: usize) -> u64 {
    objects(cluster, n).expect("runs").repaired
}

#[test]
fn damage_is_found_by_a_read_and_mended() {
    let cluster = Cluster::initialized_with(3, |config| {
        quick(config);
        config.objects.scrub_interval = Duration::from_secs(3600);
    });
    let user = User::new(44);
    cluster.client.signup(&user);
    let body = body_of(8, CHUNK_BYTES);
    upload(&cluster, &user, "/pub/a", [8; 16], &body, &[0, 1, 2]);
    rot(&cluster, 1);
    assert_eq!(fetch(&cluster, 1, &user, [8; 16], body.len()), None, "never wrong bytes");
    let copy = wait_for("the chunk to be mended", || fetch(&cluster, 1, &user, [8; 16], body.len()));
    assert!(copy == body);
    wait_for("it to be counted", || (repaired(&cluster, 1) > 0).then_some(()));
    assert_eq!([0, 2].map(|n| repaired(&cluster, n)), [0, 0]);
}

#[test]
fn damage_is_found_by_the_scrub_and_mended() {
    let cluster = Cluster::initialized_with(3, quick);
    let user = User::new(45);
    cluster.client.signup(&user);
    let body = body_of(9, CHUNK_BYTES);
    upload(&cluster, &user, "/pub/a", [9; 16], &body, &[0, 1, 2]);
    rot(&cluster, 2);
    wait_for("the scrub to mend it", || (repaired(&cluster, 2) > 0).then_some(()));
    assert!(fetch(&cluster, 2, &user, [9; 16], body.len()).expect("whole") == body);
    assert!(objects(&cluster, 2).expect("runs").scrub_ended_ms > 0);
}

#[test]
fn a_copy_that_is_not_what_was_written_gives_way_to_one_that_is() {
    let cluster = Cluster::initialized_with(3, quick);
    let user = User::new(50);
    cluster.client.signup(&user);
    let (right, wrong) = (body_of(19, CHUNK_BYTES + 7), body_of(20, CHUNK_BYTES + 7));
    begin(&cluster, &user, "/pub/a", [19; 16]);
    // Their checksums hold: only the hash of the whole tells them apart.
    let copies = [&wrong, &wrong, &right];
    let holders = (0..3).map(|n| stage(&cluster, n, &user, [19; 16], copies[n])).collect();
    let op = put_op(&user, "/pub/a", [19; 16], &right, holders);
    cluster.client.execute(user.shard(), request_id(), op).expect("committed");
    for n in 0..3 {
        wait_for("the right copy", || {
            (fetch(&cluster, n, &user, [19; 16], right.len())? == right).then_some(())
        });
    }
}

#[test]
fn a_reader_that_began_before_an_overwrite_ends_with_the_old_bytes() {
    let cluster = Cluster::initialized_with(3, |config| {
        quick(config);
        config.objects.garbage_grace = Duration::from_secs(3600);
    });
    let user = User::new(46);
    cluster.client.signup(&user);
    let (old, new) = (body_of(10, 2 * CHUNK_BYTES), body_of(11, CHUNK_BYTES));
    upload(&cluster, &user, "/pub/a", [10; 16], &old, &[0, 1, 2]);
    let reader = entry(&cluster, &user, "/pub/a");
    upload(&cluster, &user, "/pub/a", [11; 16], &new, &[0, 1, 2]);
    // Dead later than an overwritten body would be, if that died at once.
    begin(&cluster, &user, "/pub/b", [12; 16]);
    stage(&cluster, 1, &user, [12; 16], &new);
    wait_for("an expired upload to be erased", || {
        fetch(&cluster, 1, &user, [12; 16], new.len()).is_none().then_some(())
    });
    let object: [u8; 16] = reader.object[..].try_into().expect("an object");
    assert!(fetch(&cluster, 1, &user, object, old.len()).expect("still there") == old);
}

#[test]
fn a_chunk_the_index_forgot_is_fetched_again() {
    let mut cluster = Cluster::initialized_with(3, |config| {
        quick(config);
        config.objects.scrub_interval = Duration::from_secs(3600);
    });
    let user = User::new(47);
    cluster.client.signup(&user);
    let body = body_of(13, 3 * CHUNK_BYTES);
    upload(&cluster, &user, "/pub/a", [13; 16], &body, &[0, 1, 2]);
    cluster.stop(2);
    // Bytes and index are gone together: nothing on that disk tells of what is missing.
    std::fs::remove_dir_all(cluster.dir(2).path().join("data/blobs")).expect("removed");
    cluster.restart(2);
    let copy = wait_for("the copy", || fetch(&cluster, 2, &user, [13; 16], body.len()));
    assert!(copy == body);
}

/// More than the log keeps for those who were away (2,000), and than goes between two snapshots.
const WRITES_THAT_PURGE: usize = 4_500;

#[test]
fn a_replica_that_needs_a_snapshot_is_filled_and_forgets_what_was_replaced() {
    let mut cluster = Cluster::initialized_with(3, |config| {
        quick(config);
        config.objects.upload_lifetime = Duration::from_secs(60);
    });
    let user = User::new(48);
    cluster.client.signup(&user);
    let (old, new) = (body_of(14, 2 * CHUNK_BYTES), body_of(15, 3 * CHUNK_BYTES + 1));
    upload(&cluster, &user, "/pub/kept", [14; 16], &old, &[0, 1, 2]);
    upload(&cluster, &user, "/pub/replaced", [15; 16], &old, &[0, 1, 2]);
    let behind = shard_status(&cluster, 0, &user).last_log;
    cluster.kill(0);
    upload(&cluster, &user, "/pub/replaced", [16; 16], &new, &[1, 2]);
    let leader = cluster.leader_of(user.shard());
    cluster.client.put_often(cluster.address(leader), &user, "/pub/small", WRITES_THAT_PURGE);
    wait_for("the log that node 0 lacks to be gone", || {
        [1, 2].iter().all(|n| shard_status(&cluster, *n, &user).purged > behind).then_some(())
    });
    cluster.restart(0);
    for (object, body) in [([14; 16], &old), ([16; 16], &new)] {
        let copy = wait_for("the copy", || fetch(&cluster, 0, &user, object, body.len()));
        assert!(copy == *body);
    }
    wait_for("what was replaced to be erased", || {
        (cluster.status(0, true)?.objects?.held == Some(2)).then_some(())
    });
    wait_for("nothing to be missing", || {
        (shard_status(&cluster, 0, &user).objects_missing == 0).then_some(())
    });
    cluster.assert_converged();
}

fn shard_status(cluster: &Cluster, n: usize, user: &User) -> GroupStatus {
    wait_for("a status", || {
        cluster.status(n, false)?.groups.into_iter().find(|status| status.group == user.shard())
    })
}

#[test]
fn a_scrub_is_due_when_it_was_and_goes_on_where_it_was() {
    let mut cluster = Cluster::initialized_with(3, |config| {
        quick(config);
        config.objects.scrub_interval = Duration::from_secs(3600);
    });
    let user = User::new(49);
    cluster.client.signup(&user);
    let body = body_of(17, CHUNK_BYTES);
    upload(&cluster, &user, "/pub/a", [17; 16], &body, &[0, 1, 2]);
    rot(&cluster, 1);
    upload(&cluster, &user, "/pub/b", [18; 16], &body, &[0, 1, 2]);
    let replica = shard_status(&cluster, 1, &user).replica_id;
    let scrub_at = |cluster: &mut Cluster, change: &dyn Fn(&mut ScrubMark)| {
        cluster.stop(1);
        let dir = cluster.dir(1).path().join("data/blobs");
        let blobs = BlobStore::open(&dir, BlobOptions::default()).expect("opened");
        let mut mark = blobs.scrub_mark().expect("readable");
        assert!(mark.due_ms > 0, "known since the first start");
        change(&mut mark);
        blobs.set_scrub_mark(&mark).expect("written");
        drop(blobs);
        cluster.restart(1);
    };
    let has_ended = |cluster: &Cluster| (objects(cluster, 1)?.scrub_ended_ms > 0).then_some(());
    // What is left to read lies behind what is damaged.
    scrub_at(&mut cluster, &|mark| mark.cursor = Some((replica, [17; 16])));
    wait_for("the scrub to end", || has_ended(&cluster));
    assert_eq!((objects(&cluster, 1).expect("runs").scrubbed, repaired(&cluster, 1)), (1, 0));
    scrub_at(&mut cluster, &|_| {});
    wait_for("its end to be known after the restart", || has_ended(&cluster));
    scrub_at(&mut cluster, &|mark| mark.due_ms = 1);
    wait_for("the scrub to mend it", || (repaired(&cluster, 1) > 0).then_some(()));
}
