//! The configuration of a gateway at its start: its sections of the settings, and values that only the starting process
//! knows.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;

use rowhouse_peer::{Certificates, Role};
use rowhouse_proto::settings::Hidden;

use crate::Error;
use crate::settings::{AdminConfig, GatewaySection, Limits};

/// The password every example uses; accepted only where the operator says that this is a development cluster.
const DEFAULT_ADMIN_PASSWORD: &str = "admin";
/// The key of every Pubky testnet: anybody can be this homeserver.
const TESTNET_SECRET: [u8; 32] = [0; 32];

/// Configuration of one gateway. Never reloaded.
#[derive(Clone)]
pub struct GatewayConfig {
    /// [gateway]: listeners, nodes, and what the homeserver's record says.
    pub gateway: GatewaySection,
    /// [admin]: the admin listener. Only `password` is looked at, never `password_file`.
    pub admin: AdminConfig,
    /// [limits]: every bound a client can run into.
    pub limits: Limits,
    /// Mutual TLS with the nodes. `None`: plaintext, which only nodes on loopback speak. The process that composes the
    /// gateway refreshes them.
    pub certificates: Option<Arc<Certificates>>,
    /// The Ed25519 secret key of the homeserver.
    pub homeserver_secret: [u8; 32],
}

impl GatewayConfig {
    /// A gateway on loopback ports chosen by the system, without an admin listener. `nodes` are host:port.
    pub fn new(homeserver_secret: [u8; 32], nodes: Vec<String>) -> Self {
        let any_port = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let gateway = GatewaySection {
            http_listen: any_port,
            tls_listen: any_port,
            nodes,
            ..GatewaySection::default()
        };
        Self {
            gateway,
            admin: AdminConfig::default(),
            limits: Limits::default(),
            certificates: None,
            homeserver_secret,
        }
    }

    /// The address that the homeserver's record names for this gateway.
    pub fn public_ip(&self) -> IpAddr {
        self.gateway.public_ip.unwrap_or_else(|| self.gateway.tls_listen.ip())
    }

    /// Fails if the certificate is not a gateway's, if others can reach a homeserver with the testnet's key, and
    /// wherever `validate_values` does.
    pub fn validate(&self) -> Result<(), Error> {
        let GatewaySection { http_listen, tls_listen, development, .. } = self.gateway;
        let listeners = [Some(http_listen), Some(tls_listen), self.admin.listen];
        let reachable = listeners.into_iter().flatten().any(|address| !address.ip().is_loopback());
        if let Some(certificates) = &self.certificates {
            validate_subject(certificates)?;
        }
        if self.homeserver_secret == TESTNET_SECRET && reachable && !development {
            return Err(Error::Config(
                "the homeserver's secret is the testnet's, which everybody knows: make one of your own, pass \
                 --development, or listen on loopback addresses"
                    .into(),
            ));
        }
        self.validate_values()
    }

    /// Fails if a listener is beyond loopback that must not be, if the admin listener has no password of its own, or if
    /// the record would name an address that is not one machine's. Judges without the files that the configuration
    /// names.
    pub fn validate_values(&self) -> Result<(), Error> {
        if self.gateway.nodes.is_empty() {
            return Err(Error::Config("at least one node address is needed".into()));
        }
        if let Some(offence) = self.gateway.exposures().chain(self.admin.exposure()).next() {
            return Err(Error::Config(offence));
        }
        if let Some(offence) = self.limits.complaints().into_iter().next() {
            return Err(Error::Config(offence));
        }
        if self.admin.listen.is_some() {
            self.validate_admin_password()?;
        }
        if self.gateway.announce { validate_public_ip(self.public_ip()) } else { Ok(()) }
    }

    fn validate_admin_password(&self) -> Result<(), Error> {
        match self.admin.password.as_ref().map_or("", Hidden::expose) {
            "" => Err(Error::Config("the admin listener needs a password".into())),
            DEFAULT_ADMIN_PASSWORD if !self.gateway.development => {
                Err(Error::Config("the default admin password is for development clusters only".into()))
            }
            _ => Ok(()),
        }
    }
}

