//! The page that explains every key, docs/configuration.md: written from the tables and the settings' defaults.

use figment::Figment;
use figment::value::Value;

use super::gateway::GatewaySettings;
use super::key::{Absent, HIDDEN, Key, Kind};
use super::layer::Layer;
use super::load::Settings;
use super::node::NodeSettings;
use super::print::{literal, values, write};
use crate::error::Error;

const INTRODUCTION: &str = include_str!("reference.md");
const COLUMNS: &str =
    "| key | type | default | unit | environment | flag | meaning |\n|---|---|---|---|---|---|---|\n";

pub fn print() -> Result<(), Error> {
    write(&page()?)
}

fn page() -> Result<String, Error> {
    let (node, gateway) = (process::<NodeSettings>()?, process::<GatewaySettings>()?);
    Ok(format!("{INTRODUCTION}{node}{gateway}"))
}

fn process<T: Settings>() -> Result<String, Error> {
    let defaults = values(&defaults::<T>()?)?;
    let mut text = format!("\n## rowhouse {}\n", T::PROCESS);
    let mut section = "";
    for key in T::KEYS {
        if key.section() != section {
            section = key.section();
            text.push_str(&format!("\n### [{section}]\n\n{COLUMNS}"));
        }
        text.push_str(&row(key, &defaults));
    }
    Ok(text)
}

/// What the process would run with if it were told nothing but examples for what it must be told.
pub fn defaults<T: Settings>() -> Result<T, Error> {
    let mut examples = Layer::file("examples");
    for key in T::KEYS {
        if let Absent::Refused(example) = key.absent {
            examples.insert(key, key.kind.read(example));
        }
    }
    Figment::from(examples).extract().map_err(|error| Error::Failed(error.to_string()))
}

fn row(key: &Key, defaults: &Value) -> String {
    let code = |text: &str| format!("`{text}`");
    let default = match key.absent {
        Absent::Refused(example) => format!("required, such as `{example}`"),
        Absent::Means(meaning) => format!("not set: {meaning}"),
        Absent::Default => {
            defaults.find_ref(key.path).and_then(literal).map_or_else(String::new, |text| code(&text))
        }
    };
    let cells = [
        code(key.name()),
        type_of(&key.kind),
        default,
        key.kind.unit().unwrap_or("").to_owned(),
        code(&key.variable()),
        key.flag.map_or_else(String::new, code),
        key.meaning.to_owned(),
    ];
    format!("| {} |\n", cells.join(" | "))
}

fn type_of(kind: &Kind) -> String {
    match kind {
        Kind::Text => "text".into(),
        Kind::Path => "path".into(),
        Kind::Address => "IP:port".into(),
        Kind::Ip => "IP address".into(),
        Kind::HostPort => "host:port".into(),
        Kind::Port => "port".into(),
        Kind::Url => "URL".into(),
        Kind::Domain => "domain name".into(),
        Kind::Bool => "true, false".into(),
        Kind::Secret => format!("text, shown as {HIDDEN}"),
        Kind::Number { min, max, .. } => format!("{min} to {max}"),
        Kind::List(item) => format!("list of {}", type_of(item)),
    }
}
