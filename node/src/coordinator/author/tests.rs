use std::sync::Mutex;
use std::time::Duration;

use bytes::Bytes;
use futures::FutureExt;
use futures::future::BoxFuture;
use pkarr::PublicKey;
use rowhouse_proto::lock::lock;
use rowhouse_proto::wire::meta::{GatewayInfo, VantagePoint};
use tokio::task::yield_now;

use super::super::packet::parse;
use super::super::progress::RETRY_MIN;
use super::*;
use crate::clock::TimeSource;
use crate::clock::testing::Records;
use crate::network::{Look, Network, Published};

#[test]
fn a_timestamp_is_above_everything_known() {
    assert_eq!(next_timestamp(100, 0, 0), 100);
    assert_eq!(next_timestamp(100, 100, 0), 101);
    assert_eq!(next_timestamp(100, 150, 0), 151, "a clock that was set back");
    assert_eq!(next_timestamp(100, 150, 300), 301, "a restored backup");
}

#[test]
fn committed_bytes_are_published_unchanged() {
    let keypair = Keypair::from_secret_key(&[3; 32]);
    let signed = sign(&keypair, &[gateway(1)], 42).expect("signable").expect("a gateway");
    assert_eq!(parse(signed.as_bytes()).expect("own packet").as_bytes(), signed.as_bytes());
    let mut forged = signed.as_bytes().to_vec();
    forged[40] ^= 1;
    assert!(parse(&forged).is_err());
    assert!(parse(b"short").is_err());
}

/// Everything waits once before it happens and once behind it, so that an author can be ended at each of its steps.
#[derive(Default)]
struct Fakes {
    map: Mutex<ClusterMap>,
    /// What the network has, the newest.
    holds: Mutex<Option<SignedPacket>>,
    /// Everything that was ever put there, in that order.
    puts: Mutex<Vec<Bytes>>,
    /// Publications that fail first.
    failures: Mutex<usize>,
    /// Nobody answers.
    away: Mutex<bool>,
    /// Looks find nothing, although it is there.
    blind: Mutex<bool>,
}

impl Fakes {
    fn put(&self, packet: &SignedPacket) {
        lock(&self.puts).push(packet.as_bytes().clone());
        *lock(&self.holds) = Some(packet.clone());
    }

    fn timestamps(&self) -> Vec<u64> {
        lock(&self.puts).iter().filter_map(|packet| packet_timestamp_us(packet)).collect()
    }
}

struct FakeNetwork(Arc<Fakes>);

impl Network for FakeNetwork {
    fn look<'a>(&'a self, _: &'a PublicKey) -> BoxFuture<'a, Look> {
        async move {
            yield_now().await;
            if *lock(&self.0.away) {
                return Look::default();
            }
            let held = lock(&self.0.holds).clone().filter(|_| !*lock(&self.0.blind));
            let look = held.map_or_else(Look::nothing, Look::found);
            yield_now().await;
            look
        }
        .boxed()
    }

    fn look_afresh<'a>(&'a self, key: &'a PublicKey) -> BoxFuture<'a, Look> {
        self.look(key)
    }

    fn publish<'a>(&'a self, packet: &'a SignedPacket, _: &'a Look) -> BoxFuture<'a, Published> {
        async move {
            yield_now().await;
            {
                let mut failures = lock(&self.0.failures);
                if *failures > 0 {
                    *failures -= 1;
                    return Published::failed("as told");
                }
            }
            self.0.put(packet);
            yield_now().await;
            Published::stored(20)
        }
        .boxed()
    }

    fn told(&self) -> Vec<VantagePoint> {
        Vec::new()
    }
}

struct FakeLog(Arc<Fakes>);

impl PacketLog for FakeLog {
    fn refresh(&self, map: &mut Option<ClusterMap>) -> Result<(), Error> {
        *map = Some(lock(&self.0.map).clone());
        Ok(())
    }

