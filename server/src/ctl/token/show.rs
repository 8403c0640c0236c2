//! `rowhouse ctl token show`.

use rowhouse_gateway::operator::TokenItem;

use super::super::acting::{operator, refused};
use super::super::args::{Access, Output};
use super::list::table;
use crate::error::Error;

/// Flags of `rowhouse ctl token show`.
#[derive(clap::Args, Clone, Debug)]
pub struct ShowArgs {
    /// The token, as it was printed.
    #[arg(value_name = "TOKEN")]
    pub token: String,
    /// Form of what is printed.
    #[arg(long, value_enum, default_value_t)]
    pub output: Output,
    #[command(flatten)]
    pub access: Access,
}

/// Prints one token. Fails for one that was never made.
pub async fn show(args: ShowArgs) -> Result<(), Error> {
    let found = operator(&args.access, "ctl token show").await?.token(&args.token).await.map_err(refused)?;
    let item = TokenItem::from(&found);
    args.output.print(|| table(std::slice::from_ref(&item)).to_string(), &item)
}
