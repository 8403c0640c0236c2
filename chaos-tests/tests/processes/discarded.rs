//! Large bodies that nobody keeps: replaced ones and uploads that were given up. They fill no disk, change nothing that a
//! reader sees, and their room comes back (docs/rules/storage.md#chunks-follow-rows).

use std::net::SocketAddr;
use std::time::Duration;

use rowhouse_chaos_tests::cluster::{Cluster, ClusterOptions, Kind, wait_until};
use rowhouse_chaos_tests::feed::EventStream;
use rowhouse_chaos_tests::http1::{Connection, Response};
use rowhouse_chaos_tests::identity::{Session, User, signup_by_cookie};
use rowhouse_chaos_tests::request::{head, request};
use rowhouse_proto::UPLOAD_WINDOW_BYTES;
use rowhouse_proto::domain::slot::Slot;
use rowhouse_proto::wire::meta::ObjectStatus;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

const MIB: usize = 1024 * 1024;
/// Long enough to see that old versions add up, short enough to wait for their end.
const GRACE_S: u64 = 10;
const EXPIRY_S: u64 = 4;
/// Nothing here measures time.
const PATIENCE: Duration = Duration::from_secs(240);
const NODES: usize = 3;
/// What the quota counts for a file beside its bytes.
const FILE_BYTES: u64 = 256;
/// The quota of who overwrites without end, in MB, and the overwrites: many times what the disks may hold of them.
const QUOTA_MB: u64 = 2;
const OVERWRITES: usize = 60;
/// A file that is still read when it was replaced: more than sockets and gateway hold together.
const READ_BYTES: usize = 40 * MIB;
/// Uploads that are given up, of each kind.
const ABORTED: usize = 10;
const ABORTED_BYTES: usize = 6 * MIB;
/// A file of chunks is given back once it is so long and little of it counts.
const WASTED_BYTES: u64 = 20 * MIB as u64;
const PASSWORD: (&str, &str) = ("x-admin-password", "admin");
const JSON: (&str, &str) = ("content-type", "application/json");

/// A body that follows from its seed and repeats nowhere.
fn body_of(seed: u8, length: usize) -> Vec<u8> {
    let mut body = vec![0; length];
    blake3::Hasher::new_keyed(&[seed; 32]).finalize_xof().fill(&mut body);
    body
}

struct Person {
    user: User,
    session: Session,
}

struct World {
    cluster: Cluster,
    shards: u32,
    host: String,
}

impl World {
    async fn start() -> Self {
        let environment = [
            ("ROWHOUSE_OBJECTS__UPLOAD_EXPIRY_S", EXPIRY_S),
            ("ROWHOUSE_OBJECTS__GARBAGE_GRACE_S", GRACE_S),
            ("ROWHOUSE_OBJECTS__ORPHAN_AGE_S", 2 * GRACE_S),
        ];
        let environment = environment.map(|(key, value)| (key.to_owned(), value.to_string())).to_vec();
        let options = ClusterOptions { environment, ..ClusterOptions::default() };
        let shards = options.shards;
        let cluster = Cluster::start(options).await.expect("the cluster starts");
        let host = cluster.gateways().expect("gateways")[0].to_string();
        Self { cluster, shards, host }
    }

    fn gateway(&self, number: usize) -> SocketAddr {
        self.cluster.gateways().expect("gateways")[number]
    }

    async fn person(&self) -> Person {
        let user = User::random();
        let mut connection = Connection::open(self.gateway(0), false).await.expect("it listens");
        let session = signup_by_cookie(&mut connection, &self.host, &user).await.expect("signs up");
        Person { user, session }
    }

    async fn send(&self, person: &Person, method: &str, path: &str, body: &[u8]) -> Response {
        let target = format!("/storage/{}{path}", person.user.z32);
        let credentials = [(person.session.header, person.session.value.as_str())];
        let mut connection = Connection::open(self.gateway(1), false).await.expect("it listens");
        let bytes = request(method, &target, &self.host, &credentials, body);
        connection.exchange(&bytes, false).await.expect("an answer")
    }

    async fn operate(&self, method: &str, path: &str, body: &[u8]) -> Response {
        let file = self.cluster.file().expect("a cluster file");
        let admin = file.of_kind(Kind::Gateway).find_map(|gateway| gateway.address("admin").ok());
        let admin = admin.expect("an admin listener");
        let mut connection = Connection::open(admin, false).await.expect("it listens");
        let bytes = request(method, path, &admin.to_string(), &[PASSWORD, JSON], body);
        connection.exchange(&bytes, false).await.expect("an answer")
    }

