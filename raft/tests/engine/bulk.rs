//! Snapshots on their way: when they are opened, how they go on over broken links, and what a receiver refuses.

use crate::transport_cluster;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures::StreamExt;
use openraft::AsyncRuntime;
use openraft::async_runtime::watch::WatchReceiver;
use rowhouse_proto::WIRE_VERSION;
use rowhouse_proto::wire::raft as wire;
use rowhouse_proto::wire::transport::v1::snapshot_chunk::Body;
use rowhouse_proto::wire::transport::v1::{SnapshotChunk, SnapshotEnd, SnapshotHeader};
use rowhouse_raft::codec::{log_id_to_wire, stored_membership_to_wire, vote_to_wire};
use rowhouse_raft::sim::{SimNet, SimWeather, Simulation};
use rowhouse_raft::transport::{Inbox, ROOM_PAUSE};
use rowhouse_raft::{RaftTiming, Replica};
use transport_cluster::*;

type S = Simulation;

/// Enough for a dozen chunks, so that it matters where a transfer goes on.
const VALUES: usize = 60;
const VALUE_BYTES: usize = 200_000;

/// Incompressible, so that a snapshot has about as many bytes as its values.
fn value(n: usize) -> String {
    let mut bytes = vec![0; VALUE_BYTES / 2];
    blake3::Hasher::new().update(&n.to_be_bytes()).finalize_xof().fill(&mut bytes);
    bytes.iter().flat_map(|byte| [char::from(b' ' + (byte & 0x3F)), char::from(b' ' + (byte >> 2))]).collect()
}

async fn cluster(net: &SimNet<S>) -> Vec<Member<S>> {
    let mut members = Vec::new();
    for number in 1..=3 {
        members.push(Member::start(number, net.wire(node(number)), Disks::new()).await);
    }
    initialize(&members).await;
    members
}

async fn stop(members: Vec<Member<S>>) {
    for member in members {
        member.host.shutdown().await.expect("a clean end");
    }
}

async fn filled(net: &SimNet<S>) -> Vec<Member<S>> {
    let members = cluster(net).await;
    for n in 0..VALUES {
        put(&members, &format!("key{n}"), &value(n)).await;
    }
    purge(leader(&members).await).await;
    members
}

async fn learn(members: &[Member<S>], number: u8) {
    let learner = Replica { node_uuid: node(number) };
    let raft = leader(members).await.group.raft().clone();
    raft.add_learner(replica(number), learner, false).await.expect("a learner");
}

fn last_key() -> String {
    format!("key{}", VALUES - 1)
}

/// Bytes that a newcomer's snapshot took, and how often its link broke.
async fn newcomer(chunk_reset_per_million: u32) -> (u64, u64) {
    let net = SimNet::new(SimWeather { chunk_reset_per_million, ..SimWeather::default() });
    let mut members = filled(&net).await;
    members.push(Member::start(4, net.wire(node(4)), Disks::new()).await);
    learn(&members, 4).await;
    replicated(&members, &last_key(), &value(VALUES - 1)).await;
    assert_eq!(members[3].records(), members[0].records());
    stop(members).await;
    net.snapshots()
}

#[test]
fn a_transfer_whose_link_breaks_moves_little_twice() {
    let (whole, breaks) = S::with_seed(1).block_on(newcomer(0));
    assert_eq!(breaks, 0);
    let mut broken = 0;
    for seed in 0..6 {
        let (bytes, breaks) = S::with_seed(seed).block_on(newcomer(150_000));
        assert!(
            bytes >= whole && bytes < whole + whole / 2,
            "seed {seed}: {bytes} of {whole}, {breaks} breaks"
        );
        broken += breaks;
    }
    assert!(broken > 6, "{broken} breaks");
}

#[test]
fn a_receiver_that_restarts_begins_anew() {
    S::with_seed(3).block_on(async {
        let chunk_delay = (Duration::from_millis(500), Duration::from_millis(500));
        let net = SimNet::new(SimWeather { chunk_delay, ..SimWeather::default() });
        let mut members = filled(&net).await;
        let fourth = Member::start(4, net.wire(node(4)), Disks::new()).await;
        learn(&members, 4).await;
        until::<S>("half of it is there", || net.snapshots().0 > (VALUES * VALUE_BYTES / 3) as u64).await;
        net.crash(node(4));
        fourth.host.stop(GROUP).await;
        let Member { disks, .. } = fourth;
        net.restart(node(4));
        members.push(Member::start(4, net.wire(node(4)), disks).await);
        replicated(&members, &last_key(), &value(VALUES - 1)).await;
        stop(members).await;
    });
}

#[test]
fn a_snapshot_that_waited_for_its_turn_is_opened_after_that() {
    S::with_seed(4).block_on(async {
        let chunk_delay = (Duration::from_secs(2), Duration::from_secs(2));
        let net = SimNet::new(SimWeather { chunk_delay, ..SimWeather::default() });
        let mut members = cluster(&net).await;
        put(&members, "before", "1").await;
        purge(leader(&members).await).await;
        for number in 4..=6 {
            members.push(Member::start(number, net.wire(node(number)), Disks::new()).await);
            learn(&members[..3], number).await;
        }
        // Two are on their way, one waits.
        S::sleep(Duration::from_secs(1)).await;
        for n in 0..50 {
            put(&members[..3], &format!("meanwhile{n}"), "2").await;
        }
        let written = leader(&members[..3]).await.group.status().last_log;
        let arrived = |member: &Member<S>| member.group.status().purged;
        until::<S>("all have arrived", || members[3..].iter().all(|member| arrived(member) > 0)).await;
        let late = members[3..].iter().filter(|member| arrived(member) >= written).count();
        assert_eq!(late, 1, "{:?} of {written}", members[3..].iter().map(arrived).collect::<Vec<_>>());
        replicated(&members, "meanwhile49", "2").await;
        stop(members).await;
    });
}

