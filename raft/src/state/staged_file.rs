//! A file in the staging directory, there only as long as somebody needs it.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

/// Removes its file when dropped, unless the database took it in.
pub(super) struct StagedFile(PathBuf);

impl StagedFile {
    /// A file to be written at `path`.
    pub fn new(path: PathBuf) -> Self {
        Self(path)
    }

    /// Where it lies.
    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for StagedFile {
    fn drop(&mut self) {
        match fs::remove_file(&self.0) {
            Ok(()) => {}
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => {
                tracing::warn!(path = %self.0.display(), %error, "staged file stays until the next start");
            }
        }
    }
}
