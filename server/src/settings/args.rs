//! The flags that choose a configuration rather than being part of it.

use std::path::PathBuf;

use super::layer::Flags;
use super::load::{Loaded, Settings, load};
use crate::error::Error;

#[derive(clap::Args, Clone, Debug)]
pub struct ConfigArgs {
    /// TOML file with settings; ROWHOUSE_SECTION__KEY and flags override it.
    #[arg(long, value_name = "PATH", env = "ROWHOUSE_CONFIG")]
    config: Option<PathBuf>,
    /// Print the effective configuration without secrets, then end.
    #[arg(long)]
    pub print_config: bool,
}

impl ConfigArgs {
    pub fn load<T: Settings>(self, flags: Flags) -> Result<Loaded<T>, Error> {
        load(self.config.as_deref(), std::env::vars_os(), flags)
    }
}
