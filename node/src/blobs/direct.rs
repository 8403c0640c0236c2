//! Writes that bypass the page cache (`O_DIRECT`).
//!
//! A chunk is written once and seldom read on this node, because one replica of three answers. A copy in the cache
//! would cost as much CPU as the rest of the write, and evict pages that are read.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;

use nix::fcntl::OFlag;

/// Addresses, offsets and lengths of such writes are multiples of this; every disk and file system in use accepts it.
pub(super) const BLOCK_BYTES: usize = 4096;
const PROBE: &str = "direct-probe";

/// Memory that begins on a block's border, used again and again.
pub(super) struct BlockBuffer {
    memory: Vec<u8>,
    start: usize,
    length: usize,
}

impl BlockBuffer {
    /// Empty, with room for `capacity` bytes.
    pub(super) fn new(capacity: usize) -> Self {
        // Zeroed memory is not there before it is touched.
        let memory = vec![0; capacity + BLOCK_BYTES];
        let start = memory.as_ptr().align_offset(BLOCK_BYTES).min(BLOCK_BYTES);
        Self { memory, start, length: 0 }
    }

    /// Empties it, and makes room for `capacity` bytes.
    pub(super) fn reset(&mut self, capacity: usize) {
        if self.memory.len() < capacity + BLOCK_BYTES {
            *self = Self::new(capacity);
        }
        self.length = 0;
    }

    /// Appends `bytes`. Panics without room for them.
    pub(super) fn put(&mut self, bytes: &[u8]) {
        let at = self.start + self.length;
        self.memory[at..at + bytes.len()].copy_from_slice(bytes);
        self.length += bytes.len();
    }

    /// Zeros up to the next block's border.
    pub(super) fn pad(&mut self) {
        let padded = self.length.next_multiple_of(BLOCK_BYTES);
        self.memory[self.start + self.length..self.start + padded].fill(0);
        self.length = padded;
    }

    /// The bytes put so far. They begin on a border; after `pad` they also end on one.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.memory[self.start..self.start + self.length]
    }
}

/// Whether the file system of `dir` takes such writes. Some tell it only when one is tried.
pub(super) fn is_supported(dir: &Path) -> io::Result<bool> {
    let path = dir.join(PROBE);
    let probed = probe(&path);
    match std::fs::remove_file(&path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    match probed {
        Ok(()) => Ok(true),
        Err(error) if error.raw_os_error() == Some(nix::errno::Errno::EINVAL as i32) => Ok(false),
        // Whatever else is wrong is judged where it matters.
        Err(_) => Ok(true),
    }
}

fn probe(path: &Path) -> io::Result<()> {
    File::create(path)?;
    let mut block = BlockBuffer::new(BLOCK_BYTES);
    block.put(b"probe");
    block.pad();
    write_all_at(&open(path, true)?, block.bytes(), 0)
}

/// Opens the file for writing, past the page cache if `direct`.
pub(super) fn open(path: &Path, direct: bool) -> io::Result<File> {
    let flags = if direct { OFlag::O_DIRECT } else { OFlag::empty() };
    OpenOptions::new().write(true).custom_flags(flags.bits()).open(path)
}

/// Writes all bytes at `offset`. Both `offset` and their number are multiples of `BLOCK_BYTES`.
pub(super) fn write_all_at(file: &File, bytes: &[u8], offset: u64) -> io::Result<()> {
    let mut done = 0;
    while done < bytes.len() {
        match file.write_at(&bytes[done..], offset + done as u64) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            // From a border again.
            Ok(written) if written >= BLOCK_BYTES => done += written - written % BLOCK_BYTES,
            // A file system with smaller blocks had no more of them.
            Ok(_) => return Err(io::ErrorKind::StorageFull.into()),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_buffer_begins_on_a_border_and_forgets_what_it_held() {
        let mut buffer = BlockBuffer::new(BLOCK_BYTES);
        buffer.put(&[7; 100]);
        buffer.pad();
        buffer.reset(3 * BLOCK_BYTES);
        buffer.put(&[9; BLOCK_BYTES + 1]);
        buffer.pad();
        assert_eq!(buffer.bytes().as_ptr().align_offset(BLOCK_BYTES), 0);
        assert_eq!(buffer.bytes(), [vec![9; BLOCK_BYTES + 1], vec![0; BLOCK_BYTES - 1]].concat());
        buffer.reset(BLOCK_BYTES);
        buffer.put(&[1]);
        buffer.pad();
        assert_eq!(buffer.bytes(), [vec![1], vec![0; BLOCK_BYTES - 1]].concat());
    }
}
