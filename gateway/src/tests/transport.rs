//! Pubky TLS, trace context, map changes and the announcement.

use std::sync::Arc;
use std::time::Duration;

use pubky_common::crypto::Keypair;
use rowhouse_proto::TraceContext;
use rowhouse_proto::wire::meta::AnnounceGatewayRequest;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, SignatureScheme};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::Error;
use crate::testing::{Announced, FakeNode, Fixture, SECRET, SHARDS, Script, User, map_of};

/// Accepts exactly the homeserver's raw public key.
#[derive(Debug)]
struct ExpectKey([u8; 32]);

impl ServerCertVerifier for ExpectKey {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _name: &ServerName<'_>,
        _ocsp: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        if intermediates.is_empty() && end_entity.ends_with(&self.0) {
            return Ok(ServerCertVerified::assertion());
        }
        Err(rustls::Error::General("another key".into()))
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _cert: &CertificateDer<'_>,
        _signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Err(rustls::Error::General("raw public keys are TLS 1.3".into()))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = rustls::crypto::ring::default_provider().signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature_with_raw_key(
            message,
            &rustls::pki_types::SubjectPublicKeyInfoDer::from(cert.as_ref()),
            signed,
            &algorithms,
        )
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        vec![SignatureScheme::ED25519]
    }

    fn requires_raw_public_keys(&self) -> bool {
        true
    }
}

/// `preface` goes before the handshake.
pub(super) async fn over_tls(
    address: std::net::SocketAddr,
    preface: &[u8],
    name: &str,
    request: &str,
) -> std::io::Result<String> {
    let key = Keypair::from_secret(&SECRET).public_key();
    let config = ClientConfig::builder_with_provider(rustls::crypto::ring::default_provider().into())
        .with_safe_default_protocol_versions()
        .expect("versions")
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(ExpectKey(*key.as_bytes())))
        .with_no_client_auth();
    let name = ServerName::try_from(name.to_owned()).expect("name");
    let mut stream = TcpStream::connect(address).await?;
    stream.write_all(preface).await?;
    let mut stream = tokio_rustls::TlsConnector::from(Arc::new(config)).connect(name, stream).await?;
    stream.write_all(request.as_bytes()).await?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await?;
    Ok(String::from_utf8_lossy(&answer).into_owned())
}

#[tokio::test]
async fn pubky_tls_presents_the_homeservers_key_whatever_the_name_and_serves_the_same_routes() {
    let fixture = Fixture::start(Script::default()).await;
    let user = User::random();
    let request = format!(
        "PUT /pub/a HTTP/1.1\r\nhost: _pubky.{}\r\ncookie: {}\r\nconnection: close\r\ncontent-length: 1\r\n\r\nx",
        user.z32, user.cookie
    );
    for name in [user.z32.as_str(), &Keypair::from_secret(&SECRET).public_key().z32(), "example.com"] {
        let answer = over_tls(fixture.gateway.tls_address(), b"", name, &request).await.expect("handshake");
        assert!(answer.starts_with("HTTP/1.1 201"), "{answer}");
    }
}

#[tokio::test]
async fn probes_and_junk_on_the_tls_port_harm_nobody() {
    let fixture = Fixture::with(Script::default(), |config| {
        config.limits.handshake_timeout_s = Duration::from_millis(300);
    })
    .await;
    let address = fixture.gateway.tls_address();
    for _ in 0..20 {
        drop(TcpStream::connect(address).await.expect("listening"));
    }
    let mut silent = TcpStream::connect(address).await.expect("listening");
    let mut answer = Vec::new();
    let closed = tokio::time::timeout(Duration::from_secs(60), silent.read_to_end(&mut answer)).await;
    let _ = closed.expect("closed when the handshake does not come");
    let plain = crate::testing::raw(address, b"GET / HTTP/1.1\r\nhost: x\r\n\r\n").await;
    assert!(!plain.starts_with(b"HTTP/1.1"));
    let request = "GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
    let answer = over_tls(address, b"", "example.com", request).await.expect("handshake");
    assert!(answer.ends_with("Pubky Homeserver"), "{answer}");
}

#[tokio::test]
async fn the_trace_of_a_known_caller_travels_with_the_command() {
    let sources = |network: &str| vec![network.parse().expect("a network")];
    let fixture = Fixture::with(Script::default(), |config| {
        config.gateway.trace_sources = sources("127.0.0.0/8");
    })
    .await;
    let user = User::random();
    let parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let path = user.storage("/pub/a");
    for trace in [parent, "junk"] {
        let headers = [("cookie", user.cookie.as_str()), ("traceparent", trace)];
        assert_eq!(fixture.client.send("PUT", &path, &headers, b"x").await.status, 201);
    }
    let executed = fixture.node.executed();
    let expected = TraceContext::from_traceparent(parent).expect("valid").to_bytes();
    assert_eq!(executed[0].trace, expected.as_slice());
    assert!(executed[1].trace.is_empty());

    let stranger = Fixture::with(Script::default(), |config| {
        config.gateway.trace_sources = sources("10.0.0.0/8");
    })
    .await;
    let headers = [("cookie", user.cookie.as_str()), ("traceparent", parent)];
    let asked = stranger.client.send("PUT", &path, &headers, b"x").await;
    assert!(stranger.node.executed()[0].trace.is_empty());
    assert_eq!(asked.header("traceresponse"), None, "it has no trace");
}

