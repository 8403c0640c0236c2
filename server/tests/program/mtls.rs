//! Certificates as an operator meets them: made, used, wrong, and replaced under a node that runs on.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant, SystemTime};

use rowhouse_peer::{Authority, Role};
use serde_json::Value;

/// Far above what anything here takes, on a machine that may be compiling meanwhile.
const PATIENCE: Duration = Duration::from_secs(120);
const ASK_AGAIN: Duration = Duration::from_millis(100);
const EXIT_USAGE: i32 = 64;
/// sysexits' `EX_TEMPFAIL`.
const EXIT_NOT_YET: i32 = 75;

fn rowhouse(args: &[String]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_rowhouse")).args(args).output().expect("the binary runs")
}

fn words(text: &str) -> Vec<String> {
    text.split_whitespace().map(ToOwned::to_owned).collect()
}

/// A CA of its own, with a node n1, a gateway g1 and an operator admin.
fn make_certificates(folder: &Path) {
    let out = folder.display();
    let args = format!("ctl certs create --out {out} --cluster main --node n1 --gateway g1 --ctl admin");
    let made = rowhouse(&words(&args));
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let said = String::from_utf8_lossy(&made.stdout).into_owned();
    assert!(said.contains("trying out") && said.contains("--tls-cert"), "{said}");
}

/// An operator's certificate that has ended an hour ago.
fn make_expired(folder: &Path, name: &str) {
    let read = |file: &str| std::fs::read_to_string(folder.join(file)).expect("made");
    let authority = Authority::open("main", &read("ca.pem"), &read("ca.key")).expect("a CA");
    let hour = Duration::from_secs(3600);
    let now = SystemTime::now();
    let issued = authority.issue(Role::Ctl, name, now - 2 * hour..now - hour).expect("issued");
    std::fs::write(folder.join(format!("{name}.pem")), issued.certificate_pem).expect("written");
    let key = folder.join(format!("{name}.key"));
    std::fs::write(&key, issued.key_pem).expect("written");
    let private = std::os::unix::fs::PermissionsExt::from_mode(0o600);
    std::fs::set_permissions(&key, private).expect("permissions");
}

fn tls(folder: &Path, name: &str) -> Vec<String> {
    let file = |end: &str| folder.join(end).display().to_string();
    let files = [file(&format!("{name}.pem")), file(&format!("{name}.key")), file("ca.pem")];
    let flags = ["--tls-cert", "--tls-key", "--tls-ca"];
    flags.iter().zip(files).flat_map(|(flag, file)| [(*flag).to_owned(), file]).collect()
}

fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < deadline, "waited too long until {what}");
        std::thread::sleep(ASK_AGAIN);
    }
}

struct Node {
    process: Child,
    log: PathBuf,
    address: String,
}

impl Node {
    fn start(folder: &Path, certificates: &Path) -> Self {
        let secret = folder.join("secret");
        std::fs::write(&secret, "00".repeat(32)).expect("a file");
        let private = std::os::unix::fs::PermissionsExt::from_mode(0o600);
        std::fs::set_permissions(&secret, private).expect("permissions");
        let log = folder.join("log");
        let (data, secret) = (folder.join("data").display().to_string(), secret.display().to_string());
        let args = format!(
            "--log-format json node --data-dir {data} --listen 127.0.0.1:0 --memory-mib 32 \
                     --homeserver-secret-file {secret}"
        );
        let process = Command::new(env!("CARGO_BIN_EXE_rowhouse"))
            .args(words(&args))
            .args(tls(certificates, "n1"))
            .stdout(Stdio::null())
            .stderr(File::create(&log).expect("a file"))
            .spawn()
            .expect("the binary runs");
        let mut node = Self { process, log, address: String::new() };
        until("the node listens", || {
            node.assert_runs();
            let started = node.logged("node started");
            node.address = started
                .as_ref()
                .and_then(|line| line["fields"]["address"].as_str())
                .unwrap_or_default()
                .to_owned();
            !node.address.is_empty()
        });
        node
    }

