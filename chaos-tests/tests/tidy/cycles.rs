//! No two files of a crate import each other, directly or round about: then a file can be read after those it uses.
//!
//! The graph of a crate has an edge from each production file to each file it takes something from, by `use` or by
//! a path in the code (`crate::a::B`, `super::b`, `self::c`, a child or an imported module). Two rules make it honest:
//! - An edge leads to the file that defines the thing. A re-export (`pub use child::Thing`) is a signpost: the edge
//!   goes through it, and none begins at it, unless the file that re-exports the thing also uses it itself.
//! - `mod child;` is no import. A `mod.rs` that only lists and re-exports its children is in no cycle. One that holds
//!   items of its own is a file like any other: if a child takes them by `super::` while it uses that child, that is
//!   a cycle.
//!
//! Sources are read as words, without macros or types: methods make no edge, and a name means the module that the
//! file can see under it.

use std::collections::{BTreeMap, BTreeSet};

use super::parse::{Parsed, Use};
use super::sources::Source;

/// Cycles that stand: none. A change that cannot do without one for now says so here; the next one opens it.
const ALLOWED: [&[&str]; 0] = [];

/// Re-exports of re-exports; more are a loop.
const SIGNPOSTS_MAX: usize = 8;

type Path = Vec<String>;
pub type Edges = BTreeMap<String, BTreeSet<String>>;

/// Cycles that are not allowed, and allowed ones that are not there any more.
pub fn offences(sources: &[Source]) -> Vec<String> {
    let allowed = ALLOWED.map(|files| files.iter().map(|file| (*file).to_owned()).collect::<Vec<String>>());
    judge(&cycles(&edges(sources)), &allowed)
}

fn judge(found: &[Vec<String>], allowed: &[Vec<String>]) -> Vec<String> {
    let new = found.iter().filter(|files| !allowed.contains(files));
    let gone = allowed.iter().filter(|files| !found.contains(files));
    let new = new.map(|files| format!("these import each other: {}", files.join(", ")));
    new.chain(gone.map(|files| format!("not this cycle any more, change the list: {}", files.join(", "))))
        .collect()
}

/// The imports between the production files of each crate.
fn edges(sources: &[Source]) -> Edges {
    let mut edges = Edges::new();
    let roots = sources
        .iter()
        .filter(|source| source.path.ends_with("/src/lib.rs") || source.path.ends_with("/src/main.rs"));
    for root in roots {
        let modules = Modules::of(root, sources);
        for module in modules.0.keys() {
            edges.entry(modules.file(module).to_owned()).or_default().extend(modules.imports(module));
        }
    }
    edges
}

/// The modules of one library or program by their paths, each with its file: those that production code declares.
struct Modules<'a>(BTreeMap<Path, (&'a str, Parsed)>);

impl<'a> Modules<'a> {
    fn of(root: &'a Source, sources: &'a [Source]) -> Self {
        let mut modules = Self(BTreeMap::new());
        let mut waiting = vec![(Path::new(), root)];
        while let Some((path, source)) = waiting.pop() {
            let parsed = Parsed::of(source);
            let folder = folder_of_children(&source.path);
            for child in &parsed.children {
                let names = [format!("{folder}/{child}.rs"), format!("{folder}/{child}/mod.rs")];
                if let Some(found) = sources.iter().find(|source| names.contains(&source.path)) {
                    waiting.push((joined(&path, child), found));
                }
            }
            modules.0.insert(path, (&source.path, parsed));
        }
        modules
    }

    fn file(&self, module: &[String]) -> &'a str {
        self.0[module].0
    }

    /// The files that a module takes something from, but for its own.
    fn imports(&self, module: &[String]) -> BTreeSet<String> {
        let Parsed { uses, paths, words, .. } = &self.0[module].1;
        let mut files = BTreeSet::new();
        let mut modules_in_sight = BTreeMap::new();
        for import in uses {
            let Some((target, rest)) = self.resolve(&import.path, module, 0) else { continue };
            if rest.is_empty() {
                modules_in_sight.insert(&import.name, target.clone());
            }
            let is_signpost = import.public && !words.contains(&import.name);
            if !is_signpost {
                files.insert(self.file(&target).to_owned());
            }
        }
        for path in paths {
            let through_import = || {
                let seen = modules_in_sight.get(path.first()?)?;
                let whole: Path =
                    ["crate".to_owned()].iter().chain(seen).chain(&path[1..]).cloned().collect();
                self.resolve(&whole, module, 0)
            };
            if let Some((target, _)) = self.resolve(path, module, 0).or_else(through_import) {
                files.insert(self.file(&target).to_owned());
            }
        }
        files.remove(self.file(module));
        files
    }

    /// The module that defines what `path` names within `module`, and what is left of the path in it. `None` for
    /// what is not of this crate.
    fn resolve(&self, path: &[String], module: &[String], signposts: usize) -> Option<(Path, Path)> {
        let (mut at, mut rest) = self.begin(path, module)?;
        while let Some(next) = rest.first()
            && self.0.contains_key(&joined(&at, next))
        {
            at = joined(&at, next);
            rest.remove(0);
        }
        let leads_on =
            |import: &&Use| rest.first() == Some(&import.name) && (import.path != *path || at != *module);
        let signpost = self.0[&at].1.uses.iter().find(leads_on).filter(|_| signposts < SIGNPOSTS_MAX);
        let beyond = signpost.and_then(|import| {
            let whole: Path = import.path.iter().chain(&rest[1..]).cloned().collect();
            self.resolve(&whole, &at, signposts + 1)
        });
        beyond.or(Some((at, rest)))
    }

    /// Where a path begins, and what is left of it there.
    fn begin(&self, path: &[String], module: &[String]) -> Option<(Path, Path)> {
        let first = path.first()?;
        let supers = path.iter().take_while(|name| *name == "super").count();
        match first.as_str() {
            "crate" => Some((Path::new(), path[1..].to_vec())),
            "self" => Some((module.to_vec(), path[1..].to_vec())),
            "super" => Some((module[..module.len().checked_sub(supers)?].to_vec(), path[supers..].to_vec())),
            child => self.0.contains_key(&joined(module, child)).then(|| (module.to_vec(), path.to_vec())),
        }
    }
}

