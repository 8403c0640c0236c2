//! The exporter of spans, which the standard variables of OpenTelemetry ask for and describe (docs/operations/traces.md).

use opentelemetry_otlp::{Protocol, SpanExporter, WithExportConfig};
use opentelemetry_sdk::trace::SdkTracerProvider;

use super::collector::Collector;
use super::resource;
use super::sampler::LinkSampler;
use super::signal::Signal;
use crate::error::Error;

/// The provider of `rowhouse-{service}`, if the environment asks for one. Its exporter has a thread of its own, a bounded
/// queue that drops what does not fit, and one export at a time: a collector that is away delays no request.
///
/// Must run inside the runtime, on which a gRPC connection lives. Fails on unusable variables, with `Certificates` where a
/// certificate is to blame.
pub fn provider(service: &str) -> Result<Option<SdkTracerProvider>, Error> {
    let variable = |name: &str| std::env::var(name).ok();
    if !wanted(variable) {
        return Ok(None);
    }
    let collector = Collector::of_environment(Signal::Traces, variable)?;
    let exporter = match collector.protocol {
        Protocol::Grpc => collector.by_grpc(SpanExporter::builder().with_tonic()).build(),
        http => collector.by_http(SpanExporter::builder().with_http().with_protocol(http))?.build(),
    };
    let exporter = exporter.map_err(|error| collector.unusable(&error))?;
    let provider = SdkTracerProvider::builder()
        .with_batch_exporter(exporter)
        .with_sampler(LinkSampler::of_environment(variable)?)
        .with_resource(resource::of(service))
        .build();
    Ok(Some(provider))
}

/// Whether the standard variables ask for exported traces.
fn wanted(variable: impl Fn(&str) -> Option<String>) -> bool {
    let says = |name: &str, value: &str| variable(name).is_some_and(|set| set.eq_ignore_ascii_case(value));
    let names_endpoint = ["OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"]
        .iter()
        .any(|name| variable(name).is_some_and(|endpoint| !endpoint.is_empty()));
    (names_endpoint || says("OTEL_TRACES_EXPORTER", "otlp"))
        && !says("OTEL_SDK_DISABLED", "true")
        && !says("OTEL_TRACES_EXPORTER", "none")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lookup<'a>(set: &'a [(&str, &str)]) -> impl Fn(&str) -> Option<String> + 'a {
        |name| set.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned())
    }

    #[test]
    fn traces_are_exported_only_when_the_standard_variables_ask() {
        let with = |set: &[(&str, &str)]| wanted(lookup(set));
        let endpoint = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:4317");
        assert!(!with(&[]));
        assert!(with(&[endpoint]));
        assert!(with(&[("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://127.0.0.1:4317")]));
        assert!(with(&[("OTEL_TRACES_EXPORTER", "otlp")]));
        assert!(!with(&[("OTEL_EXPORTER_OTLP_ENDPOINT", "")]));
        assert!(!with(&[endpoint, ("OTEL_SDK_DISABLED", "TRUE")]));
        assert!(!with(&[endpoint, ("OTEL_TRACES_EXPORTER", "none")]));
    }
}
