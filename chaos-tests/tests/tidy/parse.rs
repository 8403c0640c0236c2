//! What a source file imports, read as words: its child modules, its `use` declarations, the paths in its code.

use std::collections::BTreeSet;

use super::sources::Source;

/// One name that a `use` declaration brings into a file.
#[derive(Debug, PartialEq, Eq)]
pub struct Use {
    /// From the first word to the thing; without a last `self`.
    pub path: Vec<String>,
    /// What the file calls it; `*` for all that the path holds.
    pub name: String,
    /// `pub` in any form: a re-export.
    pub public: bool,
}

/// A file's production code.
#[derive(Debug, Default)]
pub struct Parsed {
    /// Names of `mod name;` declarations.
    pub children: Vec<String>,
    pub uses: Vec<Use>,
    /// Paths of two words or more outside of `use` declarations, without what follows `<` or `(`.
    pub paths: Vec<Vec<String>>,
    /// Every word outside of `use` and `mod` declarations.
    pub words: BTreeSet<String>,
}

impl Parsed {
    pub fn of(source: &Source) -> Self {
        let lines: Vec<&str> = source.production().into_iter().map(|(_, line)| line).collect();
        let tokens = tokens(&lines.join("\n"));
        let mut parsed = Self::default();
        let mut at = 0;
        while at < tokens.len() {
            at = parsed.take(&tokens, at);
        }
        parsed
    }

    /// Takes what begins at a token. Returns where the next begins.
    fn take(&mut self, tokens: &[String], at: usize) -> usize {
        let is = |offset: usize, text: &str| tokens.get(at + offset).is_some_and(|token| token == text);
        // `use<'a>` is the bound of a type.
        if is(0, "use") && !is(1, "<") {
            // Before it stand `pub`, or the bracket of `pub(crate)`.
            let public = at > 0 && matches!(tokens[at - 1].as_str(), "pub" | ")");
            return self.take_use(tokens, at + 1, &[], public);
        }
        if is(0, "mod") && is(2, ";") {
            self.children.push(tokens[at + 1].clone());
            return at + 3;
        }
        let mut path = Vec::new();
        let mut end = at;
        while let Some(word) = tokens.get(end).filter(|token| is_word(token)) {
            path.push(word.clone());
            let goes_on = tokens.get(end + 1).is_some_and(|token| token == "::");
            end += if goes_on { 2 } else { 1 };
            if !goes_on {
                break;
            }
        }
        self.words.extend(path.first().cloned());
        if path.len() > 1 {
            self.paths.push(path);
        }
        end.max(at + 1)
    }

    /// Takes one branch of a `use` tree below `prefix`. Returns where it ends.
    fn take_use(&mut self, tokens: &[String], mut at: usize, prefix: &[String], public: bool) -> usize {
        let text = |at: usize| tokens.get(at).map_or(";", String::as_str);
        let mut path = prefix.to_vec();
        loop {
            match text(at) {
                "{" => {
                    at += 1;
                    while !matches!(text(at), "}" | ";") {
                        at = if text(at) == "," { at + 1 } else { self.take_use(tokens, at, &path, public) };
                    }
                    return at + 1;
                }
                // A path of another crate may begin so.
                "::" => at += 1,
                ";" | "," | "}" => break,
                "as" => {
                    self.add_use(path, text(at + 1).to_owned(), public);
                    return at + 2;
                }
                word => {
                    path.push(word.to_owned());
                    at += 1;
                }
            }
        }
        let name = path.iter().rev().find(|word| *word != "self").cloned().unwrap_or_default();
        self.add_use(path, name, public);
        at
    }

    fn add_use(&mut self, mut path: Vec<String>, name: String, public: bool) {
        if path.len() > 1 && path.last().is_some_and(|word| word == "self" || word == "*") {
            path.pop();
        }
        self.uses.push(Use { path, name, public });
    }
}

fn is_word(token: &str) -> bool {
    token.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_')
}

/// Words, `::`, and every other character that is no space.
fn tokens(code: &str) -> Vec<String> {
    let mut tokens: Vec<String> = Vec::new();
    let mut rest = code.trim_start();
    while let Some(first) = rest.chars().next() {
        let inside = |char: char| char.is_ascii_alphanumeric() || char == '_';
        let length = if inside(first) {
            rest.find(|char| !inside(char)).unwrap_or(rest.len())
        } else if rest.starts_with("::") {
            2
        } else {
            first.len_utf8()
        };
        tokens.push(rest[..length].to_owned());
        rest = rest[length..].trim_start();
    }
    tokens
}

#[test]
fn uses_are_taken_apart_and_other_words_kept() {
    let text = "pub mod a;\nmod b;\nuse crate::x::{self, y::{Y, Z as W}, *};\npub(crate) use a::A;\n\
                fn f() -> a::A { super::g::<T>(); W::new() }\n";
    let parsed = Parsed::of(&Source { path: "x/src/lib.rs".into(), text: text.into() });
    let uses: Vec<(String, &str, bool)> =
        parsed.uses.iter().map(|import| (import.path.join("::"), &*import.name, import.public)).collect();
    let expected = [
        ("crate::x", "x", false),
        ("crate::x::y::Y", "Y", false),
        ("crate::x::y::Z", "W", false),
        ("crate::x", "*", false),
        ("a::A", "A", true),
    ];
    assert_eq!(uses, expected.map(|(path, name, public)| (path.to_owned(), name, public)));
    assert_eq!(parsed.children, ["a", "b"]);
    let paths: Vec<String> = parsed.paths.iter().map(|path| path.join("::")).collect();
    assert_eq!(paths, ["a::A", "super::g", "W::new"]);
    assert!(parsed.words.contains("W") && !parsed.words.contains("Y"));
}
