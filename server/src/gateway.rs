//! `rowhouse gateway`: settings into a configuration, then a running gateway until a signal.

use std::sync::Arc;

use rowhouse_gateway::{Gateway, GatewayConfig};
use rowhouse_peer::{Certificates, Role};

use crate::certificates::{self, keep_fresh};
use crate::error::Error;
use crate::probes::Probes;
use crate::secret;
use crate::settings::{ConfigArgs, GatewaySettings};
use crate::signals::Stop;
use crate::telemetry::Metrics;

/// Runs until a signal asks it to stop. Fails if the settings, the files they name or the addresses are of no use,
/// and when the nodes serve another homeserver.
pub async fn run(args: ConfigArgs<GatewaySettings>) -> Result<(), Error> {
    let print = args.print_config;
    let loaded = args.load()?;
    let mut settings = loaded.settings.clone();
    let usage = |error: rowhouse_gateway::Error| Error::Usage(error.to_string());
    if print {
        // No secret file needs to be there.
        settings.admin.password.get_or_insert_with(|| secret::PASSWORD_WITHHELD.into());
        config(settings, secret::WITHHELD, None).validate_values().map_err(usage)?;
        return loaded.print();
    }
    if let Some(file) = &settings.admin.password_file {
        settings.admin.password = Some(secret::read_password(file)?.into());
    }
    let secret = secret::read(&settings.secret.homeserver_secret_file)?;
    let certificates = certificates::open(&settings.tls, Role::Gateway)?;
    let config = config(settings, secret, certificates.clone());
    config.validate().map_err(usage)?;
    let mut stop = Stop::listen()?;
    let probes = Probes::listen(loaded.settings.probes.listen).await?;
    let metrics = Metrics::start("gateway", loaded.settings.metrics.listen).await?;
    certificates::observe(certificates.as_ref());
    let mut gateway = Gateway::start(config).await.map_err(|error| Error::Failed(error.to_string()))?;
    probes.started(gateway.readiness());
    let ended = tokio::select! {
        () = stop.requested() => Ok(()),
        // Starting again with the same secret and nodes would not help.
        error = gateway.ended() => Err(usage(error)),
        never = keep_fresh(certificates) => match never {},
    };
    gateway.shutdown().await;
    metrics.stop().await;
    ended
}

fn config(
    settings: GatewaySettings,
    homeserver_secret: [u8; 32],
    certificates: Option<Arc<Certificates>>,
) -> GatewayConfig {
    let GatewaySettings { gateway, admin, limits, secret: _, tls: _, probes: _, metrics: _ } = settings;
    GatewayConfig { gateway, admin, limits, certificates, homeserver_secret }
}
