//! Findings about shards and the meta group: no leader, too few complete replicas, broken replicas, restless leaders.

use std::collections::{BTreeMap, BTreeSet};

use super::super::build::Report;
use super::super::group::Group;
use super::super::health::Health;
use super::super::node::{Node, State};
use super::super::units;
use super::command::Ctl;
use super::finding::{Finding, Severity, counted, listed};
use super::losses::Quorum;

const SUBJECT: &str = "shards";
/// A shard that changes its leader more often than this within `RESTLESS_WITHIN_MS` has a reason.
const RESTLESS_CHANGES: usize = 5;
const RESTLESS_WITHIN_MS: u64 = 10 * 60 * 1000;
/// A move that takes longer is looked at.
const SLOW_MOVE_S: u64 = 3600;

/// All about shards, worst first.
pub fn findings(report: &Report, ctl: Ctl<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    findings.extend(leaderless(report, ctl));
    findings.extend(short(report, ctl));
    findings.extend(broken(report, ctl));
    findings.extend(restless(report, ctl));
    findings.extend(moving(report, ctl));
    findings
}

fn names(groups: &[&Group]) -> Vec<String> {
    groups.iter().map(|group| group.group.clone()).collect()
}

/// Shards whose quorum is gone need their nodes back; others elect within seconds.
fn leaderless(report: &Report, ctl: Ctl<'_>) -> Vec<Finding> {
    let without = report.groups.iter().filter(|group| group.health == Health::NoLeader);
    let (electing, stopped): (Vec<&Group>, Vec<&Group>) =
        without.partition(|group| Quorum::of(group).is_there());
    let mut findings = Vec::new();
    if !stopped.is_empty() {
        let first = stopped[0];
        let (quorum, dead) = (Quorum::of(first), absent_labels(&stopped));
        let on = quorum.alive().first().cloned().unwrap_or_else(|| "NODE".to_owned());
        findings.push(
            Finding::new(
                Severity::Critical,
                "quorum_lost",
                SUBJECT,
                format!("{} without a quorum: nobody serves their users", counted(stopped.len(), "shard")),
            )
            .because(format!(
                "shard {} needs {} of its replicas and these take part: {}; missing: {}",
                first.group,
                quorum.majority(),
                or_none(&quorum.alive()),
                listed(&dead)
            ))
            .advise(format!(
                "Start {} again with its data folder: one is enough if it completes the majority. Only if none ever \
                 comes back, give up what they alone knew",
                listed(&dead)
            ))
            .next(ctl.run(&format!("shard recover {} --on {on} --unsafe", first.group)))
            .of_shards(names(&stopped)),
        );
    }
    if !electing.is_empty() {
        findings.push(
            Finding::new(
                Severity::Critical,
                "no_leader",
                SUBJECT,
                format!("{} without a leader", counted(electing.len(), "shard")),
            )
            .because(format!(
                "a majority of the replicas takes part, so that an election should end within seconds: {}",
                listed(&names(&electing))
            ))
            .advise("Look again in a few seconds. If it stays, the links between the nodes are broken: read their logs")
            .next(ctl.run("doctor"))
            .of_shards(names(&electing)),
        );
    }
    findings
}

fn absent_labels(groups: &[&Group]) -> Vec<String> {
    let replicas = groups.iter().flat_map(|group| &group.replicas);
    let absent: BTreeSet<&String> =
        replicas.filter(|replica| replica.votes && !replica.alive).map(|replica| &replica.label).collect();
    absent.into_iter().cloned().collect()
}

fn or_none(names: &[String]) -> String {
    if names.is_empty() { "none".to_owned() } else { listed(names) }
}

fn short(report: &Report, ctl: Ctl<'_>) -> Option<Finding> {
    let is_short = |group: &&Group| group.health != Health::NoLeader && group.complete < group.wanted;
    let short: Vec<&Group> = report.groups.iter().filter(is_short).collect();
    let first = short.first()?;
    let mut reasons: BTreeMap<(String, String), usize> = BTreeMap::new();
    for replica in short.iter().flat_map(|group| &group.replicas) {
        if let Some(lacks) = &replica.lacks {
            *reasons.entry((replica.label.clone(), lacks.clone())).or_default() += 1;
        }
    }
    let reasons: Vec<String> = reasons
        .into_iter()
        .map(|((node, lacks), count)| format!("{node}: {lacks} ({})", counted(count, "shard")))
        .collect();
    let frail: Vec<&Group> = short.iter().copied().filter(|group| Quorum::of(group).spares() == 0).collect();
    let stop = match frail.first() {
        Some(one) => format!(
            "; {} would stop with the next loss (shard {}: {})",
            frail.len(),
            one.group,
            Quorum::of(one).alive().join(" or ")
        ),
        None => String::new(),
    };
    let why = if reasons.is_empty() {
        "there are fewer replicas than there could be".into()
    } else {
        listed(&reasons)
    };
    let summary = format!(
        "{} with too few complete replicas (shard {}: {} of {})",
        counted(short.len(), "shard"),
        first.group,
        first.complete,
        first.wanted
    );
    Some(
        Finding::new(Severity::Warning, "too_few_replicas", SUBJECT, summary)
            .because(format!("{why}{stop}"))
            .advise(
                "Bring the nodes back or replace them. Replicas that lag or lack bodies complete themselves: see how far \
                 they are",
            )
            .next(ctl.run("status"))
            .of_shards(names(&short)),
    )
}

