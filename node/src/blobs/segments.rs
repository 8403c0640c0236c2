//! The segment files of a folder: made, opened, removed; the newest is the one written.

use std::collections::{BTreeMap, VecDeque};
use std::fs::{File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use nix::fcntl::{PosixFadviseAdvice, posix_fadvise};
use rowhouse_proto::chunks::Pieces;
use rowhouse_proto::lock::lock;
use rowhouse_raft::runtime::Runtime as _;

use super::direct::{self, BLOCK_BYTES, BlockBuffer};
use super::record::{FIRST_RECORD, Header, segment_header};
use crate::Runtime;

const EXTENSION: &str = "seg";
/// Open files kept for readers: far below the usual limit of 1024.
const OPEN_FILES_MAX: usize = 64;

/// The folder of segments, and the files of it that are open for reading.
pub(super) struct Segments {
    dir: PathBuf,
    /// Whether they are written past the page cache.
    direct: bool,
    /// Most recently used last.
    open: Mutex<VecDeque<(u64, Arc<File>)>>,
}

/// The segment that is written.
pub(super) struct Active {
    /// Its number.
    pub(super) id: u64,
    /// Repeated in the header of each of its records.
    pub(super) salt: u64,
    /// Bytes so far: where the next record begins.
    pub(super) length: u64,
    file: File,
}

/// A chunk as it is written: header and body.
pub(super) struct Record {
    pub(super) header: Header,
    pub(super) body: Pieces,
}

impl Segments {
    /// Opens or creates the folder. `direct`: writes bypass the page cache, where the file system allows it.
    pub(super) fn open(dir: PathBuf, direct: bool) -> io::Result<Self> {
        std::fs::create_dir_all(&dir)?;
        // The folder, the store's and the one that holds that.
        for folder in dir.ancestors().take(3) {
            let here = folder.as_os_str().is_empty();
            sync_folder(if here { Path::new(".") } else { folder })?;
        }
        let supported = direct && direct::is_supported(&dir)?;
        if direct && !supported {
            tracing::info!("this file system takes no direct writes: chunks go through the page cache");
        }
        Ok(Self { dir, direct: supported, open: Mutex::default() })
    }

    /// Every segment and its length.
    pub(super) fn lengths(&self) -> io::Result<BTreeMap<u64, u64>> {
        let mut lengths = BTreeMap::new();
        for entry in std::fs::read_dir(&self.dir)? {
            let entry = entry?;
            let path = entry.path();
            let is_segment = path.extension().is_some_and(|extension| extension == EXTENSION);
            let stem = path.file_stem().and_then(|stem| stem.to_str()).filter(|_| is_segment);
            if let Some(id) = stem.and_then(|stem| u64::from_str_radix(stem, 16).ok()) {
                lengths.insert(id, entry.metadata()?.len());
            }
        }
        Ok(lengths)
    }

    /// The segment's file, for reading. Fails if there is no such segment.
    pub(super) fn file(&self, id: u64) -> io::Result<Arc<File>> {
        let mut open = lock(&self.open);
        if let Some(at) = open.iter().position(|(open, _)| *open == id)
            && let Some(found) = open.remove(at)
        {
            let file = found.1.clone();
            open.push_back(found);
            return Ok(file);
        }
        let file = Arc::new(File::open(self.path(id))?);
        if open.len() >= OPEN_FILES_MAX {
            open.pop_front();
        }
        open.push_back((id, file.clone()));
        Ok(file)
    }

    /// Makes a segment without records. After a failure it is not there.
    pub(super) fn create(&self, id: u64) -> io::Result<Active> {
        let salt = Runtime::random_u64();
        let made = self.write_new(id, salt);
        if made.is_err() {
            // Nothing in it counts. If it stays, the next start finds it empty.
            drop(std::fs::remove_file(self.path(id)));
        }
        made?;
        self.resume(id, salt, FIRST_RECORD)
    }

    fn write_new(&self, id: u64, salt: u64) -> io::Result<()> {
        File::create(self.path(id))?;
        let file = direct::open(&self.path(id), self.direct)?;
        let mut block = BlockBuffer::new(BLOCK_BYTES);
        block.put(&segment_header(id, salt));
        block.pad();
        direct::write_all_at(&file, block.bytes(), 0)?;
        file.sync_all()?;
        sync_folder(&self.dir)
    }

    /// Goes on writing a segment at the first block's border from `length` on, cutting off what lies behind.
    pub(super) fn resume(&self, id: u64, salt: u64, length: u64) -> io::Result<Active> {
        let file = direct::open(&self.path(id), self.direct)?;
        let length = length.next_multiple_of(BLOCK_BYTES as u64);
        if file.metadata()?.len() != length {
            file.set_len(length)?;
            file.sync_all()?;
        }
        Ok(Active { id, salt, length, file })
    }

    /// Syncs the segment, and has it read from the disk from now on. After a failed sync the kernel may show pages that
    /// are nowhere else.
    pub(super) fn settle(&self, id: u64) -> io::Result<()> {
        let file = OpenOptions::new().append(true).open(self.path(id))?;
        file.sync_all()?;
        posix_fadvise(&file, 0, 0, PosixFadviseAdvice::POSIX_FADV_DONTNEED).map_err(io::Error::from)
    }

    /// Removes the segment; it may be gone already. Readers that have its file open can go on.
    pub(super) fn remove(&self, id: u64) -> io::Result<()> {
        lock(&self.open).retain(|(open, _)| *open != id);
        match std::fs::remove_file(self.path(id)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            removed => removed,
        }
    }

    fn path(&self, id: u64) -> PathBuf {
        self.dir.join(format!("{id:016x}.{EXTENSION}"))
    }
}

impl Active {
    /// Appends the records without syncing them, by way of `buffer`. After an error the end of the file is
    /// unknown.
    pub(super) fn append(&mut self, records: &[Record], buffer: &mut BlockBuffer) -> io::Result<()> {
        let bytes: u64 = records.iter().map(|record| record.header.record_bytes()).sum();
        buffer.reset(usize::try_from(bytes).map_err(io::Error::other)?);
        for Record { header, body } in records {
            buffer.put(&header.encode(self.salt));
            body.iter().for_each(|piece| buffer.put(piece));
            buffer.pad();
        }
        direct::write_all_at(&self.file, buffer.bytes(), self.length)?;
        self.length += bytes;
        Ok(())
    }

    /// Makes everything appended so far durable.
    pub(super) fn sync(&self) -> io::Result<()> {
        self.file.sync_data()
    }

    /// Cuts off everything from `length` on.
    pub(super) fn truncate(&mut self, length: u64) -> io::Result<()> {
        self.length = length;
        self.file.set_len(length)
    }
}

/// A file that was made or renamed is there after a crash only if its folder is synced.
fn sync_folder(dir: &Path) -> io::Result<()> {
    File::open(dir)?.sync_all()
}
