//! The SDK as an app has it, told only where this homeserver's DHT and relay are.

use pubky::{Pubky, PubkyHttpClient, PublicKey};
use rowhouse_chaos_tests::cluster::Findable;

pub fn sdk(findable: &impl Findable) -> Pubky {
    let place = findable.place().expect("the cluster tells its ports");
    let mut builder = PubkyHttpClient::builder();
    builder.pkarr(|pkarr| {
        pkarr.bootstrap(&place.dht_bootstrap).dht_report_policy(pubky::pkarr::dht::ReportPolicy::testnet());
        pkarr.relays(&[place.pkarr_relay.as_str()]).expect("a URL")
    });
    Pubky::with_client(builder.build().expect("an SDK client"))
}

pub fn homeserver(findable: &impl Findable) -> PublicKey {
    let place = findable.place().expect("the cluster tells its key");
    PublicKey::try_from_z32(&place.homeserver).expect("a key")
}
