//! The bytes each meta command writes, fixed as those of shards are (machine_golden.rs): the cluster record, nodes,
//! groups, gateways, packet.

use crate::machine_fixture;

use bytes::Bytes;
use machine_fixture::golden::golden_files;
use machine_fixture::{Rows, Writes, golden, hash};
use rowhouse_node::meta::{self, MetaMachine};
use rowhouse_proto::META_GROUP;
use rowhouse_proto::wire::account::user_quota::Storage;
use rowhouse_proto::wire::account::{QuotaField, QuotaPatch, UserQuota};
use rowhouse_proto::wire::command::place_shards::Placement;
use rowhouse_proto::wire::command::{
    AnnounceGateway, AppendAudit, BeginMove, Bootstrap, ChangeSettings, CreateSignupToken, DirectNode,
    EndMove, MarkNode, MetaNode, PlaceShards, RaiseCommandVersion, Rebalance, RecoverGroup, RegisterNode,
    RemoveNode, ReserveSignupToken, SetPacket, SettleSignupToken, WithdrawGateway, meta_command::Body,
};
use rowhouse_raft::state::{Txn, View};
use rowhouse_raft::{EntryContext, GroupId, Machine};

golden_files! {
    Bootstrap => "bootstrap", "refused";
    RegisterNode => "register_node", "register_zoned_node";
    SetPacket => "set_packet";
    PlaceShards => "place_shards";
    AnnounceGateway => "announce_gateway", "announce_another_gateway";
    WithdrawGateway => "withdraw_gateway";
    RaiseCommandVersion => "raise_command_version", "raise_understood_version";
    MarkNode => "mark_node_away", "mark_node_back";
    DirectNode => "direct_node";
    BeginMove => "begin_move", "begin_another_move";
    EndMove => "end_move", "give_up_move";
    RemoveNode => "remove_node";
    Rebalance => "rebalance";
    RecoverGroup => "recover_group";
    CreateSignupToken => "create_signup_token";
    ReserveSignupToken => "reserve_signup_token", "reserve_freed_signup_token";
    SettleSignupToken => "free_signup_token", "spend_signup_token";
    ChangeSettings => "change_settings";
    AppendAudit => "append_audit", "append_another_audit";
}

/// The command version that these commands were first applied under.
const VERSION: u32 = 2;
const NOW_MS: u64 = 1_800_000_000_000;

fn node(n: u8) -> MetaNode {
    MetaNode {
        node_uuid: vec![n; 16].into(),
        address: format!("127.0.0.1:{n}"),
        name: format!("n{n}"),
        command_version_min: VERSION,
        command_version_max: VERSION,
        zone: String::new(),
    }
}

fn packet() -> Bytes {
    let mut packet = hash(7).to_vec();
    packet.extend_from_slice(&[0; 64]);
    packet.extend_from_slice(&(NOW_MS * 1000).to_be_bytes());
    packet.into()
}

/// Applies a command; answers its reply and what it wrote.
fn apply(rows: &mut Rows, command: &Bytes) -> (Bytes, Writes) {
    let (reply, writes) = {
        let mut txn = Txn::new(View::new(rows, Bytes::new()));
        let context = EntryContext { group: META_GROUP as GroupId, term: 1, index: 1, voters: &[] };
        let reply = MetaMachine::default().apply(context, command, &mut txn).expect("understood");
        (reply, txn.into_writes())
    };
    for (key, value) in &writes {
        match value {
            Some(value) => rows.0.insert(key.clone(), value.clone()),
            None => rows.0.remove(key),
        };
    }
    (reply, writes)
}

fn register(node: MetaNode) -> Body {
    Body::RegisterNode(RegisterNode { node: Some(node), name_proven: true })
}

fn check(rows: &mut Rows, version: u32, name: &str, body: Body) {
    let command = meta::encode(version, body, NOW_MS);
    let (reply, writes) = apply(rows, &command);
    golden::check("meta_golden", name, &command, &reply, &writes);
}

/// The commands of the version that brought moves, on the shards of the others.
fn placement_steps() -> Vec<(&'static str, Body)> {
    let node_uuid = |n: u8| node(n).node_uuid;
    let mark = |n, away| Body::MarkNode(MarkNode { node_uuid: node_uuid(n), away });
    let begin = |epoch, remove, to| {
        let reason = "node n1 is lost".to_owned();
        Body::BeginMove(BeginMove { group: 0, epoch, remove, to_node: node_uuid(to), reason })
    };
    let end = |add, done| Body::EndMove(EndMove { group: 0, add, done });
    let lost = DirectNode { node_uuid: node_uuid(4), leaving: false, lost: true };
    let zoned = MetaNode { zone: "a".into(), ..node(5) };
    vec![
        ("register_zoned_node", register(MetaNode { command_version_max: VERSION + 1, ..zoned })),
        ("mark_node_away", mark(1, true)),
        ("begin_move", begin(1, 4, 4)),
        ("end_move", end(10, true)),
        ("begin_another_move", begin(2, 10, 5)),
        ("give_up_move", end(11, false)),
        ("mark_node_back", mark(1, false)),
        ("direct_node", Body::DirectNode(lost)),
        ("remove_node", Body::RemoveNode(RemoveNode { node_uuid: node_uuid(5) })),
        ("rebalance", Body::Rebalance(Rebalance { on: true })),
        ("recover_group", Body::RecoverGroup(RecoverGroup { group: 1, replica: 8 })),
    ]
}

