//! The Rust files of the workspace, with tests and comments set apart from production code.

use std::fs;
use std::path::{Path, PathBuf};

/// Folders whose Rust files the rules speak of.
const CRATES: [&str; 7] = ["proto", "peer", "raft", "node", "gateway", "server", "chaos-tests"];
/// Deeper trees than this are a mistake (or a loop of links).
const DEPTH_MAX: usize = 12;

pub struct Source {
    /// From the workspace's root, with forward slashes.
    pub path: String,
    pub text: String,
}

/// Asked for when it runs: clones may share a target folder, and with it this program.
pub fn root() -> PathBuf {
    let manifest_dir = std::env::var_os("CARGO_MANIFEST_DIR").expect("run by cargo");
    Path::new(&manifest_dir).parent().expect("the workspace holds this crate").to_path_buf()
}

pub fn all() -> Vec<Source> {
    let mut sources = Vec::new();
    for name in CRATES {
        collect(&root().join(name), 0, &mut sources);
    }
    sources.sort_by(|left, right| left.path.cmp(&right.path));
    sources
}

fn collect(folder: &Path, depth: usize, sources: &mut Vec<Source>) {
    assert!(depth < DEPTH_MAX, "too deep: {}", folder.display());
    let Ok(entries) = fs::read_dir(folder) else { return };
    for entry in entries {
        let path = entry.expect("a readable folder").path();
        if path.is_dir() && !path.ends_with("target") {
            collect(&path, depth + 1, sources);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = fs::read_to_string(&path).expect("a readable source file");
            let path = path.strip_prefix(root()).expect("inside the workspace");
            sources.push(Source { path: path.to_string_lossy().replace('\\', "/"), text });
        }
    }
}

impl Source {
    pub fn lines(&self) -> usize {
        self.text.lines().count()
    }

    /// Only tests are compiled from it, or it is a test.
    pub fn is_test(&self) -> bool {
        let path = &self.path;
        path.contains("/tests/")
            || path.ends_with("/tests.rs")
            || path.contains("/benches/")
            || path.ends_with("_tests.rs")
    }

    /// Lines of production code with their numbers: no comments, nothing inside `#[cfg(test)]` items.
    pub fn production(&self) -> Vec<(usize, &str)> {
        if self.is_test() {
            return Vec::new();
        }
        let mut lines = Vec::new();
        let mut skipped: Option<Skipped> = None;
        for (number, line) in self.text.lines().enumerate() {
            let trimmed = line.trim_start();
            if let Some(skip) = &mut skipped {
                if skip.ends_with(trimmed) {
                    skipped = None;
                }
            } else if trimmed.starts_with("#[cfg(test)]") {
                skipped = Some(Skipped::default());
            } else if !trimmed.starts_with("//") {
                lines.push((number + 1, without_comment(line)));
            }
        }
        lines
    }

    /// `path:line` of production lines that contain the text, whatever its case.
    pub fn code_lines_with(&self, wanted: &str) -> Vec<String> {
        let found = self.production().into_iter().filter(|(_, line)| line.to_lowercase().contains(wanted));
        found.map(|(number, line)| format!("{}:{number}: {}", self.path, line.trim())).collect()
    }
}

/// An item under `#[cfg(test)]`: ends with its braces, or with a semicolon before any.
#[derive(Default)]
struct Skipped {
    depth: i64,
    opened: bool,
}

impl Skipped {
    fn ends_with(&mut self, line: &str) -> bool {
        let code = without_comment(line);
        let count = |wanted: char| code.chars().filter(|char| *char == wanted).count() as i64;
        self.opened |= code.contains('{');
        self.depth += count('{') - count('}');
        if self.opened { self.depth <= 0 } else { code.trim_end().ends_with(';') }
    }
}

/// Cuts a trailing comment; good enough for the code of this workspace (`//` in a string cuts too,
/// which only hides the rest of that line).
fn without_comment(line: &str) -> &str {
    line.find(" //").map_or(line, |at| &line[..at])
}

#[test]
fn tests_and_comments_are_set_apart() {
    let text = "//! x\nfn a() {} // todo!\n#[cfg(test)]\nmod tests {\n    fn b() {\n    }\n}\nfn c() {}\n#[cfg(test)]\nmod d;\nfn e() {}\n";
    let source = Source { path: "raft/src/a.rs".into(), text: text.into() };
    let kept: Vec<usize> = source.production().into_iter().map(|(number, _)| number).collect();
    assert_eq!(kept, [2, 8, 11]);
    assert!(source.code_lines_with("todo").is_empty());
    assert!(Source { path: "raft/src/a/tests.rs".into(), text: "fn a() {}".into() }.production().is_empty());
}
