use std::sync::Mutex;

use futures::FutureExt;
use futures::future::BoxFuture;
use pkarr::PublicKey;
use pkarr::errors::ResolveError;
use rowhouse_proto::wire::meta::GatewayInfo;

use super::*;
use crate::clock::TimeSource;
use crate::clock::testing::Records;

#[test]
fn a_timestamp_is_above_everything_known() {
    assert_eq!(next_timestamp(100, 0, 0), 100);
    assert_eq!(next_timestamp(100, 100, 0), 101);
    assert_eq!(next_timestamp(100, 150, 0), 151, "a clock that was set back");
    assert_eq!(next_timestamp(100, 150, 300), 301, "a restored backup");
}

#[test]
fn committed_bytes_are_published_unchanged() {
    let gateway =
        GatewayInfo { public_ip: "127.0.0.1".into(), tls_port: 1, http_port: 2, ..GatewayInfo::default() };
    let keypair = Keypair::from_secret_key(&[3; 32]);
    let signed = sign(&keypair, &[gateway], 42).expect("signable").expect("a gateway");
    assert_eq!(parse(signed.as_bytes()).expect("own packet").as_bytes(), signed.as_bytes());
    let mut forged = signed.as_bytes().to_vec();
    forged[40] ^= 1;
    assert!(parse(&forged).is_err());
    assert!(parse(b"short").is_err());
}

#[test]
fn never_published_is_told_from_long_ago() {
    let record = PublishRecord::default();
    assert_eq!(record.age_s(5), u64::MAX);
    record.last_us.store(1_000_000, Ordering::Relaxed);
    assert_eq!(record.age_s(4_000_000), 3);
}

/// Answers publishes as told, and remembers them.
#[derive(Default)]
struct FakeNetwork {
    answers: Mutex<Vec<Result<usize, PublishError>>>,
    published: Mutex<Vec<Bytes>>,
    newest_us: Option<u64>,
}

impl Publisher for FakeNetwork {
    fn publish(&self, packet: SignedPacket) -> BoxFuture<'_, Result<usize, PublishError>> {
        self.published.lock().expect("not poisoned").push(packet.as_bytes().clone());
        let answer = self.answers.lock().expect("not poisoned").pop().unwrap_or(Ok(1));
        async move { answer }.boxed()
    }

    fn newest_us(&self, _: PublicKey) -> BoxFuture<'_, Result<Option<u64>, ResolveError>> {
        async move { Ok(self.newest_us) }.boxed()
    }
}

fn author() -> Author {
    let clock = Clock::open(Arc::new(Records::default()), TimeSource::system()).expect("readable");
    clock.judge_alone();
    Author {
        keypair: Keypair::from_secret_key(&[3; 32]),
        clock: Arc::new(clock),
        open: Arc::new(|| None),
        republish_interval: Duration::from_secs(1800),
        record: PublishRecord::default(),
    }
}

fn fresh(network: &Arc<FakeNetwork>) -> Progress {
    Progress::new(Some(network.clone()))
}

fn map(author: &Author) -> ClusterMap {
    let gateway =
        GatewayInfo { public_ip: "127.0.0.1".into(), tls_port: 1, http_port: 2, ..GatewayInfo::default() };
    let packet =
        sign(&author.keypair, std::slice::from_ref(&gateway), 42).expect("signable").expect("a gateway");
    ClusterMap { packet: packet.as_bytes().clone(), gateways: vec![gateway], ..ClusterMap::default() }
}

#[tokio::test]
async fn a_publish_is_repeated_after_a_failure_and_only_after_the_interval_when_it_went_well() {
    let network = Arc::new(FakeNetwork {
        answers: Mutex::new(vec![Err(PublishError::NoResponses)]),
        ..FakeNetwork::default()
    });
    let author = author();
    let (map, mut progress) = (map(&author), fresh(&network));
    author.publish(&map, &mut progress).await;
    assert_eq!(author.record.age_s(u64::MAX), u64::MAX, "it failed");
    assert!(progress.next_publish <= Instant::now() + RETRY_MIN && progress.retry.failures() == 1);
    progress.next_publish = Instant::now();
    author.publish(&map, &mut progress).await;
    assert!(author.record.age_s(author.clock.physical_us()) < 3600);
    assert!(progress.next_publish > Instant::now() + Duration::from_secs(1000));
    assert_eq!(progress.retry.failures(), 0, "a later failure waits shortly again");
    author.publish(&map, &mut progress).await;
    assert_eq!(*network.published.lock().expect("not poisoned"), [map.packet.clone(), map.packet.clone()]);
}

