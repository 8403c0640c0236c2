//! The configuration as operators meet it: files, variables, messages and exit codes of the real binary.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// sysexits' `EX_USAGE`.
const EXIT_USAGE: i32 = 64;
/// sysexits' `EX_TEMPFAIL`: the file may be there later.
const EXIT_NOT_YET: i32 = 75;
const NODE: &str =
    "[node]\ndata_dir = \"data\"\nlisten = \"127.0.0.1:0\"\n[secret]\nhomeserver_secret_file = \"none\"\n";
const GATEWAY: &str = "[gateway]\nhttp_listen = \"127.0.0.1:0\"\ntls_listen = \"127.0.0.1:0\"\n\
                       nodes = [\"127.0.0.1:1\"]\n[secret]\nhomeserver_secret_file = \"none\"\n";

struct Folder(tempfile::TempDir);

impl Folder {
    fn with(file: &str) -> Self {
        let dir = tempfile::tempdir().expect("a folder");
        std::fs::write(dir.path().join("rowhouse.toml"), file).expect("a file");
        Self(dir)
    }

    fn run(&self, args: &[&str], variables: &[(&str, &str)]) -> Output {
        Command::new(env!("CARGO_BIN_EXE_rowhouse"))
            .args(args)
            .env_clear()
            .envs(variables.iter().copied())
            .current_dir(self.0.path())
            .output()
            .expect("the binary runs")
    }

