//! openraft's types as wire messages, and the framing of every stored record.
//!
//! A stored record is `version (1) | crc32c of version and body (4, big endian) | protobuf body`, so
//! that a flipped bit and a newer program's record are both found at reading. Shared by the log, the
//! state store and the transport; it holds no state.

use std::collections::{BTreeMap, BTreeSet};

use bytes::{Buf, BufMut, Bytes, BytesMut};
use openraft::impls::leader_id_adv::LeaderId;
use openraft::{EntryPayload, RaftTypeConfig};
use prost::Message;
use rowhouse_proto::wire::raft as wire;

use crate::error::Error;
use crate::runtime::Production;
use crate::{Envelope, RaftTypes, Replica, ReplicaId, StateCheck};

// The runtime does not occur in any of these: they are the same types under every `RaftTypes<R>`.
/// Position of an entry: the term and leader that wrote it, and its index.
pub type LogId = openraft::LogId<LeaderId<u64, ReplicaId>>;
/// A replica's vote: term, candidate, and whether a quorum granted it.
pub type Vote = <RaftTypes<Production> as RaftTypeConfig>::Vote;
/// One entry of a group's log.
pub type Entry = <RaftTypes<Production> as RaftTypeConfig>::Entry;
/// Content of an entry: nothing, a proposal, or a membership.
pub type Payload = EntryPayload<Envelope, ReplicaId, Replica>;
/// The voters of a group, of both sets while it is between two.
pub type Membership = openraft::Membership<ReplicaId, Replica>;
/// A membership with the position at which the log holds it.
pub type StoredMembership = openraft::StoredMembership<LeaderId<u64, ReplicaId>, ReplicaId, Replica>;

/// Version of stored records; raised when a body changes in a way an older program would misread.
pub const RECORD_VERSION: u8 = 2;
/// Version byte and checksum.
pub const RECORD_HEAD_BYTES: usize = 5;

/// A log id as its wire message.
pub fn log_id_to_wire(id: &LogId) -> wire::LogId {
    wire::LogId { term: id.leader_id.term, leader: id.leader_id.node_id, index: id.index }
}

/// The log id in a wire message.
pub fn log_id_from_wire(id: &wire::LogId) -> LogId {
    LogId { leader_id: LeaderId { term: id.term, node_id: id.leader }, index: id.index }
}

/// A vote as its wire message.
pub fn vote_to_wire(vote: &Vote) -> wire::Vote {
    wire::Vote { term: vote.leader_id.term, leader: vote.leader_id.node_id, committed: vote.committed }
}

/// The vote in a wire message.
pub fn vote_from_wire(vote: &wire::Vote) -> Vote {
    Vote { leader_id: LeaderId { term: vote.term, node_id: vote.leader }, committed: vote.committed }
}

/// A membership as its wire message.
pub fn membership_to_wire(membership: &Membership) -> wire::Membership {
    let configs = membership
        .get_joint_config()
        .iter()
        .map(|voters| wire::VoterSet { ids: voters.iter().copied().collect() })
        .collect();
    let replicas = membership
        .nodes()
        .map(|(id, replica)| wire::Replica { id: *id, node_uuid: Bytes::copy_from_slice(&replica.node_uuid) })
        .collect();
    wire::Membership { configs, replicas }
}

/// The membership in a wire message; `Error::Corrupt` if a node uuid or the voters are no such.
pub fn membership_from_wire(membership: &wire::Membership) -> Result<Membership, Error> {
    let mut replicas = BTreeMap::new();
    for replica in &membership.replicas {
        let node_uuid = <[u8; 16]>::try_from(replica.node_uuid.as_ref())
            .map_err(|_| Error::corrupt("a membership", "a node uuid is not 16 bytes"))?;
        replicas.insert(replica.id, Replica { node_uuid });
    }
    // A group that was never initialized has no voters, which `Membership::new` refuses.
    if membership.configs.is_empty() && replicas.is_empty() {
        return Ok(Membership::default());
    }
    let configs: Vec<BTreeSet<ReplicaId>> =
        membership.configs.iter().map(|voters| voters.ids.iter().copied().collect()).collect();
    Membership::new(configs, replicas).map_err(|error| Error::corrupt("a membership", error))
}

/// A stored membership as its wire message.
pub fn stored_membership_to_wire(stored: &StoredMembership) -> wire::StoredMembership {
    wire::StoredMembership {
        log_id: stored.log_id().as_ref().map(log_id_to_wire),
        membership: Some(membership_to_wire(stored.membership())),
    }
}

/// The stored membership in a wire message; fails as `membership_from_wire` does.
pub fn stored_membership_from_wire(stored: &wire::StoredMembership) -> Result<StoredMembership, Error> {
    let membership = match &stored.membership {
        Some(membership) => membership_from_wire(membership)?,
        None => Membership::default(),
    };
    Ok(StoredMembership::new(stored.log_id.as_ref().map(log_id_from_wire), membership))
}

