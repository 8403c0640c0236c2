//! Puts the kept records back into the DHT, byte for byte, when the testnet starts.
//!
//! Uses a DHT client of its own that ends with the work: a node does not store its own puts.

use std::io;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::sync::Arc;

use mainline::async_dht::AsyncDht;
use mainline::{Config, Dht, MutableItem};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use super::dht::REQUEST_TIMEOUT;
use crate::records::Record;

/// Puts in flight: each is a lookup and three stores on loopback.
const IN_FLIGHT: usize = 32;
/// Tries for one record; a busy machine may drop datagrams.
const TRIES: u32 = 5;

/// Puts `records` into the DHT, and returns how many of them it took. Fails if no DHT client can be started.
pub async fn restore(records: Vec<Record>, bootstrap: &[SocketAddrV4]) -> io::Result<usize> {
    if records.is_empty() {
        return Ok(0);
    }
    let config = Config {
        bootstrap: Some(bootstrap.to_vec()),
        port: Some(0),
        bind_address: Some(Ipv4Addr::LOCALHOST),
        request_timeout: REQUEST_TIMEOUT,
        ..Config::default()
    };
    let client = Dht::new(config)?.as_async();
    client.bootstrapped().await;
    let slots = Arc::new(Semaphore::new(IN_FLIGHT));
    let mut puts = JoinSet::new();
    for record in records {
        let Ok(slot) = slots.clone().acquire_owned().await else { break };
        let client = client.clone();
        puts.spawn(async move {
            let stored = put(&client, &record).await;
            drop(slot);
            stored
        });
    }
    let mut restored = 0;
    while let Some(stored) = puts.join_next().await {
        restored += usize::from(stored.unwrap_or(false));
    }
    Ok(restored)
}

async fn put(client: &AsyncDht, record: &Record) -> bool {
    let salt = (!record.salt.is_empty()).then_some(record.salt.as_slice());
    for _ in 0..TRIES {
        let item =
            MutableItem::new_signed_unchecked(record.key, record.signature, &record.value, record.seq, salt);
        match client.put_mutable(item, None).await {
            Ok(_) => return true,
            // Somebody has put a newer one meanwhile.
            Err(mainline::errors::PutMutableError::Concurrency(_)) => return true,
            Err(error) => tracing::debug!(%error, "a record was not taken back: trying again"),
        }
    }
    tracing::warn!(key = hex::encode(record.key), "a kept record could not be put back");
    false
}
