//! The rules of the workspace that no compiler keeps: who depends on whom, which files use each other, how long
//! files grow, what production code never calls, which rules are cited. Reads files only.

#[path = "tidy/alerts.rs"]
mod alerts;
#[path = "tidy/calls.rs"]
mod calls;
#[path = "tidy/cycles.rs"]
mod cycles;
#[path = "tidy/layers.rs"]
mod layers;
#[path = "tidy/metrics.rs"]
mod metrics;
#[path = "tidy/parse.rs"]
mod parse;
#[path = "tidy/rules.rs"]
mod rules;
#[path = "tidy/shown.rs"]
mod shown;
#[path = "tidy/sources.rs"]
mod sources;

use sources::Source;

/// A file this long is asked to split.
const LINES_WARN: usize = 400;
/// A file this long fails.
const LINES_MAX: usize = 600;

/// Shows every offence at once.
fn assert_none(rule: &str, offences: &[String]) {
    assert!(offences.is_empty(), "{rule}:\n  {}", offences.join("\n  "));
}

#[test]
fn dependencies_point_one_way() {
    assert_none("a crate depends on one it must not know", &layers::forbidden_dependencies());
}

#[test]
fn the_wire_contracts_know_no_transport_and_no_storage() {
    assert_none("proto imports what it must not", &layers::forbidden_imports(&sources::all()));
}

#[test]
fn files_do_not_import_each_other() {
    assert_none("cycles between files", &cycles::offences(&sources::all()));
}

#[test]
fn files_stay_short() {
    let sources = sources::all();
    assert!(!sources.is_empty(), "found no source files");
    for source in sources.iter().filter(|source| source.lines() > LINES_WARN) {
        eprintln!("warning: {} has {} lines: split it", source.path, source.lines());
    }
    let long = sources.iter().filter(|source| source.lines() > LINES_MAX);
    let long: Vec<String> = long.map(|source| format!("{}: {} lines", source.path, source.lines())).collect();
    assert_none("files too long", &long);
}

#[test]
fn every_module_says_what_it_is_for() {
    // A `tests.rs` belongs to the module beside it, which says what is tested.
    let silent = |source: &&Source| {
        !source.text.trim_start().starts_with("//!") && !source.path.ends_with("/tests.rs")
    };
    let silent: Vec<String> =
        sources::all().iter().filter(silent).map(|source| source.path.clone()).collect();
    assert_none("modules without a leading //! text", &silent);
}

#[test]
fn no_forbidden_calls() {
    assert_none("forbidden calls", &calls::offences(&sources::all()));
}

#[test]
fn raft_knows_nothing_of_pubky() {
    let sources = sources::all();
    let raft = sources.iter().filter(|source| source.path.starts_with("raft/src/"));
    let offences: Vec<String> = raft.flat_map(|source| source.code_lines_with("pubky")).collect();
    assert_none("raft/ names Pubky", &offences);
}

#[test]
fn the_page_of_metrics_lists_every_instrument() {
    assert_none(
        "docs/operations/metrics.md is not what the code measures",
        &metrics::differences(&sources::all()),
    );
}

#[test]
fn alerts_read_what_is_measured_and_lead_to_runbooks() {
    assert_none("a rule of observability/alerts is not right", &alerts::offences());
}

#[test]
fn cited_rules_exist() {
    assert_none("a rule is cited that docs/rules does not have", &rules::broken_citations(&sources::all()));
}

#[test]
fn documents_name_what_is_there() {
    assert_none("a document names or links to what does not exist", &rules::broken_paths());
}

#[test]
fn compatibility_is_shown_by_tests_that_exist() {
    assert_none("docs/compatibility.md names a test that does not exist", &shown::missing());
}

#[test]
fn rules_say_why_where_and_by_which_test() {
    assert_none("docs/rules names what does not exist", &rules::broken_names(&sources::all()));
    assert_none("a rule is incomplete", &rules::incomplete_rules());
}
