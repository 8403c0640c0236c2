//! The cost of the measured processes: CPU time and memory from /proc, flushes and writes of the disks.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::net::{IpAddr, SocketAddr};

use crate::error::Error;

/// Linux reports CPU time to user space in hundredths of a second, whatever the kernel's own tick.
const TICKS_PER_S: f64 = 100.0;
const SECTOR_BYTES: u64 = 512;
const LISTEN_STATE: &str = "0A";

/// CPU ticks of each process at one moment.
#[derive(Clone, Debug, Default)]
pub struct CpuSample(BTreeMap<u32, u64>);

impl CpuSample {
    /// Sums over these processes and all their descendants.
    pub fn of_trees(roots: &[u32]) -> Self {
        let stats = all_stats();
        Self(
            with_descendants(roots, &stats)
                .into_iter()
                .filter_map(|pid| Some((pid, stats.get(&pid)?.ticks)))
                .collect(),
        )
    }

    /// CPU seconds between two readings.
    pub fn seconds_since(&self, earlier: &Self) -> f64 {
        let ticks: u64 = self
            .0
            .iter()
            .map(|(pid, now)| now.saturating_sub(earlier.0.get(pid).copied().unwrap_or(0)))
            .sum();
        ticks as f64 / TICKS_PER_S
    }

    /// Number of processes that are summed.
    pub fn processes(&self) -> usize {
        self.0.len()
    }
}

/// Proportional set size of these trees, so that shared memory counts once.
pub fn memory_mib(roots: &[u32]) -> f64 {
    let pids = with_descendants(roots, &all_stats());
    let kib: u64 = pids.into_iter().filter_map(pss_kib).sum();
    kib as f64 / 1024.0
}

/// Processes that listen on this address themselves.
pub fn listening_on(address: SocketAddr) -> Result<Vec<u32>, Error> {
    let inodes = listening_inodes(address.port(), Some(address));
    let owners: Vec<u32> = all_stats().into_keys().filter(|pid| holds_socket(*pid, &inodes)).collect();
    if owners.is_empty() {
        return Err(Error::Cluster(format!("no visible process listens on {address}")));
    }
    Ok(owners)
}

/// Processes that listen on this TCP port, each climbed up to the topmost parent running the same program.
pub fn listeners(port: u16) -> Result<Vec<u32>, Error> {
    let inodes = listening_inodes(port, None);
    let stats = all_stats();
    let owners = stats.keys().copied().filter(|pid| holds_socket(*pid, &inodes));
    let roots: BTreeSet<u32> = owners.map(|pid| topmost_of_program(pid, &stats)).collect();
    if roots.is_empty() {
        return Err(Error::Cluster(format!("no visible process listens on port {port}: give --pids")));
    }
    Ok(roots.into_iter().collect())
}

/// Flushes and bytes written of all whole disks since boot.
#[derive(Clone, Copy, Debug, Default)]
pub struct DiskSample {
    pub flushes: u64,
    pub written_bytes: u64,
}

impl DiskSample {
    /// Reads the counters of all disks from /proc/diskstats; zero where there are none.
    pub fn now() -> Self {
        let text = fs::read_to_string("/proc/diskstats").unwrap_or_default();
        let mut sum = Self::default();
        for line in text.lines() {
            let fields: Vec<&str> = line.split_whitespace().collect();
            let number = |at: usize| fields.get(at).and_then(|field| field.parse::<u64>().ok()).unwrap_or(0);
            let name = fields.get(2).copied().unwrap_or("");
            let virtual_disk = ["loop", "ram", "zram", "dm-"].iter().any(|prefix| name.starts_with(prefix));
            if !virtual_disk && fs::metadata(format!("/sys/block/{name}")).is_ok() {
                sum.written_bytes += number(9) * SECTOR_BYTES;
                sum.flushes += number(18);
            }
        }
        sum
    }

    /// The difference to an earlier reading.
    pub fn since(self, earlier: Self) -> Self {
        Self {
            flushes: self.flushes.saturating_sub(earlier.flushes),
            written_bytes: self.written_bytes.saturating_sub(earlier.written_bytes),
        }
    }
}

struct Stat {
    parent: u32,
    ticks: u64,
}

fn all_stats() -> BTreeMap<u32, Stat> {
    let Ok(entries) = fs::read_dir("/proc") else { return BTreeMap::new() };
    let pids = entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<u32>().ok());
    pids.filter_map(|pid| Some((pid, parse_stat(&fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)?)))
        .collect()
}

