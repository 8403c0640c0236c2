//! The bytes a command writes, as text beside the tests. `ROWHOUSE_BLESS=1` rewrites the files.

use std::collections::BTreeSet;
use std::path::PathBuf;

use rowhouse_proto::hex;

use super::Writes;

/// Lists the golden files of each command of a log. A command without a line does not compile.
#[allow(unused_macros)]
macro_rules! golden_files {
    ($($command:ident => $($file:literal),+;)+) => {
        fn files_of(body: &Body) -> &'static [&'static str] {
            match body { $(Body::$command(_) => &[$($file),+],)+ }
        }

        const FILES: &[&str] = &[$($($file),+),+];
    };
}
#[allow(unused_imports)]
pub(crate) use golden_files;

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
    let file = path(folder).join(format!("{name}.txt"));
    if std::env::var_os("ROWHOUSE_BLESS").is_some() {
        std::fs::create_dir_all(file.parent().expect("a folder")).expect("writable");
        std::fs::write(&file, &text).expect("writable");
    }
    let golden = std::fs::read_to_string(&file).expect("a golden file for every command");
    assert_eq!(text, golden, "{name}");
}

/// Every listed file was compared, and the folder holds no other.
pub fn check_complete(folder: &str, listed: &[&str], compared: &[&str]) {
    let listed: BTreeSet<String> = listed.iter().map(|name| (*name).to_owned()).collect();
    assert_eq!(compared.iter().map(|name| (*name).to_owned()).collect::<BTreeSet<_>>(), listed);
    let there = std::fs::read_dir(path(folder)).expect("a folder").map(|file| {
        let name = file.expect("readable").file_name().into_string().expect("plain text");
        name.trim_end_matches(".txt").to_owned()
    });
    assert_eq!(there.collect::<BTreeSet<_>>(), listed);
}

fn path(folder: &str) -> PathBuf {
    // Asked for when it runs: clones may share a target folder.
    let crate_dir = std::env::var_os("CARGO_MANIFEST_DIR").expect("run by cargo");
    PathBuf::from(crate_dir).join("tests").join(folder)
}
