//! A Secret, as JSON: what we do not know of it goes back as it came.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::api_error::ApiError;

/// As the API server told it, or a new one. Its contents are never printed.
#[derive(Clone)]
pub struct Secret {
    object: Value,
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Secret").field(&self.name()).finish()
    }
}

impl Secret {
    /// One that is not there yet.
    pub fn new(name: &str) -> Self {
        let labels =
            json!({ "app.kubernetes.io/name": "rowhouse", "app.kubernetes.io/managed-by": "rowhouse" });
        Self {
            object: json!({
                "apiVersion": "v1",
                "kind": "Secret",
                "type": "Opaque",
                "metadata": { "name": name, "labels": labels },
                "data": {},
            }),
        }
    }

    /// One that the API server told us of.
    pub fn from_object(object: Value) -> Self {
        Self { object }
    }

    /// The JSON to send.
    pub fn object(&self) -> &Value {
        &self.object
    }

    /// Its name.
    pub fn name(&self) -> &str {
        self.metadata("name")
    }

    /// Changes with every change of the Secret; empty for a new one.
    pub fn resource_version(&self) -> &str {
        self.metadata("resourceVersion")
    }

    /// Whether the API server does not have it.
    pub fn is_new(&self) -> bool {
        self.resource_version().is_empty()
    }

    fn metadata(&self, field: &str) -> &str {
        self.object["metadata"][field].as_str().unwrap_or_default()
    }

    /// The text under a key, `None` without that key. Refused if it is not text.
    pub fn text(&self, key: &str) -> Result<Option<String>, ApiError> {
        let Some(encoded) = self.object["data"].get(key).and_then(Value::as_str) else { return Ok(None) };
        let bytes = STANDARD.decode(encoded).ok();
        let text = bytes.and_then(|bytes| String::from_utf8(bytes).ok());
        text.map(Some).ok_or_else(|| ApiError::Refused(format!("Secret {}: {key} is not text", self.name())))
    }

    /// Its keys, in no particular order.
    pub fn keys(&self) -> impl Iterator<Item = &str> {
        self.object["data"].as_object().into_iter().flatten().map(|(key, _)| key.as_str())
    }

    /// Puts a text under a key.
    pub fn set(&mut self, key: &str, text: &str) {
        self.field("data", key, Value::String(STANDARD.encode(text)));
    }

    /// Takes a key away.
    pub fn remove(&mut self, key: &str) {
        if let Some(data) = self.object["data"].as_object_mut() {
            data.remove(key);
        }
    }

    /// The annotation of this name.
    pub fn annotation(&self, name: &str) -> Option<&str> {
        self.object["metadata"]["annotations"].get(name)?.as_str()
    }

    /// Sets the annotation, or takes it away.
    pub fn annotate(&mut self, name: &str, text: Option<String>) {
        let metadata = &mut self.object["metadata"];
        match (text, metadata["annotations"].as_object_mut()) {
            (Some(text), Some(annotations)) => drop(annotations.insert(name.to_owned(), Value::String(text))),
            (Some(text), None) => metadata["annotations"] = json!({ name: text }),
            (None, Some(annotations)) => drop(annotations.remove(name)),
            (None, None) => {}
        }
    }

    fn field(&mut self, map: &str, key: &str, value: Value) {
        match self.object[map].as_object_mut() {
            Some(map) => drop(map.insert(key.to_owned(), value)),
            None => self.object[map] = json!({ key: value }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_ours_stays_and_contents_are_not_printed() {
        let told = json!({
            "metadata": { "name": "x", "resourceVersion": "7", "ownerReferences": [{ "uid": "u" }] },
            "data": { "other": "AAE=", "a": "YQ==" },
            "immutable": false,
        });
        let mut secret = Secret::from_object(told);
        secret.set("b", "b");
        secret.annotate("noted", Some("now".into()));
        assert_eq!(secret.text("a").unwrap().as_deref(), Some("a"));
        assert_eq!(secret.text("absent").unwrap(), None);
        assert!(secret.text("other").is_ok_and(|text| text.is_some()));
        assert_eq!(secret.object()["metadata"]["ownerReferences"][0]["uid"], "u");
        assert_eq!((secret.annotation("noted"), secret.is_new()), (Some("now"), false));
        secret.remove("a");
        secret.annotate("noted", None);
        assert_eq!((secret.text("a").unwrap(), secret.annotation("noted")), (None, None));
        assert_eq!(format!("{secret:?}"), r#"Secret("x")"#);
    }

    #[test]
    fn a_secret_without_data_gets_some() {
        let mut secret = Secret::from_object(json!({ "metadata": { "name": "x" } }));
        secret.annotate("gone", None);
        secret.set("a", "é");
        assert_eq!(secret.text("a").unwrap().as_deref(), Some("é"));
        assert_eq!(secret.keys().collect::<Vec<_>>(), ["a"]);
    }
}
