//! Tests that docs/compatibility.md names are there: `file::name`, a function or, with spaces in it, a case of a table.

use std::fs;

use super::sources::root;

const PAGE: &str = "docs/compatibility.md";
/// Files that the page names without their folder.
const SHORT: &str = "conformance_http/";
const FOLDER: &str = "chaos-tests/tests/";
const PARTING: &str = "::";

/// Tests that the page names and that do not exist.
pub fn missing() -> Vec<String> {
    let text = fs::read_to_string(root().join(PAGE)).expect("the page of compatibility");
    let read = |path: &str| fs::read_to_string(root().join(path)).ok();
    let mut missing = missing_in(&text, read);
    if named(&text).is_empty() {
        missing.push("no test at all".to_owned());
    }
    missing
}

fn missing_in(text: &str, read: impl Fn(&str) -> Option<String>) -> Vec<String> {
    let is_missing = |(path, name): &(String, String)| !read(path).is_some_and(|file| has(&file, name));
    let told = |(path, name): (String, String)| format!("{PAGE} names {path}{PARTING}{name}");
    named(text).into_iter().filter(is_missing).map(told).collect()
}

/// File and name of each test.
fn named(text: &str) -> Vec<(String, String)> {
    let spans = text.lines().flat_map(|line| line.split('`').skip(1).step_by(2));
    let tests = spans.filter_map(|span| span.split_once(PARTING)).filter(|(path, _)| path.ends_with(".rs"));
    let whole =
        |path: &str| if path.starts_with(SHORT) { format!("{FOLDER}{path}") } else { path.to_owned() };
    tests.map(|(path, name)| (whole(path), name.to_owned())).collect()
}

fn has(file: &str, name: &str) -> bool {
    let is_function = |line: &str| {
        let line = line.trim_start().trim_start_matches("pub ").trim_start_matches("async ");
        line.strip_prefix("fn ").is_some_and(|rest| rest.split(['(', '<']).next() == Some(name))
    };
    // A long case stands on lines of its own.
    let case = format!("\"{name}\",");
    file.lines().any(is_function)
        || file.contains(&format!("case({case}"))
        || file.lines().any(|line| line.trim() == case)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_test_is_a_function_or_a_case() {
        let file = "async fn a_flow(world: &World) {\n  case(\"a case\", \"GET /\", 200),\n case(\n  \"a long case\",\n";
        let missing =
            |name: &str| missing_in(&format!("| rule | `some/file.rs::{name}` |"), |_| Some(file.to_owned()));
        for there in ["a_flow", "a case", "a long case"] {
            assert!(missing(there).is_empty(), "{there}");
        }
        for gone in ["a_flo", "a", "GET /", "a_case"] {
            assert_eq!(missing(gone), [format!("{PAGE} names some/file.rs::{gone}")]);
        }
        assert_eq!(
            missing_in("`conformance_http/x.rs::y`", |path| (path
                != "chaos-tests/tests/conformance_http/x.rs")
                .then(|| "fn y()".into()))
            .len(),
            1
        );
    }
}
