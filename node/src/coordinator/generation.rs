//! Pure: which gateways the packet names while they disagree.
//!
//! One packet has one set of ports and one domain, and gateways with others may be announced at the same time:
//! a change of configuration is rolled out, or one gateway has a wrong one.

use std::collections::BTreeMap;

use rowhouse_proto::wire::meta::GatewayInfo;

use crate::meta::public_address;

/// The largest set of gateways that agree on ports and domain; of two as large, the one that began later. Silent
/// gateways leave the map, so the new set takes over while it grows and the old one shrinks, and no later. Those
/// that may not enter a packet do not count.
pub fn published(gateways: &[GatewayInfo]) -> Vec<&GatewayInfo> {
    let mut generations: BTreeMap<_, Vec<&GatewayInfo>> = BTreeMap::new();
    for gateway in gateways.iter().filter(|gateway| public_address(gateway).is_ok()) {
        let shared = (gateway.tls_port, gateway.http_port, gateway.icann_domain.as_str());
        generations.entry(shared).or_default().push(gateway);
    }
    let begun = |generation: &[&GatewayInfo]| generation.iter().map(|gateway| gateway.since).min();
    generations
        .into_values()
        .max_by_key(|generation| (generation.len(), begun(generation)))
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gateway(last: u8, tls_port: u32, since: u64) -> GatewayInfo {
        GatewayInfo {
            public_ip: format!("192.0.2.{last}"),
            tls_port,
            http_port: 80,
            icann_domain: String::new(),
            since,
        }
    }

    fn ports(gateways: &[GatewayInfo]) -> Vec<u32> {
        published(gateways).into_iter().map(|gateway| gateway.tls_port).collect()
    }

    #[test]
    fn a_rollout_changes_sides_once() {
        let old: Vec<_> = (1..=3).map(|last| gateway(last, 6287, last.into())).collect();
        let new: Vec<_> = (4..=6).map(|last| gateway(last, 443, last.into())).collect();
        assert_eq!(ports(&old), [6287; 3]);
        // One more of the new, then one less of the old.
        let steps = [(3, 1), (2, 1), (2, 2), (1, 2), (1, 3), (0, 3)];
        let sides: Vec<u32> =
            steps.iter().map(|(olds, news)| ports(&[&old[3 - olds..], &new[..*news]].concat())[0]).collect();
        assert_eq!(sides, [6287, 6287, 443, 443, 443, 443]);
    }

    #[test]
    fn of_two_as_large_the_one_that_began_later_is_named_whatever_restarts() {
        let (old, new) = (gateway(1, 6287, 1), gateway(2, 443, 5));
        assert_eq!(ports(&[old.clone(), new.clone()]), [443]);
        assert_eq!(ports(&[new.clone(), old.clone()]), [443]);
        let back = gateway(3, 6287, 9);
        let joined = gateway(4, 443, 7);
        assert_eq!(ports(&[old, new, joined, back]), [443, 443], "the old ones began with the first of them");
    }

    #[test]
    fn the_same_address_in_two_configurations_is_named_once() {
        assert_eq!(ports(&[gateway(1, 6287, 1), gateway(1, 443, 2)]), [443]);
    }

    #[test]
    fn what_may_not_enter_a_packet_does_not_count() {
        let wrong =
            |last, since| GatewayInfo { icann_domain: "-x.example".into(), ..gateway(last, 443, since) };
        assert_eq!(ports(&[wrong(1, 5), wrong(2, 6), gateway(3, 6287, 1)]), [6287]);
        assert!(published(&[wrong(1, 5)]).is_empty());
    }
}
