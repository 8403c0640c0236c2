//! Runs every cell asked for, one after the other, and measures the processes beside it.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::directory::{self, Part};
use super::feed::Tailer;
use super::load::{self, Cell, Tally};
use super::options::{BenchOptions, Scenario};
use super::process::{CpuSample, DiskSample, listeners, memory_mib};
use super::report::{Report, Row};
use super::target::{Target, parse_url};
use super::{streams, tail};
use crate::error::Error;

/// Between polls of the reader beside writes: pubky-nexus polls so on a test network, and every five seconds elsewhere.
const TAIL_PAUSE: Duration = Duration::from_millis(100);

/// Without traffic, before a directory of deleted files is looked at again.
const QUIET: Duration = Duration::from_secs(60);

/// Edges of the measured part.
struct Edge {
    at: Instant,
    server: CpuSample,
    load: CpuSample,
    disk: DiskSample,
}

impl Edge {
    fn now(pids: &[u32]) -> Self {
        let server = CpuSample::of_trees(pids);
        let load = CpuSample::of_trees(&[std::process::id()]);
        Self { at: Instant::now(), server, load, disk: DiskSample::now() }
    }
}

/// Runs every cell the options ask for, one after the other. Fails if the server cannot be reached or refuses a
/// set-up request.
pub async fn run(options: &BenchOptions) -> Result<Report, Error> {
    let pids = measured(options)?;
    let users =
        if options.scenario.iter().all(|scenario| *scenario == Scenario::Idle) { 0 } else { options.users };
    let needs = |scenarios: &[Scenario]| options.scenario.iter().any(|scenario| scenarios.contains(scenario));
    let mut target = Target::prepare(&options.urls, users, options.quickack).await?;
    if needs(&[Scenario::List, Scenario::FeedHistory]) {
        target.fill_directories().await?;
    }
    if needs(&[Scenario::UserBatchEmpty]) {
        target.note_cursors().await?;
    }
    let target = Arc::new(target);
    if needs(&[Scenario::ListMillion, Scenario::PutMillion]) {
        directory::fill(&target, options.files).await?;
    }
    let mut rows = Vec::new();
    for size in &options.sizes {
        if needs(&[Scenario::Get, Scenario::PutOver, Scenario::Mixed]) {
            target.fill_files(*size).await?;
        }
        if needs(&[Scenario::GetRange]) {
            target.fill_large(*size).await?;
        }
        for scenario in options.scenario.iter().filter(|scenario| **scenario != Scenario::Idle) {
            for concurrency in &options.concurrency {
                let cell = cell(options, *scenario, *size, *concurrency);
                match scenario {
                    Scenario::ClosingCost => rows.extend(pairs(options, &target, &pids, cell).await?),
                    Scenario::ListMillion => rows.extend(pages(options, &target, &pids, cell).await?),
                    Scenario::PutMillion => rows.extend(puts(options, &target, &pids, cell).await?),
                    Scenario::ListDeleted => rows.extend(deleted(options, &target, &pids, cell).await?),
                    Scenario::LiveStreams => rows.push(streaming(options, &target, &pids, cell).await?),
                    _ => rows.push(repeated(options, &target, &pids, cell).await?),
                }
            }
        }
    }
    if needs(&[Scenario::Idle]) {
        rows.push(idle(options, &pids).await);
    }
    let signups_per_s = if users == 0 { 0.0 } else { target.signups_per_s };
    Ok(Report { system: options.name.clone(), urls: options.urls.clone(), users, signups_per_s, rows })
}

/// Roots of the measured process trees.
fn measured(options: &BenchOptions) -> Result<Vec<u32>, Error> {
    let mut pids = BTreeSet::new();
    for word in &options.pids {
        if word == "auto" {
            for url in &options.urls {
                pids.extend(listeners(parse_url(url)?.0.port())?);
            }
        } else {
            pids.insert(word.parse().map_err(|_| Error::Cluster(format!("not a pid: {word}")))?);
        }
    }
    Ok(pids.into_iter().collect())
}

