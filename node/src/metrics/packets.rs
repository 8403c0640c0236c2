//! Packets on the network: the homeserver's own, and those of the users of the shards led from here.

use super::sources::{Sources, Watched};
use crate::meta::packet_timestamp_us;

pub fn observe(watched: &Watched) {
    own(watched);
    users(watched);
    ages(watched);
    ways(watched);
}

fn own(watched: &Watched) {
    watched.gauge(
        "rowhouse.pkarr.record_age",
        "s",
        "Time since the homeserver's record was signed, as far as this node's map has it.",
        |sources| {
            let signed_us = packet_timestamp_us(&sources.cluster.view.map().packet)?;
            Some(sources.local.clock.physical_us().saturating_sub(signed_us) as f64 / 1e6)
        },
    );
    watched.gauge(
        "rowhouse.pkarr.published_age",
        "s",
        "Time since this node last published the homeserver's record; absent where another node does, or none was.",
        |sources| {
            let author = &sources.coordinator.author;
            let age_s = author.record.age_s(sources.local.clock.physical_us());
            (sources.coordinator.leads() && age_s != u64::MAX).then_some(age_s as f64)
        },
    );
    watched.counter(
        "rowhouse.pkarr.publish_failures",
        "",
        "Attempts of this node to publish the homeserver's record that failed.",
        |sources| sources.coordinator.author.record.failures(),
    );
    watched.gauge(
        "rowhouse.pkarr.verified_age",
        "s",
        "Time since a client that had no part in it last found the homeserver's record; told where it is published.",
        |sources| {
            let verified_us = sources.coordinator.author.record.known().verified_us;
            let age_us = sources.local.clock.physical_us().saturating_sub(verified_us);
            (sources.coordinator.leads() && verified_us != 0).then_some(age_us as f64 / 1e6)
        },
    );
    watched.gauge(
        "rowhouse.pkarr.stored_nodes",
        "",
        "DHT nodes that stored the homeserver's record last; told where it is published.",
        |sources| {
            let known = sources.coordinator.author.record.known();
            (sources.coordinator.leads() && known.published_us != 0).then_some(known.stored as f64)
        },
    );
    watched.gauge(
        "rowhouse.pkarr.foreign",
        "",
        "1 while the network has a record of this homeserver that another cluster signed; told where it is published.",
        |sources| {
            let foreign = sources.coordinator.author.record.known().foreign;
            sources.coordinator.leads().then(|| f64::from(u8::from(foreign)))
        },
    );
}

fn users(watched: &Watched) {
    watched.counter_by(
        "rowhouse.pkarr.users_checked",
        "Looks of this node at users' records, by what became of them.",
        "outcome",
        |sources| {
            let told = sources.republisher.told();
            vec![
                ("published", told.published),
                ("skipped", told.skipped),
                ("missing", told.missing),
                ("conflict", told.conflicts),
                ("moved", told.moved),
                ("unreachable", told.unreachable),
                ("slow", told.slow),
            ]
        },
    );
    watched.counter(
        "rowhouse.pkarr.users_restored",
        "",
        "Records of users that the network had lost, and has again from this node.",
        |sources| sources.republisher.told().restored,
    );
    watched.counter(
        "rowhouse.pkarr.passes",
        "",
        "Passes of this node over all users of a shard.",
        |sources| sources.republisher.told().passes,
    );
    watched.gauge_by(
        "rowhouse.pkarr.users",
        "Users of the shards led from here: all, those whose record is kept, and those who left.",
        "state",
        |sources| {
            let told = sources.republisher.told();
            vec![("all", told.users as f64), ("kept", told.kept as f64), ("left", told.left as f64)]
        },
    );
    watched.gauge(
        "rowhouse.pkarr.keys_per_second",
        "",
        "Users' records looked at by this node in a second, over the last minute.",
        |sources| Some(sources.republisher.told().millikeys_per_second as f64 / 1e3),
    );
}

fn ages(watched: &Watched) {
    watched.gauge(
        "rowhouse.pkarr.user_record_age_median",
        "s",
        "Time since half of the users' records were last published by this node, over a sample of them.",
        |sources| known(sources.republisher.told().age_p50_s),
    );
    watched.gauge(
        "rowhouse.pkarr.user_record_age_high",
        "s",
        "The same, for all but one in twenty.",
        |sources| known(sources.republisher.told().age_p95_s),
    );
    watched.gauge("rowhouse.pkarr.user_record_age_max", "s", "The same, for the oldest one.", |sources| {
        known(sources.republisher.told().age_max_s)
    });
}

/// `u64::MAX` stands for never.
fn known(age_s: u64) -> Option<f64> {
    (age_s != u64::MAX).then_some(age_s as f64)
}

fn ways(watched: &Watched) {
    watched.gauge_by(
        "rowhouse.pkarr.vantage_points",
        "Ways to the network that users' records take, by whether they answered lately.",
        "state",
        |sources: &Sources| {
            let points = sources.republisher.vantage_points();
            let well = points.iter().filter(|point| point.problem.is_empty()).count();
            vec![("answering", well as f64), ("failing", (points.len() - well) as f64)]
        },
    );
}
