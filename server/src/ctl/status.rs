//! `rowhouse ctl status`: how the whole cluster is, for people, for scripts, and as an exit code.

use rowhouse_gateway::overview::{Health, report, text};

use super::args::{Access, Output};
use super::observer::Observer;
use crate::error::{EXIT_USAGE, Error};

/// The exit code of `--check` when nobody could be asked: "unknown" of monitoring plugins.
const EXIT_UNKNOWN: u8 = 3;

/// Flags of `rowhouse ctl status`.
#[derive(clap::Args, Clone, Debug)]
pub struct StatusArgs {
    #[command(flatten)]
    pub access: Access,
    /// Form of what is printed.
    #[arg(long, value_enum, default_value_t)]
    pub output: Output,
    /// Print only what is wrong, and say it in the exit code: 0 every shard has a leader and all its replicas, complete,
    /// and no node is away; 1 all is served, but less is there than should be; 2 a shard has no leader; 3 no node
    /// answers.
    #[arg(long)]
    pub check: bool,
}

/// Prints the status of all nodes, found through one of them. Fails if that one does not answer, and with `--check` if
/// the cluster is not as it should be.
pub async fn status(args: StatusArgs) -> Result<(), Error> {
    let looked = async { Observer::new(&args.access)?.look().await }.await;
    let view = looked.map_err(|error| if args.check { unknown(error) } else { error })?;
    let report = report(&view);
    if !args.check {
        return args.output.print(|| text(&report), &report);
    }
    let verdict = format!("{}: {}", report.health.as_str(), counted(report.nodes.len(), report.groups.len()));
    let lines: String = report.warnings.iter().map(|line| format!("! {line}\n")).collect();
    args.output.print(|| format!("{verdict}\n{lines}"), &report)?;
    match report.health {
        Health::Ok => Ok(()),
        health => Err(Error::Unwell { code: health.exit_code(), text: health.as_str().to_owned() }),
    }
}

fn counted(nodes: usize, groups: usize) -> String {
    format!("{nodes} nodes, {groups} groups")
}

/// Flags that make no sense stay what they are.
fn unknown(error: Error) -> Error {
    if error.exit_code() == EXIT_USAGE {
        return error;
    }
    Error::Unwell { code: EXIT_UNKNOWN, text: error.to_string() }
}
