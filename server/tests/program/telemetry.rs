//! Traces leave when the standard variables ask for it, and a collector that is away holds nothing up.

use std::io::{BufRead, BufReader, Read};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// Generous: the machine may be compiling meanwhile.
const WAIT_MAX: Duration = Duration::from_secs(60);
const ASK_AGAIN: Duration = Duration::from_millis(50);

fn node(folder: &Path, collector: &str) -> Child {
    let secret = folder.join("secret");
    std::fs::write(&secret, "00".repeat(32)).expect("a file");
    std::fs::set_permissions(&secret, std::fs::Permissions::from_mode(0o600)).expect("permissions");
    Command::new(env!("CARGO_BIN_EXE_rowhouse"))
        .args(["node", "--listen=127.0.0.1:0", "--log-format=json"])
        .arg(format!("--data-dir={}", folder.join("data").display()))
        .arg(format!("--homeserver-secret-file={}", secret.display()))
        .env("OTEL_EXPORTER_OTLP_ENDPOINT", format!("http://{collector}"))
        .env("OTEL_BSP_SCHEDULE_DELAY", "100")
        // A node that belongs to no cluster has no spans but its actors'.
        .env("ROWHOUSE_TRACE", "off,rowhouse_node=info")
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary runs")
}

/// SIGTERM once it serves; answers its log.
fn end(mut node: Child) -> String {
    let mut log = BufReader::new(node.stderr.take().expect("a log"));
    let mut text = String::new();
    while !text.contains("node started") {
        let read = log.read_line(&mut text).expect("text");
        assert_ne!(read, 0, "the node ended: {text}");
    }
    kill(Pid::from_raw(node.id().cast_signed()), Signal::SIGTERM).expect("the process is there");
    log.read_to_string(&mut text).expect("text");
    assert!(node.wait().expect("it ends").success(), "{text}");
    text
}

#[test]
fn spans_go_to_the_named_collector() {
    let dir = tempfile::tempdir().expect("a folder");
    let collector = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = collector.local_addr().expect("an address").to_string();
    let accepted = std::thread::spawn(move || {
        let (mut connection, _) = collector.accept().expect("a connection");
        let mut preface = [0; 14];
        connection.read_exact(&mut preface).expect("its first bytes");
        preface
    });
    let node = node(dir.path(), &address);
    end(node);
    let deadline = Instant::now() + WAIT_MAX;
    while !accepted.is_finished() {
        assert!(Instant::now() < deadline, "no span was exported");
        std::thread::sleep(ASK_AGAIN);
    }
    assert_eq!(&accepted.join().expect("the collector"), b"PRI * HTTP/2.0", "gRPC");
}

#[test]
fn a_collector_that_is_away_keeps_no_node_from_starting_or_ending() {
    let dir = tempfile::tempdir().expect("a folder");
    let node = node(dir.path(), "127.0.0.1:1");
    let log = end(node);
    for line in log.lines() {
        serde_json::from_str::<serde_json::Value>(line).expect("each line is JSON");
    }
}
