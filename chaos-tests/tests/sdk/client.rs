//! The SDK as an app has it, told only where this cluster's DHT and relay are.

use pubky::{Pubky, PubkyHttpClient, PublicKey};
use rowhouse_chaos_tests::cluster::Cluster;

pub fn sdk(cluster: &Cluster) -> Pubky {
    let file = cluster.file().expect("the cluster tells its ports");
    let relay = format!("http://127.0.0.1:{}", file.ports.pkarr_relay);
    let mut builder = PubkyHttpClient::builder();
    builder.pkarr(|pkarr| {
        pkarr.bootstrap(&file.dht_bootstrap).dht_report_policy(pubky::pkarr::dht::ReportPolicy::testnet());
        pkarr.relays(&[relay.as_str()]).expect("a URL")
    });
    Pubky::with_client(builder.build().expect("an SDK client"))
}

pub fn homeserver(cluster: &Cluster) -> PublicKey {
    PublicKey::try_from_z32(&cluster.homeserver().expect("a key").z32()).expect("a key")
}
