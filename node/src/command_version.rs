//! Commands in the log carry the version they were proposed under; this program understands a range of them.
//!
//! An entry it does not understand is never skipped: other replicas apply it, and this one would be another state
//! without knowing. Its replica stops there until a program comes that can go on.

use bytes::Bytes;
use prost::Message;
use rowhouse_proto::VersionRange;
use rowhouse_proto::wire::command::{Command, MetaCommand, command, meta_command};
use rowhouse_raft::{EntryContext, Error};

/// A command of either kind of log.
pub(crate) trait Versioned: Message + Default {
    /// The action that it asks for.
    type Body;

    fn version(&self) -> u32;

    /// `None` also of one this program does not know.
    fn take_body(&mut self) -> Option<Self::Body>;
}

impl Versioned for Command {
    type Body = command::Body;

    fn version(&self) -> u32 {
        self.version
    }

    fn take_body(&mut self) -> Option<Self::Body> {
        self.body.take()
    }
}

impl Versioned for MetaCommand {
    type Body = meta_command::Body;

    fn version(&self) -> u32 {
        self.version
    }

    fn take_body(&mut self) -> Option<Self::Body> {
        self.body.take()
    }
}

/// The command of an entry and, apart from it, its body: whole and understood.
pub(crate) fn decode<C: Versioned>(
    bytes: &Bytes,
    known: VersionRange,
    at: EntryContext<'_>,
) -> Result<(C, C::Body), Error> {
    let refuse = |found: String| {
        let detail = format!(
            "{found}; this program understands command version {known}, start one that understands the entry"
        );
        Error::Unapplicable { group: at.group, index: at.index, detail }
    };
    // Also of a version this program does not know: its number stands where it always stood.
    let mut command =
        C::decode(bytes.clone()).map_err(|error| refuse(format!("it is no command: {error}")))?;
    let version = command.version();
    if !known.contains(version) {
        return Err(refuse(format!("its command version is {version}")));
    }
    // Fields that were not understood were not kept (`rowhouse_raft::codec::decode_whole`).
    let whole = command.encoded_len() == bytes.len();
    match command.take_body() {
        Some(body) if whole => Ok((command, body)),
        _ => Err(refuse(format!(
            "it says command version {version}, but holds what that version does not have"
        ))),
    }
}
