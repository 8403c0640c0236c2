//! The effective configuration as TOML, each value with its source. Secrets serialise as `(hidden)`.

use std::io::Write as _;

use figment::value::Value;

use super::key::{Absent, Key};
use super::layer;
use super::load::{Loaded, Settings};
use crate::error::Error;

impl<T: Settings> Loaded<T> {
    pub fn print(&self) -> Result<(), Error> {
        write(&self.text()?)
    }

    pub fn text(&self) -> Result<String, Error> {
        let values = values(&self.settings)?;
        let mut text = format!("# The effective configuration of `rowhouse {}`.\n", T::PROCESS);
        let mut section = "";
        for key in T::KEYS {
            if key.section() != section {
                section = key.section();
                text.push_str(&format!("\n[{section}]\n"));
            }
            text.push_str(&self.line(key, &values));
        }
        Ok(text)
    }

    fn line(&self, key: &Key, values: &Value) -> String {
        let name = key.name();
        match (values.find_ref(key.path).and_then(literal), key.absent) {
            (Some(value), _) => {
                let source = self.figment.find_metadata(key.path).map(|data| layer::source(key, data));
                format!("{name} = {value}  # {}\n", source.unwrap_or_else(|| "default".into()))
            }
            (None, Absent::Means(meaning)) => format!("# {name} is not set: {meaning}\n"),
            (None, _) => format!("# {name} is not set\n"),
        }
    }
}

/// All keys with their values; what is not set is there and empty.
pub fn values(settings: &impl Settings) -> Result<Value, Error> {
    Value::serialize(settings).map_err(|error| Error::Failed(error.to_string()))
}

/// As TOML writes it.
pub fn literal(value: &Value) -> Option<String> {
    match value {
        Value::Empty(..) => None,
        value => toml::Value::try_from(value).ok().map(|value| value.to_string()),
    }
}

/// A closed standard output is an error, not a panic.
pub fn write(text: &str) -> Result<(), Error> {
    std::io::stdout().write_all(text.as_bytes()).map_err(Error::failed("write to standard output"))
}
