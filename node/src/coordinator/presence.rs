//! Which gateways have been heard of lately: a gateway that is gone must leave the packet.
//!
//! The node that leads the meta group keeps this in memory, by its monotonic clock. A gateway leaves by a log entry. A
//! new leader has heard of nobody yet, and gives everybody a full period first.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::Duration;

use rowhouse_proto::lock::lock;
use rowhouse_proto::wire::meta::GatewayInfo;
use tokio::time::Instant;

use crate::meta::gateway_identity;

/// By identity. Holds no more than the map's table of gateways does.
#[derive(Debug, Default)]
pub struct Presence(Mutex<BTreeMap<Vec<u8>, Instant>>);

impl Presence {
    /// The gateway announced itself here just now, and the map has it.
    pub fn heard(&self, gateway: &GatewayInfo) {
        let mut heard = lock(&self.0);
        heard.insert(gateway_identity(gateway), Instant::now());
    }

    /// Those of `known` that have not been heard of for `silence_max` of this leadership. Nobody while all
    /// are silent: then it is more likely that nobody is heard, and the last known set stays.
    pub fn silent(
        &self,
        known: &[GatewayInfo],
        led_since: Instant,
        silence_max: Duration,
    ) -> Vec<GatewayInfo> {
        let mut heard = lock(&self.0);
        heard.retain(|identity, _| known.iter().any(|gateway| gateway_identity(gateway) == *identity));
        let is_silent = |gateway: &&GatewayInfo| {
            let last = heard.get(&gateway_identity(gateway)).map_or(led_since, |at| led_since.max(*at));
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

    fn gateway(address: &str) -> GatewayInfo {
        GatewayInfo { public_ip: address.to_owned(), ..GatewayInfo::default() }
    }

    fn gateways(addresses: &[&str]) -> Vec<GatewayInfo> {
        addresses.iter().map(|address| gateway(address)).collect()
    }

    fn silent(presence: &Presence, known: &[GatewayInfo], led_since: Instant) -> Vec<String> {
        let silent = presence.silent(known, led_since, SILENCE_MAX);
        silent.into_iter().map(|gateway| gateway.public_ip).collect()
    }

    #[tokio::test(start_paused = true)]
    async fn a_gateway_is_silent_once_the_whole_period_is_over() {
        let (presence, known, led_since) =
            (Presence::default(), gateways(&["192.0.2.1", "192.0.2.2"]), Instant::now());
        presence.heard(&gateway("192.0.2.1"));
        presence.heard(&gateway("192.0.2.2"));
        advance(NEARLY).await;
        assert!(silent(&presence, &known, led_since).is_empty());
        presence.heard(&gateway("192.0.2.1"));
        advance(REST).await;
        assert_eq!(silent(&presence, &known, led_since), ["192.0.2.2"]);
        presence.heard(&gateway("192.0.2.2"));
        assert!(silent(&presence, &known, led_since).is_empty(), "it is back");
    }

    #[tokio::test(start_paused = true)]
    async fn a_new_leader_gives_everybody_a_full_period() {
        let (presence, known) = (Presence::default(), gateways(&["192.0.2.1", "192.0.2.2"]));
        presence.heard(&gateway("192.0.2.2"));
        advance(SILENCE_MAX * 10).await;
        let led_since = Instant::now();
        assert!(
            silent(&presence, &known, led_since).is_empty(),
            "what was heard long ago counts for nothing"
        );
        advance(NEARLY).await;
        presence.heard(&gateway("192.0.2.1"));
        assert!(silent(&presence, &known, led_since).is_empty());
        advance(REST).await;
        assert_eq!(silent(&presence, &known, led_since), ["192.0.2.2"]);
    }

    #[tokio::test(start_paused = true)]
    async fn another_configuration_at_the_same_address_is_another_gateway() {
        let (presence, led_since) = (Presence::default(), Instant::now());
        let known = [gateway("192.0.2.1"), GatewayInfo { tls_port: 7000, ..gateway("192.0.2.1") }];
        advance(SILENCE_MAX).await;
        presence.heard(&known[1]);
        assert_eq!(presence.silent(&known, led_since, SILENCE_MAX), known[..1]);
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
