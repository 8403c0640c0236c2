//! The shape of traces, as a collector gets them from a real cluster (docs/operations/traces.md).

use std::time::Duration;

use rowhouse_chaos_tests::cluster::{Cluster, ClusterOptions, wait_until};
use rowhouse_chaos_tests::http1::{Connection, Response};
use rowhouse_chaos_tests::identity::{Session, User, signup_by_cookie};
use rowhouse_chaos_tests::request::request;

use super::otlp::{Collector, Span};

/// Generous: the machine may be compiling meanwhile.
const PATIENCE: Duration = Duration::from_secs(120);
/// The caller's span.
const CALLER: &str = "b7ad6b7169203331";
const FOLLOWERS: usize = 2;
const SERVER: i32 = 2;
const CLIENT: i32 = 3;
const STORAGE: &str = "/storage/{user}/{*path}";
const EXECUTE: &str = "rowhouse.shard.v1.Shard/Execute";
const QUERY: &str = "rowhouse.shard.v1.Shard/Query";

struct World {
    collector: Collector,
    _cluster: Cluster,
    connection: Connection,
    host: String,
    user: User,
    session: Session,
    traces: u8,
}

impl World {
    /// A cluster that records only what a caller records, and a user of it.
    async fn start(protocol: &str, gateway_flags: &[&str]) -> Self {
        let (collector, address) = match protocol {
            "grpc" => Collector::by_grpc().await,
            _ => Collector::by_http().await,
        };
        let variable = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let environment = vec![
            variable("OTEL_EXPORTER_OTLP_ENDPOINT", &format!("http://{address}")),
            variable("OTEL_EXPORTER_OTLP_PROTOCOL", protocol),
            variable("OTEL_TRACES_SAMPLER", "parentbased_always_off"),
            variable("OTEL_BSP_SCHEDULE_DELAY", "100"),
        ];
        let gateway_flags = gateway_flags.iter().map(|flag| (*flag).to_owned()).collect();
        let options = ClusterOptions { environment, gateway_flags, ..ClusterOptions::default() };
        let cluster = Cluster::start(options).await.expect("the cluster starts");
        let gateway = cluster.gateways().expect("gateways")[0];
        let mut connection = Connection::open(gateway, false).await.expect("it listens");
        let (host, user) = (gateway.to_string(), User::random());
        let session = signup_by_cookie(&mut connection, &host, &user).await.expect("signs up");
        Self { collector, _cluster: cluster, connection, host, user, session, traces: 0 }
    }

    /// Sends a request under a trace of its own, which is answered with it.
    async fn traced(&mut self, method: &str, target: &str, body: &[u8]) -> (Response, Vec<u8>) {
        self.traces += 1;
        let trace = vec![self.traces; 16];
        let parent = format!("00-{}-{CALLER}-01", hex(&trace));
        let headers = [(self.session.header, self.session.value.as_str()), ("traceparent", parent.as_str())];
        let bytes = request(method, target, &self.host, &headers, body);
        (self.connection.exchange(&bytes, false).await.expect("an answer"), trace)
    }

    fn storage(&self, path: &str) -> String {
        format!("/storage/{}{path}", self.user.z32)
    }

    /// What is of this trace, and of others with a link into it, once `is_all` of it is there.
    async fn tree(&self, trace: &[u8], is_all: impl Fn(&Tree) -> bool) -> Tree {
        let mut tree = Tree::default();
        let complete = wait_until(PATIENCE, "the whole trace", async || {
            tree = Tree::of(trace, &self.collector.spans());
            is_all(&tree)
        });
        let complete = complete.await;
        assert!(complete.is_ok(), "{tree:#?}");
        tree
    }
}

/// One trace.
#[derive(Debug, Default)]
struct Tree {
    spans: Vec<Span>,
    /// Of other traces.
    linked: Vec<Span>,
}

impl Tree {
    fn of(trace: &[u8], all: &[Span]) -> Self {
        let spans: Vec<Span> = all.iter().filter(|span| span.trace == trace).cloned().collect();
        let is_linked = |span: &&Span| {
            span.trace != trace && span.links.iter().any(|link| spans.iter().any(|span| span.id == *link))
        };
        Self { linked: all.iter().filter(is_linked).cloned().collect(), spans }
    }

    fn named(&self, name: &str) -> Vec<&Span> {
        self.spans.iter().filter(|span| span.name == name).collect()
    }

    /// The one span of this name and kind below `parent`.
    fn child(&self, parent: &[u8], name: &str, kind: i32) -> &Span {
        let is_it = |span: &&&Span| span.parent == parent && span.kind == kind;
        let named = self.named(name);
        let found: Vec<_> = named.iter().filter(is_it).collect();
        assert_eq!(found.len(), 1, "{name} below {}: {self:#?}", hex(parent));
        found[0]
    }

    fn root(&self, name: &str) -> &Span {
        self.child(&caller(), name, SERVER)
    }

    /// Links into the trace of spans of this name.
    fn links_of(&self, name: &str) -> usize {
        self.linked.iter().filter(|span| span.name == name).count()
    }

    /// Every span hangs on another one, and none twice.
    fn assert_whole(&self) {
        for span in &self.spans {
            let parents = self.spans.iter().filter(|other| other.id == span.parent).count();
            assert_eq!(parents, usize::from(span.parent != caller()), "{}: {self:#?}", span.name);
        }
    }
}

