//! No secret is in a log, a trace, a metric or a data folder: neither a user's bearer and cookie, nor the operator's password,
//! nor the homeserver's key (ARCHITECTURE.md, Invariants).
//!
//! The cluster is put together by hand, with a key and a password that appear nowhere else.

use std::fs::File;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use pubky_common::crypto::Keypair;
use rowhouse_chaos_tests::cluster::{binary, wait_until};
use rowhouse_chaos_tests::http1::{Connection, Response};
use rowhouse_chaos_tests::identity::{User, session_cookie, signin_by_grant};
use rowhouse_chaos_tests::request::request;

/// Generous: the machine may be compiling meanwhile.
const WAIT_MAX: Duration = Duration::from_secs(120);
/// Everything this project logs, and what its dependencies tell of single requests.
const LOG: &str = "debug,rowhouse=trace,rowhouse_gateway=trace,rowhouse_node=trace,rowhouse_raft=trace";
const PASSWORD: &str = "correct-horse-battery-staple-9f2c";
const WRONG_PASSWORD: &str = "incorrect-horse-battery-staple-77aa";
/// Public: the search must be able to find what is there.
const BODY: &[u8] = b"a file that everybody may read";
const ZBASE32: &[u8; 32] = b"ybndrfg8ejkmcpqxot1uwisza345h769";
const CROCKFORD: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";
/// Bytes of traces kept; the first ones are of signup and sign-in.
const TRACE_BYTES_MAX: usize = 64 * 1024 * 1024;

/// HTTP/2: a SETTINGS and a WINDOW_UPDATE frame, so that an exporter may send without end.
const WINDOWS: [u8; 28] = [
    0, 0, 6, 4, 0, 0, 0, 0, 0, 0, 4, 0x7F, 0xFF, 0xFF, 0xFF, //
    0, 0, 4, 8, 0, 0, 0, 0, 0, 0x7F, 0xFF, 0, 0,
];

/// A secret, and every form in which it could lie somewhere.
struct Needle {
    name: &'static str,
    forms: Vec<Vec<u8>>,
}

impl Needle {
    fn of(name: &'static str, text: &str, raw: &[u8]) -> Self {
        let of = |bytes: &[u8]| {
            let encoded = [hex(bytes), STANDARD_NO_PAD.encode(bytes), URL_SAFE_NO_PAD.encode(bytes)];
            encoded.map(String::into_bytes).into_iter().chain([bytes.to_vec()]).collect::<Vec<_>>()
        };
        let mut forms = [of(text.as_bytes()), of(raw), vec![hex(raw).to_uppercase().into_bytes()]].concat();
        forms.sort_unstable();
        forms.dedup();
        Self { name, forms }
    }

