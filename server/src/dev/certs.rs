//! Certificates of a development cluster with `--mtls`: made once, in its data folder.

use std::path::{Path, PathBuf};

use rowhouse_peer::CertificateFiles;

use super::args::DevArgs;
use crate::certificates::TlsArgs;
use crate::ctl::{self, CreateArgs};
use crate::error::Error;

const CLUSTER: &str = "dev";
/// As long as anybody keeps a development cluster.
const DAYS: u32 = 3_650;
/// The certificate of this process, and of the person before it.
pub const OPERATOR: &str = "operator";

/// The folder of all certificates below the data folder `root`.
pub fn folder(root: &Path) -> PathBuf {
    root.join("certs")
}

/// The certificate of the component called `name`.
pub fn tls_args(root: &Path, name: &str) -> TlsArgs {
    TlsArgs::new(CertificateFiles::in_folder(&folder(root), name))
}

/// Makes the certificates that are not there yet, for so many nodes.
pub fn prepare(root: &Path, args: &DevArgs, nodes: usize) -> Result<(), Error> {
    let wanted = CreateArgs {
        out: folder(root),
        cluster: CLUSTER.to_owned(),
        nodes: (1..=nodes).map(|number| format!("node-{number}")).collect(),
        gateways: (1..=args.gateway_ips.len()).map(|number| format!("gateway-{number}")).collect(),
        ctls: vec![OPERATOR.to_owned()],
        days: DAYS,
        missing: true,
    };
    ctl::create_certs(&wanted).map(drop)
}
