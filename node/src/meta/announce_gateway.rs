//! A gateway whose listeners answer: its address may go into the packet.
//!
//! Every address of one packet shares one set of ports and one domain (docs/rules/network.md#one-set-of-ports).
//! Gateways with others are kept beside them: while a change is rolled out both are there, and neither evicts the
//! other. Which of them the packet names is decided where it is signed (`coordinator/generation.rs`).

use rowhouse_proto::wire::command::{AnnounceGateway, meta_command::Body};
use rowhouse_proto::wire::meta::GatewayInfo;
use rowhouse_raft::Error;
use rowhouse_raft::state::Txn;

use super::commands::{EntryHead, MetaGroupCommand};
use super::{Verdict, gateway, tables};

/// Most rows of the table, far above the addresses that a packet should carry (docs/rules/network.md#few-addresses).
const GATEWAYS_MAX: usize = 64;

impl MetaGroupCommand for AnnounceGateway {
    fn apply(&self, txn: &mut Txn<'_>, _: EntryHead) -> Result<Verdict, Error> {
        let Some(cluster) = tables::cluster(&*txn)? else {
            return Ok(Verdict::not_initialized());
        };
        let announced = GatewayInfo {
            public_ip: self.public_ip.clone(),
            tls_port: self.tls_port,
            http_port: self.http_port,
            icann_domain: self.icann_domain.clone(),
            since: cluster.map_version,
        };
        let announced = match gateway::announceable(announced) {
            Ok(announced) => announced,
            Err(why) => return Ok(Verdict::refused(why)),
        };
        if tables::has_gateway(&*txn, &announced)? {
            return Ok(Verdict::Unchanged);
        }
        if tables::gateways(&*txn)?.len() >= GATEWAYS_MAX {
            return Ok(Verdict::refused("too many gateways"));
        }
        tables::put_gateway(txn, &announced);
        Ok(Verdict::Changed)
    }
}

/// The command that announces a gateway as the map shall name it.
pub fn announce(gateway: GatewayInfo) -> Body {
    Body::AnnounceGateway(AnnounceGateway {
        public_ip: gateway.public_ip,
        tls_port: gateway.tls_port,
        http_port: gateway.http_port,
        icann_domain: gateway.icann_domain,
    })
}