    async fn used_bytes(&self, person: &Person) -> u64 {
        let told = self.operate("GET", &format!("/users/{}", person.user.z32), b"").await;
        let told: serde_json::Value = serde_json::from_slice(&told.body).expect("JSON");
        told["used_bytes"].as_u64().expect("a number")
    }

    /// What each node says of its chunks.
    async fn chunks(&self) -> Vec<ObjectStatus> {
        let mut told = Vec::new();
        for node in self.cluster.nodes().expect("nodes") {
            told.extend(node.status(false).await.ok().and_then(|status| status.objects));
        }
        told
    }

    /// Bytes of chunks on each node that are not erased.
    async fn stored_bytes(&self) -> Vec<u64> {
        self.chunks().await.iter().map(|chunks| chunks.live_bytes).collect()
    }

    /// Waits until erased chunks take no room to speak of.
    async fn wait_given_back(&self) {
        let mut last = Vec::new();
        let given_back = wait_until(PATIENCE, "the room of erased chunks to come back", async || {
            last = self.chunks().await.iter().map(|chunks| chunks.dead_bytes).collect();
            last.len() == NODES && last.iter().all(|dead| *dead < WASTED_BYTES)
        });
        let given_back = given_back.await;
        assert!(given_back.is_ok(), "{last:?} bytes of erased chunks are on the disks");
    }

    /// Waits until each node holds these bytes, give or take the heads of chunks.
    async fn wait_stored(&self, what: &str, bytes: u64) {
        let mut last = Vec::new();
        let few = bytes + bytes / 20 + 4096;
        let settled = wait_until(PATIENCE, what, async || {
            last = self.stored_bytes().await;
            last.len() == NODES && last.iter().all(|stored| (bytes..=few).contains(stored))
        });
        let settled = settled.await;
        assert!(settled.is_ok(), "{what}: {last:?} where {bytes} should be");
    }

    /// Waits until every node stores more than so many bytes, so that what is given up lies on disks.
    async fn wait_stored_above(&self, bytes: u64) {
        let stored = wait_until(PATIENCE, "what was begun to be on every disk", async || {
            let stored = self.stored_bytes().await;
            stored.len() == NODES && stored.iter().all(|stored| *stored > bytes)
        });
        stored.await.expect("chunks are stored while their upload goes on");
    }

    /// Lines of a user's events, private ones aside.
    async fn events(&self, person: &Person) -> Vec<String> {
        let target = format!("/events-stream?user={}", person.user.z32);
        let bytes = request("GET", &target, &self.host, &[], b"");
        let mut stream = EventStream::open(self.gateway(1), &bytes).await.expect("a stream");
        let events = stream.rest().await.expect("a whole stream");
        events.into_iter().map(|event| format!("{} {:?}", event.path, event.hash)).collect()
    }

    /// The node that leads a user's shard.
    async fn leader(&self, person: &Person) -> String {
        let shard = Slot::of_user(&person.user.public_key()).shard(self.shards);
        let mut leader = String::new();
        wait_until(PATIENCE, "a leader", async || {
            for node in self.cluster.nodes().expect("nodes") {
                let groups = node.status(false).await.map(|status| status.groups).unwrap_or_default();
                if groups.iter().any(|group| group.group == shard && group.role == "leader") {
                    leader = node.name;
                    return true;
                }
            }
            false
        })
        .await
        .expect("a leader");
        leader
    }

    /// A PUT that has sent so many bytes of its body.
    async fn begin(&self, person: &Person, path: &str, sent: usize) -> TcpStream {
        let target = format!("/storage/{}{path}", person.user.z32);
        let length = ABORTED_BYTES.to_string();
        let headers =
            [(person.session.header, person.session.value.as_str()), ("content-length", length.as_str())];
        let mut bytes = head("PUT", &target, &self.host, &headers);
        bytes.extend_from_slice(b"\r\n");
        bytes.resize(bytes.len() + sent, b'x');
        let mut stream = TcpStream::connect(self.gateway(0)).await.expect("it listens");
        stream.write_all(&bytes).await.expect("it is taken");
        stream
    }
}

