//! Standard variables that ask for what is not there. Setting one is no mistake: an operator of collectors gives the same
//! environment to every program. So it is said once, and the process goes on.

use std::collections::BTreeSet;

use super::signal::Signal;
use super::tls;

/// The variable, what it may say without asking for anything, and what happens instead. docs/operations/traces.md has
/// the same list.
const IGNORED: &[(&str, &[&str], &str)] = &[
    (
        "OTEL_PROPAGATORS",
        &["tracecontext", "tracecontext,baggage", "none"],
        "traceparent alone is read and sent",
    ),
    ("OTEL_EXPORTER_OTLP_COMPRESSION", &["none"], "nothing is compressed"),
    ("OTEL_EXPORTER_OTLP_TRACES_COMPRESSION", &["none"], "nothing is compressed"),
    ("OTEL_EXPORTER_OTLP_METRICS_COMPRESSION", &["none"], "nothing is compressed"),
    ("OTEL_LOGS_EXPORTER", &["none", "console"], "logs go to standard error"),
    ("OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT", &[], "values are whole"),
];

/// Says which of the variables that are set have no effect.
pub fn warn(variable: impl Fn(&str) -> Option<String>) {
    for (name, instead) in set(&variable) {
        tracing::warn!("{name} is set and has no effect: {instead}");
    }
    for name in needless(&variable) {
        tracing::warn!("{name} is set and has no effect: no collector's address begins with https://");
    }
}

/// Variables of TLS, where none is spoken.
fn needless(variable: impl Fn(&str) -> Option<String>) -> Vec<String> {
    let is_set = |name: &String| variable(name).is_some_and(|value| !value.is_empty());
    if Signal::ALL.iter().any(|signal| signal.is_secure(&variable)) {
        return Vec::new();
    }
    let named = tls::VARIABLES.iter().flat_map(|name| Signal::ALL.map(|signal| signal.variables(name)));
    named.flatten().filter(is_set).collect::<BTreeSet<String>>().into_iter().collect()
}

fn set(variable: impl Fn(&str) -> Option<String>) -> impl Iterator<Item = (&'static str, &'static str)> {
    IGNORED.iter().filter_map(move |(name, harmless, instead)| {
        let value = variable(name)?;
        (!value.is_empty() && !harmless.contains(&value.as_str())).then_some((*name, *instead))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_asked_for_in_vain_is_said_and_what_asks_for_nothing_is_not() {
        let said = |set_to: &[(&str, &str)]| -> Vec<&str> {
            let value = |name: &str| {
                set_to.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned())
            };
            set(value).map(|(name, _)| name).collect()
        };
        let compression = "OTEL_EXPORTER_OTLP_COMPRESSION";
        assert_eq!(
            said(&[(compression, "gzip"), ("OTEL_PROPAGATORS", "b3")]),
            ["OTEL_PROPAGATORS", compression]
        );
        assert!(said(&[(compression, "none"), ("OTEL_PROPAGATORS", "tracecontext,baggage")]).is_empty());
        assert!(said(&[(compression, ""), ("OTEL_SERVICE_NAME", "x")]).is_empty());
    }

    #[test]
    fn certificates_are_in_vain_where_no_address_is_of_tls() {
        let said = |set_to: &[(&str, &str)]| {
            needless(|name: &str| {
                set_to.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned())
            })
        };
        let (general, own) = ("OTEL_EXPORTER_OTLP_CERTIFICATE", "OTEL_EXPORTER_OTLP_METRICS_CLIENT_KEY");
        let endpoint = "OTEL_EXPORTER_OTLP_ENDPOINT";
        assert_eq!(said(&[(general, "a"), (own, "b"), (endpoint, "http://c")]), [general, own]);
        assert!(said(&[(general, "a"), (own, "b"), (endpoint, "https://c")]).is_empty());
        assert!(said(&[(general, "")]).is_empty());
    }

    #[test]
    fn the_page_on_traces_names_each() {
        let page = include_str!("../../../docs/operations/traces.md");
        for (name, ..) in IGNORED {
            let tail = name.strip_prefix("OTEL_EXPORTER_OTLP").map_or(*name, |tail| tail);
            assert!(page.contains(name) || page.contains(&format!("`{tail}`")), "{name}");
        }
    }
}
