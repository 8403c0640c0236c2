//! `rowhouse relay` as pkarr's own clients use it.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;

use pkarr::Keypair;

use super::testnet::{READY_MAX, Testnet, packet, publish, relay_client, resolve};

struct Relay {
    process: Child,
    address: String,
}

impl Relay {
    /// Its DHT is the testnet's.
    fn start(testnet: &Testnet, folder: &Path, flags: &[&str]) -> Self {
        let bootstrap = testnet.ready["dht"][0].as_str().expect("an address");
        let mut process = Command::new(env!("CARGO_BIN_EXE_rowhouse"))
            .args(["relay", "--listen=127.0.0.1:0"])
            .arg(format!("--dht-bootstrap={bootstrap}"))
            .arg(format!("--data-dir={}", folder.join("relay").display()))
            .args(flags)
            .env("RUST_LOG", "info")
            .stderr(Stdio::piped())
            .spawn()
            .expect("the binary runs");
        let log = BufReader::new(process.stderr.take().expect("piped"));
        let (say, said) = mpsc::sync_channel(1);
        // To its end, so that the pipe never fills.
        std::thread::spawn(move || {
            for line in log.lines().map_while(Result::ok) {
                if let Some((_, address)) = line.split_once("the relay answers address=") {
                    drop(say.send(address.trim().to_owned()));
                }
            }
        });
        let address = said.recv_timeout(READY_MAX).expect("it tells its address");
        Self { process, address }
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        // Dead already if the test failed on its end.
        let _dead = self.process.kill();
        let _reaped = self.process.wait();
    }
}

#[tokio::test]
async fn clients_find_what_others_published_whichever_way() {
    let dir = tempfile::tempdir().expect("a folder");
    let testnet = Testnet::start(dir.path());
    let relay = Relay::start(&testnet, dir.path(), &["--trusted=127.0.0.0/8"]);
    let (by_relay, by_dht) = (relay_client(&relay.address), testnet.dht_client());
    let keypair = Keypair::random();
    let key = keypair.public_key();

    assert!(by_relay.resolve(&key, pkarr::ResolvePolicy::NetworkOnly).await.is_err(), "there is none yet");
    let (old, new) = (packet(&keypair, "old"), packet(&keypair, "new"));
    publish(&by_relay, &old).await;
    assert_eq!(resolve(&by_dht, &key).await.as_bytes(), old.as_bytes(), "the relay put it into the DHT");
    publish(&by_dht, &new).await;
    assert_eq!(resolve(&by_relay, &key).await.as_bytes(), new.as_bytes(), "past what the relay remembers");

    assert!(by_relay.publish(&old).await.is_err(), "a packet that is not the newest");
    assert_eq!(resolve(&by_dht, &key).await.as_bytes(), new.as_bytes());
}

/// A pipe that nobody reads takes 64 KiB.
#[tokio::test]
async fn a_log_that_nobody_reads_stops_nobody() {
    let dir = tempfile::tempdir().expect("a folder");
    let testnet = Testnet::start(dir.path());
    let bootstrap = testnet.ready["dht"][0].as_str().expect("an address");
    let port = std::net::TcpListener::bind("127.0.0.1:0").and_then(|free| free.local_addr()).expect("a port");
    let process = Command::new(env!("CARGO_BIN_EXE_rowhouse"))
        .args([
            "relay",
            "--trusted=127.0.0.1",
            &format!("--listen={port}"),
            &format!("--dht-bootstrap={bootstrap}"),
        ])
        .arg(format!("--data-dir={}", dir.path().join("relay").display()))
        .env("RUST_LOG", "trace")
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary runs");
    let relay = Relay { process, address: port.to_string() };
    let http = reqwest::Client::builder().timeout(READY_MAX).build().expect("a client");
    let mut answered = 0;
    let deadline = std::time::Instant::now() + READY_MAX;
    while answered < 300 {
        assert!(std::time::Instant::now() < deadline, "{answered} requests were answered");
        let key = Keypair::random().public_key().to_z32();
        match http.get(format!("http://{}/{key}?policy=NetworkOnly", relay.address)).send().await {
            Ok(response) => answered += usize::from(response.status() == reqwest::StatusCode::NOT_FOUND),
            Err(error) => assert!(error.is_connect(), "{error}"),
        }
    }
}

#[tokio::test]
async fn who_is_not_trusted_has_limits() {
    let dir = tempfile::tempdir().expect("a folder");
    let testnet = Testnet::start(dir.path());
    let key = Keypair::random().public_key();
    for (flag, is_limited) in [("--trusted=192.0.2.0/24", true), ("--trusted=127.0.0.1", false)] {
        let relay = Relay::start(&testnet, dir.path(), &["--requests-per-second=1", flag]);
        let url = format!("http://{}/{}?policy=CacheOnly", relay.address, key.to_z32());
        let http = reqwest::Client::new();
        let mut refused = 0;
        // Far more than ten seconds' worth.
        for _ in 0..60 {
            let response = http.get(&url).send().await.expect("an answer");
            if response.status() == reqwest::StatusCode::TOO_MANY_REQUESTS {
                assert!(response.headers().contains_key("retry-after"));
                refused += 1;
            }
        }
        assert_eq!(refused > 0, is_limited, "{flag}: {refused} of 60");
    }
}