    async fn commit(&self, command: SetPacket) -> Result<(), Error> {
        yield_now().await;
        {
            let mut map = lock(&self.0.map);
            let stored_us = packet_timestamp_us(&map.packet).unwrap_or(0);
            if packet_timestamp_us(&command.packet).is_none_or(|us| us <= stored_us) {
                return Err(Error::MetaRefused("not newer".to_owned()));
            }
            map.packet = command.packet;
        }
        yield_now().await;
        Ok(())
    }

    async fn is_committed(&self, packet: &Bytes) -> bool {
        yield_now().await;
        let is = lock(&self.0.map).packet == *packet;
        yield_now().await;
        is
    }
}

fn gateway(last: u8) -> GatewayInfo {
    GatewayInfo { public_ip: format!("192.0.2.{last}"), tls_port: 1, http_port: 2, ..GatewayInfo::default() }
}

fn author(fakes: &Arc<Fakes>) -> Author {
    let clock = Clock::open(Arc::new(Records::default()), TimeSource::system()).expect("readable");
    clock.judge_alone();
    let network: Arc<dyn Network> = Arc::new(FakeNetwork(fakes.clone()));
    let keypair = Keypair::from_secret_key(&[3; 32]);
    Author::new(keypair, Arc::new(clock), Some(network), Duration::from_secs(1800))
}

fn packet(author: &Author, gateways: &[GatewayInfo], us: u64) -> SignedPacket {
    sign(&author.keypair, gateways, us).expect("signable").expect("a gateway")
}

/// One gateway, and a packet of it.
fn committed(author: &Author, fakes: &Fakes, us: u64) -> ClusterMap {
    let gateways = vec![gateway(1)];
    let packet = packet(author, &gateways, us).as_bytes().clone();
    let map = ClusterMap { packet, gateways, ..ClusterMap::default() };
    *lock(&fakes.map) = map.clone();
    map
}

#[tokio::test]
async fn a_publish_is_repeated_after_a_failure_and_only_after_the_interval_when_it_went_well() {
    let fakes = Arc::<Fakes>::default();
    *lock(&fakes.failures) = 1;
    let (author, log) = (author(&fakes), FakeLog(fakes.clone()));
    let (map, mut progress) = (committed(&author, &fakes, 42), Progress::new(author.network.clone()));
    author.publish(&log, &map, &mut progress).await;
    assert_eq!(author.record.age_s(u64::MAX), u64::MAX, "it failed");
    assert!(progress.next_publish <= Instant::now() + RETRY_MIN * 2 && progress.retry.failures() == 1);
    progress.next_publish = Instant::now();
    author.publish(&log, &map, &mut progress).await;
    assert!(author.record.age_s(author.clock.physical_us()) < 3600);
    assert!(author.record.known().verified_us > 0 && author.record.known().stored == 20);
    assert!(progress.next_publish > Instant::now() + Duration::from_secs(1000));
    assert_eq!(progress.retry.failures(), 0, "a later failure waits shortly again");
    author.publish(&log, &map, &mut progress).await;
    assert_eq!(*lock(&fakes.puts), std::slice::from_ref(&map.packet));
}

#[tokio::test]
async fn what_nobody_else_finds_is_published_again_soon() {
    let fakes = Arc::<Fakes>::default();
    *lock(&fakes.blind) = true;
    let (author, log) = (author(&fakes), FakeLog(fakes.clone()));
    let (map, mut progress) = (committed(&author, &fakes, 42), Progress::new(author.network.clone()));
    author.publish(&log, &map, &mut progress).await;
    assert_eq!(author.record.known().verified_us, 0);
    assert!(progress.next_publish < Instant::now() + Duration::from_secs(600));
}

