//! PUT of a body too large for the log. The shard is asked before the body is read; the body goes to the disks of its
//! replicas; the shard is told where it lies. Until that last step nothing has changed, and chunks that were sent in
//! vain expire by themselves.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use rowhouse_proto::wire::shard::{BeginUpload, Upload, execute_reply, execute_request::Op};
use rowhouse_proto::{ErrorCode, OBJECT_ID_BYTES, UPLOAD_WINDOW_BYTES};

use super::entry_change::{Content, EntryChange};
use super::keep_lock::KEEP_EVERY;
use super::staged_upload::StagedUpload;
use crate::body::drain;
use crate::cluster::Call;
use crate::limits::Pace;
use crate::objects::{Intake, Reserve, Sent, send};
use crate::respond::Rejection;

/// Renewals per upload lifetime: up to three in a row may fail.
const RENEWALS: u32 = 4;
/// Bounds of the interval, whatever lifetime a shard names.
const RENEW_EVERY_MAX: Duration = Duration::from_secs(60);
const RENEW_EVERY_MIN: Duration = Duration::from_millis(250);

/// Stores a body in chunks. `head` was read already, `rest` follows it. When the upload is refused the rest is
/// drained, unless the client waits to be asked for it. Answers the hash of the whole.
pub async fn put_object(
    change: &EntryChange<'_>,
    call: &Call,
    head: Vec<Bytes>,
    rest: Body,
) -> Result<Bytes, Rejection> {
    let app = change.app;
    let object = Bytes::copy_from_slice(&rand::random::<[u8; OBJECT_ID_BYTES]>());
    let shard = app.cluster.shard_of_user(&change.target.user).await?;
    let (renew_every, pace) = match begin(change, call, &object, Beginning::First).await {
        Ok(begun) => begun,
        Err(refused) => {
            if !change.body_held_back {
                drain(rest).await;
            }
            return Err(refused);
        }
    };
    let staged =
        StagedUpload::new(Arc::clone(&app.cluster), shard, change.target.tenant_bytes(), object.clone());
    let admission = app.cluster.admission().clone();
    let mut reserved = Reserved {
        change,
        call,
        object: &object,
        // A client sends no more than it declared.
        bytes: change.declared.unwrap_or(UPLOAD_WINDOW_BYTES),
    };
    let mut intake = Intake::new(head, rest, admission, app.limits.body_timeout_s, pace);
    let outcome = tokio::select! {
        refused = renewed(renew_every, || begin_again(change, call, &object)) => Err(refused),
        sent = carry(change, &object, &mut intake, &mut reserved) => sent,
    };
    match outcome {
        Ok(sent) => {
            let has_chunks = sent.digest.length > 0;
            let committed = commit(change, &app.cluster.call_again(call), object, sent).await;
            let may_stand = match &committed {
                Ok(_) => has_chunks,
                Err(refused) => refused.code().is_transient(),
            };
            if may_stand {
                staged.keep();
            }
            committed
        }
        Err(refused) => {
            // A client that sends nothing waits for nothing but the answer.
            let sends = intake.asked() || !change.body_held_back;
            if sends && refused.code() != ErrorCode::RequestTimeout {
                drain(intake.into_rest()).await;
            }
            Err(refused)
        }
    }
}

#[derive(Clone, Copy)]
enum Beginning {
    First,
    /// Gives the upload another lifetime, and room for at least this many bytes in all.
    Again {
        reserved_bytes: u64,
    },
}

/// Asks the shard to expect the object. Everything that can be refused before the body is read is refused here.
/// Returns the interval at which to ask again, and the pace of the body.
async fn begin(
    change: &EntryChange<'_>,
    call: &Call,
    object: &Bytes,
    beginning: Beginning,
) -> Result<(Duration, Option<Pace>), Rejection> {
    let (renew, reserved_bytes) = match beginning {
        Beginning::First => (false, 0),
        Beginning::Again { reserved_bytes } => (true, reserved_bytes),
    };
    let op = if change.conditions.is_some() { Op::BeginUploadIf } else { Op::BeginUpload };
    let (reply, pace) = change
        .ask(call, |credential| {
            op(BeginUpload {
                credential: Some(credential),
                tenant: change.target.tenant_bytes(),
                path: change.target.path.as_str().to_owned(),
                object: object.clone(),
                content_length: change.declared,
                renew,
                reserved_bytes,
                conditions: change.conditions.clone(),
            })
        })
        .await?;
    let every = match reply {
        execute_reply::Result::UploadBegun(begun) => {
            let every = Duration::from_millis(begun.lifetime_ms) / RENEWALS;
            every.clamp(RENEW_EVERY_MIN, RENEW_EVERY_MAX)
        }
        _ => RENEW_EVERY_MAX,
    };
    // Each renewal extends the lock as well.
    let every = if change.holds_lock() { every.min(KEEP_EVERY) } else { every };
    Ok((every, pace))
}

