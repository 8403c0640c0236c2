//! `rowhouse-chaos smoke`, as `helm test` runs it.

use std::process::{Command, Output};

use rowhouse_chaos_tests::cluster::{Cluster, ClusterOptions};

fn smoke(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_rowhouse-chaos")).arg("smoke").args(args).output().expect("it runs")
}

#[tokio::test]
async fn smoke_passes_where_all_works_and_fails_where_something_does_not() {
    let cluster = Cluster::start(ClusterOptions::default()).await.expect("the cluster starts");
    let ports = cluster.file().expect("the cluster tells its ports").ports;
    let (url, admin) =
        (format!("http://localhost:{}", ports.http), format!("http://127.0.0.1:{}", ports.admin));
    let folder = tempfile::tempdir().expect("a folder");
    let password = folder.path().join("password");
    std::fs::write(&password, "admin\n").expect("written");
    let password = password.to_str().expect("plain").to_owned();

    let passed = smoke(&["--url", &url, "--admin-url", &admin, "--admin-password-file", &password]);
    let told = String::from_utf8_lossy(&passed.stdout).into_owned();
    assert!(passed.status.success(), "{told}{}", String::from_utf8_lossy(&passed.stderr));
    for step in ["get a signup token", "sign up", "write", "read", "list", "delete", "hear of both changes"] {
        assert!(told.contains(&format!("{step}: ok")), "{step} is missing in {told}");
    }
    assert!(smoke(&["--url", &url]).status.success(), "a dev cluster is open to anybody");

    std::fs::write(&password, "wrong\n").expect("written");
    let failed = smoke(&["--url", &url, "--admin-url", &admin, "--admin-password-file", &password]);
    assert_eq!(failed.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&failed.stdout).contains("get a signup token: FAILED"));
    // The admin listener is no client API.
    assert_eq!(smoke(&["--url", &admin]).status.code(), Some(1));
}
