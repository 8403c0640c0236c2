//! The cluster as its nodes answer it: a map, and each identity's own status.

use rowhouse_proto::wire::meta::{ClusterMap, GroupInfo, GroupStatus, NodeInfo, NodeStatusReply};
use rowhouse_proto::{META_GROUP, hex};

/// Hexadecimal digits of a uuid that people are shown.
const SHORT_DIGITS: usize = 8;

/// What a node said of itself, or why it said nothing, in a sentence that names its address.
pub type Answer = Result<NodeStatusReply, String>;

/// One look at the cluster.
pub struct View {
    /// As the node that leads the meta group has it, if that one answers.
    pub map: ClusterMap,
    /// One for each node of the map, in its order.
    pub answers: Vec<Answer>,
    /// Unix time of the look, by this machine's clock.
    pub now_ms: u64,
}

impl View {
    /// `answers` are those of the addresses of the map's nodes. An answer counts only for the identity that gave it:
    /// where a node lost its disk, two identities have one address.
    pub fn new(map: ClusterMap, answers: Vec<Answer>, now_ms: u64) -> Self {
        let answers = map.nodes.iter().zip(answers).map(|(info, answer)| own(info, answer)).collect();
        Self { map, answers, now_ms }
    }

    /// The node of this uuid and what it answered, if the map names it.
    pub fn find(&self, node_uuid: &[u8]) -> Option<(&NodeInfo, &Answer)> {
        self.map.nodes.iter().zip(&self.answers).find(|(info, _)| info.node_uuid == node_uuid)
    }

    /// The status of a node that answered.
    pub fn reply(&self, node_uuid: &[u8]) -> Option<&NodeStatusReply> {
        self.find(node_uuid)?.1.as_ref().ok()
    }

    /// The node that leads a group, and its report of the group. A deposed leader may not know it yet: the highest term
    /// decides.
    pub fn leader(&self, group: u32) -> Option<(&NodeInfo, &GroupStatus)> {
        let answered = self.map.nodes.iter().zip(&self.answers);
        let reports = answered.filter_map(|(info, answer)| Some((info, answer.as_ref().ok()?)));
        let leading = reports.flat_map(|(info, reply)| {
            let led = reply.groups.iter().filter(move |it| it.group == group && it.role == "leader");
            led.map(move |status| (info, status))
        });
        leading.max_by_key(|(_, status)| status.term)
    }

    /// Its name, and a part of its uuid if another node has the same name.
    pub fn label(&self, node_uuid: &[u8]) -> String {
        let Some((info, _)) = self.find(node_uuid) else { return short(node_uuid) };
        let named_so = self.map.nodes.iter().filter(|other| other.name == info.name).count();
        if named_so > 1 { format!("{} ({})", info.name, short(node_uuid)) } else { info.name.clone() }
    }

    /// Groups that have a replica on the node, or shall have one.
    pub fn groups_on(&self, node_uuid: &[u8]) -> impl Iterator<Item = &GroupInfo> {
        self.map.groups.iter().filter(move |group| group.is_on(node_uuid))
    }

    /// Seconds after which a node that is away is replaced, as the coordinator has it; 0: nobody says.
    pub fn dead_after_s(&self) -> u64 {
        let coordinator = self.leader(META_GROUP).and_then(|(info, _)| self.reply(&info.node_uuid));
        let said = coordinator.map(|reply| reply.dead_after_s);
        let all = || self.answers.iter().filter_map(|answer| Some(answer.as_ref().ok()?.dead_after_s));
        said.or_else(|| all().max()).unwrap_or_default()
    }
}

/// The end of a uuid, enough for people to tell nodes apart. The beginning is the time at which it was drawn: nodes that
/// were made together have the same.
pub fn short(node_uuid: &[u8]) -> String {
    let digits = hex(node_uuid);
    digits[digits.len().saturating_sub(SHORT_DIGITS)..].to_owned()
}

fn own(info: &NodeInfo, answer: Answer) -> Answer {
    match answer {
        Ok(reply) if reply.node_uuid != info.node_uuid => {
            let (address, id) = (&info.address, short(&reply.node_uuid));
            Err(format!("node {address}: another node answers there: {} ({id})", reply.name))
        }
        answer => answer,
    }
}
