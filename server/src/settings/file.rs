//! The layer of a TOML file. Not figment's own reader, which shows the line of a syntax error.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use figment::value::{Dict, Value};

use super::known::{Known, Owner};
use super::layer::Layer;
use super::refusal::invalid;
use crate::error::Error;

/// A thousand times what all keys need.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// The keys in the TOML file at `path`; `complaints` grows by what cannot be understood. Fails if the file cannot be
/// read, is longer than a MiB, or is not TOML.
pub fn read(path: &Path, known: Known, complaints: &mut Vec<String>) -> Result<Layer, Error> {
    let dict = dict(path, "name another with --config or ROWHOUSE_CONFIG, or none")?;
    let name = path.display().to_string();
    let mut reading = Reading { layer: Layer::file(&name), name: &name, known, complaints };
    reading.walk(dict, "");
    Ok(reading.layer)
}

/// The TOML file at `path`, whatever its keys. Fails if it cannot be read, which `advice` says what to do about, is
/// longer than a MiB, or is not TOML.
pub fn dict(path: &Path, advice: &str) -> Result<Dict, Error> {
    let text = text(path).map_err(|error| {
        let path = path.display();
        Error::Usage(format!("cannot read the configuration file {path} ({error}): {advice}"))
    })?;
    toml::from_str(&text).map_err(|error| invalid(&[syntax(&path.display().to_string(), &text, &error)]))
}

fn text(path: &Path) -> io::Result<String> {
    let mut text = String::new();
    let read = File::open(path)?.take(FILE_BYTES_MAX + 1).read_to_string(&mut text)?;
    if read as u64 > FILE_BYTES_MAX {
        return Err(io::Error::new(
            io::ErrorKind::FileTooLarge,
            format!("longer than {FILE_BYTES_MAX} bytes"),
        ));
    }
    Ok(text)
}

/// Without the line itself, which toml would show: it may hold a password.
fn syntax(name: &str, text: &str, error: &toml::de::Error) -> String {
    let before = error.span().and_then(|span| text.get(..span.start)).unwrap_or("");
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().map_or(0, |start| start.chars().count()) + 1;
    let what = error.message().replace('\n', ", ");
    format!("{name} is not TOML at line {line}, column {column}: {what}.")
}

struct Reading<'a> {
    layer: Layer,
    name: &'a str,
    known: Known,
    complaints: &'a mut Vec<String>,
}

impl Reading<'_> {
    fn walk(&mut self, dict: Dict, parent: &str) {
        for (name, value) in dict {
            let path = if parent.is_empty() { name } else { format!("{parent}.{name}") };
            match (self.known.owner(|key| key.path == path), value) {
                (Owner::Us(key), value) => self.layer.insert(key, value),
                (Owner::TheOther, _) => {}
                (Owner::Nobody, Value::Dict(_, keys)) if self.inside(&path, &keys) => self.walk(keys, &path),
                (Owner::Nobody, _) => self.complain(&path),
            }
        }
    }

    /// An empty table is a mistake of its own unless it is a section.
    fn inside(&self, path: &str, keys: &Dict) -> bool {
        !keys.is_empty() || self.known.is_section(path)
    }

    fn complain(&mut self, path: &str) {
        let name = self.name;
        self.complaints.push(if self.known.is_section(path) {
            format!("`{path}` in {name} is a section: write [{path}] and its keys below.")
        } else {
            let advice = self.known.advice(path, |key| format!("`{}`", key.path));
            format!("unknown key `{path}` in {name}; {advice}")
        });
    }
}
