//! The check for what a machine lacks before cargo can build, tried on made-up machines (`scripts/deps-test.sh`).

use std::path::Path;
use std::process::Command;

#[test]
fn what_is_missing_is_found_and_told() {
    // Asked for when it runs: clones may share a target folder.
    let crate_dir = std::env::var_os("CARGO_MANIFEST_DIR").expect("run by cargo");
    let script = Path::new(&crate_dir).join("../scripts/deps-test.sh");
    let output = Command::new("bash").arg(script).output().expect("bash runs");
    let told = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{told}{}", String::from_utf8_lossy(&output.stderr));
    assert!(told.lines().filter(|line| line.starts_with("ok ")).count() >= 20, "it tried nothing: {told}");
}