#[tokio::test]
async fn an_older_packet_than_the_networks_is_not_published_but_signed_over_once() {
    let network = Arc::new(FakeNetwork { newest_us: Some(9_000), ..FakeNetwork::default() });
    let author = author();
    let (map, mut progress) = (map(&author), fresh(&network));
    author.publish(&map, &mut progress).await;
    assert_eq!(progress.network_us, 9_000, "the next one is signed above it");
    assert!(network.published.lock().expect("not poisoned").is_empty());
    progress.overtaken = true;
    author.publish(&map, &mut progress).await;
    assert_eq!(network.published.lock().expect("not poisoned").len(), 1, "then it goes on, and alarms");
}

#[tokio::test]
async fn nothing_is_published_before_a_gateway_answers_or_a_packet_is_committed() {
    let network = Arc::<FakeNetwork>::default();
    let author = author();
    let committed = map(&author);
    let no_gateway = ClusterMap { gateways: Vec::new(), ..committed.clone() };
    let no_packet = ClusterMap { packet: Bytes::new(), ..committed };
    for map in [no_gateway, no_packet] {
        author.publish(&map, &mut fresh(&network)).await;
    }
    assert!(network.published.lock().expect("not poisoned").is_empty());
}

#[tokio::test]
async fn gateways_that_cannot_be_signed_leave_the_committed_packet_and_its_publication() {
    let network = Arc::<FakeNetwork>::default();
    let author = author();
    let (mut map, mut progress) = (map(&author), fresh(&network));
    map.gateways[0].icann_domain = "-x.example".into();
    assert!(author.sign(&map, 43, &mut progress).is_none());
    assert_eq!(progress.left_out, 1);
    author.publish(&map, &mut progress).await;
    assert_eq!(*network.published.lock().expect("not poisoned"), [map.packet.clone()]);
}

#[tokio::test(start_paused = true)]
async fn a_gateway_that_is_soon_back_moves_nothing_and_one_that_is_gone_leaves_in_the_end() {
    let keypair = Keypair::from_secret_key(&[3; 32]);
    let packet = |addresses: &[&str], timestamp_us| {
        let gateway = |address: &&str| GatewayInfo {
            public_ip: (*address).into(),
            tls_port: 1,
            http_port: 2,
            ..GatewayInfo::default()
        };
        let gateways: Vec<GatewayInfo> = addresses.iter().map(gateway).collect();
        sign(&keypair, &gateways, timestamp_us).expect("signable").expect("a gateway")
    };
    let (both, one, three) = (
        packet(&["192.0.2.1", "192.0.2.2"], 1),
        packet(&["192.0.2.1"], 2),
        packet(&["192.0.2.1", "192.0.2.2", "192.0.2.3"], 3),
    );
    let committed = both.as_bytes().clone();
    let mut progress = Progress::new(None);
    for _ in 0..10 {
        assert!(!progress.is_settled(&committed, &one), "it left");
        tokio::time::advance(LEAVING_QUIET - LOOK_EVERY).await;
        assert!(!progress.is_settled(&committed, &one));
        assert!(!progress.is_settled(&committed, &both), "it is back");
        tokio::time::advance(LOOK_EVERY).await;
    }
    assert!(!progress.is_settled(&committed, &one));
    tokio::time::advance(LEAVING_QUIET).await;
    assert!(progress.is_settled(&committed, &one));

    assert!(!progress.is_settled(&committed, &three));
    tokio::time::advance(QUIET).await;
    assert!(progress.is_settled(&committed, &three), "a new one does not wait as long");
    assert!(!progress.is_settled(&Bytes::new(), &one));
    tokio::time::advance(FIRST_QUIET).await;
    assert!(progress.is_settled(&Bytes::new(), &one));
}
