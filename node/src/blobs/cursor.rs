//! How far compaction has come with the segment it works on.

/// Where the next step goes on.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cursor {
    pub(super) segment: u64,
    pub(super) place: Place,
}

/// A place in a segment.
#[derive(Clone, Copy, Debug)]
pub(super) enum Place {
    /// The offset of a record's header.
    Record(u64),
    /// The walk is over, yet entries are left: their headers cannot be read.
    Leftovers,
}
