//! The testnet process keeps what it was given, whatever happens to it.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use pkarr::{Client, Keypair, PublicKey, ResolvePolicy, SignedPacket, Timestamp};

/// Generous: the machine may be compiling meanwhile.
pub const READY_MAX: Duration = Duration::from_secs(60);
pub const ASK_AGAIN: Duration = Duration::from_millis(50);

pub struct Testnet {
    process: Child,
    pub ready: serde_json::Value,
    folder: PathBuf,
}

impl Testnet {
    pub fn start(folder: &Path) -> Self {
        Self::start_on(folder, "0")
    }

    fn start_on(folder: &Path, dht_port: &str) -> Self {
        let ready_file = folder.join("ready.json");
        let mut process = Command::new(env!("CARGO_BIN_EXE_rowhouse"))
            .args(["testnet", "--pkarr-relay-port=0", "--http-relay-port=0"])
            .arg(format!("--dht-port={dht_port}"))
            .arg(format!("--data-dir={}", folder.display()))
            .arg(format!("--ready-file={}", ready_file.display()))
            .stdout(Stdio::null())
            .spawn()
            .expect("the binary runs");
        let deadline = Instant::now() + READY_MAX;
        loop {
            let read = std::fs::read(&ready_file).ok();
            let ready: Option<serde_json::Value> = read.and_then(|bytes| serde_json::from_slice(&bytes).ok());
            if let Some(ready) = ready.filter(|ready| ready["pid"] == process.id()) {
                return Self { process, ready, folder: folder.to_owned() };
            }
            assert_eq!(process.try_wait().expect("its state"), None, "the testnet ended");
            assert!(Instant::now() < deadline, "the testnet did not get ready");
            std::thread::sleep(ASK_AGAIN);
        }
    }

    /// As a power cut would, as far as the process can tell.
    fn kill(mut self) -> PathBuf {
        self.process.kill().expect("SIGKILL");
        self.process.wait().expect("it ends");
        self.folder.clone()
    }

    pub fn dht_client(&self) -> Client {
        let bootstrap = self.ready["dht"][0].as_str().expect("an address").to_owned();
        let mut builder = Client::builder();
        builder.no_default_network().bootstrap(&[bootstrap]);
        // Any but the well-known one: another testnet may want it.
        builder.dht(|dht| {
            dht.port = Some(0);
            dht
        });
        builder.build().expect("a client")
    }

    fn relay_client(&self) -> Client {
        relay_client(self.ready["pkarr_relay"].as_str().expect("an address"))
    }
}

/// A client that knows this relay alone.
pub fn relay_client(address: &str) -> Client {
    let relay = format!("http://{address}");
    let mut builder = Client::builder();
    builder.no_default_network().relays(&[relay.as_str()]).expect("a URL");
    builder.build().expect("a client")
}

impl Drop for Testnet {
    fn drop(&mut self) {
        // Dead already after `kill`.
        let _dead = self.process.kill();
        let _reaped = self.process.wait();
    }
}

pub fn packet(keypair: &Keypair, text: &str) -> SignedPacket {
    SignedPacket::builder()
        .txt("_kept".try_into().expect("a name"), text.try_into().expect("a text"), 300)
        .timestamp(Timestamp::now())
        .sign(keypair)
        .expect("a packet")
}

pub async fn publish(client: &Client, packet: &SignedPacket) {
    let deadline = Instant::now() + READY_MAX;
    while let Err(error) = client.publish(packet).await {
        assert!(Instant::now() < deadline, "cannot publish: {error}");
        tokio::time::sleep(ASK_AGAIN).await;
    }
}

pub async fn resolve(client: &Client, key: &PublicKey) -> SignedPacket {
    let deadline = Instant::now() + READY_MAX;
    loop {
        match client.resolve(key, ResolvePolicy::NetworkOnly).await {
            Ok(packet) => return packet,
            Err(error) => assert!(Instant::now() < deadline, "cannot resolve: {error}"),
        }
        tokio::time::sleep(ASK_AGAIN).await;
    }
}

#[tokio::test]
async fn records_survive_kills_whichever_way_they_came() {
    let dir = tempfile::tempdir().expect("a folder");
    let (by_dht, by_relay) = (Keypair::random(), Keypair::random());
    let old = packet(&by_dht, "old");
    let new = packet(&by_dht, "new");
    let relayed = packet(&by_relay, "relayed");

    let testnet = Testnet::start(dir.path());
    publish(&testnet.dht_client(), &old).await;
    publish(&testnet.dht_client(), &new).await;
    publish(&testnet.relay_client(), &relayed).await;
    let folder = testnet.kill();

    // Twice, so that what was put back is kept as well.
    let testnet = Testnet::start(&folder);
    assert_eq!(testnet.ready["records_restored"], 2);
    let folder = testnet.kill();
    let testnet = Testnet::start(&folder);
    assert_eq!(testnet.ready["records_restored"], 2);
    for client in [testnet.dht_client(), testnet.relay_client()] {
        let found = resolve(&client, &by_dht.public_key()).await;
        assert_eq!(found.as_bytes(), new.as_bytes(), "the newest, byte for byte");
        assert_eq!(resolve(&client, &by_relay.public_key()).await.as_bytes(), relayed.as_bytes());
    }
}

#[tokio::test]
async fn a_client_that_lives_on_finds_the_testnet_again() {
    let dir = tempfile::tempdir().expect("a folder");
    let (early, late) = (Keypair::random(), Keypair::random());
    let testnet = Testnet::start(dir.path());
    let client = testnet.dht_client();
    publish(&client, &packet(&early, "early")).await;
    // Port 0 would move the node clients bootstrap from, which `rowhouse dev` never does.
    let port =
        testnet.ready["dht"][0].as_str().and_then(|address| address.rsplit(':').next()).expect("a port");
    let port = port.to_owned();
    let folder = testnet.kill();
    let testnet = Testnet::start_on(&folder, &port);
    publish(&client, &packet(&late, "late")).await;
    resolve(&client, &early.public_key()).await;
    resolve(&testnet.dht_client(), &late.public_key()).await;
}
