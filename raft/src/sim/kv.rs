//! A machine for tests: a map from keys to values that applies every request once.

use bytes::{Buf, BufMut, Bytes, BytesMut};

use crate::error::Error;
use crate::machine::{EntryContext, Machine};
use crate::state::{ScanOrder, Txn, View};

const VALUES: u8 = 1;
const OUTCOMES: u8 = 2;
const WHAT: &str = "a map command";

/// Identifies a request over its retries.
pub type RequestId = [u8; 16];

/// A request to the map.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KvCommand {
    /// Sets a key.
    Put {
        /// A second command with this id changes nothing.
        request: RequestId,
        /// The key.
        key: Bytes,
        /// Its new value.
        value: Bytes,
    },
    /// Removes a key.
    Delete {
        /// A second command with this id changes nothing.
        request: RequestId,
        /// The key.
        key: Bytes,
    },
}

impl KvCommand {
    /// `KvCommand::Put`.
    pub fn put(request: RequestId, key: impl Into<Bytes>, value: impl Into<Bytes>) -> Self {
        Self::Put { request, key: key.into(), value: value.into() }
    }

    /// `KvCommand::Delete`.
    pub fn delete(request: RequestId, key: impl Into<Bytes>) -> Self {
        Self::Delete { request, key: key.into() }
    }

    /// As bytes for the log.
    pub fn encode(&self) -> Bytes {
        let (request, key, value) = match self {
            Self::Put { request, key, value } => (request, key, Some(value)),
            Self::Delete { request, key } => (request, key, None),
        };
        let mut command = BytesMut::new();
        command.put_u8(value.is_some().into());
        command.put_slice(request);
        command.put_u32(key.len() as u32);
        command.put_slice(key);
        command.put_slice(value.map_or(&[], |value| value.as_ref()));
        command.freeze()
    }

    /// Decodes what `encode` wrote; `Error::Corrupt` if it is cut off.
    pub fn decode(command: &Bytes) -> Result<Self, Error> {
        let mut rest = command.clone();
        if rest.len() < 21 {
            return Err(Error::corrupt(WHAT, "it is short"));
        }
        let puts = rest.get_u8() == 1;
        let mut request = [0; 16];
        rest.copy_to_slice(&mut request);
        let length = rest.get_u32() as usize;
        if rest.len() < length {
            return Err(Error::corrupt(WHAT, "its key is cut off"));
        }
        let key = rest.split_to(length);
        Ok(if puts { Self::Put { request, key, value: rest } } else { Self::Delete { request, key } })
    }
}

/// Where a command was applied first, and what its key held before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KvReply {
    /// Index of the entry that applied the command first.
    pub index: u64,
    /// Value of the key before, if it had one.
    pub previous: Option<Bytes>,
}

impl KvReply {
    /// As bytes for `Reply`.
    pub fn encode(&self) -> Bytes {
        let mut reply = BytesMut::new();
        reply.put_u64(self.index);
        reply.put_u8(self.previous.is_some().into());
        reply.put_slice(self.previous.as_ref().map_or(&[], |previous| previous.as_ref()));
        reply.freeze()
    }

    /// Decodes what `encode` wrote; `Error::Corrupt` if it is cut off.
    pub fn decode(reply: &Bytes) -> Result<Self, Error> {
        let mut rest = reply.clone();
        if rest.len() < 9 {
            return Err(Error::corrupt("a map reply", "it is short"));
        }
        let index = rest.get_u64();
        let previous = rest.get_u8() == 1;
        Ok(Self { index, previous: previous.then_some(rest) })
    }
}

/// The map. Reads go through `get` and `records`.
#[derive(Clone, Copy, Debug, Default)]
pub struct KvMachine;

impl KvMachine {
    /// Value of a key.
    pub fn get(view: &View<'_>, key: &[u8]) -> Result<Option<Bytes>, Error> {
        view.get(&table(VALUES, key))
    }

    /// Every key and value in order.
    pub fn records(view: &View<'_>) -> Result<Vec<(Bytes, Bytes)>, Error> {
        let mut records = Vec::new();
        view.scan(&[VALUES], &[VALUES + 1], ScanOrder::Ascending, &mut |key, value| {
            records.push((Bytes::copy_from_slice(&key[1..]), Bytes::copy_from_slice(value)));
            std::ops::ControlFlow::Continue(())
        })?;
        Ok(records)
    }
}

impl Machine for KvMachine {
    fn apply(&self, context: EntryContext<'_>, command: &Bytes, txn: &mut Txn<'_>) -> Result<Bytes, Error> {
        let command = KvCommand::decode(command)?;
        let (request, key, value) = match &command {
            KvCommand::Put { request, key, value } => (request, key, Some(value)),
            KvCommand::Delete { request, key } => (request, key, None),
        };
        let outcome = table(OUTCOMES, request);
        if let Some(known) = txn.get(&outcome)? {
            return Ok(known);
        }
        let key = table(VALUES, key);
        let reply = KvReply { index: context.index, previous: txn.get(&key)? }.encode();
        match value {
            Some(value) => txn.put(key, value.clone()),
            None => txn.delete(key),
        }
        txn.put(outcome, reply.clone());
        Ok(reply)
    }
}

fn table(table: u8, key: &[u8]) -> Bytes {
    let mut full = BytesMut::with_capacity(1 + key.len());
    full.put_u8(table);
    full.put_slice(key);
    full.freeze()
}
