//! Carries a body from its client to the replicas, no faster than a majority of them takes it.

use std::time::Duration;

use bytes::Bytes;
use rowhouse_proto::ErrorCode;

use super::chunker::Digest;
use super::fan::Fan;
use super::intake::Intake;
use crate::cluster::Group;

/// A body that lies on the disks of a majority.
pub struct Sent {
    pub digest: Digest,
    pub holders: Vec<u64>,
}

/// `patience` bounds every wait for a majority.
pub async fn send(
    group: &Group,
    shard: u32,
    object: &Bytes,
    intake: &mut Intake,
    patience: Duration,
) -> Result<Sent, ErrorCode> {
    let mut fan = Fan::open(group, shard, object, patience);
    loop {
        fan.room().await?;
        let next = {
            let arriving = intake.chunk();
            tokio::pin!(arriving);
            loop {
                // Answers are taken while the client is waited for: they give room back, perhaps to this
                // very chunk.
                tokio::select! {
                    next = &mut arriving => break next?,
                    stepped = fan.step() => stepped?,
                }
            }
        };
        match next {
            Some(chunk) => fan.offer(&chunk).await?,
            None => break,
        }
    }
    let holders = fan.finish().await?;
    Ok(Sent { digest: intake.digest(), holders })
}
