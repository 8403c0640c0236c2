//! Reads whole objects and compares them with what was written.

use rowhouse_proto::wire::state::Object;

use super::inventory::Damage;
use super::rate::Rate;
use super::shared::{Objects, chunk_count, key};
use crate::state::objects::ObjectId;
use crate::{Error, Group};

/// The result of reading all of an object.
pub(super) enum Verdict {
    Whole,
    /// Chunks are missing or damaged.
    Incomplete,
    /// Every chunk is as it was stored here, and together they are not what was written.
    Wrong,
}

impl Objects {
    /// Reads the whole object. Chunks that are not here, or are damaged, are reported. Without a rate it reads what
    /// was taken in at one.
    pub(super) async fn verify(
        &self,
        group: &Group,
        id: ObjectId,
        row: &Object,
        rate: Option<&Rate>,
    ) -> Result<Verdict, Error> {
        let (mut hasher, mut all) = (blake3::Hasher::new(), true);
        for index in 0..chunk_count(row.length) {
            let damage = Damage { replica: group.replica(), object: id, index: Some(index) };
            match self.blobs.get(key(group, id, index)).await {
                Ok(Some(body)) => {
                    hasher.update(&body);
                    if let Some(rate) = rate {
                        rate.take(body.len()).await;
                    }
                }
                Ok(None) => {
                    all = false;
                    self.lacks(damage);
                }
                Err(Error::DamagedChunk(_)) => {
                    all = false;
                    self.damaged(damage);
                }
                Err(error) => return Err(error),
            }
        }
        Ok(match all {
            false => Verdict::Incomplete,
            true if hasher.finalize().as_bytes()[..] == row.hash[..] => Verdict::Whole,
            true => Verdict::Wrong,
        })
    }
}
