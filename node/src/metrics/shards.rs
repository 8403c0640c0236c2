//! Each shard's replica by itself, for those who ask for it. The label of the meta group is `meta`.

use rowhouse_raft::{GroupRole, GroupStatus};

use super::sources::{Sources, Watched};
use crate::meta;

pub fn observe(watched: &Watched) {
    watched.gauge_by("rowhouse.shard.leader", "1 where this node leads the shard.", "shard", |sources| {
        each(sources, |status| u64::from(status.role == GroupRole::Leader))
    });
    watched.gauge_by("rowhouse.shard.term", "Term of the shard's replica here.", "shard", |sources| {
        each(sources, |status| status.term)
    });
    watched.gauge_by("rowhouse.shard.last_log_index", "Index of its last entry.", "shard", |sources| {
        each(sources, |status| status.last_log)
    });
    watched.gauge_by(
        "rowhouse.shard.committed_index",
        "Index of the last entry that it knows to be committed.",
        "shard",
        |sources| each(sources, |status| status.committed),
    );
    watched.gauge_by(
        "rowhouse.shard.applied_index",
        "Index of the last entry that it applied.",
        "shard",
        |sources| each(sources, |status| status.applied),
    );
    watched.gauge_by(
        "rowhouse.shard.replication_lag_entries",
        "Entries that the slowest voter is behind, where this node leads.",
        "shard",
        |sources| each(sources, |status| status.lag),
    );
}

fn each(sources: &Sources, of: fn(&GroupStatus) -> u64) -> Vec<(String, f64)> {
    let seen = sources.seen();
    let name = |status: &GroupStatus| match status.group {
        meta::GROUP => "meta".to_owned(),
        shard => shard.to_string(),
    };
    seen.replicas.iter().map(|status| (name(status), of(status) as f64)).collect()
}
