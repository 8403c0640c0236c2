//! Which source wins, and how that is shown.

use std::path::Path;

use super::{GATEWAY, NODE, Told, assert_says, flag};
use crate::settings::layer::Layer;
use crate::settings::value::values;
use crate::settings::{GatewaySettings, NodeSettings};

#[test]
fn later_layers_win_key_by_key() {
    let memory = |told: &Told, bytes: Option<u64>| {
        let flags = bytes.map_or_else(Layer::flags, |bytes| flag::<NodeSettings>("--memory-mib", bytes));
        told.load::<NodeSettings>(flags).unwrap().settings.storage
    };
    let file = format!("{NODE}[storage]\nmemory_bytes = 20000000\nflush_interval_s = 7\n");
    let variable = [("ROWHOUSE_STORAGE__MEMORY_BYTES", "30000000")];
    assert_eq!(memory(&Told::by(NODE, &[]), None).memory_bytes, 128 << 20);
    assert_eq!(memory(&Told::by(&file, &[]), None).memory_bytes, 20_000_000);
    assert_eq!(memory(&Told::by(&file, &variable), None).memory_bytes, 30_000_000);
    let all = memory(&Told::by(&file, &variable), Some(40_000_000));
    assert_eq!(all.memory_bytes, 40_000_000);
    assert_eq!(all.flush_interval_s.as_secs(), 7, "a layer replaces only what it names");
}

#[test]
fn lists_are_replaced_whole() {
    let file = NODE.replace("[secret]", "seeds = [\"a:1\", \"b:2\"]\n[secret]");
    let seeds = |variables| Told::by(&file, variables).accepted::<NodeSettings>().node.seeds;
    assert_eq!(seeds(&[]), ["a:1", "b:2"]);
    assert_eq!(seeds(&[("ROWHOUSE_NODE__SEEDS", "c:3,d:4")]), ["c:3", "d:4"]);
    assert_eq!(seeds(&[("ROWHOUSE_NODE__SEEDS", "")]), [""; 0]);
}

#[test]
fn text_in_the_environment_stays_text() {
    let variables = [("ROWHOUSE_NODE__NAME", "17"), ("ROWHOUSE_NODE__DATA_DIR", "true")];
    let node = Told::by(NODE, &variables).accepted::<NodeSettings>().node;
    assert_eq!(node.name.as_deref(), Some("17"));
    assert_eq!(node.data_dir, Path::new("true"));
    let variables = [("ROWHOUSE_GATEWAY__ANNOUNCE", "false"), ("ROWHOUSE_ADMIN__PASSWORD", "12345678")];
    let settings = Told::by(GATEWAY, &variables).accepted::<GatewaySettings>();
    assert!(!settings.gateway.announce);
    assert_eq!(settings.admin.password.unwrap().expose(), "12345678");
}

#[test]
fn variables_without_a_double_underscore_are_no_keys() {
    let variables = [("ROWHOUSE_LOG_FORMAT", "json"), ("ROWHOUSE_CONFIG", "x"), ("OTHER__THING", "x")];
    Told::by(NODE, &variables).accepted::<NodeSettings>();
}

#[test]
fn one_file_and_one_environment_serve_both_processes() {
    let file = format!("{NODE}{}[limits]\nrequests_max = 7\n", GATEWAY.split("[secret]").next().unwrap());
    let told = Told::by(&file, &[("ROWHOUSE_LIMITS__CONNECTIONS_MAX", "9"), ("ROWHOUSE_NODE__NAME", "n")]);
    assert_eq!(told.accepted::<NodeSettings>().node.name.as_deref(), Some("n"));
    let limits = told.accepted::<GatewaySettings>().limits;
    assert_eq!((limits.requests_max, limits.connections_max), (7, 9));
}

#[test]
fn the_printed_configuration_names_sources_and_reads_back() {
    let flags = flag::<NodeSettings>("--name", "n \"1\"");
    let told = Told::by(NODE, &[("ROWHOUSE_NODE__SEEDS", "a:1,b:2")]);
    let loaded = told.load::<NodeSettings>(flags).unwrap();
    let text = loaded.text().unwrap();
    assert_says(&text, &["seeds = [\"a:1\", \"b:2\"]  # ROWHOUSE_NODE__SEEDS\n", "  # --name\n"]);
    assert_says(
        &text,
        &["rowhouse.toml\n", "heartbeat_ms = 150  # default\n", "# advertise is not set: the list"],
    );
    let again = Told::by(&text, &[]).accepted::<NodeSettings>();
    assert_eq!(values(&again).unwrap(), values(&loaded.settings).unwrap());
}
