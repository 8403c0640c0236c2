//! The shard that an operator names.

use std::fmt;
use std::str::FromStr;

use rowhouse_proto::META_GROUP;

/// A shard's number, or that of the meta group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ShardNumber(pub u32);

impl FromStr for ShardNumber {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "meta" {
            return Ok(Self(META_GROUP));
        }
        text.parse().map(Self).map_err(|_| "expected a shard's number, or `meta`".to_owned())
    }
}

impl fmt::Display for ShardNumber {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            META_GROUP => formatter.write_str("the meta group"),
            number => write!(formatter, "shard {number}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shard_is_a_number_or_the_meta_group() {
        assert_eq!("7".parse(), Ok(ShardNumber(7)));
        assert_eq!("meta".parse(), Ok(ShardNumber(META_GROUP)));
        for wrong in ["", "-1", "n1", "4294967296"] {
            assert!(wrong.parse::<ShardNumber>().is_err(), "{wrong}");
        }
        assert_eq!(ShardNumber(META_GROUP).to_string(), "the meta group");
    }
}
