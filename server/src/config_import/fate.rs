//! The possible ends of a key of the other program.

use figment::value::Value;

/// Who gave a key its value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// The file has the key.
    File,
    /// The file leaves it out, and the other program would have taken this default.
    Default,
}

/// What becomes of one key.
#[derive(Clone, Debug)]
pub enum Fate {
    /// A setting, in the settings file that is written.
    Setting {
        /// `section.name`.
        path: &'static str,
        value: Value,
        /// Why the value is another one.
        why: Option<&'static str>,
    },
    /// A flag of `rowhouse ctl cluster settings set`: the cluster itself keeps it.
    Command { flag: &'static str, value: String },
    /// A variable of the environment of each process.
    Variable { name: &'static str, value: String },
    /// Nothing: here the key has no meaning, for this reason.
    Meaningless(&'static str),
    /// Nothing, although the operator may miss it: this program cannot do it.
    Missing(&'static str),
    /// The other program does not know the key either, and ignores it.
    Unknown,
}

/// One key and its end.
#[derive(Clone, Debug)]
pub struct Line {
    /// As the other program names it.
    pub key: String,
    pub source: Source,
    pub fate: Fate,
}

impl Fate {
    /// The one word for it: `kept` is a setting whose name stays, in whatever section.
    pub fn word(&self, key: &str) -> &'static str {
        let name = |path: &str| path.rsplit('.').next().unwrap_or_default().to_owned();
        match self {
            Self::Setting { path, .. } if name(path) == name(key) => "kept",
            Self::Setting { .. } | Self::Variable { .. } => "renamed",
            Self::Command { .. } => "command",
            Self::Meaningless(_) => "meaningless",
            Self::Missing(_) => "missing",
            Self::Unknown => "unknown",
        }
    }
}
