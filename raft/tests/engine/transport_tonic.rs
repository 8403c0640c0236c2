//! Real groups over real connections on loopback.

use crate::transport_cluster;
mod transport_tonic_mtls;
mod transport_tonic_net;

use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use openraft::AsyncRuntime;
use openraft::network::{NetStreamAppend, NetVote, RPCOption, RaftNetworkFactory};
use openraft::raft::{AppendEntriesRequest, VoteRequest};
use rowhouse_proto::WIRE_VERSION;
use rowhouse_proto::wire::transport::v1::snapshot_chunk::Body as Chunk;
use rowhouse_proto::wire::transport::v1::transport_client::TransportClient;
use rowhouse_proto::wire::transport::v1::{FrameBatch, Lane as WireLane, SnapshotChunk, SnapshotHeader};
use rowhouse_raft::codec::Vote;
use rowhouse_raft::runtime::Production;
use rowhouse_raft::{RaftTypes, Replica};
use tonic::Code;
use tonic::transport::{Channel, Endpoint};
use transport_cluster::*;
use transport_tonic_net::*;

type P = Production;

async fn start(net: &Net, number: u8) -> Member<P> {
    let wire = net.serve(number).await;
    Member::start(number, wire, Disks::new()).await
}

async fn cluster(net: &Net) -> Vec<Member<P>> {
    let mut members = Vec::new();
    for number in 1..=3 {
        members.push(start(net, number).await);
    }
    initialize(&members).await;
    members
}

async fn stop(members: Vec<Member<P>>) {
    for member in members {
        member.host.shutdown().await.expect("a clean end");
    }
}

fn candidate() -> VoteRequest<RaftTypes<P>> {
    VoteRequest::new(Vote::new(0, 1), None)
}

