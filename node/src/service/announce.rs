//! A gateway says that it answers, every few seconds, or that it is about to stop.

use rowhouse_proto::wire::meta::{AnnounceGatewayReply, AnnounceGatewayRequest, ClusterMap, GatewayInfo};
use tonic::Status;

use super::MetaService;
use super::meta::Forwarded;
use crate::Error;
use crate::meta;

impl MetaService {
    /// Proposes the announcement if it says something new. Refuses a gateway whose address or ports cannot be
    /// published.
    pub(super) async fn announced(
        &self,
        request: AnnounceGatewayRequest,
    ) -> Result<AnnounceGatewayReply, Status> {
        let leaving = request.leaving;
        let gateway = GatewayInfo {
            public_ip: request.public_ip,
            tls_port: request.tls_port,
            http_port: request.http_port,
            icann_domain: request.icann_domain,
            since: 0,
        };
        // A gateway that apply would refuse needs no entry.
        let gateway = meta::announceable(gateway).map_err(Status::invalid_argument)?;
        let known = self.knows(&gateway).await.map_err(|error| Status::internal(error.to_string()))?;
        // Gateways repeat themselves: what the log holds already needs no entry.
        let forwarded = match (leaving, known) {
            (false, true) => Forwarded::Accepted,
            (false, false) => self.propose(meta::announce(gateway.clone())).await?,
            (true, _) => self.propose(meta::withdraw(gateway.clone())).await?,
        };
        match forwarded {
            Forwarded::Accepted => {
                if !leaving {
                    self.coordinator.presence.heard(&gateway);
                }
                Ok(AnnounceGatewayReply { accepted: true, ..AnnounceGatewayReply::default() })
            }
            Forwarded::Refused(refused) => Err(Status::invalid_argument(refused)),
            Forwarded::Leader(node) => Ok(AnnounceGatewayReply { accepted: false, leader_node: node.into() }),
        }
    }

    /// Whether the map has this gateway, and this node certainly leads: another node's word keeps nobody in
    /// the packet.
    async fn knows(&self, gateway: &GatewayInfo) -> Result<bool, Error> {
        let Some(group) = self.local.host.group(meta::GROUP).filter(|group| group.is_leader()) else {
            return Ok(false);
        };
        if group.read_barrier().await.is_err() {
            return Ok(false);
        }
        let identity = meta::gateway_identity(gateway);
        let is_known =
            |map: ClusterMap| map.gateways.iter().any(|known| meta::gateway_identity(known) == identity);
        Ok(group.read(|view| meta::cluster_map(view))?.is_some_and(is_known))
    }
}
