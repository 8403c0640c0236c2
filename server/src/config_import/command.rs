//! The command: reads the file, writes the settings, tells what became of each key.

use std::io::Write as _;
use std::path::PathBuf;

use clap::Subcommand;
use serde::Serialize;

use super::import::{Import, Imported};
use super::report::{Report, text};
use super::settings_file;
use crate::ctl::Output;
use crate::error::Error;
use crate::{files, settings};

/// The commands below `rowhouse ctl config`.
#[derive(Subcommand, Debug)]
pub enum ConfigCommand {
    /// Turn the configuration file of pubky-homeserver into settings of this program.
    ///
    /// The settings go to standard output, or to the file that --out names. A report says of each key what became of
    /// it; it goes to standard error, or to standard output with --out.
    Import(ImportArgs),
}

/// Flags of `rowhouse ctl config import`.
#[derive(clap::Args, Debug)]
pub struct ImportArgs {
    /// The file, usually called config.toml.
    #[arg(value_name = "CONFIG_TOML")]
    file: PathBuf,
    /// Write the settings to this file, readable by its owner alone, in place of standard output.
    #[arg(long, value_name = "PATH")]
    out: Option<PathBuf>,
    /// The settings are for a development cluster: its admin password may be `admin`, and nothing reaches the public
    /// DHT and relays unless the file names them.
    #[arg(long)]
    development: bool,
    /// Form of what is printed. As JSON, settings and report are one document on standard output.
    #[arg(long, value_enum, default_value_t)]
    output: Output,
}

/// Everything, for scripts.
#[derive(Serialize)]
struct Document<'a> {
    /// The settings file, as TOML.
    settings: &'a str,
    #[serde(flatten)]
    report: &'a Report,
}

/// Does what was asked for. Fails with exit code 64 if the file cannot be read, is not TOML, or has a value that none
/// of the two programs takes; then nothing is written.
pub fn run(command: ConfigCommand) -> Result<(), Error> {
    let ConfigCommand::Import(args) = command;
    let name = args.file.display().to_string();
    let dict = settings::read_toml(&args.file, "name the one of pubky-homeserver")?;
    let Imported { lines } = Import::of(dict, &args.file, args.development).settle()?;
    let settings = settings_file::text(&name, &lines);
    let report = Report::of(&lines);
    if let Some(out) = &args.out {
        files::write(out, settings.as_bytes())?;
    }
    match (args.output, &args.out) {
        (Output::Json, _) => {
            args.output.print(String::new, &Document { settings: &settings, report: &report })
        }
        (Output::Table, Some(_)) => args.output.print(|| text(&report), &report),
        (Output::Table, None) => {
            // A closed standard error leaves nobody to tell; the settings are what was asked for.
            let _lost = std::io::stderr().write_all(text(&report).as_bytes());
            settings::write(&settings)
        }
    }
}
