//! The configuration of a node at its start: its sections of the settings, and values that only the starting process
//! knows.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use rowhouse_peer::{Audience, Certificates, Role, exposure};
use rowhouse_proto::{COMMAND_VERSIONS, VersionRange};
use rowhouse_raft::RaftTiming;

use crate::Error;
use crate::settings::{
    AttemptLimits, NodeSection, ObjectLimits, PkarrConfig, PlacementConfig, StorageConfig,
};

/// Configuration of one node. Never reloaded.
#[derive(Clone)]
pub struct NodeConfig {
    /// [node]: folder, addresses, name, seeds.
    pub node: NodeSection,
    /// [pkarr]: where the homeserver's record is published.
    pub pkarr: PkarrConfig,
    /// [storage]: memory and disk.
    pub storage: StorageConfig,
    /// [objects]: how long bodies outside the log are kept.
    pub objects: ObjectLimits,
    /// [placement]: when and how fast replicas move.
    pub placement: PlacementConfig,
    /// [raft]: the clocks of consensus.
    pub raft: RaftTiming,
    /// [limits]: attempts of strangers.
    pub limits: AttemptLimits,
    /// The Ed25519 secret key of the homeserver.
    pub homeserver_secret: [u8; 32],
    /// Mutual TLS with nodes and gateways. `None`: plaintext, on loopback only. The process that composes the node
    /// refreshes them.
    pub certificates: Option<Arc<Certificates>>,
    /// Versions of commands this node understands. No setting: tests have nodes of other versions.
    pub command_versions: VersionRange,
}

impl NodeConfig {
    /// A node with the default for every key that is not its own, in plaintext.
    pub fn new(data_dir: PathBuf, listen: SocketAddr, name: &str, homeserver_secret: [u8; 32]) -> Self {
        Self {
            node: NodeSection { data_dir, listen, name: Some(name.to_owned()), ..NodeSection::default() },
            pkarr: PkarrConfig::default(),
            storage: StorageConfig::default(),
            objects: ObjectLimits::default(),
            placement: PlacementConfig::default(),
            raft: RaftTiming::default(),
            limits: AttemptLimits::default(),
            homeserver_secret,
            certificates: None,
            command_versions: COMMAND_VERSIONS,
        }
    }

    /// host:port at which others reach this node. Port 0 stands for the port that will be bound.
    pub fn advertise(&self) -> String {
        self.node.advertise.clone().unwrap_or_else(|| self.node.listen.to_string())
    }

    /// The name others know this node by: its own, else its certificate's, else its address.
    pub fn name(&self) -> String {
        let certified = || Some(self.certificates.as_ref()?.subject().name().to_owned());
        self.node.name.clone().or_else(certified).unwrap_or_else(|| self.node.listen.to_string())
    }

    /// Fails if this node would listen beyond loopback without certificates, if its certificate is of somebody else,
    /// or for what `validate_values` refuses.
    pub fn validate(&self) -> Result<(), Error> {
        let audience = Audience::Peers { mtls: self.certificates.is_some() };
        if let Some(offence) = exposure("node.listen", self.node.listen, audience) {
            return Err(Error::Config(offence));
        }
        if let Some(certificates) = &self.certificates {
            self.validate_subject(certificates)?;
        }
        self.validate_values()
    }

    /// Fails if others could not reach the advertised address. Judges without the files that the configuration names.
    pub fn validate_values(&self) -> Result<(), Error> {
        let unspecified = |address: SocketAddr| address.ip().is_unspecified();
        if self.advertise().parse().is_ok_and(unspecified) {
            let what =
                "advertise must be an address at which others reach this node: pass --advertise host:port";
            return Err(Error::Config(what.to_owned()));
        }
        Ok(())
    }

    /// Others know this node by its name, and believe it by its certificate.
    fn validate_subject(&self, certificates: &Certificates) -> Result<(), Error> {
        let subject = certificates.subject();
        let name = self.name();
        if subject.role() == Role::Node && subject.name() == name {
            return Ok(());
        }
        let cert = certificates.files().cert.display();
        Err(Error::Config(format!("this is node {name}, but the certificate in {cert} is of {subject}")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn listening_beyond_loopback_is_refused_with_the_reason() {
        for listen in ["0.0.0.0:7000", "192.168.1.1:7000", "[::]:7000"] {
            let listen = listen.parse().expect("an address");
            let config = NodeConfig::new(PathBuf::new(), listen, "n", [0; 32]);
            let error = config.validate().expect_err("must be refused");
            assert!(error.to_string().contains("mTLS"), "{error}");
        }
        let config =
            NodeConfig::new(PathBuf::new(), "127.0.0.1:0".parse().expect("an address"), "n", [0; 32]);
        config.validate().expect("loopback is fine");
    }
}
