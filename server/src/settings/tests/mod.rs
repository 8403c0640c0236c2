//! Settings told in every way: files, variables and flags.

mod flags;
mod layers;
mod refusals;
mod rules;
mod tables;

use std::ffi::OsString;
use std::path::PathBuf;

use figment::value::Value;

use super::layer::Layer;
use super::load::{Loaded, Settings, load};
use crate::error::{EXIT_USAGE, Error};

const NODE: &str = "[node]\ndata_dir = \"/data\"\nlisten = \"127.0.0.1:1\"\n\
                    [secret]\nhomeserver_secret_file = \"/secret\"\n";
const GATEWAY: &str = "[gateway]\nhttp_listen = \"127.0.0.1:1\"\ntls_listen = \"127.0.0.1:2\"\n\
                       nodes = [\"127.0.0.1:3\"]\n[secret]\nhomeserver_secret_file = \"/secret\"\n";

struct Told {
    dir: tempfile::TempDir,
    variables: Vec<(OsString, OsString)>,
}

impl Told {
    fn by(file: &str, variables: &[(&str, &str)]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("rowhouse.toml"), file).unwrap();
        let variables = variables.iter().map(|(name, value)| (name.into(), value.into())).collect();
        Self { dir, variables }
    }

    fn file(&self) -> PathBuf {
        self.dir.path().join("rowhouse.toml")
    }

    fn load<T: Settings>(&self, flags: Layer) -> Result<Loaded<T>, Error> {
        load(Some(&self.file()), self.variables.clone(), flags)
    }

    fn accepted<T: Settings>(&self) -> T {
        self.load(Layer::flags()).map(|loaded| loaded.settings).unwrap()
    }

    fn refused<T: Settings>(&self) -> String {
        let error = self.load::<T>(Layer::flags()).map(|_| ()).unwrap_err();
        assert_eq!(error.exit_code(), EXIT_USAGE);
        error.to_string().replace(&*self.dir.path().to_string_lossy(), "DIR")
    }
}

/// A command line that set the key of this flag.
fn flag<T: Settings>(name: &str, value: impl Into<Value>) -> Layer {
    let key = T::keys().find(|key| key.flag.is_some_and(|flag| flag.name == name)).unwrap();
    let mut flags = Layer::flags();
    flags.insert(key, value.into());
    flags
}

#[track_caller]
fn assert_says(message: &str, parts: &[&str]) {
    for part in parts {
        assert!(message.contains(part), "{part:?} in {message:?}");
    }
}
