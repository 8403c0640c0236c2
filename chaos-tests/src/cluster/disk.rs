//! Disks small enough to fill: a tmpfs for the folder of one component.
//!
//! They are mounted in a mount namespace that only the cluster's processes are in, so that nothing stays
//! mounted however a test ends. What is on them is gone when the cluster is stopped.

use std::ffi::OsString;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Command;

use nix::fcntl::{FallocateFlags, fallocate};
use nix::sys::statvfs::statvfs;

use crate::error::Error;

/// Sizes in MiB and folders in turn, `--`, and the program to run on these disks.
const MOUNT: &str = r#"
set -e
while [ "$1" != -- ]; do
    mkdir -p "$2"
    mount -t tmpfs -o "size=$1m" small-disk "$2"
    shift 2
done
shift
exec "$@"
"#;
/// Ways into a mount namespace of one's own: as anybody, or as root where users may not make namespaces.
const WAYS: [&[&str]; 2] = [&["--user", "--map-root-user", "--mount"], &["--mount"]];
/// The file that takes the room.
const FILLER: &str = "filler";

/// A tmpfs of fixed size, mounted for one node.
#[derive(Clone, Debug)]
pub struct SmallDisk {
    pub component: String,
    pub mib: u32,
}

/// Errs with the reason where this machine lets nobody mount a tmpfs in a namespace (containers without
/// CAP_SYS_ADMIN and without user namespaces).
pub fn mountable() -> Result<(), Error> {
    way().map(drop)
}

fn way() -> Result<&'static [&'static str], Error> {
    let folder = tempfile::tempdir()?;
    let disk = [OsString::from("1"), folder.path().into()];
    let mut reasons = Vec::new();
    for way in WAYS {
        let tried = mounting(way, &disk, Path::new("true")).output()?;
        if tried.status.success() {
            return Ok(way);
        }
        reasons.push(format!("unshare {}: {}", way.join(" "), String::from_utf8_lossy(&tried.stderr).trim()));
    }
    Err(Error::Cluster(format!("no small disks here: {}", reasons.join("; "))))
}

fn mounting(way: &[&str], disks: &[OsString], program: &Path) -> Command {
    let mut command = Command::new("unshare");
    command.args(way).args(["--", "sh", "-c", MOUNT, "sh"]).args(disks).arg("--").arg(program);
    command
}

/// The program's command line, on these disks where there are any. The process keeps its id all the way.
pub fn command(program: &Path, data_dir: &Path, disks: &[SmallDisk]) -> Result<Command, Error> {
    if disks.is_empty() {
        return Ok(Command::new(program));
    }
    let folders = disks
        .iter()
        .flat_map(|disk| [disk.mib.to_string().into(), data_dir.join(&disk.component).into_os_string()])
        .collect::<Vec<_>>();
    Ok(mounting(way()?, &folders, program))
}

/// A component's disk, from outside of its namespace.
pub struct Disk {
    folder: PathBuf,
}

impl Disk {
    /// `pid`: of a process in the namespace.
    pub fn of(pid: u32, folder: &Path) -> Self {
        let root = PathBuf::from(format!("/proc/{pid}/root"));
        Self { folder: root.join(folder.strip_prefix("/").unwrap_or(folder)) }
    }

    /// Where it is mounted.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Free space in bytes.
    pub fn free_bytes(&self) -> Result<u64, Error> {
        let stat = statvfs(&self.folder).map_err(std::io::Error::from)?;
        Ok(stat.blocks_available() as u64 * stat.fragment_size() as u64)
    }

    /// Takes room until no more than `left` bytes are free. A component that takes some at the same
    /// moment makes it fail; call it again.
    pub fn fill(&self, left: u64) -> Result<(), Error> {
        let file = File::options().create(true).append(true).open(self.folder.join(FILLER))?;
        let more = self.free_bytes()?.saturating_sub(left).cast_signed();
        if more == 0 {
            return Ok(());
        }
        let from = file.metadata()?.len().cast_signed();
        fallocate(&file, FallocateFlags::empty(), from, more).map_err(std::io::Error::from)?;
        Ok(())
    }

    /// Gives all of it back.
    pub fn empty(&self) -> Result<(), Error> {
        Ok(std::fs::remove_file(self.folder.join(FILLER))?)
    }
}