async fn begin_again(change: &EntryChange<'_>, call: &Call, object: &Bytes) -> Result<Duration, Rejection> {
    let beginning = Beginning::Again { reserved_bytes: 0 };
    Ok(begin(change, &change.app.cluster.call_again(call), object, beginning).await?.0)
}

/// Begins the object anew now and then. Ends only when the shard refuses it.
async fn renewed<F>(mut every: Duration, again: impl Fn() -> F) -> Rejection
where
    F: Future<Output = Result<Duration, Rejection>>,
{
    loop {
        tokio::time::sleep(every).await;
        match again().await {
            Ok(next) => every = next,
            Err(refused) if !refused.code().is_transient() => return refused,
            Err(_) => {}
        }
    }
}

/// The bytes that the shard counts for the upload. Without them a body of unknown length could fill its user's disks
/// unseen.
struct Reserved<'a> {
    change: &'a EntryChange<'a>,
    call: &'a Call,
    object: &'a Bytes,
    bytes: u64,
}

impl Reserve for Reserved<'_> {
    type Refused = Rejection;

    /// A fourth more than is needed, so that a long body does not ask for every chunk.
    async fn reserve(&mut self, bytes: u64) -> Result<(), Rejection> {
        if bytes <= self.bytes {
            return Ok(());
        }
        let reserved_bytes = bytes + (bytes / 4).max(UPLOAD_WINDOW_BYTES);
        let call = self.change.app.cluster.call_again(self.call);
        begin(self.change, &call, self.object, Beginning::Again { reserved_bytes }).await?;
        self.bytes = reserved_bytes;
        Ok(())
    }
}

async fn carry(
    change: &EntryChange<'_>,
    object: &Bytes,
    intake: &mut Intake,
    reserved: &mut Reserved<'_>,
) -> Result<Sent, Rejection> {
    let app = change.app;
    let map = app.cluster.map().await?;
    let shard = map.shard_of_user(&change.target.user);
    let group = map.group(shard).ok_or(ErrorCode::Internal)?;
    send(group, shard, object, intake, app.limits.retry_timeout_s, reserved).await
}

async fn commit(
    change: &EntryChange<'_>,
    call: &Call,
    object: Bytes,
    Sent { digest, holders }: Sent,
) -> Result<Bytes, Rejection> {
    let hash = Bytes::copy_from_slice(&digest.hash);
    // A body of unknown length may have been empty: nothing lies on the disks then.
    let content = if digest.length > 0 {
        let upload = Upload { object, length: digest.length, hash: hash.clone(), holders };
        Content::Object { opening: digest.opening, upload }
    } else {
        Content::Inline(Bytes::new())
    };
    // All of it was paid for while it came.
    change.put(call, content).await.map(|_| hash)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Mutex;

    #[tokio::test(start_paused = true)]
    async fn an_object_is_kept_alive_until_the_shard_refuses_it() {
        const SHORT: Duration = Duration::from_secs(1);
        const LONG: Duration = Duration::from_secs(20);
        let answers = [Ok(SHORT), Err(ErrorCode::Unavailable), Ok(LONG), Err(ErrorCode::NoSession)];
        let answers = Mutex::new(answers.into_iter());
        let started = tokio::time::Instant::now();
        let refused = renewed(LONG, || {
            let answer = answers.lock().expect("answers").next().expect("asked no more after the refusal");
            std::future::ready(answer.map_err(Rejection::from))
        })
        .await;
        assert_eq!(refused.code(), ErrorCode::NoSession);
        assert_eq!(started.elapsed(), 2 * LONG + 2 * SHORT);
    }
}
