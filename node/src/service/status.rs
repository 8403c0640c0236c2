//! The report of a node about itself, for operators and the coordinator.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::SystemTime;

use rowhouse_peer::Certificates;
use rowhouse_proto::WIRE_VERSION;
use rowhouse_proto::wire::meta::{GroupStatus, NodeStatusReply, PacketStatus, VantagePoint};
use rowhouse_raft::ReplicaId;
use rowhouse_raft::state::{Applied, ScanOrder, View};

use crate::chronicle::Chronicle;
use crate::coordinator::{Coordinator, Known, since_s};
use crate::local::Local;
use crate::meta::packet_timestamp_us;
use crate::metrics::SyncDurations;
use crate::objects::{Objects, Stock};
use crate::peers::Cluster;
use crate::placement::report;
use crate::republish::Republisher;
use crate::{Error, Group};

/// Table 0 of a group holds the engine's own record.
const APPLIED_KEY: &[u8] = &[0];
/// The machine's tables, all of them.
const TABLES: (&[u8], &[u8]) = (&[1], &[0xFF; 8]);

/// Collects from everywhere; keeps nothing of its own.
#[derive(Clone)]
pub struct StatusReport {
    pub local: Arc<Local>,
    pub cluster: Arc<Cluster>,
    pub coordinator: Arc<Coordinator>,
    pub objects: Arc<Objects>,
    pub chronicle: Arc<Chronicle>,
    pub republisher: Arc<Republisher>,
    pub syncs: Arc<SyncDurations>,
    /// This node's own, if it has any.
    pub certificates: Option<Arc<Certificates>>,
}

impl StatusReport {
    /// With `scan` it reads the whole state of every group: call it where blocking is fine.
    pub fn reply(&self, scan: bool) -> Result<NodeStatusReply, Error> {
        let Local { me, identity, clock, space, drain, .. } = self.local.as_ref();
        let now_us = clock.physical_us();
        let packet_age_s = packet_timestamp_us(&self.cluster.view.map().packet)
            .map_or(u64::MAX, |signed_us| now_us.saturating_sub(signed_us) / 1_000_000);
        let (handed_over, failovers) = drain.counts();
        let (used_bytes, disk_bytes) = space.used_bytes()?;
        let (clock_offset_us, clocks_heard) = clock.offset();
        let (leader_changes, incidents) = self.chronicle.told();
        Ok(NodeStatusReply {
            version: WIRE_VERSION,
            node_uuid: me.node_uuid.clone(),
            cluster_id: identity.cluster_id().map(|id| id.to_vec().into()).unwrap_or_default(),
            name: me.name.clone(),
            address: me.address.clone(),
            groups: self.groups(scan)?,
            packet_age_s,
            packet_published_s: self.coordinator.author.record.age_s(now_us),
            low_space: space.is_low(),
            pid: u64::from(std::process::id()),
            draining: drain.is_on(),
            handed_over,
            failovers,
            used_bytes,
            disk_bytes,
            map_version: self.cluster.view.map().map_version,
            dead_after_s: self.coordinator.dead_after().as_secs(),
            certificate_expires_s: self.certificates.as_deref().map(expires_s),
            objects: Some(self.objects.status(scan)?),
            uptime_s: self.chronicle.uptime_s(),
            clock_offset_us,
            clocks_heard,
            leader_changes,
            incidents,
            log_syncs: self.local.engine.metrics().syncs.load(Ordering::Relaxed),
            log_hangs: self.local.log_hangs(),
            log_sync_durations: Some(self.syncs.told()),
            packets: Some(self.packets(now_us)),
        })
    }

    fn packets(&self, now_us: u64) -> PacketStatus {
        let Known { verified_us, stored, foreign, reach, .. } = self.coordinator.author.record.known();
        PacketStatus {
            vantage_points: self.vantage_points(),
            verified_s: since_s(verified_us, now_us),
            stored_nodes: stored as u64,
            foreign: foreign && self.coordinator.leads(),
            reach: if self.coordinator.leads() { reach } else { Vec::new() },
            ..self.republisher.told()
        }
    }

    /// The homeserver's packet and those of users go out by clients of their own to the same vantage points.
    fn vantage_points(&self) -> Vec<VantagePoint> {
        let mut points = self.republisher.vantage_points();
        let own = self.coordinator.author.network.as_ref().map(|network| network.told()).unwrap_or_default();
        for (point, other) in points.iter_mut().zip(own) {
            point.answers += other.answers;
            point.failures += other.failures;
            point.paused_s = point.paused_s.max(other.paused_s);
            if other.answered_s < point.answered_s || !other.problem.is_empty() {
                point.problem = other.problem;
            }
            point.answered_s = point.answered_s.min(other.answered_s);
        }
        points
    }

    fn groups(&self, scan: bool) -> Result<Vec<GroupStatus>, Error> {
        let mut groups = Vec::new();
        for group in self.local.host.groups() {
            let (scan_hash, scan_index) = if scan { scan_state(&group)? } else { (Vec::new(), 0) };
            let status = self.with_objects(report(&group), group.replica());
            groups.push(GroupStatus { scan_hash: scan_hash.into(), scan_index, ..status });
        }
        for (group, problem) in self.local.problems.load().iter() {
            if groups.iter().all(|known| known.group != u32::from(*group)) {
                groups.push(GroupStatus {
                    group: u32::from(*group),
                    role: rowhouse_raft::GroupRole::Broken.as_str().to_owned(),
                    problem: problem.clone(),
                    ..GroupStatus::default()
                });
            }
        }
        Ok(groups)
    }

    fn with_objects(&self, status: GroupStatus, replica: ReplicaId) -> GroupStatus {
        let Stock { seen, missing, damaged } = self.objects.stock(replica);
        GroupStatus {
            objects_seen: seen,
            objects_missing: missing,
            objects_damaged: damaged,
            bytes: self.objects.blobs.bytes_of(replica),
            ..status
        }
    }
}

/// 0 once it has expired.
fn expires_s(certificates: &Certificates) -> u64 {
    certificates.expires_at().duration_since(SystemTime::now()).unwrap_or_default().as_secs()
}

/// A hash over everything the machine stored, and the applied index it belongs to, from one view.
fn scan_state(group: &Group) -> Result<(Vec<u8>, u64), Error> {
    Ok(group.read(|view| -> Result<_, rowhouse_raft::Error> {
        let hash = hash_of(view)?;
        let applied = view.get(APPLIED_KEY)?.map(Applied::decode).transpose()?;
        let index = applied.and_then(|applied| applied.log_id).map_or(0, |log_id| log_id.index);
        Ok((hash, index))
    })?)
}

fn hash_of(view: &View<'_>) -> Result<Vec<u8>, rowhouse_raft::Error> {
    let mut hasher = blake3::Hasher::new();
    let mut put = |bytes: &[u8]| {
        hasher.update(&(bytes.len() as u64).to_le_bytes());
        hasher.update(bytes);
    };
    view.scan(TABLES.0, TABLES.1, ScanOrder::Ascending, &mut |key, value| {
        put(key);
        put(value);
        ControlFlow::Continue(())
    })?;
    Ok(hasher.finalize().as_bytes().to_vec())
}
