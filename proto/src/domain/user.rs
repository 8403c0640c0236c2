//! A user's public key as it travels and is stored.

use crate::error::ErrorCode;

/// The 32 bytes of a user's public key. Comparing and looking up need no curve arithmetic, which would cost more
/// than the rest of a request. Whether they are a key is checked together with a signature under them.
pub type UserKey = [u8; 32];

/// The key in a message's field. Any length but 32 bytes is refused as `InvalidStorageOwner`.
pub fn parse(bytes: &[u8]) -> Result<UserKey, ErrorCode> {
    bytes.try_into().map_err(|_| ErrorCode::InvalidStorageOwner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_has_32_bytes() {
        assert_eq!(parse(&[7; 32]), Ok([7; 32]));
        for length in [0, 31, 33] {
            assert_eq!(parse(&vec![7; length]), Err(ErrorCode::InvalidStorageOwner));
        }
    }
}
