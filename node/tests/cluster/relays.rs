//! Relays that do all they can to hold a publisher up.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use pkarr::{Keypair, SignedPacket};
use rowhouse_node::PkarrConfig;
use rowhouse_node::network::{Look, Network, PkarrNetwork};

use super::dht::TestDht;

const KEYS: u8 = 20;
/// One at first, and one after each pause, which doubles.
const REQUESTS_MAX: usize = 6;
/// What fits into the buffers of one connection, and far less than an endless body.
const BYTES_MAX: usize = 64 * 1024 * 1024;

/// A relay that treats every connection so; its address, and how often it was asked.
fn relay(treat: fn(TcpStream, &str) -> usize) -> (String, Arc<AtomicUsize>, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = format!("http://{}", listener.local_addr().expect("bound"));
    let (asked, sent) = (Arc::<AtomicUsize>::default(), Arc::<AtomicUsize>::default());
    let (count, bytes, own) = (asked.clone(), sent.clone(), address.clone());
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            count.fetch_add(1, Ordering::Relaxed);
            let (bytes, own) = (bytes.clone(), own.clone());
            std::thread::spawn(move || bytes.fetch_add(treat(stream, &own), Ordering::Relaxed));
        }
    });
    (address, asked, sent)
}

fn answer(mut stream: TcpStream, head: &str) -> usize {
    let mut request = [0; 4096];
    let read = stream.read(&mut request);
    let written = stream.write_all(format!("HTTP/1.1 {head}\r\nContent-Length: 0\r\n\r\n").as_bytes());
    usize::from(read.is_ok() && written.is_ok())
}

fn hang(mut stream: TcpStream, _: &str) -> usize {
    // Until the other end gives up.
    while stream.read(&mut [0; 4096]).is_ok_and(|read| read > 0) {}
    0
}

fn redirect(stream: TcpStream, own: &str) -> usize {
    answer(stream, &format!("302 Found\r\nLocation: {own}/again"))
}

fn refuse(stream: TcpStream, _: &str) -> usize {
    answer(stream, "429 Too Many Requests\r\nRetry-After: 3600")
}

fn send_without_end(mut stream: TcpStream, _: &str) -> usize {
    let mut request = [0; 4096];
    drop(stream.read(&mut request));
    let status = if request.starts_with(b"PUT") { "503 Service Unavailable" } else { "200 OK" };
    drop(stream.write_all(format!("HTTP/1.1 {status}\r\nContent-Type: text/plain\r\n\r\n").as_bytes()));
    let mut sent = 0;
    while sent <= BYTES_MAX && stream.write_all(&[b'x'; 65_536]).is_ok() {
        sent += 65_536;
    }
    sent
}

#[test]
fn bad_relays_cost_a_request_each_and_nobody_else_anything() {
    let dht = TestDht::start(8);
    let relays = [relay(hang), relay(redirect), relay(refuse), relay(send_without_end)];
    let config = PkarrConfig {
        dht_bootstrap: dht.addresses.iter().map(ToString::to_string).collect(),
        relays: relays.iter().map(|(address, ..)| address.clone()).collect(),
        ..PkarrConfig::default()
    };
    let runtime = super::harness::runtime();
    runtime.block_on(async {
        let network = PkarrNetwork::new(&config).expect("valid").expect("a way out");
        for n in 1..=KEYS {
            let packet = SignedPacket::builder().sign(&Keypair::from_secret_key(&[n; 32])).expect("signable");
            let look = network.look(&packet.public_key()).await;
            assert_eq!((&look.heard[..], look.newest.is_none()), (&[0][..], true), "the DHT alone answers");
            assert_eq!(network.publish(&packet, &look).await.took, 1, "the DHT takes it");
            let found = network.look_afresh(&packet.public_key()).await.newest.expect("published");
            assert_eq!(found.as_bytes(), packet.as_bytes());
        }
        let told = network.told();
        assert_eq!(told[0].name, "dht");
        assert!(told[0].answers >= 2 * u64::from(KEYS) && told[0].problem.is_empty());
        for (point, (address, asked, sent)) in told[1..].iter().zip(&relays) {
            assert!(point.name.starts_with(address.as_str()) && !point.problem.is_empty(), "{point:?}");
            let asked = asked.load(Ordering::Relaxed);
            assert!((1..=REQUESTS_MAX).contains(&asked), "{address} was asked {asked} times: {point:?}");
            assert!(sent.load(Ordering::Relaxed) < BYTES_MAX, "{address} sent without end");
        }
        assert!(told[3].paused_s > 60, "it asked for an hour");
    });
}

#[test]
fn who_did_not_answer_the_look_is_not_published_to() {
    let dht = TestDht::start(8);
    let (address, asked, _) = relay(|stream, _| answer(stream, "404 Not Found"));
    let config = PkarrConfig {
        dht_bootstrap: dht.addresses.iter().map(ToString::to_string).collect(),
        relays: vec![address],
        ..PkarrConfig::default()
    };
    let runtime = super::harness::runtime();
    runtime.block_on(async {
        let network = PkarrNetwork::new(&config).expect("valid").expect("a way out");
        let packet = SignedPacket::builder().sign(&Keypair::from_secret_key(&[1; 32])).expect("signable");
        let look = network.look(&packet.public_key()).await;
        assert_eq!(look.heard, [0, 1]);

        let without_dht = network.publish(&packet, &Look { heard: vec![1], ..look.clone() }).await;
        assert_eq!((without_dht.took, without_dht.problems.len()), (0, 2), "the relay has no place for it");
        assert!(network.look_afresh(&packet.public_key()).await.newest.is_none(), "the DHT was left out");

        let asked_before = asked.load(Ordering::Relaxed);
        let without_relay = network.publish(&packet, &Look { heard: vec![0], ..look }).await;
        assert_eq!((without_relay.took, without_relay.problems.len()), (1, 1));
        assert_eq!(asked.load(Ordering::Relaxed), asked_before, "the relay was left out");
    });
}

#[test]
fn relays_alone_are_enough_and_none_at_all_is_no_network() {
    let (address, asked, _) = relay(|stream, _| answer(stream, "404 Not Found"));
    let config = PkarrConfig { relays: vec![address], ..PkarrConfig::default() };
    let runtime = super::harness::runtime();
    runtime.block_on(async {
        let network = PkarrNetwork::new(&config).expect("valid").expect("a way out");
        let key = Keypair::from_secret_key(&[1; 32]).public_key();
        assert_eq!(network.look(&key).await.heard, [1], "it answers that there is nothing");
        assert_eq!(network.told().len(), 1);
    });
    assert_eq!(asked.load(Ordering::Relaxed), 1);
    assert!(PkarrNetwork::new(&PkarrConfig::default()).expect("valid").is_none());
}
