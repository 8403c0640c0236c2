//! Judges the merged values by the tables of keys.

use figment::Figment;
use figment::value::Value;

use rowhouse_proto::settings::{Absent, HIDDEN, Key, Kind};

use super::layer;
use super::value::{accepts, literal, plain};

/// Longer values are cut in messages.
const SHOWN_CHARS_MAX: usize = 80;

/// One sentence for each key that is missing or has a value it does not accept. `examples` has a value for each
/// required key.
pub fn complaints(
    keys: impl Iterator<Item = &'static Key>,
    figment: &Figment,
    examples: &Value,
) -> Vec<String> {
    keys.filter_map(|key| complaint(key, figment, examples)).collect()
}

fn complaint(key: &Key, figment: &Figment, examples: &Value) -> Option<String> {
    let value = figment.find_value(key.path).ok();
    let nothing = |value: &Value| value.as_array().is_some_and(<[Value]>::is_empty);
    match (value, key.absent) {
        (None, Absent::Refused) => Some(missing(key, examples)),
        (Some(value), Absent::Refused) if nothing(&value) => Some(missing(key, examples)),
        (Some(value), _) if !accepts(&key.kind, &value) => {
            let source = figment.find_metadata(key.path).map(|metadata| layer::source(key, metadata));
            let source = source.unwrap_or_else(|| "the defaults".into());
            let expected = key.kind.expected();
            Some(format!("`{}` from {source} is {}; it must be {expected}.", key.path, found(key, &value)))
        }
        _ => None,
    }
}

fn missing(key: &Key, examples: &Value) -> String {
    let flag = key.flag.map(|flag| format!("{}, ", flag.name)).unwrap_or_default();
    let example = examples.find_ref(key.path).map(plain).unwrap_or_default();
    let (path, section, name, variable) = (key.path, key.section(), key.name(), key.variable());
    format!(
        "`{path}` is not set: give {flag}{variable}, or {name} in [{section}] of the file (for example {example})."
    )
}

fn found(key: &Key, value: &Value) -> String {
    match value {
        Value::String(_, text) if matches!(key.kind, Kind::Secret) && !text.is_empty() => HIDDEN.into(),
        value if matches!(key.kind, Kind::Secret) && value.as_str().is_none() => "not text".into(),
        Value::Dict(..) => "a table".into(),
        Value::Array(_, items) => {
            let items: Vec<_> = items.iter().map(shown).collect();
            cut(&format!("[{}]", items.join(", ")))
        }
        value => shown(value),
    }
}

fn shown(value: &Value) -> String {
    match (value, literal(value)) {
        (Value::String(_, text), _) => cut(&format!("{text:?}")),
        (_, Some(literal)) => literal,
        // TOML has no number this large; a flag may.
        (value, None) => value.to_u128().map_or_else(|| "nothing".into(), |number| number.to_string()),
    }
}

fn cut(text: &str) -> String {
    match text.char_indices().nth(SHOWN_CHARS_MAX) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}
