//! Bytes that lie in several places of memory, one after the other.

use std::collections::{VecDeque, vec_deque};

use bytes::{Buf, Bytes, BytesMut};

/// After this many pieces they are copied into one: a sender of tiny pieces must not make the list larger than its
/// bytes.
const LOOSE_MAX: usize = 256;

/// A run of bytes in several pieces of memory. Taking from the front copies nothing.
#[derive(Clone, Debug, Default)]
pub struct Pieces {
    /// No piece is empty.
    pieces: VecDeque<Bytes>,
    /// Bytes of all pieces.
    length: usize,
    /// How many of the last pieces were pushed one by one since some were copied into one.
    loose: usize,
}

impl Pieces {
    /// Bytes of all pieces.
    pub fn len(&self) -> usize {
        self.length
    }

    /// Whether there is no byte.
    pub fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// The pieces in order; none is empty.
    pub fn iter(&self) -> vec_deque::Iter<'_, Bytes> {
        self.pieces.iter()
    }

    /// Appends bytes. An empty piece is left out.
    pub fn push(&mut self, piece: Bytes) {
        if piece.is_empty() {
            return;
        }
        self.length += piece.len();
        self.pieces.push_back(piece);
        self.loose += 1;
        if self.loose == LOOSE_MAX {
            let mut glued = BytesMut::new();
            let first = self.pieces.len() - LOOSE_MAX;
            glued.extend(self.pieces.drain(first..));
            self.pieces.push_back(glued.freeze());
            self.loose = 0;
        }
    }

    /// Takes the first `length` bytes, or all if there are fewer.
    pub fn split_to(&mut self, length: usize) -> Self {
        let mut taken = Self::default();
        let mut left = length.min(self.length);
        while let Some(front) = self.pieces.front_mut().filter(|_| left > 0) {
            let piece = front.split_to(left.min(front.len()));
            left -= piece.len();
            taken.length += piece.len();
            taken.pieces.push_back(piece);
            self.drop_front_if_empty();
        }
        self.length -= taken.length;
        taken
    }

    fn drop_front_if_empty(&mut self) {
        if self.pieces.front().is_some_and(Bytes::is_empty) {
            self.pieces.pop_front();
            self.loose = self.loose.min(self.pieces.len());
        }
    }
}

impl Buf for Pieces {
    fn remaining(&self) -> usize {
        self.length
    }

    fn chunk(&self) -> &[u8] {
        self.pieces.front().map_or(&[], |piece| piece)
    }

    fn advance(&mut self, mut count: usize) {
        assert!(count <= self.length, "no more bytes are taken than there are");
        self.length -= count;
        while let Some(front) = self.pieces.front_mut().filter(|_| count > 0) {
            let step = count.min(front.len());
            front.advance(step);
            count -= step;
            self.drop_front_if_empty();
        }
    }
}

impl From<Bytes> for Pieces {
    fn from(piece: Bytes) -> Self {
        let mut pieces = Self::default();
        pieces.push(piece);
        pieces
    }
}

impl IntoIterator for Pieces {
    type Item = Bytes;
    type IntoIter = vec_deque::IntoIter<Bytes>;

    fn into_iter(self) -> Self::IntoIter {
        self.pieces.into_iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_dribble_makes_a_short_list() {
        let body: Vec<u8> = (0..200_000).map(|at| (at % 251) as u8).collect();
        let mut pieces = Pieces::default();
        for at in 0..body.len() {
            pieces.push(Bytes::copy_from_slice(&body[at..=at]));
        }
        assert!(pieces.iter().len() < body.len() / LOOSE_MAX + LOOSE_MAX);
        assert_eq!(pieces.into_iter().flatten().collect::<Vec<_>>(), body);
    }

    #[test]
    fn what_was_taken_no_longer_counts_as_loose() {
        let mut pieces = Pieces::default();
        for _ in 0..4 * LOOSE_MAX {
            let piece = Bytes::from(vec![7; 100]);
            let at = piece.as_ptr();
            pieces.push(piece);
            let taken = pieces.split_to(100);
            assert_eq!((taken.len(), taken.chunk().as_ptr()), (100, at), "never copied");
        }
        assert!(pieces.is_empty());
        assert_eq!(pieces.split_to(1).len(), 0);
    }
}
