//! The end of a component's output, shown when it fails.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;

/// Enough to hold the lines below even when they are long.
const TAIL_BYTES: u64 = 16 * 1024;
/// These fit on a screen beside the rest.
const TAIL_LINES: usize = 25;

/// The last lines of a file, or nothing if it cannot be read.
pub fn tail(path: &Path) -> String {
    match read_end(path) {
        Ok(text) => {
            let lines: Vec<&str> = text.lines().collect();
            lines[lines.len().saturating_sub(TAIL_LINES)..].join("\n")
        }
        Err(error) => format!("({} cannot be read: {error})", path.display()),
    }
}

fn read_end(path: &Path) -> io::Result<String> {
    let mut file = File::open(path)?;
    let len = file.metadata()?.len();
    file.seek(SeekFrom::Start(len.saturating_sub(TAIL_BYTES)))?;
    let mut bytes = Vec::new();
    file.take(TAIL_BYTES).read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_lines_of_a_long_file() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("output.log");
        let lines: Vec<String> = (0..10_000).map(|number| format!("line {number}")).collect();
        std::fs::write(&path, lines.join("\n")).unwrap();
        let tail = tail(&path);
        assert!(tail.ends_with("line 9999"));
        assert_eq!(tail.lines().count(), TAIL_LINES);
        assert!(super::tail(&dir.path().join("absent")).contains("cannot be read"));
    }
}
