//! Programs of different command versions in one cluster: what is proposed, who may be part of it, and what becomes
//! of a replica that meets an entry it does not understand.

use bytes::Bytes;
use prost::Message;
use rowhouse_node::apply::ACCOUNTS_SINCE;
use rowhouse_node::{Error, meta};
use rowhouse_proto::wire::account::signup_admission::Verdict;
use rowhouse_proto::wire::account::{SignupAdmission, SignupReservation};
use rowhouse_proto::wire::command::{Close, Command, RaiseCommandVersion, command, meta_command};
use rowhouse_proto::wire::meta::{
    ChangeSettings, ClusterMap, GroupStatus, MetaExecuteRequest, meta_execute_reply, meta_execute_request,
};
use rowhouse_proto::wire::shard::{
    ChangeQuota, Credential, DisableUser, ExecuteRequest, ListUsers, PutEntry, RevokeGrantById, SettleSignup,
    credential, execute_reply, execute_request, query_reply, query_request,
};
use rowhouse_proto::{COMMAND_VERSION, COMMAND_VERSIONS, ErrorCode, META_GROUP, VersionRange, WIRE_VERSION};

use super::client::{Client, User, request_id};
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

/// Of the release before accounts could be settled.
const BEFORE_ACCOUNTS: VersionRange = VersionRange { max: ACCOUNTS_SINCE - 1, ..COMMAND_VERSIONS };

/// What the shard's leader says to an operation; `None`: done.
fn refusal(cluster: &Cluster, user: &User, op: execute_request::Op) -> Option<ErrorCode> {
    let request = ExecuteRequest {
        version: WIRE_VERSION,
        group: user.shard(),
        request_id: request_id(),
        issued_at_us: cluster.client.issued_at(),
        client_addr: "127.0.0.1".into(),
        op: Some(op),
        ..ExecuteRequest::default()
    };
    wait_for("the leader's word", || {
        let leader = cluster.leader_of(user.shard());
        let reply = cluster.client.execute_once(cluster.address(leader), request.clone())?;
        match reply.result? {
            execute_reply::Result::Failure(failure) => {
                let code = ErrorCode::from_number(failure.code).expect("a known code");
                let elsewhere = [ErrorCode::NotLeader, ErrorCode::Unavailable].contains(&code);
                (!elsewhere).then_some(Some(code))
            }
            _ => Some(None),
        }
    })
}

/// Operations that a replica of an older program would stop at, by the user and about it.
fn newer_operations(user: &User) -> Vec<execute_request::Op> {
    let tenant = user.tenant();
    let operator = Some(Credential { kind: Some(credential::Kind::Operator(true)) });
    let execute_request::Op::PutEntry(put) = Client::put_op(user, "/pub/b", b"x") else { panic!("a put") };
    let reserved = SignupAdmission { verdict: Some(Verdict::Reserved(SignupReservation::default())) };
    vec![
        execute_request::Op::SettleSignup(SettleSignup { tenant: tenant.clone(), ..SettleSignup::default() }),
        execute_request::Op::DisableUser(DisableUser { tenant: tenant.clone(), disabled: false }),
        execute_request::Op::ChangeQuota(ChangeQuota { tenant: tenant.clone(), patch: None }),
        execute_request::Op::RevokeGrantById(RevokeGrantById {
            credential: user.credential(),
            tenant,
            grant_id: "unknown".into(),
        }),
        execute_request::Op::PutEntry(PutEntry { credential: operator, ..put }),
        Client::signup_op(user, Some(reserved)),
    ]
}

#[test]
fn accounts_are_settled_once_every_node_understands_it() {
    let mut cluster = Cluster::initialized_with(3, |config| config.command_versions = BEFORE_ACCOUNTS);
    let user = User::new(61);
    cluster.client.signup(&user);
    cluster.client.put(&user, "/pub/a", b"before");
    for op in newer_operations(&user) {
        assert_eq!(refusal(&cluster, &user, op.clone()), Some(ErrorCode::WrongVersion), "{op:?}");
    }
    let request = MetaExecuteRequest {
        version: WIRE_VERSION,
        cluster_id: cluster.running().next().expect("runs").map().cluster_id,
        op: Some(meta_execute_request::Op::ChangeSettings(ChangeSettings::default())),
        ..MetaExecuteRequest::default()
    };
    let refused = cluster.client.meta_execute_once(cluster.address(cluster.meta_leader()), request.clone());
    let Some(meta_execute_reply::Result::Failure(failure)) = refused else { panic!("{refused:?}") };
    assert_eq!(failure.code, ErrorCode::WrongVersion.number());

    for n in 0..3 {
        restart_as(&mut cluster, n, OLD).expect("starts");
    }
    maps(&cluster, "the new version", |map| map.command_version == OLD.max);
    let expected = [None, None, None, Some(ErrorCode::NotFound), None, Some(ErrorCode::UserExists)];
    for (op, expected) in newer_operations(&user).into_iter().zip(expected) {
        assert_eq!(refusal(&cluster, &user, op.clone()), expected, "{op:?}");
    }
    let op = request.op.expect("built with one");
    cluster.client.meta_execute(&request.cluster_id, op).expect("decided");
    let page = ListUsers { limit: 10, ..ListUsers::default() };
    let listed = cluster.client.query(user.shard(), query_request::Op::ListUsers(page));
    let Ok(query_reply::Result::AccountPage(page)) = listed else { panic!("{listed:?}") };
    assert_eq!(page.accounts.iter().map(|account| account.user.clone()).collect::<Vec<_>>(), [user.tenant()]);
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
