//! What a gateway is told at start. Owned by whoever composes the process; never reloaded.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use rowhouse_peer::{Certificates, Role};

use crate::Error;

/// The password every example uses; accepted only where the operator says that this is a development cluster.
const DEFAULT_ADMIN_PASSWORD: &str = "admin";
/// The key of every Pubky testnet: anybody can be this homeserver.
const TESTNET_SECRET: [u8; 32] = [0; 32];

/// Configuration of one gateway.
#[derive(Clone)]
pub struct GatewayConfig {
    pub http_listen: SocketAddr,
    pub tls_listen: SocketAddr,
    /// `None`: no admin listener.
    pub admin_listen: Option<SocketAddr>,
    pub admin_password: String,
    /// A development cluster: the default admin password is accepted, and the testnet's key beyond loopback.
    pub development: bool,
    /// Mutual TLS with the nodes; `None`: plaintext, and no listener that other machines can reach. Whoever
    /// composes the process refreshes them.
    pub certificates: Option<Arc<Certificates>>,
    pub homeserver_secret: [u8; 32],
    /// `host:port` of some nodes; the others are learned from the map.
    pub nodes: Vec<String>,
    pub public_ip: IpAddr,
    /// `None`: the port that was bound.
    pub public_tls_port: Option<u16>,
    pub public_http_port: Option<u16>,
    pub icann_domain: Option<String>,
    /// Tell the coordinator that this gateway's address may be published.
    pub announce: bool,
    pub limits: Limits,
}

impl GatewayConfig {
    /// A gateway on loopback ports chosen by the system, without an admin listener.
    pub fn new(homeserver_secret: [u8; 32], nodes: Vec<String>) -> Self {
        let any_port = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        Self {
            http_listen: any_port,
            tls_listen: any_port,
            admin_listen: None,
            admin_password: String::new(),
            development: false,
            certificates: None,
            homeserver_secret,
            nodes,
            public_ip: IpAddr::V4(Ipv4Addr::LOCALHOST),
            public_tls_port: None,
            public_http_port: None,
            icann_domain: None,
            announce: true,
            limits: Limits::default(),
        }
    }

    pub fn validate(&self) -> Result<(), Error> {
        let listeners = [Some(self.http_listen), Some(self.tls_listen), self.admin_listen];
        let beyond = listeners.into_iter().flatten().find(|address| !address.ip().is_loopback());
        match (&self.certificates, beyond) {
            (Some(certificates), _) => validate_subject(certificates)?,
            (None, Some(address)) => return Err(Error::BeyondLoopback(address)),
            (None, None) => {}
        }
        if self.homeserver_secret == TESTNET_SECRET && beyond.is_some() && !self.development {
            return Err(Error::Config(
                "the homeserver's secret is the testnet's, which everybody knows: make one of your own, pass \
                 --development, or listen on loopback addresses"
                    .into(),
            ));
        }
        self.validate_values()
    }

    /// All that can be judged without the files the configuration names.
    pub fn validate_values(&self) -> Result<(), Error> {
        if self.nodes.is_empty() {
            return Err(Error::Config("at least one node address is needed".into()));
        }
        if self.admin_listen.is_some() {
            self.validate_admin_password()?;
        }
        if self.announce { validate_public_ip(self.public_ip) } else { Ok(()) }
    }

    fn validate_admin_password(&self) -> Result<(), Error> {
        if self.admin_password.is_empty() {
            return Err(Error::Config("the admin listener needs a password".into()));
        }
        if self.admin_password == DEFAULT_ADMIN_PASSWORD && !self.development {
            return Err(Error::Config("the default admin password is for development clusters only".into()));
        }
        Ok(())
    }
}

/// What the homeserver's record names must be one machine.
fn validate_public_ip(ip: IpAddr) -> Result<(), Error> {
    let what = match ip.to_canonical() {
        ip if ip.is_unspecified() => "stands for every address of this machine, and for none outside of it",
        ip if ip.is_multicast() => "is a multicast address",
        IpAddr::V4(ip) if ip.is_broadcast() => "is the broadcast address",
        _ => return Ok(()),
    };
    Err(Error::Config(format!(
        "the homeserver's record would send clients to {ip}, which {what}: set `gateway.public_ip` (--public-ip) \
         to the address at which clients reach this gateway, or `gateway.announce` to false (--no-announce)"
    )))
}

fn validate_subject(certificates: &Certificates) -> Result<(), Error> {
    let subject = certificates.subject();
    match subject.role() {
        Role::Gateway => Ok(()),
        Role::Node | Role::Ctl => {
            let cert = certificates.files().cert.display();
            Err(Error::Config(format!("this is a gateway, but the certificate in {cert} is of {subject}")))
        }
    }
}

