//! `rowhouse-chaos`: load, survival and smoke runs from the command line.

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use rowhouse_chaos_tests::bench::{self, BenchOptions, Output};
use rowhouse_chaos_tests::cluster::{Cluster, ClusterOptions};
use rowhouse_chaos_tests::error::Error;
use rowhouse_chaos_tests::smoke::{self, SmokeOptions};
use rowhouse_chaos_tests::survival::{self, SurvivalOptions};

/// Names the planted bug for processes built with the feature `planted-bugs`.
const PLANTED_VARIABLE: &str = "ROWHOUSE_PLANTED";
/// A run that found a broken promise, or could not have found one.
const EXIT_FINDING: u8 = 1;

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
    /// Kill processes of a fresh cluster under load, change the cluster, and judge what clients saw.
    Survival(SurvivalCommand),
    /// Sign up, write, read, list, delete and follow the events once, and say whether all of it worked.
    Smoke(SmokeOptions),
}

#[derive(clap::Args)]
struct SurvivalCommand {
    #[command(flatten)]
    options: SurvivalOptions,
    #[arg(long, value_enum, default_value = "table")]
    output: Output,
}

fn main() -> ExitCode {
    let done = match Cli::parse().command {
        Command::Bench(options) => measure(&options),
        Command::Survival(command) => survive(&command),
        Command::Smoke(options) => Ok(smoke_test(&options)),
    };
    done.unwrap_or_else(|error| {
        eprintln!("rowhouse-chaos: {error}");
        ExitCode::from(EXIT_FINDING + 1)
    })
}

/// On one thread: the load generator must leave the cores to the server.
fn measure(options: &BenchOptions) -> Result<ExitCode, Error> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let report = runtime.block_on(bench::run(options))?;
    match options.output {
        Output::Table => println!("{}", report.to_table()),
        Output::Json => println!("{}", report.to_json()?),
    }
    Ok(ExitCode::SUCCESS)
}

/// Whatever fails is a finding: the homeserver does not work as it should.
fn smoke_test(options: &SmokeOptions) -> ExitCode {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    match runtime.map_err(Error::from).and_then(|runtime| runtime.block_on(smoke::run(options))) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("rowhouse-chaos: {error}");
            ExitCode::from(EXIT_FINDING)
        }
    }
}

/// From the main thread: the cluster's parent process ends with the thread that started it.
fn survive(command: &SurvivalCommand) -> Result<ExitCode, Error> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let planted = command.options.planted.iter().map(|bug| (PLANTED_VARIABLE.to_owned(), bug.clone()));
    let limits = survival::LIMITS.map(|(name, value)| (name.to_owned(), value.to_owned()));
    let environment = planted.chain(limits).collect();
    let cluster_options = ClusterOptions { environment, ..ClusterOptions::default() };
    let shards = cluster_options.shards;
    let report = runtime.block_on(async {
        let cluster = Cluster::start(cluster_options).await?;
        survival::run(&cluster, &command.options, shards).await
    })?;
    match command.output {
        Output::Table => println!("{report}"),
        Output::Json => println!("{}", serde_json::to_string_pretty(&report)?),
    }
    let sound = report.violations.is_empty() && report.untested().is_empty();
    Ok(if sound { ExitCode::SUCCESS } else { ExitCode::from(EXIT_FINDING) })
}
