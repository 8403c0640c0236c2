//! Files that are whole or absent: written beside their place, then renamed into it.

use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use serde::Serialize;

use crate::error::Error;

/// Readable by the owner alone: files of a data folder may name secrets.
const OWNER_ONLY: u32 = 0o600;

/// Replaces the file by the value as JSON, like [`write`].
pub fn write_json(path: &Path, value: &impl Serialize) -> Result<(), Error> {
    let text = serde_json::to_vec_pretty(value).map_err(|error| Error::Failed(error.to_string()))?;
    write(path, &text)
}

/// Replaces the file as a whole; only its owner can read it. Not synced: a crash of the machine may lose it.
pub fn write(path: &Path, bytes: &[u8]) -> Result<(), Error> {
    let staged = path.with_extension(format!("{}.new", std::process::id()));
    let result = std::fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(OWNER_ONLY)
        .open(&staged)
        .and_then(|mut file| file.write_all(bytes))
        .and_then(|()| std::fs::rename(&staged, path));
    result.map_err(Error::io(path))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_written_file_replaces_the_old_one_and_is_private() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("cluster.json");
        write_json(&path, &[1, 2, 3]).unwrap();
        write_json(&path, &[4]).unwrap();
        let read: Vec<u32> = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
        assert_eq!(read, [4]);
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, OWNER_ONLY);
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1, "nothing staged is left behind");
    }
}
