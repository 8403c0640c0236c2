//! Collectors that are reached by TLS (docs/operations/traces.md).

use std::time::Duration;

use rowhouse_chaos_tests::cluster::{Cluster, ClusterOptions, wait_until};
use rowhouse_chaos_tests::http1::Connection;
use rowhouse_chaos_tests::request::request;

use super::otlp::Collector;
use super::papers::Papers;

/// Generous: the machine may be compiling meanwhile.
const PATIENCE: Duration = Duration::from_secs(120);
/// Attempts of exporters after which one that could succeed would have.
const ATTEMPTS: usize = 4;
const GRPC: &str = "grpc";
const HTTP: &str = "http/protobuf";

/// Exports everything soon to a collector by TLS.
async fn cluster(protocol: &str, address: std::net::SocketAddr, more: &[(&str, String)]) -> Cluster {
    let endpoint = format!("https://{address}");
    let all = [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint.as_str()),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", protocol),
        ("OTEL_METRICS_EXPORTER", "otlp"),
        ("OTEL_METRIC_EXPORT_INTERVAL", "200"),
        ("OTEL_BSP_SCHEDULE_DELAY", "50"),
    ];
    let all = all.into_iter().chain(more.iter().map(|(name, value)| (*name, value.as_str())));
    let environment = all.map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
    let options = ClusterOptions { environment, ..ClusterOptions::default() };
    Cluster::start(options).await.expect("the cluster starts")
}

/// A request that is answered, and traced where anything is.
async fn serves(cluster: &Cluster) {
    let gateway = cluster.gateways().expect("gateways")[0];
    let mut connection = Connection::open(gateway, false).await.expect("it listens");
    let asked = request("GET", "/info", &gateway.to_string(), &[], b"");
    assert_eq!(connection.exchange(&asked, false).await.expect("an answer").status, 200);
}

/// Lines of a component's log that say this.
fn said(cluster: &Cluster, component: &str, words: &str) -> Vec<String> {
    let output = cluster.component(component).expect("it runs").output;
    let text = std::fs::read_to_string(output).expect("a log");
    text.lines().filter(|line| line.contains(words)).map(str::to_owned).collect()
}

fn client(papers: &Papers, signal: &str) -> Vec<(&'static str, String)> {
    let names: [&str; 2] = match signal {
        "" => ["OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE", "OTEL_EXPORTER_OTLP_CLIENT_KEY"],
        _ => ["OTEL_EXPORTER_OTLP_METRICS_CLIENT_CERTIFICATE", "OTEL_EXPORTER_OTLP_METRICS_CLIENT_KEY"],
    };
    vec![(names[0], papers.named("client.pem")), (names[1], papers.named("client.key"))]
}

#[tokio::test]
async fn a_collector_with_a_certificate_of_its_own_gets_spans_and_metrics() {
    let (papers, others) = (Papers::new(), Papers::new());
    for protocol in [GRPC, HTTP] {
        let (collector, address) = Collector::by_tls(protocol == GRPC, &papers).await;
        let mut variables = client(&papers, "");
        variables.push(("OTEL_EXPORTER_OTLP_CERTIFICATE", papers.named("ca.pem")));
        let cluster = cluster(protocol, address, &variables).await;
        serves(&cluster).await;
        let both = async || !collector.spans().is_empty() && collector.has_metrics();
        wait_until(PATIENCE, "spans and metrics", both).await.expect(protocol);
        assert_eq!(said(&cluster, "gateway-1", "has no effect"), Vec::<String>::new());
        drop(cluster);

        // The variables of metrics win for metrics alone: these traces go by a CA that did not sign the collector.
        let (collector, address) = Collector::by_tls(protocol == GRPC, &papers).await;
        let mut variables = client(&papers, "METRICS");
        variables.push(("OTEL_EXPORTER_OTLP_CERTIFICATE", others.named("ca.pem")));
        variables.push(("OTEL_EXPORTER_OTLP_METRICS_CERTIFICATE", papers.named("ca.pem")));
        let cluster = self::cluster(protocol, address, &variables).await;
        serves(&cluster).await;
        wait_until(PATIENCE, "metrics", async || collector.has_metrics()).await.expect(protocol);
        assert!(collector.spans().is_empty(), "{protocol}");
    }
}

#[tokio::test]
async fn without_a_variable_the_roots_of_the_system_count() {
    let papers = Papers::new();
    for protocol in [GRPC, HTTP] {
        let (collector, address) = Collector::by_tls(protocol == GRPC, &papers).await;
        let mut variables = client(&papers, "");
        // Where this system's are, as OpenSSL and rustls look them up.
        variables.push(("SSL_CERT_FILE", papers.named("ca.pem")));
        let cluster = cluster(protocol, address, &variables).await;
        serves(&cluster).await;
        wait_until(PATIENCE, "spans", async || !collector.spans().is_empty()).await.expect(protocol);
    }
}

#[tokio::test]
async fn a_collector_that_is_not_believed_or_does_not_believe_gets_nothing_and_all_serve_on() {
    let (papers, others) = (Papers::new(), Papers::new());
    for protocol in [GRPC, HTTP] {
        // Whom it believes, and whose certificate it shows.
        for (ca, identity) in [(&others, Some(&papers)), (&papers, None)] {
            let (collector, address) = Collector::by_tls(protocol == GRPC, &papers).await;
            let mut variables = identity.map(|papers| client(papers, "")).unwrap_or_default();
            variables.push(("OTEL_EXPORTER_OTLP_CERTIFICATE", ca.named("ca.pem")));
            let cluster = cluster(protocol, address, &variables).await;
            let tried = async || {
                serves(&cluster).await;
                collector.attempts() >= ATTEMPTS
            };
            wait_until(PATIENCE, "attempts", tried).await.expect(protocol);
            assert!(collector.exports().is_empty(), "{protocol}");
        }
    }
}

#[tokio::test]
async fn a_certificate_that_is_missing_is_said_once_for_each_signal_and_all_serve() {
    let papers = Papers::new();
    let (collector, address) = Collector::by_tls(true, &papers).await;
    let missing = ("OTEL_EXPORTER_OTLP_CERTIFICATE", papers.named("gone.pem"));
    let cluster = cluster(GRPC, address, std::slice::from_ref(&missing)).await;
    serves(&cluster).await;
    for component in ["gateway-1", "node-1"] {
        let lines = said(&cluster, component, &missing.1);
        assert_eq!(lines.len(), 2, "{component}: {lines:#?}");
        for (line, what) in lines.iter().zip(["no traces are exported", "no metrics are exported"]) {
            assert!(line.contains(what) && line.contains("ERROR"), "{line}");
            assert!(line.contains(missing.0) && line.contains("cannot be read"), "{line}");
        }
    }
    assert_eq!(collector.attempts(), 0);
}
