//! `TracePolicy`: whose traces are continued, and how spans name users and paths.

use std::net::IpAddr;

use ipnet::IpNet;

/// Tells the key of hashed names from all other keys that come from the homeserver's secret.
const HASH_CONTEXT: &str = "rowhouse 2026-11-26 names in traces";
/// Digits of a hash: 64 bits tell all users apart.
const HASH_DIGITS: usize = 16;

/// How requests are traced.
pub struct TracePolicy {
    sources: Vec<IpNet>,
    /// `None`: users and paths are recorded as they are.
    hash_key: Option<[u8; 32]>,
}

impl TracePolicy {
    /// Honours `traceparent` of clients in `sources`. `hashes`: users and paths are recorded as keyed hashes, which are the
    /// same on every gateway of the homeserver with this secret.
    pub fn new(sources: Vec<IpNet>, hashes: bool, homeserver_secret: &[u8; 32]) -> Self {
        let hash_key = hashes.then(|| blake3::derive_key(HASH_CONTEXT, homeserver_secret));
        Self { sources, hash_key }
    }

    /// Whether the client at this address may name the trace of its requests. Strangers could have all of theirs recorded,
    /// or hide one in another's trace.
    pub fn honours(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.sources.iter().any(|source| source.contains(&address))
    }

    /// A user or path as spans have it.
    pub fn name(&self, name: String) -> String {
        match &self.hash_key {
            None => name,
            Some(key) => blake3::keyed_hash(key, name.as_bytes()).to_hex()[..HASH_DIGITS].to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_is_honoured_who_is_not_named() {
        let address = |text: &str| text.parse::<IpAddr>().expect("an address");
        let nobody = TracePolicy::new(Vec::new(), false, &[1; 32]);
        assert!(!nobody.honours(address("127.0.0.1")));
        let some = TracePolicy::new(vec!["10.0.0.0/8".parse().expect("a network")], false, &[1; 32]);
        assert!(some.honours(address("10.1.2.3")) && some.honours(address("::ffff:10.1.2.3")));
        assert!(!some.honours(address("11.1.2.3")) && !some.honours(address("::1")));
    }

    #[test]
    fn hashes_are_the_same_under_one_secret_only() {
        let hashed = |secret| TracePolicy::new(Vec::new(), true, &[secret; 32]).name("user".to_owned());
        assert_eq!(hashed(1), hashed(1));
        assert_ne!(hashed(1), hashed(2));
        assert_eq!(hashed(1).len(), HASH_DIGITS);
        assert_eq!(TracePolicy::new(Vec::new(), false, &[1; 32]).name("user".to_owned()), "user");
    }
}
