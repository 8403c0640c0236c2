//! Golden bytes (what lies on disks must stay readable) and round trips.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use rowhouse_proto::hex;

use super::*;

const RECORD_VERSION32: u32 = RECORD_VERSION as u32;

fn log_id(term: u64, leader: u64, index: u64) -> LogId {
    LogId { leader_id: LeaderId { term, node_id: leader }, index }
}

fn normal(command: &[u8], trace: &[u8]) -> Payload {
    EntryPayload::Normal(Envelope {
        command: Bytes::copy_from_slice(command),
        trace: Bytes::copy_from_slice(trace),
        check: None,
    })
}

fn joint() -> Membership {
    let replicas = (1..=4).map(|id| (id, Replica { node_uuid: [id as u8; 16] })).collect::<BTreeMap<_, _>>();
    Membership::new(vec![BTreeSet::from([1, 2, 3]), BTreeSet::from([2, 3, 4])], replicas)
        .expect("a valid joint membership")
}

#[test]
fn entry_records_have_the_golden_bytes() {
    let blank = Entry { log_id: log_id(1, 2, 3), payload: EntryPayload::Blank };
    assert_eq!(hex(&encode_entry(&blank)), "02c5acfa320a060801100218031001");
    let normal = Entry { log_id: log_id(7, 1_000, 300), payload: normal(b"put", &[]) };
    assert_eq!(hex(&encode_entry(&normal)), "028fc61a720a08080710e80718ac021a050a03707574");
}

#[test]
fn golden_records_still_decode() {
    let blank = Bytes::from_static(b"\x02\xc5\xac\xfa\x32\x0a\x06\x08\x01\x10\x02\x18\x03\x10\x01");
    let entry = decode_entry(blank).expect("a record of version 2");
    assert_eq!(entry, Entry { log_id: log_id(1, 2, 3), payload: EntryPayload::Blank });
}

#[test]
fn memberships_round_trip_joint_learner_and_empty() {
    let mut with_learner = BTreeMap::from([(9, Replica { node_uuid: [9; 16] })]);
    with_learner.insert(1, Replica { node_uuid: [1; 16] });
    let learner = Membership::new(vec![BTreeSet::from([1])], with_learner).expect("one voter, one learner");
    for membership in [joint(), learner, Membership::default()] {
        let back = membership_from_wire(&membership_to_wire(&membership)).expect("what we wrote");
        assert_eq!(back, membership);
        for log_id in [None, Some(log_id(4, 5, 6))] {
            let stored = StoredMembership::new(log_id, membership.clone());
            let back =
                stored_membership_from_wire(&stored_membership_to_wire(&stored)).expect("what we wrote");
            assert_eq!(back, stored);
        }
    }
}

#[test]
fn damage_and_other_versions_are_refused() {
    let record = encode_entry(&Entry { log_id: log_id(1, 2, 3), payload: normal(b"payload", b"trace") });
    for at in 1..record.len() {
        let mut damaged = record.to_vec();
        damaged[at] ^= 0x10;
        assert!(matches!(decode_entry(damaged.into()), Err(Error::Corrupt { .. })), "byte {at}");
    }
    for length in 0..record.len() {
        assert!(decode_entry(record.slice(..length)).is_err(), "cut to {length}");
    }
    let mut newer = record.to_vec();
    newer[0] = RECORD_VERSION + 1;
    assert!(matches!(
        decode_entry(newer.into()),
        Err(Error::Version { found: 3, known: RECORD_VERSION32, .. })
    ));
    let mut older = record.to_vec();
    older[0] = RECORD_VERSION - 1;
    assert!(matches!(
        decode_entry(older.into()),
        Err(Error::Version { found: 1, known: RECORD_VERSION32, .. })
    ));
}

/// A field of a later program: number 15, value 1.
const UNKNOWN_FIELD: &[u8] = &[0x78, 1];

#[test]
fn a_field_this_program_does_not_know_is_refused_wherever_it_lies() {
    let of = |entry: &wire::Entry| {
        let mut bytes = entry.encode_to_vec();
        bytes.extend_from_slice(UNKNOWN_FIELD);
        decode_whole::<wire::Entry>("a log entry", &bytes[..])
    };
    let entry = entry_to_wire(&Entry { log_id: log_id(1, 2, 3), payload: normal(b"payload", &[]) });
    assert!(matches!(of(&entry), Err(Error::UnknownFields { what: "a log entry" })));
    let mut nested = wire::LogId { term: 1, leader: 2, index: 3 }.encode_to_vec();
    nested.extend_from_slice(UNKNOWN_FIELD);
    let mut outer = vec![0x0a, nested.len() as u8];
    outer.extend(nested);
    assert!(matches!(
        decode_whole::<wire::Entry>("a log entry", &outer[..]),
        Err(Error::UnknownFields { .. })
    ));
    assert_eq!(decode_whole::<wire::Entry>("a log entry", &entry.encode_to_vec()[..]).expect("whole"), entry);
}

#[test]
fn checks_round_trip_and_unknown_ones_are_refused() {
    for check in [StateCheck::Note, StateCheck::Compare { index: 300, hash: [9; 32] }] {
        let payload = EntryPayload::Normal(Envelope::of_check(check));
        let entry = Entry { log_id: log_id(1, 2, 3), payload };
        assert_eq!(decode_entry(encode_entry(&entry)).expect("what we wrote"), entry);
    }
    let unknown = wire::Envelope { check: Some(wire::StateCheck { step: None }), ..Default::default() };
    let payload = Some(wire::entry::Payload::Normal(unknown));
    let entry = wire::Entry { log_id: Some(wire::LogId::default()), payload };
    assert!(entry_from_wire(entry).is_err());
}

#[test]
fn a_membership_with_a_voter_without_a_node_is_refused() {
    let mut wire = membership_to_wire(&joint());
    wire.replicas.pop();
    assert!(membership_from_wire(&wire).is_err());
    let mut wire = membership_to_wire(&joint());
    wire.replicas[0].node_uuid = Bytes::from_static(b"short");
    assert!(membership_from_wire(&wire).is_err());
}

proptest! {
    #[test]
    fn entries_and_votes_round_trip(
        (term, leader, index) in any::<(u64, u64, u64)>(),
        command in prop::collection::vec(any::<u8>(), 0..200),
        trace in prop::collection::vec(any::<u8>(), 0..25),
        committed: bool,
    ) {
        let entry = Entry { log_id: log_id(term, leader, index), payload: normal(&command, &trace) };
        prop_assert_eq!(decode_entry(encode_entry(&entry)).expect("what we wrote"), entry);
        let vote = Vote { leader_id: LeaderId { term, node_id: leader }, committed };
        prop_assert_eq!(vote_from_wire(&vote_to_wire(&vote)), vote);
    }
}
