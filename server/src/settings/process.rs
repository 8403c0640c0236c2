//! The settings of each process: which sections it has, and in which order they are shown.

use rowhouse_gateway::{AdminConfig, GatewaySection, Limits};
use rowhouse_node::{
    AttemptLimits, NodeSection, ObjectLimits, PkarrConfig, PlacementConfig, RaftTiming, StorageConfig,
};
use rowhouse_peer::{Audience, exposure};
use serde::{Deserialize, Serialize};

use super::known::Tables;
use super::load::Settings;
use super::shared::{MetricsSection, ProbesSection, SecretSection, TlsSection};

const NODE: Tables = &[
    NodeSection::KEYS,
    SecretSection::KEYS,
    TlsSection::KEYS,
    PkarrConfig::KEYS,
    StorageConfig::KEYS,
    ObjectLimits::KEYS,
    PlacementConfig::KEYS,
    RaftTiming::KEYS,
    AttemptLimits::KEYS,
    ProbesSection::KEYS,
    MetricsSection::KEYS,
];

const GATEWAY: Tables = &[
    GatewaySection::KEYS,
    SecretSection::KEYS,
    TlsSection::KEYS,
    AdminConfig::KEYS,
    Limits::KEYS,
    ProbesSection::KEYS,
    MetricsSection::KEYS,
];

/// Everything `rowhouse node` can be told. Each field is the section of its name.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct NodeSettings {
    pub node: NodeSection,
    pub secret: SecretSection,
    pub tls: TlsSection,
    pub pkarr: PkarrConfig,
    pub storage: StorageConfig,
    pub objects: ObjectLimits,
    pub placement: PlacementConfig,
    pub raft: RaftTiming,
    pub limits: AttemptLimits,
    pub probes: ProbesSection,
    pub metrics: MetricsSection,
}

impl Settings for NodeSettings {
    const PROCESS: &'static str = "node";
    const TABLES: Tables = NODE;
    const OTHERS: Tables = GATEWAY;

    fn complaints(&self) -> Vec<String> {
        let mut complaints = Vec::from_iter(self.tls.complaint());
        let audience = Audience::Peers { mtls: self.tls.is_set() };
        complaints.extend(exposure("node.listen", self.node.listen, audience));
        complaints.extend(self.raft.complaints());
        complaints.extend(self.objects.complaint());
        complaints
    }
}

/// Everything `rowhouse gateway` can be told. Each field is the section of its name.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct GatewaySettings {
    pub gateway: GatewaySection,
    pub secret: SecretSection,
    pub tls: TlsSection,
    pub admin: AdminConfig,
    pub limits: Limits,
    pub probes: ProbesSection,
    pub metrics: MetricsSection,
}

impl Settings for GatewaySettings {
    const PROCESS: &'static str = "gateway";
    const TABLES: Tables = GATEWAY;
    const OTHERS: Tables = NODE;

    fn complaints(&self) -> Vec<String> {
        let mut complaints = Vec::from_iter(self.tls.complaint());
        complaints.extend(self.gateway.exposures().chain(self.admin.exposure()));
        complaints.extend(self.admin.complaint());
        complaints.extend(self.limits.complaints());
        complaints
    }
}