fn broken(report: &Report, ctl: Ctl<'_>) -> Option<Finding> {
    let (mut told, mut shards, mut from) = (Vec::new(), Vec::new(), String::new());
    for group in &report.groups {
        for replica in group.replicas.iter().filter(|replica| replica.problem.is_some()) {
            let problem = replica.problem.as_deref().unwrap_or_default();
            told.push(format!("shard {} on {}: {problem}", group.group, replica.label));
            if shards.is_empty() {
                from.clone_from(&replica.label);
            }
            shards.push(group.group.clone());
        }
    }
    if told.is_empty() {
        return None;
    }
    let summary = format!("{} stopped serving for good", counted(told.len(), "replica"));
    let finding = Finding::new(Severity::Warning, "replica_broken", SUBJECT, summary).because(listed(&told));
    let free = report.groups.iter().find(|group| group.group == shards[0]).and_then(|group| {
        let holds = |node: &Node| group.replicas.iter().any(|it| it.node_uuid == node.node_uuid);
        report.nodes.iter().find(|node| node.state == State::Up && !holds(node))
    });
    let finding = match free {
        Some(to) => finding
            .advise("Its state is not to be trusted. Move it to another node, which makes it anew from the leader")
            .next(ctl.run(&format!("shard move {} --from {from} --to {}", shards[0], to.label))),
        None => finding.advise(
            "Its state is not to be trusted, and no node is there that could take it: rebuild the node \
             (docs/runbooks/replica-broken.md), or add one",
        ),
    };
    Some(finding.of_shards(shards))
}

fn restless(report: &Report, ctl: Ctl<'_>) -> Option<Finding> {
    let newest = report.now_ms;
    let lately = report.elections.iter().filter(|it| newest.saturating_sub(it.at_ms) < RESTLESS_WITHIN_MS);
    let mut changes: BTreeMap<&str, usize> = BTreeMap::new();
    lately.for_each(|election| *changes.entry(&election.group).or_default() += 1);
    let restless: Vec<(&str, usize)> =
        changes.into_iter().filter(|(_, count)| *count >= RESTLESS_CHANGES).collect();
    let (first, count) = *restless.first()?;
    let summary = format!("{} that change their leader again and again", counted(restless.len(), "shard"));
    let told =
        listed(&restless.iter().map(|(shard, count)| format!("{shard} ({count})")).collect::<Vec<_>>());
    Some(
        Finding::new(Severity::Warning, "restless_leaders", SUBJECT, summary)
            .because(format!(
                "changes in the last {}: {told}; shard {first} had {count}",
                units::seconds(RESTLESS_WITHIN_MS / 1000)
            ))
            .advise(
                "A slow disk, a full processor or a lossy link between nodes does this: compare the nodes",
            )
            .next(ctl.run("top"))
            .of_shards(restless.iter().map(|(shard, _)| (*shard).to_owned()).collect()),
    )
}

fn moving(report: &Report, ctl: Ctl<'_>) -> Option<Finding> {
    let moving: Vec<&Group> = report.groups.iter().filter(|group| group.moving.is_some()).collect();
    let longest =
        moving.iter().filter_map(|group| Some((group, group.moving.as_ref()?))).max_by_key(|it| it.1.for_s);
    let (group, oldest) = longest?;
    let is_slow = oldest.for_s >= SLOW_MOVE_S;
    let (severity, kind) =
        if is_slow { (Severity::Warning, "move_slow") } else { (Severity::Notice, "moves_under_way") };
    let finding = Finding::new(
        severity,
        kind,
        SUBJECT,
        format!("{} on the way to another node", counted(moving.len(), "replica")),
    )
    .because(format!(
        "the longest for {}: shard {} from {} to {}, {} ({})",
        units::seconds(oldest.for_s),
        group.group,
        oldest.from.as_deref().unwrap_or("nowhere"),
        oldest.to.as_deref().unwrap_or("nowhere"),
        oldest.described(),
        oldest.reason
    ))
    .next(ctl.run("shard list"))
    .of_shards(names(&moving));
    Some(if is_slow {
        finding.advise("See whether it goes on, and whether the node it goes to has room")
    } else {
        finding
    })
}
