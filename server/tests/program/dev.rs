//! `rowhouse dev` as a parent: restarts what is killed, ends cleanly, and leaves nothing behind when killed.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

/// Seven processes and 17 elections, on a machine that may be compiling meanwhile.
const READY_MAX: Duration = Duration::from_secs(240);
const ASK_AGAIN: Duration = Duration::from_millis(50);
const EXIT_USAGE: i32 = 64;

fn dev(folder: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_rowhouse"));
    command.arg("dev").arg(format!("--data-dir={}", folder.display()));
    command.args(["--restart-delay-ms=200", "--shards=4", "--ready-timeout-s=240"]);
    for port in ["http", "tls", "admin", "dht", "pkarr-relay", "http-relay", "node", "probe", "metrics"] {
        command.arg(format!("--{port}-port=0"));
    }
    command
}

pub struct Dev {
    process: Child,
    folder: PathBuf,
}

impl Dev {
    pub fn start(folder: &Path, flags: &[&str]) -> Self {
        let process = dev(folder).args(flags).stdout(Stdio::null()).spawn().expect("the binary runs");
        let mut started = Self { process, folder: folder.to_owned() };
        let parent = started.process.id();
        until("the cluster serves", || {
            assert_eq!(started.process.try_wait().expect("its state"), None, "the cluster ended");
            started.file().is_some_and(|file| file["ready"] == true && file["supervisor_pid"] == parent)
        });
        started
    }

    fn file(&self) -> Option<Value> {
        serde_json::from_slice(&std::fs::read(self.folder.join("cluster.json")).ok()?).ok()
    }

    pub fn component(&self, name: &str) -> Value {
        let file = self.file().expect("cluster.json");
        let all = file["components"].as_array().expect("components").clone();
        all.into_iter().find(|component| component["name"] == name).expect("the component")
    }

    fn pid(&self, name: &str) -> Option<u64> {
        self.component(name)["pid"].as_u64()
    }

    /// The address of a node's gRPC listener.
    pub fn address(&self, name: &str) -> String {
        self.component(name)["addresses"][0]["address"].as_str().expect("an address").to_owned()
    }

    fn pids(&self) -> Vec<u64> {
        let file = self.file().expect("cluster.json");
        let all = file["components"].as_array().expect("components");
        all.iter().map(|component| component["pid"].as_u64().expect("a pid")).collect()
    }
}

impl Drop for Dev {
    fn drop(&mut self) {
        // It has ended already where the test says so.
        let _ended = self.process.kill();
        let _reaped = self.process.wait();
    }
}

pub fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + READY_MAX;
    while !holds() {
        assert!(Instant::now() < deadline, "waited too long until {what}");
        std::thread::sleep(ASK_AGAIN);
    }
}

fn signal(pid: u64, signal: Signal) {
    kill(Pid::from_raw(i32::try_from(pid).expect("a pid")), signal).expect("the process is there");
}

/// A process that has ended but was not collected by its parent is gone for this purpose.
fn is_gone(pid: u64) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.is_empty() || stat.rsplit(')').next().is_some_and(|rest| rest.trim_start().starts_with('Z'))
}

fn status(address: &str, shown: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_rowhouse"));
    command
        .args(["ctl", "status", "--output=json", "--node", address])
        .args(shown)
        .output()
        .expect("the binary runs")
}

