//! Values of keys: read from text, judged by the table, shown as TOML.

use figment::value::{Dict, Value};
use rowhouse_proto::settings::Kind;
use serde::Serialize;

use crate::error::Error;

/// The text of a variable or flag as a value. Text that does not fit the kind stays text, for [`accepts`] to refuse.
pub fn read(kind: &Kind, text: &str) -> Value {
    match kind {
        Kind::Number { .. } | Kind::Port => {
            text.parse::<i64>().map_or_else(|_| Value::from(text), Value::from)
        }
        Kind::Bool => text.parse::<bool>().map_or_else(|_| Value::from(text), Value::from),
        Kind::List(_) if text.is_empty() => Value::from(Vec::<String>::new()),
        Kind::List(item) => Value::from(text.split(',').map(|part| read(item, part)).collect::<Vec<_>>()),
        Kind::Tables(_) => tables(text).unwrap_or_else(|| Value::from(text)),
        _ => Value::from(text),
    }
}

/// Text that is what TOML has behind an equals sign.
fn tables(text: &str) -> Option<Value> {
    let file: Dict = toml::from_str(&format!("value = {text}\n")).ok()?;
    file.get("value").filter(|_| file.len() == 1).cloned()
}

/// Whether the value is of this kind and within its bounds.
pub fn accepts(kind: &Kind, value: &Value) -> bool {
    // figment keeps TOML's numbers signed.
    let number = value.to_u128().or_else(|| value.to_i128().and_then(|number| u128::try_from(number).ok()));
    let within = |min: u64, max: u64| {
        number.is_some_and(|number| (u128::from(min)..=u128::from(max)).contains(&number))
    };
    match kind {
        Kind::Number { min, max, .. } => within(*min, *max),
        Kind::Port => within(1, u64::from(u16::MAX)),
        Kind::Bool => value.to_bool().is_some(),
        Kind::List(item) => value.as_array().is_some_and(|items| {
            items.len() <= Kind::LIST_MAX && items.iter().all(|value| accepts(item, value))
        }),
        Kind::Tables(_) => value.as_array().is_some_and(|items| {
            items.len() <= Kind::LIST_MAX && items.iter().all(|value| value.as_dict().is_some())
        }),
        _ => value.as_str().is_some_and(|text| kind.accepts_text(text)),
    }
}

/// All keys of a process with their values, by section. A key without a value is there and empty.
pub fn values(settings: &impl Serialize) -> Result<Value, Error> {
    Value::serialize(settings).map_err(|error| Error::Failed(error.to_string()))
}

/// As TOML writes it; `None` for a key without a value.
pub fn literal(value: &Value) -> Option<String> {
    match value {
        Value::Empty(..) => None,
        value => toml::Value::try_from(value).ok().map(|value| value.to_string()),
    }
}

/// As a variable writes it: [`read`] the other way round.
pub fn plain(value: &Value) -> String {
    match value {
        Value::String(_, text) => text.clone(),
        Value::Array(_, items) => items.iter().map(plain).collect::<Vec<_>>().join(","),
        value => literal(value).unwrap_or_default(),
    }
}
