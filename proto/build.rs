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
    tonic_prost_build::configure().bytes(".rowhouse").compile_fds(descriptors)?;
    Ok(())
}
