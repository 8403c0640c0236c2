//! Merges the layers and checks the result: everything that is wrong is told at once.

use std::ffi::OsString;
use std::path::Path;

use figment::Figment;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::key::Key;
use super::known::Known;
use super::layer::Flags;
use super::{check, environment, file};
use crate::error::Error;

/// More complaints than this are not one misunderstanding, and nobody reads them.
const SHOWN_MAX: usize = 20;

/// What one process can be told.
pub trait Settings: DeserializeOwned + Serialize {
    /// The name of its command.
    const PROCESS: &'static str;
    const KEYS: &'static [Key];

    /// Offences against rules over several keys, each a sentence.
    fn complaints(&self) -> Vec<String>;
}

#[derive(Debug)]
pub struct Loaded<T> {
    pub settings: T,
    /// Knows which layer each value came from.
    pub figment: Figment,
}

pub fn load<T: Settings>(
    path: Option<&Path>,
    variables: impl IntoIterator<Item = (OsString, OsString)>,
    flags: Flags,
) -> Result<Loaded<T>, Error> {
    let known = Known::new(T::KEYS);
    let mut complaints = Vec::new();
    let mut figment = Figment::new();
    if let Some(path) = path {
        figment = figment.merge(file::read(path, known, &mut complaints)?);
    }
    figment = figment.merge(environment::read(variables, known, &mut complaints)).merge(flags.layer());
    complaints.extend(check::complaints(T::KEYS, &figment));
    refuse(&complaints)?;
    // The checks have left nothing to refuse; whoever changes them hears it here.
    let settings: T = figment.extract().map_err(|error| Error::Usage(error.to_string()))?;
    refuse(&settings.complaints())?;
    Ok(Loaded { settings, figment })
}

fn refuse(complaints: &[String]) -> Result<(), Error> {
    if complaints.is_empty() { Ok(()) } else { Err(invalid(complaints)) }
}

pub fn invalid(complaints: &[String]) -> Error {
    const BEGIN: &str = "invalid configuration, nothing was started:";
    const END: &str = "`rowhouse config-reference` explains every key.";
    Error::Usage(match complaints {
        [one] => format!("{BEGIN} {one} {END}"),
        many => {
            let more = many.len().saturating_sub(SHOWN_MAX);
            let more = if more > 0 { format!("and {more} more.\n") } else { String::new() };
            let shown = many.iter().take(SHOWN_MAX).map(|one| format!("  {one}\n")).collect::<String>();
            format!("{BEGIN}\n{shown}{more}{END}")
        }
    })
}
