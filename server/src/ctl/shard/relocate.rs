//! `rowhouse ctl shard move`: a replica moves from one node to another.

use std::time::{Duration, Instant};

use rowhouse_gateway::overview::View;
use rowhouse_gateway::overview::report;
use rowhouse_proto::wire::meta::operate_request::Wish;
use rowhouse_proto::wire::meta::{GroupInfo, MoveWish};
use serde::Serialize;

use super::super::args::{Access, Output};
use super::super::follow::{Sight, Waiting, follow};
use super::super::observer::Observer;
use super::super::operate::{Verdict, operate};
use super::super::target::{Meant, find, find_holder};
use super::number::ShardNumber;
use crate::error::Error;

/// Flags of `rowhouse ctl shard move`.
#[derive(clap::Args, Clone, Debug)]
pub struct MoveArgs {
    /// The shard's number, or `meta`.
    pub shard: ShardNumber,
    /// The node that gives its replica away: its name, address, or the end of its uuid.
    #[arg(long, value_name = "NODE")]
    pub from: String,
    /// The node that gets one.
    #[arg(long, value_name = "NODE")]
    pub to: String,
    #[command(flatten)]
    pub waiting: Waiting,
    /// Form of what is printed.
    #[arg(long, value_enum, default_value_t)]
    pub output: Output,
    #[command(flatten)]
    pub access: Access,
}

/// Nodes learn of a new map within a second or two.
const MAP_WITHIN: Duration = Duration::from_secs(10);

/// A line of progress for scripts.
#[derive(Debug, Serialize)]
struct Progress {
    shard: String,
    to_uuid: String,
    progress: String,
    done: bool,
}

/// Returns when the replica has moved, unless told not to wait. Fails if the cluster gives the move up.
pub async fn relocate(args: MoveArgs) -> Result<(), Error> {
    let mut observer = Observer::new(&args.access)?;
    let view = observer.look().await?;
    let group = args.shard.0;
    let from = find_holder(&view, &args.from, group)?;
    let to = find(&view, &args.to, Meant::Living)?;
    let (from_node, to_node) = (from.node_uuid.clone(), to.node_uuid.clone());
    let wish = Wish::Move(MoveWish { group, from_node, to_node });
    if let Verdict::Refused(why) = operate(&view, &observer.dialer, wish).await? {
        // Asked a second time, for a person or because an answer was lost, it is under way already.
        if !moves_to(&observer.look().await?, group, &to.node_uuid) {
            return Err(Error::Failed(why));
        }
    }
    let ends = format!("from {} to {}", view.label(&from.node_uuid), view.label(&to.node_uuid));
    if args.waiting.no_wait {
        let json = serde_json::json!({ "shard": group, "to_uuid": hex::encode(&to.node_uuid) });
        return args.output.print_line(&format!("{} moves {ends}", args.shard), &json);
    }
    let (asked, mut seen) = (Instant::now(), false);
    let look = |view: &View| {
        seen |= moves_to(view, group, &to.node_uuid);
        let may_come = !seen && asked.elapsed() < MAP_WITHIN;
        sight(view, args.shard, &ends, (&from.node_uuid, &to.node_uuid), may_come)
    };
    follow(&mut observer, args.waiting, args.output, look).await
}

fn info(view: &View, group: u32) -> Option<&GroupInfo> {
    view.map.groups.iter().find(|info| info.group == group)
}

fn moves_to(view: &View, group: u32, to: &[u8]) -> bool {
    let moving = info(view, group).and_then(|info| info.moving.as_ref());
    moving.and_then(|moving| moving.add.as_ref()).is_some_and(|add| add.node_uuid == to)
}

/// `may_come`: the map may not show the move yet.
fn sight(
    view: &View,
    shard: ShardNumber,
    ends: &str,
    (from, to): (&[u8], &[u8]),
    may_come: bool,
) -> Result<Sight<Progress>, Error> {
    // It has arrived also if it moved on since, to even nodes out: what it came from has none.
    let is_there = info(view, shard.0).is_some_and(|info| {
        let has = |node: &[u8]| info.places().any(|it| it.node_uuid == node);
        info.moving.is_none() && has(to) || !has(from)
    });
    if !is_there && !may_come && !moves_to(view, shard.0, to) {
        return Err(Error::Failed(format!(
            "the move of {shard} {ends} was given up; the node's log says why"
        )));
    }
    let at = view.map.groups.iter().position(|info| info.group == shard.0);
    let moving = at.and_then(|at| report(view).groups.into_iter().nth(at)).and_then(|group| group.moving);
    let progress = match moving {
        Some(moving) => moving.described(),
        None if is_there => "done".to_owned(),
        None => "about to begin".to_owned(),
    };
    Ok(Sight {
        done: is_there,
        line: format!("{shard} {ends}: {progress}"),
        detail: String::new(),
        json: Progress { shard: shard.to_string(), to_uuid: hex::encode(to), progress, done: is_there },
    })
}
