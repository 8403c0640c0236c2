//! `rowhouse ctl token create`.

use rowhouse_proto::domain::quota::QuotaJson;
use serde_json::json;

use super::super::acting::{operator, refused};
use super::super::args::{Access, Output};
use super::super::quota_flags::QuotaFlags;
use crate::error::Error;

/// Flags of `rowhouse ctl token create`. The limits are those of the user who signs up with the token.
#[derive(clap::Args, Clone, Debug)]
pub struct CreateArgs {
    #[command(flatten)]
    pub quota: QuotaFlags,
    /// Form of what is printed.
    #[arg(long, value_enum, default_value_t)]
    pub output: Output,
    #[command(flatten)]
    pub access: Access,
}

/// Prints the token, and nothing else.
pub async fn create(args: CreateArgs) -> Result<(), Error> {
    let quota = args.quota.quota()?;
    let shown = QuotaJson::from(&quota);
    let token =
        operator(&args.access, "ctl token create").await?.create_token(quota).await.map_err(refused)?;
    args.output.print_line(&token, &json!({ "token": token, "quota": shown }))
}