    fn data(&self) -> PathBuf {
        self.0.path().join("data")
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[track_caller]
fn assert_refused(output: &Output, parts: &[&str]) {
    assert_ends(output, EXIT_USAGE, parts);
}

#[track_caller]
fn assert_ends(output: &Output, code: i32, parts: &[&str]) {
    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{said}");
    for part in parts {
        assert!(said.contains(part), "{part:?} in {said}");
    }
}

#[test]
fn the_effective_configuration_is_printed_without_secrets_and_nothing_starts() {
    let folder = Folder::with(NODE);
    let variables = [("ROWHOUSE_CONFIG", "rowhouse.toml"), ("ROWHOUSE_STORAGE__MEMORY_BYTES", "33554432")];
    let output = folder.run(&["node", "--print-config", "--name=n1"], &variables);
    let said = text(&output.stdout);
    assert!(output.status.success(), "{}", text(&output.stderr));
    for line in [
        "data_dir = \"data\"  # rowhouse.toml",
        "name = \"n1\"  # --name",
        "memory_bytes = 33554432  # ROWHOUSE_STORAGE__MEMORY_BYTES",
        "flush_interval_s = 30  # default",
    ] {
        assert!(said.lines().any(|said| said == line), "{line:?} in {said}");
    }
    assert!(!folder.data().exists(), "printing touches nothing");

    let folder = Folder::with(GATEWAY);
    let variables = [("ROWHOUSE_ADMIN__PASSWORD", "hunter2")];
    let output = folder.run(&["gateway", "--config=rowhouse.toml", "--print-config"], &variables);
    let said = text(&output.stdout) + &text(&output.stderr);
    assert!(output.status.success() && !said.contains("hunter2"), "{said}");
    assert!(said.contains("password = \"(hidden)\"  # ROWHOUSE_ADMIN__PASSWORD"), "{said}");
}

#[test]
fn an_invalid_configuration_ends_with_64_and_says_what_to_do() {
    let folder = Folder::with(&format!("{NODE}[storage]\nmemory_byte = 1\n"));
    assert_refused(
        &folder.run(&["node", "--config", "rowhouse.toml"], &[]),
        &["unknown key `storage.memory_byte` in rowhouse.toml; did you mean `storage.memory_bytes`?"],
    );
    let folder = Folder::with(NODE);
    let with = |variable| folder.run(&["node", "--config", "rowhouse.toml"], &[variable]);
    assert_refused(&with(("ROWHOUSE_X__Y", "1")), &["`x.y`", "ROWHOUSE_X__Y"]);
    assert_refused(&with(("ROWHOUSE_STORAGE__MEMORY_BYTES", "1G")), &["\"1G\"", "a whole number of bytes"]);
    assert_refused(&with(("ROWHOUSE_RAFT__ELECTION_MIN_MS", "60000")), &["election_max_ms", "600"]);
    assert_refused(&with(("ROWHOUSE_RAFT__ELECTION_MAX_MS", "399")), &["raft.election_max_ms", "from 400"]);
    let print = ["node", "--config=rowhouse.toml", "--print-config"];
    assert_refused(&folder.run(&print, &[("ROWHOUSE_NODE__LISTEN", "0.0.0.0:1")]), &["mTLS"]);
    let unread = with(("ROWHOUSE_LOG_FORMAT", "json"));
    assert_ends(&unread, EXIT_NOT_YET, &["cannot read the secret file none"]);
    assert_refused(&folder.run(&["node", "--config", "absent.toml"], &[]), &["absent.toml", "--config"]);
    assert_refused(&folder.run(&["node"], &[]), &["--data-dir", "ROWHOUSE_NODE__LISTEN", "[secret]"]);
    assert!(!folder.data().exists(), "nothing was started");
}

#[test]
fn beyond_loopback_the_certificates_are_read_first() {
    let folder = Folder::with(NODE);
    let listen = [("ROWHOUSE_NODE__LISTEN", "0.0.0.0:1"), ("ROWHOUSE_NODE__ADVERTISE", "node.example:1")];
    let files =
        [("ROWHOUSE_TLS__CERT", "c.pem"), ("ROWHOUSE_TLS__KEY", "c.key"), ("ROWHOUSE_TLS__CA", "ca.pem")];
    let node = ["node", "--config=rowhouse.toml"];
    assert_refused(
        &folder.run(&node, &listen),
        &["`node.listen` is 0.0.0.0:1", "rowhouse ctl certs create", "--tls-cert, --tls-key, --tls-ca"],
    );
    let both = [listen.as_slice(), files.as_slice()].concat();
    let printed = folder.run(&[node.as_slice(), &["--print-config"]].concat(), &both);
    let said = text(&printed.stdout);
    assert!(printed.status.success(), "no file needs to be there: {}", text(&printed.stderr));
    assert!(said.lines().any(|line| line == "key = \"c.key\"  # ROWHOUSE_TLS__KEY"), "{said}");
    secret_file(&folder.0.path().join("none"));
    assert_ends(&folder.run(&node, &both), EXIT_NOT_YET, &["c.key"]);
    assert_refused(&folder.run(&[node.as_slice(), &["--tls-cert=c"]].concat(), &[]), &["[tls] lacks"]);
    assert!(!folder.data().exists(), "nothing was started");
}

#[test]
fn a_gateway_that_listens_everywhere_must_be_told_what_to_announce() {
    let folder = Folder::with(&GATEWAY.replace("127.0.0.1:0", "0.0.0.0:0"));
    let files =
        [("ROWHOUSE_TLS__CERT", "c.pem"), ("ROWHOUSE_TLS__KEY", "c.key"), ("ROWHOUSE_TLS__CA", "ca.pem")];
    let with =
        |flag: &str| folder.run(&["gateway", "--config=rowhouse.toml", "--print-config", flag], &files);
    for flag in ["--development", "--public-ip=::", "--public-ip=255.255.255.255"] {
        assert_refused(&with(flag), &["gateway.public_ip", "--public-ip", "--no-announce"]);
    }
    for flag in ["--public-ip=192.0.2.1", "--no-announce"] {
        assert!(with(flag).status.success(), "{flag}");
    }
}

fn secret_file(path: &Path) {
    std::fs::write(path, "00".repeat(32)).expect("a file");
    let private = std::os::unix::fs::PermissionsExt::from_mode(0o600);
    std::fs::set_permissions(path, private).expect("permissions");
}

#[test]
fn the_reference_page_is_that_of_this_program() {
    // Asked for when it runs: clones may share a target folder.
    let crate_dir = std::env::var_os("CARGO_MANIFEST_DIR").expect("run by cargo");
    let page = Path::new(&crate_dir).join("../docs/configuration.md");
    let committed = std::fs::read_to_string(page).unwrap_or_default();
    let output = Folder::with("").run(&["config-reference"], &[]);
    assert!(output.status.success());
    assert!(
        committed == text(&output.stdout),
        "docs/configuration.md is not what this program says: run `make reference` \
         (rowhouse config-reference > docs/configuration.md)"
    );
}