#[tokio::test]
async fn an_older_packet_than_the_networks_is_not_published_but_signed_over_once() {
    let fakes = Arc::<Fakes>::default();
    let (author, log) = (author(&fakes), FakeLog(fakes.clone()));
    let (map, mut progress) = (committed(&author, &fakes, 42), Progress::new(author.network.clone()));
    let far_us = author.clock.physical_us() * 2;
    *lock(&fakes.holds) = Some(packet(&author, &[gateway(9)], far_us));
    author.publish(&log, &map, &mut progress).await;
    assert!(lock(&fakes.puts).is_empty());
    author.author(&log, &map, &mut progress).await;
    let map = lock(&fakes.map).clone();
    assert_eq!(packet_timestamp_us(&map.packet), Some(far_us + 1));
    author.publish(&log, &map, &mut progress).await;
    assert_eq!(fakes.timestamps(), [far_us + 1]);
}

#[tokio::test]
async fn two_clusters_with_one_key_raise_an_alert_and_do_not_fight() {
    let fakes = Arc::<Fakes>::default();
    let (author, log) = (author(&fakes), FakeLog(fakes.clone()));
    let (map, mut progress) = (committed(&author, &fakes, 42), Progress::new(author.network.clone()));
    author.publish(&log, &map, &mut progress).await;
    assert_eq!(fakes.timestamps(), [42]);
    let other = packet(&author, &[gateway(9)], 77);
    *lock(&fakes.holds) = Some(other);
    for last in 1..5 {
        progress.next_publish = Instant::now();
        // Its gateways change as well, which is no reason to strike back.
        lock(&fakes.map).gateways = vec![gateway(last)];
        let map = lock(&fakes.map).clone();
        author.author(&log, &map, &mut progress).await;
        author.publish(&log, &map, &mut progress).await;
    }
    assert!(author.record.known().foreign);
    assert_eq!(fakes.timestamps(), [42], "nothing was published over it");
    assert_eq!(packet_timestamp_us(&lock(&fakes.map).packet), Some(42), "nor signed");
    *lock(&fakes.holds) = None;
    progress.next_publish = Instant::now();
    author.publish(&log, &map, &mut progress).await;
    assert!(!author.record.known().foreign, "it has gone");
    assert_eq!(fakes.timestamps(), [42, 42]);
}

#[tokio::test]
async fn equal_timestamps_with_other_bytes_are_signed_over() {
    let fakes = Arc::<Fakes>::default();
    let (author, log) = (author(&fakes), FakeLog(fakes.clone()));
    let (map, mut progress) = (committed(&author, &fakes, 42), Progress::new(author.network.clone()));
    *lock(&fakes.holds) = Some(packet(&author, &[gateway(9)], 42));
    author.publish(&log, &map, &mut progress).await;
    assert!(progress.behind && lock(&fakes.puts).is_empty());
}

#[tokio::test]
async fn nothing_is_published_before_a_gateway_answers_or_a_packet_is_committed() {
    let fakes = Arc::<Fakes>::default();
    let (author, log) = (author(&fakes), FakeLog(fakes.clone()));
    let whole = committed(&author, &fakes, 42);
    let no_gateway = ClusterMap { gateways: Vec::new(), ..whole.clone() };
    let no_packet = ClusterMap { packet: Bytes::new(), ..whole };
    for map in [no_gateway, no_packet] {
        author.publish(&log, &map, &mut Progress::new(author.network.clone())).await;
    }
    assert!(lock(&fakes.puts).is_empty());
}

#[tokio::test]
async fn a_deposed_author_publishes_nothing() {
    let fakes = Arc::<Fakes>::default();
    let (author, log) = (author(&fakes), FakeLog(fakes.clone()));
    let (map, mut progress) = (committed(&author, &fakes, 42), Progress::new(author.network.clone()));
    committed(&author, &fakes, 43);
    author.publish(&log, &map, &mut progress).await;
    assert!(lock(&fakes.puts).is_empty(), "other bytes are committed by now");
}

