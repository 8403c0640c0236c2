//! A disk that neither writes nor fails (docs/rules/storage.md#a-disk-that-hangs). The thread that writes a node's log is
//! stopped alone, as by a sync that does not end; everything else of the process goes on.
//!
//! Where nobody may trace a process, it says why and proves nothing.

use std::io::Write;
use std::sync::mpsc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use nix::sys::ptrace;
use nix::sys::wait::{WaitPidFlag, waitpid};
use nix::unistd::Pid;
use rowhouse_chaos_tests::cluster::{Cluster, ClusterOptions, NodeClient, wait_until};
use rowhouse_chaos_tests::http1::Connection;
use rowhouse_chaos_tests::identity::{Session, User, signup_many};
use rowhouse_chaos_tests::request::request;
use rowhouse_chaos_tests::survival::scans;

/// Enough to have one in most of the shards.
const USERS: usize = 16;
/// Far above any failover; nothing here measures time.
const PATIENCE: Duration = Duration::from_secs(120);
/// The thread, as the kernel names it.
const WRITER: &str = "raft-log";

/// A thread that stands still until it is let go.
struct Stopped {
    let_go: mpsc::SyncSender<()>,
    tracer: JoinHandle<()>,
}

impl Stopped {
    /// Stops the thread that writes the log of this process. One thread has to trace it from beginning to end.
    fn writer_of(pid: u32) -> Result<Self, String> {
        let thread = thread_of(pid)?;
        let (let_go, wait) = mpsc::sync_channel(1);
        let (say, stopped) = mpsc::sync_channel(1);
        let tracer = std::thread::spawn(move || {
            let attached = ptrace::attach(thread).and_then(|()| waitpid(thread, Some(WaitPidFlag::__WALL)));
            let is_stopped = attached.is_ok();
            drop(say.send(attached.map(drop).map_err(|error| error.to_string())));
            if is_stopped {
                // The other end is dropped when it is to go on.
                let _dropped = wait.recv();
                ptrace::detach(thread, None).expect("it is traced from here");
            }
        });
        stopped.recv().map_err(|error| error.to_string())??;
        Ok(Self { let_go, tracer })
    }

    fn go_on(self) {
        drop(self.let_go);
        self.tracer.join().expect("the tracer ends");
    }
}

fn thread_of(pid: u32) -> Result<Pid, String> {
    let threads = std::fs::read_dir(format!("/proc/{pid}/task")).map_err(|error| error.to_string())?;
    let is_writer = |path: &std::path::Path| {
        std::fs::read_to_string(path.join("comm")).is_ok_and(|name| name.trim() == WRITER)
    };
    let writer = threads.flatten().map(|thread| thread.path()).find(|path| is_writer(path));
    let id = writer.and_then(|path| path.file_name()?.to_str()?.parse().ok());
    id.map(Pid::from_raw).ok_or_else(|| format!("process {pid} has no thread {WRITER}"))
}

struct World {
    cluster: Cluster,
    connection: Connection,
    host: String,
    users: Vec<(User, Session)>,
    written: usize,
}

impl World {
    async fn start() -> Self {
        let cluster = Cluster::start(ClusterOptions::default()).await.expect("the cluster starts");
        let gateway = cluster.gateways().expect("gateways")[0];
        let host = gateway.to_string();
        let mut connection = Connection::open(gateway, false).await.expect("the gateway listens");
        let users = signup_many(&mut connection, &host, USERS).await.expect("all sign up");
        Self { cluster, connection, host, users, written: 0 }
    }

    /// One write of each user, and a read of it. A gateway that waited for the node that hangs says 503.
    async fn all_are_served(&mut self) {
        for user in 0..USERS {
            self.written += 1;
            let path = format!("/pub/hung/{}", self.written);
            let deadline = Instant::now() + PATIENCE;
            while self.send("PUT", user, &path).await != 201 {
                assert!(Instant::now() < deadline, "{path} is not written");
            }
            assert_eq!(self.send("GET", user, &path).await, 200, "{path}");
        }
    }

    async fn send(&mut self, method: &str, user: usize, path: &str) -> u16 {
        let (user, session) = &self.users[user];
        let target = format!("/storage/{}{path}", user.z32);
        let credentials = [(session.header, session.value.as_str())];
        let body = if method == "PUT" { b"body".as_slice() } else { b"" };
        let bytes = request(method, &target, &self.host, &credentials, body);
        let response = self.connection.exchange(&bytes, false).await.expect("the gateway answers");
        assert!([200, 201, 503].contains(&response.status), "{} {}", response.status, response.text());
        response.status
    }
}

async fn leads(node: &NodeClient) -> usize {
    let status = node.status(false).await.expect("it answers");
    status.groups.iter().filter(|group| group.role == "leader").count()
}

#[tokio::test]
async fn others_lead_while_the_log_of_a_node_hangs() {
    let mut world = World::start().await;
    world.all_are_served().await;
    let mut nodes = world.cluster.nodes().expect("nodes");
    let groups = nodes[0].map().await.expect("a map").groups.len();
    let mut busiest = (0, 0);
    for (index, node) in nodes.iter().enumerate() {
        busiest = busiest.max((leads(node).await, index));
    }
    assert!(busiest.0 > 0, "somebody leads");
    let victim = nodes.swap_remove(busiest.1);
    let pid = world.cluster.component(&victim.name).expect("a node").pid.expect("it runs");
    let stopped = match Stopped::writer_of(pid) {
        Ok(stopped) => stopped,
        Err(reason) => {
            // Past the harness, which keeps what a test that passes prints.
            let _unheard = writeln!(
                std::io::stderr(),
                "SKIPPED: the test of a disk that hangs traces a process. {reason}"
            );
            return;
        }
    };

    world.all_are_served().await;
    wait_until(PATIENCE, "the others to lead everything", async || {
        let mut led = 0;
        for node in &nodes {
            led += leads(node).await;
        }
        led == groups
    })
    .await
    .expect("two of three nodes elect");
    let told = victim.status(false).await.expect("it answers, all the same");
    assert!(told.log_hangs, "it knows why it leads nothing");
    wait_until(PATIENCE, "the others to call it away", async || {
        let map = nodes[0].map().await.expect("a map");
        let life = map.nodes.iter().find(|node| node.node_uuid == told.node_uuid).and_then(|node| node.life);
        life.is_some_and(|life| life.away_since_ms != 0)
    })
    .await
    .expect("a node that writes nothing is to be replaced");
    world.all_are_served().await;

    stopped.go_on();
    wait_until(PATIENCE, "the disk to answer", async || {
        victim.status(false).await.is_ok_and(|status| !status.log_hangs)
    })
    .await
    .expect("it goes on");
    world.all_are_served().await;
    let hashes = scans(&world.cluster).await.expect("replicas settle");
    assert!(hashes.violations().is_empty() && hashes.compared() > 0, "{:?}", hashes.violations());
    assert_eq!(world.cluster.component(&victim.name).expect("a node").pid, Some(pid), "nobody died of it");
}
