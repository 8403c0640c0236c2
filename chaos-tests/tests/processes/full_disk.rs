//! A disk that runs full: under one node, under two, and under one to its very end
//! (docs/rules/storage.md#a-full-disk-is-met-early).
//!
//! Needs a tmpfs in a mount namespace; where nobody may make one, it says why and proves nothing.

use std::collections::BTreeMap;
use std::io::Write;
use std::time::{Duration, Instant};

use rowhouse_chaos_tests::cluster::{Cluster, ClusterOptions, Disk, Kind, SmallDisk, mountable, wait_until};
use rowhouse_chaos_tests::http1::{Connection, Response};
use rowhouse_chaos_tests::identity::{Session, User, session_cookie, signup_many};
use rowhouse_chaos_tests::request::request;
use rowhouse_chaos_tests::survival::scans;

const MIB: u64 = 1024 * 1024;
/// Room for a node and all that this test writes.
const DISK_MIB: u32 = 320;
/// Below the mark of nodes under `rowhouse dev` (64 MiB), far from the end.
const LEFT_WHEN_LOW: u64 = 40 * MIB;
/// Enough to have one in most of the shards.
const USERS: usize = 8;
/// Nearly the largest inline body: the disk that is to run full does so soon.
const LARGE_BYTES: usize = 60_000;
/// Far above any failover, restart or ping; nothing here measures time.
const PATIENCE: Duration = Duration::from_secs(120);
const NODES: usize = 3;
const FIRST: &str = "node-1";
const SECOND: &str = "node-2";

struct World {
    cluster: Cluster,
    connection: Connection,
    host: String,
    users: Vec<(User, Session)>,
    /// Acknowledged writes: user and path to body. No path is written twice.
    kept: BTreeMap<(usize, String), Vec<u8>>,
    written: usize,
}

impl World {
    async fn start() -> Self {
        let disks = [FIRST, SECOND].map(|name| SmallDisk { component: name.into(), mib: DISK_MIB });
        let options = ClusterOptions { disks: disks.to_vec(), ..ClusterOptions::default() };
        let cluster = Cluster::start(options).await.expect("the cluster starts");
        let gateway = cluster.gateways().expect("gateways")[0];
        let host = gateway.to_string();
        let mut connection = Connection::open(gateway, false).await.expect("the gateway listens");
        let users = signup_many(&mut connection, &host, USERS).await.expect("all sign up");
        Self { cluster, connection, host, users, kept: BTreeMap::new(), written: 0 }
    }

    async fn send(&mut self, method: &str, user: usize, path: &str, body: &[u8]) -> Response {
        let (user, session) = &self.users[user];
        let target = format!("/storage/{}{path}", user.z32);
        let credentials = [(session.header, session.value.as_str())];
        let bytes = request(method, &target, &self.host, &credentials, body);
        self.connection.exchange(&bytes, false).await.expect("the gateway answers")
    }

    /// LOCK or UNLOCK of the first user.
    async fn lock_method(&mut self, method: &str, path: &str, header: (&str, &str)) -> Response {
        let (user, session) = &self.users[0];
        let (target, cookie) = (format!("/storage/{}{path}", user.z32), session.value.clone());
        self.ask(method, &target, &[("cookie", &cookie), header], b"").await
    }

