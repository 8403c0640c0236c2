//! The homeserver's packet (docs/rules/network.md#what-the-packet-says): one HTTPS record for the shared Pubky TLS
//! port, one ICANN record, one address record a gateway. Deterministic: the same gateways give the same records.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use pkarr::dns::rdata::{RData, SVCB, SVCParam};
use pkarr::dns::{Name, ResourceRecord};
use pkarr::{Keypair, SignedPacket, SignedPacketBuilder, Timestamp};
use pubky_common::constants::reserved_param_keys::HTTP_PORT;
use rowhouse_proto::wire::meta::GatewayInfo;

use super::generation::published;
use crate::Error;
use crate::state::packet;

/// pkarr's floor: an address that was taken out disappears from caches within five minutes.
const TTL_S: u32 = 300;
/// Every address a client walks costs it a probe of up to 1.5 s (docs/rules/network.md#few-addresses).
const ADDRESSES_MAX: usize = 8;
/// Direct endpoints come before the ICANN one.
const DIRECT_PRIORITY: u16 = 1;
const ICANN_PRIORITY: u16 = 10;
/// Only this name carries the HTTP-port parameter: browsers on the testnet
/// (docs/rules/network.md#the-port-for-browsers).
const LOCALHOST: &str = "localhost";

/// Signs the packet for those of the gateways that agree; `None` without any.
pub fn sign(
    keypair: &Keypair,
    gateways: &[GatewayInfo],
    timestamp_us: u64,
) -> Result<Option<SignedPacket>, Error> {
    let gateways = published(gateways);
    let addresses: BTreeSet<IpAddr> =
        gateways.iter().filter_map(|gateway| gateway.public_ip.parse().ok()).collect();
    let (Some(shared), Some(first)) = (gateways.first(), addresses.first()) else {
        return Ok(None);
    };
    let mut builder = SignedPacket::builder().timestamp(Timestamp::from(timestamp_us));
    builder = builder.https(name(".")?, direct(shared, *first)?, TTL_S);
    if !shared.icann_domain.is_empty() {
        builder = builder.https(name(".")?, icann(shared)?, TTL_S);
    }
    for address in chosen(&addresses) {
        builder = builder.address(name(".")?, address, TTL_S);
    }
    build(builder, keypair).map(Some)
}

/// Those a client finds in the packet.
pub fn addresses(packet: &SignedPacket) -> BTreeSet<IpAddr> {
    let address = |record: &ResourceRecord<'_>| match &record.rdata {
        RData::A(address) => Some(Ipv4Addr::from(address.address).into()),
        RData::AAAA(address) => Some(Ipv6Addr::from(address.address).into()),
        _ => None,
    };
    packet.all_resource_records().filter_map(address).collect()
}

/// A committed packet from its canonical bytes.
pub fn parse(canonical: &[u8]) -> Result<SignedPacket, Error> {
    let signer = canonical.get(..32).unwrap_or_default();
    packet::parse(signer, canonical).ok_or_else(|| Error::Pkarr("these bytes are no packet".to_owned()))
}

/// At most `ADDRESSES_MAX`, of both families if there are both: clients whose network has one of them, or who race them,
/// shall find one.
fn chosen(addresses: &BTreeSet<IpAddr>) -> Vec<IpAddr> {
    let (v4, v6): (Vec<IpAddr>, Vec<IpAddr>) = addresses.iter().partition(|address| address.is_ipv4());
    let of_v6 = v6.len().min((ADDRESSES_MAX / 2).max(ADDRESSES_MAX.saturating_sub(v4.len())));
    v4.into_iter().take(ADDRESSES_MAX - of_v6).chain(v6.into_iter().take(of_v6)).collect()
}

fn build(builder: SignedPacketBuilder, keypair: &Keypair) -> Result<SignedPacket, Error> {
    builder.sign(keypair).map_err(|error| Error::Pkarr(error.to_string()))
}

fn name(text: &str) -> Result<Name<'_>, Error> {
    Name::new(text).map_err(|error| Error::Pkarr(error.to_string()))
}

fn port(port: u32) -> Result<u16, Error> {
    u16::try_from(port).map_err(|_| Error::Pkarr(format!("port {port}")))
}

fn direct(shared: &GatewayInfo, first: IpAddr) -> Result<SVCB<'static>, Error> {
    let mut record = SVCB::new(DIRECT_PRIORITY, name(".")?.into_owned());
    record.set_port(port(shared.tls_port)?);
    match first {
        IpAddr::V4(address) => record.set_ipv4hint(&[address.into()]),
        IpAddr::V6(address) => record.set_ipv6hint(&[address.into()]),
    }
    Ok(record)
}

