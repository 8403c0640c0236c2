//! Nodes with certificates: whom they let in, whom they believe, and how they change certificates.

use std::net::TcpStream;

use rowhouse_node::init::{InitOptions, initialize_cluster};
use rowhouse_peer::{Dialer, Role};
use rowhouse_proto::wire::meta::meta_client::MetaClient;
use rowhouse_proto::wire::meta::{
    AnnounceGatewayRequest, DrainRequest, NodeInfo, NodeStatusRequest, PingRequest, PrepareInitRequest,
    RegisterNodeRequest, WatchMapRequest,
};
use rowhouse_proto::wire::shard::QueryRequest;
use rowhouse_proto::wire::shard::shard_client::ShardClient;
use rowhouse_proto::wire::transport::v1::FrameBatch;
use rowhouse_proto::wire::transport::v1::transport_client::TransportClient;
use rowhouse_proto::{COMMAND_VERSION, COMMAND_VERSION_MIN, WIRE_VERSION};
use tonic::Code;
use tonic::transport::Channel;

use super::certificates::{Issuer, authority};
use super::client::{Client, User};
use super::harness::{Cluster, SHARDS, config, wait_for};

/// More than one machine would open, fewer than the bound.
const SILENT_FEW: usize = 50;
/// More than the node shakes hands with at once.
const SILENT_MANY: usize = 300;

fn channel(cluster: &Cluster, role: Role, name: &str) -> Channel {
    let dialer = Dialer::new(Some(cluster.issuer().certificates(role, name)));
    let connected = cluster.client.runtime.block_on(Client::connect(cluster.address(0), &dialer));
    connected.expect("a certificate of the cluster")
}

fn reaches(cluster: &Cluster, dialer: &Dialer) -> bool {
    cluster.client.runtime.block_on(async {
        let Some(channel) = Client::connect(cluster.address(0), dialer).await else { return false };
        let request = WatchMapRequest { version: WIRE_VERSION, changes: false };
        MetaClient::new(channel).watch_map(request).await.is_ok()
    })
}

/// What the caller may not do, by method.
async fn denied(channel: Channel) -> Vec<&'static str> {
    let mut meta = MetaClient::new(channel.clone());
    let mut shard = ShardClient::new(channel.clone());
    let mut transport = TransportClient::new(channel);
    let lane = futures::stream::iter([FrameBatch::default()]);
    let answers = [
        ("lane", transport.lane(lane).await.map(drop)),
        ("query", shard.query(QueryRequest { version: WIRE_VERSION, ..Default::default() }).await.map(drop)),
        ("map", meta.watch_map(WatchMapRequest { version: WIRE_VERSION, changes: false }).await.map(drop)),
        (
            "status",
            meta.node_status(NodeStatusRequest { version: WIRE_VERSION, scan: false }).await.map(drop),
        ),
        ("scan", meta.node_status(NodeStatusRequest { version: WIRE_VERSION, scan: true }).await.map(drop)),
        ("init", meta.prepare_init(PrepareInitRequest {}).await.map(drop)),
        ("register", meta.register_node(RegisterNodeRequest::default()).await.map(drop)),
        ("announce", meta.announce_gateway(AnnounceGatewayRequest::default()).await.map(drop)),
        ("ping", meta.ping(PingRequest { version: WIRE_VERSION, ..Default::default() }).await.map(drop)),
        ("drain", meta.drain(DrainRequest { version: WIRE_VERSION, ..Default::default() }).await.map(drop)),
    ];
    let denied = answers
        .into_iter()
        .filter(|(_, answer)| answer.as_ref().is_err_and(|status| status.code() == Code::PermissionDenied));
    denied.map(|(what, _)| what).collect()
}

#[test]
fn a_secured_cluster_serves_and_survives_restarts() {
    let mut cluster = Cluster::secured(3);
    assert!(cluster.initialize().expect("initializes").created);
    let user = User::new(60);
    cluster.client.signup(&user);
    cluster.client.put(&user, "/pub/a", b"1");
    for n in 0..3 {
        cluster.kill(n);
        cluster.restart(n);
        cluster.client.put(&user, &format!("/pub/{n}"), b"2");
    }
    assert_eq!(cluster.client.get(&user, "/pub/a").as_deref(), Some(&b"1"[..]));
    cluster.assert_converged();
    let expires_s = cluster.status(0, false).and_then(|status| status.certificate_expires_s);
    assert!(expires_s.is_some_and(|seconds| seconds > 0), "{expires_s:?}");
}

#[test]
fn the_role_decides_what_a_caller_may_do() {
    let cluster = Cluster::secured(1);
    cluster.initialize().expect("initializes");
    let denied = |role, name| cluster.client.runtime.block_on(denied(channel(&cluster, role, name)));
    assert_eq!(denied(Role::Node, "n0"), ["query", "init", "announce", "drain"]);
    // A gateway shows operators how the nodes are; a scan would read all that they have.
    assert_eq!(denied(Role::Gateway, "g0"), ["lane", "scan", "init", "register", "ping", "drain"]);
    // An operator lists and changes accounts without a gateway.
    assert_eq!(denied(Role::Ctl, "admin"), ["lane", "register", "announce", "ping"]);
}