    /// A request that is about no file.
    async fn ask(&mut self, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Response {
        let bytes = request(method, path, &self.host, headers, body);
        self.connection.exchange(&bytes, false).await.expect("the gateway answers")
    }

    /// A request of the operator.
    async fn operate(&self, method: &str, path: &str) -> Response {
        let file = self.cluster.file().expect("a cluster file");
        let admin = file.of_kind(Kind::Gateway).find_map(|gateway| gateway.address("admin").ok());
        let admin = admin.expect("an admin listener");
        let mut connection = Connection::open(admin, false).await.expect("it listens");
        let bytes = request(method, path, &admin.to_string(), &[("x-admin-password", "admin")], b"");
        connection.exchange(&bytes, false).await.expect("an answer")
    }

    /// A write to a new path, remembered if it is acknowledged.
    async fn put(&mut self, user: usize, length: usize) -> Response {
        self.written += 1;
        let path = format!("/pub/disk/{}", self.written);
        let body = vec![self.written.to_le_bytes()[0]; length];
        let response = self.send("PUT", user, &path, &body).await;
        if response.status == 201 {
            self.kept.insert((user, path), body);
        }
        response
    }

    /// Writes once for each user; whether all were answered with this status.
    async fn all_answer(&mut self, status: u16) -> bool {
        let mut all = true;
        for user in 0..USERS {
            all &= self.put(user, 100).await.status == status;
        }
        all
    }

    /// A leader elected a moment ago may not have heard yet that another node has room again: until it has,
    /// it tells clients to come back.
    async fn put_in_time(&mut self, user: usize, length: usize) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let response = self.put(user, length).await;
            if response.status == 201 {
                return;
            }
            assert_eq!(response.status, 507, "{}", response.text());
            assert!(Instant::now() < deadline, "writes are not taken again");
        }
    }

    async fn all_are_taken(&mut self) {
        for user in 0..USERS {
            self.put_in_time(user, 100).await;
        }
    }

    async fn reads_go_on(&mut self) {
        for ((user, path), body) in self.kept.clone() {
            let response = self.send("GET", user, &path, b"").await;
            assert_eq!(response.status, 200, "{path}: {}", response.text());
            assert!(response.body == body, "{path} has another body");
        }
        let listing = self.send("GET", 0, "/pub/disk/", b"").await;
        assert_eq!(listing.status, 200, "{}", listing.text());
    }

    async fn wait_low(&self, node: &str, low: bool) {
        let nodes = self.cluster.nodes().expect("nodes");
        let node = nodes.into_iter().find(|known| known.name == node).expect("the node");
        wait_until(PATIENCE, &format!("{} to report low space: {low}", node.name), async || {
            node.status(false).await.is_ok_and(|status| status.low_space == low)
        })
        .await
        .expect("the mark follows the disk");
    }

    fn pids(&self) -> Vec<Option<u32>> {
        let pid = |n| self.cluster.component(&format!("node-{n}")).expect("a node").pid;
        (1..=NODES).map(pid).collect()
    }

    fn dev_log(&self) -> String {
        let log = std::fs::read(self.cluster.data_dir().join("dev.log")).expect("a log");
        String::from_utf8_lossy(&log).into_owned()
    }
}

/// A component may take room at the same moment.
async fn fill(disk: &Disk, left: u64) {
    wait_until(PATIENCE, "the disk to be full", async || disk.fill(left).is_ok()).await.expect("fills");
}

#[tokio::test]
async fn a_full_disk_stops_new_writes_before_it_stops_the_node() {
    if let Err(reason) = mountable() {
        // Past the harness, which keeps what a test that passes prints.
        let _unheard = writeln!(std::io::stderr(), "SKIPPED: the test of a full disk needs one. {reason}");
        return;
    }
    let mut world = World::start().await;
    assert!(world.all_answer(201).await);
    let pids = world.pids();

    one_of_three(&mut world).await;
    two_of_three(&mut world).await;
    assert_eq!(world.pids(), pids, "nobody died of it");
    // The log meets the end in the midst of large writes, applied state at its next flush.
    to_the_end(&mut world, 0, LARGE_BYTES).await;
    to_the_end(&mut world, 1, 1).await;

    world.reads_go_on().await;
    let hashes = scans(&world.cluster).await.expect("replicas settle");
    assert!(hashes.violations().is_empty() && hashes.compared() > 0, "{:?}", hashes.violations());
}

/// A quorum has room: everything goes on.
async fn one_of_three(world: &mut World) {
    fill(&world.cluster.disk(FIRST), LEFT_WHEN_LOW).await;
    world.wait_low(FIRST, true).await;
    for _ in 0..5 {
        assert!(world.all_answer(201).await, "one low disk of three is borne");
    }
    world.reads_go_on().await;
}

