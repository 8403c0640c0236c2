//! The rules for a gateway's address in the packet, and the identity of a gateway.
//!
//! The rules are checked before an announcement is proposed, when it is applied, and when a packet is signed, so that
//! every gateway in the map can be signed. They are written out here, because apply must not change with a library.

use std::net::IpAddr;

use rowhouse_proto::wire::meta::GatewayInfo;

/// Longest domain name, and longest label of one (RFC 1035).
const DOMAIN_BYTES_MAX: usize = 253;
const LABEL_BYTES_MAX: usize = 63;

/// The gateway's address, if a client could be sent to it; else the reason why not.
pub fn public_address(gateway: &GatewayInfo) -> Result<IpAddr, &'static str> {
    let Ok(address) = gateway.public_ip.parse::<IpAddr>() else {
        return Err("public_ip is not an IP address");
    };
    let address = address.to_canonical();
    let is_broadcast = matches!(address, IpAddr::V4(address) if address.is_broadcast());
    if address.is_unspecified() || address.is_multicast() || is_broadcast {
        return Err("public_ip is not the address of one machine");
    }
    let is_port = |port: u32| (1..=u32::from(u16::MAX)).contains(&port);
    if !is_port(gateway.tls_port) || !is_port(gateway.http_port) {
        return Err("a port is not from 1 to 65535");
    }
    if !gateway.icann_domain.is_empty() && !is_domain(&gateway.icann_domain) {
        return Err("icann_domain is not a domain name");
    }
    Ok(address)
}

fn is_domain(text: &str) -> bool {
    text.len() <= DOMAIN_BYTES_MAX && text.split('.').all(is_label)
}

fn is_label(label: &str) -> bool {
    let bytes = label.as_bytes();
    let is_end = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_alphanumeric);
    bytes.len() <= LABEL_BYTES_MAX
        && is_end(bytes.first())
        && is_end(bytes.last())
        && bytes.iter().all(|byte| byte.is_ascii_alphanumeric() || *byte == b'-')
}

/// The gateway with its address in canonical form, if it may enter the packet; else the reason why not.
pub fn announceable(mut gateway: GatewayInfo) -> Result<GatewayInfo, &'static str> {
    gateway.public_ip = public_address(&gateway)?.to_string();
    Ok(gateway)
}

/// The bytes that tell a gateway from others. An address with other ports or another domain is another gateway, perhaps
/// behind one balancer with the first.
pub fn identity(gateway: &GatewayInfo) -> Vec<u8> {
    let mut identity = gateway.public_ip.as_bytes().to_vec();
    // No address contains this byte.
    identity.push(0);
    identity.extend_from_slice(&gateway.tls_port.to_be_bytes());
    identity.extend_from_slice(&gateway.http_port.to_be_bytes());
    identity.extend_from_slice(gateway.icann_domain.as_bytes());
    identity
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(public_ip: &str, icann_domain: &str) -> Result<String, &'static str> {
        let gateway = GatewayInfo {
            public_ip: public_ip.into(),
            tls_port: 6287,
            http_port: 6286,
            icann_domain: icann_domain.into(),
            since: 0,
        };
        announceable(gateway).map(|gateway| gateway.public_ip)
    }

    #[test]
    fn addresses_of_no_machine_are_refused() {
        for address in
            ["0.0.0.0", "::", "::ffff:0.0.0.0", "224.0.0.1", "ff02::1", "255.255.255.255", "a.example"]
        {
            assert!(check(address, "").is_err(), "{address}");
        }
        for address in ["127.0.0.1", "192.0.2.1", "::1", "2001:db8::1"] {
            assert_eq!(check(address, "").as_deref(), Ok(address));
        }
        assert_eq!(check("::ffff:192.0.2.1", "").as_deref(), Ok("192.0.2.1"));
        assert_eq!(check("2001:DB8:0::1", "").as_deref(), Ok("2001:db8::1"));
    }

    #[test]
    fn names_that_dns_has_no_room_for_are_refused() {
        let (label, long) = ("a".repeat(LABEL_BYTES_MAX), "a".repeat(LABEL_BYTES_MAX + 1));
        let longest = [label.as_str(); 4].join(".")[..DOMAIN_BYTES_MAX].to_owned();
        for domain in ["", "localhost", "a.example", "xn--nxasmq6b.example", "1.example", &label, &longest] {
            assert!(check("192.0.2.1", domain).is_ok(), "{domain}");
        }
        let longer = format!("{longest}a");
        for domain in [
            "-x.example",
            "x-.example",
            "a..example",
            ".",
            "a.example.",
            "a_b.example",
            "ä.example",
            &long,
            &longer,
        ] {
            assert!(check("192.0.2.1", domain).is_err(), "{domain}");
        }
    }
}
