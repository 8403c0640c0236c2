//! `rowhouse ctl user`: the cluster's users, and what they may use.

mod disable;
mod list;
mod quota;
mod show;

use clap::Subcommand;

use crate::error::Error;

/// The commands below `rowhouse ctl user`.
#[derive(Subcommand, Debug)]
pub enum UserCommand {
    /// List users, by signup or by usage.
    List(list::ListArgs),
    /// Show one user.
    Show(show::ShowArgs),
    /// Disable a user: it keeps everything, may sign in, read and delete, and may not write.
    Disable(disable::DisableArgs),
    /// Enable a user again.
    Enable(disable::DisableArgs),
    /// Show or change what a user may use.
    #[command(subcommand)]
    Quota(quota::QuotaCommand),
}

/// Does what was asked for.
pub async fn run(command: UserCommand) -> Result<(), Error> {
    match command {
        UserCommand::List(args) => list::list(args).await,
        UserCommand::Show(args) => show::show(args).await,
        UserCommand::Disable(args) => disable::disable(args, true).await,
        UserCommand::Enable(args) => disable::disable(args, false).await,
        UserCommand::Quota(command) => quota::run(command).await,
    }
}