fn cell(options: &BenchOptions, scenario: Scenario, size: usize, concurrency: usize) -> Cell {
    let (warmup, duration) = (Duration::from_secs(options.warmup), Duration::from_secs(options.duration));
    Cell { scenario, part: Part::Whole, size, concurrency, warmup, duration, run: rand::random() }
}

async fn repeated(
    options: &BenchOptions,
    target: &Arc<Target>,
    pids: &[u32],
    cell: Cell,
) -> Result<Row, Error> {
    let mut rows = Vec::new();
    for _ in 0..options.reps.max(1) {
        rows.push(once(options, target, pids, Cell { run: rand::random(), ..cell }).await?);
    }
    rows.sort_by(|left, right| left.operations_per_s.total_cmp(&right.operations_per_s));
    let (low, high) = (rows[0].operations_per_s, rows[rows.len() - 1].operations_per_s);
    let repetitions = rows.len();
    let median = rows.swap_remove(repetitions / 2);
    Ok(Row { repetitions, operations_per_s_min: low, operations_per_s_max: high, ..median })
}

async fn once(options: &BenchOptions, target: &Arc<Target>, pids: &[u32], cell: Cell) -> Result<Row, Error> {
    let mut edges = Vec::with_capacity(2);
    let at_edges = || edges.push(Edge::now(pids));
    let tally = match cell.scenario {
        Scenario::FeedTail => tail::run(target, cell, at_edges).await?,
        _ => load::run(target, cell, at_edges).await?,
    };
    let row = row(options, cell, &tally, &edges, pids);
    eprintln!("{} {} C={}: {:.0} ops/s", options.name, row.scenario, row.concurrency, row.operations_per_s);
    Ok(row)
}

/// Writes without and with a reader of the feed in turn; of each the run with the median CPU time of a write.
async fn pairs(
    options: &BenchOptions,
    target: &Arc<Target>,
    pids: &[u32],
    cell: Cell,
) -> Result<[Row; 2], Error> {
    let (mut plain, mut tailed) = (Vec::new(), Vec::new());
    for _ in 0..options.reps.max(1) {
        let cell = |run: u64| Cell { scenario: Scenario::PutNew, run, ..cell };
        plain.push(once(options, target, pids, cell(rand::random())).await?);
        let mut tailer = Tailer::at_the_end(target).await?;
        let end = Instant::now() + cell(0).warmup + cell(0).duration;
        let (row, errors) = tokio::join!(
            once(options, target, pids, cell(rand::random())),
            tailer.follow(end, TAIL_PAUSE, |_| {}),
        );
        let row = row?;
        tailed.push(Row { errors: row.errors + errors, ..row });
    }
    Ok([median(plain, "closing_cost without a reader"), median(tailed, "closing_cost with a reader")])
}

/// The run with the median CPU time of an operation.
fn median(mut rows: Vec<Row>, scenario: &str) -> Row {
    let cpu = |row: &Row| row.server_cpu_us_per_operation;
    rows.sort_by(|left, right| cpu(left).total_cmp(&cpu(right)));
    let repetitions = rows.len();
    let median = rows.swap_remove(repetitions / 2);
    Row { scenario: scenario.to_owned(), repetitions, ..median }
}

/// Pages of the directory of many files, each at its own cursor.
async fn pages(
    options: &BenchOptions,
    target: &Arc<Target>,
    pids: &[u32],
    cell: Cell,
) -> Result<Vec<Row>, Error> {
    let mut rows = Vec::new();
    for part in Part::pages(options.files) {
        rows.push(repeated(options, target, pids, Cell { part, ..cell }).await?);
    }
    Ok(rows)
}

/// Writes into an empty directory and into the one of many files in turn.
async fn puts(
    options: &BenchOptions,
    target: &Arc<Target>,
    pids: &[u32],
    cell: Cell,
) -> Result<[Row; 2], Error> {
    let (mut empty, mut full) = (Vec::new(), Vec::new());
    for _ in 0..options.reps.max(1) {
        for (part, rows) in [(Part::Empty, &mut empty), (Part::Full(options.files), &mut full)] {
            rows.push(once(options, target, pids, Cell { part, run: rand::random(), ..cell }).await?);
        }
    }
    Ok([median(empty, "put_million empty directory"), median(full, "put_million full directory")])
}

