//! Who may know whom.

use std::fs;

use super::sources::{Source, root};

/// Crate folder, and the names that must not stand among its dependencies (nor dev-dependencies).
const FORBIDDEN: [(&str, &[&str]); 5] = [
    ("proto", &["rowhouse-raft", "rowhouse-node", "rowhouse-gateway", "rowhouse", "rocksdb", "openraft"]),
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
/// Below this path (but not below that one), what must not be imported: the vocabulary every crate shares needs
/// no transport, and of the wire contracts only the connections between processes need a runtime.
const IMPORTS_FORBIDDEN: [(&str, &str, &[&str]); 2] = [
    ("proto/src/domain/", "none", &["tonic", "tokio", "rocksdb", "openraft", "axum"]),
    ("proto/src/", "proto/src/tls/", &["tokio", "tokio_rustls", "hyper_util"]),
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
    for (path, except, forbidden) in IMPORTS_FORBIDDEN {
        let below = |source: &&Source| source.path.starts_with(path) && !source.path.starts_with(except);
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
