//! One identity of the map: what the cluster holds of it, and what it says itself.

use rowhouse_proto::hex;
use rowhouse_proto::wire::meta::NodeInfo;
use serde::Serialize;

use super::buckets::Buckets;
use super::objects::Objects;
use super::units;
use super::view::{Answer, View, short};

/// Warnings begin this long before a certificate expires: time enough for a person to renew it by hand.
pub const CERTIFICATE_WARN_S: u64 = 14 * 24 * 3600;

/// The first of these that is true.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// The operator said that it does not come back.
    Lost,
    /// The cluster does not hear of it.
    Away,
    /// It does not answer here, and the cluster does not call it away.
    Silent,
    /// The operator wants its replicas elsewhere.
    Leaving,
    /// It gives its leaderships away and takes none.
    Draining,
    Up,
}

impl State {
    /// Whether its replicas count as there.
    pub fn is_here(self) -> bool {
        matches!(self, Self::Leaving | Self::Draining | Self::Up)
    }
}

/// The JSON that scripts get: fields are only ever added.
#[derive(Debug, Serialize, PartialEq)]
pub struct Node {
    pub name: String,
    pub node_uuid: String,
    pub address: String,
    pub zone: String,
    pub state: State,
    /// It answered, as this identity.
    pub reachable: bool,
    pub pid: Option<u64>,
    /// Replicas that run there.
    pub replicas: usize,
    /// Replicas that the map places there, with those on their way in and out.
    pub placed: usize,
    /// Groups that it leads: one whose leader was deposed may not know it yet. Counted once all nodes are judged.
    pub leads: usize,
    /// Of its data folder's disk, by anybody; absent from a node that does not answer.
    pub used_bytes: Option<u64>,
    pub disk_bytes: Option<u64>,
    pub low_space: bool,
    /// The disk of its log does not answer.
    pub log_hangs: bool,
    pub draining: bool,
    /// Since the cluster heard of it last; absent while it does.
    pub away_s: Option<u64>,
    /// Until its replicas are rebuilt elsewhere; 0: now. Absent where nothing is to be rebuilt.
    pub replaced_in_s: Option<u64>,
    /// Leaderships given away since its process started, and those that took an election instead.
    pub handed_over: u64,
    pub failovers: u64,
    /// The oldest and the newest commands it understands.
    pub command_version_min: u32,
    pub command_version_max: u32,
    /// Until its certificate expires; absent without mutual TLS.
    pub certificate_expires_s: Option<u64>,
    /// Absent from a node that does not answer.
    pub objects: Option<Objects>,
    pub problem: Option<String>,
    /// Since its process started; absent: it does not say.
    pub uptime_s: Option<u64>,
    /// Its clock above the middle one of all that it heard, in µs; absent: it heard none, or does not say.
    pub clock_offset_us: Option<i64>,
    /// Entries that its slowest replica knows to be committed and has not applied.
    pub apply_lag: u64,
    /// Syncs of its log since its process started.
    pub log_syncs: u64,
    /// How long those took.
    #[serde(skip)]
    pub log_sync_durations: Buckets,
    /// Left on its data folder's disk; absent from a node that does not answer.
    pub free_bytes: Option<u64>,
    /// The name, and a part of the uuid where it is not the only one of its name.
    #[serde(skip)]
    pub label: String,
    /// The end of its uuid.
    #[serde(skip)]
    pub short_id: String,
}