/// The commands of the version that brought tokens, settings and the audit chain.
fn account_steps() -> Vec<(&'static str, Body)> {
    let token = || "AAAA-BBBB-CCCC".to_owned();
    let quota = UserQuota { storage: Some(Storage::StorageMb(5)), ..UserQuota::default() };
    let create = CreateSignupToken { token: token(), id: vec![9; 16].into(), quota: Some(quota.clone()) };
    let reserve = |user| Body::ReserveSignupToken(ReserveSignupToken { token: token(), user: hash(user) });
    let settle = |number, spent| Body::SettleSignupToken(SettleSignupToken { token: token(), number, spent });
    let settings = ChangeSettings {
        signup_mode: Some("token_required".into()),
        defaults: Some(QuotaPatch { set: Some(quota), reset: vec![QuotaField::RateRead.into()] }),
    };
    let audit = |id, result: &str| {
        Body::AppendAudit(AppendAudit {
            id: vec![id; 16].into(),
            who: "admin from 127.0.0.1".into(),
            action: "disable user".into(),
            target: "a user".into(),
            result: result.into(),
        })
    };
    vec![
        ("create_signup_token", Body::CreateSignupToken(create)),
        ("reserve_signup_token", reserve(1)),
        ("free_signup_token", settle(1, false)),
        ("reserve_freed_signup_token", reserve(2)),
        ("spend_signup_token", settle(2, true)),
        ("change_settings", Body::ChangeSettings(settings)),
        ("append_audit", audit(1, "")),
        ("append_another_audit", audit(2, "done")),
    ]
}

#[test]
fn every_meta_command_writes_the_bytes_it_always_wrote() {
    let gateway = |n: u8| (format!("192.0.2.{n}"), 6287, 6286, "localhost".to_owned());
    let announce = |n: u8| {
        let (public_ip, tls_port, http_port, icann_domain) = gateway(n);
        Body::AnnounceGateway(AnnounceGateway { public_ip, tls_port, http_port, icann_domain })
    };
    let (public_ip, tls_port, http_port, icann_domain) = gateway(1);
    let withdraw = WithdrawGateway { public_ip, tls_port, http_port, icann_domain };
    let bootstrap = Bootstrap {
        cluster_id: vec![0xC; 16].into(),
        shard_count: 2,
        nodes: (1..=3).map(node).collect(),
        signup_mode: "open".into(),
        homeserver: hash(7),
    };
    let raise = Body::RaiseCommandVersion(RaiseCommandVersion { to: VERSION + 1 });
    let node_uuids: Vec<Bytes> = (1..=3).map(|n| node(n).node_uuid).collect();
    let placements = (0..2).map(|group| Placement { group, node_uuids: node_uuids.clone() }).collect();
    let foreign = Bootstrap { cluster_id: vec![0xD; 16].into(), ..bootstrap.clone() };
    let steps = [
        ("bootstrap", Body::Bootstrap(bootstrap)),
        ("register_node", register(node(4))),
        ("place_shards", Body::PlaceShards(PlaceShards { placements })),
        ("announce_gateway", announce(1)),
        ("announce_another_gateway", announce(2)),
        ("withdraw_gateway", Body::WithdrawGateway(withdraw)),
        ("set_packet", Body::SetPacket(SetPacket { packet: packet(), network_us: 0 })),
        ("raise_command_version", raise.clone()),
        ("refused", Body::Bootstrap(foreign)),
    ];
    let (mut rows, mut compared) = (Rows::default(), Vec::new());
    for (name, body) in steps {
        assert!(files_of(&body).contains(&name), "{name} is listed under its command");
        check(&mut rows, VERSION, name, body);
        compared.push(name);
    }
    for n in 1..=4 {
        let newer = MetaNode { command_version_max: VERSION + 1, ..node(n) };
        apply(&mut rows, &meta::encode(VERSION, register(newer), NOW_MS));
    }
    check(&mut rows, VERSION, "raise_understood_version", raise);
    compared.push("raise_understood_version");
    for (name, body) in placement_steps() {
        assert!(files_of(&body).contains(&name), "{name} is listed under its command");
        check(&mut rows, VERSION + 1, name, body);
        compared.push(name);
    }
    for (name, body) in account_steps() {
        assert!(files_of(&body).contains(&name), "{name} is listed under its command");
        check(&mut rows, VERSION + 2, name, body);
        compared.push(name);
    }
    golden::check_complete("meta_golden", FILES, &compared);
}
