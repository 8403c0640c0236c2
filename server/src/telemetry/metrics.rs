//! Metrics: a listener for Prometheus, and an OTLP collector where the standard variables ask for one.
//!
//! Owns the meter provider. Instruments come from the crates, each beside the code that it measures. Without a listener
//! and a collector there is no provider, and instruments do nothing.

use std::net::SocketAddr;

use opentelemetry_otlp::{MetricExporter, Protocol, WithExportConfig};
use opentelemetry_sdk::metrics::SdkMeterProvider;
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use super::collector::Collector;
use super::scrape::{Scrapes, router};
use super::signal::Signal;
use super::{process, resource};
use crate::error::Error;

/// What is measured in this process, for as long as it lives.
#[must_use]
pub struct Metrics {
    provider: Option<SdkMeterProvider>,
    _serving: JoinSet<()>,
}

impl Metrics {
    /// Measures from now on: instruments made earlier do nothing. Answers `GET /metrics` on `listen`, if there is one.
    ///
    /// Must run inside the runtime, on which a gRPC connection lives. Fails if the address is taken, and on
    /// unusable `OTEL_*` variables. Certificates of no use are said in the log, and nothing is exported.
    pub async fn start(service: &str, listen: Option<SocketAddr>) -> Result<Self, Error> {
        let exporter = match asks_for_otlp(variable).then(exporter).transpose() {
            Err(error @ Error::Certificates(_)) => {
                tracing::error!(%error, "no metrics are exported");
                None
            }
            exporter => exporter?,
        };
        let mut serving = JoinSet::new();
        if listen.is_none() && exporter.is_none() {
            return Ok(Self { provider: None, _serving: serving });
        }
        let mut building = SdkMeterProvider::builder().with_resource(resource::of(service));
        if let Some(exporter) = exporter {
            building = building.with_periodic_exporter(exporter);
        }
        if let Some(address) = listen {
            let scrapes = Scrapes::default();
            building = building.with_reader(scrapes.clone());
            let socket = TcpListener::bind(address)
                .await
                .map_err(|error| Error::Failed(format!("cannot listen for metrics on {address}: {error}")))?;
            serving.spawn(async move {
                if let Err(error) = axum::serve(socket, router(scrapes)).await {
                    tracing::error!(%error, "metrics are no longer answered");
                }
            });
        }
        let provider = building.build();
        opentelemetry::global::set_meter_provider(provider.clone());
        process::observe();
        Ok(Self { provider: Some(provider), _serving: serving })
    }

    /// Sends what was measured since the last export. The library gives up after 5 s, whatever it is told.
    pub async fn stop(self) {
        let Some(provider) = self.provider else { return };
        if let Ok(Err(error)) = tokio::task::spawn_blocking(move || provider.shutdown()).await {
            tracing::debug!(%error, "the last measurements were not exported");
        }
    }
}

/// Whether the standard variables ask for exported metrics. An endpoint alone asks for traces: metrics have a listener.
fn asks_for_otlp(variable: impl Fn(&str) -> Option<String>) -> bool {
    let says = |name: &str, value: &str| variable(name).is_some_and(|set| set.eq_ignore_ascii_case(value));
    says("OTEL_METRICS_EXPORTER", "otlp") && !says("OTEL_SDK_DISABLED", "true")
}

/// It has a thread of its own, and one export at a time: a collector that is away delays no request.
fn exporter() -> Result<MetricExporter, Error> {
    let collector = Collector::of_environment(Signal::Metrics, variable)?;
    let exporter = match collector.protocol {
        Protocol::Grpc => collector.by_grpc(MetricExporter::builder().with_tonic()).build(),
        http => collector.by_http(MetricExporter::builder().with_http().with_protocol(http))?.build(),
    };
    exporter.map_err(|error| collector.unusable(&error))
}

fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(set: &[(&str, &str)]) -> bool {
        asks_for_otlp(|name| set.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned()))
    }

    #[test]
    fn metrics_are_exported_only_when_their_own_variable_asks() {
        let asked = ("OTEL_METRICS_EXPORTER", "OTLP");
        assert!(!with(&[]));
        assert!(!with(&[("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:4317")]));
        assert!(with(&[asked]));
        assert!(!with(&[asked, ("OTEL_SDK_DISABLED", "true")]));
        assert!(!with(&[("OTEL_METRICS_EXPORTER", "none")]));
    }
}
