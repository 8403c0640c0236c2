//! One key that is judged by its value, and by what else the file says.

use figment::value::{Dict, Value};

use super::fate::Source;
use crate::settings::plain;

/// The file of the other program, and what it is imported for.
pub struct Origin {
    file: Value,
    /// The settings are for a development cluster.
    pub development: bool,
}

/// One key with its value.
pub struct Asked<'a> {
    pub origin: &'a Origin,
    pub value: &'a Value,
    pub source: Source,
}

impl Origin {
    /// The file's content.
    pub fn of(dict: Dict, development: bool) -> Self {
        Self { file: Value::from(dict), development }
    }

    /// Everything in the file.
    pub fn file(&self) -> &Value {
        &self.file
    }

    /// The value that the file itself has for a key.
    pub fn in_file(&self, key: &str) -> Option<&Value> {
        self.file.find_ref(key)
    }

    /// The admin listener is on unless the file says otherwise.
    pub fn admin_is_on(&self) -> bool {
        self.in_file("admin.enabled").and_then(Value::to_bool) != Some(false)
    }

    /// Whether the reference would listen for scrapers.
    pub fn metrics_are_on(&self) -> bool {
        self.in_file("metrics.enabled").and_then(Value::to_bool) == Some(true)
    }
}

impl Asked<'_> {
    /// The value as a flag or a variable takes it.
    pub fn plain(&self) -> String {
        plain(self.value)
    }
}
