//! Generated protobuf and gRPC code. Messages and fields are explained in `proto/proto/*.proto`.
#![allow(
    clippy::all,
    clippy::pedantic,
    clippy::unwrap_used,
    clippy::disallowed_types,
    clippy::disallowed_methods,
    missing_docs
)]

pub mod account {
    pub mod v1 {
        tonic::include_proto!("rowhouse.account.v1");
    }
    pub use v1::*;
}

pub mod entry {
    pub mod v1 {
        tonic::include_proto!("rowhouse.entry.v1");
    }
    pub use v1::*;
}

pub mod raft {
    pub mod v1 {
        tonic::include_proto!("rowhouse.raft.v1");
    }
    pub use v1::*;
}

pub mod transport {
    pub mod v1 {
        tonic::include_proto!("rowhouse.transport.v1");
    }
    pub use v1::*;
}

pub mod shard {
    pub mod v1 {
        tonic::include_proto!("rowhouse.shard.v1");
    }
    pub use v1::*;
}

pub mod feed {
    pub mod v1 {
        tonic::include_proto!("rowhouse.feed.v1");
    }
    pub use v1::*;
}

pub mod limits {
    pub mod v1 {
        tonic::include_proto!("rowhouse.limits.v1");
    }
    pub use v1::*;
}

pub mod meta {
    pub mod v1 {
        tonic::include_proto!("rowhouse.meta.v1");
    }
    pub use v1::*;
}

pub mod command {
    pub mod v1 {
        tonic::include_proto!("rowhouse.command.v1");
    }
    pub use v1::*;
}

pub mod state {
    pub mod v1 {
        tonic::include_proto!("rowhouse.state.v1");
    }
    pub use v1::*;
}

pub mod chunk {
    pub mod v1 {
        tonic::include_proto!("rowhouse.chunk.v1");
    }
    pub use v1::*;
}
