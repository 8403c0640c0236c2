//! What nodes and gateways are both told.

use std::net::SocketAddr;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::key::{Key, Kind, key};

#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct SecretSection {
    pub homeserver_secret_file: PathBuf,
}

pub const HOMESERVER_SECRET_FILE: Key = key(
    "secret.homeserver_secret_file",
    Kind::Path,
    "File with the homeserver's secret key: 64 hexadecimal digits, readable by its owner alone.",
)
.required("/etc/rowhouse/homeserver.secret")
.flag("--homeserver-secret-file");

#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct ProbesSection {
    pub listen: Option<SocketAddr>,
}

pub const PROBES_LISTEN: Key = key(
    "probes.listen",
    Kind::Address,
    "Address that answers startup, liveness and readiness probes over HTTP: /startupz, /livez, /readyz.",
)
.unset("no probe listener")
.flag("--probe-listen");

pub const HOST_PORTS: Kind = Kind::List(&Kind::HostPort);
pub const URLS: Kind = Kind::List(&Kind::Url);
