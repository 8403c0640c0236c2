//! Why a command ended, and the exit code that says so to scripts.

use std::path::{Path, PathBuf};

/// `EX_USAGE` of sysexits: the flags or the configuration are wrong, and starting again will not help.
pub const EXIT_USAGE: u8 = 64;
/// `EX_TEMPFAIL` of sysexits: a file that is not there or not good yet may be later, so starting again may help.
pub const EXIT_NOT_YET: u8 = 75;
/// Anything else that went wrong.
pub const EXIT_FAILED: u8 = 1;

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("{0}")]
    Usage(String),
    #[error("{0}")]
    NotYet(String),
    #[error("{path}: {source}")]
    Io { path: PathBuf, source: std::io::Error },
    #[error("cannot {what}: {source}")]
    Step { what: &'static str, source: std::io::Error },
    #[error("node {address}: {text}")]
    Node { address: String, text: String },
    #[error("{0}")]
    Failed(String),
}

impl Error {
    pub fn io(path: &Path) -> impl FnOnce(std::io::Error) -> Self + use<> {
        let path = path.to_owned();
        move |source| Self::Io { path, source }
    }

    pub fn failed(what: &'static str) -> impl FnOnce(std::io::Error) -> Self {
        move |source| Self::Step { what, source }
    }

    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Usage(_) => EXIT_USAGE,
            Self::NotYet(_) => EXIT_NOT_YET,
            _ => EXIT_FAILED,
        }
    }
}
