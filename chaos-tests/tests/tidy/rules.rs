//! Every rule that is cited has a heading in docs/rules, and every file, test and page that documents name exists.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use super::sources::{Source, root};

const FOLDER: &str = "docs/rules/";
const TESTED_BY: &str = "**Tested by**";
/// Folders besides docs/ whose files are named in documents.
const CODE: [&str; 9] =
    ["proto/", "raft/", "node/", "gateway/", "server/", "chaos-tests/", "helm/", "scripts/", "docs/"];

/// Citations of headings that no page has, in sources and in `.proto` files.
pub fn broken_citations(sources: &[Source]) -> Vec<String> {
    let mut texts: Vec<(String, String)> =
        sources.iter().map(|source| (source.path.clone(), source.text.clone())).collect();
    texts.extend(files(&root().join("proto/proto"), "proto"));
    let pages = pages();
    texts.iter().flat_map(|(path, text)| broken_in(path, text, &pages)).collect()
}

fn broken_in(path: &str, text: &str, pages: &[(String, String)]) -> Vec<String> {
    let broken = citations(text).into_iter().filter(|(page, heading)| {
        let Some((_, text)) = pages.iter().find(|(path, _)| path.ends_with(&format!("/{page}"))) else {
            return true;
        };
        heading.as_ref().is_some_and(|heading| !headings(text).contains(heading))
    });
    let told = |(page, heading): (String, Option<String>)| {
        format!("{path} cites {FOLDER}{page}#{}", heading.unwrap_or_default())
    };
    broken.map(told).collect()
}

/// Tests and planted bugs that a page of rules names and that do not exist.
pub fn broken_names(sources: &[Source]) -> Vec<String> {
    let tests = tests(sources);
    let bugs =
        fs::read_to_string(root().join("scripts/planted-bugs.sh")).expect("the script of planted bugs");
    let mut broken = Vec::new();
    for (path, text) in pages() {
        for after in text.split(TESTED_BY).skip(1) {
            let paragraph = after.split("\n\n").next().unwrap_or_default();
            let exists = |name: &String| {
                is_path(name) || if name.contains('-') { bugs.contains(name) } else { tests.contains(name) }
            };
            let missing = quoted(paragraph).into_iter().filter(|name| !exists(name));
            broken.extend(missing.map(|name| format!("{path} names the test {name}")));
        }
    }
    broken
}

/// Files and pages that documents name or link to and that do not exist. Decisions are left out: they tell of their
/// day.
pub fn broken_paths() -> Vec<String> {
    let folders = ["", "docs", FOLDER, "docs/how-to", "chaos-tests"];
    let documents = folders.iter().flat_map(|folder| files(&root().join(folder), "md"));
    let mut broken = Vec::new();
    for (path, text) in documents.filter(|(path, _)| path != "CHANGELOG.md") {
        let folder = Path::new(&path).parent().map(Path::to_path_buf).unwrap_or_default();
        let without_heading = |name: String| PathBuf::from(name.split('#').next().unwrap_or_default());
        let named = quoted(&text).into_iter().filter(|name| is_path(name)).map(without_heading);
        let linked = links(&text).into_iter().map(|link| folder.join(link));
        let missing = named.chain(linked).filter(|name| !root().join(name).exists());
        broken.extend(missing.map(|name| format!("{path} names {}", name.display())));
    }
    broken
}

/// A file or folder of the repository, and not a pattern of many or a new one.
fn is_path(name: &str) -> bool {
    CODE.iter().any(|folder| name.starts_with(folder))
        // A test in a file: tidy/shown.rs looks for it.
        && !name.contains("::")
        && !name.contains(['<', '*', '{', ' ', '…'])
        && !name.contains("NNN")
}

/// Targets of links into the repository, without their headings.
fn links(text: &str) -> Vec<String> {
    let targets = text.split("](").skip(1).filter_map(|after| after.split(')').next());
    let inner = targets.filter(|target| !target.contains("://") && !target.starts_with('#'));
    inner.map(|target| target.split('#').next().unwrap_or_default().to_owned()).collect()
}

