//! `rowhouse ctl token`: signup tokens, without which nobody signs up where the signup mode is `token_required`.

mod create;
mod list;
mod show;

use clap::Subcommand;

use crate::error::Error;

/// The commands below `rowhouse ctl token`.
#[derive(Subcommand, Debug)]
pub enum TokenCommand {
    /// Make a signup token, and print it.
    Create(create::CreateArgs),
    /// List tokens: which are used, and by whom.
    List(list::ListArgs),
    /// Show one token.
    Show(show::ShowArgs),
}

/// Does what was asked for.
pub async fn run(command: TokenCommand) -> Result<(), Error> {
    match command {
        TokenCommand::Create(args) => create::create(args).await,
        TokenCommand::List(args) => list::list(args).await,
        TokenCommand::Show(args) => show::show(args).await,
    }
}
