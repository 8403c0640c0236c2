//! The actor: it hands users to looks, as many beside each other as there is room for, and as many a second as may be.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use rowhouse_proto::domain::slot::Slot;
use rowhouse_proto::domain::user::UserKey;
use rowhouse_proto::wire::command::command::Body;
use rowhouse_proto::wire::meta::{PacketStatus, VantagePoint};
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::counts::{Counts, Outcome};
use super::due::Due;
use super::hints::Hints;
use super::keeper::Keeper;
use super::own::Own;
use super::shard::{Shard, Timetable};
use super::tokens::Tokens;
use crate::local::Local;
use crate::network::Network;
use crate::peers::Cluster;
use crate::settings::PkarrConfig;
use crate::state::records;
use crate::{Error, Group, meta};

/// DHT clients for users' packets, each a socket and a thread. The measurements are in docs/benchmarks.md.
pub const SOCKETS: usize = 12;
/// Users looked at beside each other: three for each socket, and some for relays.
const IN_FLIGHT_MAX: usize = 48;
/// Work is handed out at least so often.
const BEAT: Duration = Duration::from_millis(250);
/// Beats between two looks for new users, and two counts of all users.
const NEW_USERS_EVERY: u64 = 4;
const COUNT_EVERY: u64 = 40;
/// A client that signs in publishes its packet behind that.
const SIGNED_IN_AFTER: Duration = Duration::from_secs(5);
/// A user whose look failed waits so long.
const AGAIN_AFTER: Duration = Duration::from_secs(300);
/// So many looks in a row that nobody answered, and the network is away.
const UNREACHABLE_MIN: u32 = 8;
/// While nobody on the network answers, one user at a time is tried so often.
const UNREACHABLE_PAUSE: Duration = Duration::from_secs(5);

/// One for each node.
pub struct Republisher {
    local: Arc<Local>,
    cluster: Arc<Cluster>,
    network: Option<Arc<dyn Network>>,
    interval: Duration,
    per_second: u64,
    started: Instant,
    counts: Counts,
    /// Users who just signed up or in.
    pub hints: Arc<Hints>,
}

/// Who wanted a look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Source {
    Pass,
    Due,
}

enum Done {
    Look { shard: u16, user: UserKey, source: Source, outcome: Outcome },
    Mark,
}

/// What one life of the actor remembers.
struct Work {
    shards: BTreeMap<u16, Shard>,
    due: Due,
    tokens: Tokens,
    tasks: JoinSet<Done>,
    paused_until: Option<Instant>,
    /// Looks that nobody answered since the last one that somebody did.
    unreachable: u32,
    own: Own,
    /// The shard that is asked last for another user.
    last_shard: u16,
    beats: u64,
}

impl Republisher {
    /// Without a network it does nothing, and with an interval of 0 nothing about users.
    pub fn new(
        local: Arc<Local>,
        cluster: Arc<Cluster>,
        network: Option<Arc<dyn Network>>,
        config: &PkarrConfig,
    ) -> Self {
        Self {
            local,
            cluster,
            network,
            interval: config.user_republish_interval_s,
            per_second: config.users_per_second,
            started: Instant::now(),
            counts: Counts::default(),
            hints: Arc::default(),
        }
    }

