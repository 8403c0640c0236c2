//! What is exported, and how the standard variables of one signal are looked up.

use opentelemetry_otlp::Protocol;

use crate::error::Error;

/// What is exported. Each variable of a collector has a form for one signal, which goes before the one for all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal {
    Traces,
    Metrics,
}

impl Signal {
    /// The variables `OTEL_EXPORTER_OTLP_…` that end with `name`, the more special one first.
    pub fn variables(self, name: &str) -> [String; 2] {
        let signal = match self {
            Self::Traces => "TRACES",
            Self::Metrics => "METRICS",
        };
        [format!("OTEL_EXPORTER_OTLP_{signal}_{name}"), format!("OTEL_EXPORTER_OTLP_{name}")]
    }

    /// The variable that counts, and what it says. One that is empty counts as not set.
    pub fn set(self, name: &str, variable: impl Fn(&str) -> Option<String>) -> Option<(String, String)> {
        self.variables(name)
            .into_iter()
            .find_map(|name| variable(&name).filter(|value| !value.is_empty()).map(|value| (name, value)))
    }

    /// How its collector is spoken to: by gRPC if nothing is named. Fails on a protocol that is not spoken.
    pub fn protocol(self, variable: impl Fn(&str) -> Option<String>) -> Result<Protocol, Error> {
        const NAME: &str = "PROTOCOL";
        let named = self.set(NAME, variable);
        match named.as_ref().map_or("grpc", |(_, value)| value.as_str()) {
            "grpc" => Ok(Protocol::Grpc),
            "http/protobuf" => Ok(Protocol::HttpBinary),
            other => Err(Error::Usage(format!(
                "the protocol {other:?} of {} is not spoken: it must be grpc or http/protobuf",
                self.variables(NAME).join(" or ")
            ))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_protocol_of_a_signal_goes_before_that_of_all() {
        let all = ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf");
        for (signal, own) in [
            (Signal::Traces, "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL"),
            (Signal::Metrics, "OTEL_EXPORTER_OTLP_METRICS_PROTOCOL"),
        ] {
            let of = |set: &[(&str, &str)]| {
                signal.protocol(|name| {
                    set.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned())
                })
            };
            assert!(matches!(of(&[]), Ok(Protocol::Grpc)));
            assert!(matches!(of(&[all]), Ok(Protocol::HttpBinary)));
            assert!(matches!(of(&[all, (own, "grpc")]), Ok(Protocol::Grpc)));
            assert!(matches!(of(&[all, (own, "")]), Ok(Protocol::HttpBinary)), "empty counts as not set");
            assert!(matches!(of(&[(own, "http/json")]), Err(Error::Usage(_))));
        }
    }
}
