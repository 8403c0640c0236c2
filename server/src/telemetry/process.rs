//! The process itself, under the names that Prometheus' own client libraries use. Read at each scrape.

use std::fs;
use std::time::{SystemTime, UNIX_EPOCH};

use nix::sys::resource::{Resource, UsageWho, getrlimit, getrusage};
use nix::sys::time::TimeValLike;

use super::lines;

const METER: &str = "rowhouse.process";

/// Makes the instruments of this process on the global meter.
pub fn observe() {
    let meter = opentelemetry::global::meter(METER);
    let started = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |since| since.as_secs_f64());
    meter
        .f64_observable_gauge("process.start_time")
        .with_unit("s")
        .with_description("Unix time at which the process began to measure, just after it started.")
        .with_callback(move |observer| observer.observe(started, &[]))
        .build();
    meter
        .f64_observable_counter("process.cpu")
        .with_unit("s")
        .with_description("Processor time used, by this program and by the kernel for it.")
        .with_callback(|observer| {
            if let Ok(usage) = getrusage(UsageWho::RUSAGE_SELF) {
                let spent = usage.user_time().num_microseconds() + usage.system_time().num_microseconds();
                observer.observe(spent as f64 / 1e6, &[]);
            }
        })
        .build();
    meter
        .u64_observable_gauge("process.resident_memory")
        .with_unit("By")
        .with_description("Memory of the process that is in RAM.")
        .with_callback(|observer| observe_some(resident_bytes(), |bytes| observer.observe(bytes, &[])))
        .build();
    meter
        .u64_observable_gauge("process.open_fds")
        .with_description("Open file descriptors.")
        .with_callback(|observer| observe_some(open_files(), |files| observer.observe(files, &[])))
        .build();
    meter
        .u64_observable_gauge("process.max_fds")
        .with_description("File descriptors that may be open at once.")
        .with_callback(|observer| {
            let limit = getrlimit(Resource::RLIMIT_NOFILE).ok();
            observe_some(limit, |(soft, _)| observer.observe(soft, &[]));
        })
        .build();
    meter
        .u64_observable_counter("rowhouse.process.log_lines_lost")
        .with_description("Log lines that standard error did not take in time.")
        .with_callback(|observer| observer.observe(lines::lost(), &[]))
        .build();
}

fn observe_some<T>(read: Option<T>, observe: impl FnOnce(T)) {
    if let Some(value) = read {
        observe(value);
    }
}

fn resident_bytes() -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib * 1024)
}

fn open_files() -> Option<u64> {
    let files = fs::read_dir("/proc/self/fd").ok()?.count() as u64;
    // One of them is the folder that was just read.
    Some(files.saturating_sub(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_process_can_be_read() {
        let before = open_files().unwrap();
        let _held = fs::File::open("/proc/self/status").unwrap();
        assert!(before > 0 && resident_bytes().unwrap() > 1024 * 1024);
    }
}
