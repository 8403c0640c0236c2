//! The layer of the environment: `ROWHOUSE_SECTION__KEY`. A variable without the double underscore is no key.
//! Each value is read as its key's type: figment's own reader would guess, and take a password of digits for a number.

use std::ffi::OsString;

use rowhouse_proto::settings::{PARTING, PREFIX};

use super::known::{Known, Owner};
use super::layer::Layer;
use super::value;

/// The keys among `variables`, whoever set them; `complaints` grows by what cannot be understood.
pub fn read(
    variables: impl IntoIterator<Item = (OsString, OsString)>,
    known: Known,
    complaints: &mut Vec<String>,
) -> Layer {
    let mut layer = Layer::environment();
    for (name, value) in variables {
        let name = name.to_string_lossy();
        let Some(rest) = name.strip_prefix(PREFIX).filter(|_| name.contains(PARTING)) else { continue };
        match (known.owner(|key| key.variable() == name), value.to_str()) {
            (Owner::Us(key), Some(text)) => layer.insert(key, value::read(&key.kind, text)),
            (Owner::Us(_), None) => complaints.push(format!("{name} is not UTF-8.")),
            (Owner::TheOther, _) => {}
            (Owner::Nobody, _) => {
                let path = rest.to_lowercase().replace(PARTING, ".");
                let advice = known.advice(&path, |key| key.variable());
                complaints.push(format!("unknown key `{path}` in the environment variable {name}; {advice}"));
            }
        }
    }
    layer
}
