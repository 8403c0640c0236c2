//! A range of format versions, as one program understands them.

use std::fmt;

/// All versions from `min` to `max`, both included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VersionRange {
    /// The oldest version.
    pub min: u32,
    /// The newest version.
    pub max: u32,
}

impl VersionRange {
    /// Whether this version is one of the range.
    pub fn contains(self, version: u32) -> bool {
        (self.min..=self.max).contains(&version)
    }
}

/// `2`, or `2 to 4`.
impl fmt::Display for VersionRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.min == self.max {
            write!(f, "{}", self.max)
        } else {
            write!(f, "{} to {}", self.min, self.max)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_holds_its_ends_and_reads_well() {
        let range = VersionRange { min: 2, max: 4 };
        assert_eq!((1..=5).filter(|version| range.contains(*version)).collect::<Vec<_>>(), [2, 3, 4]);
        assert_eq!(
            (range.to_string(), VersionRange { min: 3, max: 3 }.to_string()),
            ("2 to 4".into(), "3".into())
        );
    }
}
