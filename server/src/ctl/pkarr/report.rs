//! The whole cluster's packets, put together from what its nodes tell.

use rowhouse_gateway::overview::units::seconds;
use rowhouse_gateway::overview::{Table, View};
use rowhouse_proto::META_GROUP;
use rowhouse_proto::wire::meta::{NodeStatusReply, PacketStatus};
use serde::Serialize;

/// Field names are read by scripts: they are only ever added.
#[derive(Serialize)]
pub struct Report {
    pub homeserver: Own,
    pub users: Users,
    pub nodes: Vec<Node>,
}

/// The homeserver's own record, as the node knows it that publishes it.
#[derive(Serialize)]
pub struct Own {
    pub signed_s: Option<u64>,
    pub published_s: Option<u64>,
    /// Since a client that had no part in it found it.
    pub verified_s: Option<u64>,
    pub stored_nodes: u64,
    /// The network has one that another cluster signed.
    pub foreign: bool,
    pub gateways: Vec<Gateway>,
}

/// Whether a gateway answers at an address of the record, under the homeserver's key.
#[derive(Serialize)]
pub struct Gateway {
    pub address: String,
    /// `None`: it does.
    pub problem: Option<String>,
}

/// Sums over all nodes that answer.
#[derive(Serialize, Default)]
pub struct Users {
    pub users: u64,
    pub kept: u64,
    pub left: u64,
}

/// What one node did since its process started.
#[derive(Serialize)]
pub struct Node {
    pub name: String,
    pub checked: u64,
    pub published: u64,
    pub restored: u64,
    pub skipped: u64,
    pub missing: u64,
    pub conflicts: u64,
    pub moved: u64,
    pub unreachable: u64,
    pub slow: u64,
    pub passes: u64,
    pub keys_per_second: f64,
    /// Since users' records were last published, over a sample of them.
    pub age_p50_s: Option<u64>,
    pub age_p95_s: Option<u64>,
    pub age_max_s: Option<u64>,
    pub vantage_points: Vec<Point>,
}

/// A way to the network.
#[derive(Serialize)]
pub struct Point {
    pub name: String,
    pub answers: u64,
    pub failures: u64,
    pub answered_s: Option<u64>,
    /// Left alone for so long.
    pub paused_s: u64,
    pub problem: String,
}

impl Report {
    pub fn of(view: &View) -> Self {
        let replies: Vec<&NodeStatusReply> = view.answers.iter().filter_map(|it| it.as_ref().ok()).collect();
        let mut users = Users::default();
        for packets in replies.iter().filter_map(|reply| reply.packets.as_ref()) {
            users.users += packets.users;
            users.kept += packets.kept;
            users.left += packets.left;
        }
        let nodes = replies
            .iter()
            .filter_map(|reply| Some(Node::of(view.label(&reply.node_uuid), reply.packets.as_ref()?)));
        let publisher = view.leader(META_GROUP).and_then(|(info, _)| view.reply(&info.node_uuid));
        Self { homeserver: Own::of(publisher), users, nodes: nodes.collect() }
    }

    pub fn text(&self) -> String {
        let Own { signed_s, published_s, verified_s, stored_nodes, foreign, gateways } = &self.homeserver;
        let mut text = format!(
            "homeserver record: signed {}, published {} to {stored_nodes} DHT nodes, found by others {}\n",
            ago(*signed_s),
            ago(*published_s),
            ago(*verified_s)
        );
        if *foreign {
            text += "! another cluster publishes a record under this homeserver's key: stop one of them\n";
        }
        let Users { users, kept, left } = &self.users;
        text += &format!("users: {users}, of {kept} the record is kept, {left} left\n");
        let mut table = Table::new(["GATEWAY", "ANSWERS"]);
        for gateway in gateways {
            table.row([gateway.address.clone(), gateway.problem.clone().unwrap_or_else(|| "yes".to_owned())]);
        }
        text += &section("As the record says:", table, gateways.len());
        let mut table = Table::new([
            "NODE",
            "KEYS/S",
            "CHECKED",
            "PUBLISHED",
            "RESTORED",
            "SKIPPED",
            "MISSING",
            "CONFLICT",
            "MOVED",
            "UNREACHABLE",
            "SLOW",
            "PASSES",
            "AGE 50%",
            "95%",
            "MAX",
        ]);
        for node in &self.nodes {
            table.row(node.cells());
        }
        text += &section("Users' records, since each node started:", table, self.nodes.len());
        let mut table =
            Table::new(["NODE", "VANTAGE POINT", "ANSWERS", "FAILURES", "LAST ANSWER", "PROBLEM"]);
        let mut points = 0;
        for node in &self.nodes {
            points += node.vantage_points.len();
            for point in &node.vantage_points {
                table.row(point.cells(&node.name));
            }
        }
        text + &section("Ways to the network:", table, points)
    }
}

impl Own {
    fn of(publisher: Option<&NodeStatusReply>) -> Self {
        let reply = publisher.cloned().unwrap_or_else(|| NodeStatusReply {
            packet_age_s: u64::MAX,
            packet_published_s: u64::MAX,
            ..NodeStatusReply::default()
        });
        let packets =
            reply.packets.unwrap_or_else(|| PacketStatus { verified_s: u64::MAX, ..PacketStatus::default() });
        let gateways = packets.reach.into_iter().map(|reach| Gateway {
            address: reach.address,
            problem: Some(reach.problem).filter(|problem| !problem.is_empty()),
        });
        Self {
            signed_s: known(reply.packet_age_s),
            published_s: known(reply.packet_published_s),
            verified_s: known(packets.verified_s),
            stored_nodes: packets.stored_nodes,
            foreign: packets.foreign,
            gateways: gateways.collect(),
        }
    }
}

