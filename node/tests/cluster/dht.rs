//! A DHT on loopback that remembers every put it was asked for.

use std::fmt;
use std::net::{Ipv4Addr, SocketAddrV4, UdpSocket};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures::StreamExt;
use mainline::{Config, RequestFilter, RequestSpecific, ServerSettings};
use pkarr::dns::Name;
use pkarr::dns::rdata::SVCB;
use pkarr::{Keypair, PublicKey, SignedPacket, Timestamp};
use rowhouse_node::network::{Look, Network, PkarrNetwork};
use rowhouse_node::{NodeConfig, PkarrConfig};
use tokio::runtime::Runtime;

use super::harness::{runtime, wait_for};

/// Packets that one client publishes or looks for beside each other.
const AT_ONCE: usize = 64;
/// A client that does not find a record asks again.
const LOOKS: usize = 3;

/// A put as a node of the DHT saw it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Put {
    pub seq: i64,
    pub signature: String,
}

#[derive(Clone, Default)]
struct Recorder(Arc<Mutex<Vec<(String, Put)>>>);

impl fmt::Debug for Recorder {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Recorder")
    }
}

impl RequestFilter for Recorder {
    /// The request's type is not exported: its printed form is the only view of it.
    fn allow_request(&self, request: &RequestSpecific, _: SocketAddrV4) -> bool {
        let printed = format!("{request:?}");
        if let Some((_, put)) = printed.split_once("PutMutable(") {
            let field = |name: &str, end: char| {
                let (_, rest) = put.split_once(&format!(" {name}: ")).expect("a field of a put");
                rest.split(end).next().unwrap_or_default().to_owned()
            };
            let seq = field("seq", ',').parse().expect("a number");
            let put = Put { seq, signature: field("sig", ']') };
            self.0.lock().expect("whole").push((field("k", ']'), put));
        }
        true
    }
}

pub struct TestDht {
    pub addresses: Vec<SocketAddrV4>,
    nodes: Vec<mainline::Dht>,
    recorder: Recorder,
    /// Room for many packets, and puts are not remembered.
    large: bool,
    runtime: Runtime,
}

impl TestDht {
    pub fn start(count: usize) -> Self {
        Self::start_as(count, false)
    }

    /// With room for 50,000 packets. Puts are not remembered.
    pub fn start_large(count: usize) -> Self {
        Self::start_as(count, true)
    }

    fn start_as(count: usize, large: bool) -> Self {
        let sockets: Vec<UdpSocket> =
            (0..count).map(|_| UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port")).collect();
        let port = |socket: &UdpSocket| socket.local_addr().expect("bound").port();
        let addresses =
            sockets.iter().map(|socket| SocketAddrV4::new(Ipv4Addr::LOCALHOST, port(socket))).collect();
        drop(sockets);
        let mut dht =
            Self { addresses, nodes: Vec::new(), recorder: Recorder::default(), large, runtime: runtime() };
        dht.begin();
        dht
    }

    fn begin(&mut self) {
        for address in self.addresses.clone() {
            let others = self.addresses.iter().copied().filter(|other| *other != address).collect::<Vec<_>>();
            let recorder = self.recorder.clone();
            // A node that just ended may hold its port for another moment.
            wait_for("the port of a DHT node", || UdpSocket::bind(address).ok().map(drop));
            self.nodes.push(wait_for("a DHT node", || {
                let config = Config {
                    bootstrap: Some(others.clone()),
                    port: Some(address.port()),
                    bind_address: Some(*address.ip()),
                    server_mode: true,
                    request_timeout: Duration::from_secs(1),
                    server_settings: if self.large {
                        ServerSettings { max_mutable_values: 50_000, ..ServerSettings::default() }
                    } else {
                        ServerSettings { filter: Box::new(recorder.clone()), ..ServerSettings::default() }
                    },
                    ..Config::default()
                };
                mainline::Dht::new(config).ok()
            }));
        }
    }

    /// Nobody answers any more.
    pub fn end(&mut self) {
        self.nodes.clear();
    }

    /// All nodes end, and others that know nothing take their addresses.
    pub fn forget(&mut self) {
        self.end();
        self.begin();
    }

    /// What a node needs to use it, with a short interval between passes.
    pub fn configure(&self, interval: Duration) -> impl Fn(&mut NodeConfig) + 'static {
        let bootstrap: Vec<String> = self.addresses.iter().map(ToString::to_string).collect();
        move |config| {
            config.pkarr.dht_bootstrap = bootstrap.clone();
            config.pkarr.user_republish_interval_s = interval;
            config.pkarr.republish_interval_s = Duration::from_secs(2);
            config.pkarr.users_per_second = 100;
        }
    }