#[tokio::test]
async fn gateways_that_cannot_be_signed_leave_the_committed_packet_and_its_publication() {
    let fakes = Arc::<Fakes>::default();
    let (author, log) = (author(&fakes), FakeLog(fakes.clone()));
    let (mut map, mut progress) = (committed(&author, &fakes, 42), Progress::new(author.network.clone()));
    map.gateways[0].icann_domain = "-x.example".into();
    assert!(author.sign(&map, 43, &mut progress).is_none());
    assert_eq!(progress.left_out, 1);
    author.publish(&log, &map, &mut progress).await;
    assert_eq!(*lock(&fakes.puts), std::slice::from_ref(&map.packet));
}

/// Lets a leadership run for so many polls and then ends it where it stands, as a killed process ends.
async fn lead_for(author: &Author, fakes: &Arc<Fakes>, polls: usize) {
    let log = FakeLog(fakes.clone());
    let mut leadership = Box::pin(author.lead(&log));
    for _ in 0..polls {
        if futures::poll!(&mut leadership).is_ready() {
            unreachable!("a leadership does not end by itself");
        }
        tokio::time::advance(Duration::from_millis(250)).await;
    }
}

/// Enough for signing, committing, publishing, verifying, and another change of the gateways.
const POLLS: usize = 120;

#[tokio::test(start_paused = true)]
async fn an_author_that_is_killed_at_any_step_leaves_no_two_packets_of_one_time_and_none_that_is_older() {
    let mut published = 0;
    for killed_after in 0..POLLS {
        let fakes = Arc::<Fakes>::default();
        lock(&fakes.map).gateways = vec![gateway(1)];
        for (round, polls) in [killed_after, killed_after / 2, POLLS].into_iter().enumerate() {
            // A new process: another clock, and nothing remembered.
            let author = author(&fakes);
            lead_for(&author, &fakes, polls).await;
            lock(&fakes.map).gateways.push(gateway(10 + round as u8));
            lead_for(&author, &fakes, polls / 3).await;
        }
        let puts = lock(&fakes.puts).clone();
        for pair in puts.windows(2) {
            let (before, after) = (packet_timestamp_us(&pair[0]), packet_timestamp_us(&pair[1]));
            assert!(
                pair[0] == pair[1] || before < after,
                "killed after {killed_after}: {:?}",
                fakes.timestamps()
            );
        }
        let last = puts.last().expect("the last leadership is long enough");
        assert_eq!(*last, lock(&fakes.map).packet, "killed after {killed_after}: what is committed gets out");
        published += puts.len();
    }
    assert!(published > 3 * POLLS, "most leaderships came to publishing");
}

#[tokio::test(start_paused = true)]
async fn the_packet_is_out_within_a_minute_of_the_networks_return() {
    let fakes = Arc::<Fakes>::default();
    *lock(&fakes.away) = true;
    let author = author(&fakes);
    committed(&author, &fakes, 42);
    let log = FakeLog(fakes.clone());
    let back = async {
        tokio::time::sleep(Duration::from_secs(3600)).await;
        *lock(&fakes.away) = false;
        let returned = Instant::now();
        while lock(&fakes.puts).is_empty() {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        returned.elapsed()
    };
    let took = tokio::select! {
        took = back => took,
        _ = author.lead(&log) => unreachable!("a leadership does not end by itself"),
    };
    assert!(took < Duration::from_secs(60), "{took:?}");
    assert!(author.record.failures() > 100);
}

#[tokio::test(start_paused = true)]
async fn what_is_signed_over_another_packet_is_published_in_the_same_turn() {
    let fakes = Arc::<Fakes>::default();
    let author = author(&fakes);
    committed(&author, &fakes, 42);
    *lock(&fakes.holds) = Some(packet(&author, &[gateway(9)], 77));
    // Far less than the pause after a packet of another cluster.
    lead_for(&author, &fakes, 100).await;
    assert!(!author.record.known().foreign, "the newer one is its own");
    assert!(fakes.timestamps().last().is_some_and(|us| *us > 77), "{:?}", fakes.timestamps());
}
