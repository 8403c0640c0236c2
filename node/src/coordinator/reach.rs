//! Whether clients that follow the homeserver's packet arrive: each of its addresses is dialed as a client does it, and
//! must show the homeserver's key. A node behind the same router as its gateways may get another answer than the world.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::future::join_all;
use pkarr::SignedPacket;
use pkarr::dns::rdata::{RData, SVCParam};
use rowhouse_proto::wire::meta::Reach;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring, verify_tls13_signature_with_raw_key};
use rustls::pki_types::{CertificateDer, ServerName, SubjectPublicKeyInfoDer, UnixTime};
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, Error, SignatureScheme};
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep, timeout};
use tokio_rustls::TlsConnector;

use super::packet::{addresses, parse};
use super::record::PublishRecord;

/// A connection and a handshake over the longest ways.
const DIAL_MAX: Duration = Duration::from_secs(5);
/// Gateways come and go; the packet follows within a minute.
const AGAIN_AFTER: Duration = Duration::from_secs(120);
/// One that does not answer may be about to listen.
const FAILED_AGAIN_AFTER: Duration = Duration::from_secs(15);
/// How soon another packet is noticed. Its gateways have just begun to listen.
const LOOK_EVERY: Duration = Duration::from_secs(5);
/// SubjectPublicKeyInfo of an Ed25519 key, up to the key (RFC 8410).
const SPKI_HEAD: [u8; 12] = [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];

/// Notes again and again who can be reached. Ends with the leadership.
pub async fn watch(record: &PublishRecord, committed: impl Fn() -> Bytes) -> std::convert::Infallible {
    let (mut last, mut at, mut pause) = (Bytes::new(), Instant::now(), AGAIN_AFTER);
    loop {
        let packet = committed();
        if packet != last || at.elapsed() >= pause {
            if let Ok(packet) = parse(&packet) {
                let reached = reach(&packet).await;
                let fails = reached.iter().any(|reach| !reach.problem.is_empty());
                pause = if fails { FAILED_AGAIN_AFTER } else { AGAIN_AFTER };
                record.note(|known| known.reach = reached);
            }
            (last, at) = (packet, Instant::now());
        }
        sleep(LOOK_EVERY).await;
    }
}

async fn reach(packet: &SignedPacket) -> Vec<Reach> {
    let port = port(packet);
    let (key, name) = (packet.public_key().to_bytes(), packet.public_key().to_z32());
    let name = &name;
    let dialed = addresses(packet).into_iter().map(|address| async move {
        let dialed = timeout(DIAL_MAX, dial(address, port, key, name.clone())).await;
        let problem = match dialed {
            Ok(Ok(())) => String::new(),
            Ok(Err(error)) => error.to_string(),
            Err(_) => "no answer in time".to_owned(),
        };
        Reach { address: SocketAddr::new(address, port).to_string(), problem }
    });
    join_all(dialed).await
}

/// That of the direct endpoint.
fn port(packet: &SignedPacket) -> u16 {
    let https = packet.all_resource_records().filter_map(|record| match &record.rdata {
        RData::HTTPS(https) => Some(&https.0),
        _ => None,
    });
    let ports = https.flat_map(|record| record.iter_params()).filter_map(|param| match param {
        SVCParam::Port(port) => Some(*port),
        _ => None,
    });
    ports.into_iter().next().unwrap_or_default()
}

async fn dial(address: IpAddr, port: u16, key: [u8; 32], name: String) -> std::io::Result<()> {
    let stream = TcpStream::connect((address, port)).await?;
    let provider = Arc::new(ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()
        .map_err(std::io::Error::other)?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(OneKey { key, provider }))
        .with_no_client_auth();
    let name = ServerName::try_from(name).map_err(std::io::Error::other)?;
    TlsConnector::from(Arc::new(config)).connect(name, stream).await.map(drop)
}

/// Believes one raw public key and no certificate.
#[derive(Debug)]
struct OneKey {
    key: [u8; 32],
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for OneKey {
    fn verify_server_cert(
        &self,
        shown: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let expected = [&SPKI_HEAD[..], &self.key].concat();
        if shown.as_ref() == expected {
            return Ok(ServerCertVerified::assertion());
        }
        Err(CertificateError::UnknownIssuer.into())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(Error::General("TLS 1.2 has no raw public keys".to_owned()))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        shown: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let key = SubjectPublicKeyInfoDer::from(shown.as_ref());
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature_with_raw_key(message, &key, signed, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        vec![SignatureScheme::ED25519]
    }

    fn requires_raw_public_keys(&self) -> bool {
        true
    }
}

#[cfg(test)]
mod tests {
    use pkarr::Keypair;
    use rowhouse_proto::wire::meta::GatewayInfo;
    use tokio::net::TcpListener;
    use tokio_rustls::TlsAcceptor;

    use super::super::packet::sign;
    use super::*;

    fn packet(port: u16) -> SignedPacket {
        let gateway = GatewayInfo {
            public_ip: "127.0.0.1".into(),
            tls_port: port.into(),
            http_port: 1,
            ..GatewayInfo::default()
        };
        let keypair = Keypair::from_secret_key(&[3; 32]);
        sign(&keypair, &[gateway], 42).expect("signable").expect("a gateway")
    }

    /// What is told of a listener that shows this key.
    async fn told(shown: u8) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let port = listener.local_addr().expect("bound").port();
        let server = async {
            let config = Keypair::from_secret_key(&[shown; 32]).to_rpk_rustls_server_config();
            let (stream, _) = listener.accept().await.expect("a client");
            drop(TlsAcceptor::from(Arc::new(config)).accept(stream).await);
        };
        let packet = packet(port);
        let (reached, ()) = tokio::join!(reach(&packet), server);
        assert_eq!(reached[0].address, format!("127.0.0.1:{port}"));
        reached[0].problem.clone()
    }

    #[tokio::test]
    async fn only_the_homeserver_s_own_key_counts_as_reached() {
        assert_eq!(told(3).await, "");
        assert!(told(4).await.contains("certificate"), "another homeserver is there");
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let port = listener.local_addr().expect("bound").port();
        drop(listener);
        assert!(reach(&packet(port)).await[0].problem.contains("refused"));
    }
}
