//! Load balancers that name their clients in PROXY headers, and those who would like to be taken for one.

use std::net::SocketAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::testing::{Fixture, Script, User, raw};

/// Whoever is taken for this client is known by its trace being honoured.
const CLIENT: &str = "203.0.113.7";
const PARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

async fn behind(proxies: &str) -> Fixture {
    let networks: Vec<_> = proxies.split(' ').map(|network| network.parse().expect("a network")).collect();
    Fixture::with(Script::default(), |config| {
        config.gateway.http_proxies = networks.clone();
        config.gateway.tls_proxies = networks;
        config.gateway.trace_sources = vec![format!("{CLIENT}/32").parse().expect("a network")];
    })
    .await
}

fn version_1(client: &str) -> Vec<u8> {
    format!("PROXY TCP4 {client} 192.0.2.1 4242 6286\r\n").into_bytes()
}

/// `padding` stands for the fields (TLVs) that clouds append.
fn version_2(command: u8, padding: usize) -> Vec<u8> {
    let mut header = b"\r\n\r\n\0\r\nQUIT\n".to_vec();
    let length = u16::try_from(12 + padding).expect("short");
    header.extend([0x20 | command, 0x11]);
    header.extend(length.to_be_bytes());
    header.extend([203, 0, 113, 7, 192, 0, 2, 1]);
    header.extend([0x10, 0x92, 0x18, 0x8e]);
    header.resize(header.len() + padding, 0);
    header
}

/// A write: its trace goes with the command.
fn write() -> Vec<u8> {
    let user = User::random();
    let (path, cookie) = (user.storage("/pub/a"), &user.cookie);
    format!(
        "PUT {path} HTTP/1.1\r\nhost: x\r\ncookie: {cookie}\r\ntraceparent: {PARENT}\r\ncontent-length: 1\r\n\
         connection: close\r\n\r\nx"
    )
    .into_bytes()
}

async fn sent(address: SocketAddr, header: Vec<u8>) -> String {
    String::from_utf8_lossy(&raw(address, &[header, write()].concat()).await).into_owned()
}

#[tokio::test]
async fn the_client_is_whom_the_proxy_names() {
    let fixture = behind("127.0.0.0/8").await;
    let address = fixture.gateway.http_address();
    for header in [version_1(CLIENT), version_2(1, 0), version_2(1, 200)] {
        let answer = sent(address, header.clone()).await;
        assert!(answer.starts_with("HTTP/1.1 "), "{header:?}: {answer}");
    }
    sent(address, version_1("203.0.113.8")).await;
    let known: Vec<bool> = fixture.node.executed().iter().map(|write| !write.trace.is_empty()).collect();
    assert_eq!(known, [true, true, true, false], "the last is another client");
}

#[tokio::test]
async fn a_connection_without_a_clients_address_is_closed_unanswered() {
    let fixture = behind("127.0.0.0/8").await;
    let address = fixture.gateway.http_address();
    let long = [b"PROXY TCP4 ".to_vec(), vec![b'1'; 200], b"\r\n".to_vec()].concat();
    let refused: [(&str, Vec<u8>); 7] = [
        ("no header", Vec::new()),
        ("unknown", b"PROXY UNKNOWN\r\n".to_vec()),
        ("malformed", b"PROXY TCP4 here there 1 2\r\n".to_vec()),
        ("too long for version 1", long),
        ("the proxy's own health check", version_2(0, 0)),
        ("more than 4,096 bytes", version_2(1, 5_000)),
        ("forwarded by HTTP alone", b"X-Forwarded-For: 203.0.113.7\r\n".to_vec()),
    ];
    for (what, header) in refused {
        assert_eq!(sent(address, header).await, "", "{what}");
    }
    assert!(fixture.node.executed().is_empty());
}

#[tokio::test]
async fn only_the_named_proxies_may_name_clients() {
    let stranger = behind("10.0.0.0/8 2001:db8::/32").await;
    assert_eq!(sent(stranger.gateway.http_address(), version_1(CLIENT)).await, "", "not one of them");
    assert_eq!(sent(stranger.gateway.http_address(), Vec::new()).await, "", "nor a client");
    assert!(stranger.node.executed().is_empty());

    let direct = Fixture::start(Script::default()).await;
    let answer = sent(direct.gateway.http_address(), version_1(CLIENT)).await;
    assert!(answer.starts_with("HTTP/1.1 400"), "without proxies a header is a bad request: {answer}");
}

#[tokio::test]
async fn a_header_that_never_ends_closes_the_connection() {
    let fixture = behind("127.0.0.0/8").await;
    let mut stream = TcpStream::connect(fixture.gateway.http_address()).await.expect("listening");
    stream.write_all(b"PROXY TCP4 203.0.113.7").await.expect("sent");
    let mut answer = Vec::new();
    let closed =
        tokio::time::timeout(std::time::Duration::from_secs(60), stream.read_to_end(&mut answer)).await;
    let _ = closed.expect("closed although the client waits");
    assert!(answer.is_empty());
}

#[tokio::test]
async fn the_header_comes_before_the_handshake() {
    let fixture = behind("127.0.0.0/8").await;
    let address = fixture.gateway.tls_address();
    let request = String::from_utf8(write()).expect("text");
    let answer = super::transport::over_tls(address, &version_1(CLIENT), "example.com", &request).await;
    assert!(answer.expect("a handshake").starts_with("HTTP/1.1 "));
    assert!(!fixture.node.executed()[0].trace.is_empty(), "and names the client");
    assert!(super::transport::over_tls(address, b"", "example.com", &request).await.is_err());
}
