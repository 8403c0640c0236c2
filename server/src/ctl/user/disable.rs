//! `rowhouse ctl user disable` and `enable`.

use rowhouse_gateway::operator::parse_user;
use serde_json::json;

use super::super::acting::{operator, refused};
use super::super::args::{Access, Output};
use crate::error::Error;

/// Flags of `rowhouse ctl user disable` and `enable`.
#[derive(clap::Args, Clone, Debug)]
pub struct DisableArgs {
    /// The user's public key, z-base-32.
    #[arg(value_name = "USER")]
    pub user: String,
    /// Form of what is printed.
    #[arg(long, value_enum, default_value_t)]
    pub output: Output,
    #[command(flatten)]
    pub access: Access,
}

/// Returns when it holds on every gateway. Fails for a user that does not exist.
pub async fn disable(args: DisableArgs, disabled: bool) -> Result<(), Error> {
    let user = parse_user(&args.user).map_err(refused)?;
    let (action, state) =
        if disabled { ("ctl user disable", "disabled") } else { ("ctl user enable", "enabled") };
    operator(&args.access, action).await?.disable(&user, disabled).await.map_err(refused)?;
    let json = json!({ "pubky": args.user, "disabled": disabled });
    args.output.print_line(&format!("{} is {state}", args.user), &json)
}