    /// Runs until stopped.
    pub async fn run(&self, stop: CancellationToken) -> Result<(), Error> {
        let Some(network) = self.network.clone() else {
            stop.cancelled().await;
            return Ok(());
        };
        let keeper = Arc::new(Keeper { local: self.local.clone(), cluster: self.cluster.clone(), network });
        let mut work = Work::new(self.per_second);
        let mut beats = interval(BEAT);
        beats.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                biased;
                () = stop.cancelled() => return Ok(()),
                Some(done) = work.tasks.join_next(), if !work.tasks.is_empty() => match done {
                    Ok(done) => self.ended(&mut work, done),
                    Err(error) => warn!(%error, "a task of the republisher ended early"),
                },
                _ = beats.tick() => self.beat(&mut work, &keeper)?,
            }
            self.hand_out(&mut work, &keeper);
        }
    }

    /// For operators.
    pub fn told(&self) -> PacketStatus {
        self.counts.told(self.local.clock.physical_us())
    }

    /// For operators.
    pub fn vantage_points(&self) -> Vec<VantagePoint> {
        self.network.as_ref().map(|network| network.told()).unwrap_or_default()
    }

    fn beat(&self, work: &mut Work, keeper: &Arc<Keeper>) -> Result<(), Error> {
        work.beats += 1;
        let chance = self.local.me.node_uuid.last().copied().unwrap_or_default();
        if let Some(packet) = work.own.due(&self.cluster.view.map().packet, chance, Instant::now()) {
            let keeper = keeper.clone();
            work.tasks.spawn(async move {
                keeper.stand_in(packet).await;
                Done::Mark
            });
        }
        if self.interval.is_zero() {
            return Ok(());
        }
        // Nothing is due before the time is known.
        let Some(now_ms) = self.local.clock.judged_ms() else { return Ok(()) };
        let timetable = Timetable::new(now_ms, self.interval, self.started.elapsed());
        self.follow_leaders(work, &timetable)?;
        let soon = Instant::now() + SIGNED_IN_AFTER;
        for (shard, user) in self.hints.take() {
            work.due.add(shard, user, soon);
        }
        let (look_for_new, may_mark) = (work.beats.is_multiple_of(NEW_USERS_EVERY), keeper.may_propose());
        for (id, shard) in &mut work.shards {
            shard.beat(&timetable)?;
            if look_for_new {
                for user in shard.new_users(now_ms)? {
                    work.due.add(*id, user, Instant::now());
                }
            }
            let Some(mark) = shard.mark(&timetable) else { continue };
            if mark.ended {
                info!(shard = id, "all users of a shard were looked at");
                self.counts.pass_ended();
            }
            if may_mark {
                let (keeper, group) = (keeper.clone(), shard.group.clone());
                work.tasks.spawn(async move {
                    keeper.propose(&group, Body::MarkPass(mark)).await;
                    Done::Mark
                });
            }
        }
        if work.beats % COUNT_EVERY == 1 {
            self.count(work)?;
        }
        Ok(())
    }

    /// A shard that is led anew begins with an empty memory.
    fn follow_leaders(&self, work: &mut Work, timetable: &Timetable) -> Result<(), Error> {
        let led = |group: &Arc<Group>| group.id() != meta::GROUP && group.is_leader();
        let led: BTreeMap<u16, Arc<Group>> =
            self.local.host.groups().into_iter().filter(led).map(|group| (group.id(), group)).collect();
        let before = work.shards.len();
        work.shards.retain(|id, shard| led.get(id).is_some_and(|group| Arc::ptr_eq(group, &shard.group)));
        if work.shards.len() < before {
            let count = self.cluster.view.map().shard_count;
            let shards = &work.shards;
            self.counts.retain(|user| is_of(user, count, |shard| shards.contains_key(&shard)));
        }
        for (id, group) in led {
            if !work.shards.contains_key(&id) && group.leads_a_majority() {
                work.shards.insert(id, Shard::open(group, timetable)?);
            }
        }
        Ok(())
    }

    fn count(&self, work: &Work) -> Result<(), Error> {
        let (mut users, mut kept, mut left) = (0, 0, 0);
        for shard in work.shards.values() {
            let row = shard.group.read_latest(|view| records::shard(view))?;
            users += row.users;
            kept += row.kept_packets;
            left += row.left_users;
        }
        self.counts.note_users(users, kept, left);
        Ok(())
    }

    fn hand_out(&self, work: &mut Work, keeper: &Arc<Keeper>) {
        let now = Instant::now();
        if work.paused_until.is_some_and(|until| now < until) {
            return;
        }
        // One goes first, to see whether the network is back.
        let room = if work.paused_until.is_some() { 1 } else { IN_FLIGHT_MAX };
        while work.tasks.len() < room && work.tokens.is_free() {
            let Some((group, user, source)) = work.next(now) else { return };
            work.tokens.take();
            let keeper = keeper.clone();
            work.tasks.spawn(async move {
                let (shard, outcome) = (group.id(), keeper.look_after(&group, &user).await);
                Done::Look { shard, user, source, outcome }
            });
        }
    }

    fn ended(&self, work: &mut Work, done: Done) {
        let Done::Look { shard, user, source, outcome } = done else { return };
        self.counts.note(&user, outcome, self.local.clock.physical_us());
        let now = Instant::now();
        match outcome {
            Outcome::Unreachable => {
                work.unreachable = work.unreachable.saturating_add(1);
                if work.unreachable >= UNREACHABLE_MIN {
                    work.paused_until = Some(now + UNREACHABLE_PAUSE);
                }
                match (source, work.pass_of(shard)) {
                    (Source::Pass, Some(pass)) => pass.put_back(user),
                    _ => work.due.add(shard, user, now + UNREACHABLE_PAUSE),
                }
                return;
            }
            Outcome::Slow | Outcome::Conflict => work.due.add(shard, user, now + AGAIN_AFTER),
            _ => {}
        }
        if outcome != Outcome::Slow {
            (work.paused_until, work.unreachable) = (None, 0);
        }
        if let (Source::Pass, Some(pass)) = (source, work.pass_of(shard)) {
            pass.done(&user);
        }
    }
}

impl Work {
    fn new(per_second: u64) -> Self {
        Self {
            shards: BTreeMap::new(),
            due: Due::default(),
            tokens: Tokens::new(per_second),
            tasks: JoinSet::new(),
            paused_until: None,
            unreachable: 0,
            own: Own::default(),
            last_shard: 0,
            beats: 0,
        }
    }

    fn pass_of(&mut self, shard: u16) -> Option<&mut super::pass::Pass> {
        self.shards.get_mut(&shard)?.pass.as_mut()
    }

    /// Those whose time has come go first; then one of each shard in turn.
    fn next(&mut self, now: Instant) -> Option<(Arc<Group>, UserKey, Source)> {
        while let Some((shard, user)) = self.due.pop(now) {
            // Another node leads the shard by now, and looks at its new users itself.
            if let Some(shard) = self.shards.get(&shard) {
                return Some((shard.group.clone(), user, Source::Due));
            }
        }
        let last = self.last_shard;
        let turn: Vec<u16> = self
            .shards
            .range(last.saturating_add(1)..)
            .chain(self.shards.range(..=last))
            .map(|(id, _)| *id)
            .collect();
        for id in turn {
            let Some(shard) = self.shards.get_mut(&id) else { continue };
            if let Some(user) = shard.pass.as_mut().and_then(super::pass::Pass::next) {
                self.last_shard = id;
                return Some((shard.group.clone(), user, Source::Pass));
            }
        }
        None
    }
}

fn is_of(user: &UserKey, shards: u32, is: impl Fn(u16) -> bool) -> bool {
    let shard = Slot::of_key(user).shard(shards);
    u16::try_from(shard).is_ok_and(is)
}
