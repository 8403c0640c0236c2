//! Channels to other nodes' services, one for each node and address. All callers on this node share them.
//!
//! They carry control calls and chunks. Raft's own lanes belong to the transport.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::Duration;

use rowhouse_peer::Dialer;
use rowhouse_proto::calls::Calls;
use rowhouse_proto::chunks;
use rowhouse_proto::lock::lock;
use rowhouse_proto::wire::meta::meta_client::MetaClient;
use tonic::transport::Endpoint;

use crate::Error;

/// A loopback or data-centre connect that takes longer will not come.
const CONNECT_DEADLINE: Duration = Duration::from_secs(1);
/// Control calls answer from memory; the next round asks again.
const CALL_DEADLINE: Duration = Duration::from_secs(2);
/// As many as nodes may register; beyond it the pool starts afresh.
const CHANNELS_MAX: usize = 1024;

/// Bounded by `CHANNELS_MAX`. A channel connects when it is first used.
#[derive(Debug)]
pub struct Pool {
    dialer: Dialer,
    channels: Mutex<BTreeMap<Target, Calls>>,
}

/// An address, and which node is meant if that is known.
type Target = (String, Option<String>);

impl Pool {
    /// Empty. `dialer` knows whether peers must prove who they are.
    pub fn new(dialer: Dialer) -> Self {
        Self { dialer, channels: Mutex::default() }
    }

    /// The meta service at host:port, of the named node or of any.
    pub fn meta(&self, address: &str, node: Option<&str>) -> Result<MetaClient<Calls>, Error> {
        Ok(MetaClient::new(self.channel(address, node)?))
    }

    /// The chunk service of the named node.
    pub fn chunk(&self, address: &str, node: &str) -> Result<chunks::Client, Error> {
        Ok(chunks::Client::new(self.channel(address, Some(node))?))
    }

    /// Connects when first used, and again after a break.
    fn channel(&self, address: &str, node: Option<&str>) -> Result<Calls, Error> {
        let target = (address.to_owned(), node.map(ToOwned::to_owned));
        let mut channels = lock(&self.channels);
        if let Some(channel) = channels.get(&target) {
            return Ok(channel.clone());
        }
        let channel = Calls::outgoing(self.dialer.connect_lazy(&endpoint(address)?, node));
        if channels.len() >= CHANNELS_MAX {
            channels.clear();
        }
        channels.insert(target, channel.clone());
        Ok(channel)
    }
}

/// With the deadlines of control calls, except for streams, which outlive them.
pub fn endpoint(address: &str) -> Result<Endpoint, Error> {
    let endpoint = Endpoint::from_shared(format!("http://{address}"))
        .map_err(|error| Error::Peer { peer: address.to_owned(), detail: error.to_string() })?;
    Ok(endpoint.connect_timeout(CONNECT_DEADLINE).tcp_nodelay(true))
}

/// A call with its deadline; failures name the peer.
pub async fn call<T>(
    address: &str,
    answer: impl Future<Output = Result<tonic::Response<T>, tonic::Status>>,
) -> Result<T, Error> {
    let failed = |detail: String| Error::Peer { peer: address.to_owned(), detail };
    match tokio::time::timeout(CALL_DEADLINE, answer).await {
        Ok(Ok(response)) => Ok(response.into_inner()),
        Ok(Err(status)) => Err(failed(status.message().to_owned())),
        Err(_) => Err(failed("no answer in time".to_owned())),
    }
}
