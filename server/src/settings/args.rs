//! The flags that choose a configuration rather than being part of it, and those both processes have.

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

/// The flags of [tls], for nodes and gateways alike.
#[derive(clap::Args, Clone, Debug)]
pub struct TlsFlags {
    /// Certificate of this process for mutual TLS with the others of the cluster: PEM. It and the next two are
    /// read again when they change.
    #[arg(long, value_name = "PATH")]
    tls_cert: Option<String>,
    /// Key of the certificate: PEM, PKCS #8.
    #[arg(long, value_name = "PATH")]
    tls_key: Option<String>,
    /// Certificate of the cluster's CA; several while one replaces another.
    #[arg(long, value_name = "PATH")]
    tls_ca: Option<String>,
}

impl TlsFlags {
    pub fn set(self, flags: &mut Flags) {
        flags.set("tls.cert", self.tls_cert);
        flags.set("tls.key", self.tls_key);
        flags.set("tls.ca", self.tls_ca);
    }
}

impl ConfigArgs {
    pub fn load<T: Settings>(self, flags: Flags) -> Result<Loaded<T>, Error> {
        load(self.config.as_deref(), std::env::vars_os(), flags)
    }
}