fn icann(shared: &GatewayInfo) -> Result<SVCB<'static>, Error> {
    let mut record = SVCB::new(ICANN_PRIORITY, name(&shared.icann_domain)?.into_owned());
    if shared.icann_domain == LOCALHOST {
        let port = port(shared.http_port)?.to_be_bytes().to_vec();
        record.set_param(SVCParam::Unknown(HTTP_PORT, port.into()));
    }
    Ok(record)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gateway(public_ip: &str, icann_domain: &str) -> GatewayInfo {
        GatewayInfo {
            public_ip: public_ip.into(),
            tls_port: 6287,
            http_port: 6286,
            icann_domain: icann_domain.into(),
            since: 0,
        }
    }

    fn packet(gateways: &[GatewayInfo]) -> SignedPacket {
        let keypair = Keypair::from_secret_key(&[0; 32]);
        sign(&keypair, gateways, 1_780_000_000_000_000).expect("signable").expect("has gateways")
    }

    fn https(packet: &SignedPacket) -> Vec<SVCB<'_>> {
        packet
            .all_resource_records()
            .filter_map(|record| match &record.rdata {
                RData::HTTPS(https) => Some(https.0.clone()),
                _ => None,
            })
            .collect()
    }

    #[test]
    fn the_testnet_packet_has_the_reference_shape() {
        let packet = packet(&[gateway("127.0.0.1", "localhost"), gateway("127.0.0.2", "localhost")]);
        let records = https(&packet);
        assert_eq!(records.len(), 2);
        assert_eq!(records[0].get_param(3), Some(&SVCParam::Port(6287)));
        assert_eq!(records[0].get_param(4), Some(&SVCParam::Ipv4Hint(vec![0x7F00_0001])));
        assert_eq!(records[1].target.to_string(), "localhost");
        assert_eq!(
            records[1].get_param(HTTP_PORT),
            Some(&SVCParam::Unknown(HTTP_PORT, vec![0x18, 0x8E].into()))
        );
        let addresses: Vec<_> = packet
            .all_resource_records()
            .filter(|record| matches!(record.rdata, RData::A(_)))
            .map(|record| record.ttl)
            .collect();
        assert_eq!(addresses, [TTL_S, TTL_S]);
        assert_eq!(packet.timestamp().as_u64(), 1_780_000_000_000_000);
    }

    #[test]
    fn a_real_domain_carries_no_port() {
        let packet = packet(&[gateway("192.0.2.1", "homeserver.example.com")]);
        let records = https(&packet);
        assert_eq!(records[1].iter_params().count(), 0);
        assert_eq!(records[1].priority, 10);
    }

    #[test]
    fn the_order_of_announcements_does_not_matter_and_addresses_are_bounded() {
        let mut gateways: Vec<_> = (1..=20).map(|n| gateway(&format!("192.0.2.{n}"), "")).collect();
        let one = packet(&gateways);
        gateways.reverse();
        assert_eq!(one.encoded_packet(), packet(&gateways).encoded_packet());
        assert_eq!(one.all_resource_records().count(), 1 + ADDRESSES_MAX);
        assert_eq!(addresses(&one).len(), ADDRESSES_MAX);
        assert_eq!(
            https(&packet(&[gateway("2001:db8::1", "")]))[0].get_param(6).map(SVCParam::key_code),
            Some(6)
        );
    }

    #[test]
    fn both_families_are_named_when_there_are_both() {
        let v4 = (1..=20).map(|n| gateway(&format!("192.0.2.{n}"), ""));
        let v6 = |count: usize| (1..=count).map(|n| gateway(&format!("2001:db8::{n}"), ""));
        let named = |gateways: Vec<GatewayInfo>| {
            let (v4, v6): (Vec<_>, Vec<_>) =
                addresses(&packet(&gateways)).into_iter().partition(IpAddr::is_ipv4);
            (v4.len(), v6.len())
        };
        assert_eq!(named(v4.clone().chain(v6(20)).collect()), (4, 4));
        assert_eq!(named(v4.clone().chain(v6(1)).collect()), (7, 1));
        assert_eq!(named(v4.take(2).chain(v6(20)).collect()), (2, 6));
        assert_eq!(named(v6(20).collect()), (0, 8));
    }

    #[test]
    fn whatever_may_be_announced_can_be_signed() {
        let label = "a".repeat(63);
        let longest = [label.as_str(); 4].join(".")[..253].to_owned();
        for domain in ["localhost", "1.example", "xn--nxasmq6b.example", &longest] {
            let gateways: Vec<_> = (1..=8).map(|n| gateway(&format!("2001:db8::{n}"), domain)).collect();
            assert_eq!(addresses(&packet(&gateways)).len(), ADDRESSES_MAX, "{domain}");
        }
    }

    #[test]
    fn gateways_with_other_ports_are_not_mixed_in() {
        let other = GatewayInfo { tls_port: 443, ..gateway("192.0.2.3", "") };
        let packet = packet(&[other, gateway("192.0.2.1", ""), gateway("192.0.2.2", "")]);
        assert_eq!(https(&packet)[0].get_param(3), Some(&SVCParam::Port(6287)));
        assert_eq!(addresses(&packet).len(), 2);
    }

    #[test]
    fn no_gateway_no_packet() {
        let keypair = Keypair::from_secret_key(&[0; 32]);
        assert!(sign(&keypair, &[], 1).expect("nothing to sign").is_none());
    }
}