/// No quorum has room: what grows is refused, what does not goes on, and room ends it.
async fn two_of_three(world: &mut World) {
    let locked = world.lock_method("LOCK", "/pub/disk/locked", ("timeout", "Infinite")).await;
    let token = locked.header("lock-token").expect("a lock");
    fill(&world.cluster.disk(SECOND), LEFT_WHEN_LOW).await;
    world.wait_low(SECOND, true).await;
    let deadline = Instant::now() + PATIENCE;
    while !world.all_answer(507).await {
        assert!(Instant::now() < deadline, "writes are still taken");
    }
    let refused = world.put(0, 1).await;
    assert_eq!(refused.text(), "The server is out of disk space, retry later");
    assert_eq!(refused.header("retry-after").as_deref(), Some("5"));
    world.reads_go_on().await;
    let (user, path) = world.kept.keys().next().expect("something was written").clone();
    let deleted = world.send("DELETE", user, &path, b"").await;
    assert_eq!(deleted.status, 204, "{}", deleted.text());
    world.kept.remove(&(user, path));
    let refused = world.lock_method("LOCK", "/pub/disk/other", ("timeout", "Infinite")).await;
    assert_eq!(refused.status, 507, "a new lock adds a row");
    // It may have expired by now, and can be given up all the same.
    let unlocked = world.lock_method("UNLOCK", "/pub/disk/locked", ("lock-token", &token)).await;
    assert_eq!(unlocked.status, 204, "{}", unlocked.text());
    accounts_go_on(world).await;

    world.cluster.disk(SECOND).empty().expect("there is a filler");
    world.wait_low(SECOND, false).await;
    world.all_are_taken().await;
}

/// People come and go meanwhile, and an operator shuts one out: none of it needs room to speak of. A sign-in may be
/// refused as writes are, and then says so.
async fn accounts_go_on(world: &mut World) {
    let (user, session) = &world.users[0];
    let (z32, token, cookie) = (user.z32.clone(), user.auth_token(), session.value.clone());
    let signin = world.ask("POST", "/session", &[], &token).await;
    match signin.status {
        200 => {
            let second = session_cookie(&signin, &world.users[0].0).expect("a cookie").value;
            let credentials = [("pubky-host", z32.as_str()), ("cookie", second.as_str())];
            assert_eq!(world.ask("GET", "/session", &credentials, b"").await.status, 200);
            let logout = world.ask("DELETE", "/session", &credentials, b"").await;
            assert_eq!(logout.status, 200, "{}", logout.text());
            let after = world.ask("GET", "/session", &credentials, b"").await;
            assert_eq!(after.status, 401, "a session that was logged out");
        }
        503 | 507 => assert!(signin.header("retry-after").is_some(), "{}", signin.text()),
        status => panic!("a sign-in: {status} {}", signin.text()),
    }
    let credentials = [("pubky-host", z32.as_str()), ("cookie", cookie.as_str())];
    assert_eq!(world.ask("GET", "/session", &credentials, b"").await.status, 200, "who was here stays");

    let last = world.users.len() - 1;
    let path = format!("/users/{}", world.users[last].0.z32);
    assert_eq!(world.operate("POST", &format!("{path}/disable")).await.status, 200);
    let told: serde_json::Value =
        serde_json::from_slice(&world.operate("GET", &path).await.body).expect("JSON");
    assert_eq!(told["disabled"], true, "{told}");
    assert_eq!(world.operate("POST", &format!("{path}/enable")).await.status, 200);
}

/// Not a byte is left: that node ends and says so, the others go on, and it returns once there is room.
async fn to_the_end(world: &mut World, index: usize, write_bytes: usize) {
    let name = [FIRST, SECOND][index];
    let disk = world.cluster.disk(name);
    let victim = world.pids()[index].expect("it runs");
    let deadline = Instant::now() + PATIENCE;
    while world.pids()[index] == Some(victim) {
        // It fails where the node took the room first, which serves as well.
        let _taken = disk.fill(0);
        for user in 0..USERS {
            world.put_in_time(user, write_bytes).await;
        }
        assert!(Instant::now() < deadline, "{} bytes free, and it runs", disk.free_bytes().expect("a disk"));
    }
    let told = format!("{name} ended (");
    wait_until(PATIENCE, &told, async || world.dev_log().contains(&told)).await.expect("its parent says so");
    // The others have room.
    world.all_are_taken().await;

    disk.empty().expect("there is a filler");
    world.cluster.wait_restarted(name, victim).await.expect("it starts again");
    world.wait_low(name, false).await;
    world.all_are_taken().await;
}
