//! A collector: it takes spans and metrics by OTLP over gRPC and over HTTP, and keeps them.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use futures::{StreamExt, stream};
use opentelemetry_proto::tonic::collector::metrics::v1::metrics_service_server::{
    MetricsService, MetricsServiceServer,
};
use opentelemetry_proto::tonic::collector::metrics::v1::{
    ExportMetricsServiceRequest, ExportMetricsServiceResponse,
};
use opentelemetry_proto::tonic::collector::trace::v1::trace_service_server::{
    TraceService, TraceServiceServer,
};
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use opentelemetry_proto::tonic::common::v1::{KeyValue, any_value::Value};
use prost::Message;
use tokio::io::{
    AsyncBufRead, AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader,
};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use tonic::metadata::{KeyAndValueRef, MetadataMap};
use tonic::transport::server::Connected;
use tonic::{Request, Response, Status};

use super::papers::Papers;

/// One span, as far as tests look at it.
#[derive(Clone, Debug)]
pub struct Span {
    /// `service.name` of the process that it is from.
    pub service: String,
    /// All that is told of that process.
    pub resource: BTreeMap<String, String>,
    pub name: String,
    pub trace: Vec<u8>,
    pub id: Vec<u8>,
    /// Empty for a root.
    pub parent: Vec<u8>,
    /// As in the contract: 1 internal, 2 server, 3 client.
    pub kind: i32,
    /// Values as text.
    pub attributes: BTreeMap<String, String>,
    /// The spans it links to.
    pub links: Vec<Vec<u8>>,
    /// Ended as an error.
    pub is_error: bool,
}

/// One request of an exporter.
#[derive(Clone, Debug)]
pub struct Export {
    /// Its spans.
    pub spans: usize,
    /// `service.name` and the instrument of each of its metrics.
    pub metrics: Vec<(String, String)>,
    /// What it says of itself.
    pub headers: BTreeMap<String, String>,
}

/// Ends when it is dropped.
pub struct Collector {
    kept: Kept,
    _tasks: JoinSet<()>,
}

#[derive(Clone, Default)]
struct Kept {
    spans: Arc<Mutex<Vec<Span>>>,
    exports: Arc<Mutex<Vec<Export>>>,
    attempts: Arc<AtomicUsize>,
}

impl Collector {
    /// A collector and its address for gRPC.
    pub async fn by_grpc() -> (Self, SocketAddr) {
        Self::start(true, None).await
    }

    /// A collector and its address for HTTP.
    pub async fn by_http() -> (Self, SocketAddr) {
        Self::start(false, None).await
    }

    /// As these, by TLS. It demands certificates.
    pub async fn by_tls(is_grpc: bool, papers: &Papers) -> (Self, SocketAddr) {
        let alpn: &[u8] = if is_grpc { b"h2" } else { b"http/1.1" };
        Self::start(is_grpc, Some(TlsAcceptor::from(papers.server(alpn)))).await
    }

    async fn start(is_grpc: bool, tls: Option<TlsAcceptor>) -> (Self, SocketAddr) {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("bound");
        let (kept, mut tasks) = (Kept::default(), JoinSet::new());
        let into = kept.clone();
        tasks.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                into.attempts.fetch_add(1, Ordering::SeqCst);
                connections.spawn(into.clone().take(stream, tls.clone(), is_grpc));
            }
        });
        (Self { kept, _tasks: tasks }, address)
    }

    /// Connections that were begun.
    pub fn attempts(&self) -> usize {
        self.kept.attempts.load(Ordering::SeqCst)
    }

    /// Whether any metric came.
    pub fn has_metrics(&self) -> bool {
        self.exports().iter().any(|export| !export.metrics.is_empty())
    }

    /// All that came so far.
    pub fn spans(&self) -> Vec<Span> {
        self.kept.spans.lock().expect("spans").clone()
    }

    /// The requests that came so far.
    pub fn exports(&self) -> Vec<Export> {
        self.kept.exports.lock().expect("exports").clone()
    }
}

impl Kept {
    fn keep(&self, request: ExportTraceServiceRequest, headers: BTreeMap<String, String>) {
        let scopes = request.resource_spans.iter().flat_map(|resource| &resource.scope_spans);
        let spans = scopes.map(|scope| scope.spans.len()).sum();
        self.exports.lock().expect("exports").push(Export { spans, metrics: Vec::new(), headers });
        let mut kept = self.spans.lock().expect("spans");
        for resource in request.resource_spans {
            let of = attributes(resource.resource.map(|resource| resource.attributes).unwrap_or_default());
            let service = of.get("service.name").cloned().unwrap_or_default();
            kept.extend(resource.scope_spans.into_iter().flat_map(|scope| scope.spans).map(|span| Span {
                service: service.clone(),
                resource: of.clone(),
                name: span.name,
                trace: span.trace_id,
                id: span.span_id,
                parent: span.parent_span_id,
                kind: span.kind,
                attributes: attributes(span.attributes),
                links: span.links.into_iter().map(|link| link.span_id).collect(),
                is_error: span.status.is_some_and(|status| status.code == 2),
            }));
        }
    }