    /// The form that stands in the bytes, if one does.
    fn found(&self, bytes: &[u8]) -> Option<&[u8]> {
        self.forms.iter().map(Vec::as_slice).find(|form| contains(bytes, form))
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn base32(bytes: &[u8], alphabet: &[u8; 32]) -> String {
    let bit = |at: usize| bytes.get(at / 8).map_or(0, |byte| byte >> (7 - at % 8) & 1);
    let letter = |start: usize| {
        char::from(alphabet[(start..start + 5).fold(0, |sum, at| sum << 1 | usize::from(bit(at)))])
    };
    (0..bytes.len() * 8).step_by(5).map(letter).collect()
}

fn base32_decoded(text: &str, alphabet: &[u8; 32]) -> Vec<u8> {
    let value =
        |letter: u8| alphabet.iter().position(|known| *known == letter).expect("a letter of the alphabet");
    let bit = |at: usize| value(text.as_bytes()[at / 5]) >> (4 - at % 5) & 1 == 1;
    let byte = |start: usize| (start..start + 8).fold(0, |sum, at| sum << 1 | u8::from(bit(at)));
    (0..text.len() * 5 / 8).map(|index| byte(index * 8)).collect()
}

fn contains(bytes: &[u8], part: &[u8]) -> bool {
    let first = part[0];
    let mut rest = bytes;
    while let Some(at) = rest.iter().position(|byte| *byte == first) {
        if rest[at..].starts_with(part) {
            return true;
        }
        rest = &rest[at + 1..];
    }
    false
}

/// Ended with the test.
struct Process(Child);

impl Process {
    fn start(root: &Path, name: &str, collector: SocketAddr, args: &[String]) -> Self {
        let log = File::create(root.join(format!("{name}.log"))).expect("a log");
        let child = Command::new(binary().expect("the binary is built"))
            .args(args)
            .arg(format!("--homeserver-secret-file={}", root.join("secret").display()))
            .arg(format!("--die-with-parent={}", std::process::id()))
            .env("RUST_LOG", LOG)
            .env("OTEL_EXPORTER_OTLP_ENDPOINT", format!("http://{collector}"))
            .env("OTEL_BSP_SCHEDULE_DELAY", "50")
            .env("OTEL_METRICS_EXPORTER", "otlp")
            .env("OTEL_METRIC_EXPORT_INTERVAL", "500")
            // Nobody answers: what was sent is enough.
            .env("OTEL_EXPORTER_OTLP_TIMEOUT", "200")
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("a log"))
            .stderr(log)
            .spawn()
            .expect("the binary runs");
        Self(child)
    }

    /// SIGTERM, so that everything is written that would be.
    fn stop(&self) {
        kill(Pid::from_raw(self.0.id().cast_signed()), Signal::SIGTERM).expect("it runs");
    }

    fn wait(mut self) {
        self.0.wait().expect("it ends");
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ended_already = self.0.kill();
        let _reaped_already = self.0.wait();
    }
}

/// Keeps what exporters send. It never answers; they send before they wait.
fn collector() -> (SocketAddr, Arc<Mutex<Vec<u8>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("bound");
    let kept = Arc::new(Mutex::new(Vec::new()));
    let into = Arc::clone(&kept);
    std::thread::spawn(move || {
        for connection in listener.incoming().flatten() {
            let into = Arc::clone(&into);
            std::thread::spawn(move || {
                let (mut connection, mut part) = (connection, [0; 16 * 1024]);
                connection.write_all(&WINDOWS).expect("the exporter listens");
                while let Ok(read @ 1..) = connection.read(&mut part) {
                    let mut kept = into.lock().expect("no panic");
                    if kept.len() < TRACE_BYTES_MAX {
                        kept.extend_from_slice(&part[..read]);
                    }
                }
            });
        }
    });
    (address, kept)
}

/// Ports that were free a moment ago.
fn ports<const N: usize>() -> [u16; N] {
    let listeners = [(); N].map(|()| TcpListener::bind("127.0.0.1:0").expect("a port"));
    listeners.map(|listener| listener.local_addr().expect("bound").port())
}

fn private_file(path: &Path, text: &str) {
    std::fs::write(path, text).expect("a file");
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).expect("permissions");
}

/// A node of the cluster; `nodes` are the addresses of all of them.
fn node(root: &Path, collector: SocketAddr, name: &str, own: &str, nodes: &[String]) -> Process {
    let data = root.join("data").join(name);
    let mut args = vec!["node".to_owned(), format!("--listen={own}"), format!("--name={name}")];
    args.push(format!("--data-dir={}", data.display()));
    args.push("--free-space-min-mib=16".to_owned());
    args.push("--disk-used-percent-max=99".to_owned());
    args.extend(nodes.iter().filter(|other| *other != own).map(|other| format!("--seed={other}")));
    Process::start(root, name, collector, &args)
}

