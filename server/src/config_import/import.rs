//! Walks over the file and the other program's defaults, and settles every key.

use std::path::Path;

use figment::value::{Dict, Value};
use rowhouse_proto::settings::Key;

use super::asked::{Asked, Origin};
use super::fate::{Fate, Line, Source};
use super::keys::{Becomes, DEFAULTS, KEYS, Row};
use crate::error::Error;
use crate::settings::{GatewaySettings, NodeSettings, Settings, accepts};

/// The other program keeps its key beside its configuration, in the form that this one reads.
const SECRET_FILE: &str = "secret";

/// One file to import.
pub struct Import {
    origin: Origin,
    defaults: Value,
    /// The path of `secret`, beside the file.
    secret: String,
    name: String,
}

/// Every key with its end, in the order of the report.
pub struct Imported {
    pub lines: Vec<Line>,
}

impl Import {
    /// The file's content, and its place.
    pub fn of(dict: Dict, path: &Path, development: bool) -> Self {
        let defaults: Dict = toml::from_str(DEFAULTS).unwrap_or_default();
        Self {
            origin: Origin::of(dict, development),
            defaults: Value::from(defaults),
            secret: path.with_file_name(SECRET_FILE).display().to_string(),
            name: path.display().to_string(),
        }
    }

    /// Every key with its end. Fails with exit code 64 if a value is not one of its key, and names all of them.
    pub fn settle(&self) -> Result<Imported, Error> {
        let mut lines: Vec<Line> = KEYS.iter().filter_map(|row| self.line(row)).collect();
        lines.push(Line {
            key: SECRET_FILE.to_owned(),
            source: Source::Default,
            fate: Fate::Setting {
                path: "secret.homeserver_secret_file",
                value: Value::from(self.secret.clone()),
                why: Some("the homeserver's key stays what it is, and its file is read as it is"),
            },
        });
        if self.origin.development {
            lines.push(Line {
                key: "development".to_owned(),
                source: Source::Default,
                fate: Fate::Setting { path: "gateway.development", value: Value::from(true), why: None },
            });
        }
        let wrong: Vec<String> = lines.iter().filter_map(|line| self.complaint(line)).collect();
        if !wrong.is_empty() {
            return Err(Error::Usage(wrong.join(" ")));
        }
        self.unknown(self.origin.file(), "", &mut lines);
        Ok(Imported { lines })
    }

    fn line(&self, row: &Row) -> Option<Line> {
        let from = |source, value: &Value| {
            let asked = Asked { origin: &self.origin, value, source };
            let fate = match row.becomes {
                Becomes::Setting(path) => Fate::Setting { path, value: value.clone(), why: None },
                Becomes::Command(flag) => Fate::Command { flag, value: asked.plain() },
                Becomes::Meaningless(why) => Fate::Meaningless(why),
                Becomes::Judged(judge) => judge(&asked)?,
            };
            Some(Line { key: row.key.to_owned(), source, fate })
        };
        match (self.origin.in_file(row.key), self.defaults.find_ref(row.key)) {
            (Some(value), _) => from(Source::File, value),
            (None, Some(value)) => from(Source::Default, value),
            (None, None) => None,
        }
    }

    fn complaint(&self, line: &Line) -> Option<String> {
        let (becomes, expected) = match &line.fate {
            Fate::Setting { path, value, .. } => {
                let kind = &setting(path)?.kind;
                (path, (!accepts(kind, value)).then(|| kind.expected()))
            }
            Fate::Command { flag, value } => {
                // It will stand on a command line that people paste.
                let word = |c: char| c.is_ascii_alphanumeric() || "_/.-".contains(c);
                let plain = !value.is_empty() && value.chars().all(word);
                (flag, (!plain).then(|| "one word or number".to_owned()))
            }
            _ => return None,
        };
        let expected = expected?;
        Some(format!("`{}` in {} becomes `{becomes}`; it must be {expected}.", line.key, self.name))
    }

    /// Adds what the other program does not know: it ignores such keys, and says nothing.
    fn unknown(&self, value: &Value, parent: &str, lines: &mut Vec<Line>) {
        let Some(dict) = value.as_dict() else { return };
        for (name, value) in dict {
            let key = if parent.is_empty() { name.clone() } else { format!("{parent}.{name}") };
            let known = KEYS.iter().any(|row| row.key == key);
            let holds_known = KEYS.iter().any(|row| row.key.starts_with(&format!("{key}.")));
            match value.as_dict() {
                _ if known => {}
                Some(inner) if holds_known || !inner.is_empty() => self.unknown(value, &key, lines),
                _ => lines.push(Line { key, source: Source::File, fate: Fate::Unknown }),
            }
        }
    }
}

/// The setting of this path.
pub fn setting(path: &str) -> Option<&'static Key> {
    GatewaySettings::keys().chain(NodeSettings::keys()).find(|key| key.path == path)
}