fn caller() -> Vec<u8> {
    (0..8).map(|at| u8::from_str_radix(&CALLER[2 * at..2 * at + 2], 16).expect("hex")).collect()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// So many entries on their way through the log, over both followers, and the request that they are of.
fn is_replicated(tree: &Tree, entries: usize) -> bool {
    let is_whole = |step| tree.named(step).len() == entries && tree.links_of(step) == FOLLOWERS * entries;
    is_whole("raft.log_sync") && is_whole("raft.apply") && !tree.named(&format!("PUT {STORAGE}")).is_empty()
}

#[tokio::test]
async fn a_put_is_one_trace_from_the_gateway_to_its_followers() {
    let mut world = World::start("grpc", &[]).await;
    let target = world.storage("/pub/a");
    let (response, trace) = world.traced("PUT", &target, b"x").await;
    assert_eq!(response.status, 201);
    let tree = world.tree(&trace, |tree| is_replicated(tree, 1)).await;
    tree.assert_whole();
    let root = tree.root(&format!("PUT {STORAGE}"));
    assert_eq!((root.service.as_str(), root.is_error), ("rowhouse-gateway", false));
    for (name, value) in [
        ("http.request.method", "PUT"),
        ("http.route", STORAGE),
        ("http.response.status_code", "201"),
        ("url.path", target.as_str()),
        ("pubky.user", world.user.z32.as_str()),
        ("client.address", "127.0.0.1"),
        ("url.scheme", "http"),
        ("network.protocol.version", "1.1"),
    ] {
        assert_eq!(root.attributes.get(name).map(String::as_str), Some(value), "{name}: {root:?}");
    }
    assert!(root.attributes.contains_key("rowhouse.shard"));
    assert_eq!(root.attributes["trace_id"], hex(&trace), "for log lines");
    let call = tree.child(&root.id, EXECUTE, CLIENT);
    let answer = tree.child(&call.id, EXECUTE, SERVER);
    assert_eq!((call.service.as_str(), answer.service.as_str()), ("rowhouse-gateway", "rowhouse-node"));
    for span in [call, answer] {
        let of = |name: &str| span.attributes.get(name).map(String::as_str);
        assert_eq!((of("rpc.system.name"), of("rpc.method")), (Some("grpc"), Some(EXECUTE)));
        assert_eq!(of("rpc.response.status_code"), Some("OK"));
    }
    let [propose] = tree.named("raft.propose")[..] else { panic!("{tree:#?}") };
    assert_eq!(propose.parent, answer.id);
    for step in ["raft.log_sync", "raft.apply"] {
        assert_eq!(tree.named(step)[0].parent, propose.id);
        for span in tree.linked.iter().filter(|span| span.name == step) {
            assert!(span.parent.is_empty() && span.links == [propose.id.clone()], "{span:?}");
        }
    }

    let (response, trace) = world.traced("GET", &target, b"").await;
    assert_eq!(response.status, 200);
    let tree = world.tree(&trace, |tree| tree.spans.len() >= 3).await;
    tree.assert_whole();
    let root = tree.root(&format!("GET {STORAGE}"));
    let call = tree.child(&root.id, QUERY, CLIENT);
    tree.child(&call.id, QUERY, SERVER);
}

#[tokio::test]
async fn an_upload_has_its_chunks_and_a_refusal_its_ids_by_http_and_hashed() {
    let mut world = World::start("http/protobuf", &["--trace-hashes"]).await;
    let target = world.storage("/pub/large");
    let (response, trace) = world.traced("PUT", &target, &vec![1; 1 << 18]).await;
    assert_eq!(response.status, 201);
    let stage = "rowhouse.chunk.v1.Chunk/Stage";
    // Its beginning and its end are entries; its one chunk goes to each replica.
    let is_all = |tree: &Tree| is_replicated(tree, 2) && tree.named(stage).len() == 2 * (1 + FOLLOWERS);
    let tree = world.tree(&trace, is_all).await;
    tree.assert_whole();
    let root = tree.root(&format!("PUT {STORAGE}"));
    let sent = tree.named(stage).into_iter().filter(|span| span.kind == CLIENT);
    for sent in sent.collect::<Vec<_>>() {
        assert_eq!(sent.parent, root.id);
        tree.child(&sent.id, stage, SERVER);
    }
    for span in tree.spans.iter().chain(&tree.linked) {
        let told = format!("{:?}", span.attributes);
        assert!(!told.contains(&world.user.z32) && !told.contains("/pub/large"), "{span:?}");
    }
    assert_eq!(root.attributes["pubky.user"].len(), 16);

    let target = world.storage("/pub/missing");
    let (response, trace) = world.traced("GET", &target, b"").await;
    assert_eq!(response.status, 404);
    let id = response.header("x-request-id").expect("it names the request");
    assert!(id.len() == 16 && id.chars().all(|digit| digit.is_ascii_hexdigit()), "{id}");
    let told = response.header("traceresponse").expect("it names the trace");
    assert!(told.starts_with(&format!("00-{}-", hex(&trace))), "{told}");
    let tree = world.tree(&trace, |tree| tree.spans.len() >= 3).await;
    let root = tree.root(&format!("GET {STORAGE}"));
    assert!(!root.is_error, "the server is not to blame");
}