/// Three nodes and a gateway that serve; the gateway's listeners for clients and operators, and the nodes' addresses.
async fn cluster(root: &Path, collector: SocketAddr) -> (Vec<Process>, [SocketAddr; 2], Vec<String>) {
    let [first, second, third, http, admin] = ports();
    let nodes: Vec<String> = [first, second, third].iter().map(|port| format!("127.0.0.1:{port}")).collect();
    let mut processes: Vec<Process> = (0..)
        .zip(&nodes)
        .map(|(number, own)| node(root, collector, &format!("node-{number}"), own, &nodes))
        .collect();
    let init = || {
        let mut command = Command::new(binary().expect("the binary is built"));
        command.args(["cluster", "init", "--signup-mode=open", "--shards=4"]);
        command.args(nodes.iter().map(|node| format!("--node={node}"))).output().expect("it runs")
    };
    wait_until(WAIT_MAX, "the cluster to be made", async || init().status.success())
        .await
        .expect("a cluster");
    let mut args = vec!["gateway".to_owned(), format!("--http-listen=127.0.0.1:{http}")];
    args.extend(["--tls-listen=127.0.0.1:0".to_owned(), format!("--admin-listen=127.0.0.1:{admin}")]);
    args.push(format!("--admin-password-file={}", root.join("password").display()));
    args.extend(nodes.iter().map(|node| format!("--node={node}")));
    processes.push(Process::start(root, "gateway", collector, &args));
    let at = |port| SocketAddr::from(([127, 0, 0, 1], port));
    wait_until(WAIT_MAX, "the gateway to listen", async || Connection::open(at(http), false).await.is_ok())
        .await
        .expect("a gateway");
    (processes, [at(http), at(admin)], nodes)
}

/// A node joins and takes over all that the first one has, by snapshots.
async fn join_and_take_over(root: &Path, collector: SocketAddr, nodes: &[String]) -> Process {
    let [port] = ports();
    let joined = node(root, collector, "node-3", &format!("127.0.0.1:{port}"), nodes);
    let drain = || {
        let mut command = Command::new(binary().expect("the binary is built"));
        let access = format!("--node={}", nodes[1]);
        command
            .args(["ctl", "node", "drain", "node-0", "--timeout-s=100", &access])
            .output()
            .expect("it runs")
    };
    // Refused until the newcomer is known.
    wait_until(WAIT_MAX, "the first node to be empty", async || drain().status.success())
        .await
        .expect("an empty node");
    joined
}

async fn send(at: SocketAddr, method: &str, target: &str, headers: &[(&str, &str)], body: &[u8]) -> Response {
    let bytes = request(method, target, &at.to_string(), headers, body);
    let mut connection = Connection::open(at, false).await.expect("it listens");
    connection.exchange(&bytes, false).await.expect("an answer")
}

/// Uses every secret once; answers those that the server handed out.
async fn use_secrets(http: SocketAddr, admin: SocketAddr, homeserver: &Keypair) -> (Vec<Needle>, User) {
    let (user, host) = (User::random(), http.to_string());
    let target = format!("/storage/{}/pub/secrets/a", user.z32);
    wait_until(WAIT_MAX, "the cluster to serve", async || {
        send(http, "GET", &target, &[], b"").await.status == 404
    })
    .await
    .expect("a cluster that serves");
    let signup = send(http, "POST", "/signup", &[], &user.auth_token()).await;
    assert_eq!(signup.status, 200, "{}", signup.text());
    let cookie = session_cookie(&signup, &user).expect("a cookie").value;
    let mut connection = Connection::open(http, false).await.expect("it listens");
    let bearer = signin_by_grant(&mut connection, &host, &user, &homeserver.public_key())
        .await
        .expect("a bearer")
        .value;
    for credential in [("cookie", cookie.as_str()), ("authorization", bearer.as_str())] {
        let put = send(http, "PUT", &target, &[credential], BODY).await;
        assert_eq!(put.status, 201, "{}", put.text());
    }
    // What is refused is not logged either.
    let foreign = format!("/storage/{}/priv/x", User::random().z32);
    send(http, "GET", &foreign, &[("authorization", &bearer)], b"").await;
    let basic = |password: &str| format!("Basic {}", STANDARD.encode(format!("admin:{password}")));
    for (password, status) in [(PASSWORD, 200), (WRONG_PASSWORD, 401)] {
        let info = send(admin, "GET", "/info", &[("x-admin-password", password)], b"").await;
        assert_eq!(info.status, status, "{}", info.text());
        send(admin, "PROPFIND", "/dav/", &[("authorization", &basic(password)), ("depth", "0")], b"").await;
        // A widely used library asks for tokens on the public port; the password must not stay there.
        send(http, "GET", "/admin/generate_signup_token", &[("x-admin-password", password)], b"").await;
    }
    let token = bearer.trim_start_matches("Bearer ");
    let secret = cookie.split_once('=').expect("a cookie").1;
    let raw = URL_SAFE_NO_PAD.decode(token).expect("32 bytes");
    let needles = vec![
        Needle::of("the bearer", token, &raw),
        Needle::of("the cookie", secret, &base32_decoded(secret, CROCKFORD)),
        Needle::of("the password", PASSWORD, format!("admin:{PASSWORD}").as_bytes()),
        Needle::of("a wrong password", WRONG_PASSWORD, format!("admin:{WRONG_PASSWORD}").as_bytes()),
    ];
    (needles, user)
}