/// The homeserver's record must name one machine.
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Issuer;

    fn config() -> GatewayConfig {
        GatewayConfig::new([7; 32], vec!["127.0.0.1:1".into()])
    }

    #[test]
    fn clients_may_come_from_other_machines_with_and_without_certificates() {
        let issuer = Issuer::new();
        for certificates in [None, Some(issuer.certificates(Role::Gateway, "g1"))] {
            for (http, tls) in
                [("0.0.0.0:0", "127.0.0.1:0"), ("127.0.0.1:0", "[::]:0"), ("192.0.2.1:0", "0.0.0.0:0")]
            {
                let mut config = GatewayConfig { certificates: certificates.clone(), ..config() };
                config.gateway.http_listen = http.parse().expect("address");
                config.gateway.tls_listen = tls.parse().expect("address");
                config.gateway.public_ip = Some(IpAddr::V4(Ipv4Addr::LOCALHOST));
                assert!(config.validate().is_ok(), "{http} and {tls}");
            }
        }
        let of_a_node =
            GatewayConfig { certificates: Some(issuer.certificates(Role::Node, "n1")), ..config() };
        assert!(matches!(of_a_node.validate(), Err(Error::Config(_))), "the certificate of a node");
    }

    #[test]
    fn the_admin_listener_leaves_loopback_only_behind_a_proxy() {
        let issuer = Issuer::new();
        for certificates in [None, Some(issuer.certificates(Role::Gateway, "g1"))] {
            for (listen, behind_proxy, accepted) in [
                ("127.0.0.1:0", false, true),
                ("127.0.0.1:0", true, true),
                ("0.0.0.0:0", false, false),
                ("0.0.0.0:0", true, true),
            ] {
                let mut config = GatewayConfig { certificates: certificates.clone(), ..config() };
                config.admin.listen = Some(listen.parse().expect("address"));
                config.admin.behind_proxy = behind_proxy;
                config.admin.password = Some("correct horse".into());
                let judged = config.validate();
                assert_eq!(judged.is_ok(), accepted, "{listen}, {behind_proxy}");
                let said = judged.err().map(|error| error.to_string()).unwrap_or_default();
                assert!(accepted || said.contains("--admin-behind-proxy"), "{said}");
            }
        }
    }

    #[test]
    fn only_the_address_of_one_machine_is_announced() {
        let with = |ip: &str, announce| {
            let mut config = config();
            config.gateway.public_ip = Some(ip.parse().expect("an address"));
            config.gateway.announce = announce;
            config.validate()
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
        config.gateway.http_listen = "0.0.0.0:0".parse().expect("address");
        let error = config.validate().expect_err("everybody has the key");
        assert!(error.to_string().contains("everybody knows"), "{error}");
        config.gateway.development = true;
        assert!(config.validate().is_ok());
        config.gateway.development = false;
        config.homeserver_secret = [7; 32];
        assert!(config.validate().is_ok());
    }

    #[test]
    fn the_default_password_is_for_development() {
        let mut config = config();
        config.admin.listen = Some("127.0.0.1:0".parse().expect("address"));
        assert!(config.validate().is_err(), "empty");
        config.admin.password = Some("admin".into());
        assert!(config.validate().is_err(), "default");
        config.gateway.development = true;
        assert!(config.validate().is_ok());
        config.gateway.development = false;
        config.admin.password = Some("correct horse".into());
        assert!(config.validate().is_ok());
    }

    #[test]
    fn limits_that_say_nothing_are_refused() {
        let told = |change: fn(&mut Limits)| {
            let mut config = config();
            change(&mut config.limits);
            config.validate().expect_err("no limit").to_string()
        };
        assert!(
            told(|limits| limits.rate_limits[0].quota = "0r/m".into()).contains("`limits.rate_limits[0]`")
        );
        let rate = told(|limits| limits.unauthenticated_ip_rate_read = Some("10r/m".into()));
        assert!(rate.contains("`limits.unauthenticated_ip_rate_read`: \"10r/m\" is no rate"), "{rate}");
        let mut none = config();
        none.limits.rate_limits = Vec::new();
        none.limits.unauthenticated_ip_rate_read = Some("1mb/s".into());
        assert!(none.validate().is_ok());
    }

    #[test]
    fn a_gateway_without_nodes_is_refused() {
        let config = GatewayConfig::new([0; 32], Vec::new());
        assert!(matches!(config.validate(), Err(Error::Config(_))));
    }
}
