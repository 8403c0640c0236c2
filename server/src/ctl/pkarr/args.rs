//! The flags of `rowhouse ctl pkarr`.

use super::super::args::{Access, Output};

/// Flags of `rowhouse ctl pkarr`.
#[derive(clap::Args, Clone, Debug)]
pub struct PkarrArgs {
    #[command(flatten)]
    pub access: Access,
    /// List the users whose newest record names another homeserver, or none.
    #[arg(long, conflicts_with = "user")]
    pub left: bool,
    /// Show what is known of this user's record: a public key, z-base-32.
    #[arg(long, value_name = "USER")]
    pub user: Option<String>,
    /// With --left: at most so many.
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u16).range(1..=1000))]
    pub limit: u16,
    /// With --left: only those behind this user, which is the next page.
    #[arg(long, value_name = "USER")]
    pub after: Option<String>,
    /// Form of what is printed.
    #[arg(long, value_enum, default_value_t)]
    pub output: Output,
}
