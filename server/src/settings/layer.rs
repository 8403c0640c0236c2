//! One source of values, in the form figment merges. figment remembers which value came from which.

use std::collections::BTreeMap;

use figment::value::{Dict, Map, Value};
use figment::{Metadata, Profile, Provider};

use super::key::Key;

const ENVIRONMENT: &str = "environment";
const FLAGS: &str = "flags";

pub struct Layer {
    source: String,
    /// By `section.name`; known keys only.
    values: BTreeMap<&'static str, Value>,
}

impl Layer {
    pub fn file(name: &str) -> Self {
        Self { source: name.to_owned(), values: BTreeMap::new() }
    }

    pub fn environment() -> Self {
        Self::file(ENVIRONMENT)
    }

    pub fn insert(&mut self, key: &Key, value: Value) {
        self.values.insert(key.path, value);
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
        (FLAGS, Some(flag)) => flag.to_owned(),
        (name, _) => name.to_owned(),
    }
}

/// What the command line said.
pub struct Flags(Layer);

impl Default for Flags {
    fn default() -> Self {
        Self(Layer::file(FLAGS))
    }
}

impl Flags {
    pub fn set(&mut self, path: &'static str, value: Option<impl Into<Value>>) {
        if let Some(value) = value {
            self.0.values.insert(path, value.into());
        }
    }

    /// A list that was not given leaves those of other layers alone.
    pub fn set_list(&mut self, path: &'static str, values: &[String]) {
        self.set(path, (!values.is_empty()).then(|| values.to_vec()));
    }

    pub fn layer(self) -> Layer {
        self.0
    }

    #[cfg(test)]
    pub fn paths(&self) -> Vec<&'static str> {
        self.0.values.keys().copied().collect()
    }
}