    fn assert_runs(&mut self) {
        let ended = self.process.try_wait().expect("its state");
        assert!(ended.is_none(), "{}", std::fs::read_to_string(&self.log).unwrap_or_default());
    }

    /// The last line that says so.
    fn logged(&self, message: &str) -> Option<Value> {
        let text = std::fs::read_to_string(&self.log).expect("the log");
        let lines = text.lines().rev().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        lines.into_iter().find(|line| line["message"].as_str().is_some_and(|said| said.contains(message)))
    }

    /// Whether the node answers a question of this operator's.
    fn answers(&self, shown: &[String]) -> bool {
        let mut args = words(&format!("ctl status --node {}", self.address));
        args.extend_from_slice(shown);
        String::from_utf8_lossy(&rowhouse(&args).stderr).contains("belongs to no cluster yet")
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        let _ended = self.process.kill();
        let _reaped = self.process.wait();
    }
}

/// Each file by renaming, as the documentation says.
fn install(from: &Path, to: &Path) {
    for name in ["n1.key", "n1.pem", "ca.pem"] {
        let staged = to.join("staged");
        std::fs::copy(from.join(name), &staged).expect("copied");
        std::fs::rename(staged, to.join(name)).expect("renamed");
    }
}

#[test]
fn certificates_are_replaced_under_a_running_node() {
    let dir = tempfile::tempdir().expect("a folder");
    let [old, new, live] = ["old", "new", "live"].map(|name| dir.path().join(name));
    make_certificates(&old);
    make_certificates(&new);
    std::fs::create_dir(&live).expect("a folder");
    install(&old, &live);
    let mut node = Node::start(dir.path(), &live);
    assert!(node.answers(&tls(&old, "admin")));
    assert!(!node.answers(&tls(&new, "admin")), "another CA");
    assert!(!node.answers(&[]), "plaintext");

    for (command, args) in [("ctl status", ""), ("cluster init", "--signup-mode open --timeout-s 1")] {
        let said = rowhouse(&words(&format!("{command} --node {} {args}", node.address))).stderr;
        let said = String::from_utf8_lossy(&said).into_owned();
        assert!(said.contains("show one of the role ctl: --tls-cert"), "what to do: {said}");
    }

    std::fs::write(live.join("n1.pem"), "garbage").expect("written");
    until("the node says that this is no certificate", || node.logged("of no use").is_some());
    assert!(node.answers(&tls(&old, "admin")), "with what it had");

    install(&new, &live);
    until("the node uses the new ones", || node.answers(&tls(&new, "admin")));
    assert!(!node.answers(&tls(&old, "admin")), "the old CA is trusted no more");
    node.assert_runs();
    let mut init = words(&format!("cluster init --signup-mode open --node {} --shards 1", node.address));
    init.extend(tls(&new, "admin"));
    let done = rowhouse(&init);
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
}

#[test]
fn flags_that_make_no_sense_are_refused_with_the_reason() {
    let dir = tempfile::tempdir().expect("a folder");
    let certificates = dir.path().join("certs");
    make_certificates(&certificates);
    let status = |shown: Vec<String>| [words("ctl status --node 127.0.0.1:1"), shown].concat();
    make_expired(&certificates, "late");
    let own = tls(&certificates, "admin");
    let cases = [
        (status(tls(&certificates, "g1")), EXIT_USAGE, "role ctl is needed"),
        (status(tls(&certificates, "nobody")), EXIT_NOT_YET, "nobody.key"),
        (status(own[..2].to_vec()), EXIT_USAGE, "--tls-key"),
        (status(own[2..].to_vec()), EXIT_USAGE, "--tls-cert"),
        (status([&own[..2], &tls(&certificates, "g1")[2..]].concat()), EXIT_NOT_YET, "KeyMismatch"),
        (status(tls(&certificates, "late")), EXIT_NOT_YET, "CertExpired"),
    ];
    for (args, code, reason) in cases {
        let output = rowhouse(&args);
        let text = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{args:?}: {text}");
        assert!(text.contains(reason), "{args:?}: {text}");
    }
}