/// An entry as its wire message.
pub fn entry_to_wire(entry: &Entry) -> wire::Entry {
    let payload = match &entry.payload {
        EntryPayload::Blank => wire::entry::Payload::Blank(true),
        EntryPayload::Normal(envelope) => wire::entry::Payload::Normal(wire::Envelope {
            command: envelope.command.clone(),
            trace: envelope.trace.clone(),
            check: envelope.check.map(check_to_wire),
        }),
        EntryPayload::Membership(membership) => {
            wire::entry::Payload::Membership(membership_to_wire(membership))
        }
    };
    wire::Entry { log_id: Some(log_id_to_wire(&entry.log_id)), payload: Some(payload) }
}

/// The entry in a wire message; `Error::Corrupt` if it lacks a log id or a payload that this program knows.
pub fn entry_from_wire(entry: wire::Entry) -> Result<Entry, Error> {
    let log_id = entry.log_id.as_ref().ok_or_else(|| Error::corrupt("a log entry", "it has no log id"))?;
    let payload = match entry.payload {
        Some(wire::entry::Payload::Blank(_)) => EntryPayload::Blank,
        Some(wire::entry::Payload::Normal(envelope)) => {
            let wire::Envelope { command, trace, check } = envelope;
            EntryPayload::Normal(Envelope { command, trace, check: check.map(check_from_wire).transpose()? })
        }
        Some(wire::entry::Payload::Membership(membership)) => {
            EntryPayload::Membership(membership_from_wire(&membership)?)
        }
        None => return Err(Error::corrupt("a log entry", "it has no payload this program knows")),
    };
    Ok(Entry { log_id: log_id_from_wire(log_id), payload })
}

fn check_to_wire(check: StateCheck) -> wire::StateCheck {
    use wire::state_check::Step;
    let step = match check {
        StateCheck::Note => Step::Note(true),
        StateCheck::Compare { index, hash } => {
            Step::Compare(wire::NotedHash { index, hash: Bytes::copy_from_slice(&hash) })
        }
    };
    wire::StateCheck { step: Some(step) }
}

fn check_from_wire(check: wire::StateCheck) -> Result<StateCheck, Error> {
    use wire::state_check::Step;
    match check.step {
        Some(Step::Note(_)) => Ok(StateCheck::Note),
        Some(Step::Compare(wire::NotedHash { index, hash })) => {
            let hash = <[u8; 32]>::try_from(hash.as_ref())
                .map_err(|_| Error::corrupt("a state check", "its hash is not 32 bytes"))?;
            Ok(StateCheck::Compare { index, hash })
        }
        None => Err(Error::corrupt("a state check", "it has no step this program knows")),
    }
}

/// Decodes `bytes` whole. A field this program does not know is refused: it would be dropped without a word,
/// and what is written back later would lack it.
///
/// Our own bytes are always as short as prost makes them, so that a decoded message has the length of its bytes
/// unless something was left out. Costs no allocation.
pub fn decode_whole<M: Message + Default>(what: &'static str, bytes: impl Buf) -> Result<M, Error> {
    let length = bytes.remaining();
    let message = M::decode(bytes).map_err(|error| Error::corrupt(what, error))?;
    if message.encoded_len() == length { Ok(message) } else { Err(Error::UnknownFields { what }) }
}

/// Frames `message` for storing.
pub fn seal(message: &impl Message) -> Bytes {
    let mut record = BytesMut::with_capacity(RECORD_HEAD_BYTES + message.encoded_len());
    record.put_u8(RECORD_VERSION);
    record.put_u32(0);
    // Encoding fails only for want of room, and a `BytesMut` grows.
    message.encode_raw(&mut record);
    let checksum = checksum(RECORD_VERSION, &record[RECORD_HEAD_BYTES..]);
    record[1..RECORD_HEAD_BYTES].copy_from_slice(&checksum.to_be_bytes());
    record.freeze()
}

/// Checks the frame of a stored record and decodes its body; `what` names it in errors.
pub fn open<M: Message + Default>(what: &'static str, record: Bytes) -> Result<M, Error> {
    let Some((head, body)) = record.split_first_chunk::<RECORD_HEAD_BYTES>() else {
        return Err(Error::corrupt(what, format_args!("a record of {} bytes has no head", record.len())));
    };
    let [version, stored @ ..] = *head;
    if version != RECORD_VERSION {
        return Err(Error::Version { what, found: version.into(), known: RECORD_VERSION.into() });
    }
    if u32::from_be_bytes(stored) != checksum(version, body) {
        return Err(Error::corrupt(what, "a record's checksum does not match"));
    }
    decode_whole(what, record.slice(RECORD_HEAD_BYTES..))
}

/// An entry as a stored record.
pub fn encode_entry(entry: &Entry) -> Bytes {
    seal(&entry_to_wire(entry))
}

/// The entry in a stored record; fails as `open` and `entry_from_wire` do.
pub fn decode_entry(record: Bytes) -> Result<Entry, Error> {
    entry_from_wire(open("a log entry", record)?)
}

fn checksum(version: u8, body: &[u8]) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c(&[version]), body)
}

#[cfg(test)]
mod tests;
