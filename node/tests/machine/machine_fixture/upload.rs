//! Commands of large bodies.

use bytes::Bytes;
use rowhouse_node::state::objects::ObjectId;
use rowhouse_node::state::tables;
use rowhouse_proto::wire::command::{self, command::Body};
use rowhouse_proto::wire::state::{Object, PhysicalUsage, Shard, object::State};

use super::*;

pub const LIFETIME_MS: u64 = 1000;
pub const GRACE_MS: u64 = 500;
pub const MIB: u64 = 1024 * 1024;

pub fn id(n: u8) -> ObjectId {
    wide_id(u16::from(n) << 8 | u16::from(n))
}

/// Where 256 are too few.
pub fn wide_id(n: u16) -> ObjectId {
    let [high, low] = n.to_be_bytes();
    let mut id = [low; 16];
    id[0] = high;
    id
}

/// By the user's own cookie.
pub fn begin_id(user: u8, path: &str, object: &ObjectId, content_length: Option<u64>) -> Body {
    Body::BeginUpload(command::BeginUpload {
        credential: cookie(user),
        user: key_of(user),
        path: path.to_owned(),
        object: Bytes::copy_from_slice(object),
        content_length,
        lifetime_ms: LIFETIME_MS,
        renew: false,
        reserved_bytes: 0,
        default_quota_bytes: None,
        conditions: None,
    })
}

pub fn begin(user: u8, path: &str, n: u8, content_length: Option<u64>) -> Body {
    begin_id(user, path, &id(n), content_length)
}

pub fn renew(user: u8, path: &str, n: u8) -> Body {
    renew_with(user, path, &id(n), 0)
}

pub fn renew_with(user: u8, path: &str, object: &ObjectId, reserved_bytes: u64) -> Body {
    let Body::BeginUpload(upload) = begin_id(user, path, object, None) else { panic!("an upload") };
    Body::BeginUpload(command::BeginUpload { renew: true, reserved_bytes, ..upload })
}

pub fn commit_id(user: u8, path: &str, object: &ObjectId, length: u64) -> Body {
    let Body::PutEntry(put) = put(cookie(user), user, path, b"") else { panic!("a put") };
    let hash = hash(object[15]);
    let object = command::Object { id: Bytes::copy_from_slice(object), length, holders: vec![1, 3] };
    Body::PutEntry(command::PutEntry { hash, object: Some(object), ..put })
}

/// The same with other replicas that have all of it.
pub fn held_by(put: Body, holders: &[u64]) -> Body {
    let Body::PutEntry(command::PutEntry { object: Some(object), .. }) = &put else { panic!("a large put") };
    let object = command::Object { holders: holders.to_vec(), ..object.clone() };
    let Body::PutEntry(put) = put else { panic!("a put") };
    Body::PutEntry(command::PutEntry { object: Some(object), ..put })
}

pub fn commit(user: u8, path: &str, n: u8, length: u64) -> Body {
    commit_id(user, path, &id(n), length)
}

pub fn abandon(user: u8, n: u8) -> Body {
    let object = Bytes::copy_from_slice(&id(n));
    Body::AbandonUpload(command::AbandonUpload { user: key_of(user), object })
}

pub fn collect() -> Body {
    Body::CollectObjects(command::CollectObjects { grace_ms: GRACE_MS })
}

pub fn uploads(replica: &Replica) -> u64 {
    replica.row::<Shard>(&[tables::SHARD]).unwrap_or_default().uploads
}

pub fn physical(replica: &Replica, user: u8) -> PhysicalUsage {
    replica.row(&tables::physical_usage(&key_bytes(user))).unwrap_or_default()
}

/// The same, from all rows of objects.
pub fn counted(replica: &Replica, user: u8) -> PhysicalUsage {
    let mut usage = PhysicalUsage::default();
    for (_, value) in replica.rows.0.iter().filter(|(key, _)| key[0] == tables::OBJECT) {
        let row = Object::decode(&value[1..]).expect("a stored message");
        if row.user == key_of(user) {
            usage.bytes += row.length;
            usage.uploads += u64::from(row.state() == State::Staged);
        }
    }
    usage
}
