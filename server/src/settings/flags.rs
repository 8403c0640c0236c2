//! The layer of the command line: one flag for each key that has one, made from the tables.

use std::fmt;
use std::marker::PhantomData;

use clap::{Arg, ArgAction, ArgMatches, Command, FromArgMatches};
use figment::value::Value;
use rowhouse_proto::settings::{Absent, Flag, Gives, Key, Kind};

use super::layer::Layer;
use super::load::Settings;
use super::value::read;

/// The unit of the flags of memory and disk space.
const MIB: u64 = 1024 * 1024;

/// The flags of the keys of `T` that a command line gave.
pub struct KeyFlags<T> {
    /// A flag that was not given leaves its key to the other layers.
    pub layer: Layer,
    of: PhantomData<T>,
}

/// The keys alone: a value may be a password.
impl<T> fmt::Debug for KeyFlags<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("KeyFlags").field(&self.layer.paths()).finish()
    }
}

impl<T: Settings> clap::Args for KeyFlags<T> {
    fn augment_args(command: Command) -> Command {
        command.args(T::keys().filter_map(|key| Some(arg(key, key.flag?))))
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl<T: Settings> FromArgMatches for KeyFlags<T> {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let mut layer = Layer::flags();
        for key in T::keys() {
            if let Some(value) = key.flag.and_then(|flag| given(key, flag, matches)) {
                layer.insert(key, value);
            }
        }
        Ok(Self { layer, of: PhantomData })
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

/// clap takes any text: the table judges values, so that all sources have the same bounds and messages.
fn arg(key: &'static Key, flag: Flag) -> Arg {
    let arg = Arg::new(key.path).long(flag.name.trim_start_matches('-')).help(help(key));
    match key.kind {
        Kind::Bool => arg.action(ArgAction::SetTrue),
        Kind::List(item) => arg.action(ArgAction::Append).value_name(placeholder(item)),
        kind => arg.value_name(placeholder(&kind)),
    }
}

fn help(key: &Key) -> String {
    let mut help = key.meaning.to_owned();
    if let Absent::Means(meaning) = key.absent {
        help.push_str(&format!(" If absent: {meaning}."));
    }
    if matches!(key.kind, Kind::List(_)) {
        help.push_str(" May be given several times.");
    }
    help
}

fn placeholder(kind: &Kind) -> &'static str {
    match kind {
        Kind::Path => "PATH",
        Kind::Address => "IP:PORT",
        Kind::Ip => "IP",
        Kind::Network => "NETWORK",
        Kind::HostPort => "HOST:PORT",
        Kind::Port => "PORT",
        Kind::Url => "URL",
        Kind::Domain => "DOMAIN",
        Kind::Number { .. } => "NUMBER",
        Kind::Text | Kind::Secret | Kind::Bool | Kind::List(_) | Kind::Tables(_) => "TEXT",
    }
}

fn given(key: &Key, flag: Flag, matches: &ArgMatches) -> Option<Value> {
    match (key.kind, flag.gives) {
        (Kind::Bool, gives) => matches.get_flag(key.path).then(|| Value::from(gives != Gives::False)),
        (Kind::List(item), _) => {
            let values: Vec<_> = matches.get_many::<String>(key.path)?.map(|text| read(item, text)).collect();
            Some(Value::from(values))
        }
        (kind, Gives::Mib) => matches.get_one::<String>(key.path).map(|text| bytes(&kind, text)),
        (kind, _) => matches.get_one::<String>(key.path).map(|text| read(&kind, text)),
    }
}

/// Bytes of so many MiB. A number of bytes that does not fit becomes the largest one, which is above any bound.
fn bytes(kind: &Kind, mib: &str) -> Value {
    mib.parse::<u64>().map_or_else(|_| read(kind, mib), |mib| Value::from(mib.saturating_mul(MIB)))
}
