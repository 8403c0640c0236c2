//! The standard variables of OpenTelemetry, as docs/operations/traces.md says which are honoured; and a collector that
//! takes nothing.

use std::time::Duration;

use rowhouse_chaos_tests::cluster::{Cluster, ClusterOptions, wait_until};
use rowhouse_chaos_tests::http1::Connection;
use rowhouse_chaos_tests::identity::{Session, User, signup_by_cookie};
use rowhouse_chaos_tests::request::request;
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use super::otlp::Collector;

/// Generous: the machine may be compiling meanwhile.
const PATIENCE: Duration = Duration::from_secs(120);
const BATCH: usize = 5;
const ATTRIBUTES: usize = 4;

struct Client {
    connection: Connection,
    host: String,
    user: User,
    session: Session,
}

impl Client {
    async fn of(cluster: &Cluster) -> Self {
        let gateway = cluster.gateways().expect("gateways")[0];
        let mut connection = Connection::open(gateway, false).await.expect("it listens");
        let (host, user) = (gateway.to_string(), User::random());
        let session = signup_by_cookie(&mut connection, &host, &user).await.expect("signs up");
        Self { connection, host, user, session }
    }

    async fn send(&mut self, method: &str, path: &str, more: &[(&str, &str)], body: &[u8]) -> u16 {
        let mut headers = vec![(self.session.header, self.session.value.as_str())];
        headers.extend(more);
        let target = format!("/storage/{}{path}", self.user.z32);
        let bytes = request(method, &target, &self.host, &headers, body);
        self.connection.exchange(&bytes, false).await.expect("an answer").status
    }
}

async fn cluster(variables: &[(&str, &str)]) -> Cluster {
    let environment =
        variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    let options = ClusterOptions { environment, ..ClusterOptions::default() };
    Cluster::start(options).await.expect("the cluster starts")
}

#[tokio::test]
async fn each_variable_has_the_effect_that_the_page_says() {
    let (collector, address) = Collector::by_grpc().await;
    let cluster = cluster(&[
        // The more special variable wins: nobody listens at the other address.
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1"),
        ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", &format!("http://{address}")),
        ("OTEL_EXPORTER_OTLP_HEADERS", "x-tenant=all"),
        ("OTEL_EXPORTER_OTLP_TRACES_HEADERS", "x-team=row,x-space=a%20b"),
        ("OTEL_EXPORTER_OTLP_TIMEOUT", "5000"),
        ("OTEL_SERVICE_NAME", "homes"),
        ("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment.name=test,service.instance.id=one"),
        ("OTEL_TRACES_SAMPLER", "parentbased_traceidratio"),
        ("OTEL_TRACES_SAMPLER_ARG", "0"),
        ("OTEL_BSP_SCHEDULE_DELAY", "50"),
        ("OTEL_BSP_MAX_QUEUE_SIZE", "2048"),
        ("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", &BATCH.to_string()),
        ("OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT", &ATTRIBUTES.to_string()),
        // Not honoured, and no harm.
        ("OTEL_PROPAGATORS", "b3"),
        ("OTEL_EXPORTER_OTLP_COMPRESSION", "gzip"),
        ("OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT", "2"),
        ("OTEL_LOGS_EXPORTER", "otlp"),
    ])
    .await;
    let mut client = Client::of(&cluster).await;
    assert_eq!(client.send("PUT", "/pub/unseen", &[], b"x").await, 201);
    let parent = ("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01");
    for file in 0..2 * BATCH {
        assert_eq!(client.send("PUT", &format!("/pub/{file}"), &[parent], b"x").await, 201);
    }
    let puts =
        |spans: &[super::otlp::Span]| spans.iter().filter(|span| span.name.starts_with("PUT ")).count();
    let came = wait_until(PATIENCE, "the spans", async || puts(&collector.spans()) == 2 * BATCH).await;
    assert!(came.is_ok(), "{:#?}", collector.spans());

    let spans = collector.spans();
    for span in &spans {
        let told = |name: &str| span.resource.get(name).map(String::as_str);
        assert_eq!((span.service.as_str(), told("service.instance.id")), ("homes", Some("one")));
        assert_eq!(told("deployment.environment.name"), Some("test"));
        assert_eq!(told("service.namespace"), Some("rowhouse"));
        assert!(span.attributes.len() <= ATTRIBUTES, "{span:?}");
        assert!(!span.trace.is_empty() && span.trace != [0; 16]);
    }
    assert!(
        spans.iter().any(|span| span.attributes.values().any(|value| value.len() > 2)),
        "values are not cut"
    );
    let exports = collector.exports();
    assert!(exports.iter().any(|export| export.spans == BATCH), "{exports:?}");
    for export in &exports {
        assert!(export.spans <= BATCH, "{export:?}");
        let header = |name: &str| export.headers.get(name).map(String::as_str);
        assert_eq!((header("x-team"), header("x-space")), (Some("row"), Some("a b")), "{export:?}");
    }
}

