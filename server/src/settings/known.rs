//! Tells a process's own keys from those of the other process, which it ignores, and from mistakes.

use rowhouse_proto::settings::Key;

/// A table for each section.
pub type Tables = &'static [&'static [Key]];

/// Less alike than this is no misspelling.
const SIMILARITY_MIN: f64 = 0.6;
/// A key of the right name in the wrong section is likely, one of a similar path more so.
const NAME_ALONE: f64 = 0.9;

/// Whose key a name is.
pub enum Owner {
    /// A key of this process.
    Us(&'static Key),
    /// A file and an environment may serve both processes.
    TheOther,
    /// No process has such a key.
    Nobody,
}

/// The keys of a process, and those of the other one.
#[derive(Clone, Copy)]
pub struct Known {
    own: Tables,
    others: Tables,
}

impl Known {
    /// The tables of the process that asks, and those of the other one.
    pub fn new(own: Tables, others: Tables) -> Self {
        Self { own, others }
    }

    fn own(self) -> impl Iterator<Item = &'static Key> {
        self.own.iter().copied().flatten()
    }

    fn all(self) -> impl Iterator<Item = &'static Key> {
        self.own().chain(self.others.iter().copied().flatten())
    }

    /// Who has the key for which `is_it` holds.
    pub fn owner(self, is_it: impl Fn(&Key) -> bool) -> Owner {
        match (self.own().find(|key| is_it(key)), self.all().any(&is_it)) {
            (Some(key), _) => Owner::Us(key),
            (None, true) => Owner::TheOther,
            (None, false) => Owner::Nobody,
        }
    }

    /// Whether any process has a section of this name.
    pub fn is_section(self, name: &str) -> bool {
        self.all().any(|key| key.section() == name)
    }

    /// The end of a sentence about an unknown key.
    pub fn advice(self, path: &str, show: impl Fn(&Key) -> String) -> String {
        if let Some(key) = self.nearest(path) {
            return format!("did you mean {}?", show(key));
        }
        let section = path.split_once('.').map_or(path, |(section, _)| section);
        let keys: Vec<_> = self.own().filter(|key| key.section() == section).map(&show).collect();
        if !keys.is_empty() {
            return format!("[{section}] has {}.", keys.join(", "));
        }
        let mut sections: Vec<_> = self.own().map(|key| format!("[{}]", key.section())).collect();
        sections.dedup();
        format!("the sections are {}.", sections.join(", "))
    }

    /// The most similar key; of equals the first, so that a process's own keys come before the other's.
    fn nearest(self, path: &str) -> Option<&'static Key> {
        let mut best = None;
        let mut best_score = SIMILARITY_MIN;
        for key in self.all() {
            let score = similarity(path, key);
            if score > best_score {
                (best, best_score) = (Some(key), score);
            }
        }
        best
    }
}

fn similarity(path: &str, key: &Key) -> f64 {
    let name = path.rsplit_once('.').map_or(path, |(_, name)| name);
    let alike = strsim::normalized_damerau_levenshtein;
    alike(path, key.path).max(NAME_ALONE * alike(name, key.name()))
}
