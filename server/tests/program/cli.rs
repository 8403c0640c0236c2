//! The command line as scripts see it: exit codes and streams.

use std::process::{Command, Output};

/// sysexits' `EX_USAGE`.
const EXIT_USAGE: i32 = 64;

fn rowhouse(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_rowhouse")).args(args).output().expect("the binary runs")
}

#[test]
fn help_and_version_succeed_and_name_every_command() {
    let help = rowhouse(&["--help"]);
    assert!(help.status.success());
    let text = String::from_utf8_lossy(&help.stdout).into_owned();
    for command in ["dev", "node", "gateway", "testnet", "cluster", "ctl"] {
        assert!(text.contains(command), "{command} in {text}");
    }
    assert!(rowhouse(&["--version"]).status.success());
    for command in
        [&["dev", "--help"][..], &["node", "--help"], &["gateway", "--help"], &["ctl", "status", "--help"]]
    {
        assert!(rowhouse(command).status.success(), "{command:?}");
    }
}

#[test]
fn what_cannot_be_understood_ends_with_64_and_says_why() {
    let dir = tempfile::tempdir().expect("a folder");
    let secret = dir.path().join("secret");
    std::fs::write(&secret, "not hexadecimal").expect("a file");
    let secret = secret.to_string_lossy().into_owned();
    let data = dir.path().to_string_lossy().into_owned();
    let node = ["node", "--data-dir", &data, "--listen", "127.0.0.1:0", "--homeserver-secret-file", &secret];
    for args in [
        &["nonsense"][..],
        &["dev", "--http-port", "70000"],
        &["dev", "--nodes", "0"],
        &["dev", "--nodes", "10"],
        &["ctl", "node", "drain", "n1", "--node", "127.0.0.1:1", "--off"],
        &["ctl", "shard", "recover", "3", "--on", "n1", "--node", "127.0.0.1:1"],
        &["ctl", "shard", "move", "first", "--from", "n1", "--to", "n2", "--node", "127.0.0.1:1"],
        &["dev", "--ephemeral", "--data-dir", &data],
        &["dev", "--data-dir", &data, "--gateway-ips", "192.0.2.1"],
        &["node"],
        &["gateway", "--http-listen", "nowhere"],
        &["cluster", "init", "--node", "127.0.0.1:1", "--node", "127.0.0.1:2"],
        &["cluster", "init", "--node", "127.0.0.1:1", "--shards", "3", "--signup-mode", "open"],
        &node,
    ] {
        let output = rowhouse(args);
        let text = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(EXIT_USAGE), "{args:?}: {text}");
        assert!(!text.is_empty(), "{args:?}");
    }
}

#[test]
fn a_signup_mode_is_one_that_there_is() {
    let output = rowhouse(&["cluster", "init", "--node=127.0.0.1:1", "--signup-mode=closed"]);
    let text = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(EXIT_USAGE), "{text}");
    assert!(text.contains("open") && text.contains("token_required"), "{text}");
}

#[test]
fn a_filter_that_is_none_is_named_and_not_replaced() {
    for variable in ["RUST_LOG", "ROWHOUSE_TRACE"] {
        let filtered = |filter: &str| {
            let mut command = Command::new(env!("CARGO_BIN_EXE_rowhouse"));
            command.arg("config-reference").env(variable, filter).output().expect("the binary runs")
        };
        let output = filtered("info,rowhouse=loud");
        let text = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(EXIT_USAGE), "{text}");
        assert!(text.contains(variable) && text.contains("info,rowhouse=loud"), "{text}");
        for filter in ["", "debug,rowhouse=info"] {
            assert!(filtered(filter).status.success(), "{variable}={filter}");
        }
    }
}

#[test]
fn a_node_that_does_not_answer_is_a_failure_of_another_kind() {
    let output = rowhouse(&["ctl", "status", "--node", "127.0.0.1:1"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("127.0.0.1:1"));
    let checked = rowhouse(&["ctl", "status", "--check", "--node", "127.0.0.1:1"]);
    assert_eq!(checked.status.code(), Some(3), "unknown is not degraded");
}

#[test]
fn what_others_must_not_reach_stays_on_loopback() {
    let dir = tempfile::tempdir().expect("a folder");
    let secret = dir.path().join("secret");
    std::fs::write(&secret, "00".repeat(32)).expect("a file");
    let private = std::os::unix::fs::PermissionsExt::from_mode(0o600);
    std::fs::set_permissions(&secret, private).expect("permissions");
    let secret = secret.to_string_lossy().into_owned();
    let data = dir.path().join("data").to_string_lossy().into_owned();
    let node = ["node", "--data-dir", &data, "--listen", "0.0.0.0:0", "--homeserver-secret-file", &secret];
    let gateway =
        ["gateway", "--tls-listen=127.0.0.1:0", "--node=127.0.0.1:1", "--homeserver-secret-file", &secret];
    let of_the_testnet = [&gateway[..], &["--http-listen=0.0.0.0:0"]].concat();
    let admin = ["--http-listen=127.0.0.1:0", "--admin-listen=0.0.0.0:0", "--admin-password=correct horse"];
    let of_operators = [&gateway[..], &admin].concat();
    for (args, what) in [
        (&node[..], "mTLS"),
        (&of_the_testnet, "the homeserver's secret is the testnet's"),
        (&of_operators, "--admin-behind-proxy"),
    ] {
        let output = rowhouse(args);
        let text = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(EXIT_USAGE), "{args:?}: {text}");
        assert!(text.contains(what), "{args:?}: {text}");
    }
}
