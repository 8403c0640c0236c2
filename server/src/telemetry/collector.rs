//! How the collector of one signal is reached, as the standard variables say: by which protocol, and with which
//! certificates where its address begins with `https://`.

use opentelemetry_otlp::{Protocol, WithHttpConfig, WithTonicConfig};
use rowhouse_proto::causes;

use super::signal::Signal;
use super::tls::Tls;
use crate::error::Error;

/// The collector of one signal.
pub struct Collector {
    pub protocol: Protocol,
    /// Absent where it is reached without TLS.
    tls: Option<Tls>,
}

impl Collector {
    /// Fails with `Usage` on a protocol that is not spoken, and with `Certificates` on files that are of no use.
    pub fn of_environment(
        signal: Signal,
        variable: impl Fn(&str) -> Option<String> + Copy,
    ) -> Result<Self, Error> {
        let protocol = signal.protocol(variable)?;
        let is_secure = signal.is_secure(variable);
        let tls = is_secure.then(|| Tls::of_environment(signal, variable)).transpose()?;
        Ok(Self { protocol, tls })
    }

    /// Completes an exporter over gRPC.
    pub fn by_grpc<B: WithTonicConfig>(&self, building: B) -> B {
        match &self.tls {
            Some(tls) => building.with_tls_config(tls.grpc()),
            None => building,
        }
    }

    /// Completes an exporter over HTTP. Fails with `Certificates`.
    pub fn by_http<B: WithHttpConfig>(&self, building: B) -> Result<B, Error> {
        match &self.tls {
            Some(tls) => Ok(building.with_http_client(tls.http()?)),
            None => Ok(building),
        }
    }

    /// For `map_err`: the library could not build the exporter.
    pub fn unusable(&self, error: &(dyn std::error::Error + 'static)) -> Error {
        let text = format!("the OTEL_* variables do not make an exporter: {}", causes(error));
        // What is left to go wrong with TLS are the certificates of this system.
        if self.tls.is_some() { Error::Certificates(text) } else { Error::Usage(text) }
    }
}
