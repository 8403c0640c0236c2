//! Which gateways have been heard of lately: a gateway that is gone must leave the packet.
//!
//! Kept in memory by the node that leads the meta group, by its monotonic clock. What follows from it is
//! a log entry; a new leader has heard of nobody yet, and gives everybody a full period first.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use rowhouse_proto::wire::meta::GatewayInfo;
use tokio::time::Instant;

/// By public address. Holds no more than the map's table of gateways does.
#[derive(Debug, Default)]
pub struct Presence(Mutex<BTreeMap<String, Instant>>);

impl Presence {
    /// The gateway announced itself here just now, and the map has it.
    pub fn heard(&self, public_ip: &str) {
        let mut heard = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        heard.insert(public_ip.to_owned(), Instant::now());
    }

    /// Those of `known` that have not been heard of for `silence_max` of this leadership. Nobody while all
    /// are silent: then it is more likely that nobody is heard, and the last known set stays.
    pub fn silent(
        &self,
        known: &[GatewayInfo],
        led_since: Instant,
        silence_max: Duration,
    ) -> Vec<GatewayInfo> {
        let mut heard = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        heard.retain(|public_ip, _| known.iter().any(|gateway| gateway.public_ip == *public_ip));
        let is_silent = |gateway: &&GatewayInfo| {
            let last = heard.get(&gateway.public_ip).map_or(led_since, |at| led_since.max(*at));
            last.elapsed() >= silence_max
        };
        let silent: Vec<GatewayInfo> = known.iter().filter(is_silent).cloned().collect();
        if silent.len() == known.len() { Vec::new() } else { silent }
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::advance;

    use super::*;

    const SILENCE_MAX: Duration = Duration::from_secs(60);
    const NEARLY: Duration = Duration::from_secs(59);
    const REST: Duration = Duration::from_secs(1);

    fn gateways(addresses: &[&str]) -> Vec<GatewayInfo> {
        let gateway =
            |address: &&str| GatewayInfo { public_ip: (*address).to_owned(), ..GatewayInfo::default() };
        addresses.iter().map(gateway).collect()
    }

    fn silent(presence: &Presence, known: &[GatewayInfo], led_since: Instant) -> Vec<String> {
        let silent = presence.silent(known, led_since, SILENCE_MAX);
        silent.into_iter().map(|gateway| gateway.public_ip).collect()
    }

    #[tokio::test(start_paused = true)]
    async fn a_gateway_is_silent_once_the_whole_period_is_over() {
        let (presence, known, led_since) =
            (Presence::default(), gateways(&["192.0.2.1", "192.0.2.2"]), Instant::now());
        presence.heard("192.0.2.1");
        presence.heard("192.0.2.2");
        advance(NEARLY).await;
        assert!(silent(&presence, &known, led_since).is_empty());
        presence.heard("192.0.2.1");
        advance(REST).await;
        assert_eq!(silent(&presence, &known, led_since), ["192.0.2.2"]);
        presence.heard("192.0.2.2");
        assert!(silent(&presence, &known, led_since).is_empty(), "it is back");
    }

    #[tokio::test(start_paused = true)]
    async fn a_new_leader_gives_everybody_a_full_period() {
        let (presence, known) = (Presence::default(), gateways(&["192.0.2.1", "192.0.2.2"]));
        presence.heard("192.0.2.2");
        advance(SILENCE_MAX * 10).await;
        let led_since = Instant::now();
        assert!(
            silent(&presence, &known, led_since).is_empty(),
            "what was heard long ago counts for nothing"
        );
        advance(NEARLY).await;
        presence.heard("192.0.2.1");
        assert!(silent(&presence, &known, led_since).is_empty());
        advance(REST).await;
        assert_eq!(silent(&presence, &known, led_since), ["192.0.2.2"]);
    }

    #[tokio::test(start_paused = true)]
    async fn the_last_known_set_stays_when_nobody_is_heard() {
        let (presence, led_since) = (Presence::default(), Instant::now());
        advance(SILENCE_MAX * 10).await;
        assert!(silent(&presence, &gateways(&["192.0.2.1"]), led_since).is_empty());
        assert!(silent(&presence, &gateways(&["192.0.2.1", "192.0.2.2"]), led_since).is_empty());
        assert!(silent(&presence, &[], led_since).is_empty());
    }
}
