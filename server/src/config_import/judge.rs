//! Keys whose end depends on their value, or on other keys.

use std::net::{Ipv4Addr, SocketAddr};

use figment::value::Value;

use super::asked::Asked;
use super::fate::{Fate, Source};

/// The password of every example, and the other program's default.
const DEFAULT_PASSWORD: &str = "admin";
/// Where a password is expected that the operator has yet to choose.
const PASSWORD_FILE: &str = "/etc/rowhouse/admin.password";

fn setting(path: &'static str, asked: &Asked<'_>) -> Option<Fate> {
    Some(Fate::Setting { path, value: asked.value.clone(), why: None })
}

/// The older of the two default quotas: 0 is no limit, and the younger one wins.
pub fn database_quota(asked: &Asked<'_>) -> Option<Fate> {
    let mb = asked.value.to_u128();
    Some(match asked.origin.in_file("storage.default_quota_mb") {
        Some(_) => Fate::Meaningless("`storage.default_quota_mb` is set, and wins there too"),
        None if mb == Some(0) => {
            Fate::Meaningless("0 is no limit, and without a default quota there is none")
        }
        None => Fate::Command { flag: "--storage-mb", value: asked.plain() },
    })
}

/// How a client's address is found on the listener for plain HTTP.
pub fn icann_identity(asked: &Asked<'_>) -> Option<Fate> {
    Some(identity("gateway.http_proxies", asked))
}

/// How a client's address is found on the listener for Pubky TLS.
pub fn pubky_identity(asked: &Asked<'_>) -> Option<Fate> {
    Some(identity("gateway.tls_proxies", asked))
}

fn identity(path: &'static str, asked: &Asked<'_>) -> Fate {
    match asked.value.find_ref("trusted_proxies") {
        Some(networks) => Fate::Setting { path, value: networks.clone(), why: None },
        None => Fate::Meaningless("without proxies the address of the connection is the client's"),
    }
}

pub fn storage_kind(asked: &Asked<'_>) -> Option<Fate> {
    Some(match asked.value.as_str() {
        Some("google_bucket") => {
            Fate::Missing("bodies are never in a bucket: they lie on the nodes' own disks")
        }
        _ => Fate::Meaningless("bodies lie on the nodes' own disks, below `node.data_dir`"),
    })
}

/// The other two keys of the section follow it.
pub fn admin_enabled(asked: &Asked<'_>) -> Option<Fate> {
    const WHY: &str = "with `admin.listen` there is an admin listener, without it there is none";
    (asked.source == Source::File).then_some(Fate::Meaningless(WHY))
}

/// The other key of the section follows it.
pub fn metrics_enabled(asked: &Asked<'_>) -> Option<Fate> {
    const WHY: &str = "with `metrics.listen` there is a metrics listener, without it there is none";
    (asked.source == Source::File).then_some(Fate::Meaningless(WHY))
}

/// Off is told by leaving out the address, and is the default there too.
pub fn metrics_listen(asked: &Asked<'_>) -> Option<Fate> {
    const TURNED_OFF: &str =
        "`metrics.enabled` is not true: without `metrics.listen` there is no metrics listener";
    if !asked.origin.metrics_are_on() {
        return (asked.source == Source::File).then_some(Fate::Meaningless(TURNED_OFF));
    }
    setting("metrics.listen", asked)
}

/// Off is told by leaving out the address. The listener stays on loopback: the way out is a decision of its own.
pub fn admin_listen(asked: &Asked<'_>) -> Option<Fate> {
    const PATH: &str = "admin.listen";
    const TURNED_OFF: &str = "`admin.enabled` is false: without `admin.listen` there is no admin listener";
    if !asked.origin.admin_is_on() {
        return (asked.source == Source::File).then_some(Fate::Meaningless(TURNED_OFF));
    }
    let address = asked.value.as_str().and_then(|text| text.parse::<SocketAddr>().ok());
    match address.filter(|address| !address.ip().is_loopback()) {
        None => setting(PATH, asked),
        Some(address) => Some(Fate::Setting {
            path: PATH,
            value: Value::from(SocketAddr::from((Ipv4Addr::LOCALHOST, address.port())).to_string()),
            why: Some(
                "it speaks plain HTTP and stays on loopback: put a proxy with TLS before it, or set \
                 `admin.behind_proxy` and the old address if one stands there",
            ),
        }),
    }
}

/// The default password is taken over for development alone.
pub fn admin_password(asked: &Asked<'_>) -> Option<Fate> {
    if !asked.origin.admin_is_on() {
        return (asked.source == Source::File).then_some(Fate::Meaningless("there is no admin listener"));
    }
    match asked.value.as_str() {
        Some(DEFAULT_PASSWORD) if !asked.origin.development => Some(Fate::Setting {
            path: "admin.password_file",
            value: Value::from(PASSWORD_FILE),
            why: Some(
                "everybody knows the password `admin`: write one of your own into that file, mode 0600",
            ),
        }),
        _ => setting("admin.password", asked),
    }
}

/// The empty text is a way to say "none".
pub fn domain(asked: &Asked<'_>) -> Option<Fate> {
    match asked.value.as_str() {
        Some("") => Some(Fate::Meaningless("without a domain `gateway.icann_domain` is left out")),
        _ => setting("gateway.icann_domain", asked),
    }
}

/// An empty list means what it says: nothing goes through the DHT.
pub fn bootstrap(asked: &Asked<'_>) -> Option<Fate> {
    published(asked, "pkarr.dht_bootstrap")
}

pub fn relays(asked: &Asked<'_>) -> Option<Fate> {
    published(asked, "pkarr.relays")
}

/// A development cluster tells the world nothing unless its file names servers.
fn published(asked: &Asked<'_>, path: &'static str) -> Option<Fate> {
    let told = asked.source == Source::File || !asked.origin.development;
    told.then(|| setting(path, asked)).flatten()
}

pub fn level(asked: &Asked<'_>) -> Option<Fate> {
    Some(Fate::Variable { name: "RUST_LOG", value: asked.plain() })
}
