use std::collections::BTreeSet;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use clap::Parser;
use figment::value::{Dict, Value};

use super::key::{Absent, HIDDEN, Key, Kind};
use super::layer::Flags;
use super::load::{Loaded, Settings, load};
use super::print::values;
use super::reference::defaults;
use super::{GatewaySettings, NodeSettings};
use crate::error::{EXIT_USAGE, Error};
use crate::gateway::GatewayArgs;
use crate::node::NodeArgs;

const NODE: &str = "[node]\ndata_dir = \"/data\"\nlisten = \"127.0.0.1:1\"\n\
                    [secret]\nhomeserver_secret_file = \"/secret\"\n";
const GATEWAY: &str = "[gateway]\nhttp_listen = \"127.0.0.1:1\"\ntls_listen = \"127.0.0.1:2\"\n\
                       nodes = [\"127.0.0.1:3\"]\n[secret]\nhomeserver_secret_file = \"/secret\"\n";

struct Told {
    dir: tempfile::TempDir,
    variables: Vec<(OsString, OsString)>,
}

impl Told {
    fn by(file: &str, variables: &[(&str, &str)]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("rowhouse.toml"), file).unwrap();
        let variables = variables.iter().map(|(name, value)| (name.into(), value.into())).collect();
        Self { dir, variables }
    }

    fn file(&self) -> PathBuf {
        self.dir.path().join("rowhouse.toml")
    }

    fn load<T: Settings>(&self, flags: Flags) -> Result<Loaded<T>, Error> {
        load(Some(&self.file()), self.variables.clone(), flags)
    }

    fn accepted<T: Settings>(&self) -> T {
        self.load(Flags::default()).map(|loaded| loaded.settings).unwrap()
    }

    fn refused<T: Settings>(&self) -> String {
        let error = self.load::<T>(Flags::default()).map(|_| ()).unwrap_err();
        assert_eq!(error.exit_code(), EXIT_USAGE);
        error.to_string().replace(&*self.dir.path().to_string_lossy(), "DIR")
    }
}

#[track_caller]
fn assert_says(message: &str, parts: &[&str]) {
    for part in parts {
        assert!(message.contains(part), "{part:?} in {message:?}");
    }
}