#[test]
fn a_disk_without_room_takes_no_snapshot_until_it_has_some() {
    S::with_seed(5).block_on(async {
        let net = SimNet::new(SimWeather::default());
        let mut members = filled(&net).await;
        let free = Arc::new(AtomicU64::new((VALUES * VALUE_BYTES) as u64));
        let room = free.clone();
        let disks =
            Disks { room: Some(Arc::new(move || Some(room.load(Ordering::Relaxed)))), ..Disks::new() };
        let fourth = Member::start(4, net.wire(node(4)), disks).await;
        learn(&members, 4).await;
        S::sleep(3 * ROOM_PAUSE).await;
        let status = fourth.group.status();
        assert_eq!((status.applied, status.problem), (0, None));
        assert!(net.snapshots().0 < (VALUES * VALUE_BYTES) as u64, "it is asked first, and seldom");
        free.store(u64::MAX, Ordering::Relaxed);
        members.push(fourth);
        replicated(&members, &last_key(), &value(VALUES - 1)).await;
        stop(members).await;
    });
}

fn chunk(body: Body) -> SnapshotChunk {
    SnapshotChunk { version: WIRE_VERSION, body: Some(body) }
}

/// Sends a snapshot to `to` as its leader would, and returns why it was refused.
async fn refusal(to: &Member<S>, header: SnapshotHeader, data: &[Bytes]) -> String {
    let mut chunks = vec![chunk(Body::Header(header))];
    chunks.extend(data.iter().map(|data| chunk(Body::Data(data.clone()))));
    chunks.push(chunk(Body::End(SnapshotEnd { chunks: data.len() as u64 })));
    let chunks = futures::stream::iter(chunks.into_iter().map(Ok)).boxed();
    let reply = to.transport.snapshot(node(9), chunks).await;
    assert!(reply.vote.is_none(), "it was taken in");
    reply.error
}

#[test]
fn a_snapshot_that_no_leader_sends_is_refused_and_ends_nobody() {
    S::with_seed(6).block_on(async {
        let net = SimNet::new(SimWeather::default());
        let members = cluster(&net).await;
        put(&members, "before", "1").await;
        let leading = leader(&members).await;
        let follower = members.iter().find(|member| member.number != leading.number).expect("two more");
        replicated(&members, "before", "1").await;
        let snapshot =
            leading.group.raft().get_snapshot().await.expect("a core").expect("something is applied");
        let last = snapshot.meta.last_log_id.expect("something is applied");
        let terms = RaftTiming::default().lease_terms();
        let vote = leading.group.raft().server_metrics().borrow_watched().vote;
        let honest = SnapshotHeader {
            group: GROUP.into(),
            from_replica: replica(leading.number),
            to_replica: replica(follower.number),
            vote: Some(vote_to_wire(&vote)),
            last_log_id: Some(log_id_to_wire(&last)),
            membership: Some(stored_membership_to_wire(&snapshot.meta.last_membership)),
            lease_ms: terms.granted.as_millis() as u64,
            read_lease_ms: terms.read.as_millis() as u64,
            ..SnapshotHeader::default()
        };
        let mut chunks = snapshot.snapshot.into_chunks();
        let mut data = Vec::new();
        while let Some(frame) = chunks.next().expect("a frame") {
            data.push(frame);
        }
        let elected = wire::Vote { term: vote.leader_id.term + 5, leader: 100, committed: true };
        let at = |term, index| Some(wire::LogId { term, leader: 100, index });
        let beyond = last.index + 1_000;
        for (header, why) in [
            (
                SnapshotHeader { last_log_id: at(elected.term + 1, beyond), ..honest.clone() },
                "cannot have committed",
            ),
            (
                SnapshotHeader { vote: Some(elected), last_log_id: at(elected.term, 1), ..honest.clone() },
                "are committed here",
            ),
            (
                SnapshotHeader { vote: Some(wire::Vote { committed: false, ..elected }), ..honest.clone() },
                "was not elected",
            ),
            (SnapshotHeader { last_log_id: None, ..honest.clone() }, "no log id"),
            (SnapshotHeader { last_log_id: at(vote.leader_id.term, beyond), ..honest.clone() }, "its sender"),
            (SnapshotHeader { first_chunk: 2, transfer: 7, ..honest.clone() }, "nothing is held"),
        ] {
            let refused = refusal(follower, header, &data).await;
            assert!(refused.contains(why), "{refused}");
        }
        let status = follower.group.status();
        assert_eq!((status.problem, status.term), (None, leading.group.status().term));
        put(&members, "after", "2").await;
        replicated(&members, "after", "2").await;
        stop(members).await;
    });
}