fn files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("a readable folder").path();
        if path.is_dir() { files(&path, found) } else { found.push(path) }
    }
}

#[test]
fn forms_of_a_secret_are_those_that_programs_write() {
    let key = Keypair::random().public_key();
    assert_eq!(base32(key.as_bytes(), ZBASE32), key.z32());
    let bytes: Vec<u8> = (0..15).map(|number| number * 17).collect();
    assert_eq!(base32_decoded(&base32(&bytes, CROCKFORD), CROCKFORD), bytes);
    let needle = Needle::of("a key", "text", &[0xAB; 32]);
    assert!(needle.found(format!("x{}y", "ab".repeat(32)).as_bytes()).is_some());
    assert!(needle.found(&[0xAB; 31]).is_none());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_secret_is_in_logs_traces_or_data() {
    let dir = tempfile::tempdir().expect("a folder");
    let (root, homeserver) = (dir.path(), Keypair::random());
    private_file(&root.join("secret"), &hex(&homeserver.secret()));
    private_file(&root.join("password"), PASSWORD);
    let (exporters, traces) = collector();
    let (mut processes, [http, admin], nodes) = cluster(root, exporters).await;
    let (mut needles, user) = use_secrets(http, admin, &homeserver).await;
    needles.push(Needle::of(
        "the homeserver's secret",
        &base32(&homeserver.secret(), ZBASE32),
        &homeserver.secret(),
    ));
    processes.push(join_and_take_over(root, exporters, &nodes).await);
    processes.iter().for_each(Process::stop);
    processes.into_iter().for_each(Process::wait);

    let mut places = Vec::new();
    files(&root.join("data"), &mut places);
    places.extend(
        ["node-0", "node-1", "node-2", "node-3", "gateway"].map(|name| root.join(format!("{name}.log"))),
    );
    let mut contents: Vec<(String, Vec<u8>)> = places
        .iter()
        .map(|path| (path.display().to_string(), std::fs::read(path).expect("readable")))
        .collect();
    contents.push(("the traces".to_owned(), traces.lock().expect("no panic").clone()));

    let told: Vec<String> = contents
        .iter()
        .flat_map(|(place, bytes)| needles.iter().map(move |needle| (place, needle, needle.found(bytes))))
        .filter_map(|(place, needle, form)| Some((place, needle, form?)))
        .map(|(place, needle, form)| {
            format!("{} is in {place} as {:?}", needle.name, String::from_utf8_lossy(form))
        })
        .collect();
    assert!(told.is_empty(), "{}", told.join("\n"));

    let has = |part: &[u8], within: &str| {
        contents.iter().any(|(place, bytes)| place.contains(within) && contains(bytes, part))
    };
    assert!(has(BODY, "/data/node-1/"), "the search finds what is written");
    assert!(has(BODY, "/data/node-3/"), "and what came by a snapshot");
    assert!(has(b"gateway listens", "gateway.log"), "and what is logged");
    assert!(has(user.z32.as_bytes(), "the traces"), "and what is traced");
    for measured in ["http.server.request.duration", "rowhouse.raft.proposal.duration"] {
        assert!(has(measured.as_bytes(), "the traces"), "and what is measured: {measured}");
    }
}
