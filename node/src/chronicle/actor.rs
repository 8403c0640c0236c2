//! The actor that looks, and the record that status replies read.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rowhouse_proto::lock::lock;
use rowhouse_proto::wire::meta::{ClusterMap, Incident, LeaderChange};
use rowhouse_raft::GroupId;
use tokio_util::sync::CancellationToken;

use super::ring::Ring;
use super::watch::{Led, Sight, Trouble, Watch};
use crate::Error;
use crate::actor::{Ended, Pace, Statuses};
use crate::identity::NodeUuid;
use crate::local::Local;
use crate::meta;
use crate::peers::Cluster;

/// Elections take longer; a look reads memory only.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// Three rounds of pings, as for whoever may lead.
const SILENT_AFTER: Duration = Duration::from_secs(3);
/// An actor that ran for so long since it ended is well again: its delays between restarts begin anew by then.
const CALM_AFTER: Duration = Duration::from_secs(60);
const US_PER_S: u64 = 1_000_000;

/// What lately happened; one for each node.
pub struct Chronicle {
    local: Arc<Local>,
    cluster: Arc<Cluster>,
    statuses: Statuses,
    started_us: u64,
    kept: Mutex<Kept>,
}

#[derive(Default)]
struct Kept {
    watch: Watch,
    leader_changes: Ring<LeaderChange>,
    incidents: Ring<Incident>,
}

impl Chronicle {
    /// Begins with the start of this process; nothing is looked at before `run`.
    pub fn new(local: Arc<Local>, cluster: Arc<Cluster>, statuses: Statuses) -> Self {
        let mut kept = Kept::default();
        kept.incidents.put(Incident {
            at_ms: local.clock.physical_ms(),
            kind: "started".to_owned(),
            subject: local.me.name.clone(),
            text: format!("its process {} started", std::process::id()),
            over: false,
        });
        let started_us = local.clock.steady_us();
        Self { local, cluster, statuses, started_us, kept: Mutex::new(kept) }
    }

    /// Since the process started, at least 1.
    pub fn uptime_s(&self) -> u64 {
        (self.local.clock.steady_us().saturating_sub(self.started_us) / US_PER_S).max(1)
    }

    /// The last changes of leaders and the last incidents, oldest first.
    pub fn told(&self) -> (Vec<LeaderChange>, Vec<Incident>) {
        let kept = lock(&self.kept);
        (kept.leader_changes.all(), kept.incidents.all())
    }

    /// Looks until stopped.
    pub async fn run(&self, stop: CancellationToken) -> Result<(), Error> {
        let mut pace = Pace::new(LOOK_EVERY, stop);
        while pace.goes_on().await {
            let sight = self.sight();
            let mut kept = lock(&self.kept);
            let (changes, incidents) = kept.watch.look(sight);
            changes.into_iter().for_each(|change| kept.leader_changes.put(change));
            incidents.into_iter().for_each(|incident| kept.incidents.put(incident));
        }
        Ok(())
    }

    fn sight(&self) -> Sight {
        let mut sight = Sight { at_ms: self.local.clock.physical_ms(), ..Sight::default() };
        for status in self.local.host.groups().iter().map(|group| group.status()) {
            if let Some((_, by)) = status.leader {
                sight.led.push(Led { group: status.group.into(), term: status.term, by });
            }
            if let Some(problem) = status.problem {
                sight.troubles.insert(broken(status.group), problem);
            }
        }
        let could_not_start = self.local.problems.load();
        let problems = could_not_start.iter().map(|(group, problem)| (broken(*group), problem.clone()));
        sight.troubles.extend(problems);
        sight.troubles.extend(self.of_this_node());
        sight.troubles.extend(self.statuses.ended_within(CALM_AFTER).into_iter().map(of_actor));
        sight.troubles.extend(self.silent(&self.cluster.view.map()));
        sight
    }

    fn of_this_node(&self) -> BTreeMap<Trouble, String> {
        let Local { me, clock, space, drain, .. } = self.local.as_ref();
        let log_hangs = self.local.log_hangs();
        let mine = |kind| Trouble { kind, subject: me.name.clone() };
        let mut troubles = BTreeMap::new();
        if space.is_low() {
            troubles.insert(mine("low_space"), "its disk is nearly full: new writes are refused".to_owned());
        }
        if log_hangs {
            troubles.insert(mine("log_hangs"), "the disk of its log does not answer".to_owned());
        }
        if drain.is_on() {
            troubles.insert(mine("draining"), "it hands over what it leads".to_owned());
        }
        if clock.is_held() {
            let text = "its clock is away from most others and held near them";
            troubles.insert(mine("clock_held"), text.to_owned());
        }
        troubles
    }

    fn silent(&self, map: &ClusterMap) -> BTreeMap<Trouble, String> {
        let is_silent = |uuid: &[u8]| {
            let uuid = NodeUuid::try_from(uuid).ok()?;
            self.cluster.peers.silence(&uuid).filter(|silence| *silence > SILENT_AFTER)
        };
        let others = map.nodes.iter().filter(|node| node.node_uuid != self.local.me.node_uuid);
        let silent = others.filter(|node| is_silent(&node.node_uuid).is_some());
        let told = format!("not heard by {} any more", self.local.me.name);
        silent
            .map(|node| (Trouble { kind: "node_silent", subject: node.name.clone() }, told.clone()))
            .collect()
    }
}

fn of_actor(ended: Ended) -> (Trouble, String) {
    let Ended { kind, problem, is_parked } = ended;
    let (what, then) = if is_parked {
        ("actor_parked", "it stays down until the process starts again")
    } else {
        ("actor_restarted", "it starts again")
    };
    let trouble = Trouble { kind: what, subject: kind.name().to_owned() };
    (trouble, format!("a part of the node ended: {problem}; {then}"))
}

fn broken(group: GroupId) -> Trouble {
    let subject = if group == meta::GROUP { "meta".to_owned() } else { group.to_string() };
    Trouble { kind: "replica_broken", subject }
}
