//! Large bodies move with their shard, and the replica that was removed leaves none behind.

use rowhouse_proto::wire::meta::meta_client::MetaClient;
use rowhouse_proto::wire::meta::{GroupInfo, MoveWish, OperateRequest, operate_request};

use super::*;

fn unhurried(config: &mut NodeConfig) {
    quick(config);
    config.objects.upload_expiry_s = Duration::from_secs(120);
    config.objects.orphan_age_s = Duration::from_secs(3600);
    config.objects.scrub_interval_s = Duration::from_secs(3600);
    config.placement.rebalance = false;
}

fn group_info(cluster: &Cluster, group: u32) -> GroupInfo {
    wait_for("the group's place in the map", || {
        let newest = cluster.running().map(|node| node.map()).max_by_key(|map| map.map_version)?;
        newest.groups.into_iter().find(|info| info.group == group)
    })
}

/// The nodes of its replicas, by number.
fn nodes_of(cluster: &Cluster, info: &GroupInfo) -> Vec<usize> {
    let on = |uuid: &[u8]| {
        let running = |node: &super::super::harness::TestNode| node.uuid() == uuid;
        cluster.nodes.iter().position(|node| node.as_ref().is_some_and(running))
    };
    info.replicas.iter().filter_map(|replica| on(&replica.node_uuid)).collect()
}

/// Wishes until the cluster takes it on: at first it may not know all its nodes' programs yet.
fn wish_move(cluster: &Cluster, group: u32, from: usize, to: usize) {
    let uuid = |n: usize| Bytes::from(cluster.nodes[n].as_ref().expect("runs").uuid());
    let wish = MoveWish { group, from_node: uuid(from), to_node: uuid(to) };
    wait_for("the move to begin", || {
        let leader = cluster.meta_leader();
        let request = OperateRequest {
            version: WIRE_VERSION,
            cluster_id: cluster.status(leader, false)?.cluster_id,
            wish: Some(operate_request::Wish::Move(wish.clone())),
        };
        cluster.client.runtime.block_on(async {
            let channel = Client::connect(cluster.address(leader), &cluster.client.operator).await?;
            let reply = MetaClient::new(channel).operate(request).await.ok()?.into_inner();
            reply.accepted.then_some(())
        })
    });
}

/// As a gateway does it: to every replica there is, until the shard is content with those that took it.
fn write(cluster: &Cluster, user: &User, path: &str, object: [u8; 16], body: &Bytes) {
    begin(cluster, user, path, object);
    wait_for("enough copies", || {
        let staged = (0..cluster.nodes.len()).filter_map(|n| try_stage(cluster, n, user, object, body));
        let op = put_op(user, path, object, body, staged.collect());
        match cluster.client.execute(user.shard(), request_id(), op) {
            Ok(_) => Some(()),
            Err(failure) if failure.code == ErrorCode::TooFewCopies.number() => None,
            Err(failure) => panic!("not stored: {failure:?}"),
        }
    });
}

#[test]
fn large_bodies_move_with_their_shard_and_leave_nothing_behind() {
    let mut cluster = Cluster::initialized_with(4, unhurried);
    let user = User::new(60);
    cluster.client.signup(&user);
    let group = user.shard();
    let before = nodes_of(&cluster, &group_info(&cluster, group));
    assert_eq!(before.len(), 3);
    let to = (0..4).find(|n| !before.contains(n)).expect("a spare node");
    let from = cluster.leader_of(group);
    let object = |n: usize| [n as u8 + 100; 16];
    let mut bodies = Vec::new();
    for n in 0..6 {
        let body = body_of(n as u8, n * CHUNK_BYTES + 70_000);
        let holders = if n % 2 == 0 { &before[..] } else { &before[1..] };
        upload(&cluster, &user, &format!("/pub/{n}"), object(n), &body, holders);
        bodies.push(body);
    }
    wish_move(&cluster, group, from, to);
    loop {
        let n = bodies.len();
        let body = body_of(n as u8, (n % 3) * CHUNK_BYTES + 80_000);
        write(&cluster, &user, &format!("/pub/{n}"), object(n), &body);
        bodies.push(body);
        let info = group_info(&cluster, group);
        if info.moving.is_none() && nodes_of(&cluster, &info).contains(&to) {
            break;
        }
        assert!(n < 150, "it does not end: {info:?}");
        std::thread::sleep(Duration::from_millis(200));
    }
    let after = nodes_of(&cluster, &group_info(&cluster, group));
    assert!(after.len() == 3 && !after.contains(&from), "{after:?}");

    // What a crash brings back is erased as well.
    cluster.kill(from);
    cluster.restart(from);
    wait_for("the removed node to hold nothing", || {
        let status = cluster.status(from, true)?;
        let runs = status.groups.iter().any(|status| status.group == group);
        (!runs && status.objects?.held == Some(0)).then_some(())
    });
    wait_for("the new replica to have everything", || {
        let status = cluster.status(to, true)?;
        let replica = status.groups.into_iter().find(|status| status.group == group)?;
        let complete = replica.objects_missing == 0 && replica.objects_seen? >= replica.applied;
        (complete && status.objects?.held == Some(bodies.len() as u64)).then_some(())
    });
    for (n, body) in bodies.iter().enumerate() {
        let stored = entry(&cluster, &user, &format!("/pub/{n}"));
        assert_eq!((stored.length, &stored.object[..]), (body.len() as u64, &object(n)[..]));
        for node in &after {
            let copy = wait_for("a copy", || fetch(&cluster, *node, &user, object(n), body.len()));
            assert!(copy == *body, "body {n} on node {node}");
        }
    }
    let bytes: u64 = bodies.iter().map(|body| body.len() as u64).sum();
    assert_eq!(shard_status(&cluster, to, &user).bytes, bytes);
}
