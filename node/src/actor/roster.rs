//! The actors of a node: the whole list, and what each of them runs.

use std::sync::Arc;
use std::time::Duration;

use rowhouse_raft::runtime::Runtime as _;
use tokio_util::sync::CancellationToken;

use super::{ActorFuture, Statuses, Supervisor, TaskKind};
use crate::chronicle::Chronicle;
use crate::coordinator::Coordinator;
use crate::feed::Marks;
use crate::local::Local;
use crate::objects::{self, Objects};
use crate::peers::{MapWatch, Monitor};
use crate::republish::Republisher;
use crate::shards::ShardSupervisor;
use crate::{Runtime, check, flush, log_watch};

/// Everything that the actors work on. It outlives each of their lives.
pub struct Actors {
    pub local: Arc<Local>,
    pub monitor: Monitor,
    pub map_watch: MapWatch,
    pub shards: ShardSupervisor,
    pub objects: Arc<Objects>,
    pub coordinator: Arc<Coordinator>,
    pub marks: Arc<Marks>,
    pub chronicle: Arc<Chronicle>,
    pub republisher: Arc<Republisher>,
    /// The states of all of them.
    pub statuses: Statuses,
    /// Applied state is made durable at least this often.
    pub flush_interval: Duration,
}

/// Begins one life of an actor, which ends when the token is cancelled.
type Start = fn(Arc<Actors>, CancellationToken) -> ActorFuture;

/// Every actor, in the order in which they start.
const ACTORS: [(TaskKind, Start); TaskKind::COUNT] = [
    (TaskKind::MapWatch, |on, stop| Box::pin(async move { on.map_watch.run(stop).await })),
    (TaskKind::ShardSupervisor, |on, stop| Box::pin(async move { on.shards.run(stop).await })),
    (TaskKind::Coordinator, |on, stop| Box::pin(async move { on.coordinator.run(stop).await })),
    (TaskKind::Peers, |on, stop| Box::pin(async move { on.monitor.run(stop).await })),
    (TaskKind::Flush, |on, stop| {
        Box::pin(async move { flush::run(&on.local, on.flush_interval, stop).await })
    }),
    (TaskKind::Check, |on, stop| Box::pin(async move { check::run(&on.local.host, stop).await })),
    (TaskKind::Space, |on, stop| Box::pin(async move { on.local.space.run(stop).await })),
    (TaskKind::LogWatch, |on, stop| Box::pin(async move { log_watch::run(&on.local, stop).await })),
    (TaskKind::Clock, |on, stop| Box::pin(async move { on.local.clock.run(stop).await })),
    (TaskKind::Collect, |on, stop| Box::pin(async move { objects::collect(&on.objects, stop).await })),
    (TaskKind::Fill, |on, stop| Box::pin(async move { objects::fill(&on.objects, stop).await })),
    (TaskKind::Erase, |on, stop| Box::pin(async move { objects::erase(&on.objects, stop).await })),
    (TaskKind::Sweep, |on, stop| Box::pin(async move { objects::sweep(&on.objects, stop).await })),
    (TaskKind::Scrub, |on, stop| Box::pin(async move { objects::scrub(&on.objects, stop).await })),
    (TaskKind::Marks, |on, stop| Box::pin(async move { on.marks.run(stop).await })),
    (TaskKind::Republish, |on, stop| Box::pin(async move { on.republisher.run(stop).await })),
    (TaskKind::Chronicle, |on, stop| Box::pin(async move { on.chronicle.run(stop).await })),
    (TaskKind::Drain, |on, stop| Box::pin(async move { on.local.drain.run(stop).await })),
];

impl Actors {
    /// A supervisor of all of them. They start when it runs, and end with `stop`.
    pub fn supervise(self: &Arc<Self>, stop: CancellationToken) -> Supervisor {
        let mut supervisor = Supervisor::new(stop, Runtime::random_u64, self.statuses.clone());
        for (kind, start) in ACTORS {
            let on = Arc::clone(self);
            supervisor.add(kind, move |stop| start(Arc::clone(&on), stop));
        }
        supervisor
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_actor_is_listed_once_and_in_the_order_of_starting() {
        assert!(ACTORS.is_sorted_by(|(before, _), (after, _)| before < after));
    }
}
