//! What a command writes, as text beside the tests. `ROWHOUSE_BLESS=1` rewrites the files.

use std::fmt::Write as _;
use std::path::PathBuf;

use super::Writes;

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").expect("a string takes it");
        text
    })
}

/// Compares with `tests/FOLDER/NAME.txt`.
pub fn check(folder: &str, name: &str, command: &[u8], outcome: &[u8], writes: &Writes) {
    let mut text = format!("command {}\noutcome {}\n", hex(command), hex(outcome));
    for (key, value) in writes {
        let line = match value {
            Some(value) => format!("put {} {}\n", hex(key), hex(value)),
            None => format!("delete {}\n", hex(key)),
        };
        text.push_str(&line);
    }
    // Asked for when it runs: clones may share a target folder.
    let crate_dir = std::env::var_os("CARGO_MANIFEST_DIR").expect("run by cargo");
    let file = PathBuf::from(crate_dir).join("tests").join(folder).join(format!("{name}.txt"));
    if std::env::var_os("ROWHOUSE_BLESS").is_some() {
        std::fs::create_dir_all(file.parent().expect("a folder")).expect("writable");
        std::fs::write(&file, &text).expect("writable");
    }
    let golden = std::fs::read_to_string(&file).expect("a golden file for every command");
    assert_eq!(text, golden, "{name}");
}
