//! Flags are made from the tables.

use std::collections::BTreeSet;

use clap::{Args as _, Parser};
use figment::Figment;
use rowhouse_proto::settings::{Flag, Key, Kind};

use crate::settings::flags::KeyFlags;
use crate::settings::load::Settings;
use crate::settings::{ConfigArgs, GatewaySettings, NodeSettings};

#[derive(Parser)]
struct Line<T: clap::Args> {
    #[command(flatten)]
    args: T,
}

/// A flag and a value for it.
fn given(key: &Key, flag: &str) -> String {
    match key.kind {
        Kind::Bool => flag.to_owned(),
        Kind::Number { .. } | Kind::Port => format!("{flag}=1"),
        Kind::Ip => format!("{flag}=127.0.0.1"),
        _ => format!("{flag}=127.0.0.1:1"),
    }
}

fn assert_flags<T: Settings>() {
    let mut told = BTreeSet::from(["config", "print-config"]);
    for key in T::keys() {
        let Some(Flag { name, .. }) = key.flag else { continue };
        told.insert(name.trim_start_matches("--"));
        let line = Line::<KeyFlags<T>>::try_parse_from(["rowhouse".into(), given(key, name)]).unwrap();
        assert_eq!(line.args.layer.paths(), [key.path], "{name}");
    }
    let command = ConfigArgs::<T>::augment_args(clap::Command::new("rowhouse"));
    let all: BTreeSet<_> = command.get_arguments().filter_map(clap::Arg::get_long).collect();
    assert_eq!(all, told, "flags and the table differ");
}

#[test]
fn every_flag_is_described_and_sets_its_key() {
    assert_flags::<NodeSettings>();
    assert_flags::<GatewaySettings>();
}

#[test]
fn flags_count_mib_say_no_and_are_repeated() {
    fn told<T: Settings>(flags: &[&str]) -> Figment {
        let line = [&["rowhouse"][..], flags].concat();
        Figment::from(Line::<KeyFlags<T>>::try_parse_from(line).unwrap().args.layer)
    }
    let node = told::<NodeSettings>(&["--memory-mib=3", "--seed=a:1", "--seed=b:2", "--name=17"]);
    assert_eq!(node.extract_inner::<u64>("storage.memory_bytes").unwrap(), 3 << 20);
    assert_eq!(node.extract_inner::<Vec<String>>("node.seeds").unwrap(), ["a:1", "b:2"]);
    assert_eq!(node.extract_inner::<String>("node.name").unwrap(), "17", "text stays text");
    let gateway = told::<GatewaySettings>(&["--no-announce", "--development"]);
    assert!(!gateway.extract_inner::<bool>("gateway.announce").unwrap());
    assert!(gateway.extract_inner::<bool>("gateway.development").unwrap());
}
