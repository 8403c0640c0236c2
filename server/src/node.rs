//! `rowhouse node`: settings into a configuration, then a running storage node until a signal.

use std::sync::Arc;

use rowhouse_node::{Node, NodeConfig};
use rowhouse_peer::{Certificates, Role};
use rowhouse_proto::COMMAND_VERSIONS;

use crate::certificates::{self, keep_fresh};
use crate::error::Error;
use crate::probes::Probes;
use crate::secret;
use crate::settings::{ConfigArgs, NodeSettings};
use crate::signals::Stop;
use crate::telemetry::Metrics;

/// Runs until a signal asks it to stop. Fails if the settings, the files they name or the data folder are of no use,
/// and when the node can no longer serve.
pub async fn run(args: ConfigArgs<NodeSettings>) -> Result<(), Error> {
    let print = args.print_config;
    let loaded = args.load()?;
    let settings = loaded.settings.clone();
    let usage = |error: rowhouse_node::Error| Error::Usage(error.to_string());
    if print {
        config(settings, secret::WITHHELD, None).validate_values().map_err(usage)?;
        return loaded.print();
    }
    let secret = secret::read(&settings.secret.homeserver_secret_file)?;
    let certificates = certificates::open(&settings.tls, Role::Node)?;
    let config = config(settings, secret, certificates.clone());
    config.validate().map_err(usage)?;
    let failed = |error: rowhouse_node::Error| Error::Failed(error.to_string());
    let mut stop = Stop::listen()?;
    let probes = Probes::listen(loaded.settings.probes.listen).await?;
    let metrics = Metrics::start("node", loaded.settings.metrics.listen).await?;
    certificates::observe(certificates.as_ref());
    let mut node = tokio::select! {
        started = Node::start(config) => started.map_err(failed)?,
        () = stop.requested() => return Ok(()),
    };
    probes.started(node.readiness());
    let ended = tokio::select! {
        () = stop.requested() => node.shutdown().await.map_err(failed),
        // An error of its own says what to do about it.
        error = node.ended() => Err(failed(error)),
        never = keep_fresh(certificates) => match never {},
    };
    metrics.stop().await;
    ended
}

fn config(
    settings: NodeSettings,
    homeserver_secret: [u8; 32],
    certificates: Option<Arc<Certificates>>,
) -> NodeConfig {
    let NodeSettings {
        node,
        pkarr,
        storage,
        objects,
        placement,
        raft,
        limits,
        secret: _,
        tls: _,
        probes: _,
        metrics: _,
    } = settings;
    let command_versions = COMMAND_VERSIONS;
    NodeConfig {
        node,
        pkarr,
        storage,
        objects,
        placement,
        raft,
        limits,
        homeserver_secret,
        certificates,
        command_versions,
    }
}
