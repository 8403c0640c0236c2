//! A shard as small as it can be: one Raft log, and two replicas that apply it, one of which leads.
//!
//! Clocks need no state. A proposal may carry any reading, so clocks differ, stand still and go back, and a proposal
//! may be as old as it likes when it reaches the log.

/// Event time.
pub type Tick = u8;

/// A leader, and the replica that leads after it.
pub const REPLICAS: usize = 2;

/// A mistake that the model must find.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bug {
    /// An event's time is the proposer's clock, and apply does not lift it above what is closed.
    IdsAtPropose,
    /// A page has whatever the shard has.
    EmitPastFrontier,
    /// A snapshot brings the events, and their last time for the closed one.
    ForgetLastT,
    /// An idle leader closes by its clock, and no entry says so. It keeps its word, but its successor knows nothing.
    CloseWithoutEntry,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Command {
    /// Writes an event.
    Put {
        hlc: Tick,
    },
    Close {
        tick: Tick,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Entry {
    /// Of the leader that proposed it.
    pub term: u8,
    pub command: Command,
}

/// A replica's applied state.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Record {
    /// So many entries of the log.
    pub applied: usize,
    pub last_t: Tick,
    /// Event times in log order.
    pub events: Vec<Tick>,
    /// What it told to be closed without an entry; only by a planted bug.
    pub promised: Tick,
}

impl Record {
    fn apply(&mut self, command: Command, bug: Option<Bug>) {
        match command {
            Command::Put { hlc } => {
                let t = if bug == Some(Bug::IdsAtPropose) { hlc } else { hlc.max(self.last_t + 1) };
                self.last_t = self.last_t.max(t);
                self.events.push(t);
            }
            Command::Close { tick } => self.last_t = self.last_t.max(tick),
        }
        self.applied += 1;
    }

    /// No event at or below it will follow.
    pub fn closed(&self) -> Tick {
        self.last_t.max(self.promised)
    }

    /// Time of the newest event; 0: none.
    pub fn last_event(&self) -> Tick {
        self.events.last().copied().unwrap_or(0)
    }
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Shard {
    /// Committed entries.
    pub log: Vec<Entry>,
    /// What each replica's log has beyond them: proposals that may commit, or never.
    pub tails: [Vec<Entry>; REPLICAS],
    pub leader: usize,
    pub term: u8,
    pub records: [Record; REPLICAS],
}

impl Shard {
    pub fn follower(&self) -> usize {
        1 - self.leader
    }

    /// The leader's state. It has applied everything committed: before, it answers nothing.
    pub fn led(&self) -> &Record {
        &self.records[self.leader]
    }

    pub fn lags(&self) -> bool {
        self.records[self.follower()].applied < self.log.len()
    }

    pub fn propose(&mut self, command: Command) {
        let entry = Entry { term: self.term, command };
        self.tails[self.leader].push(entry);
    }

    /// The leader's oldest proposal. Another log that has something else in its place loses that and what follows.
    pub fn commit(&mut self, bug: Option<Bug>) {
        let entry = self.tails[self.leader].remove(0);
        let follower = self.follower();
        let other = &mut self.tails[follower];
        if other.first() == Some(&entry) {
            other.remove(0);
        } else {
            other.clear();
        }
        self.log.push(entry);
        self.apply_all(self.leader, bug);
    }

    /// The other replica leads: with its own proposals of before, or with the first `copied` of the old leader's. Those
    /// of the old leader stay in its log meanwhile.
    pub fn elect(&mut self, copied: Option<usize>, bug: Option<Bug>) {
        let elected = self.follower();
        if let Some(copied) = copied {
            self.tails[elected] = self.tails[self.leader][..copied].to_vec();
        }
        self.leader = elected;
        self.term += 1;
        self.apply_all(elected, bug);
    }

    /// The follower applies one entry.
    pub fn follow(&mut self, bug: Option<Bug>) {
        let follower = self.follower();
        self.apply_next(follower, bug);
    }

    /// The follower's state becomes a snapshot of the leader's.
    pub fn restore(&mut self, bug: Option<Bug>) {
        let mut snapshot = self.led().clone();
        snapshot.promised = 0;
        if bug == Some(Bug::ForgetLastT) {
            snapshot.last_t = snapshot.last_event();
        }
        self.records[self.follower()] = snapshot;
    }

    /// The follower starts again from an empty disk.
    pub fn wipe(&mut self) {
        self.records[self.follower()] = Record::default();
    }

    fn apply_all(&mut self, replica: usize, bug: Option<Bug>) {
        while self.records[replica].applied < self.log.len() {
            self.apply_next(replica, bug);
        }
    }

    fn apply_next(&mut self, replica: usize, bug: Option<Bug>) {
        let record = &mut self.records[replica];
        record.apply(self.log[record.applied].command, bug);
    }

    /// Every event that any replica has applied.
    pub fn events(&self) -> &[Tick] {
        let most = self.records.iter().max_by_key(|record| record.applied);
        most.map_or(&[], |record| &record.events)
    }
}
