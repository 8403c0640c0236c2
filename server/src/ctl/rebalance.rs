//! `rowhouse ctl cluster rebalance`: replicas are spread as evenly as they can be.

use std::time::{Duration, Instant};

use rowhouse_gateway::overview::View;
use rowhouse_proto::wire::meta::operate_request::Wish;
use serde::Serialize;

use super::args::{Access, Output};
use super::follow::{Sight, Waiting, follow};
use super::observer::Observer;
use super::operate::operate;
use crate::error::Error;

/// The wish may be fulfilled before the first look, or not be seen by it yet.
const SETTLED_AFTER: Duration = Duration::from_secs(3);

/// Flags of `rowhouse ctl cluster rebalance`.
#[derive(clap::Args, Clone, Debug)]
pub struct RebalanceArgs {
    /// End it: what moves already goes on, nothing else begins.
    #[arg(long)]
    pub off: bool,
    #[command(flatten)]
    pub waiting: Waiting,
    /// Form of what is printed.
    #[arg(long, value_enum, default_value_t)]
    pub output: Output,
    #[command(flatten)]
    pub access: Access,
}

#[derive(Debug, Serialize, PartialEq)]
struct Spreading {
    rebalancing: bool,
    moving: usize,
    /// Replicas of each node, by its name.
    replicas: Vec<(String, usize)>,
    done: bool,
}

/// Returns when the replicas are spread, unless told not to wait.
pub async fn rebalance(args: RebalanceArgs) -> Result<(), Error> {
    let mut observer = Observer::new(&args.access)?;
    let view = observer.look().await?;
    operate(&view, &observer.dialer, Wish::Rebalance(!args.off)).await?.accepted()?;
    if args.off || args.waiting.no_wait {
        let what =
            if args.off { "no replica moves any more only to even out" } else { "replicas are being spread" };
        return args.output.print_line(what, &serde_json::json!({ "rebalancing": !args.off }));
    }
    let asked = Instant::now();
    follow(&mut observer, args.waiting, args.output, |view| Ok(sight(view, asked.elapsed()))).await
}

fn sight(view: &View, asked: Duration) -> Sight<Spreading> {
    let moving = view.map.groups.iter().filter(|group| group.moving.is_some()).count();
    let done = !view.map.rebalance && moving == 0 && asked >= SETTLED_AFTER;
    let count = |info: &rowhouse_proto::wire::meta::NodeInfo| {
        (view.label(&info.node_uuid), view.groups_on(&info.node_uuid).count())
    };
    let replicas: Vec<(String, usize)> = view.map.nodes.iter().map(count).collect();
    let counts: Vec<String> = replicas.iter().map(|(name, count)| format!("{name} {count}")).collect();
    let what = if done { "spread evenly".to_owned() } else { format!("{moving} replicas move") };
    Sight {
        done,
        line: format!("{what}; replicas: {}", counts.join(", ")),
        detail: String::new(),
        json: Spreading { rebalancing: view.map.rebalance, moving, replicas, done },
    }
}
