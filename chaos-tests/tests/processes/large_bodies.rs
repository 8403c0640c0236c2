//! Large bodies over real processes: of every size by the unmodified SDK, and with machines that die in the
//! midst of them.

use std::collections::BTreeMap;
use std::time::Duration;

use pubky::{ClientId, Keypair};
use rowhouse_chaos_tests::cluster::{Cluster, ClusterOptions, wait_until};
use rowhouse_chaos_tests::http1::{Connection, Response};
use rowhouse_chaos_tests::identity::{Session, User, signup_by_cookie};
use rowhouse_chaos_tests::request::{head, request};
use rowhouse_proto::domain::slot::Slot;

#[path = "../sdk/client.rs"]
mod client;

use client::{homeserver, sdk};

const KIB: usize = 1024;
const MIB: usize = 1024 * KIB;
/// Names the largest body in MiB, for runs by hand; memory is what bounds it here, not there.
const LARGEST_VARIABLE: &str = "ROWHOUSE_LARGEST_MIB";
const LARGEST_MIB: usize = 20;
/// Far above any failover; nothing here measures time.
const PATIENCE: Duration = Duration::from_secs(120);

/// A body that follows from its seed and repeats nowhere.
fn body_of(seed: u8, length: usize) -> Vec<u8> {
    let mut body = vec![0; length];
    blake3::Hasher::new_keyed(&[seed; 32]).finalize_xof().fill(&mut body);
    body
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_sdk_writes_and_reads_back_bodies_of_every_size() {
    let cluster = Cluster::start(ClusterOptions::default()).await.expect("the cluster starts");
    let signer = sdk(&cluster).signer(Keypair::random());
    signer.signup(&homeserver(&cluster), None).await.expect("signs up");
    let client_id = ClientId::new("large.test").expect("well formed");
    let session = signer.signin(client_id).await.expect("signs in");
    let (storage, public) = (session.storage(), sdk(&cluster).public_storage());
    let largest =
        std::env::var(LARGEST_VARIABLE).ok().and_then(|mib| mib.parse().ok()).unwrap_or(LARGEST_MIB);
    let sizes = [1, 64 * KIB, 64 * KIB + 1, MIB - 1, MIB, MIB + 1, 5 * MIB + 7, largest * MIB];
    let mut hashes = BTreeMap::new();
    for (size, seed) in sizes.into_iter().zip(0..) {
        let body = body_of(seed, size);
        hashes.insert(size, blake3::hash(&body));
        storage
            .put(format!("/pub/large/{size}"), body)
            .await
            .unwrap_or_else(|error| panic!("{size}: {error}"));
    }
    for (size, hash) in hashes {
        let address = format!("pubky{}/pub/large/{size}", signer.public_key().z32());
        let body = public.get(&address).await.expect("an answer").bytes().await.expect("a whole body");
        assert!(body.len() == size && blake3::hash(&body) == hash, "{size}");
        let stats = storage.stats(format!("/pub/large/{size}")).await.expect("an answer").expect("a file");
        assert_eq!(stats.content_length, Some(size as u64));
    }
}

struct World {
    cluster: Cluster,
    host: String,
    user: User,
    session: Session,
    shard: u32,
}

impl World {
    async fn start() -> Self {
        let options = ClusterOptions::default();
        let shards = options.shards;
        let cluster = Cluster::start(options).await.expect("the cluster starts");
        let gateway = cluster.gateways().expect("gateways")[0];
        let host = gateway.to_string();
        let mut connection = Connection::open(gateway, false).await.expect("the gateway listens");
        let user = User::random();
        let session = signup_by_cookie(&mut connection, &host, &user).await.expect("signs up");
        let shard = Slot::of_user(&user.public_key()).shard(shards);
        Self { cluster, host, user, session, shard }
    }

    async fn connect(&self, gateway: usize) -> Connection {
        let address = self.cluster.gateways().expect("gateways")[gateway];
        Connection::open(address, false).await.expect("the gateway listens")
    }

    /// Kills the node that leads the user's shard; its name and pid.
    async fn kill_leader(&self) -> (String, u32) {
        let mut leader = None;
        wait_until(PATIENCE, "a leader", async || {
            for node in self.cluster.nodes().expect("nodes") {
                let groups = node.status(false).await.map(|status| status.groups).unwrap_or_default();
                if groups.iter().any(|group| group.group == self.shard && group.role == "leader") {
                    leader = Some(node.name);
                }
            }
            leader.is_some()
        })
        .await
        .expect("a leader");
        let leader = leader.expect("a leader");
        let pid = self.cluster.kill(&leader).expect("killed");
        (leader, pid)
    }

    fn target(&self, path: &str) -> String {
        format!("/storage/{}{path}", self.user.z32)
    }

    async fn get(&self, gateway: usize, path: &str) -> Response {
        let mut connection = self.connect(gateway).await;
        let bytes = request("GET", &self.target(path), &self.host, &[], b"");
        connection.exchange(&bytes, false).await.expect("an answer")
    }

    /// The first half of a PUT.
    async fn begin(&self, path: &str, body: &[u8]) -> Connection {
        let mut connection = self.connect(0).await;
        let length = body.len().to_string();
        let headers = [(self.session.header, self.session.value.as_str()), ("content-length", &length)];
        let mut bytes = head("PUT", &self.target(path), &self.host, &headers);
        bytes.extend_from_slice(b"\r\n");
        connection.send(&bytes).await.expect("sent");
        connection.send(&body[..body.len() / 2]).await.expect("sent");
        connection
    }
}

#[tokio::test]
async fn a_leader_that_dies_in_mid_upload_costs_nothing() {
    let world = World::start().await;
    let body = body_of(1, 9 * MIB + 5);
    let mut upload = world.begin("/pub/upload", &body).await;
    let (leader, pid) = world.kill_leader().await;
    upload.send(&body[body.len() / 2..]).await.expect("sent");
    let mut response = Response::default();
    upload.receive(&mut response, false).await.expect("an answer");
    assert_eq!(response.status, 201, "{}", response.text());
    for gateway in [0, 1] {
        let read = world.get(gateway, "/pub/upload").await;
        assert!(read.status == 200 && read.body == body, "{} of {} bytes", read.status, read.body.len());
    }
    // The one that was away completes its copy.
    world.cluster.wait_restarted(&leader, pid).await.expect("it starts again");
    wait_until(PATIENCE, "every copy", async || {
        let mut complete = 0;
        for node in world.cluster.nodes().expect("nodes") {
            let status = node.status(true).await.ok();
            let held = status.as_ref().and_then(|status| status.objects?.held);
            let missing =
                status.map(|status| status.groups.iter().map(|group| group.objects_missing).sum::<u64>());
            complete += usize::from(held == Some(1) && missing == Some(0));
        }
        complete == 3
    })
    .await
    .expect("every copy");
}

#[tokio::test]
async fn a_node_that_dies_in_mid_download_costs_nothing() {
    let world = World::start().await;
    // More than sockets and gateway hold together: most of it is still on the nodes when one dies.
    let body = body_of(2, 40 * MIB);
    let mut upload = world.begin("/pub/download", &body).await;
    upload.send(&body[body.len() / 2..]).await.expect("sent");
    let mut response = Response::default();
    upload.receive(&mut response, false).await.expect("an answer");
    assert_eq!(response.status, 201, "{}", response.text());

    let mut download = world.connect(1).await;
    download
        .send(&request("GET", &world.target("/pub/download"), &world.host, &[], b""))
        .await
        .expect("sent");
    world.kill_leader().await;
    download.receive(&mut response, false).await.expect("a whole body");
    assert!(response.status == 200 && response.body == body, "{} bytes", response.body.len());
}

#[tokio::test]
async fn an_upload_that_ends_early_leaves_the_old_file() {
    let world = World::start().await;
    let (old, new) = (body_of(3, 2 * MIB), body_of(4, 6 * MIB));
    let mut upload = world.begin("/pub/file", &old).await;
    upload.send(&old[old.len() / 2..]).await.expect("sent");
    let mut response = Response::default();
    upload.receive(&mut response, false).await.expect("an answer");
    assert_eq!(response.status, 201, "{}", response.text());

    let mut broken = world.begin("/pub/file", &new).await;
    broken.finish_sending().await.expect("closed");
    broken.receive(&mut response, false).await.expect("an answer");
    assert_eq!((response.status, response.text().as_str()), (400, "Stream broken"));
    drop(world.begin("/pub/file", &new).await);
    let read = world.get(1, "/pub/file").await;
    assert!(read.status == 200 && read.body == old);
}
