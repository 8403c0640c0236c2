//! The example indexer follows a real cluster whose processes die, is itself stopped and started again, and meets each
//! acknowledged write once and in order.

use std::path::Path;
use std::time::{Duration, Instant};

use rowhouse_chaos_tests::cluster::{Cluster, ClusterOptions};
use rowhouse_chaos_tests::http1::Connection;
use rowhouse_chaos_tests::identity::{Session, User, signup_by_cookie};
use rowhouse_chaos_tests::request::request;

#[path = "../examples/indexer.rs"]
#[expect(dead_code, reason = "the program has a main function of its own")]
mod indexer;

use indexer::{Indexer, Polled};

/// Writes around each kill.
const WRITES: usize = 8;
/// The indexer is dropped and opened anew after so many polls.
const LIFE: usize = 5;
/// A killed process is back, and whatever it led is led by another, long before this.
const RECOVERY: Duration = Duration::from_secs(120);
const PAUSE: Duration = Duration::from_millis(50);

struct Writer {
    user: User,
    session: Session,
    /// Lines of acknowledged writes.
    acknowledged: Vec<String>,
    /// Lines of writes that may have happened.
    unknown: Vec<String>,
    next: usize,
}

impl Writer {
    async fn put(&mut self, cluster: &Cluster) -> bool {
        let path = format!("/pub/indexer/{}", self.next);
        self.next += 1;
        let line = format!("PUT pubky://{}{path}", self.user.z32);
        let gateways = cluster.gateways().expect("gateways");
        let gateway = gateways[self.next % gateways.len()];
        let headers = [(self.session.header, self.session.value.as_str())];
        let target = format!("/storage/{}{path}", self.user.z32);
        let bytes = request("PUT", &target, &gateway.to_string(), &headers, path.as_bytes());
        let exchange = async { Connection::open(gateway, false).await?.exchange(&bytes, false).await };
        let answered = tokio::time::timeout(RECOVERY, exchange).await;
        let done = matches!(&answered, Ok(Ok(response)) if response.status == 201);
        if done {
            self.acknowledged.push(line)
        } else {
            self.unknown.push(line)
        }
        done
    }

    async fn put_several(&mut self, cluster: &Cluster) {
        let deadline = Instant::now() + RECOVERY;
        for _ in 0..WRITES {
            while !self.put(cluster).await {
                assert!(Instant::now() < deadline, "no write goes through");
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}

/// Polls until everything that was acknowledged is told, starting anew now and then.
async fn catch_up(cursor_file: &Path, gateways: &[String], told: &mut Vec<String>, writer: &Writer) {
    let deadline = Instant::now() + RECOVERY;
    while !writer.acknowledged.iter().all(|line| told.contains(line)) {
        let mut indexer = Indexer::open(cursor_file, gateways.to_vec()).expect("a cursor");
        for _ in 0..LIFE {
            let polled = indexer.poll(|event| told.push(event.to_owned())).await.expect("a page");
            match polled {
                Polled::Events(_) => {}
                Polled::Nothing => break,
                Polled::Later(pause) => tokio::time::sleep(pause).await,
            }
        }
        assert!(Instant::now() < deadline, "{} told of {}", told.len(), writer.acknowledged.len());
    }
}

#[tokio::test]
async fn an_indexer_follows_a_cluster_through_restarts() {
    let cluster = Cluster::start(ClusterOptions::default()).await.expect("the cluster starts");
    let addresses = cluster.gateways().expect("gateways");
    let gateways: Vec<String> = addresses.iter().map(|address| format!("http://{address}")).collect();
    let folder = tempfile::tempdir().expect("a folder");
    let cursor_file = folder.path().join("cursor");
    let user = User::random();
    let mut connection = Connection::open(addresses[0], false).await.expect("a gateway");
    let session =
        signup_by_cookie(&mut connection, &addresses[0].to_string(), &user).await.expect("a signup");
    let mut writer = Writer { user, session, acknowledged: Vec::new(), unknown: Vec::new(), next: 0 };
    let mut told = Vec::new();
    for name in ["node-1", "gateway-1", "node-2", "gateway-2", "node-3"] {
        writer.put_several(&cluster).await;
        let killed = cluster.kill(name).expect("it runs");
        catch_up(&cursor_file, &gateways, &mut told, &writer).await;
        writer.put_several(&cluster).await;
        cluster.wait_restarted(name, killed).await.expect("it is started again");
    }
    catch_up(&cursor_file, &gateways, &mut told, &writer).await;
    let sure: Vec<&String> = told.iter().filter(|line| writer.acknowledged.contains(line)).collect();
    assert_eq!(sure, writer.acknowledged.iter().collect::<Vec<_>>(), "each once and in order");
    let known = |line: &&String| writer.acknowledged.contains(line) || writer.unknown.contains(line);
    assert_eq!(told.iter().find(|line| !known(line)), None, "told, and nobody wrote it");
    let kept = std::fs::read_to_string(&cursor_file).expect("a cursor").parse::<u64>();
    assert!(kept.is_ok_and(|cursor| cursor > 0));
}