/// The folder in which a file's child modules lie.
fn folder_of_children(file: &str) -> &str {
    let owns_folder = ["/lib.rs", "/main.rs", "/mod.rs"].iter().find_map(|name| file.strip_suffix(name));
    owns_folder.unwrap_or_else(|| file.trim_end_matches(".rs"))
}

fn joined(path: &[String], name: &str) -> Path {
    path.iter().cloned().chain([name.to_owned()]).collect()
}

/// The sets of files of which each reaches each other, in order.
fn cycles(edges: &Edges) -> Vec<Vec<String>> {
    let reached: BTreeMap<&String, BTreeSet<&String>> =
        edges.keys().map(|file| (file, reachable(file, edges))).collect();
    let mut cycles = BTreeSet::new();
    for (file, others) in &reached {
        let together: Vec<String> = others
            .iter()
            .filter(|other| reached[**other].contains(*file))
            .map(|other| (*other).clone())
            .collect();
        if together.len() > 1 {
            cycles.insert(together);
        }
    }
    cycles.into_iter().collect()
}

/// The files that can be reached from one; itself only round about.
fn reachable<'a>(file: &'a String, edges: &'a Edges) -> BTreeSet<&'a String> {
    let mut reached = BTreeSet::new();
    let mut waiting = vec![file];
    while let Some(next) = waiting.pop() {
        waiting.extend(edges[next].iter().filter(|target| reached.insert(*target)));
    }
    reached
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cycles_of(files: &[(&str, &str)]) -> Vec<Vec<String>> {
        let source =
            |(path, text): &(&str, &str)| Source { path: (*path).to_owned(), text: (*text).to_owned() };
        cycles(&edges(&files.iter().map(source).collect::<Vec<_>>()))
    }

    #[test]
    fn files_that_use_each_other_round_about_are_a_cycle() {
        let found = cycles_of(&[
            ("x/src/lib.rs", "//! x\nmod a;\nmod b;\nmod c;\npub use a::A;\n"),
            ("x/src/a.rs", "use crate::b::{self, B as Other};\npub struct A(Other);\n"),
            ("x/src/b/mod.rs", "mod inner;\npub use inner::B;\n"),
            ("x/src/b/inner.rs", "pub struct B;\nfn f() { crate::c::g(); }\n"),
            ("x/src/c.rs", "use super::A;\npub fn g() -> A { todo() }\n"),
        ]);
        assert_eq!(found, [["x/src/a.rs", "x/src/b/inner.rs", "x/src/c.rs"].map(str::to_owned).to_vec()]);
    }

    #[test]
    fn a_mod_rs_with_items_of_its_own_is_a_file_like_any_other() {
        let listing = "mod child;\npub use child::Child;\n";
        let child = "use super::LIMIT;\npub struct Child;\n";
        let files = |module: &str| {
            let module = format!("{listing}pub const LIMIT: usize = 1;\n{module}");
            cycles_of(&[
                ("x/src/lib.rs", "mod m;\n"),
                ("x/src/m/mod.rs", &module),
                ("x/src/m/child.rs", child),
            ])
        };
        assert!(files("").is_empty(), "a signpost is no import");
        let together = [["x/src/m/child.rs", "x/src/m/mod.rs"].map(str::to_owned).to_vec()];
        assert_eq!(files("fn f(child: Child) {}\n"), together);
        assert_eq!(files("fn f() { child::g() }\n"), together);
        assert_eq!(files("fn f() { self::child::g() }\n"), together);
    }

    #[test]
    fn one_way_tests_comments_and_other_crates_are_no_cycle() {
        let found = cycles_of(&[
            ("x/src/main.rs", "mod a;\nmod b;\nfn main() { a::run() }\n"),
            ("x/src/a.rs", "use crate::b::B;\n#[cfg(test)]\nmod tests {\n    use super::*;\n}\n"),
            (
                "x/src/b.rs",
                "// crate::a::run\n#[cfg(test)]\nuse crate::a::run;\nuse b::a::A;\nuse std::fmt;\n",
            ),
            ("y/src/lib.rs", "mod a;\nmod b;\n"),
            ("y/src/a.rs", "use x::b::B;\n"),
            ("y/src/b.rs", "use crate::a::A;\n"),
        ]);
        assert!(found.is_empty(), "{found:?}");
    }

    #[test]
    fn a_listed_cycle_must_be_the_one_that_is_there() {
        let pair = |left: &str, right: &str| vec![left.to_owned(), right.to_owned()];
        assert!(judge(&[pair("a", "b")], &[pair("a", "b")]).is_empty());
        assert_eq!(judge(&[pair("a", "b")], &[]).len(), 1);
        assert_eq!(judge(&[], &[pair("a", "b")]).len(), 1);
        assert_eq!(judge(&[pair("a", "c")], &[pair("a", "b")]).len(), 2);
    }
}
