//! `rowhouse ctl node list`.

use rowhouse_gateway::overview::{node_table, report};

use super::super::args::{Access, Output};
use super::super::observer::Observer;
use crate::error::Error;

/// Flags of `rowhouse ctl node list`.
#[derive(clap::Args, Clone, Debug)]
pub struct ListArgs {
    /// Form of what is printed.
    #[arg(long, value_enum, default_value_t)]
    pub output: Output,
    #[command(flatten)]
    pub access: Access,
}

/// Prints a row for each identity; as JSON, what `ctl status` has under `nodes`.
pub async fn list(args: ListArgs) -> Result<(), Error> {
    let view = Observer::new(&args.access)?.look().await?;
    let report = report(&view);
    args.output.print(|| node_table(&report.nodes).to_string(), &report.nodes)
}