#[tokio::test]
async fn refusals_name_their_request_and_answers_do_not() {
    let fixture = Fixture::start(Script::default()).await;
    let user = User::random();
    let mut ids = std::collections::BTreeSet::new();
    for target in [user.storage("/pub/missing"), "/storage/nobody/pub/a".to_owned(), "/nowhere".to_owned()] {
        let refused = fixture.client.get(&target, &[]).await;
        assert!(refused.status >= 400, "{target}: {}", refused.status);
        ids.insert(refused.header("x-request-id").expect("its id"));
    }
    assert_eq!(ids.len(), 3, "each its own");
    assert_eq!(fixture.client.get("/info", &[]).await.header("x-request-id"), None);
}

#[tokio::test]
async fn requests_follow_the_map_to_another_node() {
    let fixture = Fixture::start(Script::default()).await;
    let user = User::random();
    fixture.client.get(&user.storage("/pub/a"), &[]).await;
    let other = FakeNode::start(Script::default()).await;
    fixture.node.publish(map_of(2, SHARDS, &[other.address], "open"));
    for _ in 0..3_000 {
        fixture.client.get(&user.storage("/pub/a"), &[]).await;
        if !other.queried().is_empty() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("the new map never took effect");
}

#[tokio::test]
async fn a_gateway_announces_what_it_bound() {
    let fixture = Fixture::with(Script::default(), |config| {
        config.gateway.announce = true;
        config.gateway.icann_domain = Some("localhost".into());
        config.gateway.public_http_port = Some(6286);
    })
    .await;
    let announced = announced(&fixture).await;
    assert!(announced.answers && !announced.request.leaving);
    let request = announced.request;
    assert_eq!(request.public_ip, "127.0.0.1");
    assert_eq!(request.tls_port, u32::from(fixture.gateway.tls_address().port()));
    assert_eq!(request.http_port, 6286);
    assert_eq!(request.icann_domain, "localhost");
}

/// The latest announcement the node has heard.
async fn announced(fixture: &Fixture) -> Announced {
    for _ in 0..3_000 {
        if let Some(announced) = fixture.node.announced().pop() {
            return announced;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("nothing was announced");
}

#[tokio::test]
async fn a_gateway_takes_its_address_back_before_it_closes() {
    let fixture = Fixture::with(Script::default(), |config| config.gateway.announce = true).await;
    let first = announced(&fixture).await;
    let Fixture { node, gateway, .. } = fixture;
    gateway.shutdown().await;
    let last = node.announced().pop().expect("announced before");
    assert!(last.request.leaving && last.answers, "told while it still serves");
    let same = AnnounceGatewayRequest { leaving: false, ..last.request };
    assert_eq!(same, first.request);
}

#[tokio::test]
async fn a_gateway_with_another_homeservers_key_says_so_and_serves_nobody() {
    let mut fixture = Fixture::with(Script::default(), |config| {
        config.homeserver_secret = [8; 32];
        config.gateway.announce = true;
        config.limits.map_timeout_s = Duration::from_millis(100);
    })
    .await;
    let error =
        tokio::time::timeout(Duration::from_secs(60), fixture.gateway.ended()).await.expect("it ends");
    let (ours, theirs) =
        (Keypair::from_secret(&[8; 32]).public_key().z32(), Keypair::from_secret(&SECRET).public_key().z32());
    match &error {
        Error::ForeignHomeserver { ours: said, theirs: other, node } => {
            assert_eq!((said, other, node), (&ours, &theirs, &fixture.node.address.to_string()));
        }
        other => panic!("{other}"),
    }
    let text = error.to_string();
    assert!(text.contains(&ours) && text.contains(&theirs), "{text}");
    assert!(!fixture.gateway.readiness()().is_empty());
    assert_eq!(fixture.client.get(&User::random().storage("/pub/a"), &[]).await.status, 503);
    let Fixture { node, gateway, .. } = fixture;
    gateway.shutdown().await;
    assert!(node.announced().is_empty());
}

#[tokio::test]
async fn a_gateway_that_never_announced_itself_has_nothing_to_take_back() {
    let fixture = Fixture::start(Script::default()).await;
    let Fixture { node, gateway, .. } = fixture;
    gateway.shutdown().await;
    assert!(node.announced().is_empty());
}
