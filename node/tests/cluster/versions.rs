//! Programs of different command versions in one cluster: what is proposed, who may be part of it, and what becomes
//! of a replica that meets an entry it does not understand.

use bytes::Bytes;
use prost::Message;
use rowhouse_node::{Error, meta};
use rowhouse_proto::wire::command::{Close, Command, RaiseCommandVersion, command, meta_command};
use rowhouse_proto::wire::meta::{ClusterMap, GroupStatus};
use rowhouse_proto::{COMMAND_VERSION, COMMAND_VERSIONS, META_GROUP, VersionRange};

use super::client::User;
use super::harness::{Cluster, SHARDS, TestNode, config, wait_for};

const OLD: VersionRange = COMMAND_VERSIONS;
/// Of the next release.
const NEW: VersionRange = VersionRange { max: COMMAND_VERSION + 1, ..COMMAND_VERSIONS };

fn restart_as(cluster: &mut Cluster, n: usize, versions: VersionRange) -> Result<(), Error> {
    cluster.stop(n);
    cluster.start_with(n, |config| config.command_versions = versions)
}

/// Every node's map, once all satisfy.
fn maps(cluster: &Cluster, what: &str, all: impl Fn(&ClusterMap) -> bool) {
    wait_for(what, || cluster.running().all(|node| all(&node.map())).then_some(()));
}

fn upgraded(map: &ClusterMap) -> usize {
    map.nodes.iter().filter(|node| node.command_version_max == NEW.max).count()
}

fn is_too_old(error: &Error) -> bool {
    let told = error.to_string();
    let named = [format!("version {} in force", NEW.max), format!("understands {OLD}")];
    matches!(error, Error::CommandVersion { .. }) && named.iter().all(|named| told.contains(named))
}

#[test]
fn the_version_rises_when_all_understand_it_and_an_older_program_stays_out() {
    let mut cluster = Cluster::initialized(3);
    let user = User::new(60);
    cluster.client.signup(&user);
    for n in 0..3 {
        maps(&cluster, "the old version", |map| map.command_version == OLD.max && upgraded(map) == n);
        cluster.client.put(&user, "/pub/a", format!("{n}").as_bytes());
        restart_as(&mut cluster, n, NEW).expect("starts");
    }
    maps(&cluster, "the new version", |map| map.command_version == NEW.max);
    cluster.client.put(&user, "/pub/a", b"under the new version");
    assert_eq!(cluster.client.get(&user, "/pub/a"), Some(Bytes::from_static(b"under the new version")));

    let refused = restart_as(&mut cluster, 0, OLD).expect_err("it knows what is in force");
    assert!(is_too_old(&refused), "{refused}");
    let dir = tempfile::tempdir().expect("a folder");
    let mut late = config(&dir, "127.0.0.1:0", "late");
    late.node.seeds = vec![cluster.address(1).to_owned()];
    let ended = TestNode::try_start(late).expect("it does not know yet").ended();
    assert!(is_too_old(&ended), "{ended}");

    cluster.start_with(0, |config| config.command_versions = NEW).expect("starts");
    maps(&cluster, "no node more", |map| map.map_version > 0 && map.nodes.len() == 3);
    cluster.assert_converged();
}

/// Entries that the gate keeps out of a log until all understand them.
fn newer_command() -> Bytes {
    let body = Some(command::Body::Close(Close { t: 1 }));
    Command { version: NEW.max, body, ..Command::default() }.encode_to_vec().into()
}

fn newer_meta_command() -> Bytes {
    let body = meta_command::Body::RaiseCommandVersion(RaiseCommandVersion { to: OLD.max });
    meta::encode(NEW.max, body, 1)
}

fn of_group(cluster: &Cluster, n: usize, group: u32) -> Option<GroupStatus> {
    cluster.status(n, false)?.groups.into_iter().find(|status| status.group == group)
}

/// Waits until the replica says what it met and what it knows; it is not applied.
fn assert_stopped(cluster: &Cluster, n: usize, group: u32) {
    let problem = wait_for("a replica that stopped", || {
        of_group(cluster, n, group).filter(|status| status.role == "broken").map(|status| status.problem)
    });
    let named = [
        format!("of group {group} cannot"),
        format!("version is {}", NEW.max),
        format!("command version {OLD}"),
    ];
    for named in named {
        assert!(problem.contains(&named), "{named}: {problem}");
    }
}

const OLD_NODE: usize = 2;

/// Two nodes of the new program, and a third of the old one that leads nothing of what matters here.
fn mixed() -> (Cluster, u32) {
    let mut cluster = Cluster::initialized(3);
    for n in 0..OLD_NODE {
        restart_as(&mut cluster, n, NEW).expect("starts");
    }
    // It hands over what it leads.
    restart_as(&mut cluster, OLD_NODE, OLD).expect("starts");
    let group = wait_for("a shard that others lead", || {
        let elsewhere = |group: u32| cluster.leader_of(group) != OLD_NODE;
        (0..SHARDS).find(|group| elsewhere(*group)).filter(|_| elsewhere(META_GROUP))
    });
    (cluster, group)
}

#[test]
fn a_replica_stops_at_what_it_does_not_understand_and_goes_on_under_a_newer_program() {
    let (mut cluster, group) = mixed();
    for (group, command) in [(group, newer_command()), (META_GROUP, newer_meta_command())] {
        let leader = cluster.nodes[cluster.leader_of(group)].as_ref().expect("runs");
        leader.propose(group, command).expect("two of three apply it");
        assert_stopped(&cluster, OLD_NODE, group);
    }
    let users: Vec<User> = (70..80).map(User::new).collect();
    for user in &users {
        cluster.client.signup(user);
        cluster.client.put(user, "/pub/a", b"meanwhile");
    }

    // As before after a restart, and the node's other replicas serve all the same.
    restart_as(&mut cluster, OLD_NODE, OLD).expect("the others run");
    for stopped in [group, META_GROUP] {
        assert_stopped(&cluster, OLD_NODE, stopped);
    }
    for other in (0..SHARDS).filter(|other| *other != group) {
        wait_for("its other replicas", || {
            of_group(&cluster, OLD_NODE, other)
                .filter(|status| status.problem.is_empty() && status.applied > 0)
        });
    }

    restart_as(&mut cluster, OLD_NODE, NEW).expect("starts");
    cluster.assert_converged();
    for user in &users {
        assert_eq!(cluster.client.get(user, "/pub/a"), Some(Bytes::from_static(b"meanwhile")));
    }
}
