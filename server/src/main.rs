//! `rowhouse`: the one binary. Composition, configuration and telemetry; the work is done by the crates.

mod certificates;
mod cli;
mod config_import;
mod ctl;
mod dev;
mod error;
mod files;
mod gateway;
mod kubernetes;
mod limits;
mod node;
mod parent_death;
mod probes;
mod records;
mod relay;
mod secret;
mod settings;
mod signals;
mod telemetry;
mod testnet;

use std::process::ExitCode;

/// For RocksDB too (docs/decisions/004-jemalloc.md).
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    match cli::parse(std::env::args_os()) {
        Ok(cli) => cli::run(cli),
        Err(code) => code,
    }
}
