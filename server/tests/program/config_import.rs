//! `rowhouse ctl config import`: files of pubky-homeserver, what is said of their keys, and settings that start.
//!
//! `config_import/*.toml` are the files, `*.report.txt` what is said of them, `*.settings.toml` what is made of them.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;

/// sysexits' `EX_USAGE`.
const EXIT_USAGE: i32 = 64;
/// In none of the files but as a secret.
const SECRET: &str = "hunter2";

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/program/config_import")
}

/// With short paths, which stand in what is said.
fn rowhouse(dir: &Path, args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_rowhouse"));
    command.args(args).env_clear().current_dir(dir).output().expect("the binary runs")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[track_caller]
fn succeeded(output: Output) -> Output {
    assert!(output.status.success(), "{}", text(&output.stderr));
    output
}

#[track_caller]
fn imported(flags: &[&str], file: &str) -> Output {
    succeeded(rowhouse(&folder(), &[&["ctl", "config", "import", file][..], flags].concat()))
}

#[track_caller]
fn assert_is(found: &str, golden: &str) {
    let path = folder().join(golden);
    let expected = std::fs::read_to_string(&path).expect("a golden file");
    assert_eq!(found, expected, "{golden} differs");
}

/// Both programs take what was written, with what is their own beside it.
#[track_caller]
fn assert_starts(settings: &[u8]) {
    let dir = tempfile::tempdir().expect("a folder");
    std::fs::write(dir.path().join("rowhouse.toml"), settings).expect("a file");
    for process in [
        &["gateway", "--node=127.0.0.1:6301"][..],
        &["node", "--data-dir=data", "--listen=127.0.0.1:6301", "--name=n1"],
    ] {
        let args = [process, &["--config=rowhouse.toml", "--print-config"]].concat();
        succeeded(rowhouse(dir.path(), &args));
    }
}

#[test]
fn the_file_of_pubky_docker_is_accepted_as_it_is() {
    for (flags, report, settings) in [
        (
            &["--development"][..],
            "pubky-docker.development.report.txt",
            "pubky-docker.development.settings.toml",
        ),
        (&[], "pubky-docker.report.txt", "pubky-docker.settings.toml"),
    ] {
        let output = imported(flags, "pubky-docker.toml");
        assert_is(&text(&output.stderr), report);
        assert_is(&text(&output.stdout), settings);
        assert_starts(&output.stdout);
    }
}

#[test]
fn every_key_is_kept_renamed_a_command_or_explained() {
    let output = imported(&[], "every-key.toml");
    assert_is(&text(&output.stderr), "every-key.report.txt");
    assert_is(&text(&output.stdout), "every-key.settings.toml");
    assert_starts(&output.stdout);
    assert!(!text(&output.stderr).contains(SECRET), "a secret in the report");
}

#[test]
fn a_file_of_comments_is_the_other_program_s_defaults() {
    let dir = tempfile::tempdir().expect("a folder");
    std::fs::write(dir.path().join("config.toml"), "# [general]\n# signup_mode = \"open\"\n")
        .expect("a file");
    let output = succeeded(rowhouse(dir.path(), &["ctl", "config", "import", "config.toml"]));
    for line in [
        "http_listen = \"127.0.0.1:6286\"  # drive.icann_listen_socket, not in the file",
        "password_file = \"/etc/rowhouse/admin.password\"  # admin.admin_password, not in the file",
        "homeserver_secret_file = \"secret\"  # secret, not in the file",
    ] {
        assert!(
            text(&output.stdout).lines().any(|said| said == line),
            "{line:?} in {}",
            text(&output.stdout)
        );
    }
    assert_starts(&output.stdout);
}

#[test]
fn scripts_get_one_document_and_out_takes_the_settings_alone() {
    let output = imported(&["--output=json"], "every-key.toml");
    let document: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let keys = document["keys"].as_array().expect("keys");
    let of = |key: &str| keys.iter().find(|entry| entry["key"] == key).unwrap_or(&Value::Null);
    assert_eq!(of("drive.pubky_listen_socket")["becomes"], "gateway.tls_listen = \"192.0.2.7:7287\"");
    assert_eq!(of("drive.pubky_listen_socket")["fate"], "renamed");
    assert_eq!(of("pkdns.public_ip")["fate"], "kept");
    assert_eq!(of("admin.admin_password")["becomes"], "admin.password = (hidden)");
    assert_eq!(of("general.database_url")["fate"], "meaningless");
    assert_eq!(of("default_quotas.rate_read")["becomes"], "--rate-read 10mb/s");
    assert_eq!(document["commands"].as_array().map(Vec::len), Some(1));
    assert_is(document["settings"].as_str().expect("settings"), "every-key.settings.toml");

    let dir = tempfile::tempdir().expect("a folder");
    let out = dir.path().join("rowhouse.toml");
    let flag = format!("--out={}", out.display());
    assert_is(&text(&imported(&[&flag], "every-key.toml").stdout), "every-key.report.txt");
    assert_is(&std::fs::read_to_string(&out).expect("written"), "every-key.settings.toml");
}

#[test]
fn a_file_that_makes_no_settings_is_refused_and_nothing_is_written() {
    let dir = tempfile::tempdir().expect("a folder");
    let refused = |content: &str| {
        std::fs::write(dir.path().join("config.toml"), content).expect("a file");
        let output = rowhouse(dir.path(), &["ctl", "config", "import", "config.toml", "--out=rowhouse.toml"]);
        assert_eq!(output.status.code(), Some(EXIT_USAGE), "{content}");
        assert!(!dir.path().join("rowhouse.toml").exists(), "{content}");
        text(&output.stderr)
    };
    let said = refused("[pkdns]\npublic_ip = \"example\"\n[drive]\npubky_listen_socket = \"6287\"\n");
    assert!(
        said.contains("`pkdns.public_ip` in config.toml becomes `gateway.public_ip`; it must be an IP"),
        "{said}"
    );
    assert!(said.contains("`drive.pubky_listen_socket`"), "everything at once: {said}");
    let said = refused("[default_quotas]\nrate_read = \"1mb/s; reboot\"\n");
    assert!(said.contains("`default_quotas.rate_read`") && said.contains("one word"), "{said}");
    assert!(refused("[general\n").contains("is not TOML at line 1"));
    let none = rowhouse(dir.path(), &["ctl", "config", "import", "none.toml"]);
    assert_eq!(none.status.code(), Some(EXIT_USAGE));
}
