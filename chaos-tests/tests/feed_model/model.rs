//! Everything that may happen next: each interleaving of shards and reader within the bounds.

use stateright::{Model, Property};

use crate::properties;
use crate::reader::{Phase, Reader};
use crate::shard::{Bug, Command, REPLICAS, Shard, Tick};
use crate::world::{Feed, World};

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    Put {
        shard: usize,
        hlc: Tick,
    },
    Close {
        shard: usize,
        tick: Tick,
    },
    /// By a planted bug.
    Promise {
        shard: usize,
        tick: Tick,
    },
    Commit {
        shard: usize,
    },
    Elect {
        shard: usize,
        copied: Option<usize>,
    },
    Follow {
        shard: usize,
    },
    Restore {
        shard: usize,
    },
    Wipe {
        shard: usize,
    },
    BeginRound,
    AskLastEvent {
        shard: usize,
    },
    AskClosed {
        shard: usize,
        replica: usize,
    },
    BeginPage {
        limit: usize,
    },
    ReadShard {
        shard: usize,
        replica: usize,
    },
    MoveOn {
        kept: usize,
    },
}

impl Feed {
    fn shard_actions(&self, state: &World, index: usize, actions: &mut Vec<Action>) {
        let shard = &state.shards[index];
        if state.puts_left > 0 {
            let clocks = self.clocks.iter().filter(|hlc| **hlc > shard.led().promised);
            actions.extend(clocks.map(|hlc| Action::Put { shard: index, hlc: *hlc }));
        }
        if !shard.tails[shard.leader].is_empty() {
            actions.push(Action::Commit { shard: index });
        }
        if state.elections_left > 0 {
            let copies = (0..=shard.tails[shard.leader].len()).map(Some);
            actions.extend(copies.chain([None]).map(|copied| Action::Elect { shard: index, copied }));
        }
        if shard.lags() {
            actions.push(Action::Follow { shard: index });
            actions.push(Action::Restore { shard: index });
        }
        if shard.records[shard.follower()].applied > 0 {
            actions.push(Action::Wipe { shard: index });
        }
    }

    fn reader_actions(&self, state: &World, actions: &mut Vec<Action>) {
        let reader = &state.reader;
        let shards = 0..state.shards.len();
        match &reader.phase {
            Phase::Idle => {
                if state.rounds_left > 0 {
                    actions.push(Action::BeginRound);
                }
                if reader.frontier > 0 && !reader.is_at_frontier {
                    actions.extend(self.limits.iter().map(|limit| Action::BeginPage { limit: *limit }));
                }
                if reader.frontier > 0 {
                    actions.extend((0..=reader.pages.len()).map(|kept| Action::MoveOn { kept }));
                }
            }
            Phase::Asking { last_events } => {
                let unasked = shards.filter(|shard| last_events[*shard].is_none());
                actions.extend(unasked.map(|shard| Action::AskLastEvent { shard }));
            }
            Phase::Closing { tick, closed } => {
                for shard in shards.filter(|shard| closed[*shard].is_none()) {
                    self.closing_actions(&state.shards[shard], shard, *tick, actions);
                }
            }
            Phase::Reading { parts, .. } => {
                for shard in shards.filter(|shard| parts[*shard].is_none()) {
                    let records = &state.shards[shard].records;
                    let readable =
                        (0..REPLICAS).filter(|replica| reader.may_read(&records[*replica], self.bug));
                    actions.extend(readable.map(|replica| Action::ReadShard { shard, replica }));
                }
            }
        }
    }

    /// A leader that is not closed that far proposes a `Close`, unless one is under way.
    fn closing_actions(&self, shard: &Shard, index: usize, tick: Tick, actions: &mut Vec<Action>) {
        let closed = (0..REPLICAS).filter(|replica| shard.records[*replica].closed() >= tick);
        actions.extend(closed.map(|replica| Action::AskClosed { shard: index, replica }));
        let tail = &shard.tails[shard.leader];
        if shard.led().closed() >= tick {
            return;
        }
        let mut ticks: Vec<Tick> = self.clocks.iter().map(|hlc| tick.max(*hlc)).collect();
        ticks.dedup();
        if self.bug == Some(Bug::CloseWithoutEntry) {
            let is_idle = tail.is_empty();
            actions.extend(
                ticks.into_iter().filter(|_| is_idle).map(|tick| Action::Promise { shard: index, tick }),
            );
            return;
        }
        let is_under_way =
            tail.iter().any(|entry| matches!(entry.command, Command::Close { tick: it } if it >= tick));
        if !is_under_way {
            actions.extend(ticks.into_iter().map(|tick| Action::Close { shard: index, tick }));
        }
    }

    fn settle(state: &mut World, frontier: Tick) {
        let frontier = frontier.max(state.reader.frontier);
        let events = state.events_to(frontier);
        state.reader.settle(frontier, events);
    }
}

impl Model for Feed {
    type State = World;
    type Action = Action;

    fn init_states(&self) -> Vec<World> {
        vec![World {
            shards: vec![Shard::default(); self.shards],
            reader: Reader::new(self.shards),
            puts_left: self.puts,
            elections_left: self.elections,
            rounds_left: self.rounds,
        }]
    }

    fn actions(&self, state: &World, actions: &mut Vec<Action>) {
        for shard in 0..state.shards.len() {
            self.shard_actions(state, shard, actions);
        }
        self.reader_actions(state, actions);
    }

    fn next_state(&self, last: &World, action: Action) -> Option<World> {
        let mut state = last.clone();
        let bug = self.bug;
        match action {
            Action::Put { shard, hlc } => {
                state.puts_left -= 1;
                state.shards[shard].propose(Command::Put { hlc });
            }
            Action::Close { shard, tick } => state.shards[shard].propose(Command::Close { tick }),
            Action::Promise { shard, tick } => {
                let shard = &mut state.shards[shard];
                shard.records[shard.leader].promised = tick;
            }
            Action::Commit { shard } => state.shards[shard].commit(bug),
            Action::Elect { shard, copied } => {
                state.elections_left -= 1;
                state.shards[shard].elect(copied, bug);
            }
            Action::Follow { shard } => state.shards[shard].follow(bug),
            Action::Restore { shard } => state.shards[shard].restore(bug),
            Action::Wipe { shard } => state.shards[shard].wipe(),
            Action::BeginRound => {
                state.rounds_left -= 1;
                let acknowledged = state.shards.iter().map(|shard| shard.led().events.len()).collect();
                state.reader.ask(acknowledged);
            }
            Action::AskLastEvent { shard } => {
                let last_event = state.shards[shard].led().last_event();
                state.reader.told_last_event(shard, last_event);
            }
            Action::AskClosed { shard, replica } => {
                let closed = state.shards[shard].records[replica].closed();
                if let Some(frontier) = state.reader.told_closed(shard, closed) {
                    Self::settle(&mut state, frontier);
                }
            }
            Action::BeginPage { limit } => state.reader.begin_page(limit),
            Action::ReadShard { shard, replica } => {
                let record = &last.shards[shard].records[replica];
                state.reader.read(shard, record, bug);
            }
            Action::MoveOn { kept } => state.reader.move_on(kept),
        }
        Some(state)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        properties::all()
    }
}