/// Whether both kinds of processes told of both of these instruments.
fn is_told(collector: &Collector) -> bool {
    let exports = collector.exports();
    let told = |service: &str, name: &str| {
        let is_it = |(of, instrument): &(String, String)| of == service && instrument == name;
        exports.iter().any(|export| export.metrics.iter().any(is_it))
    };
    told("rowhouse-gateway", "http.server.request.duration")
        && told("rowhouse-node", "rowhouse.raft.log.syncs")
        && told("rowhouse-gateway", "process.cpu")
}

#[tokio::test]
async fn metrics_are_pushed_over_http_and_over_grpc() {
    let (by_http, http_address) = Collector::by_http().await;
    let pushing = cluster(&[
        ("OTEL_METRICS_EXPORTER", "otlp"),
        ("OTEL_METRIC_EXPORT_INTERVAL", "200"),
        ("OTEL_TRACES_EXPORTER", "none"),
        // The variables of metrics win: nobody listens at the other address, and it is spoken to otherwise.
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1"),
        ("OTEL_EXPORTER_OTLP_METRICS_ENDPOINT", &format!("http://{http_address}/v1/metrics")),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"),
        ("OTEL_EXPORTER_OTLP_METRICS_PROTOCOL", "http/protobuf"),
        ("OTEL_EXPORTER_OTLP_HEADERS", "x-tenant=all"),
        ("OTEL_EXPORTER_OTLP_METRICS_HEADERS", "x-team=row,x-space=a%20b"),
    ])
    .await;
    let mut client = Client::of(&pushing).await;
    assert_eq!(client.send("PUT", "/pub/a", &[], b"x").await, 201);
    wait_until(PATIENCE, "metrics over HTTP", async || is_told(&by_http)).await.expect("pushed");
    for export in by_http.exports() {
        let header = |name: &str| export.headers.get(name).map(String::as_str);
        assert_eq!((header("x-team"), header("x-space")), (Some("row"), Some("a b")), "{export:?}");
        assert_eq!(header("content-type"), Some("application/x-protobuf"));
        assert_eq!(export.spans, 0);
    }
    drop(pushing);

    // The general variables: over HTTP the path is appended, and traces go to the same collector.
    let (both, address) = Collector::by_http().await;
    let general = cluster(&[
        ("OTEL_METRICS_EXPORTER", "otlp"),
        ("OTEL_METRIC_EXPORT_INTERVAL", "200"),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", &format!("http://{address}")),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf"),
        ("OTEL_BSP_SCHEDULE_DELAY", "50"),
    ])
    .await;
    let mut client = Client::of(&general).await;
    assert_eq!(client.send("PUT", "/pub/a", &[], b"x").await, 201);
    let is_all = async || is_told(&both) && !both.spans().is_empty();
    wait_until(PATIENCE, "metrics and spans over HTTP", is_all).await.expect("pushed");
    drop(general);

    let (by_grpc, address) = Collector::by_grpc().await;
    let default = cluster(&[
        ("OTEL_METRICS_EXPORTER", "otlp"),
        ("OTEL_METRIC_EXPORT_INTERVAL", "200"),
        ("OTEL_TRACES_EXPORTER", "none"),
        ("OTEL_EXPORTER_OTLP_METRICS_ENDPOINT", &format!("http://{address}")),
    ])
    .await;
    let mut client = Client::of(&default).await;
    assert_eq!(client.send("PUT", "/pub/a", &[], b"x").await, 201);
    wait_until(PATIENCE, "metrics over gRPC", async || is_told(&by_grpc)).await.expect("pushed");
}

#[tokio::test]
async fn a_collector_that_takes_nothing_costs_no_request() {
    const REQUESTS: usize = 300;
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("bound");
    let mut collector = JoinSet::new();
    collector.spawn(async move {
        let mut held = Vec::new();
        while let Ok((connection, _)) = listener.accept().await {
            held.push(connection);
        }
    });
    let mut cluster = cluster(&[
        ("OTEL_EXPORTER_OTLP_ENDPOINT", &format!("http://{address}")),
        ("OTEL_TRACES_SAMPLER", "always_on"),
        ("OTEL_BSP_SCHEDULE_DELAY", "50"),
        // Full after a few requests: the rest of the spans is dropped.
        ("OTEL_BSP_MAX_QUEUE_SIZE", "64"),
        ("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "16"),
    ])
    .await;
    let mut client = Client::of(&cluster).await;
    for number in 0..REQUESTS {
        let path = format!("/pub/{}", number / 2);
        let (method, wanted) = if number % 2 == 0 { ("PUT", 201) } else { ("GET", 200) };
        assert_eq!(client.send(method, &path, &[], b"x").await, wanted, "{number}");
    }
    cluster.stop().expect("every process ends in time, although spans are left");
}