    fn keep_metrics(&self, request: ExportMetricsServiceRequest, headers: BTreeMap<String, String>) {
        let mut metrics = Vec::new();
        for resource in request.resource_metrics {
            let of = attributes(resource.resource.map(|resource| resource.attributes).unwrap_or_default());
            let service = of.get("service.name").cloned().unwrap_or_default();
            let told = resource.scope_metrics.into_iter().flat_map(|scope| scope.metrics);
            metrics.extend(told.map(|metric| (service.clone(), metric.name)));
        }
        self.exports.lock().expect("exports").push(Export { spans: 0, metrics, headers });
    }

    /// One connection; a caller that is not believed ends it.
    async fn take(self, stream: TcpStream, tls: Option<TlsAcceptor>, is_grpc: bool) {
        match tls {
            None => self.answer(stream, is_grpc).await,
            Some(tls) => {
                if let Ok(stream) = tls.accept(stream).await {
                    self.answer(stream, is_grpc).await;
                }
            }
        }
    }

    async fn answer<S>(self, stream: S, is_grpc: bool)
    where
        S: AsyncRead + AsyncWrite + Connected + Send + Unpin + 'static,
    {
        if !is_grpc {
            return self.by_http(stream).await;
        }
        let (spans, metrics) = (TraceServiceServer::new(self.clone()), MetricsServiceServer::new(self));
        let server = tonic::transport::Server::builder().add_service(spans).add_service(metrics);
        let incoming = stream::iter([Ok::<_, std::io::Error>(stream)]).chain(stream::pending());
        server.serve_with_incoming(incoming).await.expect("it serves");
    }

    /// Requests of one connection, one after the other.
    async fn by_http(self, stream: impl AsyncRead + AsyncWrite + Unpin) {
        let mut stream = BufReader::new(stream);
        while let Some((path, headers, body)) = request(&mut stream).await {
            match path.as_str() {
                "/v1/traces" => {
                    self.keep(ExportTraceServiceRequest::decode(&body[..]).expect("spans"), headers);
                }
                "/v1/metrics" => {
                    let told = ExportMetricsServiceRequest::decode(&body[..]).expect("metrics");
                    self.keep_metrics(told, headers);
                }
                other => panic!("nothing is exported to {other}"),
            }
            let answer =
                b"HTTP/1.1 200 OK\r\ncontent-type: application/x-protobuf\r\ncontent-length: 0\r\n\r\n";
            if stream.write_all(answer).await.is_err() {
                return;
            }
        }
    }
}

/// Path, headers and body; `None` where the connection ends.
async fn request(
    stream: &mut (impl AsyncBufRead + Unpin),
) -> Option<(String, BTreeMap<String, String>, Vec<u8>)> {
    let (mut path, mut headers) = (None, BTreeMap::new());
    loop {
        let mut line = String::new();
        stream.read_line(&mut line).await.ok().filter(|read| *read > 0)?;
        let line = line.trim_end();
        if path.is_none() {
            path = Some(line.split(' ').nth(1).expect("a request line").to_owned());
        } else if let Some((name, value)) = line.split_once(':') {
            headers.insert(name.to_ascii_lowercase(), value.trim().to_owned());
        } else if line.is_empty() {
            break;
        }
    }
    let length = headers.get("content-length").map_or(0, |length| length.parse().expect("a length"));
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await.ok()?;
    Some((path?, headers, body))
}

fn headers(metadata: &MetadataMap) -> BTreeMap<String, String> {
    let pairs = metadata.iter().filter_map(|pair| match pair {
        KeyAndValueRef::Ascii(key, value) => Some((key.to_string(), value.to_str().unwrap_or("").to_owned())),
        KeyAndValueRef::Binary(..) => None,
    });
    pairs.collect()
}

fn attributes(all: Vec<KeyValue>) -> BTreeMap<String, String> {
    let text = |value: Value| match value {
        Value::StringValue(text) => text,
        Value::IntValue(number) => number.to_string(),
        other => format!("{other:?}"),
    };
    let value = |pair: KeyValue| Some((pair.key, text(pair.value?.value?)));
    all.into_iter().filter_map(value).collect()
}

#[tonic::async_trait]
impl TraceService for Kept {
    async fn export(
        &self,
        request: Request<ExportTraceServiceRequest>,
    ) -> Result<Response<ExportTraceServiceResponse>, Status> {
        let headers = headers(request.metadata());
        self.keep(request.into_inner(), headers);
        Ok(Response::new(ExportTraceServiceResponse::default()))
    }
}

#[tonic::async_trait]
impl MetricsService for Kept {
    async fn export(
        &self,
        request: Request<ExportMetricsServiceRequest>,
    ) -> Result<Response<ExportMetricsServiceResponse>, Status> {
        let headers = headers(request.metadata());
        self.keep_metrics(request.into_inner(), headers);
        Ok(Response::new(ExportMetricsServiceResponse::default()))
    }
}