    fn client(&self) -> PkarrNetwork {
        let dht_bootstrap = self.addresses.iter().map(ToString::to_string).collect();
        let config = PkarrConfig { dht_bootstrap, ..PkarrConfig::default() };
        PkarrNetwork::new(&config).expect("valid").expect("a way out")
    }

    /// As a client does that just started.
    pub fn look(&self, key: &PublicKey) -> Look {
        self.runtime.block_on(async { self.client().look(key).await })
    }

    /// Whether a client that just started finds a packet of this time.
    pub fn finds(&self, key: &PublicKey, us: u64) -> bool {
        self.look(key).newest.is_some_and(|packet| packet.timestamp().as_u64() == us)
    }

    pub fn publish(&self, packet: &SignedPacket) {
        wait_for("the DHT to take a packet", || {
            let published = self.runtime.block_on(async {
                let client = self.client();
                let look = client.look(&packet.public_key()).await;
                client.publish(packet, &look).await
            });
            (published.took > 0).then_some(())
        });
    }

    /// Many at once, by one client.
    pub fn publish_all(&self, packets: &[SignedPacket]) {
        let client = &self.client();
        self.runtime.block_on(futures::StreamExt::for_each_concurrent(
            futures::stream::iter(packets),
            AT_ONCE,
            |packet| async move {
                let look = client.look(&packet.public_key()).await;
                client.publish(packet, &look).await;
            },
        ));
    }

    /// How many a client that just started does not find, in as many looks as `LOOKS`, each by another client: datagrams
    /// of a busy machine are lost.
    pub fn lost(&self, packets: &[SignedPacket]) -> usize {
        let mut lost: Vec<&SignedPacket> = packets.iter().collect();
        for look in 1..=LOOKS {
            let (client, asked) = (&self.client(), lost.len());
            lost = self.runtime.block_on(
                futures::stream::iter(lost)
                    .map(|packet| async move {
                        let found = client.look(&packet.public_key()).await.newest;
                        let is_found = found.is_some_and(|found| found.as_bytes() == packet.as_bytes());
                        (!is_found).then_some(packet)
                    })
                    .buffer_unordered(AT_ONCE)
                    .filter_map(std::future::ready)
                    .collect(),
            );
            println!("look {look}: {} of {asked} not found", lost.len());
        }
        lost.len()
    }

    /// Every put of this key so far, in the order in which nodes saw them.
    pub fn puts(&self, key: &PublicKey) -> Vec<Put> {
        let key = format!("{:?}", key.as_bytes());
        let key = key.trim_end_matches(']');
        let puts = self.recorder.0.lock().expect("whole");
        puts.iter().filter(|(of, _)| of == key).map(|(_, put)| put.clone()).collect()
    }
}

/// A user's packet that names a homeserver.
pub fn pointing(user: &Keypair, us: u64, homeserver: &PublicKey) -> SignedPacket {
    let target = homeserver.to_z32();
    let record = SVCB::new(0, Name::new(&target).expect("a name"));
    SignedPacket::builder()
        .timestamp(Timestamp::from(us))
        .https(Name::new("_pubky").expect("a name"), record, 3600)
        .sign(user)
        .expect("signable")
}
