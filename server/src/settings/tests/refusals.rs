//! Refused settings, and the messages about them.

use std::path::Path;

use rowhouse_proto::settings::HIDDEN;

use super::{GATEWAY, NODE, Told, assert_says, flag};
use crate::error::EXIT_USAGE;
use crate::settings::layer::Layer;
use crate::settings::load::load;
use crate::settings::{GatewaySettings, NodeSettings};

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
    let flags = flag::<NodeSettings>("--memory-mib", 1);
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
fn files_that_cannot_be_read_are_refused() {
    let told = Told::by("[node\n", &[]);
    let message = told.refused::<NodeSettings>();
    assert_says(&message, &["DIR/rowhouse.toml is not TOML at line 1, column "]);
    assert!(!message.contains("is not set"), "what such a file would have set is unknown: {message}");
    let absent = load::<NodeSettings>(Some(Path::new("/nowhere.toml")), [], Layer::flags()).unwrap_err();
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
    let loaded = admin("password = \"hunter2\"").load::<GatewaySettings>(Layer::flags()).unwrap();
    assert_eq!(loaded.settings.admin.password.as_ref().unwrap().expose(), SECRET);
    let shown = format!("{:?}{}", loaded.settings, loaded.text().unwrap());
    assert!(!shown.contains(SECRET), "{shown}");
    assert_says(&shown, &["password = \"(hidden)\""]);
    let number = admin("password = 1234").refused::<GatewaySettings>();
    assert_says(&number, &["rowhouse.toml is not text; it must be text, in quotes"]);
    assert!(!number.contains("1234"), "{number}");
}
