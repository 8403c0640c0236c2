//! A replica that takes another's place, and how far it is.

use rowhouse_proto::wire::meta::{GroupInfo, GroupStatus};
use rowhouse_proto::{META_GROUP, hex};
use serde::Serialize;

use super::view::View;

/// A replica this many entries behind its leader has its log, nearly.
pub const CLOSE_ENTRIES: u64 = 1_000;

/// What the new replica does, in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    /// It does not run yet.
    Starting,
    /// It takes in the state and the log.
    CopyingLog,
    /// It takes in large bodies.
    CopyingObjects,
    /// The members change: the new one decides, the old one leaves.
    Voting,
}

/// The JSON that scripts get: fields are only ever added.
#[derive(Debug, Serialize, PartialEq)]
pub struct Moving {
    /// Absent where a shard gets one more.
    pub from: Option<String>,
    /// Absent where a shard gets one less.
    pub to: Option<String>,
    pub to_uuid: Option<String>,
    pub reason: String,
    /// Unix time in ms.
    pub began_ms: u64,
    /// Since it began.
    pub for_s: u64,
    pub stage: Stage,
    /// Log index up to which the new replica has everything, and the leader's last one.
    pub applied: u64,
    pub last_log: u64,
    /// Objects it is known to lack; counted up to 1024.
    pub objects_missing: u64,
    /// Log index up to which it has looked for its objects; absent: it has not begun.
    pub objects_seen: Option<u64>,
    #[serde(skip)]
    pub labels: (Option<String>, Option<String>),
}

/// The move of a group, if one is under way.
pub fn moving(view: &View, info: &GroupInfo) -> Option<Moving> {
    let moving = info.moving.as_ref()?;
    let add = moving.add.as_ref();
    let leader = view.leader(info.group).map(|(_, status)| status);
    let new = add.and_then(|add| {
        let mut there = view.reply(&add.node_uuid)?.groups.iter();
        there.find(|it| it.group == info.group && it.replica_id == add.replica_id)
    });
    let name = |uuid: &[u8]| view.find(uuid).map_or_else(|| "?".to_owned(), |(info, _)| info.name.clone());
    let from = info.replicas.iter().find(|it| it.replica_id == moving.remove).map(|it| &it.node_uuid);
    Some(Moving {
        from: from.map(|uuid| name(uuid)),
        to: add.map(|add| name(&add.node_uuid)),
        to_uuid: add.map(|add| hex(&add.node_uuid)),
        reason: moving.reason.clone(),
        began_ms: moving.began_ms,
        for_s: view.now_ms.saturating_sub(moving.began_ms) / 1000,
        stage: add.map_or(Stage::Voting, |add| stage(info.group, add.replica_id, new, leader)),
        applied: new.map_or(0, |status| status.applied),
        last_log: leader.map_or(0, |status| status.last_log),
        objects_missing: new.map_or(0, |status| status.objects_missing + status.objects_damaged),
        objects_seen: new.and_then(|status| status.objects_seen),
        labels: (from.map(|uuid| view.label(uuid)), add.map(|add| view.label(&add.node_uuid))),
    })
}

fn stage(group: u32, replica: u64, new: Option<&GroupStatus>, leader: Option<&GroupStatus>) -> Stage {
    let Some(new) = new else { return Stage::Starting };
    let Some(leader) = leader else { return Stage::CopyingLog };
    let votes = leader.members.as_ref().is_some_and(|members| members.voters.contains(&replica));
    if votes {
        return Stage::Voting;
    }
    if new.applied + CLOSE_ENTRIES < leader.last_log || new.applied == 0 {
        return Stage::CopyingLog;
    }
    let looked = new.objects_seen.is_some_and(|seen| seen + CLOSE_ENTRIES >= leader.last_log);
    let lacks = !looked || new.objects_missing + new.objects_damaged > 0;
    if lacks && group != META_GROUP { Stage::CopyingObjects } else { Stage::Voting }
}

impl Moving {
    /// What it does, in a few words.
    pub fn described(&self) -> String {
        match self.stage {
            Stage::Starting => "starting".into(),
            Stage::CopyingLog => format!("log {} of {}", self.applied, self.last_log),
            Stage::CopyingObjects if self.objects_missing > 0 => {
                format!("{} large bodies to come", self.objects_missing)
            }
            Stage::CopyingObjects => "looking for large bodies".into(),
            Stage::Voting if self.to.is_none() => "leaves".into(),
            Stage::Voting => "takes its place".into(),
        }
    }
}
