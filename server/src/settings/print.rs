//! The effective configuration as TOML, each value with its source. Secrets serialise as `(hidden)`.

use std::io::Write as _;

use figment::value::Value;
use rowhouse_proto::settings::{Absent, Key};

use super::layer;
use super::load::{Loaded, Settings};
use super::value::{literal, values};
use crate::error::Error;

impl<T: Settings> Loaded<T> {
    /// Writes [`Loaded::text`] to standard output. Fails if nobody reads it.
    pub fn print(&self) -> Result<(), Error> {
        write(&self.text()?)
    }

    /// A TOML file that says the same, each line with the source of its value.
    pub fn text(&self) -> Result<String, Error> {
        let values = values(&self.settings)?;
        let mut text = format!("# The effective configuration of `rowhouse {}`.\n", T::PROCESS);
        let mut section = "";
        for key in T::keys() {
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

/// A closed standard output is an error, not a panic.
pub fn write(text: &str) -> Result<(), Error> {
    std::io::stdout().write_all(text.as_bytes()).map_err(Error::failed("write to standard output"))
}