#[tokio::test]
async fn who_overwrites_without_end_fills_no_disk_and_hinders_nobody() {
    let world = World::start().await;
    let (attacker, bystander) = (world.person().await, world.person().await);
    let path = format!("/users/{}/quota", attacker.user.z32);
    let patch = serde_json::json!({ "storage_quota_mb": QUOTA_MB }).to_string();
    assert_eq!(world.operate("PATCH", &path, patch.as_bytes()).await.status, 200);
    let bound = 3 * QUOTA_MB * MIB as u64 + UPLOAD_WINDOW_BYTES;
    // Chunks have heads.
    let bound = bound + bound / 20;

    let (mut taken, mut refused, mut most) = (0, 0, 0);
    for number in 0..OVERWRITES {
        let body = body_of(u8::try_from(number).expect("few"), MIB);
        let put = world.send(&attacker, "PUT", "/pub/same", &body).await;
        match put.status {
            201 => taken += 1,
            429 | 507 => {
                refused += 1;
                assert!(put.header("retry-after").is_some(), "{}", put.text());
            }
            status => panic!("{status} {}", put.text()),
        }
        let other = world.send(&bystander, "PUT", &format!("/pub/{number}"), &[1; 1024]).await;
        assert_eq!(other.status, 201, "{}", other.text());
        most = world.stored_bytes().await.into_iter().fold(most, u64::max);
        assert!(most <= bound, "{most} bytes on a disk");
    }
    println!("{taken} taken, {refused} refused, at most {most} bytes on a disk");
    assert!(taken > 0 && refused > 0 && most > QUOTA_MB * MIB as u64, "{taken} {refused} {most}");
    assert_eq!(world.used_bytes(&attacker).await, MIB as u64 + FILE_BYTES);

    world.wait_stored("the room to come back", MIB as u64).await;
    let again = world.send(&attacker, "PUT", "/pub/same", &body_of(200, MIB)).await;
    assert_eq!(again.status, 201, "{}", again.text());
}

#[tokio::test]
async fn who_reads_a_file_that_is_replaced_reads_it_to_its_end() {
    let world = World::start().await;
    let person = world.person().await;
    let old = body_of(1, READ_BYTES);
    assert_eq!(world.send(&person, "PUT", "/pub/read", &old).await.status, 201);
    let mut reader = Connection::open(world.gateway(0), false).await.expect("it listens");
    let target = format!("/storage/{}/pub/read", person.user.z32);
    reader.send(&request("GET", &target, &world.host, &[], b"")).await.expect("sent");
    let mut response = Response::default();
    reader.receive_head(&mut response).await.expect("a head");
    for seed in 2..5 {
        assert_eq!(world.send(&person, "PUT", "/pub/read", &body_of(seed, MIB)).await.status, 201);
    }
    reader.receive_body(&mut response, false).await.expect("a whole body");
    assert!(response.body == old, "{} bytes", response.body.len());
    world.wait_stored("the old versions to go", MIB as u64).await;
}

#[tokio::test]
async fn uploads_that_are_given_up_leave_nothing() {
    let world = World::start().await;
    let person = world.person().await;
    let old = body_of(1, 2 * MIB);
    assert_eq!(world.send(&person, "PUT", "/pub/old", &old).await.status, 201);
    world.wait_stored("every copy", old.len() as u64).await;
    let (used, events) = (world.used_bytes(&person).await, world.events(&person).await);
    assert_eq!((used, events.len()), (old.len() as u64 + FILE_BYTES, 1));

    for reset in [true, false] {
        let mut open = vec![world.begin(&person, "/pub/old", ABORTED_BYTES - 1).await];
        for _ in 1..ABORTED {
            open.push(world.begin(&person, "/pub/old", random_cut()).await);
        }
        world.wait_stored_above((old.len() + ABORTED_BYTES / 2) as u64).await;
        for stream in open {
            if reset {
                socket2::SockRef::from(&stream).set_linger(Some(Duration::ZERO)).expect("a socket");
            }
            drop(stream);
        }
    }
    for what in ["gateway-1", "the leader"] {
        let mut open = Vec::new();
        for _ in 0..ABORTED {
            open.push(world.begin(&person, "/pub/old", random_cut()).await);
        }
        let name = if what == "the leader" { world.leader(&person).await } else { what.to_owned() };
        let pid = world.cluster.kill(&name).expect("it ran");
        drop(open);
        world.cluster.wait_ready_again(&name, pid).await.expect("it comes back");
    }

    world.wait_stored("what was sent in vain to go", old.len() as u64).await;
    world.wait_given_back().await;
    assert_eq!(world.used_bytes(&person).await, used);
    assert_eq!(world.events(&person).await, events);
    let read = world.send(&person, "GET", "/pub/old", b"").await;
    assert!(read.status == 200 && read.body == old, "{} of {} bytes", read.status, read.body.len());
}

/// Any number of bytes, never all of them.
fn random_cut() -> usize {
    usize::try_from(rand::random::<u32>()).expect("32 bits") % ABORTED_BYTES
}
