//! Flags that all questions to a cluster share.

use std::io::Write as _;

use serde::Serialize;

use crate::certificates::TlsArgs;
use crate::error::Error;

/// The way into the cluster.
#[derive(clap::Args, Clone, Debug)]
pub struct Access {
    /// Address of any node, host:port.
    #[arg(long, value_name = "HOST:PORT")]
    pub node: String,
    #[command(flatten)]
    pub tls: TlsArgs,
}

/// The form of what is printed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Output {
    /// For people.
    #[default]
    Table,
    /// For scripts: fields are only ever added.
    Json,
}

impl Output {
    /// Prints one result: `text` or `json`.
    pub fn print(self, text: impl FnOnce() -> String, json: &impl Serialize) -> Result<(), Error> {
        match self {
            Self::Table => written(&text()),
            Self::Json => written(&format!("{}\n", serde_json::to_string_pretty(json).map_err(unwritable)?)),
        }
    }

    /// Prints one line of several: `text`, or `json` on one line.
    pub fn print_line(self, text: &str, json: &impl Serialize) -> Result<(), Error> {
        match self {
            Self::Table => written(&format!("{text}\n")),
            Self::Json => written(&format!("{}\n", serde_json::to_string(json).map_err(unwritable)?)),
        }
    }
}

/// Not print!, which panics when the reader has gone: `| head` is no bug.
fn written(text: &str) -> Result<(), Error> {
    let mut out = std::io::stdout().lock();
    out.write_all(text.as_bytes()).and_then(|()| out.flush()).map_err(Error::failed("print"))
}

fn unwritable(error: serde_json::Error) -> Error {
    Error::Failed(error.to_string())
}
