//! One key: its names, its flag, its meaning.

use super::Kind;

/// Every environment variable that may name a key begins so.
pub const PREFIX: &str = "ROWHOUSE_";
/// Parts the section from the key in a variable. A variable without it names no key.
pub const PARTING: &str = "__";

/// The description of one key: a row of a `section!` table.
#[derive(Clone, Copy, Debug)]
pub struct Key {
    /// `section.name`.
    pub path: &'static str,
    /// Which values are accepted.
    pub kind: Kind,
    /// The value when nobody sets the key.
    pub absent: Absent,
    /// The flag that sets the key, if one does.
    pub flag: Option<Flag>,
    /// Sentences for the reference page and for `--help`.
    pub meaning: &'static str,
}

/// The effect of a key that no file, variable or flag names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Absent {
    /// The process does not start. The default of the field is an example.
    Refused,
    /// The default of the field holds.
    Default,
    /// There is no value, and that means this.
    Means(&'static str),
}

/// A flag, and how its argument becomes the key's value.
#[derive(Clone, Copy, Debug)]
pub struct Flag {
    /// With its dashes.
    pub name: &'static str,
    /// The value that it gives the key.
    pub gives: Gives,
}

/// The value that a flag gives its key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gives {
    /// The flag's argument; `true` for a flag of a key that is true or false.
    Value,
    /// The flag's argument is a number of MiB, the key's a number of bytes.
    Mib,
    /// `false`; the flag has no argument.
    False,
}

impl Key {
    /// A key with a default and without a flag. `path` is `section.name`.
    pub const fn new(path: &'static str, kind: Kind, meaning: &'static str) -> Self {
        Self { path, kind, absent: Absent::Default, flag: None, meaning }
    }

    /// The process does not start without this key.
    pub const fn required(mut self) -> Self {
        self.absent = Absent::Refused;
        self
    }

    /// The key has no default; its absence means this.
    pub const fn unset(mut self, means: &'static str) -> Self {
        self.absent = Absent::Means(means);
        self
    }

    /// This flag sets the key.
    pub const fn flag(self, name: &'static str) -> Self {
        self.flagged(name, Gives::Value)
    }

    /// This flag sets the key, a number of bytes, and counts MiB.
    pub const fn flag_mib(self, name: &'static str) -> Self {
        self.flagged(name, Gives::Mib)
    }

    /// This flag sets the key to false.
    pub const fn flag_off(self, name: &'static str) -> Self {
        self.flagged(name, Gives::False)
    }

    const fn flagged(mut self, name: &'static str, gives: Gives) -> Self {
        self.flag = Some(Flag { name, gives });
        self
    }

    /// The part of the path before the dot.
    pub fn section(&self) -> &'static str {
        self.path.split_once('.').map_or("", |(section, _)| section)
    }

    /// The part of the path after the dot.
    pub fn name(&self) -> &'static str {
        self.path.split_once('.').map_or(self.path, |(_, name)| name)
    }

    /// The environment variable of this key.
    pub fn variable(&self) -> String {
        format!("{PREFIX}{}", self.path.replace('.', PARTING).to_uppercase())
    }
}