/// Every bound a client can run into.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Open client connections; more are closed at once. 10 000 idle ones are ordinary (a client keeps
    /// one per user it reads), so twice that.
    pub connections_max: usize,
    /// Requests waiting for a shard. Ten times what two cores can serve in the time a client waits.
    pub requests_max: usize,
    /// Bytes of request and response bodies held at once: 1 024 of the largest inline bodies.
    pub body_bytes_max: usize,
    /// Bytes of chunks of larger bodies held at once. They wait for their turn, so this bounds memory and
    /// not clients: 128 chunks, two for each of 64 transfers going at full speed.
    pub chunk_bytes_max: usize,
    /// From the first byte of a request head to its last.
    pub head_timeout: Duration,
    /// Between requests. Longer than the 90 s for which the SDK's pool keeps a connection, so that the
    /// client closes first and no request meets a closing socket.
    pub idle_timeout: Duration,
    /// A whole request body; of one in chunks, no byte for this long, or no room for its next chunk.
    pub body_timeout: Duration,
    /// A client that takes no byte of a response for this long is gone.
    pub write_timeout: Duration,
    /// TLS handshakes: two round trips, generously.
    pub handshake_timeout: Duration,
    /// From the arrival of a request until retries stop (docs/rules/consensus.md#a-request-applies-once).
    pub retry_timeout: Duration,
    /// A request that arrives before the first map waits this long for it.
    pub map_timeout: Duration,
    /// A stopping gateway answers what is asked on open connections for this long, each time as the last.
    pub idle_linger: Duration,
    /// Then requests in flight have this long to end.
    pub shutdown_timeout: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections_max: 20_000,
            requests_max: 4_096,
            body_bytes_max: 64 * 1024 * 1024,
            chunk_bytes_max: 128 * 1024 * 1024,
            head_timeout: Duration::from_secs(15),
            idle_timeout: Duration::from_secs(100),
            body_timeout: Duration::from_secs(30),
            write_timeout: Duration::from_secs(30),
            handshake_timeout: Duration::from_secs(10),
            retry_timeout: Duration::from_secs(30),
            map_timeout: Duration::from_secs(5),
            idle_linger: Duration::from_secs(3),
            shutdown_timeout: Duration::from_secs(5),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Issuer;

    fn config() -> GatewayConfig {
        GatewayConfig::new([7; 32], vec!["127.0.0.1:1".into()])
    }

    #[test]
    fn listeners_beyond_loopback_need_leave() {
        let mut config = config();
        assert!(config.validate().is_ok());
        config.tls_listen = "0.0.0.0:0".parse().expect("address");
        let error = config.validate().expect_err("nobody is authenticated");
        assert!(matches!(error, Error::BeyondLoopback(_)), "{error}");
        assert!(error.to_string().contains("rowhouse ctl certs create"), "{error}");
        let issuer = Issuer::new();
        config.certificates = Some(issuer.certificates(Role::Node, "n1"));
        assert!(matches!(config.validate(), Err(Error::Config(_))), "the certificate of a node");
        config.certificates = Some(issuer.certificates(Role::Gateway, "g1"));
        assert!(config.validate().is_ok());
    }

    #[test]
    fn only_the_address_of_one_machine_is_announced() {
        let with = |ip: &str, announce| {
            GatewayConfig { public_ip: ip.parse().expect("an address"), announce, ..config() }.validate()
        };
        for ip in ["0.0.0.0", "::", "::ffff:0.0.0.0", "224.0.0.1", "ff02::1", "255.255.255.255"] {
            let error = with(ip, true).expect_err(ip).to_string();
            assert!(error.contains(ip) && error.contains("--public-ip"), "{error}");
            assert!(with(ip, false).is_ok(), "{ip} is told to nobody");
        }
        for ip in ["127.0.0.1", "192.0.2.1", "2001:db8::1"] {
            assert!(with(ip, true).is_ok(), "{ip}");
        }
    }

    #[test]
    fn the_testnets_key_stays_on_loopback_outside_of_development() {
        let mut config = GatewayConfig { homeserver_secret: TESTNET_SECRET, ..config() };
        assert!(config.validate().is_ok());
        config.certificates = Some(Issuer::new().certificates(Role::Gateway, "g1"));
        config.http_listen = "0.0.0.0:0".parse().expect("address");
        let error = config.validate().expect_err("everybody has the key");
        assert!(error.to_string().contains("everybody knows"), "{error}");
        config.development = true;
        assert!(config.validate().is_ok());
    }

    #[test]
    fn the_default_password_is_for_development() {
        let mut config = config();
        config.admin_listen = Some("127.0.0.1:0".parse().expect("address"));
        assert!(config.validate().is_err(), "empty");
        config.admin_password = "admin".into();
        assert!(config.validate().is_err(), "default");
        config.development = true;
        assert!(config.validate().is_ok());
        config.development = false;
        config.admin_password = "correct horse".into();
        assert!(config.validate().is_ok());
    }

    #[test]
    fn a_gateway_without_nodes_is_refused() {
        let config = GatewayConfig::new([0; 32], Vec::new());
        assert!(matches!(config.validate(), Err(Error::Config(_))));
    }
}
