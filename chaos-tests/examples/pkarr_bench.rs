//! Looks up and publishes many packets on a local DHT: as the reference's republisher does it, and as ours does.
//!
//! `pkarr_bench [KEYS] [DHT_NODES] [IN_FLIGHT] [SOCKETS]`. The DHT runs in a process of its own, so that the CPU told is the publisher's alone. A
//! key counts when at least 10 nodes stored it. Numbers are in docs/benchmarks.md.

use std::io::{BufRead, BufReader, Write};
use std::net::{Ipv4Addr, SocketAddrV4, UdpSocket};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use mainline::{Config, Dht, ServerSettings};
use pkarr::dns::Name;
use pkarr::dns::rdata::SVCB;
use pkarr::{Client, Keypair, ResolvePolicy, SignedPacket, Timestamp};
use rowhouse_node::PkarrConfig;
use rowhouse_node::network::{Network, PkarrNetwork};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

/// The reference's republisher has so many workers, each with a client of its own.
const WORKERS: usize = 12;
/// As in node/src/republish/republisher.rs.
const IN_FLIGHT: usize = 48;
const SOCKETS: usize = 12;
/// Fewer copies do not count.
const STORED_MIN: usize = 10;
const RECORDS_MAX: usize = 50_000;
/// One warms up and is not told.
const ROUNDS: usize = 4;

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let number = |n: usize, default| args.get(n).and_then(|text| text.parse().ok()).unwrap_or(default);
    if args.first().is_some_and(|first| first == "dht") {
        return serve_dht(number(1, 30));
    }
    let (keys, nodes) = (number(0, 600), number(1, 30));
    let (in_flight, sockets) = (number(2, IN_FLIGHT), number(3, SOCKETS));
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    runtime.block_on(bench(keys, nodes, in_flight, sockets));
}

