//! `GET /info` for operators. Dashboards ask for it every few seconds, and compare its address with the record that
//! clients find.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use pkarr::SignedPacket;
use pkarr::dns::rdata::{RData, SVCParam};
use rowhouse_proto::domain::quota::BYTES_PER_MB;
use serde::Serialize;

use super::state::{Admin, PublicAddress};
use crate::app::App;
use crate::operator::Operator;
use crate::respond::{Rejection, json};

#[derive(Serialize)]
struct Info {
    num_users: u64,
    num_disabled_users: u64,
    total_disk_used_mb: u64,
    num_signup_codes: u64,
    num_unused_signup_codes: u64,
    public_key: String,
    pkarr_pubky_address: Option<String>,
    pkarr_icann_domain: Option<String>,
    version: &'static str,
}

/// `GET /info`: the totals, and where clients find the homeserver. Fails when any group does not answer.
pub async fn info(State(admin): State<Arc<Admin>>, operator: Operator) -> Result<Response, Rejection> {
    let totals = operator.totals().await?;
    let address = &admin.address;
    Ok(json(&Info {
        num_users: totals.users,
        num_disabled_users: totals.disabled_users,
        // Rounded to the nearest, as operators know it.
        total_disk_used_mb: (totals.used_bytes + BYTES_PER_MB / 2) / BYTES_PER_MB,
        num_signup_codes: totals.tokens,
        num_unused_signup_codes: totals.unused_tokens,
        public_key: admin.app.homeserver.z32(),
        pkarr_pubky_address: published(&admin.app).or_else(|| own(address)).map(|found| found.to_string()),
        pkarr_icann_domain: address
            .icann_domain
            .as_ref()
            .filter(|_| address.http_port != 0)
            .map(|domain| format!("{domain}:{}", address.http_port)),
        version: env!("CARGO_PKG_VERSION"),
    }))
}

/// Where clients find this gateway.
fn own(address: &PublicAddress) -> Option<SocketAddr> {
    (address.tls_port != 0).then(|| SocketAddr::new(address.ip, address.tls_port))
}

/// The first address of the homeserver's record, which several gateways share. `None` before the first record.
fn published(app: &App) -> Option<SocketAddr> {
    let map = app.cluster.map_now()?;
    let packet = map.packet();
    let (key, payload) = packet.split_at_checked(app.homeserver.as_bytes().len())?;
    let key = pkarr::PublicKey::try_from(key).ok()?;
    first_address(&SignedPacket::from_relay_payload(&key, &packet.slice_ref(payload)).ok()?)
}

/// The hint for IPv4, else an IPv4 address, else the same of IPv6; with the port of the direct endpoint.
fn first_address(packet: &SignedPacket) -> Option<SocketAddr> {
    let (mut port, mut found) = (None, [None; 4]);
    for record in packet.all_resource_records() {
        match &record.rdata {
            RData::A(a) => first(&mut found[1], Ipv4Addr::from(a.address)),
            RData::AAAA(aaaa) => first(&mut found[3], Ipv6Addr::from(aaaa.address)),
            RData::HTTPS(https) if port.is_none() => {
                for param in https.0.iter_params() {
                    match param {
                        SVCParam::Port(direct) => port = Some(*direct),
                        SVCParam::Ipv4Hint(hints) => {
                            hints.iter().for_each(|hint| first(&mut found[0], Ipv4Addr::from(*hint)));
                        }
                        SVCParam::Ipv6Hint(hints) => {
                            hints.iter().for_each(|hint| first(&mut found[2], Ipv6Addr::from(*hint)));
                        }
                        _ => {}
                    }
                }
            }
            _ => {}
        }
    }
    Some(SocketAddr::new(found.into_iter().flatten().next()?, port?))
}

fn first(found: &mut Option<IpAddr>, address: impl Into<IpAddr>) {
    found.get_or_insert(address.into());
}

#[cfg(test)]
mod tests {
    use pkarr::dns::Name;
    use pkarr::dns::rdata::SVCB;
    use pkarr::{Keypair, SignedPacketBuilder};

    use super::*;

    fn name() -> Name<'static> {
        Name::new(".").expect("a name")
    }

    fn of(build: impl FnOnce(SignedPacketBuilder) -> SignedPacketBuilder) -> Option<String> {
        let keypair = Keypair::from_secret_key(&[7; 32]);
        let packet = build(SignedPacket::builder()).sign(&keypair).expect("signable");
        first_address(&packet).map(|address| address.to_string())
    }

    #[test]
    fn the_address_is_the_one_a_client_tries_first() {
        let direct = |hints: &[u32]| {
            let mut record = SVCB::new(1, name());
            record.set_port(6287);
            if !hints.is_empty() {
                record.set_ipv4hint(hints);
            }
            record
        };
        let icann = || SVCB::new(10, Name::new("example.com").expect("a name"));
        let a = |last: u8| IpAddr::from([192, 0, 2, last]);
        let v6: IpAddr = "2001:db8::1".parse().expect("an address");
        let hint = u32::from(Ipv4Addr::new(192, 0, 2, 9));
        let both = |packet: SignedPacketBuilder, record: SVCB<'static>| {
            packet.https(name(), record, 300).https(name(), icann(), 300).address(name(), v6, 300)
        };
        assert_eq!(
            of(|packet| both(packet, direct(&[hint])).address(name(), a(1), 300)).as_deref(),
            Some("192.0.2.9:6287")
        );
        assert_eq!(
            of(|packet| both(packet, direct(&[])).address(name(), a(1), 300).address(name(), a(2), 300))
                .as_deref(),
            Some("192.0.2.1:6287")
        );
        assert_eq!(of(|packet| both(packet, direct(&[]))).as_deref(), Some("[2001:db8::1]:6287"));
        assert_eq!(of(|packet| packet.address(name(), a(1), 300)), None, "no port");
    }
}