/// Judges one node of the view.
pub fn node(view: &View, info: &NodeInfo, answer: &Answer) -> Node {
    let (reply, problem) = match answer {
        Ok(reply) => (Some(reply), None),
        Err(problem) => (None, Some(problem.clone())),
    };
    let groups = reply.map(|reply| reply.groups.as_slice()).unwrap_or_default();
    let draining = reply.is_some_and(|reply| reply.draining);
    let state = state(info, reply.is_some(), draining);
    let placed = view.groups_on(&info.node_uuid).count();
    let away_s = away_s(view, info);
    Node {
        name: info.name.clone(),
        node_uuid: hex(&info.node_uuid),
        address: info.address.clone(),
        zone: info.zone.clone(),
        state,
        reachable: reply.is_some(),
        pid: reply.map(|reply| reply.pid),
        replicas: groups.len(),
        placed,
        leads: 0,
        used_bytes: reply.map(|reply| reply.used_bytes),
        disk_bytes: reply.map(|reply| reply.disk_bytes),
        low_space: reply.is_some_and(|reply| reply.low_space),
        log_hangs: reply.is_some_and(|reply| reply.log_hangs),
        draining,
        away_s,
        replaced_in_s: replaced_in_s(state, placed, away_s, view.dead_after_s()),
        handed_over: reply.map_or(0, |reply| reply.handed_over),
        failovers: reply.map_or(0, |reply| reply.failovers),
        command_version_min: info.command_version_min,
        command_version_max: info.command_version_max,
        certificate_expires_s: reply.and_then(|reply| reply.certificate_expires_s),
        objects: reply.map(Objects::of),
        problem,
        uptime_s: reply.map(|reply| reply.uptime_s).filter(|uptime_s| *uptime_s != 0),
        // One clock is its own.
        clock_offset_us: reply.filter(|reply| reply.clocks_heard > 1).map(|reply| reply.clock_offset_us),
        apply_lag: groups.iter().map(|it| it.committed.saturating_sub(it.applied)).max().unwrap_or_default(),
        log_syncs: reply.map_or(0, |reply| reply.log_syncs),
        log_sync_durations: Buckets::of(reply.and_then(|reply| reply.log_sync_durations.as_ref())),
        free_bytes: reply.map(|reply| reply.disk_bytes.saturating_sub(reply.used_bytes)),
        label: view.label(&info.node_uuid),
        short_id: short(&info.node_uuid),
    }
}

/// What the map and the answer make of a node.
pub fn state(info: &NodeInfo, answers: bool, draining: bool) -> State {
    let life = info.life.unwrap_or_default();
    if life.lost {
        State::Lost
    } else if life.away_since_ms != 0 {
        State::Away
    } else if !answers {
        State::Silent
    } else if life.leaving {
        State::Leaving
    } else if draining {
        State::Draining
    } else {
        State::Up
    }
}

fn away_s(view: &View, info: &NodeInfo) -> Option<u64> {
    let since_ms = info.life.map(|life| life.away_since_ms).filter(|since| *since != 0)?;
    Some(view.now_ms.saturating_sub(since_ms) / 1000)
}

fn replaced_in_s(state: State, placed: usize, away_s: Option<u64>, dead_after_s: u64) -> Option<u64> {
    match state {
        _ if placed == 0 => None,
        State::Lost => Some(0),
        State::Away if dead_after_s != 0 => Some(dead_after_s.saturating_sub(away_s?)),
        _ => None,
    }
}

impl Node {
    /// The state in a few words.
    pub fn described(&self) -> String {
        let problem = || self.problem.clone().unwrap_or_default();
        match self.state {
            State::Lost if self.placed == 0 => "lost".into(),
            State::Lost => format!("lost: {} replicas to rebuild", self.placed),
            State::Away => self.describe_absence(),
            State::Silent => format!("silent: {}", problem()),
            State::Leaving if self.placed == 0 => "leaving: empty, may be removed".into(),
            State::Leaving => format!("leaving: {} replicas left", self.placed),
            State::Draining => "draining".into(),
            State::Up if self.log_hangs => "the disk of its log does not answer".into(),
            State::Up if self.low_space => "low on space".into(),
            State::Up if self.expires_soon() => "certificate about to expire".into(),
            State::Up => "up".into(),
        }
    }

    fn describe_absence(&self) -> String {
        let away = units::seconds(self.away_s.unwrap_or_default());
        let why = if self.log_hangs { " (the disk of its log does not answer)" } else { "" };
        match self.replaced_in_s {
            Some(0) => format!("away for {away}, being replaced{why}"),
            Some(left) => format!("away for {away}, replaced in {}{why}", units::seconds(left)),
            None => format!("away for {away}{why}"),
        }
    }

    /// Whether its certificate ends within the time in which people are warned.
    pub fn expires_soon(&self) -> bool {
        self.certificate_expires_s.is_some_and(|seconds| seconds < CERTIFICATE_WARN_S)
    }
}