impl Node {
    fn of(name: String, told: &PacketStatus) -> Self {
        let points = told.vantage_points.iter().map(|point| Point {
            name: point.name.clone(),
            answers: point.answers,
            failures: point.failures,
            answered_s: known(point.answered_s),
            paused_s: point.paused_s,
            problem: point.problem.clone(),
        });
        Self {
            name,
            checked: told.checked,
            published: told.published,
            restored: told.restored,
            skipped: told.skipped,
            missing: told.missing,
            conflicts: told.conflicts,
            moved: told.moved,
            unreachable: told.unreachable,
            slow: told.slow,
            passes: told.passes,
            keys_per_second: told.millikeys_per_second as f64 / 1e3,
            age_p50_s: known(told.age_p50_s),
            age_p95_s: known(told.age_p95_s),
            age_max_s: known(told.age_max_s),
            vantage_points: points.collect(),
        }
    }

    fn cells(&self) -> [String; 15] {
        let age = |age: Option<u64>| age.map_or_else(|| "-".to_owned(), seconds);
        [
            self.name.clone(),
            format!("{:.1}", self.keys_per_second),
            self.checked.to_string(),
            self.published.to_string(),
            self.restored.to_string(),
            self.skipped.to_string(),
            self.missing.to_string(),
            self.conflicts.to_string(),
            self.moved.to_string(),
            self.unreachable.to_string(),
            self.slow.to_string(),
            self.passes.to_string(),
            age(self.age_p50_s),
            age(self.age_p95_s),
            age(self.age_max_s),
        ]
    }
}

impl Point {
    fn cells(&self, node: &str) -> [String; 6] {
        let problem = match (self.problem.is_empty(), self.paused_s) {
            (true, _) => "-".to_owned(),
            (false, 0) => self.problem.clone(),
            (false, paused_s) => format!("{} (left alone for {})", self.problem, seconds(paused_s)),
        };
        [
            node.to_owned(),
            self.name.clone(),
            self.answers.to_string(),
            self.failures.to_string(),
            ago(self.answered_s),
            problem,
        ]
    }
}

/// Rows under a heading, if there are any.
fn section(title: &str, table: Table, rows: usize) -> String {
    if rows == 0 { String::new() } else { format!("\n{title}\n{table}") }
}

/// `u64::MAX` stands for never.
fn known(value_s: u64) -> Option<u64> {
    (value_s != u64::MAX).then_some(value_s)
}

fn ago(age_s: Option<u64>) -> String {
    age_s.map_or_else(|| "never".to_owned(), |age_s| format!("{} ago", seconds(age_s)))
}

#[cfg(test)]
mod tests {
    use rowhouse_proto::wire::meta::{ClusterMap, GroupStatus, NodeInfo, Reach, VantagePoint};

    use super::*;

    fn view() -> View {
        let uuid = |n: u8| vec![n; 16].into();
        let info = |n: u8| NodeInfo { node_uuid: uuid(n), name: format!("n{n}"), ..NodeInfo::default() };
        let map = ClusterMap { nodes: vec![info(1), info(2)], ..ClusterMap::default() };
        let point = VantagePoint {
            name: "dht".into(),
            failures: 2,
            answered_s: u64::MAX,
            paused_s: 4,
            problem: "no answer".into(),
            ..VantagePoint::default()
        };
        let packets = |n: u64| PacketStatus {
            users: 10 * n,
            kept: 7,
            left: n,
            published: 3,
            millikeys_per_second: 2500,
            age_p50_s: 60,
            age_p95_s: u64::MAX,
            age_max_s: u64::MAX,
            verified_s: 90,
            stored_nodes: 20,
            foreign: n == 1,
            reach: vec![Reach { address: "192.0.2.1:6287".into(), problem: "refused".into() }],
            vantage_points: vec![point.clone()],
            ..PacketStatus::default()
        };
        let led = GroupStatus { group: META_GROUP, role: "leader".into(), ..GroupStatus::default() };
        let reply = |n: u8| NodeStatusReply {
            node_uuid: uuid(n),
            packet_age_s: 100,
            packet_published_s: 95,
            groups: if n == 1 { vec![led.clone()] } else { Vec::new() },
            packets: Some(packets(n.into())),
            ..NodeStatusReply::default()
        };
        View::new(map, vec![Ok(reply(1)), Ok(reply(2))], 0)
    }

    #[test]
    fn all_nodes_are_put_together_and_the_publisher_tells_of_the_homeserver() {
        let report = Report::of(&view());
        let json = serde_json::to_value(&report).unwrap();
        assert_eq!(json["users"]["users"], 30);
        assert_eq!(json["homeserver"]["verified_s"], 90);
        assert_eq!(json["nodes"][1]["keys_per_second"], 2.5);
        assert_eq!(json["nodes"][1]["age_max_s"], serde_json::Value::Null);
        let text = report.text();
        assert!(text.contains("found by others 1 min 30 s ago"), "{text}");
        assert!(text.contains("! another cluster"), "{text}");
        assert!(text.contains("no answer (left alone for"), "{text}");
        assert!(text.contains("192.0.2.1:6287  refused"), "{text}");
    }
}
