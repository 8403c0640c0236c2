//! Errors of libraries, which often say no more than that something failed: with all that their causes say.

use std::error::Error;
use std::iter::successors;

/// More are a loop.
const CAUSES_MAX: usize = 16;

/// The error and its causes, outermost first, without what was said already.
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
