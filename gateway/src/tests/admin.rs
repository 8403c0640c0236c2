//! The operator's listener.

use pkarr::SignedPacket;
use pkarr::dns::Name;
use pkarr::dns::rdata::SVCB;
use rowhouse_proto::wire::meta::{AccountSettings, meta_query_reply};
use rowhouse_proto::wire::shard::{Stats, query_reply, query_request};

use crate::testing::{Client, Fixture, SECRET, SHARDS, Script, map_of};
use crate::{Error, Gateway, GatewayConfig};

async fn fixture() -> (Fixture, Client) {
    let mut script = Script::query(|request| {
        assert!(matches!(request.op, Some(query_request::Op::ShardStats(_))));
        let stats = Stats { users: 10, disabled_users: u64::from(request.group), used_bytes: 1024 * 1024 };
        Ok(query_reply::Result::Stats(stats))
    });
    script.meta_query = Box::new(|_| {
        let counts =
            AccountSettings { signup_tokens: 7, spent_signup_tokens: 3, ..AccountSettings::default() };
        Ok(meta_query_reply::Result::AccountSettings(counts))
    });
    let fixture = Fixture::with(script, |config| {
        config.admin.listen = Some("127.0.0.1:0".parse().expect("address"));
        config.admin.password = Some("correct horse".into());
        config.gateway.icann_domain = Some("example.com".into());
        config.gateway.public_http_port = Some(80);
    })
    .await;
    let client = Client::new(fixture.gateway.admin_address().expect("admin"));
    (fixture, client)
}

#[tokio::test]
async fn only_the_greeting_is_public() {
    let (_fixture, client) = fixture().await;
    let greeting = client.get("/", &[]).await;
    assert_eq!((greeting.status, greeting.text().as_str()), (200, "Homeserver - Admin Endpoint"));
    for (headers, text) in [
        (vec![], "Missing admin password"),
        (vec![("x-admin-password", "")], "Invalid admin password"),
        (vec![("x-admin-password", "correct horse ")], "Invalid admin password"),
        (vec![("x-admin-password", "admin")], "Invalid admin password"),
    ] {
        let reply = client.get("/info", &headers).await;
        let expected = if text.starts_with("Invalid") && headers[0].1 == "correct horse " {
            // Header values are trimmed on the wire.
            200
        } else {
            401
        };
        assert_eq!(reply.status, expected, "{headers:?}");
        if expected == 401 {
            assert_eq!(reply.text(), text);
            assert_eq!(reply.header("content-type"), None, "{headers:?}");
        }
    }
}

#[tokio::test]
async fn info_sums_every_shard() {
    let (fixture, client) = fixture().await;
    let reply = client.get("/info", &[("x-admin-password", "correct horse")]).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    let info: serde_json::Value = serde_json::from_slice(&reply.body).expect("json");
    let shards = u64::from(SHARDS);
    assert_eq!(info["num_users"], 10 * shards);
    assert_eq!(info["num_disabled_users"], (0..shards).sum::<u64>());
    assert_eq!(info["total_disk_used_mb"], shards);
    assert_eq!(
        (info["num_signup_codes"].as_u64(), info["num_unused_signup_codes"].as_u64()),
        (Some(7), Some(4))
    );
    assert_eq!(info["public_key"], pubky_common::crypto::Keypair::from_secret(&SECRET).public_key().z32());
    let address = format!("127.0.0.1:{}", fixture.gateway.tls_address().port());
    assert_eq!(info["pkarr_pubky_address"], address);
    assert_eq!(info["pkarr_icann_domain"], "example.com:80");
    assert_eq!(info["version"], env!("CARGO_PKG_VERSION"));
    let mut shards_asked: Vec<u32> = fixture.node.queried().iter().map(|query| query.group).collect();
    shards_asked.sort_unstable();
    assert_eq!(shards_asked, (0..SHARDS).collect::<Vec<_>>());
}

#[tokio::test]
async fn the_address_is_that_of_the_committed_record() {
    let (fixture, client) = fixture().await;
    let keypair = pkarr::Keypair::from_secret_key(&SECRET);
    let name = || Name::new(".").expect("a name");
    let mut direct = SVCB::new(1, name());
    direct.set_port(6287);
    let address = "192.0.2.9".parse().expect("an address");
    let packet = SignedPacket::builder().https(name(), direct, 300).address(name(), address, 300);
    let packet = packet.sign(&keypair).expect("signable");
    let mut map = map_of(2, SHARDS, &[fixture.node.address], "open");
    map.packet = [&keypair.public_key().as_bytes()[..], &packet.to_relay_payload()].concat().into();
    fixture.node.publish(map);
    // The new map arrives by the watch.
    for _ in 0..3_000 {
        let reply = client.get("/info", &[("x-admin-password", "correct horse")]).await;
        let info: serde_json::Value = serde_json::from_slice(&reply.body).expect("json");
        if info["pkarr_pubky_address"] == "192.0.2.9:6287" {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    panic!("the record's address is never told");
}

#[tokio::test]
async fn a_listener_that_cannot_be_had_is_an_error_with_its_address() {
    let (fixture, _client) = fixture().await;
    let mut config = GatewayConfig::new(SECRET, vec!["127.0.0.1:1".into()]);
    config.gateway.http_listen = fixture.gateway.http_address();
    match Gateway::start(config).await {
        Err(error @ Error::Listen { .. }) => {
            let address = fixture.gateway.http_address().to_string();
            let text = error.to_string();
            assert!(text.contains(&address) && text.contains("Address already in use"), "{text}");
        }
        Err(other) => panic!("{other}"),
        Ok(_) => panic!("two gateways on one port"),
    }
}

#[tokio::test]
async fn a_malformed_node_address_is_an_error_at_start() {
    let config = GatewayConfig::new(SECRET, vec!["not an address".into()]);
    let error = Gateway::start(config).await.err().expect("refused");
    assert!(matches!(error, Error::NodeAddress { .. }));
    let text = error.to_string();
    assert!(
        text.starts_with("invalid node address not an address: ") && text.contains("invalid uri"),
        "{text}"
    );
}
