//! Tells the coordinator that this gateway answers, so that its address may be published. Starts after
//! both listeners accept; repeats, because an address that falls silent is taken out; and takes the address
//! back before the listeners close.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use rowhouse_proto::META_GROUP;
use rowhouse_proto::wire::meta::AnnounceGatewayRequest;
use tokio::net::TcpStream;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tonic::Code;

use crate::cluster::{Cluster, Map, Node};

/// The coordinator lets go of an address after six of these.
const INTERVAL: Duration = Duration::from_secs(10);
/// After a failure: leaders change within a second or two.
const RETRY_INTERVAL: Duration = Duration::from_secs(1);
/// While the address is taken back: there is no time to lose.
const LEAVE_RETRY_INTERVAL: Duration = Duration::from_millis(200);
/// One answer of the meta leader, which commits to its log.
const TIMEOUT: Duration = Duration::from_secs(5);
/// For taking the address back. The coordinator would miss it anyway; whoever stops a gateway should not
/// wait long for a cluster that is gone.
const LEAVE_TIMEOUT: Duration = Duration::from_secs(3);
/// A redirect, its correction, and one more for an election in between.
const HOPS_MAX: usize = 3;

/// The task that announces this gateway. It runs until it has taken the address back.
pub struct Announcer(TaskTracker);

impl Announcer {
    /// Announces until `leaving`, then takes the address back, within a bounded time; `end` ends it on
    /// the spot.
    pub fn start(
        cluster: Arc<Cluster>,
        listeners: [SocketAddr; 2],
        request: AnnounceGatewayRequest,
        leaving: CancellationToken,
        end: CancellationToken,
    ) -> Self {
        let task = TaskTracker::new();
        task.spawn(async move {
            tokio::select! {
                () = end.cancelled() => {}
                () = announce(&cluster, listeners, request, leaving) => {}
            }
        });
        task.close();
        Self(task)
    }

    /// Returns when the address was taken back, or the time for it is over.
    pub async fn left(&self) {
        self.0.wait().await;
    }
}

async fn announce(
    cluster: &Cluster,
    listeners: [SocketAddr; 2],
    request: AnnounceGatewayRequest,
    leaving: CancellationToken,
) {
    // From the first attempt on: it may have been accepted although its answer never came.
    let mut may_be_known = false;
    let repeat = async {
        loop {
            let mut answer = Answer::NotNow;
            if answers(listeners).await {
                may_be_known = true;
                answer = announce_once(cluster, &request).await;
            }
            tokio::time::sleep(if answer == Answer::NotNow { RETRY_INTERVAL } else { INTERVAL }).await;
        }
    };
    tokio::select! {
        () = leaving.cancelled() => {}
        () = repeat => {}
    }
    if may_be_known {
        take_back(cluster, AnnounceGatewayRequest { leaving: true, ..request }).await;
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Answer {
    Accepted,
    /// No packet can carry this address: asking sooner changes nothing.
    Refused,
    NotNow,
}

async fn take_back(cluster: &Cluster, request: AnnounceGatewayRequest) {
    let asking = async {
        while announce_once(cluster, &request).await != Answer::Accepted {
            tokio::time::sleep(LEAVE_RETRY_INTERVAL).await;
        }
    };
    if tokio::time::timeout(LEAVE_TIMEOUT, asking).await.is_err() {
        tracing::warn!("this gateway's address was not taken back; it leaves when it has been silent");
    }
}

async fn answers(listeners: [SocketAddr; 2]) -> bool {
    for address in listeners {
        if TcpStream::connect(address).await.is_err() {
            tracing::warn!(%address, "own listener does not answer");
            return false;
        }
    }
    true
}

async fn announce_once(cluster: &Cluster, request: &AnnounceGatewayRequest) -> Answer {
    let Some(map) = cluster.map_now() else { return Answer::NotNow };
    let candidates = candidates(&map);
    let leader = map.group(META_GROUP).and_then(|group| group.leader());
    let Some(mut index) = leader.or_else(|| rand::random_range(0..candidates.len().max(1)).into()) else {
        return Answer::NotNow;
    };
    for _ in 0..HOPS_MAX {
        let Some(node) = candidates.get(index) else { return Answer::NotNow };
        let mut meta = node.meta();
        let sending = meta.announce_gateway(request.clone());
        let reply = match tokio::time::timeout(TIMEOUT, sending).await {
            Ok(Ok(reply)) => reply.into_inner(),
            Ok(Err(status)) if status.code() == Code::InvalidArgument => {
                tracing::warn!(why = status.message(), "the cluster cannot publish this gateway's address");
                return Answer::Refused;
            }
            _ => {
                forget(&map, index);
                return Answer::NotNow;
            }
        };
        if reply.accepted {
            if let Some(group) = map.group(META_GROUP) {
                group.set_leader(index);
            }
            return Answer::Accepted;
        }
        forget(&map, index);
        match candidates.iter().position(|node| node.uuid() == reply.leader_node) {
            Some(hinted) if hinted != index => index = hinted,
            _ => return Answer::NotNow,
        }
    }
    Answer::NotNow
}

/// The meta group's replicas and the one on its way in; every node while the map does not name them.
fn candidates(map: &Map) -> Vec<Arc<Node>> {
    let places = map.group(META_GROUP).map(|group| group.places()).unwrap_or_default();
    if places.is_empty() { map.nodes().map(Arc::clone).collect() } else { places.to_vec() }
}

fn forget(map: &Map, index: usize) {
    if let Some(group) = map.group(META_GROUP) {
        group.forget_leader(index);
    }
}