#[test]
fn later_layers_win_key_by_key() {
    let flags = |memory| {
        let mut flags = Flags::default();
        flags.set("storage.memory_bytes", memory);
        flags
    };
    let memory = |told: &Told, flag| told.load::<NodeSettings>(flags(flag)).unwrap().settings.storage;
    let file = format!("{NODE}[storage]\nmemory_bytes = 20000000\nflush_interval_s = 7\n");
    let variable = [("ROWHOUSE_STORAGE__MEMORY_BYTES", "30000000")];
    assert_eq!(memory(&Told::by(NODE, &[]), None::<u64>).memory_bytes, 128 << 20);
    assert_eq!(memory(&Told::by(&file, &[]), None).memory_bytes, 20_000_000);
    assert_eq!(memory(&Told::by(&file, &variable), None).memory_bytes, 30_000_000);
    let all = memory(&Told::by(&file, &variable), Some(40_000_000));
    assert_eq!(all.memory_bytes, 40_000_000);
    assert_eq!(all.flush_interval_s, 7, "a layer replaces only what it names");
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
fn unknown_keys_are_named_with_their_source_and_the_nearest_key() {
    let in_file = |text: &str| Told::by(&format!("{NODE}{text}"), &[]).refused::<NodeSettings>();
    assert_says(
        &in_file("[storage]\nmemory_byte = 1\n"),
        &["unknown key `storage.memory_byte` in DIR/rowhouse.toml; did you mean `storage.memory_bytes`?"],
    );
    assert_says(&in_file("[raft]\nlisten = 1\n"), &["`raft.listen`", "did you mean `node.listen`?"]);
    assert_says(&in_file("[storages]\nmemory_bytes = 1\n"), &["did you mean `storage.memory_bytes`?"]);
    assert_says(&in_file("[limits]\nrequest_max = 1\n"), &["did you mean `limits.requests_max`?"]);
    assert_says(&in_file("[storage]\nzebra = 1\n"), &["[storage] has `storage.memory_bytes`, "]);
    assert_says(
        &in_file("[zebra]\n"),
        &["unknown key `zebra`", "the sections are [node], [secret], [tls], [pkarr]"],
    );
    assert_says(&Told::by("storage = 1", &[]).refused::<NodeSettings>(), &["`storage`", "is a section"]);
    let in_environment = |name| Told::by(NODE, &[(name, "1")]).refused::<NodeSettings>();
    assert_says(
        &in_environment("ROWHOUSE_STORAGE__MEMORY_BYTE"),
        &["variable ROWHOUSE_STORAGE__MEMORY_BYTE; did you mean ROWHOUSE_STORAGE__MEMORY_BYTES?"],
    );
    assert_says(&in_environment("ROWHOUSE__NODE__NAME"), &["did you mean ROWHOUSE_NODE__NAME?"]);
    assert_says(&in_environment("ROWHOUSE_node__NAME"), &["did you mean ROWHOUSE_NODE__NAME?"]);
    assert_says(&in_environment("ROWHOUSE_X__Y"), &["unknown key `x.y`"]);
}

#[test]
fn wrong_types_and_ranges_say_what_was_found_where_and_what_is_expected() {
    let cases = [
        (
            "memory_bytes = \"lots\"",
            "`storage.memory_bytes` from DIR/rowhouse.toml is \"lots\"; it must be a whole",
        ),
        ("memory_bytes = 1", "is 1; it must be a whole number of bytes from 16777216 to 1125899906842624."),
        ("memory_bytes = -1", "is -1; it must be"),
        ("memory_bytes = 2e9", "is 2000000000.0; it must be"),
        ("memory_bytes = true", "is true; it must be"),
        ("memory_bytes = [1]", "is [1]; it must be"),
        ("memory_bytes = { a = 1 }", "is a table; it must be"),
        ("flush_interval_s = 0", "is 0; it must be a whole number of seconds from 1 to 600."),
    ];
    for (line, part) in cases {
        let told = Told::by(&format!("{NODE}[storage]\n{line}\n"), &[]);
        assert_says(&told.refused::<NodeSettings>(), &[part]);
    }
    for (name, value, part) in [
        ("ROWHOUSE_NODE__LISTEN", "nowhere", "is \"nowhere\"; it must be an IP address and port, such as"),
        (
            "ROWHOUSE_NODE__SEEDS",
            "a:1,b",
            "is [\"a:1\", \"b\"]; it must be a list of up to 32 values, each host:port",
        ),
        ("ROWHOUSE_RAFT__HEARTBEAT_MS", "fast", "is \"fast\"; it must be a whole number of milliseconds"),
        ("ROWHOUSE_PKARR__RELAYS", "relay.example", "each an address that begins with http://"),
        ("ROWHOUSE_NODE__DATA_DIR", "", "is \"\"; it must be the path"),
    ] {
        let message = Told::by(NODE, &[(name, value)]).refused::<NodeSettings>();
        assert_says(&message, &[name, part]);
    }
    let mut flags = Flags::default();
    flags.set("storage.memory_bytes", Some(1));
    let error = Told::by(NODE, &[]).load::<NodeSettings>(flags).unwrap_err();
    assert_says(&error.to_string(), &["`storage.memory_bytes` from --memory-mib is 1;"]);
}

#[test]
fn everything_wrong_is_told_at_once() {
    let told = Told::by("[node]\ndatadir = \"/data\"\n[raft]\nheartbeat_ms = 0\n", &[("ROWHOUSE_A__B", "")]);
    let message = told.refused::<NodeSettings>();
    assert_says(
        &message,
        &["`node.datadir`", "did you mean `node.data_dir`?", "`raft.heartbeat_ms`", "ROWHOUSE_A__B"],
    );
    assert_says(
        &message,
        &["`node.listen` is not set: give --listen, ROWHOUSE_NODE__LISTEN, or listen in [node] of the file"],
    );
}

#[test]
fn a_file_of_nothing_but_mistakes_makes_no_endless_message() {
    let file: String = (0..1000).map(|number| format!("zebra{number} = 1\n")).collect();
    let message = Told::by(&file, &[]).refused::<NodeSettings>();
    assert_says(&message, &["`zebra0`", "and 983 more."]);
    assert!(message.lines().count() < 30);
}

#[test]
fn rules_over_several_keys_are_kept() {
    let node = |raft: &str| Told::by(&format!("{NODE}[raft]\n{raft}\n"), &[]).refused::<NodeSettings>();
    assert_says(
        &node("heartbeat_ms = 300"),
        &["`raft.election_min_ms` is 400", "2 times `raft.heartbeat_ms`"],
    );
    assert_says(
        &node("election_max_ms = 400"),
        &["`raft.election_max_ms` is 400", "more than `raft.election_min_ms`"],
    );
    assert_says(
        &node("heartbeat_ms = 20\nelection_min_ms = 45\nelection_max_ms = 150"),
        &["`raft.election_max_ms`", "from 400 to 60000"],
    );
    let gateway = |admin: &str| Told::by(&format!("{GATEWAY}[admin]\n{admin}\n"), &[]);
    assert_says(
        &gateway("listen = \"127.0.0.1:9\"").refused::<GatewaySettings>(),
        &["127.0.0.1:9 has no password", "--admin-password-file", "ROWHOUSE_ADMIN__PASSWORD"],
    );
    let both = "password = \"a\"\npassword_file = \"b\"";
    assert_says(&gateway(both).refused::<GatewaySettings>(), &["both set; remove one"]);
    gateway("listen = \"127.0.0.1:9\"\npassword_file = \"/password\"").accepted::<GatewaySettings>();
    let none = GATEWAY.replace("[\"127.0.0.1:3\"]", "[]");
    assert_says(
        &Told::by(&none, &[]).refused::<GatewaySettings>(),
        &["`gateway.nodes` is not set: give --node,"],
    );
}

#[test]
fn beyond_loopback_certificates_are_demanded_and_half_of_them_are_refused() {
    const FILES: &str = "[tls]\ncert = \"c\"\nkey = \"k\"\nca = \"a\"\n";
    let next_step = ["rowhouse ctl certs create", "--tls-cert, --tls-key, --tls-ca", "loopback"];
    let node = NODE.replace("127.0.0.1:1", "0.0.0.0:1");
    let message = Told::by(&node, &[]).refused::<NodeSettings>();
    assert_says(&message, &["`node.listen` is 0.0.0.0:1"]);
    assert_says(&message, &next_step);
    Told::by(&format!("{node}{FILES}"), &[]).accepted::<NodeSettings>();
    for own in ["127.0.0.1:1", "127.0.0.1:2"] {
        let gateway = GATEWAY.replace(own, "192.0.2.1:7");
        let message = Told::by(&gateway, &[]).refused::<GatewaySettings>();
        assert_says(&message, &["`gateway.", "_listen` is 192.0.2.1:7"]);
        assert_says(&message, &next_step);
        Told::by(&format!("{gateway}{FILES}"), &[]).accepted::<GatewaySettings>();
    }
    let admin = format!("{GATEWAY}[admin]\nlisten = \"[::]:9\"\npassword = \"p\"\n");
    assert_says(&Told::by(&admin, &[]).refused::<GatewaySettings>(), &["`admin.listen` is [::]:9"]);
    let half = [("ROWHOUSE_TLS__CERT", "c")];
    assert_says(
        &Told::by(NODE, &half).refused::<NodeSettings>(),
        &["[tls] lacks `tls.key` and `tls.ca`: set all three"],
    );
    let wrong = Told::by(&format!("{NODE}[tls]\ncerts = \"c\"\n"), &[]).refused::<NodeSettings>();
    assert_says(&wrong, &["unknown key `tls.certs`", "did you mean `tls.cert`?"]);
}

#[test]
fn files_that_cannot_be_read_are_refused() {
    let told = Told::by("[node\n", &[]);
    let message = told.refused::<NodeSettings>();
    assert_says(&message, &["DIR/rowhouse.toml is not TOML at line 1, column "]);
    assert!(!message.contains("is not set"), "what such a file would have set is unknown: {message}");
    let absent = load::<NodeSettings>(Some(Path::new("/nowhere.toml")), [], Flags::default()).unwrap_err();
    assert_eq!(absent.exit_code(), EXIT_USAGE);
    assert_says(&absent.to_string(), &["/nowhere.toml", "--config"]);
    let long = Told::by(&"#".repeat((1 << 20) + 1), &[]);
    assert_says(&long.refused::<NodeSettings>(), &["longer than 1048576 bytes"]);
}

#[test]
fn secrets_are_in_no_message_and_no_print() {
    const SECRET: &str = "hunter2";
    let admin = |line: &str| Told::by(&format!("{GATEWAY}[admin]\n{line}\n"), &[]);
    for line in ["password = hunter2", "password = [\"hunter2\"]", "password = { hunter2 = 1 }"] {
        let message = admin(line).refused::<GatewaySettings>();
        assert!(!message.contains(SECRET), "{message}");
    }
    let shown = admin(&format!("password = \"{HIDDEN}\"")).refused::<GatewaySettings>();
    assert_says(&shown, &["`admin.password`", "is (hidden); it must be text, in quotes if in a file,"]);
    let loaded = admin("password = \"hunter2\"").load::<GatewaySettings>(Flags::default()).unwrap();
    assert_eq!(loaded.settings.admin.password.as_ref().unwrap().expose(), SECRET);
    let shown = format!("{:?}{}", loaded.settings, loaded.text().unwrap());
    assert!(!shown.contains(SECRET), "{shown}");
    assert_says(&shown, &["password = \"(hidden)\""]);
    let number = admin("password = 1234").refused::<GatewaySettings>();
    assert_says(&number, &["rowhouse.toml is not text; it must be text, in quotes"]);
    assert!(!number.contains("1234"), "{number}");
}

#[test]
fn the_printed_configuration_names_sources_and_reads_back() {
    let mut flags = Flags::default();
    flags.set("node.name", Some("n \"1\""));
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

fn fields(value: &Value) -> BTreeSet<String> {
    let inside = |(section, keys): (&String, &Value)| -> Vec<String> {
        keys.as_dict().unwrap().keys().map(|name| format!("{section}.{name}")).collect()
    };
    value.as_dict().unwrap().iter().flat_map(inside).collect()
}

fn assert_described<T: Settings>() {
    let defaults = values(&defaults::<T>().unwrap()).unwrap();
    let rows: BTreeSet<String> = T::KEYS.iter().map(|key| key.path.to_owned()).collect();
    assert_eq!(rows.len(), T::KEYS.len(), "a key is described twice");
    assert_eq!(fields(&defaults), rows, "the table and the fields differ");
    for key in T::KEYS {
        let value = defaults.find_ref(key.path).unwrap();
        let unset = matches!(value, Value::Empty(..));
        assert_eq!(
            unset,
            matches!(key.absent, Absent::Means(_)),
            "{} has a default or means something",
            key.path
        );
        assert!(unset || key.kind.accepts(value), "{}: its own default {value:?} is refused", key.path);
        assert_unit(key);
    }
    let sections: Vec<_> = T::KEYS.iter().map(Key::section).collect();
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

#[derive(Parser)]
struct Line<T: clap::Args> {
    #[command(flatten)]
    args: T,
}

/// A flag and a value for it.
fn given(key: &Key, flag: &str) -> String {
    match key.kind {
        Kind::Bool => flag.to_owned(),
        Kind::Number { .. } | Kind::Port => format!("{flag}=1"),
        Kind::Ip => format!("{flag}=127.0.0.1"),
        _ => format!("{flag}=127.0.0.1:1"),
    }
}

fn assert_flags<T: clap::Args>(keys: &[Key], flags: impl Fn(T) -> Flags) {
    let mut told = BTreeSet::from(["config", "print-config"]);
    for key in keys {
        let Some(flag) = key.flag else { continue };
        told.insert(flag.trim_start_matches("--"));
        let line = Line::<T>::try_parse_from(["rowhouse".into(), given(key, flag)]).unwrap();
        assert_eq!(flags(line.args).paths(), [key.path], "{flag}");
    }
    let command = T::augment_args(clap::Command::new("rowhouse"));
    let all: BTreeSet<_> = command.get_arguments().filter_map(clap::Arg::get_long).collect();
    assert_eq!(all, told, "flags and the table differ");
}

#[test]
fn every_flag_is_described_and_sets_its_key() {
    assert_flags(NodeSettings::KEYS, NodeArgs::flags);
    assert_flags(GatewaySettings::KEYS, GatewayArgs::flags);
}

#[test]
fn no_settings_struct_ignores_what_it_does_not_know() {
    for section in ["", "node", "secret", "tls", "pkarr", "storage", "raft", "limits", "probes"] {
        assert_strict::<NodeSettings>(section);
    }
    for section in ["", "gateway", "secret", "tls", "admin", "limits", "probes"] {
        assert_strict::<GatewaySettings>(section);
    }
}

fn assert_strict<T: Settings>(section: &str) {
    let mut all: Dict = values(&defaults::<T>().unwrap()).unwrap().into_dict().unwrap();
    match all.get_mut(section) {
        Some(Value::Dict(_, keys)) => keys.insert("zebra".into(), 1.into()),
        _ => all.insert("zebra".into(), 1.into()),
    };
    let error = Value::from(all).deserialize::<T>().map(|_| ()).unwrap_err();
    assert_says(&error.to_string(), &["zebra"]);
}
