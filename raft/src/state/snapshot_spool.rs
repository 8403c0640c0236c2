//! A snapshot received but not yet installed: frames in memory, or in a file once they are many.

use std::fs::File;
use std::io::{BufReader, BufWriter, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;

use super::staged_file::StagedFile;
use crate::error::Error;

/// Bytes of frames kept in memory; small groups never touch the staging directory.
const MEMORY_BYTES_MAX: usize = 4 << 20;
/// Extension of spool files in the staging directory.
pub(super) const SPOOL_EXTENSION: &str = "spool";

/// Tells the spool files of one process apart; those of earlier ones are removed at start.
static NEXT_SPOOL: AtomicU64 = AtomicU64::new(0);

/// Frames being received.
pub(super) struct SpoolWriter {
    staging: PathBuf,
    frames: Vec<Bytes>,
    bytes: usize,
    file: Option<(BufWriter<File>, StagedFile)>,
}

impl SpoolWriter {
    /// An empty spool, which may put a file into `staging`.
    pub fn new(staging: &Path) -> Self {
        Self { staging: staging.to_owned(), frames: Vec::new(), bytes: 0, file: None }
    }

    /// Appends a frame. Blocks on the disk.
    pub fn push(&mut self, frame: Bytes) -> Result<(), Error> {
        self.bytes += frame.len();
        if let Some((file, _)) = &mut self.file {
            return write_frame(file, &frame);
        }
        self.frames.push(frame);
        if self.bytes > MEMORY_BYTES_MAX {
            self.spill()?;
        }
        Ok(())
    }

    fn spill(&mut self) -> Result<(), Error> {
        let failed = |source| Error::io("create a snapshot file", source);
        std::fs::create_dir_all(&self.staging).map_err(failed)?;
        let number = NEXT_SPOOL.fetch_add(1, Ordering::Relaxed);
        let path = self.staging.join(format!("{number}.{SPOOL_EXTENSION}"));
        let mut file = BufWriter::new(File::create(&path).map_err(failed)?);
        let guard = StagedFile::new(path);
        for frame in self.frames.drain(..) {
            write_frame(&mut file, &frame)?;
        }
        self.file = Some((file, guard));
        Ok(())
    }

    /// Makes what was pushed readable from its beginning.
    pub fn finish(self) -> Result<Spool, Error> {
        let Some((mut file, guard)) = self.file else {
            return Ok(Spool::Memory(self.frames.into_iter()));
        };
        file.flush().map_err(|source| Error::io("write a snapshot file", source))?;
        let file = File::open(guard.path()).map_err(|source| Error::io("read a snapshot file", source))?;
        Ok(Spool::File { file: BufReader::new(file), left: self.bytes, _guard: guard })
    }
}

fn write_frame(file: &mut BufWriter<File>, frame: &Bytes) -> Result<(), Error> {
    let length = (frame.len() as u32).to_be_bytes();
    file.write_all(&length)
        .and_then(|()| file.write_all(frame))
        .map_err(|source| Error::io("write a snapshot file", source))
}

/// Frames received, in order.
pub(super) enum Spool {
    Memory(std::vec::IntoIter<Bytes>),
    File {
        file: BufReader<File>,
        /// Bytes of frames not yet read.
        left: usize,
        _guard: StagedFile,
    },
}

impl Spool {
    /// The next frame, `None` at the end. Blocks on the disk.
    pub fn next(&mut self) -> Result<Option<Bytes>, Error> {
        match self {
            Self::Memory(frames) => Ok(frames.next()),
            Self::File { left: 0, .. } => Ok(None),
            Self::File { file, left, .. } => {
                let failed = |source| Error::io("read a snapshot file", source);
                let mut length = [0; 4];
                file.read_exact(&mut length).map_err(failed)?;
                let length = u32::from_be_bytes(length) as usize;
                *left = left
                    .checked_sub(length)
                    .ok_or_else(|| Error::corrupt("a snapshot file", "a frame is longer than the rest"))?;
                let mut frame = vec![0; length];
                file.read_exact(&mut frame).map_err(failed)?;
                Ok(Some(frame.into()))
            }
        }
    }
}