/// The questions to a directory before files were deleted in it, at once after, and when it was quiet for a while.
async fn deleted(
    options: &BenchOptions,
    target: &Arc<Target>,
    pids: &[u32],
    cell: Cell,
) -> Result<Vec<Row>, Error> {
    let mut rows = Vec::new();
    directory::begin_deleted(target).await?;
    for when in ["before", "after", "a minute later"] {
        match when {
            "after" => directory::delete_all(target, options.deleted).await?,
            "a minute later" => tokio::time::sleep(QUIET).await,
            _ => {}
        }
        for part in Part::OF_DELETED {
            let row = repeated(options, target, pids, Cell { part, ..cell }).await?;
            rows.push(Row { scenario: format!("{} {when}", row.scenario), ..row });
        }
    }
    Ok(rows)
}

/// The row's memory is that of the gateway alone.
async fn streaming(
    options: &BenchOptions,
    target: &Arc<Target>,
    pids: &[u32],
    cell: Cell,
) -> Result<Row, Error> {
    let mut edges = Vec::with_capacity(2);
    let (tally, before, with) = streams::run(target, cell, || edges.push(Edge::now(pids))).await?;
    let open = tally.latencies.total();
    eprintln!("{}: the gateway takes {before:.0} MiB, and {with:.0} MiB with {open} streams", options.name);
    Ok(Row { server_memory_mib: with, ..row(options, cell, &tally, &edges, pids) })
}

async fn idle(options: &BenchOptions, pids: &[u32]) -> Row {
    let begin = Edge::now(pids);
    tokio::time::sleep(Duration::from_secs(options.duration)).await;
    let edges = [begin, Edge::now(pids)];
    let duration = Duration::from_secs(options.duration);
    let cell = Cell { warmup: Duration::ZERO, duration, ..cell(options, Scenario::Idle, 0, 0) };
    row(options, cell, &Tally::default(), &edges, pids)
}

fn row(options: &BenchOptions, cell: Cell, tally: &Tally, edges: &[Edge], pids: &[u32]) -> Row {
    let (begin, end) = (&edges[0], &edges[edges.len() - 1]);
    let seconds = (end.at - begin.at).as_secs_f64();
    let operations = tally.latencies.total();
    let per_operation = |amount: f64| if operations == 0 { 0.0 } else { amount / operations as f64 };
    let server_s = end.server.seconds_since(&begin.server);
    let disk = end.disk.since(begin.disk);
    let milliseconds = |quantile: f64| tally.latencies.quantile(quantile) as f64 / 1e6;
    let rate = operations as f64 / seconds;
    Row {
        system: options.name.clone(),
        scenario: format!("{} {}", cell.scenario.name(), cell.part.name()).trim_end().to_owned(),
        size: cell.size,
        concurrency: cell.concurrency,
        quickack: options.quickack,
        repetitions: 1,
        operations,
        operations_per_s: rate,
        operations_per_s_min: rate,
        operations_per_s_max: rate,
        mb_per_s: tally.body_bytes as f64 / seconds / 1e6,
        events_per_s: tally.events as f64 / seconds,
        p50_ms: milliseconds(0.5),
        p99_ms: milliseconds(0.99),
        p999_ms: milliseconds(0.999),
        errors: tally.errors,
        first_error: tally.first_error.clone(),
        server_processes: end.server.processes(),
        server_cpu_percent: server_s / seconds * 100.0,
        server_cpu_us_per_operation: per_operation(server_s * 1e6),
        server_memory_mib: memory_mib(pids),
        load_cpu_percent: end.load.seconds_since(&begin.load) / seconds * 100.0,
        disk_kib_per_operation: per_operation(disk.written_bytes as f64 / 1024.0),
        disk_flushes_per_operation: per_operation(disk.flushes as f64),
    }
}
