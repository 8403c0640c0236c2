//! Cuts a body into chunks and hashes it, whatever the pieces it came in. Pure.

use bytes::{BufMut, Bytes, BytesMut};
use rowhouse_proto::CHUNK_BYTES;

use crate::content_type::DETECT_BYTES_MAX;

/// Collects pieces into chunks of `CHUNK_BYTES`, and hashes them.
#[derive(Default)]
pub struct Chunker {
    hasher: blake3::Hasher,
    open: BytesMut,
    opening: Bytes,
    length: u64,
}

/// Facts about a body, known once all of it was seen.
#[derive(Debug, PartialEq, Eq)]
pub struct Digest {
    pub length: u64,
    pub hash: [u8; 32],
    /// Its first bytes, enough to tell its type.
    pub opening: Bytes,
}

impl Chunker {
    /// Takes from `data` what the open chunk lacks, and returns it once it is full.
    pub fn push(&mut self, data: &mut Bytes) -> Option<Bytes> {
        self.open.reserve(CHUNK_BYTES - self.open.len());
        let part = data.split_to(data.len().min(CHUNK_BYTES - self.open.len()));
        self.hasher.update(&part);
        self.length += part.len() as u64;
        self.open.put(part);
        (self.open.len() == CHUNK_BYTES).then(|| self.cut())
    }

    /// The last chunk, shorter than the others; `None` if the body ended with a full one.
    pub fn rest(&mut self) -> Option<Bytes> {
        (!self.open.is_empty()).then(|| self.cut())
    }

    /// The body's length, hash and first bytes; call it after `rest`.
    pub fn digest(self) -> Digest {
        Digest { length: self.length, hash: *self.hasher.finalize().as_bytes(), opening: self.opening }
    }

    fn cut(&mut self) -> Bytes {
        let chunk = self.open.split().freeze();
        if self.opening.is_empty() {
            // A copy: a slice would keep the whole chunk in memory to the end.
            self.opening = Bytes::copy_from_slice(&chunk[..chunk.len().min(DETECT_BYTES_MAX)]);
        }
        chunk
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn cut(body: &[u8], sizes: &[usize]) -> (Vec<Bytes>, Digest) {
        let (mut chunker, mut chunks, mut rest) = (Chunker::default(), Vec::new(), body);
        let mut sizes = sizes.iter().cycle();
        while !rest.is_empty() {
            let size = sizes.next().map_or(rest.len(), |size| (*size).clamp(1, rest.len()));
            let mut piece = Bytes::copy_from_slice(&rest[..size]);
            rest = &rest[size..];
            while !piece.is_empty() {
                chunks.extend(chunker.push(&mut piece));
            }
        }
        chunks.extend(chunker.rest());
        (chunks, chunker.digest())
    }

    fn patterned(length: usize) -> Vec<u8> {
        (0..length).map(|index| u8::try_from((index * 7 + index / 251) % 256).expect("a byte")).collect()
    }

    #[test]
    fn chunks_are_full_but_for_the_last() {
        for (length, sizes) in [
            (0, vec![]),
            (1, vec![1]),
            (CHUNK_BYTES, vec![CHUNK_BYTES]),
            (CHUNK_BYTES + 1, vec![CHUNK_BYTES, 1]),
            (2 * CHUNK_BYTES, vec![CHUNK_BYTES, CHUNK_BYTES]),
        ] {
            let (chunks, digest) = cut(&patterned(length), &[]);
            assert_eq!(chunks.iter().map(Bytes::len).collect::<Vec<_>>(), sizes);
            assert_eq!(digest.length, length as u64);
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]

        #[test]
        fn any_pieces_give_the_same_chunks(
            length in 1..3 * CHUNK_BYTES,
            sizes in proptest::collection::vec(1..2 * CHUNK_BYTES, 1..8),
        ) {
            let body = patterned(length);
            let (chunks, digest) = cut(&body, &sizes);
            prop_assert_eq!(chunks.concat(), body.as_slice());
            prop_assert_eq!(chunks.len(), length.div_ceil(CHUNK_BYTES));
            prop_assert!(chunks.iter().rev().skip(1).all(|chunk| chunk.len() == CHUNK_BYTES));
            prop_assert_eq!(&digest, &cut(&body, &[]).1);
            prop_assert_eq!(digest.hash, *blake3::hash(&body).as_bytes());
            prop_assert_eq!(&digest.opening[..], &body[..length.min(DETECT_BYTES_MAX)]);
        }
    }
}
