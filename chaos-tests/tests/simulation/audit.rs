//! What an auditor of the feed did.

/// What an auditor did, counted so that one that read nothing can be refused.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Audit {
    /// Rounds that settled a frontier, and those that could not.
    pub rounds: u32,
    pub unsettled: u32,
    /// Entries that close a shard and write nothing else.
    pub closes: u32,
    pub pages: u32,
    /// Replicas that were not closed up to the frontier when they were asked for a page.
    pub behind: u32,
    /// Pages from an old cursor.
    pub resumed: u32,
    pub events: u32,
}

impl Audit {
    pub fn add(&mut self, other: &Self) {
        self.rounds += other.rounds;
        self.unsettled += other.unsettled;
        self.closes += other.closes;
        self.pages += other.pages;
        self.behind += other.behind;
        self.resumed += other.resumed;
        self.events += other.events;
    }
}
