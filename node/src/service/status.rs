//! What a node tells operators of itself.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::SystemTime;

use rowhouse_peer::Certificates;
use rowhouse_proto::WIRE_VERSION;
use rowhouse_proto::wire::meta::{GroupStatus, NodeInfo, NodeStatusReply};
use rowhouse_raft::Host;
use rowhouse_raft::state::{Applied, ScanOrder, View};

use crate::clock::Clock;
use crate::coordinator::PublishRecord;
use crate::drain::Drain;
use crate::identity::Identity;
use crate::meta::packet_timestamp_us;
use crate::objects::Objects;
use crate::peers::ClusterView;
use crate::shards::Problems;
use crate::space::Space;
use crate::{Error, Group, Runtime};

/// Table 0 of a group holds the engine's own record.
const APPLIED_KEY: &[u8] = &[0];
/// The machine's tables, all of them.
const TABLES: (&[u8], &[u8]) = (&[1], &[0xFF; 8]);

#[derive(Clone)]
pub struct StatusReport {
    pub me: NodeInfo,
    pub identity: Arc<Identity>,
    pub host: Arc<Host<Runtime>>,
    pub clock: Arc<Clock>,
    pub view: ClusterView,
    pub space: Arc<Space>,
    pub drain: Arc<Drain>,
    pub published: Arc<PublishRecord>,
    pub problems: Problems,
    pub certificates: Option<Arc<Certificates>>,
    pub objects: Arc<Objects>,
}

impl StatusReport {
    /// With `scan` it reads the whole state of every group: call it where blocking is fine.
    pub fn reply(&self, scan: bool) -> Result<NodeStatusReply, Error> {
        let now_us = self.clock.physical_us();
        let packet_age_s = packet_timestamp_us(&self.view.map().packet)
            .map_or(u64::MAX, |signed_us| now_us.saturating_sub(signed_us) / 1_000_000);
        let (handed_over, failovers) = self.drain.counts();
        Ok(NodeStatusReply {
            version: WIRE_VERSION,
            node_uuid: self.me.node_uuid.clone(),
            cluster_id: self.identity.cluster_id().map(|id| id.to_vec().into()).unwrap_or_default(),
            name: self.me.name.clone(),
            address: self.me.address.clone(),
            groups: self.groups(scan)?,
            packet_age_s,
            packet_published_s: self.published.age_s(now_us),
            low_space: self.space.is_low(),
            pid: u64::from(std::process::id()),
            draining: self.drain.is_on(),
            handed_over,
            failovers,
            certificate_expires_s: self.certificates.as_deref().map(expires_s),
            objects: Some(self.objects.status(scan)?),
        })
    }

    fn groups(&self, scan: bool) -> Result<Vec<GroupStatus>, Error> {
        let mut groups = Vec::new();
        for group in self.host.groups() {
            let (scan_hash, scan_index) = if scan { scan_state(&group)? } else { (Vec::new(), 0) };
            let objects_missing = self.objects.progress.missing(group.id());
            let status = status_of(&group);
            groups.push(GroupStatus { scan_hash: scan_hash.into(), scan_index, objects_missing, ..status });
        }
        for (group, problem) in self.problems.load().iter() {
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
}

/// 0 once it has expired.
fn expires_s(certificates: &Certificates) -> u64 {
    certificates.expires_at().duration_since(SystemTime::now()).unwrap_or_default().as_secs()
}

fn status_of(group: &Group) -> GroupStatus {
    let status = group.status();
    GroupStatus {
        group: u32::from(status.group),
        replica_id: status.replica,
        role: status.role.as_str().to_owned(),
        term: status.term,
        leader_replica: status.leader.map_or(0, |(replica, _)| replica),
        last_log: status.last_log,
        committed: status.committed,
        applied: status.applied,
        purged: status.purged,
        state_hash: status.state_hash.to_vec().into(),
        hash_index: status.hash_index,
        lag: status.lag,
        problem: status.problem.unwrap_or_default(),
        ..GroupStatus::default()
    }
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
