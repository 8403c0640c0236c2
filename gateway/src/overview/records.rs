//! PKARR records on the network: the homeserver's, and its users'.

use rowhouse_proto::META_GROUP;
use rowhouse_proto::wire::meta::{NodeStatusReply, PacketStatus};
use serde::Serialize;

use super::view::View;

/// What nodes tell of records; fields are only ever added.
#[derive(Debug, Default, Serialize, PartialEq)]
pub struct Pkarr {
    /// Since the homeserver's record was signed; absent: unknown, or there is none.
    pub age_s: Option<u64>,
    /// Since any node last published it; absent as before.
    pub published_s: Option<u64>,
    /// The network has a newer one that another cluster signed.
    pub foreign: bool,
    /// Addresses of the record where no gateway answers under the homeserver's key.
    pub unreachable: Vec<Unreachable>,
    /// Users of the shards whose leaders answer, of how many the record is kept, and how many have left.
    pub users: u64,
    pub kept: u64,
    pub left: u64,
    /// Labels of nodes that neither the DHT nor any relay answers.
    pub cut_off: Vec<String>,
}

/// An address that leads clients nowhere.
#[derive(Debug, Serialize, PartialEq)]
pub struct Unreachable {
    pub address: String,
    pub problem: String,
}

/// Puts together what the nodes tell.
pub fn pkarr(view: &View) -> Pkarr {
    let alive = || view.answers.iter().filter_map(|answer| answer.as_ref().ok());
    let known = |seconds: u64| Some(seconds).filter(|seconds| *seconds != u64::MAX);
    let has_packet = !view.map.packet.is_empty();
    let told = || alive().filter_map(|node| node.packets.as_ref());
    let publisher =
        view.leader(META_GROUP).and_then(|(info, _)| view.reply(&info.node_uuid)?.packets.as_ref());
    Pkarr {
        age_s: alive().filter_map(|node| known(node.packet_age_s)).min().filter(|_| has_packet),
        published_s: alive().filter_map(|node| known(node.packet_published_s)).min().filter(|_| has_packet),
        foreign: publisher.is_some_and(|packets| packets.foreign),
        unreachable: publisher.map(unreachable).unwrap_or_default(),
        users: told().map(|packets| packets.users).sum(),
        kept: told().map(|packets| packets.kept).sum(),
        left: told().map(|packets| packets.left).sum(),
        cut_off: alive().filter(|node| is_cut_off(node)).map(|node| view.label(&node.node_uuid)).collect(),
    }
}

fn unreachable(packets: &PacketStatus) -> Vec<Unreachable> {
    let fails = packets.reach.iter().filter(|reach| !reach.problem.is_empty());
    fails
        .map(|reach| Unreachable { address: reach.address.clone(), problem: reach.problem.clone() })
        .collect()
}

/// A way whose last attempt failed is no way. A node without any is not meant to have one.
fn is_cut_off(node: &NodeStatusReply) -> bool {
    let ways = node.packets.as_ref().map(|packets| packets.vantage_points.as_slice()).unwrap_or_default();
    !ways.is_empty() && ways.iter().all(|way| !way.problem.is_empty())
}