/// The program name in parentheses may hold anything, so fields are counted after the last one.
fn parse_stat(text: &str) -> Option<Stat> {
    let fields: Vec<&str> = text[text.rfind(')')? + 1..].split_whitespace().collect();
    let number = |at: usize| fields.get(at)?.parse::<u64>().ok();
    Some(Stat { parent: u32::try_from(number(1)?).ok()?, ticks: number(11)? + number(12)? })
}

fn with_descendants(roots: &[u32], stats: &BTreeMap<u32, Stat>) -> BTreeSet<u32> {
    let mut found: BTreeSet<u32> = roots.iter().copied().collect();
    // Each round adds one generation, so there are at most as many rounds as processes.
    for _ in 0..stats.len() {
        let children: Vec<u32> = stats
            .iter()
            .filter(|(pid, stat)| found.contains(&stat.parent) && !found.contains(pid))
            .map(|(pid, _)| *pid)
            .collect();
        if children.is_empty() {
            break;
        }
        found.extend(children);
    }
    found
}

fn topmost_of_program(pid: u32, stats: &BTreeMap<u32, Stat>) -> u32 {
    let program = |pid: u32| fs::read_link(format!("/proc/{pid}/exe")).ok();
    let mut top = pid;
    for _ in 0..stats.len() {
        let Some(parent) = stats.get(&top).map(|stat| stat.parent) else { break };
        if program(parent).is_none() || program(parent) != program(pid) {
            break;
        }
        top = parent;
    }
    top
}

/// Sockets on the port, or on the address alone if it is an IPv4 one.
fn listening_inodes(port: u16, address: Option<SocketAddr>) -> BTreeSet<String> {
    let on = match address.map(|address| address.ip()) {
        // The kernel shows the address as the number that lies in memory.
        Some(IpAddr::V4(ip)) => format!("{:08X}:{port:04X}", u32::from_ne_bytes(ip.octets())),
        _ => format!(":{port:04X}"),
    };
    let mut inodes = BTreeSet::new();
    for table in ["/proc/net/tcp", "/proc/net/tcp6"] {
        for line in fs::read_to_string(table).unwrap_or_default().lines().skip(1) {
            let fields: Vec<&str> = line.split_whitespace().collect();
            let (Some(local), Some(state), Some(inode)) = (fields.get(1), fields.get(3), fields.get(9))
            else {
                continue;
            };
            if *state == LISTEN_STATE && local.ends_with(&on) {
                inodes.insert(format!("socket:[{inode}]"));
            }
        }
    }
    inodes
}

fn holds_socket(pid: u32, inodes: &BTreeSet<String>) -> bool {
    let Ok(entries) = fs::read_dir(format!("/proc/{pid}/fd")) else { return false };
    entries
        .filter_map(|entry| fs::read_link(entry.ok()?.path()).ok())
        .any(|target| target.to_str().is_some_and(|target| inodes.contains(target)))
}

fn pss_kib(pid: u32) -> Option<u64> {
    let text = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).ok()?;
    let line = text.lines().find(|line| line.starts_with("Pss:"))?;
    line.split_whitespace().nth(1)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_its_own_cost() {
        let me = std::process::id();
        let before = CpuSample::of_trees(&[me]);
        let mut sum = 0u64;
        // Enough work for at least one 10 ms tick, bounded.
        for round in 0..2_000_000_000u64 {
            sum = sum.wrapping_mul(31).wrapping_add(round);
            if round % 10_000_000 == 0 && CpuSample::of_trees(&[me]).seconds_since(&before) > 0.0 {
                break;
            }
        }
        assert!(sum != 1 && CpuSample::of_trees(&[me]).seconds_since(&before) > 0.0);
        assert!(memory_mib(&[me]) > 0.1);
    }

    #[test]
    fn finds_who_listens() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
        let port = listener.local_addr().expect("bound").port();
        assert_eq!(listeners(port).expect("this process listens").len(), 1);
        let address = listener.local_addr().expect("bound");
        assert_eq!(listening_on(address).expect("this process listens"), [std::process::id()]);
        assert!(listening_on(SocketAddr::new([127, 0, 0, 77].into(), port)).is_err(), "another address");
        drop(listener);
        assert!(listeners(port).is_err());
    }

    #[test]
    fn survives_strange_program_names() {
        let stat = parse_stat("7 (a ) b) S 3 7 7 0 -1 4 1 1 0 0 11 22 0 0 20").expect("well formed");
        assert_eq!((stat.parent, stat.ticks), (3, 33));
        assert!(parse_stat("nonsense").is_none());
    }
}
