//! Waits for something that the cluster does by itself, and says how far it is.

use std::time::{Duration, Instant};

use rowhouse_gateway::overview::View;
use serde::Serialize;
use tokio::time::sleep;

use super::args::Output;
use super::observer::Observer;
use crate::error::Error;

/// The coordinator takes its steps as often.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// A number that only grows older is told as rarely.
const TELL_EVERY: Duration = Duration::from_secs(30);

/// How far it is.
pub struct Sight<T> {
    /// Nothing is left to wait for.
    pub done: bool,
    /// A line for people; told when it changes.
    pub line: String,
    /// What follows the line but does not make it new.
    pub detail: String,
    /// The same for scripts.
    pub json: T,
}

/// Flags of commands that may wait.
#[derive(clap::Args, Clone, Copy, Debug)]
pub struct Waiting {
    /// Return at once; the cluster goes on by itself.
    #[arg(long)]
    pub no_wait: bool,
    /// Stop waiting after this many seconds; the cluster goes on by itself.
    #[arg(long, default_value_t = 24 * 3600, value_name = "SECONDS")]
    pub timeout_s: u64,
}

/// Looks until `sight` says that it is done. Fails if it is not after the time that `waiting` gives, and when `sight`
/// fails. With `--no-wait` it does nothing.
pub async fn follow<T: Serialize>(
    observer: &mut Observer,
    waiting: Waiting,
    output: Output,
    mut sight: impl FnMut(&View) -> Result<Sight<T>, Error>,
) -> Result<(), Error> {
    if waiting.no_wait {
        return Ok(());
    }
    let until = Instant::now() + Duration::from_secs(waiting.timeout_s);
    let (mut told, mut told_at) = (String::new(), Instant::now());
    loop {
        match observer.look().await {
            Ok(view) => {
                let Sight { done, line, detail, json } = sight(&view)?;
                if line != told || done || told_at.elapsed() >= TELL_EVERY {
                    output.print_line(&format!("{line}{detail}"), &json)?;
                    (told, told_at) = (line, Instant::now());
                }
                if done {
                    return Ok(());
                }
            }
            // The nodes may all be restarting; what was begun goes on.
            Err(error) => tracing::warn!(%error, "no node answers; asking again"),
        }
        if Instant::now() >= until {
            return Err(Error::Failed(format!(
                "not done after {} s, and not stopped: the cluster goes on by itself (`rowhouse ctl status` shows it)",
                waiting.timeout_s
            )));
        }
        sleep(LOOK_EVERY).await;
    }
}
