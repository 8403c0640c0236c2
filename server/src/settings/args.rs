//! The command line of a process with settings: the flags of its keys, and those that choose a configuration.

use std::path::PathBuf;

use super::flags::KeyFlags;
use super::load::{Loaded, Settings, load};
use crate::error::Error;

/// The flags of `rowhouse node` or `rowhouse gateway`.
#[derive(clap::Args, Debug)]
pub struct ConfigArgs<T: Settings> {
    /// TOML file with settings; ROWHOUSE_SECTION__KEY and flags override it.
    #[arg(long, value_name = "PATH", env = "ROWHOUSE_CONFIG")]
    config: Option<PathBuf>,
    /// Print the effective configuration without secrets, then end.
    #[arg(long)]
    pub print_config: bool,
    #[command(flatten)]
    flags: KeyFlags<T>,
}

impl<T: Settings> ConfigArgs<T> {
    /// The settings from all sources. Fails with exit code 64 and everything that is wrong with them.
    pub fn load(self) -> Result<Loaded<T>, Error> {
        load(self.config.as_deref(), std::env::vars_os(), self.flags.layer)
    }
}
