//! Compiles the wire contracts with a protobuf compiler written in Rust, so that no `protoc` is needed.

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let files = [
        "proto/account.proto",
        "proto/entry.proto",
        "proto/raft.proto",
        "proto/transport.proto",
        "proto/shard.proto",
        "proto/feed.proto",
        "proto/limits.proto",
        "proto/meta.proto",
        "proto/command.proto",
        "proto/state.proto",
        "proto/chunk.proto",
    ];
    for file in files {
        println!("cargo:rerun-if-changed={file}");
    }
    let descriptors = protox::compile(files, ["proto"])?;
    write_methods(&descriptors)?;
    tonic_prost_build::configure().bytes(".rowhouse").compile_fds(descriptors)?;
    Ok(())
}

/// The names of all RPCs, `package.Service/Method`, in order: labels of measurements.
fn write_methods(descriptors: &protox::prost_reflect::prost_types::FileDescriptorSet) -> std::io::Result<()> {
    let mut names: Vec<String> = Vec::new();
    for file in &descriptors.file {
        for service in &file.service {
            let of = format!("{}.{}", file.package(), service.name());
            names.extend(service.method.iter().map(|method| format!("{of}/{}", method.name())));
        }
    }
    names.sort();
    let folder = std::env::var_os("OUT_DIR").map(std::path::PathBuf::from).unwrap_or_default();
    std::fs::write(folder.join("methods.rs"), format!("&{names:?}"))
}
