//! The binary that ships contains no planted bug.

use std::process::Command;

use rowhouse_chaos_tests::cluster::binary;

/// Every planted bug reads this variable; the name is in the binary if and only if one is built in.
const PLANTED_VARIABLE: &[u8] = b"ROWHOUSE_PLANTED";

#[test]
fn no_planted_bug_is_built_in() {
    let path = binary().expect("the binary is built");
    let bytes = std::fs::read(&path).expect("a readable binary");
    assert!(bytes.len() > 1_000_000, "{} is no program", path.display());
    let found = bytes.windows(PLANTED_VARIABLE.len()).any(|window| window == PLANTED_VARIABLE);
    assert!(!found, "{} was built with the feature planted-bugs", path.display());
}

#[test]
fn it_tells_its_version() {
    let output =
        Command::new(binary().expect("the binary is built")).arg("--version").output().expect("it runs");
    assert!(output.status.success());
    assert!(String::from_utf8_lossy(&output.stdout).starts_with("rowhouse "));
}
