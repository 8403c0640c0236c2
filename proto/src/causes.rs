//! Texts of library errors. The outermost one often says only that something failed; the causes say why.

use std::error::Error;
use std::iter::successors;

/// Longest chain that is followed; a longer one is a loop.
const CAUSES_MAX: usize = 16;

/// The texts of an error and its causes, outermost first, separated by colons. A text said already is left out.
pub fn causes(error: &(dyn Error + 'static)) -> String {
    let mut said = String::new();
    for cause in successors(Some(error), |&error| error.source()).take(CAUSES_MAX) {
        let text = cause.to_string();
        if said.is_empty() {
            said = text;
        } else if !said.contains(&text) {
            said.push_str(": ");
            said.push_str(&text);
        }
    }
    said
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("{text}")]
    struct Outer {
        text: &'static str,
        source: std::io::Error,
    }

    #[test]
    fn every_cause_is_told_once() {
        let of = |text| causes(&Outer { text, source: std::io::Error::other("in use") });
        assert_eq!(of("transport error"), "transport error: in use");
        assert_eq!(of("cannot listen: in use"), "cannot listen: in use");
        assert_eq!(causes(&std::io::Error::other("alone")), "alone");
    }
}
