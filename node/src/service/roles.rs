//! THE table of who may call what: the role in the caller's certificate against the path of the call.
//!
//! It holds where there are certificates; plaintext on loopback trusts everybody. Which node may speak in
//! which name is the transport's and the meta group's own matter.

use std::future::{Ready, ready};
use std::sync::Arc;
use std::task::{Context, Poll};

use futures::future::Either;
use rowhouse_peer::Role::{Ctl, Gateway, Node};
use rowhouse_peer::{Caller, LogThrottle, Role};
use tonic::Status;
use tonic::body::Body;
use tonic::codegen::http::{Request, Response};
use tower::{Layer, Service};
use tracing::warn;

/// A call that does not stand here is refused to everybody.
const RULES: [(&str, &[Role]); 24] = [
    ("/rowhouse.transport.v1.Transport/Lane", &[Node]),
    ("/rowhouse.transport.v1.Transport/Snapshot", &[Node]),
    ("/rowhouse.shard.v1.Shard/Execute", &[Gateway, Ctl]),
    ("/rowhouse.shard.v1.Shard/Query", &[Gateway, Ctl]),
    ("/rowhouse.feed.v1.Feed/Clocks", &[Gateway, Ctl]),
    ("/rowhouse.feed.v1.Feed/Page", &[Gateway, Ctl]),
    ("/rowhouse.feed.v1.Feed/Follow", &[Gateway]),
    ("/rowhouse.limits.v1.Limits/Take", &[Gateway]),
    ("/rowhouse.chunk.v1.Chunk/Stage", &[Gateway]),
    ("/rowhouse.chunk.v1.Chunk/Fetch", &[Gateway, Node]),
    ("/rowhouse.meta.v1.Meta/WatchMap", &[Node, Gateway, Ctl]),
    ("/rowhouse.meta.v1.Meta/NodeStatus", &[Node, Gateway, Ctl]),
    ("/rowhouse.meta.v1.Meta/PrepareInit", &[Ctl]),
    ("/rowhouse.meta.v1.Meta/CommitInit", &[Ctl]),
    ("/rowhouse.meta.v1.Meta/RegisterNode", &[Node]),
    ("/rowhouse.meta.v1.Meta/AnnounceGateway", &[Gateway]),
    ("/rowhouse.meta.v1.Meta/Ping", &[Node]),
    ("/rowhouse.meta.v1.Meta/TransferLeader", &[Node]),
    ("/rowhouse.meta.v1.Meta/ChangeMembers", &[Node]),
    ("/rowhouse.meta.v1.Meta/Drain", &[Ctl]),
    ("/rowhouse.meta.v1.Meta/Operate", &[Ctl]),
    ("/rowhouse.meta.v1.Meta/Recover", &[Ctl]),
    ("/rowhouse.meta.v1.Meta/Execute", &[Gateway, Ctl]),
    ("/rowhouse.meta.v1.Meta/Query", &[Gateway, Ctl]),
];

/// Why the caller may not call this; `None` if it may.
fn refusal(caller: Option<&Caller>, path: &str) -> Option<String> {
    let Some(subject) = caller.and_then(Caller::subject) else {
        return Some("the caller showed no certificate".to_owned());
    };
    let rule = RULES.iter().find(|(known, _)| *known == path);
    match rule {
        Some((_, roles)) if roles.contains(&subject.role()) => None,
        _ => Some(format!("{} certificates ({subject}) may not call {path}", subject.role())),
    }
}

/// The layer that puts `Roles` before all services.
#[derive(Clone)]
pub struct RolesLayer {
    demanded: bool,
    refusals: Arc<LogThrottle>,
}

impl RolesLayer {
    /// `demanded`: whether callers must have a certificate.
    pub fn new(demanded: bool) -> Self {
        Self { demanded, refusals: Arc::default() }
    }
}

impl<S> Layer<S> for RolesLayer {
    type Service = Roles<S>;

    fn layer(&self, inner: S) -> Roles<S> {
        Roles { inner, layer: self.clone() }
    }
}

/// Refuses callers whose certificate does not name a role that may make the call.
#[derive(Clone)]
pub struct Roles<S> {
    inner: S,
    layer: RolesLayer,
}

impl<S> Service<Request<Body>> for Roles<S>
where
    S: Service<Request<Body>, Response = Response<Body>>,
{
    type Response = Response<Body>;
    type Error = S::Error;
    type Future = Either<S::Future, Ready<Result<Response<Body>, S::Error>>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let refused = || refusal(request.extensions().get::<Caller>(), request.uri().path());
        let refused = self.layer.demanded.then(refused).flatten();
        let Some(why) = refused else { return Either::Left(self.inner.call(request)) };
        if self.layer.refusals.is_due(&why) {
            warn!(why, "call refused");
        }
        Either::Right(ready(Ok(Status::permission_denied(why).into_http())))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// `/package.Service/Method` of every RPC in the text of a .proto file.
    fn paths(proto: &str) -> BTreeSet<String> {
        let (mut package, mut service) = ("", "");
        let mut found = BTreeSet::new();
        for line in proto.lines().map(str::trim) {
            if let Some(rest) = line.strip_prefix("package ") {
                package = rest.trim_end_matches(';');
            } else if let Some(rest) = line.strip_prefix("service ") {
                service = rest.trim_end_matches(" {");
            } else if let Some(rest) = line.strip_prefix("rpc ") {
                let method = rest.split('(').next().unwrap_or_default();
                found.insert(format!("/{package}.{service}/{method}"));
            }
        }
        found
    }

    #[test]
    fn every_call_of_the_contracts_has_its_line() {
        let contracts = [
            include_str!("../../../proto/proto/transport.proto"),
            include_str!("../../../proto/proto/shard.proto"),
            include_str!("../../../proto/proto/feed.proto"),
            include_str!("../../../proto/proto/meta.proto"),
            include_str!("../../../proto/proto/chunk.proto"),
            include_str!("../../../proto/proto/limits.proto"),
        ];
        let written: BTreeSet<String> = contracts.into_iter().flat_map(paths).collect();
        let ruled: BTreeSet<String> = RULES.iter().map(|(path, _)| (*path).to_owned()).collect();
        assert_eq!(written, ruled);
        assert_eq!(ruled.len(), RULES.len(), "no line twice");
    }
}
