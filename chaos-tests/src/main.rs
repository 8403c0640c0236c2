//! `rowhouse-chaos`: load and survival runs from the command line.

use clap::{Parser, Subcommand};
use rowhouse_chaos_tests::bench::{self, BenchOptions, Output};

#[derive(Parser)]
#[command(name = "rowhouse-chaos", version, about = "Load and survival runs against a Pubky homeserver")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Measure rates, latencies and CPU per operation of any Pubky homeserver.
    Bench(BenchOptions),
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    match Cli::parse().command {
        Command::Bench(options) => measure(&options),
    }
}

/// On one thread: the load generator must leave the cores to the server.
fn measure(options: &BenchOptions) -> Result<(), Box<dyn std::error::Error>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let report = runtime.block_on(bench::run(options))?;
    match options.output {
        Output::Table => println!("{}", report.to_table()),
        Output::Json => println!("{}", report.to_json()?),
    }
    Ok(())
}
