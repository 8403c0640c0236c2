//! A gateway whose listeners answer: its address may go into the packet.
//!
//! Every advertised address shares one set of ports and one domain (network.md §0), so an announcement
//! with others replaces the gateways announced before.

use std::net::IpAddr;

use rowhouse_proto::wire::command::{AnnounceGateway, meta_command::Body};
use rowhouse_proto::wire::meta::GatewayInfo;
use rowhouse_raft::Error;
use rowhouse_raft::state::Txn;

use super::{Verdict, tables};

/// Far above what a packet should carry (network.md §1.4); bounds the table.
const GATEWAYS_MAX: usize = 64;
/// Longest domain name.
const DOMAIN_BYTES_MAX: usize = 253;

pub fn apply(txn: &mut Txn<'_>, command: AnnounceGateway) -> Result<Verdict, Error> {
    if tables::cluster(&*txn)?.is_none() {
        return Ok(Verdict::refused("the cluster is not initialized"));
    }
    let Ok(address) = command.public_ip.parse::<IpAddr>() else {
        return Ok(Verdict::refused("public_ip is not an IP address"));
    };
    let port = |port: u32| (1..=u32::from(u16::MAX)).contains(&port);
    if !port(command.tls_port) || !port(command.http_port) || command.icann_domain.len() > DOMAIN_BYTES_MAX {
        return Ok(Verdict::refused("malformed ports or domain"));
    }
    let gateway = GatewayInfo {
        public_ip: address.to_string(),
        tls_port: command.tls_port,
        http_port: command.http_port,
        icann_domain: command.icann_domain,
    };
    let known = tables::gateways(&*txn)?;
    if known.contains(&gateway) {
        return Ok(Verdict::Unchanged);
    }
    let (same, other): (Vec<_>, Vec<_>) = known.into_iter().partition(|known| alike(known, &gateway));
    if same.len() >= GATEWAYS_MAX {
        return Ok(Verdict::refused("too many gateways"));
    }
    for gateway in other {
        tables::delete_gateway(txn, &gateway.public_ip);
    }
    tables::put_gateway(txn, &gateway);
    Ok(Verdict::Changed)
}

/// The command for a gateway as the map is to name it.
pub fn announce(gateway: GatewayInfo) -> Body {
    Body::AnnounceGateway(AnnounceGateway {
        public_ip: gateway.public_ip,
        tls_port: gateway.tls_port,
        http_port: gateway.http_port,
        icann_domain: gateway.icann_domain,
    })
}

fn alike(one: &GatewayInfo, other: &GatewayInfo) -> bool {
    one.tls_port == other.tls_port
        && one.http_port == other.http_port
        && one.icann_domain == other.icann_domain
}
