//! openraft's parameters: opaque commands, and replica ids from the meta group.

use std::cmp::Ordering;
use std::fmt;
use std::marker::PhantomData;

use bytes::Bytes;
use openraft::{AsyncRuntime, RaftTypeConfig};

/// A Raft group: a shard's number, or `0xFFFF` for the meta group.
pub type GroupId = u16;
/// Handed out once by the meta group and never reused (docs/rules/consensus.md#identities-are-never-reused): openraft
/// cannot detect an id that comes back with an empty log.
pub type ReplicaId = u64;

/// A comparison of the replicas' states, in place of a command (`state/check.rs`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StateCheck {
    /// Every replica notes its chained hash at this entry.
    Note,
    /// A replica that noted another hash at `index` must not go on.
    Compare {
        /// Entry at which the hash was noted.
        index: u64,
        /// The leader's hash there.
        hash: [u8; 32],
    },
}

/// A proposal: the command, and beside it the trace context of its proposer (never applied).
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Envelope {
    /// Opaque bytes for the group's machine; empty beside a check.
    pub command: Bytes,
    /// Empty, or the 25 bytes of a W3C trace context.
    pub trace: Bytes,
    /// In place of a command; no machine sees it.
    pub check: Option<StateCheck>,
}

impl Envelope {
    /// Proposes a command.
    pub fn of_command(command: Bytes, trace: Bytes) -> Self {
        Self { command, trace, check: None }
    }

    /// Proposes a comparison of states.
    pub fn of_check(check: StateCheck) -> Self {
        Self { check: Some(check), ..Self::default() }
    }
}

impl fmt::Debug for Envelope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.check {
            Some(check) => write!(f, "Envelope({check:?})"),
            None => write!(f, "Envelope({} bytes)", self.command.len()),
        }
    }
}

impl fmt::Display for Envelope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

/// The answer to an applied command: small, opaque.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Reply(pub Bytes);

impl fmt::Debug for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Reply({} bytes)", self.0.len())
    }
}

impl fmt::Display for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

/// The machine a replica lives on. Never an address: those change
/// (docs/rules/consensus.md#identities-are-never-reused).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct Replica {
    /// The machine's own id, drawn once.
    pub node_uuid: [u8; 16],
}

impl fmt::Display for Replica {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for byte in &self.node_uuid[..4] {
            write!(f, "{byte:02x}")?;
        }
        Ok(())
    }
}

/// openraft's type configuration over a runtime.
pub struct RaftTypes<R>(PhantomData<fn() -> R>);

impl<R> Clone for RaftTypes<R> {
    fn clone(&self) -> Self {
        *self
    }
}
impl<R> Copy for RaftTypes<R> {}
impl<R> Default for RaftTypes<R> {
    fn default() -> Self {
        Self(PhantomData)
    }
}
impl<R> fmt::Debug for RaftTypes<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RaftTypes")
    }
}
impl<R> PartialEq for RaftTypes<R> {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}
impl<R> Eq for RaftTypes<R> {}
impl<R> PartialOrd for RaftTypes<R> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}
impl<R> Ord for RaftTypes<R> {
    fn cmp(&self, _: &Self) -> Ordering {
        Ordering::Equal
    }
}

impl<R: AsyncRuntime> RaftTypeConfig for RaftTypes<R> {
    type D = Envelope;
    type R = Reply;
    type NodeId = ReplicaId;
    type Node = Replica;
    type Term = u64;
    type LeaderId = openraft::impls::leader_id_adv::LeaderId<u64, ReplicaId>;
    type Vote = openraft::impls::Vote<Self::LeaderId>;
    type Payload = openraft::EntryPayload<Envelope, ReplicaId, Replica>;
    type Entry =
        openraft::impls::Entry<<Self::LeaderId as openraft::vote::RaftLeaderId>::Committed, Self::Payload>;
    type AsyncRuntime = R;
    type Responder<T>
        = openraft::impls::OneshotResponder<Self, T>
    where
        T: openraft::OptionalSend + 'static;
    type Batch<T>
        = openraft::impls::InlineBatch<T>
    where
        T: openraft::OptionalSend + 'static;
    type ErrorSource = openraft::impls::BoxedErrorSource;
}
