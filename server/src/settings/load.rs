//! Merges the layers and checks the result: everything that is wrong is told at once.

use std::ffi::OsString;
use std::fmt;
use std::path::Path;

use figment::Figment;
use rowhouse_proto::settings::Key;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::known::{Known, Tables};
use super::layer::Layer;
use super::refusal::invalid;
use super::value::values;
use super::{check, environment, file};
use crate::error::Error;

/// The settings of one process: a struct whose fields are its sections.
pub trait Settings:
    Clone + fmt::Debug + Default + DeserializeOwned + Serialize + Send + Sync + 'static
{
    /// The name of its command.
    const PROCESS: &'static str;
    /// A table for each section, in the order of the reference page.
    const TABLES: Tables;
    /// The tables of the other process, whose keys may stand in the same file and environment.
    const OTHERS: Tables;

    /// Offences against rules over several keys, each a sentence.
    fn complaints(&self) -> Vec<String>;

    /// Every key of this process, in the order of the reference page.
    fn keys() -> impl Iterator<Item = &'static Key> {
        Self::TABLES.iter().copied().flatten()
    }
}

/// Settings that have passed every check.
#[derive(Debug)]
pub struct Loaded<T> {
    /// The merged values.
    pub settings: T,
    /// Knows which layer each value came from.
    pub figment: Figment,
}

/// Defaults, then the file at `path`, then `variables`, then `flags`: the later one wins, key by key.
/// Fails with exit code 64 and every complaint, or with the reason why the file cannot be read.
pub fn load<T: Settings>(
    path: Option<&Path>,
    variables: impl IntoIterator<Item = (OsString, OsString)>,
    flags: Layer,
) -> Result<Loaded<T>, Error> {
    let known = Known::new(T::TABLES, T::OTHERS);
    let mut complaints = Vec::new();
    let mut figment = Figment::new();
    if let Some(path) = path {
        figment = figment.merge(file::read(path, known, &mut complaints)?);
    }
    figment = figment.merge(environment::read(variables, known, &mut complaints)).merge(flags);
    complaints.extend(check::complaints(T::keys(), &figment, &values(&T::default())?));
    refuse(&complaints)?;
    // The checks have left nothing to refuse. A change of them that lets something through is told here.
    let settings: T = figment.extract().map_err(|error| Error::Usage(error.to_string()))?;
    refuse(&settings.complaints())?;
    Ok(Loaded { settings, figment })
}

fn refuse(complaints: &[String]) -> Result<(), Error> {
    if complaints.is_empty() { Ok(()) } else { Err(invalid(complaints)) }
}
