//! Carries a body from its client to the replicas, no faster than a majority of them takes it.

use std::future::Future;
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

/// Leave to put bytes on the disks, asked for before they are sent.
pub trait Reserve {
    type Refused: From<ErrorCode>;

    /// Until as many bytes of the body may lie there.
    fn reserve(&mut self, bytes: u64) -> impl Future<Output = Result<(), Self::Refused>> + Send;
}

/// `patience` bounds every wait for a majority.
pub async fn send<R: Reserve>(
    group: &Group,
    shard: u32,
    object: &Bytes,
    intake: &mut Intake,
    patience: Duration,
    reserved: &mut R,
) -> Result<Sent, R::Refused> {
    let mut length = 0;
    let mut fan = Fan::open(group, shard, object, patience);
    loop {
        fan.room().await?;
        // Answers are taken while the client is waited for: they give room back, perhaps to this very chunk.
        let next = stepping(&mut fan, intake.chunk()).await??;
        match next {
            Some(chunk) => {
                length += chunk.body.len() as u64;
                stepping(&mut fan, reserved.reserve(length)).await??;
                fan.offer(&chunk).await?;
            }
            None => break,
        }
    }
    let holders = fan.finish().await?;
    Ok(Sent { digest: intake.digest(), holders })
}

/// Takes the replicas' answers until `until` is over.
async fn stepping<T>(fan: &mut Fan, until: impl Future<Output = T>) -> Result<T, ErrorCode> {
    tokio::pin!(until);
    loop {
        tokio::select! {
            done = &mut until => return Ok(done),
            stepped = fan.step() => stepped?,
        }
    }
}