#[test]
fn the_cluster_heals_ends_in_order_and_leaves_nothing_when_its_parent_is_killed() {
    let dir = tempfile::tempdir().expect("a folder");
    let mut first = Dev::start(dir.path(), &[]);

    let second = dev(dir.path()).output().expect("the binary runs");
    assert_eq!(second.status.code(), Some(EXIT_USAGE), "one cluster a folder");
    assert!(String::from_utf8_lossy(&second.stderr).contains("already"));

    for name in ["node-1", "gateway-2", "testnet"] {
        let old = first.pid(name).expect("it runs");
        signal(old, Signal::SIGKILL);
        until("it runs again", || first.pid(name).is_some_and(|pid| pid != old));
        assert_eq!(first.component(name)["restarts"], 1, "{name}");
    }
    let address = first.address("node-1");
    until("every group has a leader again", || {
        let report: Value = serde_json::from_slice(&status(&address, &[]).stdout).unwrap_or_default();
        let groups = report["groups"].as_array().cloned().unwrap_or_default();
        groups.len() == 5 && groups.iter().all(|group| group["leader"].is_string())
    });

    let pids = first.pids();
    signal(first.process.id().into(), Signal::SIGTERM);
    let ended = first.process.wait().expect("it ends");
    assert!(ended.success(), "{ended}");
    assert!(pids.iter().all(|pid| is_gone(*pid)), "a clean end leaves no process");
    assert!(first.file().is_none(), "and no file that says it runs");

    let mut again = Dev::start(dir.path(), &["--mtls"]);
    assert!(!status(&address, &[]).status.success(), "plaintext is not spoken any more");
    let certs = PathBuf::from(again.file().expect("cluster.json")["certs"].as_str().expect("a folder"));
    let file = |name: &str| certs.join(name).display().to_string();
    let (cert, key, ca) = (file("operator.pem"), file("operator.key"), file("ca.pem"));
    let shown = status(&address, &["--tls-cert", &cert, "--tls-key", &key, "--tls-ca", &ca]);
    let report: Value = serde_json::from_slice(&shown.stdout).expect("a report");
    let expiries = report["nodes"].as_array().expect("nodes").iter();
    let expiries: Vec<u64> = expiries.filter_map(|node| node["certificate_expires_s"].as_u64()).collect();
    assert_eq!(expiries.len(), 3, "{report}");
    let pids = again.pids();
    let ports = again.file().expect("cluster.json")["ports"].clone();
    again.process.kill().expect("SIGKILL");
    again.process.wait().expect("it ends");
    until("no process is left", || pids.iter().all(|pid| is_gone(*pid)));
    for port in ["http", "tls", "admin", "pkarr_relay", "http_relay"] {
        let port = u16::try_from(ports[port].as_u64().expect("a port")).expect("a port");
        until("the port is free", || TcpListener::bind(("127.0.0.1", port)).is_ok());
    }
}

#[test]
fn a_closed_terminal_ends_the_cluster_in_order() {
    let dir = tempfile::tempdir().expect("a folder");
    let mut command = dev(dir.path());
    let args: Vec<_> = command.get_args().map(ToOwned::to_owned).collect();
    // The shell that runs the tests may ignore the signal (nohup), and then so would the cluster.
    command = Command::new("env");
    command.args(["--default-signal=HUP", env!("CARGO_BIN_EXE_rowhouse")]);
    command.args(args.iter().filter(|arg| !arg.to_string_lossy().starts_with("--data-dir")));
    command.arg("--ephemeral").env("TMPDIR", dir.path()).stdout(Stdio::null());
    let mut process = command.spawn().expect("the binary runs");
    // Beside it lies the one with the claims on ports, which clusters share.
    let of_cluster = |name: &std::ffi::OsStr| name.to_string_lossy().starts_with("rowhouse-dev-");
    let folders = || {
        let all = std::fs::read_dir(dir.path()).expect("a folder").filter_map(Result::ok);
        all.filter(|folder| of_cluster(&folder.file_name()))
    };
    let mut pid = None;
    until("the first component runs", || {
        assert_eq!(process.try_wait().expect("its state"), None, "it ended");
        let read = folders().find_map(|folder| std::fs::read(folder.path().join("cluster.json")).ok());
        let file: Value = serde_json::from_slice(&read.unwrap_or_default()).unwrap_or_default();
        pid = file["components"][0]["pid"].as_u64();
        pid.is_some()
    });
    signal(process.id().into(), Signal::SIGHUP);
    let mut ended = None;
    until("it ends", || {
        ended = process.try_wait().expect("its state");
        ended.is_some()
    });
    assert!(ended.is_some_and(|status| status.success()), "{ended:?}");
    assert!(pid.is_some_and(is_gone), "it has stopped what it had started");
    assert_eq!(folders().count(), 0, "its folder is gone");
}

#[test]
fn nodes_are_added_only_to_a_cluster_that_runs() {
    let dir = tempfile::tempdir().expect("a folder");
    let folder = format!("--data-dir={}", dir.path().display());
    let mut command = Command::new(env!("CARGO_BIN_EXE_rowhouse"));
    let output = command.args(["dev", "add-node", &folder]).output().expect("the binary runs");
    assert_eq!(output.status.code(), Some(1));
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(text.contains("no cluster serves"), "{text}");
}

#[test]
fn a_taken_port_is_named_with_the_flag_that_changes_it() {
    let dir = tempfile::tempdir().expect("a folder");
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = taken.local_addr().expect("an address").port();
    let mut command = dev(dir.path());
    let args: Vec<_> =
        command.get_args().filter(|arg| *arg != "--tls-port=0").map(ToOwned::to_owned).collect();
    command = Command::new(env!("CARGO_BIN_EXE_rowhouse"));
    let output = command.args(args).arg(format!("--tls-port={port}")).output().expect("the binary runs");
    assert_eq!(output.status.code(), Some(EXIT_USAGE));
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(text.contains("--tls-port") && text.contains(&port.to_string()), "{text}");
}
