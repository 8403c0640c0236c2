//! How far a node is from holding nothing.

use std::time::{Duration, Instant};

use rowhouse_gateway::overview::View;
use rowhouse_gateway::overview::units;
use rowhouse_proto::wire::meta::{NodeInfo, NodeLife};
use serde::Serialize;
use serde_json::json;

use super::args::Output;
use super::follow::{Sight, Waiting, follow};
use super::observer::Observer;
use crate::error::Error;

/// A pace that was watched for less says nothing.
const WATCHED_MIN: Duration = Duration::from_secs(5);
/// With less to move, the number of replicas decides how long it takes.
const BYTES_MIN: u64 = 64 * 1024 * 1024;
/// Replicas that must have moved before their number is a pace.
const MOVED_MIN: u64 = 2;

/// What is left on a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Left {
    pub replicas: u64,
    /// Of their large bodies.
    pub bytes: u64,
    /// Those of the replicas that are on their way.
    pub moving: u64,
}

/// One line of progress for scripts.
#[derive(Clone, Debug, Serialize, PartialEq)]
pub struct Emptying {
    pub node: String,
    pub node_uuid: String,
    pub replicas_left: u64,
    pub bytes_left: u64,
    pub moving: u64,
    /// At the pace that was seen; absent until there is one.
    pub left_s: Option<u64>,
    pub done: bool,
}

impl Left {
    /// Counts what the map still places on the node.
    pub fn of(view: &View, node_uuid: &[u8]) -> Self {
        let mut left = Self { replicas: 0, bytes: 0, moving: 0 };
        for group in view.groups_on(node_uuid) {
            left.replicas += 1;
            left.bytes += view.leader(group.group).map_or(0, |(_, status)| status.bytes);
            left.moving += u64::from(group.moving.is_some());
        }
        left
    }
}

/// Returns when nothing is left on the node. With `--no-wait` at once, having said what becomes of it: `told`.
pub async fn until_empty(
    observer: &mut Observer,
    mut watch: Watch,
    waiting: Waiting,
    output: Output,
    told: &str,
) -> Result<(), Error> {
    if waiting.no_wait {
        let replicas = watch.first.replicas;
        let json = json!({ "node_uuid": hex::encode(&watch.node.node_uuid), "replicas_left": replicas });
        return output.print_line(&format!("{} {told}; {replicas} replicas are left", watch.name), &json);
    }
    follow(observer, waiting, output, |view| watch.sight(view)).await
}

/// Watches a node until nothing is left on it.
pub struct Watch {
    node: NodeInfo,
    name: String,
    /// Told when nothing is left.
    over: String,
    /// What the operator wished, as the map has it.
    wished: fn(&NodeLife) -> bool,
    /// The map showed the wish.
    seen: bool,
    began: Instant,
    /// Before anything moved.
    pub first: Left,
}

impl Watch {
    /// Begins with what `view` shows. `over` follows the node's name.
    pub fn new(view: &View, node: &NodeInfo, over: &str, wished: fn(&NodeLife) -> bool) -> Self {
        let name = view.label(&node.node_uuid);
        Self {
            node: node.clone(),
            over: format!("{name} {over}"),
            name,
            wished,
            seen: false,
            began: Instant::now(),
            first: Left::of(view, &node.node_uuid),
        }
    }

    /// How far it is. Fails if somebody took the wish back.
    pub fn sight(&mut self, view: &View) -> Result<Sight<Emptying>, Error> {
        let left = Left::of(view, &self.node.node_uuid);
        let done = left.replicas == 0;
        let is_wished = view
            .find(&self.node.node_uuid)
            .is_some_and(|(info, _)| info.life.is_some_and(|life| (self.wished)(&life)));
        if self.seen && !is_wished && !done {
            let name = &self.name;
            return Err(Error::Failed(format!(
                "somebody ended this: {name} stays (`rowhouse ctl node stay`)"
            )));
        }
        self.seen |= is_wished;
        if left.moving == 0 && left.replicas >= self.first.replicas {
            // Nothing has begun: waiting for a node that can take replicas is no pace.
            (self.began, self.first) = (Instant::now(), left);
        }
        let left_s = left_s(self.began.elapsed(), self.first, left).filter(|_| !done);
        let line = if done { self.over.clone() } else { self.line(left) };
        let time = |left| format!(", about {} at this pace", units::seconds(left));
        let json = Emptying {
            node: self.node.name.clone(),
            node_uuid: hex::encode(&self.node.node_uuid),
            replicas_left: left.replicas,
            bytes_left: left.bytes,
            moving: left.moving,
            left_s,
            done,
        };
        Ok(Sight { done, line, detail: left_s.map_or_else(String::new, time), json })
    }

