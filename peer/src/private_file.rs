//! One rule for all files that hold a key or a password: who may reach them besides their owner.

use std::fs::Metadata;
use std::os::unix::fs::PermissionsExt;

/// Permission bits that a secret must not have. Its group may read it: that is how volumes of secrets are made
/// readable (Kubernetes: `fsGroup`). It may not write, and others may do nothing.
const EXPOSING: u32 = 0o027;

/// Whether users outside the file's group could read it, or anybody but its owner could change it.
pub fn is_exposed(file: &Metadata) -> bool {
    file.permissions().mode() & EXPOSING != 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_owner_and_readers_in_the_group_are_no_exposure() {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("secret");
        std::fs::write(&path, "secret").expect("a file");
        for (mode, exposed) in [
            (0o400, false),
            (0o600, false),
            (0o440, false),
            (0o640, false),
            (0o750, false),
            (0o460, true),
            (0o620, true),
            (0o604, true),
            (0o601, true),
            (0o644, true),
            (0o666, true),
        ] {
            std::fs::set_permissions(&path, PermissionsExt::from_mode(mode)).expect("permissions");
            assert_eq!(is_exposed(&std::fs::metadata(&path).expect("there")), exposed, "{mode:o}");
        }
    }
}
