//! The tables describe the settings, all of them and nothing else.

use std::collections::BTreeSet;

use figment::value::{Dict, Value};
use rowhouse_proto::settings::{Absent, Key};

use super::assert_says;
use crate::settings::load::Settings;
use crate::settings::value::{accepts, values};
use crate::settings::{GatewaySettings, NodeSettings};

fn fields(value: &Value) -> BTreeSet<String> {
    let inside = |(section, keys): (&String, &Value)| -> Vec<String> {
        keys.as_dict().unwrap().keys().map(|name| format!("{section}.{name}")).collect()
    };
    value.as_dict().unwrap().iter().flat_map(inside).collect()
}

fn assert_described<T: Settings>() {
    let defaults = values(&T::default()).unwrap();
    let rows: BTreeSet<String> = T::keys().map(|key| key.path.to_owned()).collect();
    assert_eq!(rows.len(), T::keys().count(), "a key is described twice");
    assert_eq!(fields(&defaults), rows, "the table and the fields differ");
    for key in T::keys() {
        let value = defaults.find_ref(key.path).unwrap();
        let unset = matches!(value, Value::Empty(..));
        assert_eq!(
            unset,
            matches!(key.absent, Absent::Means(_)),
            "{} has a default or means something",
            key.path
        );
        assert!(unset || accepts(&key.kind, value), "{}: its own default {value:?} is refused", key.path);
        assert_unit(key);
    }
    let sections: Vec<_> = T::keys().map(Key::section).collect();
    let runs = sections.chunk_by(|a, b| a == b).count();
    assert_eq!(runs, sections.iter().collect::<BTreeSet<_>>().len(), "the keys of a section stand together");
}

/// A unit stands in the name, so that nobody needs the page to write a value.
fn assert_unit(key: &Key) {
    let mark = match key.kind.unit() {
        Some("bytes") => "bytes",
        Some("seconds") => "_s",
        Some("milliseconds") => "_ms",
        Some(unit) => unit,
        None => "",
    };
    assert!(key.name().contains(mark), "{} does not say that it counts {mark}", key.path);
}

#[test]
fn the_tables_describe_exactly_the_settings() {
    assert_described::<NodeSettings>();
    assert_described::<GatewaySettings>();
}

#[test]
fn no_settings_struct_ignores_what_it_does_not_know() {
    for section in
        ["", "node", "secret", "tls", "pkarr", "storage", "objects", "raft", "limits", "probes", "metrics"]
    {
        assert_strict::<NodeSettings>(section);
    }
    for section in ["", "gateway", "secret", "tls", "admin", "limits", "probes", "metrics"] {
        assert_strict::<GatewaySettings>(section);
    }
}

fn assert_strict<T: Settings>(section: &str) {
    let mut all: Dict = values(&T::default()).unwrap().into_dict().unwrap();
    match all.get_mut(section) {
        Some(Value::Dict(_, keys)) => keys.insert("zebra".into(), 1.into()),
        _ => all.insert("zebra".into(), 1.into()),
    };
    let error = Value::from(all).deserialize::<T>().map(|_| ()).unwrap_err();
    assert_says(&error.to_string(), &["zebra"]);
}
