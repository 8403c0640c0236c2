//! `GET /info` for operators: totals summed over shards, each asked once. Signup tokens are not counted
//! here, because the cluster does not hold them yet.

use std::net::IpAddr;
use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use futures::stream::{self, StreamExt, TryStreamExt};
use rowhouse_proto::ErrorCode;
use rowhouse_proto::wire::shard::{ShardStats, Stats, query_reply, query_request};
use serde::Serialize;

use crate::app::App;
use crate::cluster::Call;
use crate::respond::{Rejection, json};

/// Shards asked at once: enough to be quick with 4 096, few enough to leave requests their place.
const CONCURRENCY: usize = 16;
const BYTES_PER_MB: u64 = 1024 * 1024;

/// The state of the admin listener's routes.
pub struct Admin {
    pub app: Arc<App>,
    pub password: String,
    pub address: PublicAddress,
}

/// Where clients find this gateway.
#[derive(Clone)]
pub struct PublicAddress {
    pub ip: IpAddr,
    pub tls_port: u16,
    pub http_port: u16,
    pub icann_domain: Option<String>,
}

#[derive(Serialize)]
struct Info {
    num_users: u64,
    num_disabled_users: u64,
    total_disk_used_mb: u64,
    public_key: String,
    pkarr_pubky_address: Option<String>,
    pkarr_icann_domain: Option<String>,
    version: &'static str,
}

/// `GET /info`: the totals of all shards and where clients find this gateway. Fails when any shard does not answer.
pub async fn info(State(admin): State<Arc<Admin>>) -> Result<Response, Rejection> {
    let app = &admin.app;
    let call = app.cluster.call(None);
    let shards = app.cluster.map().await?.shard_count();
    let total = stream::iter(0..shards)
        .map(|shard| shard_stats(app, &call, shard))
        .buffer_unordered(CONCURRENCY)
        .try_fold(Stats::default(), |total, stats| async move { Ok(sum(total, stats)) })
        .await?;
    let address = &admin.address;
    Ok(json(&Info {
        num_users: total.users,
        num_disabled_users: total.disabled_users,
        // Rounded to the nearest, as operators know it.
        total_disk_used_mb: (total.used_bytes + BYTES_PER_MB / 2) / BYTES_PER_MB,
        public_key: app.homeserver.z32(),
        pkarr_pubky_address: (address.tls_port != 0).then(|| match address.ip {
            IpAddr::V4(ip) => format!("{ip}:{}", address.tls_port),
            IpAddr::V6(ip) => format!("[{ip}]:{}", address.tls_port),
        }),
        pkarr_icann_domain: address
            .icann_domain
            .as_ref()
            .map(|domain| format!("{domain}:{}", address.http_port)),
        version: env!("CARGO_PKG_VERSION"),
    }))
}

async fn shard_stats(app: &App, call: &Call, shard: u32) -> Result<Stats, Rejection> {
    match app.cluster.query(call, shard, query_request::Op::ShardStats(ShardStats {})).await? {
        query_reply::Result::Stats(stats) => Ok(stats),
        _ => Err(ErrorCode::Internal.into()),
    }
}

fn sum(a: Stats, b: Stats) -> Stats {
    Stats {
        users: a.users.saturating_add(b.users),
        disabled_users: a.disabled_users.saturating_add(b.disabled_users),
        used_bytes: a.used_bytes.saturating_add(b.used_bytes),
    }
}