fn serve_dht(count: usize) {
    let sockets: Vec<UdpSocket> =
        (0..count).map(|_| UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port")).collect();
    let ports: Vec<u16> = sockets.iter().map(|socket| socket.local_addr().expect("bound").port()).collect();
    drop(sockets);
    let address = |port: &u16| SocketAddrV4::new(Ipv4Addr::LOCALHOST, *port);
    let nodes: Vec<Dht> = ports
        .iter()
        .map(|port| {
            let config = Config {
                bootstrap: Some(ports.iter().filter(|other| *other != port).map(address).collect()),
                port: Some(*port),
                bind_address: Some(Ipv4Addr::LOCALHOST),
                server_mode: true,
                server_settings: ServerSettings {
                    max_mutable_values: RECORDS_MAX,
                    ..ServerSettings::default()
                },
                ..Config::default()
            };
            Dht::new(config).expect("a DHT node")
        })
        .collect();
    std::thread::sleep(Duration::from_secs(3));
    let all: Vec<String> = ports.iter().map(|port| address(port).to_string()).collect();
    println!("{}", all.join(" "));
    std::io::stdout().flush().expect("read");
    // Until the other end closes.
    std::io::stdin().lines().for_each(drop);
    drop(nodes);
}

async fn bench(keys: usize, nodes: usize, in_flight: usize, sockets: usize) {
    let mut dht = Command::new(std::env::current_exe().expect("a file"))
        .args(["dht", &nodes.to_string()])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("started");
    let mut line = String::new();
    BufReader::new(dht.stdout.take().expect("piped")).read_line(&mut line).expect("told");
    let bootstrap: Vec<String> = line.split_whitespace().take(3).map(str::to_owned).collect();
    println!(
        "{keys} keys, {nodes} DHT nodes, {in_flight} in flight by {sockets} sockets, {} CPUs",
        std::thread::available_parallelism().expect("told")
    );
    // In turn, so that what else the machine does hits both alike.
    for round in 0..ROUNDS {
        let (first, second) = (packets(keys, 2 * round), packets(keys, 2 * round + 1));
        let reference = measured(reference(first, &bootstrap)).await;
        let ours = measured(ours(second, &bootstrap, in_flight, sockets)).await;
        if round > 0 {
            println!("reference {}\nours      {}", told(reference, keys), told(ours, keys));
            println!("ratio     {:.1}", ours.per_second() / reference.per_second());
        }
    }
    drop(dht.stdin.take());
    dht.wait().expect("ended");
}

#[derive(Clone, Copy)]
struct Measured {
    counted: usize,
    took: Duration,
    cpu: Duration,
}

impl Measured {
    fn per_second(&self) -> f64 {
        self.counted as f64 / self.took.as_secs_f64()
    }
}

fn told(measured: Measured, keys: usize) -> String {
    let cpu_ms = measured.cpu.as_secs_f64() * 1e3 / keys as f64;
    let rate = measured.per_second();
    format!("{:.1} keys/s, {cpu_ms:.2} ms CPU a key, {} of {keys} counted", rate, measured.counted)
}

async fn measured(work: impl Future<Output = usize>) -> Measured {
    let (began, cpu) = (Instant::now(), cpu());
    let counted = work.await;
    Measured { counted, took: began.elapsed(), cpu: self::cpu() - cpu }
}

/// Of this process, user and system, as the kernel counts it: in hundredths of a second.
fn cpu() -> Duration {
    let stat = std::fs::read_to_string("/proc/self/stat").expect("told");
    let (_, fields) = stat.rsplit_once(')').expect("a name");
    let ticks = |n: usize| fields.split_whitespace().nth(n).and_then(|text| text.parse::<u64>().ok());
    Duration::from_millis(10 * (ticks(11).expect("user") + ticks(12).expect("system")))
}

fn packets(count: usize, batch: usize) -> Vec<SignedPacket> {
    let home = Keypair::from_secret_key(&[5; 32]).public_key().to_z32();
    (0..count)
        .map(|n| {
            let mut secret = [1; 32];
            secret[..8].copy_from_slice(&(n as u64).to_be_bytes());
            secret[8..16].copy_from_slice(&(batch as u64 ^ u64::from(std::process::id())).to_be_bytes());
            SignedPacket::builder()
                .timestamp(Timestamp::now())
                .https(
                    Name::new("_pubky").expect("a name"),
                    SVCB::new(0, Name::new(&home).expect("a name")),
                    3600,
                )
                .sign(&Keypair::from_secret_key(&secret))
                .expect("signable")
        })
        .collect()
}

/// 12 workers, each with a client of its own: cache, network, publication, key by key.
async fn reference(packets: Vec<SignedPacket>, bootstrap: &[String]) -> usize {
    let (counted, next, packets) =
        (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)), Arc::new(packets));
    let mut workers = JoinSet::new();
    for _ in 0..WORKERS {
        let mut builder = Client::builder();
        builder.no_default_network().bootstrap(bootstrap).dht(|dht| {
            dht.port = Some(0);
            dht
        });
        let client = builder.build().expect("a client");
        let (counted, next, packets) = (counted.clone(), next.clone(), packets.clone());
        workers.spawn(async move {
            while let Some(packet) = packets.get(next.fetch_add(1, Ordering::Relaxed)) {
                let key = packet.public_key();
                drop(client.resolve(&key, ResolvePolicy::CacheOnly).await);
                drop(client.resolve(&key, ResolvePolicy::NetworkOnly).await);
                if client.publish(packet).await.is_ok_and(|stored| stored as usize >= STORED_MIN) {
                    counted.fetch_add(1, Ordering::Relaxed);
                }
            }
        });
    }
    workers.join_all().await;
    counted.load(Ordering::Relaxed)
}

/// A few clients for all, and many keys beside each other.
async fn ours(packets: Vec<SignedPacket>, bootstrap: &[String], in_flight: usize, sockets: usize) -> usize {
    let config = PkarrConfig { dht_bootstrap: bootstrap.to_vec(), ..PkarrConfig::default() };
    let network = Arc::new(PkarrNetwork::with_sockets(&config, sockets).expect("valid").expect("a way out"));
    let slots = Arc::new(Semaphore::new(in_flight));
    let mut checks = JoinSet::new();
    for packet in packets {
        let slot = slots.clone().acquire_owned().await.expect("open");
        let network = network.clone();
        checks.spawn(async move {
            let look = network.look(&packet.public_key()).await;
            let published = network.publish(&packet, &look).await;
            drop(slot);
            published.stored >= STORED_MIN
        });
    }
    checks.join_all().await.into_iter().filter(|counted| *counted).count()
}
