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
    pub const ALL: [Self; 2] = [Self::Traces, Self::Metrics];

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

    /// Whether its collector is reached by TLS. Only gRPC takes an address without `http://` or `https://`, and takes it
    /// for the latter unless it is told to be insecure.
    pub fn is_secure(self, variable: impl Fn(&str) -> Option<String>) -> bool {
        let says = |name: &str| self.set(name, &variable).map(|(_, value)| value.to_ascii_lowercase());
        says("ENDPOINT").is_some_and(|endpoint| match endpoint.split_once("://") {
            Some((scheme, _)) => scheme == "https",
            None => says("INSECURE").as_deref() != Some("true"),
        })
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

    fn lookup<'a>(set: &'a [(&str, &str)]) -> impl Fn(&str) -> Option<String> + 'a {
        |name| set.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned())
    }

    #[test]
    fn the_address_says_whether_tls_is_spoken() {
        let (all, own) = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT");
        let insecure = ("OTEL_EXPORTER_OTLP_INSECURE", "TRUE");
        let is = |set: &[(&str, &str)]| Signal::Metrics.is_secure(lookup(set));
        assert!(!is(&[]), "the default is this machine");
        assert!(is(&[(all, "https://c:4317")]) && is(&[(all, "HTTPS://c:4317")]));
        assert!(!is(&[(all, "http://c:4317")]));
        assert!(
            is(&[(all, "http://c"), (own, "https://c")]) && !is(&[(all, "https://c"), (own, "http://c")])
        );
        assert!(is(&[(all, "c:4317")]) && !is(&[(all, "c:4317"), insecure]));
        assert!(is(&[(all, "https://c"), insecure]), "the address wins");
    }

    #[test]
    fn the_protocol_of_a_signal_goes_before_that_of_all() {
        let all = ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf");
        for (signal, own) in [
            (Signal::Traces, "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL"),
            (Signal::Metrics, "OTEL_EXPORTER_OTLP_METRICS_PROTOCOL"),
        ] {
            let of = |set: &[(&str, &str)]| signal.protocol(lookup(set));
            assert!(matches!(of(&[]), Ok(Protocol::Grpc)));
            assert!(matches!(of(&[all]), Ok(Protocol::HttpBinary)));
            assert!(matches!(of(&[all, (own, "grpc")]), Ok(Protocol::Grpc)));
            assert!(matches!(of(&[all, (own, "")]), Ok(Protocol::HttpBinary)), "empty counts as not set");
            assert!(matches!(of(&[(own, "http/json")]), Err(Error::Usage(_))));
        }
    }
}
