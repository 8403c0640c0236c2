//! The unmodified SDK while processes die around it, and after everything was started again.

use std::time::{Duration, Instant};

use pubky::{ClientId, Keypair, Pubky, PublicKey};
use rowhouse_chaos_tests::cluster::{Cluster, ClusterOptions};

#[path = "sdk/client.rs"]
mod client;

use client::{homeserver, sdk};

/// A killed process is back, and whatever it led is led by another, long before this.
const RECOVERY: Duration = Duration::from_secs(90);
/// Writes before and after each kill.
const WRITES: usize = 5;

fn client_id() -> ClientId {
    ClientId::new("restarts.test").expect("well formed")
}

/// A client that knows nothing yet reads the file through PKARR.
async fn stranger_reads(cluster: &Cluster, user: &PublicKey, path: &str, expected: &str) {
    let deadline = Instant::now() + RECOVERY;
    loop {
        let address = format!("pubky://{}{path}", user.z32());
        let read =
            async { sdk(cluster).public_storage().get(&address).await?.text().await.map_err(Into::into) };
        let read: pubky::Result<String> = read.await;
        match read {
            Ok(text) => return assert_eq!(text, expected, "{path}"),
            Err(error) => assert!(Instant::now() < deadline, "{path}: {error}"),
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

async fn signin(pubky: &Pubky, keypair: &Keypair) -> pubky::PubkySession {
    let deadline = Instant::now() + RECOVERY;
    loop {
        match pubky.signer(keypair.clone()).signin(client_id()).await {
            Ok(session) => return session,
            Err(error) => assert!(Instant::now() < deadline, "sign-in: {error}"),
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn writes_go_on_whatever_is_killed() {
    let cluster = Cluster::start(ClusterOptions::default()).await.expect("the cluster starts");
    let pubky = sdk(&cluster);
    let signer = pubky.signer(Keypair::random());
    signer.signup(&homeserver(&cluster), None).await.expect("signup");
    let session = signer.signin(client_id()).await.expect("sign-in");
    let names: Vec<String> =
        cluster.file().expect("components").components.into_iter().map(|component| component.name).collect();
    let mut acknowledged = Vec::new();
    for name in &names {
        let killed = cluster.kill(name).expect("it runs");
        let deadline = Instant::now() + RECOVERY;
        let mut failures = 0;
        for number in 0..WRITES {
            let path = format!("/pub/restarts/{name}/{number}");
            // A request in flight on the killed process may fail; the next ones go through another.
            while let Err(error) = session.storage().put(&path, path.clone()).await {
                failures += 1;
                assert!(Instant::now() < deadline, "no write after the kill of {name}: {error}");
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
            acknowledged.push(path);
        }
        println!("{name} killed: {failures} writes failed before {WRITES} went through");
        cluster.wait_restarted(name, killed).await.expect("it is started again");
    }
    for path in &acknowledged {
        let text =
            session.storage().get(path).await.expect("an acknowledged file").text().await.expect("a body");
        assert_eq!(&text, path);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn everything_is_there_after_a_restart() {
    let mut cluster = Cluster::start(ClusterOptions::default()).await.expect("the cluster starts");
    let keypair = Keypair::random();
    let user = keypair.public_key();
    let session = {
        let pubky = sdk(&cluster);
        let signer = pubky.signer(keypair.clone());
        signer.signup(&homeserver(&cluster), None).await.expect("signup");
        signer.signin(client_id()).await.expect("sign-in")
    };
    session.storage().put("/pub/restarts/before", "before").await.expect("a write");

    // The network's records outlive the process that holds them.
    let killed = cluster.kill("testnet").expect("it runs");
    cluster.wait_restarted("testnet", killed).await.expect("it is started again");
    stranger_reads(&cluster, &user, "/pub/restarts/before", "before").await;

    cluster.stop().expect("a clean end");
    cluster.start_again().await.expect("the cluster starts on its own data");
    stranger_reads(&cluster, &user, "/pub/restarts/before", "before").await;
    let again = signin(&sdk(&cluster), &keypair).await;
    again.storage().put("/pub/restarts/after", "after").await.expect("a write after the restart");
    stranger_reads(&cluster, &user, "/pub/restarts/after", "after").await;
}
