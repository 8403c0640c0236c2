//! Looks again and again until it is interrupted.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use rowhouse_gateway::overview::{Interval, Report, interval, rates, report};
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::sleep;

use super::super::args::{Access, Output};
use super::super::observer::Observer;
use super::screen::Screen;
use super::table::text;
use crate::error::Error;

/// Flags of `rowhouse ctl top`.
#[derive(clap::Args, Clone, Debug)]
pub struct TopArgs {
    #[command(flatten)]
    pub access: Access,
    /// Seconds between two looks.
    #[arg(long, default_value = "1", value_parser = seconds, value_name = "SECONDS")]
    pub interval: Duration,
    /// Look twice, print the difference once, and end. Without a terminal tables are printed that way too.
    #[arg(long)]
    pub once: bool,
    /// Form of what is printed; json is one object a line and interval.
    #[arg(long, value_enum, default_value_t)]
    pub output: Output,
}

fn seconds(text: &str) -> Result<Duration, String> {
    const MIN_S: f64 = 0.1;
    const MAX_S: f64 = 3600.0;
    let seconds: f64 = text.parse().map_err(|_| format!("`{text}` is no number of seconds"))?;
    let allowed = (MIN_S..=MAX_S).contains(&seconds);
    if allowed {
        Ok(Duration::from_secs_f64(seconds))
    } else {
        Err(format!("from {MIN_S} to {MAX_S} seconds"))
    }
}

/// Shows the nodes until it is interrupted. Fails if no node answers the first look; later it goes on asking.
pub async fn top(args: TopArgs) -> Result<(), Error> {
    let (mut interrupted, mut terminated) =
        (ended_by(SignalKind::interrupt())?, ended_by(SignalKind::terminate())?);
    tokio::select! {
        done = looks(&args) => done,
        _ = interrupted.recv() => Ok(()),
        _ = terminated.recv() => Ok(()),
    }
}

fn ended_by(kind: SignalKind) -> Result<tokio::signal::unix::Signal, Error> {
    signal(kind).map_err(Error::failed("listen for signals"))
}

async fn looks(args: &TopArgs) -> Result<(), Error> {
    let mut observer = Observer::new(&args.access)?;
    let mut looked = (report(&observer.look().await?), Instant::now());
    let is_table = args.output == Output::Table;
    let wants_screen = is_table && !args.once;
    let mut screen = if wants_screen { Screen::enter().map_err(Error::failed("draw"))? } else { None };
    let once = args.once || (is_table && screen.is_none());
    if let Some(screen) = &mut screen {
        draw(screen, &interval(&looked.0, &BTreeMap::new(), 0.0), None)?;
    }
    loop {
        sleep(args.interval).await;
        let now = match observer.look().await {
            Ok(view) => (report(&view), Instant::now()),
            Err(error) if once => return Err(error),
            Err(error) => {
                match &mut screen {
                    Some(screen) => draw(screen, &interval(&looked.0, &BTreeMap::new(), 0.0), Some(&error))?,
                    None => tracing::warn!(%error, "no node answers; asking again"),
                }
                continue;
            }
        };
        let shown = difference(&looked, &now);
        match &mut screen {
            Some(screen) => draw(screen, &shown, None)?,
            None if once => return args.output.print(|| text(&shown), &shown),
            None => args.output.print_line("", &shown)?,
        }
        looked = now;
    }
}

fn difference(before: &(Report, Instant), now: &(Report, Instant)) -> Interval {
    let seconds = now.1.duration_since(before.1).as_secs_f64();
    interval(&now.0, &rates(&before.0, &now.0, seconds), seconds)
}

fn draw(screen: &mut Screen, shown: &Interval, problem: Option<&Error>) -> Result<(), Error> {
    let problem = problem.map(|error| format!("NO NODE ANSWERS, this is old: {error}\n")).unwrap_or_default();
    screen.draw(&format!("{problem}{}\nCtrl-C ends\n", text(shown))).map_err(Error::failed("draw"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn intervals_are_bounded() {
        assert_eq!(seconds("0.5"), Ok(Duration::from_millis(500)));
        for wrong in ["0", "-1", "0.01", "3601", "NaN", "soon", ""] {
            assert!(seconds(wrong).is_err(), "{wrong}");
        }
    }
}
