//! docs/operations/metrics.md lists every instrument of the program, and none that is not there.

use std::collections::BTreeSet;
use std::fs;

use super::sources::{Source, root};

const PAGE: &str = "docs/operations/metrics.md";
/// What stands before the name of an instrument in the code. The name follows as a literal.
const MAKERS: [&str; 6] = ["counter(", "counter_by(", "gauge(", "gauge_by(", "histogram(", "Durations::new("];
/// An argument that may stand before the name.
const METERS: [&str; 2] = ["&meter,", "&global::meter("];

/// Instruments that the page lacks, and rows of instruments that do not exist.
pub fn differences(sources: &[Source]) -> Vec<String> {
    let text = fs::read_to_string(root().join(PAGE)).unwrap_or_default();
    let (made, told) = (made(sources), told(&text));
    assert!(made.len() > 40, "found few instruments: {made:?}");
    let lacking = made.difference(&told).map(|name| format!("{PAGE} lacks {name}"));
    let stale = told.difference(&made).map(|name| format!("{PAGE} lists {name}, which no code makes"));
    lacking.chain(stale).collect()
}

fn made(sources: &[Source]) -> BTreeSet<String> {
    let ours = sources.iter().filter(|source| !source.path.starts_with("chaos-tests/"));
    let code = ours
        .map(|source| source.production().into_iter().map(|(_, line)| line).collect::<Vec<_>>().join("\n"));
    code.flat_map(|code| names(&code)).collect()
}

fn names(code: &str) -> Vec<String> {
    let after = MAKERS.iter().flat_map(|maker| code.split(maker).skip(1));
    after.filter_map(name).filter(|name| name.contains(['.', '_'])).collect()
}

/// The literal at the beginning, behind a meter if there is one.
fn name(rest: &str) -> Option<String> {
    let mut rest = rest.trim_start();
    for meter in METERS {
        if let Some(behind) = rest.strip_prefix(meter) {
            rest =
                behind.split_once("),").filter(|_| meter.ends_with('(')).map_or(behind, |(_, behind)| behind);
        }
    }
    let name = rest.trim_start().strip_prefix('"')?.split('"').next()?;
    name.chars().all(|char| char.is_ascii_lowercase() || ['.', '_'].contains(&char)).then(|| name.to_owned())
}

/// The second column of the page's tables: names of instruments.
fn told(page: &str) -> BTreeSet<String> {
    let rows = page.lines().filter(|line| line.starts_with("| `"));
    let second = rows.filter_map(|row| row.split('|').nth(2));
    second.filter_map(|cell| cell.trim().strip_prefix('`')?.strip_suffix('`')).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_from_code_and_page() {
        let code = "meter\n.u64_counter(\"a.b\")\nwatched.gauge(\n  \"c.d\", \"s\"\nwatched.gauge_by(\"e_f\", \"x\"\n\
                    Durations::new(\n &meter,\n \"g.h\"\nDurations::new(&global::meter(\"m.n\"), \"i.j\"\ncounter(name)";
        let mut found = names(code);
        found.sort();
        assert_eq!(found, ["a.b", "c.d", "e_f", "g.h", "i.j"]);
        assert_eq!(
            told("| name | x |\n| `p` | `a.b` | s |\n| `q` | `c` |"),
            ["a.b", "c"].map(str::to_owned).into()
        );
    }
}
