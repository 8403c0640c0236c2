//! One source of values, in the form figment merges. figment remembers which value came from which.

use std::collections::BTreeMap;

use figment::value::{Dict, Map, Value};
use figment::{Metadata, Profile, Provider};
use rowhouse_proto::settings::Key;

const ENVIRONMENT: &str = "environment";
const FLAGS: &str = "flags";

/// Values of known keys from one source.
pub struct Layer {
    source: String,
    /// By `section.name`.
    values: BTreeMap<&'static str, Value>,
}

impl Layer {
    /// The layer of a file; messages show `name`.
    pub fn file(name: &str) -> Self {
        Self { source: name.to_owned(), values: BTreeMap::new() }
    }

    /// The layer of the environment.
    pub fn environment() -> Self {
        Self::file(ENVIRONMENT)
    }

    /// The layer of the command line.
    pub fn flags() -> Self {
        Self::file(FLAGS)
    }

    /// Sets a key, in place of what this layer had for it.
    pub fn insert(&mut self, key: &Key, value: Value) {
        self.values.insert(key.path, value);
    }

    /// The keys this layer sets.
    pub fn paths(&self) -> Vec<&'static str> {
        self.values.keys().copied().collect()
    }
}

impl Provider for Layer {
    fn metadata(&self) -> Metadata {
        Metadata::named(self.source.clone())
    }

    fn data(&self) -> Result<Map<Profile, Dict>, figment::Error> {
        let mut sections: BTreeMap<&str, Dict> = BTreeMap::new();
        for (path, value) in &self.values {
            let (section, name) = path.split_once('.').unwrap_or(("", path));
            sections.entry(section).or_default().insert(name.to_owned(), value.clone());
        }
        let sections = sections.into_iter().map(|(name, keys)| (name.to_owned(), Value::from(keys)));
        Ok(Map::from([(Profile::Default, sections.collect())]))
    }
}

/// Where the value of `key` came from, as a person would look for it.
pub fn source(key: &Key, metadata: &Metadata) -> String {
    match (&*metadata.name, key.flag) {
        (ENVIRONMENT, _) => key.variable(),
        (FLAGS, Some(flag)) => flag.name.to_owned(),
        (name, _) => name.to_owned(),
    }
}
