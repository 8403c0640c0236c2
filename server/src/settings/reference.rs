//! The page that explains every key, docs/configuration.md: written from the tables and the fields' defaults.

use figment::value::Value;
use rowhouse_proto::settings::{Absent, Key};

use super::load::Settings;
use super::print::write;
use super::process::{GatewaySettings, NodeSettings};
use super::value::{literal, plain, values};
use crate::error::Error;

const INTRODUCTION: &str = include_str!("reference.md");
const COLUMNS: &str =
    "| key | type | default | unit | environment | flag | meaning |\n|---|---|---|---|---|---|---|\n";

/// Writes the page to standard output. Fails if nobody reads it.
pub fn print() -> Result<(), Error> {
    write(&page()?)
}

fn page() -> Result<String, Error> {
    let (node, gateway) = (process::<NodeSettings>()?, process::<GatewaySettings>()?);
    Ok(format!("{INTRODUCTION}{node}{gateway}"))
}

fn process<T: Settings>() -> Result<String, Error> {
    let defaults = values(&T::default())?;
    let mut text = format!("\n## rowhouse {}\n", T::PROCESS);
    let mut section = "";
    for key in T::keys() {
        if key.section() != section {
            section = key.section();
            text.push_str(&format!("\n### [{section}]\n\n{COLUMNS}"));
        }
        text.push_str(&row(key, defaults.find_ref(key.path)));
    }
    Ok(text)
}

fn row(key: &Key, default: Option<&Value>) -> String {
    let code = |text: &str| format!("`{text}`");
    let default = match key.absent {
        Absent::Refused => format!("required, such as `{}`", default.map(plain).unwrap_or_default()),
        Absent::Means(meaning) => format!("not set: {meaning}"),
        Absent::Default => default.and_then(literal).map_or_else(String::new, |text| code(&text)),
    };
    let cells = [
        code(key.name()),
        key.kind.label(),
        default,
        key.kind.unit().unwrap_or("").to_owned(),
        code(&key.variable()),
        key.flag.map_or_else(String::new, |flag| code(flag.name)),
        key.meaning.to_owned(),
    ];
    format!("| {} |\n", cells.join(" | "))
}
