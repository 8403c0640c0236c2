//! Logs to standard error; traces to an OTLP collector when the standard `OTEL_*` variables name one.
//!
//! Owns the tracer provider. Spans come from the crates: this only says where they go.
//! The exporter's queue is bounded and drops when full: a collector that is away delays no request.
//! Metrics begin later than logs, once the settings are known: see `Metrics`.
//! Deliberately absent: log export.

mod collector;
mod exposition;
mod ignored;
mod lines;
mod logs;
mod metrics;
mod process;
mod resource;
mod sampler;
mod scrape;
mod signal;
mod tls;
mod traces;

use std::time::Duration;

use opentelemetry::trace::TracerProvider as _;
use opentelemetry_sdk::trace::SdkTracerProvider;
use rowhouse_proto::causes;
use tracing_appender::non_blocking::WorkerGuard;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer};

use crate::error::Error;

pub use logs::LogFormat;
pub use metrics::Metrics;

/// The log filter without `RUST_LOG`. openraft tells of every heartbeat that a dead peer misses. pkarr tells of every
/// publication that reaches fewer nodes than the public network has.
const LOG_DEFAULT: &str = "info,openraft=error,mainline=warn,pkarr=error,pkarr_relay=error,http_relay=warn,h2=warn,\
                           tower=warn,hyper=warn,opentelemetry=warn";
/// The trace filter without `ROWHOUSE_TRACE`: our own spans, not those of the libraries. An actor's span lasts as long as
/// its node, and every ping would be a part of its trace.
const TRACE_DEFAULT: &str = "off,rowhouse=info,rowhouse_node=info,rowhouse_node::actor=off,rowhouse_gateway=info,\
                             rowhouse_raft=info,rowhouse_proto=info,rowhouse_peer=info";
/// Spans still queued at the end get this long to leave.
const FLUSH_MAX: Duration = Duration::from_secs(3);

/// The log and the exporter of traces. The command that started them calls [`Telemetry::flush`] at the end.
#[must_use]
pub struct Telemetry {
    provider: Option<SdkTracerProvider>,
    /// Writes what waits when it is dropped.
    lines: WorkerGuard,
}

impl Telemetry {
    /// Begins to log, and to export traces as `rowhouse-{service}` if the environment asks for it.
    ///
    /// Must run inside the runtime, on which the exporter's connection lives. Fails on a filter that cannot be read,
    /// on unusable `OTEL_*` variables, and when logging was started before. Certificates of no use are said in the log, and
    /// nothing is exported.
    pub fn start(service: &str, format: LogFormat) -> Result<Self, Error> {
        let shown = filter("RUST_LOG", LOG_DEFAULT)?;
        let spans = filter("ROWHOUSE_TRACE", TRACE_DEFAULT)?;
        let (provider, unused) = match traces::provider(service) {
            // A homeserver serves without its traces.
            Err(error @ Error::Certificates(_)) => (None, Some(error)),
            provider => (provider?, None),
        };
        let traces = provider.as_ref().map(|provider| {
            // Where a span stands in our code, on which thread and for how long it was busy is no concern of those who
            // read it, and costs.
            tracing_opentelemetry::layer()
                .with_tracer(provider.tracer("rowhouse"))
                .with_location(false)
                .with_threads(false)
                .with_tracked_inactivity(false)
                .with_target(false)
                .with_filter(spans)
        });
        let (out, lines) = lines::standard_error();
        tracing_subscriber::registry()
            .with(logs::layer(format, out).with_filter(shown))
            .with(traces)
            .try_init()
            .map_err(|error| Error::Failed(format!("cannot start logging: {}", causes(&error))))?;
        if let Some(error) = unused {
            tracing::error!(%error, "no traces are exported");
        }
        ignored::warn(|name| std::env::var(name).ok());
        if let Some(provider) = &provider {
            opentelemetry::global::set_tracer_provider(provider.clone());
        }
        Ok(Self { provider, lines })
    }

    /// Exports the spans that are still queued, for at most `FLUSH_MAX`, and writes the lines that wait, for a second.
    /// What stays behind is lost.
    pub async fn flush(self) {
        let Self { provider, lines } = self;
        if let Some(provider) = provider {
            export(provider).await;
        }
        drop(lines);
    }
}

async fn export(provider: SdkTracerProvider) {
    let flushed = tokio::task::spawn_blocking(move || provider.shutdown_with_timeout(FLUSH_MAX)).await;
    if let Ok(Err(error)) = flushed {
        tracing::debug!(%error, "some spans were not exported");
    }
}

fn filter(variable: &str, default: &str) -> Result<EnvFilter, Error> {
    let set = std::env::var_os(variable).unwrap_or_default();
    let text = if set.is_empty() { default.into() } else { set.to_string_lossy() };
    EnvFilter::try_new(&text).map_err(|error| {
        Error::Usage(format!(
            "{variable} is {text:?}, which is no filter ({}): write for example {variable}=info,rowhouse_node=debug",
            causes(&error)
        ))
    })
}
