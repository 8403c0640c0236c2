//! Entity tags of files: the padded base64 of the BLAKE3 hash, in quotes.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;

/// Length of a BLAKE3 hash.
const HASH_BYTES: usize = 32;

/// The entity tag of a file with this hash, with its quotes.
pub fn etag(hash: &[u8]) -> String {
    format!("\"{}\"", STANDARD.encode(hash))
}

/// The hash of the files that have this tag, given without its quotes; `None` if no file can have it.
pub fn hash_of(opaque: &str) -> Option<Bytes> {
    STANDARD.decode(opaque).ok().filter(|hash| hash.len() == HASH_BYTES).map(Bytes::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_round_trip_and_others_are_of_no_file() {
        let tag = etag(&[0xAB; 32]);
        assert_eq!(tag.len(), 46);
        assert_eq!(hash_of(tag.trim_matches('"')).as_deref(), Some(&[0xAB; 32][..]));
        for other in ["", "x", "YWJj", "not base64!", tag.as_str()] {
            assert_eq!(hash_of(other), None, "{other}");
        }
    }
}
