//! `rowhouse ctl doctor`: what is wrong, what dies if this dies, what to do next.

use rowhouse_gateway::overview::doctor::{Diagnosis, Verdict, diagnose, text};
use rowhouse_gateway::overview::report;

use super::args::{Access, Output};
use super::observer::Observer;
use crate::error::{EXIT_USAGE, Error};

/// Flags of `rowhouse ctl doctor`.
#[derive(clap::Args, Clone, Debug)]
pub struct DoctorArgs {
    #[command(flatten)]
    pub access: Access,
    /// Form of what is printed.
    #[arg(long, value_enum, default_value_t)]
    pub output: Output,
}

/// Prints the diagnosis. Fails unless all is well, and the exit code says how: 1 there are findings that need action,
/// 2 it cannot tell.
pub async fn doctor(args: DoctorArgs) -> Result<(), Error> {
    let diagnosis = match look(&args.access).await {
        Ok(diagnosis) => diagnosis,
        // Flags that make no sense stay what they are.
        Err(error) if error.exit_code() == EXIT_USAGE => return Err(error),
        Err(error) => Diagnosis::unknown(error.to_string()),
    };
    args.output.print(|| text(&diagnosis), &diagnosis)?;
    match diagnosis.verdict {
        Verdict::Well => Ok(()),
        verdict => Err(Error::Unwell { code: verdict.exit_code(), text: verdict.as_str().to_owned() }),
    }
}

async fn look(access: &Access) -> Result<Diagnosis, Error> {
    let view = Observer::new(access)?.look().await?;
    Ok(diagnose(&report(&view)))
}
