//! `rowhouse ctl shard list`.

use rowhouse_gateway::overview::{group_table, moving_table, report};

use super::super::args::{Access, Output};
use super::super::observer::Observer;
use crate::error::Error;

/// Flags of `rowhouse ctl shard list`.
#[derive(clap::Args, Clone, Debug)]
pub struct ListArgs {
    /// Form of what is printed.
    #[arg(long, value_enum, default_value_t)]
    pub output: Output,
    #[command(flatten)]
    pub access: Access,
}

/// Prints a row for each shard, and for each replica on its way; as JSON, what `ctl status` has under `groups`.
pub async fn list(args: ListArgs) -> Result<(), Error> {
    let view = Observer::new(&args.access)?.look().await?;
    let groups = report(&view).groups;
    let text = || {
        let moving = moving_table(&groups).map(|table| format!("\n{table}")).unwrap_or_default();
        format!("{}{moving}", group_table(&groups))
    };
    args.output.print(text, &groups)
}
