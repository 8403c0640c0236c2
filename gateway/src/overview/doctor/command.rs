//! The commands that findings name.

/// Writes commands that work: they go to a node that answers.
#[derive(Clone, Copy)]
pub struct Ctl<'a>(&'a str);

impl<'a> Ctl<'a> {
    /// Of a cluster with a node that answers at `entry`, host:port.
    pub fn new(entry: &'a str) -> Self {
        Self(entry)
    }

    /// `rowhouse ctl` with these words.
    pub fn run(self, words: &str) -> String {
        format!("rowhouse ctl {words} --node {}", self.0)
    }

    /// The address of a node that answers.
    pub fn entry(&self) -> &str {
        self.0
    }
}
