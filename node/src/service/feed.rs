//! The feed service, which gateways call on every node.

use std::pin::Pin;
use std::sync::Arc;

use futures::Stream;
use rowhouse_proto::WIRE_VERSION;
use rowhouse_proto::wire::feed::feed_server::Feed;
use rowhouse_proto::wire::feed::{
    ClocksReply, ClocksRequest, FollowReply, FollowRequest, PageReply, PageRequest,
};
use tokio_util::sync::CancellationToken;
use tonic::{Request, Response, Status};

use crate::feed::{Clocks, Marks, page};
use crate::local::Local;
use crate::peers::Cluster;

/// Serves clocks, pages and marks of the shards that have a replica on this node.
#[derive(Clone)]
pub struct FeedService {
    local: Arc<Local>,
    cluster: Arc<Cluster>,
    clocks: Arc<Clocks>,
    marks: Arc<Marks>,
    stop: CancellationToken,
}

impl FeedService {
    /// Streams of marks end when `stop` is cancelled.
    pub fn new(local: Arc<Local>, cluster: Arc<Cluster>, marks: Arc<Marks>, stop: CancellationToken) -> Self {
        let clocks = Arc::new(Clocks::new(local.clone(), cluster.clone()));
        Self { local, cluster, clocks, marks, stop }
    }
}

#[tonic::async_trait]
impl Feed for FeedService {
    async fn clocks(&self, request: Request<ClocksRequest>) -> Result<Response<ClocksReply>, Status> {
        let request = request.into_inner();
        check_version(request.version)?;
        let clocks = self.clocks.told(request.tick).await;
        Ok(Response::new(ClocksReply { hlc: self.local.clock.latest(), clocks }))
    }

    async fn page(&self, request: Request<PageRequest>) -> Result<Response<PageReply>, Status> {
        let request = request.into_inner();
        check_version(request.version)?;
        let reply = page(&self.local, self.cluster.view.map().shard_count, &request);
        let reply = reply.map_err(|refusal| Status::invalid_argument(refusal.to_string()))?;
        Ok(Response::new(PageReply { hlc: self.local.clock.latest(), ..reply }))
    }

    type FollowStream = Pin<Box<dyn Stream<Item = Result<FollowReply, Status>> + Send>>;

    async fn follow(&self, request: Request<FollowRequest>) -> Result<Response<Self::FollowStream>, Status> {
        check_version(request.into_inner().version)?;
        let follower = self.marks.follow(self.stop.clone());
        let replies = futures::stream::unfold(follower, |mut follower| async move {
            let reply = follower.next().await?;
            Some((Ok(reply), follower))
        });
        Ok(Response::new(Box::pin(replies)))
    }
}

fn check_version(version: u32) -> Result<(), Status> {
    if version == WIRE_VERSION { Ok(()) } else { Err(Status::failed_precondition("another wire version")) }
}