fn option() -> RPCOption {
    RPCOption::new(Duration::from_secs(4))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn writes_replicate() {
    let net = Net::new(CLUSTER);
    let members = cluster(&net).await;
    futures::stream::iter(0..200)
        .for_each_concurrent(32, |n| {
            let members = &members;
            async move { put(members, &format!("key{n}"), &format!("value{n}")).await }
        })
        .await;
    for n in 0..200 {
        replicated(&members, &format!("key{n}"), &format!("value{n}")).await;
    }
    stop(members).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_follower_cut_off_catches_up() {
    let net = Net::new(CLUSTER);
    let members = cluster(&net).await;
    put(&members, "before", "1").await;
    replicated(&members, "before", "1").await;
    let leading = leader(&members).await.number;
    let away = (1..=3).find(|number| *number != leading).expect("two follow");
    net.cut(away);
    for n in 0..20 {
        put(&members, &format!("during{n}"), "2").await;
    }
    net.mend(away);
    replicated(&members, "during19", "2").await;
    put(&members, "after", "3").await;
    replicated(&members, "after", "3").await;
    stop(members).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_total_outage_heals() {
    let net = Net::new(CLUSTER);
    let members = cluster(&net).await;
    put(&members, "before", "1").await;
    for round in 0..3 {
        (1..=3).for_each(|number| net.cut(number));
        P::sleep(Duration::from_millis(300)).await;
        (1..=3).for_each(|number| net.mend(number));
        let key = format!("after{round}");
        put(&members, &key, "2").await;
        replicated(&members, &key, "2").await;
    }
    stop(members).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn frames_for_an_unknown_replica_are_rejected() {
    let net = Net::new(CLUSTER);
    let (a, _b) = (start(&net, 1).await, start(&net, 2).await);
    let mut factory = a.transport.network(GROUP, replica(1));
    let mut network = factory.new_client(999, &Replica { node_uuid: node(2) }).await;
    let error = network.vote(candidate(), option()).await.expect_err("nobody is there");
    assert!(error.to_string().contains("not on this node"), "{error}");
    let request = AppendEntriesRequest::<RaftTypes<P>> {
        vote: Vote::new_committed(1, replica(1)),
        prev_log_id: None,
        entries: Vec::new(),
        leader_commit: None,
    };
    let answers = network.stream_append(futures::stream::iter([request]), option()).await.expect("a stream");
    let answers: Vec<_> = answers.collect().await;
    let [Err(error)] = &answers[..] else { panic!("{answers:?}") };
    assert!(error.to_string().contains("not on this node"), "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_cluster_is_refused() {
    let (net, other) = (Net::new(CLUSTER), Net::new([2; 16]));
    let (a, b) = (start(&net, 1).await, start(&net, 2).await);
    let stranger = start(&other, 3).await;
    other.learn(2, &net);
    let to = Replica { node_uuid: node(2) };
    let mut welcome = a.transport.network(GROUP, replica(1)).new_client(replica(2), &to).await;
    welcome.vote(candidate(), option()).await.expect("the same cluster");
    let mut refused = stranger.transport.network(GROUP, replica(3)).new_client(replica(2), &to).await;
    let error = refused.vote(candidate(), option()).await.expect_err("another cluster");
    assert!(error.to_string().contains("link broke"), "it was heard: {error}");
    stop(vec![a, b, stranger]).await;
}

async fn connect(address: &str) -> TransportClient<Channel> {
    let endpoint = Endpoint::from_shared(format!("http://{address}")).expect("an address");
    TransportClient::new(endpoint.connect().await.expect("a server"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wrong_version_cluster_or_lease_is_told_so() {
    let net = Net::new(CLUSTER);
    let _b = start(&net, 2).await;
    let address = net.address(2).expect("it serves");
    let hello = FrameBatch {
        version: WIRE_VERSION,
        cluster_id: CLUSTER.to_vec().into(),
        node_uuid: node(1).to_vec().into(),
        lane: WireLane::Control.into(),
        frames: Vec::new(),
        lease_ms: 600,
        read_lease_ms: 300,
    };
    let wrong = [
        (FrameBatch { version: 99, ..hello.clone() }, "version 99"),
        (FrameBatch { cluster_id: vec![9; 16].into(), ..hello.clone() }, "cluster 0909"),
        (FrameBatch { node_uuid: vec![1; 3].into(), ..hello.clone() }, "uuid"),
        (FrameBatch { lane: 0, ..hello.clone() }, "lane"),
        (
            FrameBatch { lease_ms: 5000, read_lease_ms: 2500, ..hello.clone() },
            "its raft.election_max_ms is 5000, this node's is 600",
        ),
        (FrameBatch { lease_ms: 0, read_lease_ms: 0, ..hello.clone() }, "raft.election_max_ms is 0"),
    ];
    for (hello, why) in wrong {
        let mut client = connect(&address).await;
        let mut answers = client.lane(futures::stream::iter([hello])).await.expect("a stream").into_inner();
        let status = answers.message().await.expect_err("refused");
        assert_eq!(status.code(), Code::FailedPrecondition);
        assert!(status.message().contains(why), "{status}");
    }
    let mut client = connect(&address).await;
    let mut answers = client.lane(futures::stream::iter([hello])).await.expect("a stream").into_inner();
    let answer = answers.message().await.expect("accepted").expect("a hello");
    assert_eq!(answer.node_uuid, node(2).to_vec());
    assert_eq!((answer.lease_ms, answer.read_lease_ms), (600, 300));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_snapshot_of_a_node_that_must_not_lead_is_refused() {
    let net = Net::new(CLUSTER);
    let _b = start(&net, 2).await;
    let mut client = connect(&net.address(2).expect("it serves")).await;
    for (lease_ms, why) in [(5000, "raft.election_max_ms is 5000"), (600, "has no vote")] {
        let header = SnapshotHeader {
            cluster_id: CLUSTER.to_vec().into(),
            node_uuid: node(1).to_vec().into(),
            group: GROUP.into(),
            to_replica: replica(2),
            lease_ms,
            read_lease_ms: lease_ms / 2,
            ..SnapshotHeader::default()
        };
        let chunk = SnapshotChunk { version: WIRE_VERSION, body: Some(Chunk::Header(header)) };
        let reply = client.snapshot(futures::stream::iter([chunk])).await.expect("an answer").into_inner();
        assert!(reply.vote.is_none() && reply.error.contains(why), "{}", reply.error);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_moved_is_found() {
    let net = Net::new(CLUSTER);
    let (a, b) = (start(&net, 1).await, start(&net, 2).await);
    let to = Replica { node_uuid: node(2) };
    let mut network = a.transport.network(GROUP, replica(1)).new_client(replica(2), &to).await;
    network.vote(candidate(), option()).await.expect("an answer");
    let old = net.address(2);
    net.relocate(2).await;
    assert_ne!(net.address(2), old);
    let (network, net) = (Arc::new(tokio::sync::Mutex::new(network)), &net);
    for attempt in 0.. {
        assert!(attempt < 600, "never dialled at its new address");
        let answer = network.lock().await.vote(candidate(), option()).await;
        if answer.is_ok() && net.dialled(2) > 0 {
            break;
        }
        P::sleep(Duration::from_millis(100)).await;
    }
    stop(vec![a, b]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stopped_wire_lets_its_server_drain() {
    let net = Net::new(CLUSTER);
    let wire = net.serve(2).await;
    let (a, b) = (start(&net, 1).await, Member::start(2, wire.clone(), Disks::new()).await);
    let to = Replica { node_uuid: node(2) };
    let mut network = a.transport.network(GROUP, replica(1)).new_client(replica(2), &to).await;
    network.vote(candidate(), option()).await.expect("an answer");
    wire.shutdown();
    // The links to it are streams that would never end by themselves.
    P::timeout(Duration::from_secs(60), net.drain(2)).await.expect("it drains");
    network.vote(candidate(), option()).await.expect_err("nobody serves");
    let back = Replica { node_uuid: node(1) };
    let mut stopped = b.transport.network(GROUP, replica(2)).new_client(replica(1), &back).await;
    let error = stopped.vote(candidate(), option()).await.expect_err("it has stopped");
    assert!(error.to_string().contains("stopping"), "{error}");
    stop(vec![a, b]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_newcomer_is_sent_a_snapshot() {
    let net = Net::new(CLUSTER);
    let mut members = cluster(&net).await;
    let large = "x".repeat(100_000);
    for n in 0..30 {
        put(&members, &format!("key{n}"), &large).await;
    }
    let leading = leader(&members).await;
    let applied = purge(leading).await;
    let raft = leading.group.raft().clone();
    let newcomer = start(&net, 4).await;
    raft.add_learner(replica(4), Replica { node_uuid: node(4) }, true).await.expect("a learner");
    members.push(newcomer);
    replicated(&members, "key29", &large).await;
    assert!(members[3].group.status().purged >= applied, "it came by log");
    put(&members, "after", "1").await;
    replicated(&members, "after", "1").await;
    assert_eq!(members[3].records(), members[0].records());
    stop(members).await;
}
