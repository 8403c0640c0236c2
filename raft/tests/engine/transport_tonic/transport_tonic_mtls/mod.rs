//! Lanes over mutual TLS: who may open one, and in whose name.

use std::sync::Arc;

use openraft::network::{NetVote, RaftNetworkFactory};
use rowhouse_peer::{Certificates, Dialer, Role};
use rowhouse_proto::WIRE_VERSION;
use rowhouse_proto::wire::transport::v1::snapshot_chunk::Body;
use rowhouse_proto::wire::transport::v1::transport_client::TransportClient;
use rowhouse_proto::wire::transport::v1::{FrameBatch, Lane, SnapshotChunk, SnapshotHeader};
use rowhouse_raft::Replica;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Status};

use super::transport_cluster::*;
use super::transport_tonic_net::*;
use super::{P, candidate, option, start, stop};

/// What node `from` hears when it asks node `to` for its vote.
async fn vote(from: &Member<P>, to: u8) -> Result<(), String> {
    let mut factory = from.transport.network(GROUP, replica(from.number));
    let mut network = factory.new_client(replica(to), &Replica { node_uuid: node(to) }).await;
    network.vote(candidate(), option()).await.map(drop).map_err(|error| error.to_string())
}

async fn client(address: &str, shown: Option<Arc<Certificates>>) -> Option<TransportClient<Channel>> {
    let endpoint = Endpoint::from_shared(format!("http://{address}")).expect("an address");
    Dialer::new(shown).connect(&endpoint, None).await.ok().map(TransportClient::new)
}

/// A lane in the name of node `number`.
async fn lane(client: &mut TransportClient<Channel>, number: u8) -> Result<FrameBatch, Status> {
    let hello = FrameBatch {
        version: WIRE_VERSION,
        cluster_id: CLUSTER.to_vec().into(),
        node_uuid: node(number).to_vec().into(),
        lane: Lane::Control.into(),
        lease_ms: 600,
        read_lease_ms: 300,
        frames: Vec::new(),
    };
    let mut answers = client.lane(futures::stream::iter([hello])).await?.into_inner();
    Ok(answers.message().await?.expect("a hello"))
}

async fn snapshot(client: &mut TransportClient<Channel>, number: u8) -> Result<String, Status> {
    let header = SnapshotHeader {
        cluster_id: CLUSTER.to_vec().into(),
        node_uuid: node(number).to_vec().into(),
        lease_ms: 600,
        read_lease_ms: 300,
        ..SnapshotHeader::default()
    };
    let chunk = SnapshotChunk { version: WIRE_VERSION, body: Some(Body::Header(header)) };
    Ok(client.snapshot(futures::stream::iter([chunk])).await?.into_inner().error)
}

/// An error with all its reasons.
fn chain(error: &dyn std::error::Error) -> String {
    let source = error.source().map(|source| format!(": {}", chain(source)));
    format!("{error}{}", source.unwrap_or_default())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn writes_and_snapshots_replicate_and_broken_links_heal() {
    let net = Net::secured(CLUSTER);
    let mut members = vec![start(&net, 1).await, start(&net, 2).await, start(&net, 3).await];
    initialize(&members).await;
    for n in 0..20 {
        put(&members, &format!("key{n}"), &"x".repeat(50_000)).await;
    }
    (1..=3).for_each(|number| net.cut(number));
    (1..=3).for_each(|number| net.mend(number));
    put(&members, "after", "1").await;
    replicated(&members, "after", "1").await;
    let leading = leader(&members).await;
    purge(leading).await;
    let raft = leading.group.raft().clone();
    members.push(start(&net, 4).await);
    raft.add_learner(replica(4), Replica { node_uuid: node(4) }, true).await.expect("a learner");
    replicated(&members, "after", "1").await;
    stop(members).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_the_node_itself_speaks_in_its_name() {
    let net = Net::secured(CLUSTER);
    let (_a, _b) = (start(&net, 1).await, start(&net, 2).await);
    let address = net.address(2).expect("it serves");
    let own = net.certificates(Role::Node, &name(1));
    let mut itself = client(&address, own).await.expect("of the cluster");
    assert_eq!(lane(&mut itself, 1).await.expect("itself").node_uuid, node(2).to_vec());
    // An empty snapshot is of no use, but it was listened to.
    snapshot(&mut itself, 1).await.expect("itself");

    let posing = [(Role::Node, "n3"), (Role::Gateway, "n1"), (Role::Ctl, "n1")];
    for (role, name) in posing {
        let mut posing = client(&address, net.certificates(role, name)).await.expect("of the cluster");
        for refused in [lane(&mut posing, 1).await.map(drop), snapshot(&mut posing, 1).await.map(drop)] {
            let status = refused.expect_err("not node n1");
            assert_eq!(status.code(), Code::PermissionDenied, "{status}");
            assert!(status.message().contains(&format!("/{role}/{name}, not of node n1")), "{status}");
        }
    }
    let mut unknown = client(&address, net.certificates(Role::Node, "n9")).await.expect("of the cluster");
    let status = lane(&mut unknown, 9).await.expect_err("not in the directory");
    assert_eq!(status.code(), Code::Unavailable, "{status}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_with_the_certificate_of_another_is_not_spoken_to() {
    let net = Net::secured(CLUSTER);
    let (a, b) = (start(&net, 1).await, start(&net, 2).await);
    vote(&a, 2).await.expect("the right node");
    let wrong = net.certificates(Role::Node, &name(2));
    let swapped = Member::start(3, net.serve_with(3, wrong).await, Disks::new()).await;
    vote(&a, 3).await.expect_err("it shows the certificate of node n2");
    let own = Dialer::new(net.certificates(Role::Node, &name(1)));
    let address = net.address(3).expect("it serves");
    let endpoint = Endpoint::from_shared(format!("http://{address}")).expect("an address");
    let error = own.connect(&endpoint, Some(&name(3))).await.expect_err("not n3");
    assert!(chain(&error).contains("/node/n2 answers at the address of node n3"), "{}", chain(&error));
    own.connect(&endpoint, Some(&name(2))).await.expect("this is what its certificate says");
    // The other way it is told so in answer to its hello.
    vote(&swapped, 1).await.expect_err("it speaks for n3 with the certificate of n2");
    stop(vec![a, b, swapped]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn strangers_and_plaintext_get_no_connection() {
    let (net, other) = (Net::secured(CLUSTER), Net::secured(CLUSTER));
    let (a, _b) = (start(&net, 1).await, start(&net, 2).await);
    let address = net.address(2).expect("it serves");
    assert!(client(&address, other.certificates(Role::Node, "n1")).await.is_none(), "another CA");
    let mut plain = match client(&address, None).await {
        None => return,
        Some(client) => client,
    };
    lane(&mut plain, 1).await.expect_err("plaintext");
    // Nor does a node send anything to one that speaks plaintext.
    net.serve_with(3, None).await;
    vote(&a, 3).await.expect_err("no TLS there");
    stop(vec![a]).await;
}
