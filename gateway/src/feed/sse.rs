//! Events as server-sent events, byte for byte as the protocol has them (docs/rules/feed.md#event-streams).

use std::fmt::Write;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use rowhouse_proto::wire::shard::EventRecord;

/// A comment, which readers skip: it tells both ends, and what lies between, that the stream lives.
pub const KEEP_ALIVE: Bytes = Bytes::from_static(b":\n\n");

/// Appends one event of the user with this key.
pub fn write_event(out: &mut String, z32: &str, event: &EventRecord) {
    let kind = if event.deleted { "DEL" } else { "PUT" };
    // Writing to a String does not fail. No path has a line break: they are no canonical paths.
    let _ = write!(out, "event: {kind}\ndata: pubky://{z32}{}\ndata: cursor: {}\n", event.path, event.id);
    if !event.deleted {
        out.push_str("data: content_hash: ");
        STANDARD.encode_string(&event.hash, out);
        out.push('\n');
    }
    out.push('\n');
}

/// The z-base-32 of users' keys, remembered for the user of the last event: mostly it is the next one's too, and to
/// make it costs more than the rest of an event.
#[derive(Default)]
pub struct Names(Option<(Bytes, String)>);

impl Names {
    /// The key as people write it; empty for bytes that are none.
    pub fn z32(&mut self, key: &Bytes) -> &str {
        if self.0.as_ref().is_none_or(|(known, _)| known != key) {
            let parsed =
                <&[u8; 32]>::try_from(&key[..]).ok().and_then(|key| pkarr::PublicKey::try_from(key).ok());
            self.0 = Some((key.clone(), parsed.map(|key| key.to_z32()).unwrap_or_default()));
        }
        self.0.as_ref().map_or("", |(_, z32)| z32)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use pubky_common::crypto::Keypair;

    #[test]
    fn events_are_these_bytes() {
        let mut out = String::new();
        let put = EventRecord {
            id: 42,
            path: "/pub/a b".into(),
            hash: vec![0xAB; 32].into(),
            ..EventRecord::default()
        };
        write_event(&mut out, "key", &put);
        let delete = EventRecord {
            id: (1 << 53) - 1,
            deleted: true,
            path: "/priv/é".into(),
            ..EventRecord::default()
        };
        write_event(&mut out, "key", &delete);
        let expected = "event: PUT\ndata: pubky://key/pub/a b\ndata: cursor: 42\n\
                        data: content_hash: q6urq6urq6urq6urq6urq6urq6urq6urq6urq6urq6s=\n\n\
                        event: DEL\ndata: pubky://key/priv/é\ndata: cursor: 9007199254740991\n\n";
        assert_eq!(out, expected);
    }

    #[test]
    fn a_name_is_the_last_keys_whoever_came_before() {
        let mut names = Names::default();
        for _ in 0..2 {
            for seed in [1, 1, 2] {
                let key = Keypair::from_secret(&[seed; 32]).public_key();
                assert_eq!(names.z32(&Bytes::copy_from_slice(key.as_bytes())), key.z32());
            }
        }
        assert_eq!(names.z32(&Bytes::from_static(b"short")), "");
    }
}
