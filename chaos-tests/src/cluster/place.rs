//! Where clients find a homeserver: a test's own cluster, or one that somebody else runs.

use super::process::Cluster;
use crate::error::Error;

/// Names a homeserver for tests that can use any: its key, the URL of a pkarr relay, and DHT nodes with commas between.
const VARIABLE: &str = "ROWHOUSE_SDK_PLACE";

/// What a client is told; everything else it learns through PKARR.
#[derive(Clone, Debug)]
pub struct Place {
    /// Public key in z-base-32.
    pub homeserver: String,
    pub pkarr_relay: String,
    pub dht_bootstrap: Vec<String>,
}

/// A homeserver that clients find.
pub trait Findable {
    /// What clients are told. Fails if the cluster does not tell it.
    fn place(&self) -> Result<Place, Error>;
}

impl Place {
    /// The homeserver that the environment names, if it names one.
    pub fn given() -> Result<Option<Self>, Error> {
        let Ok(text) = std::env::var(VARIABLE) else { return Ok(None) };
        let [homeserver, pkarr_relay, dht] = text.split(' ').collect::<Vec<_>>()[..] else {
            return Err(Error::Cluster(format!("{VARIABLE} is `KEY URL HOST:PORT,…`")));
        };
        Ok(Some(Self {
            homeserver: homeserver.to_owned(),
            pkarr_relay: pkarr_relay.to_owned(),
            dht_bootstrap: dht.split(',').map(str::to_owned).collect(),
        }))
    }
}

impl Findable for Place {
    fn place(&self) -> Result<Place, Error> {
        Ok(self.clone())
    }
}

impl Findable for Cluster {
    fn place(&self) -> Result<Place, Error> {
        let file = self.file()?;
        Ok(Place {
            homeserver: file.homeserver,
            pkarr_relay: format!("http://127.0.0.1:{}", file.ports.pkarr_relay),
            dht_bootstrap: file.dht_bootstrap,
        })
    }
}
