//! What is wrong with the merged values, by the table of keys.

use figment::Figment;
use figment::value::Value;

use super::key::{Absent, HIDDEN, Key, Kind};
use super::layer;
use super::print::literal;

/// Longer values are cut in messages.
const SHOWN_CHARS_MAX: usize = 80;

pub fn complaints(keys: &[Key], figment: &Figment) -> Vec<String> {
    keys.iter().filter_map(|key| complaint(key, figment)).collect()
}

fn complaint(key: &Key, figment: &Figment) -> Option<String> {
    let value = figment.find_value(key.path).ok();
    let nothing = |value: &Value| value.as_array().is_some_and(<[Value]>::is_empty);
    match (value, key.absent) {
        (None, Absent::Refused(example)) => Some(missing(key, example)),
        (Some(value), Absent::Refused(example)) if nothing(&value) => Some(missing(key, example)),
        (Some(value), _) if !key.kind.accepts(&value) => {
            let source = figment.find_metadata(key.path).map(|metadata| layer::source(key, metadata));
            let source = source.unwrap_or_else(|| "the defaults".into());
            let expected = key.kind.expected();
            Some(format!("`{}` from {source} is {}; it must be {expected}.", key.path, found(key, &value)))
        }
        _ => None,
    }
}

fn missing(key: &Key, example: &str) -> String {
    let flag = key.flag.map(|flag| format!("{flag}, ")).unwrap_or_default();
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