    fn line(&self, left: Left) -> String {
        let Left { replicas, bytes, moving } = left;
        let waits = if moving == 0 { "; no node takes them now, see `rowhouse ctl status`" } else { "" };
        format!("{}: replicas left: {replicas} ({}), moving: {moving}{waits}", self.name, units::bytes(bytes))
    }
}

/// `None`: it cannot be told honestly.
fn left_s(watched: Duration, first: Left, now: Left) -> Option<u64> {
    let (left, done, least) = if first.bytes >= BYTES_MIN {
        (now.bytes, first.bytes.saturating_sub(now.bytes), 1)
    } else {
        (now.replicas, first.replicas.saturating_sub(now.replicas), MOVED_MIN)
    };
    let told = watched >= WATCHED_MIN && done >= least;
    told.then(|| (watched.as_secs_f64() * left as f64 / done as f64).ceil() as u64)
}

#[cfg(test)]
mod tests {
    use rowhouse_proto::wire::meta::{ClusterMap, GroupInfo, ReplicaInfo};

    use super::*;

    fn left(replicas: u64, mib: u64) -> Left {
        Left { replicas, bytes: mib << 20, moving: 1 }
    }

    fn view(life: Option<NodeLife>, replicas: u64) -> View {
        let node = NodeInfo { node_uuid: vec![1; 16].into(), name: "n1".into(), life, ..NodeInfo::default() };
        let replica = ReplicaInfo { replica_id: 1, node_uuid: node.node_uuid.clone() };
        let groups = (0..replicas).map(|group| GroupInfo {
            group: group as u32,
            replicas: vec![replica.clone()],
            ..GroupInfo::default()
        });
        let map = ClusterMap { nodes: vec![node], groups: groups.collect(), ..ClusterMap::default() };
        View::new(map, vec![Err("silent".into())], 0)
    }

    #[test]
    fn it_is_over_when_nothing_is_left_or_somebody_takes_the_wish_back() {
        let leaving = Some(NodeLife { leaving: true, ..NodeLife::default() });
        let before = view(None, 3);
        let mut watch = Watch::new(&before, &before.map.nodes[0], "is empty", |life| life.leaving);
        assert!(!watch.sight(&before).unwrap().done, "this node's map may not show the wish yet");
        let sight = watch.sight(&view(leaving, 2)).unwrap();
        assert_eq!((sight.done, sight.json.replicas_left), (false, 2));
        assert!(watch.sight(&view(None, 2)).is_err(), "taken back");
        let over = watch.sight(&view(leaving, 0)).unwrap();
        assert!(over.done && over.line == "n1 is empty", "{}", over.line);
    }

    #[test]
    fn the_time_left_follows_from_bytes_where_there_are_many_and_from_replicas_else() {
        let after = |watched, first, now| left_s(Duration::from_secs(watched), first, now);
        assert_eq!(after(30, left(10, 1000), left(9, 750)), Some(90));
        assert_eq!(after(30, left(10, 10), left(4, 4)), Some(20));
        assert_eq!(after(30, left(10, 10), left(9, 4)), None, "one replica is no pace");
        assert_eq!(after(4, left(10, 1000), left(2, 10)), None, "too early to tell");
        assert_eq!(after(30, left(10, 1000), left(10, 1200)), None, "clients write more than moves");
    }
}
