//! Free disk space: a full disk is met before it is full (docs/rules/storage.md#a-full-disk-is-met-early).
//!
//! Each node watches its own; peers learn of the low-space mark by ping, leaders refuse new writes while
//! no quorum of their voters is above it. A ballast file is given back when the mark is passed, so that
//! flushes, purges and elections have room to go on.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use nix::fcntl::{FallocateFlags, fallocate};
use nix::sys::statvfs::{Statvfs, statvfs};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tracing::{error, info};

use crate::Error;
use crate::actor::Pace;

const BALLAST: &str = "ballast";
/// Statting is cheap; a disk takes seconds to fill what the mark leaves.
const TICK: Duration = Duration::from_secs(1);
/// The mark is left only this far above where it was passed, so that it does not flap.
const LEAVE_PERCENT: u64 = 110;

/// One for each node. Marks the disk as low, holds the ballast.
pub struct Space {
    dir: PathBuf,
    min_bytes: u64,
    low: watch::Sender<bool>,
}

impl Space {
    /// Looks once, so that the mark is right before anything is served. Fails if `dir` cannot be read.
    pub fn new(dir: &Path, min_bytes: u64) -> Result<Arc<Self>, Error> {
        let space = Self { dir: dir.to_owned(), min_bytes, low: watch::Sender::new(false) };
        space.observe(space.free_bytes()?);
        Ok(Arc::new(space))
    }

    /// Whether this node's disk is below the mark.
    pub fn is_low(&self) -> bool {
        *self.low.borrow()
    }

    /// For whoever tells the others of it.
    pub fn watch(&self) -> watch::Receiver<bool> {
        self.low.subscribe()
    }

    /// Bytes that may be taken before the mark is passed; `None` if the disk cannot be asked.
    pub fn room_bytes(&self) -> Option<u64> {
        Some(self.free_bytes().ok()?.saturating_sub(self.min_bytes))
    }

    fn free_bytes(&self) -> Result<u64, Error> {
        let stat = self.stat()?;
        Ok(stat.blocks_available() * stat.fragment_size())
    }

    /// Bytes of the disk that anybody uses, and all there are, without those only root may use.
    pub fn used_bytes(&self) -> Result<(u64, u64), Error> {
        let stat = self.stat()?;
        let blocks = stat.blocks();
        let (used, available) = (blocks - stat.blocks_free(), stat.blocks_available());
        let block = stat.fragment_size();
        Ok((used * block, (used + available) * block))
    }

    /// Bytes that nobody uses and this process may take; `None` if the disk cannot be asked.
    pub fn unused_bytes(&self) -> Option<u64> {
        self.free_bytes().ok()
    }

    /// Free bytes below which the mark is set.
    pub fn min_bytes(&self) -> u64 {
        self.min_bytes
    }

    /// Bytes of the ballast that is held now; 0: it was given back.
    pub fn ballast_held(&self) -> u64 {
        std::fs::metadata(self.dir.join(BALLAST)).map_or(0, |metadata| metadata.len())
    }

    fn stat(&self) -> Result<Statvfs, Error> {
        statvfs(&self.dir).map_err(|errno| Error::io("free disk space", errno.into()))
    }

    /// Sets or clears the mark.
    fn observe(&self, free: u64) {
        let was_low = self.is_low();
        // The ballast counts as free space: giving it back must not clear the mark.
        let ballast = std::fs::metadata(self.dir.join(BALLAST)).map_or(0, |metadata| metadata.len());
        let mark = if was_low { self.min_bytes / 100 * LEAVE_PERCENT } else { self.min_bytes };
        let low = free + ballast < mark + self.ballast_bytes();
        if low == was_low {
            return;
        }
        self.low.send_replace(low);
        if low {
            error!(free, "disk space is low: new writes are refused until there is more");
        } else {
            info!(free, "disk space is back");
        }
    }

    /// Enough for a flush of every memtable under the default budget.
    fn ballast_bytes(&self) -> u64 {
        self.min_bytes / 8
    }

    fn hold_or_release(&self) -> Result<(), Error> {
        let path = self.dir.join(BALLAST);
        if self.is_low() {
            return match std::fs::remove_file(&path) {
                Ok(()) => {
                    error!("ballast released");
                    Ok(())
                }
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
                Err(error) => Err(Error::io("ballast", error)),
            };
        }
        let held = std::fs::metadata(&path).map_or(0, |metadata| metadata.len());
        if held == self.ballast_bytes() {
            return Ok(());
        }
        let file = File::create(&path).map_err(|error| Error::io("ballast", error))?;
        let length = self.ballast_bytes().cast_signed();
        fallocate(&file, FallocateFlags::empty(), 0, length)
            .map_err(|errno| Error::io("ballast", errno.into()))
    }

    /// Watches until stopped.
    pub async fn run(self: &Arc<Self>, stop: CancellationToken) -> Result<(), Error> {
        let mut pace = Pace::new(TICK, stop);
        while pace.goes_on().await {
            let space = Arc::clone(self);
            let looked = tokio::task::spawn_blocking(move || {
                space.observe(space.free_bytes()?);
                space.hold_or_release()
            });
            looked.await.map_err(|_| Error::Stopped)??;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1024 * 1024;

    #[test]
    fn the_mark_is_set_below_and_left_well_above() {
        let dir = tempfile::tempdir().expect("a folder");
        let space = Space { dir: dir.path().to_owned(), min_bytes: 4 * MIB, low: watch::Sender::new(false) };
        space.observe(100 * MIB);
        assert!(!space.is_low());
        space.hold_or_release().expect("room for a ballast");
        assert_eq!(std::fs::metadata(dir.path().join(BALLAST)).expect("held").len(), MIB / 2);
        space.observe(4 * MIB - 1);
        assert!(space.is_low(), "the ballast counts as free");
        space.hold_or_release().expect("removable");
        assert!(!dir.path().join(BALLAST).exists());
        space.observe(4 * MIB + MIB / 2 + 1);
        assert!(space.is_low(), "giving back the ballast does not clear the mark");
        space.observe(6 * MIB);
        assert!(!space.is_low());
    }

    #[test]
    fn a_disk_below_the_mark_is_seen_at_start() {
        let dir = tempfile::tempdir().expect("a folder");
        assert!(Space::new(dir.path(), u64::MAX / 1000).expect("readable").is_low());
        assert!(!Space::new(dir.path(), 1).expect("readable").is_low());
    }
}
