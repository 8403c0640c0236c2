//! Why a command ended, and the exit code that says so to scripts.

use std::path::{Path, PathBuf};

/// `EX_USAGE` of sysexits: the flags or the configuration are wrong, and starting again will not help.
pub const EXIT_USAGE: u8 = 64;
/// `EX_TEMPFAIL` of sysexits: a file that is not there or not good yet may be later, so starting again may help.
pub const EXIT_NOT_YET: u8 = 75;
/// Anything else that went wrong.
pub const EXIT_FAILED: u8 = 1;

/// The text says what to do about it. Some have an exit code of their own.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The flags, the settings or the files they name are wrong: exit code 64.
    #[error("{0}")]
    Usage(String),
    /// A file is not there or not valid yet: exit code 75.
    #[error("{0}")]
    NotYet(String),
    /// A collector cannot be reached by TLS with what the variables name: the command goes on without it.
    #[error("{0}")]
    Certificates(String),
    /// A file or folder could not be used.
    #[error("{path}: {source}")]
    Io { path: PathBuf, source: std::io::Error },
    /// A step of the command failed.
    #[error("cannot {what}: {source}")]
    Step { what: &'static str, source: std::io::Error },
    /// A node did not answer, or refused.
    #[error("node {address}: {text}")]
    Node { address: String, text: String },
    /// The cluster is not as it should be: the exit code says how (`ctl status --check`).
    #[error("{text}")]
    Unwell { code: u8, text: String },
    /// Anything else.
    #[error("{0}")]
    Failed(String),
}

impl Error {
    /// For `map_err`: something went wrong with this file or folder.
    pub fn io(path: &Path) -> impl FnOnce(std::io::Error) -> Self + use<> {
        let path = path.to_owned();
        move |source| Self::Io { path, source }
    }

    /// For `map_err`: completes "cannot …".
    pub fn failed(what: &'static str) -> impl FnOnce(std::io::Error) -> Self {
        move |source| Self::Step { what, source }
    }

    /// The exit code of the process that ends with this error.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Usage(_) => EXIT_USAGE,
            Self::NotYet(_) => EXIT_NOT_YET,
            Self::Unwell { code, .. } => *code,
            _ => EXIT_FAILED,
        }
    }
}