/// Rules without a reason, a place or a test.
pub fn incomplete_rules() -> Vec<String> {
    const PARTS: [&str; 3] = ["**Why.**", "**Kept in**", TESTED_BY];
    const NO_RULES: [&str; 1] = ["Where Rowhouse differs"];
    let mut incomplete = Vec::new();
    for (path, text) in pages().iter().filter(|(path, _)| !path.ends_with("README.md")) {
        for section in text.split("\n## ").skip(1) {
            let title = section.lines().next().unwrap_or_default();
            for part in PARTS.iter().filter(|part| !section.contains(**part)) {
                if !NO_RULES.contains(&title) {
                    incomplete.push(format!("{path}: \"{title}\" lacks {part}"));
                }
            }
        }
    }
    incomplete
}

/// `docs/rules/PAGE.md#heading`, the heading where there is one.
fn citations(text: &str) -> Vec<(String, Option<String>)> {
    let mut found = Vec::new();
    for after in text.split(FOLDER).skip(1) {
        let Some((page, rest)) = after.split_once(".md") else { continue };
        if page.is_empty() || !page.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'-') {
            continue;
        }
        let heading = rest.strip_prefix('#').map(|rest| {
            let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '-').unwrap_or(rest.len());
            rest[..end].to_owned()
        });
        found.push((format!("{page}.md"), heading));
    }
    found
}

/// As the anchors that browsers of the repository make of headings.
fn headings(text: &str) -> BTreeSet<String> {
    let anchor = |line: &str| -> String {
        let kept = line.trim().to_lowercase();
        kept.chars()
            .filter(|c| c.is_alphanumeric() || " -_".contains(*c))
            .map(|c| if c == ' ' { '-' } else { c })
            .collect()
    };
    text.lines().filter_map(|line| line.strip_prefix("## ")).map(anchor).collect()
}

/// What stands in backticks on one line.
fn quoted(text: &str) -> Vec<String> {
    text.lines().flat_map(|line| line.split('`').skip(1).step_by(2).map(str::to_owned)).collect()
}

fn tests(sources: &[Source]) -> BTreeSet<String> {
    let named = |line: &str| {
        let line = line.trim().trim_start_matches("async ").strip_prefix("fn ")?;
        Some(line.split(['(', '<']).next()?.to_owned())
    };
    sources.iter().flat_map(|source| source.text.lines().filter_map(named).collect::<Vec<_>>()).collect()
}

fn pages() -> Vec<(String, String)> {
    files(&root().join(FOLDER), "md")
}

fn files(folder: &Path, extension: &str) -> Vec<(String, String)> {
    let entries = fs::read_dir(folder).expect("the folder is there");
    let paths: Vec<PathBuf> = entries.map(|entry| entry.expect("a readable folder").path()).collect();
    let of_kind = paths.iter().filter(|path| path.extension().is_some_and(|found| found == extension));
    let read = |path: &PathBuf| {
        let name = path.strip_prefix(root()).expect("inside the workspace").to_string_lossy().into_owned();
        (name, fs::read_to_string(path).expect("a readable file"))
    };
    of_kind.map(read).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_citation_needs_its_page_and_its_heading() {
        let page = ("docs/rules/time.md".to_owned(), "# Time\n\n## Ids fit a double\ntext\n".to_owned());
        let broken = |text: &str| broken_in("some/file.rs", text, std::slice::from_ref(&page));
        // Put together here, so that this file cites nothing itself.
        let cite = |rest: &str| format!("/// A comment ({FOLDER}{rest}).");
        assert!(broken(&cite("time.md#ids-fit-a-double")).is_empty());
        assert!(broken(&cite("time.md")).is_empty());
        assert_eq!(broken(&cite("time.md#ids-fit")).len(), 1);
        assert_eq!(broken(&cite("space.md#ids-fit-a-double")).len(), 1);
    }
}
