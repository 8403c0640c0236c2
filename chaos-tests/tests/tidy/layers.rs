//! Who may know whom.

use std::fs;

use super::sources::{Source, root};

/// Crate folder, and the names that must not stand among its dependencies (nor dev-dependencies).
const FORBIDDEN: [(&str, &[&str]); 6] = [
    (
        "proto",
        &[
            "rowhouse-peer",
            "rowhouse-raft",
            "rowhouse-node",
            "rowhouse-gateway",
            "rowhouse",
            "rocksdb",
            "openraft",
        ],
    ),
    (
        "peer",
        &[
            "rowhouse-proto",
            "rowhouse-raft",
            "rowhouse-node",
            "rowhouse-gateway",
            "rowhouse",
            "rocksdb",
            "openraft",
            "axum",
            "pubky-common",
        ],
    ),
    ("raft", &["rowhouse-node", "rowhouse-gateway", "rowhouse", "pubky-common", "pubky", "pkarr"]),
    ("node", &["rowhouse-gateway", "rowhouse", "axum"]),
    (
        "gateway",
        &[
            "rowhouse-raft",
            "rowhouse-node",
            "rowhouse",
            "rocksdb",
            "openraft",
            "openraft-rt",
            "openraft-rt-tokio",
        ],
    ),
    ("server", &["rowhouse-raft", "rocksdb", "openraft"]),
];
/// Below this path, what must not be imported: the vocabulary every crate shares needs no transport, and the wire
/// contracts need no runtime.
const IMPORTS_FORBIDDEN: [(&str, &[&str]); 2] = [
    ("proto/src/domain/", &["tonic", "tokio", "rocksdb", "openraft", "axum"]),
    ("proto/src/", &["tokio", "tokio_rustls", "rustls", "hyper_util"]),
];

pub fn forbidden_dependencies() -> Vec<String> {
    let mut offences = Vec::new();
    for (name, forbidden) in FORBIDDEN {
        let manifest =
            fs::read_to_string(root().join(name).join("Cargo.toml")).expect("each crate has a manifest");
        let found = dependencies(&manifest);
        assert!(!found.is_empty(), "{name}/Cargo.toml names no dependencies");
        for dependency in found.iter().filter(|dependency| forbidden.contains(&dependency.as_str())) {
            offences.push(format!("{name} -> {dependency}"));
        }
    }
    offences
}

/// Names in every `[...dependencies...]` section; the workspace's manifests are written plainly.
fn dependencies(manifest: &str) -> Vec<String> {
    let mut inside = false;
    let mut names = Vec::new();
    for line in manifest.lines().map(str::trim) {
        if let Some(section) = line.strip_prefix('[') {
            inside = section.contains("dependencies]");
            if let Some((_, name)) = section.trim_end_matches(']').split_once("dependencies.") {
                names.push(name.to_owned());
            }
        } else if inside && !line.starts_with('#') {
            let end = line.find(['.', '=', ' ']).unwrap_or(0);
            if end > 0 {
                names.push(line[..end].trim_matches('"').to_owned());
            }
        }
    }
    names
}

pub fn forbidden_imports(sources: &[Source]) -> Vec<String> {
    let mut offences = Vec::new();
    for (path, forbidden) in IMPORTS_FORBIDDEN {
        let below = |source: &&Source| source.path.starts_with(path);
        assert!(sources.iter().any(|source| below(&source)), "{path} is gone");
        for source in sources.iter().filter(below) {
            for (number, line) in source.production() {
                let uses = |name: &&&str| {
                    line.contains(&format!("{name}::")) || line.contains(&format!("use {name}"))
                };
                if let Some(name) = forbidden.iter().find(uses) {
                    offences.push(format!("{}:{number}: {name}", source.path));
                }
            }
        }
    }
    offences
}

#[test]
fn dependency_names_are_read_from_every_section() {
    let manifest = "[package]\nname = \"x\"\n[dependencies]\na.workspace = true\nb = \"1\"\n# c = \"1\"\n\n[dev-dependencies]\nd = { path = \"x\" }\n[target.'cfg(unix)'.dependencies]\ne = \"1\"\n[dependencies.f]\nversion = \"1\"\n[features]\ng = []\n";
    assert_eq!(dependencies(manifest), ["a", "b", "d", "e", "f"]);
}
