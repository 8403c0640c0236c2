//! A gateway left or fell silent: its address goes out of the packet.
//!
//! The last one stays whatever happened to it: a packet without gateways is never published, and an
//! address that may answer again is better than none.

use rowhouse_proto::wire::command::{WithdrawGateway, meta_command::Body};
use rowhouse_proto::wire::meta::GatewayInfo;
use rowhouse_raft::Error;
use rowhouse_raft::state::Txn;

use super::commands::{EntryHead, MetaGroupCommand};
use super::{Verdict, tables};

impl MetaGroupCommand for WithdrawGateway {
    fn apply(&self, txn: &mut Txn<'_>, _: EntryHead) -> Result<Verdict, Error> {
        let gone = GatewayInfo {
            public_ip: self.public_ip.clone(),
            tls_port: self.tls_port,
            http_port: self.http_port,
            icann_domain: self.icann_domain.clone(),
            since: 0,
        };
        // With other ports it is another gateway, which has not left.
        if !tables::has_gateway(&*txn, &gone)? || tables::gateways(&*txn)?.len() == 1 {
            return Ok(Verdict::Unchanged);
        }
        tables::delete_gateway(txn, &gone);
        Ok(Verdict::Changed)
    }
}

/// The command that withdraws a gateway as the map names it.
pub fn withdraw(gateway: GatewayInfo) -> Body {
    Body::WithdrawGateway(WithdrawGateway {
        public_ip: gateway.public_ip,
        tls_port: gateway.tls_port,
        http_port: gateway.http_port,
        icann_domain: gateway.icann_domain,
    })
}