#[test]
fn strangers_and_plaintext_are_not_let_in() {
    let cluster = Cluster::secured(1);
    let ours = cluster.issuer().certificates(Role::Gateway, "g0");
    assert!(reaches(&cluster, &Dialer::new(Some(ours))));
    assert!(!reaches(&cluster, &Dialer::plaintext()));
    let stranger = Issuer::new().certificates(Role::Gateway, "g0");
    assert!(!reaches(&cluster, &Dialer::new(Some(stranger))), "it does not trust us");
    let both = Issuer::new();
    both.trust(&[both.authority(), cluster.issuer().authority()]);
    let one_sided = both.certificates(Role::Gateway, "g0");
    assert!(!reaches(&cluster, &Dialer::new(Some(one_sided))), "it trusts us, we do not trust it");
    let result = cluster.client.runtime.block_on(initialize_cluster(InitOptions {
        nodes: vec![cluster.address(0).to_owned()],
        elsewhere: Vec::new(),
        shards: SHARDS,
        signup_mode: "open".into(),
        deadline: std::time::Duration::from_secs(1),
        dialer: Dialer::plaintext(),
    }));
    result.expect_err("an operator without a certificate makes no cluster");
}

#[test]
fn nobody_takes_the_place_of_another_node() {
    let cluster = Cluster::secured(1);
    cluster.initialize().expect("initializes");
    let map = wait_for("the map", || {
        cluster.nodes[0].as_ref().map(|node| node.map()).filter(|map| map.map_version > 0)
    });
    let register = |certified: &str, node_uuid: &[u8], name: &str| {
        let node = NodeInfo {
            node_uuid: node_uuid.to_vec().into(),
            address: "127.0.0.1:1".into(),
            name: name.to_owned(),
            command_version_min: COMMAND_VERSION_MIN,
            command_version_max: COMMAND_VERSION,
            ..NodeInfo::default()
        };
        let request = RegisterNodeRequest { node: Some(node), cluster_id: map.cluster_id.clone() };
        let mut meta = MetaClient::new(channel(&cluster, Role::Node, certified));
        cluster.client.runtime.block_on(meta.register_node(request)).expect("an answer").into_inner()
    };
    let victim = map.nodes[0].node_uuid.to_vec();
    for (certified, name) in [("n7", "n0"), ("n7", "n7"), ("n0", "n7")] {
        let reply = register(certified, &victim, name);
        assert!(!reply.accepted && !reply.refused.is_empty(), "{certified} as {name}: {reply:?}");
    }
    let newcomer = register("n7", &[9; 16], "n7");
    assert!(newcomer.accepted, "a node that is itself: {newcomer:?}");
    let moved = register("n0", &victim, "n0");
    assert!(moved.accepted, "a node that moves: {moved:?}");
}

#[test]
fn a_node_starts_only_with_its_own_certificate() {
    let issuer = Issuer::new();
    let dir = tempfile::tempdir().expect("a folder");
    let mut config = config(&dir, "127.0.0.1:0", "n0");
    for (role, name) in [(Role::Node, "n1"), (Role::Gateway, "n0")] {
        config.certificates = Some(issuer.certificates(role, name));
        let error = config.validate().expect_err("another's certificate").to_string();
        assert!(error.contains(&format!("{role}/{name}")), "{error}");
    }
    config.certificates = Some(issuer.certificates(Role::Node, "n0"));
    config.validate().expect("its own");
    config.node.listen = "0.0.0.0:0".parse().expect("an address");
    config.node.advertise = Some("node.example:7000".to_owned());
    config.validate().expect("others are authenticated");
    config.node.advertise = Some("0.0.0.0:7000".to_owned());
    assert!(config.validate().expect_err("nobody can dial this").to_string().contains("--advertise"));
}

#[test]
fn silent_connections_hold_up_nobody() {
    let cluster = Cluster::secured(1);
    let own = Dialer::new(Some(cluster.issuer().certificates(Role::Gateway, "g0")));
    let silent = |count| -> Vec<TcpStream> {
        (0..count).map(|_| TcpStream::connect(cluster.address(0)).expect("a connection")).collect()
    };
    let _few = silent(SILENT_FEW);
    assert!(reaches(&cluster, &own), "beside connections that say nothing");
    let _many = silent(SILENT_MANY);
    wait_for("silent connections to be given up", || reaches(&cluster, &own).then_some(()));
}

#[test]
fn a_ca_is_replaced_under_a_running_cluster() {
    let cluster = Cluster::secured(3);
    cluster.initialize().expect("initializes");
    let (user, issuer) = (User::new(61), cluster.issuer());
    cluster.client.signup(&user);
    let next = authority();
    issuer.trust(&[issuer.authority(), &next]);
    issuer.refresh();
    cluster.client.put(&user, "/pub/both", b"x");
    issuer.reissue_all(&next);
    issuer.refresh();
    cluster.client.put(&user, "/pub/new", b"x");
    issuer.trust(&[&next]);
    issuer.refresh();
    cluster.client.put(&user, "/pub/only-new", b"x");
    // A new connection, with the new certificate, to a node that was never restarted.
    let (own, old) = (issuer.certificates(Role::Gateway, "g0"), Issuer::new());
    assert!(reaches(&cluster, &Dialer::new(Some(own))));
    old.trust(&[old.authority(), &next, issuer.authority()]);
    let left_behind = old.certificates(Role::Gateway, "g1");
    old.reissue(Role::Gateway, "g1", issuer.authority());
    assert!(left_behind.refresh().expect("of the old CA"));
    assert!(!reaches(&cluster, &Dialer::new(Some(left_behind))), "the old CA is trusted no more");
    cluster.assert_converged();
}
