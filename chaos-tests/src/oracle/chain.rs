//! The oracle of read-modify-write: versions of one file, each written by who had read the one before.
//!
//! Each link is unique and names the link it was written after. If conditions and locks hold, the events of the file are
//! one chain: nothing is written over a link that its writer has not seen. That is what a lost update would be.

use std::collections::{HashMap, HashSet};

use super::Violation;

/// A number that one attempt alone has; 0 is before the first.
pub type Link = u64;

/// How an attempt to write a link ended, as far as its client knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// 201: it stands in the chain.
    Done,
    /// 412 or 423: it must not.
    Refused,
    /// It may.
    Unknown,
}

/// One attempt to write a link after another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Attempt {
    pub link: Link,
    pub after: Link,
    pub fate: Fate,
}

/// Whether the links that were written, in the order of their events, are a chain of these attempts.
pub fn check_chain(name: &str, attempts: &[Attempt], written: &[Link]) -> Vec<Violation> {
    let known: HashMap<Link, &Attempt> = attempts.iter().map(|attempt| (attempt.link, attempt)).collect();
    let mut violations = Vec::new();
    let mut find =
        |what: String| violations.push(Violation { oracle: "chain", what: format!("{name}: {what}") });
    let (mut last, mut seen) = (0, HashSet::new());
    for link in written {
        if !seen.insert(*link) {
            find(format!("{link} was written twice"));
        }
        match known.get(link) {
            None => find(format!("{link} was written by nobody")),
            Some(attempt) if attempt.fate == Fate::Refused => {
                find(format!("{link} was refused and is there"))
            }
            Some(attempt) if attempt.after != last => {
                find(format!("{link} came after {last}, and its writer had seen {}", attempt.after));
            }
            Some(_) => {}
        }
        last = *link;
    }
    let done = attempts.iter().filter(|attempt| attempt.fate == Fate::Done);
    for lost in done.filter(|attempt| !seen.contains(&attempt.link)) {
        find(format!("{} was acknowledged and is not there", lost.link));
    }
    violations
}

#[cfg(test)]
mod tests {
    use super::*;

    fn attempt(link: Link, after: Link, fate: Fate) -> Attempt {
        Attempt { link, after, fate }
    }

    #[test]
    fn a_chain_has_what_was_acknowledged_and_nothing_over_what_was_not_seen() {
        let attempts = [
            attempt(1, 0, Fate::Done),
            attempt(2, 1, Fate::Refused),
            attempt(3, 1, Fate::Unknown),
            attempt(4, 3, Fate::Done),
            attempt(5, 1, Fate::Unknown),
        ];
        assert_eq!(check_chain("x", &attempts, &[1, 3, 4]), vec![]);
        for (written, expected) in [
            (&[1, 4][..], "4 came after 1, and its writer had seen 3"),
            (&[1, 3, 4, 5], "5 came after 4, and its writer had seen 1"),
            (&[1, 3], "4 was acknowledged and is not there"),
            (&[1, 2], "2 was refused and is there"),
            (&[1, 1], "1 was written twice"),
            (&[9], "9 was written by nobody"),
        ] {
            let found = check_chain("x", &attempts, written);
            assert!(found.iter().any(|violation| violation.what == format!("x: {expected}")), "{found:?}");
        }
    }
}
