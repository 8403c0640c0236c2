//! Bytes that hold their room in memory until the last who needs them has dropped them.

use bytes::Bytes;

struct Leased<L> {
    data: Bytes,
    _lease: L,
}

impl<L> AsRef<[u8]> for Leased<L> {
    fn as_ref(&self) -> &[u8] {
        &self.data
    }
}

/// Ties bytes to their room, without a copy: `lease` is dropped with the last clone or slice of them.
pub fn leased<L: Send + 'static>(data: Bytes, lease: L) -> Bytes {
    Bytes::from_owner(Leased { data, _lease: lease })
}
