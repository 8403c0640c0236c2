//! `rowhouse ctl user quota`.

use clap::Subcommand;
use rowhouse_gateway::operator::{QuotaItem, parse_user};

use super::super::acting::{operator, refused};
use super::super::args::{Access, Output};
use super::super::quota_flags::{QuotaFlags, in_words};
use super::show::{ShowArgs, item};
use crate::error::Error;

/// The commands below `rowhouse ctl user quota`.
#[derive(Subcommand, Debug)]
pub enum QuotaCommand {
    /// Show what a user may use.
    Get(ShowArgs),
    /// Change what a user may use. Limits that are not named stay.
    Set(SetArgs),
}

/// Flags of `rowhouse ctl user quota set`.
#[derive(clap::Args, Clone, Debug)]
pub struct SetArgs {
    /// The user's public key, z-base-32.
    #[arg(value_name = "USER")]
    pub user: String,
    #[command(flatten)]
    pub quota: QuotaFlags,
    /// Form of what is printed.
    #[arg(long, value_enum, default_value_t)]
    pub output: Output,
    #[command(flatten)]
    pub access: Access,
}

/// Prints the quota, after the change if there is one.
pub async fn run(command: QuotaCommand) -> Result<(), Error> {
    let (quota, output) = match command {
        QuotaCommand::Get(args) => {
            let operator = operator(&args.access, "ctl user quota get").await?;
            (item(&operator, &args.user).await?.quota, args.output)
        }
        QuotaCommand::Set(args) => {
            let user = parse_user(&args.user).map_err(refused)?;
            let patch = args.quota.patch()?.ok_or_else(|| Error::Usage("name a limit to change".into()))?;
            let operator = operator(&args.access, "ctl user quota set").await?;
            operator.change_quota(&user, patch).await.map_err(refused)?;
            (item(&operator.renewed(), &args.user).await?.quota, args.output)
        }
    };
    output.print(|| text(&quota), &quota)
}

fn text(quota: &QuotaItem) -> String {
    format!("effective  {}\noverrides  {}\n", in_words(&quota.effective), in_words(&quota.overrides))
}
