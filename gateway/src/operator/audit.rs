//! The record of what operators changed. A change begins with a record, and is refused if that cannot be written; a
//! second record tells how it ended.

use rowhouse_proto::wire::meta::{
    AppendAudit, AuditRecord, ListAudit, meta_execute_request, meta_query_reply, meta_query_request,
};
use rowhouse_proto::{ErrorCode, Refusal};
use tokio_util::task::TaskTracker;

use super::Operator;

/// The result of a change that was made.
const DONE: &str = "ok";
/// Longest text of a record, in bytes, as the meta group has it.
const TEXT_BYTES_MAX: usize = 1024;

impl Operator {
    /// Makes a change between its two records. `target` says what is changed.
    ///
    /// It goes on when the client leaves. Refused as `Unavailable`, without a change, if its beginning cannot be
    /// recorded.
    pub(crate) async fn audited<T: Send + 'static>(
        &self,
        target: &str,
        change: impl Future<Output = Result<T, Refusal>> + Send + 'static,
    ) -> Result<T, Refusal> {
        let (operator, target) = (self.clone(), target.to_owned());
        let task = async move {
            let begun = operator.begin(&target).await?;
            let result = change.await;
            let told = match &result {
                Ok(_) => DONE.to_owned(),
                // Nobody knows whether it happened.
                Err(refusal) if refusal.code == ErrorCode::Unavailable => format!("unknown: {refusal}"),
                Err(refusal) => format!("refused: {refusal}"),
            };
            begun.end(&told).await;
            result
        };
        TaskTracker::new().spawn(task).await.map_err(|_| ErrorCode::Internal)?
    }

    /// Records that a change begins. `Unavailable` if that cannot be written; then there must be no change.
    pub(crate) async fn begin(&self, target: &str) -> Result<Begun, Refusal> {
        let (id, target) = (rand::random(), cut(target));
        if let Err(refusal) = self.append(id, &target, "").await {
            tracing::error!(%refusal, action = &*self.action, "a change is refused: it cannot be recorded");
            return Err(ErrorCode::Unavailable.into());
        }
        Ok(Begun { operator: self.clone(), id, target })
    }

    /// Records from number `from` on, in order, at most `limit` of up to 1000. From 0: the oldest there is. Fewer than
    /// asked for: the end.
    pub async fn audit(&self, from: u64, limit: u32) -> Result<Vec<AuditRecord>, Refusal> {
        match self.meta_query(meta_query_request::Op::ListAudit(ListAudit { from, limit })).await? {
            meta_query_reply::Result::AuditPage(page) => Ok(page.records),
            _ => Err(ErrorCode::Internal.into()),
        }
    }

    async fn append(&self, id: [u8; 16], target: &str, result: &str) -> Result<(), Refusal> {
        self.meta_execute(meta_execute_request::Op::AppendAudit(AppendAudit {
            id: id.to_vec().into(),
            who: cut(&self.who),
            action: cut(&self.action),
            target: target.to_owned(),
            result: result.to_owned(),
        }))
        .await
    }
}

/// A change whose beginning is recorded.
pub(crate) struct Begun {
    operator: Operator,
    id: [u8; 16],
    target: String,
}

impl Begun {
    /// Records how the change ended, until a deadline of its own.
    pub(crate) async fn end(self, told: &str) {
        let (operator, told) = (self.operator.renewed(), cut(told));
        if let Err(refusal) = operator.append(end_of(self.id), &self.target, &told).await {
            let (action, target) = (&*operator.action, self.target);
            tracing::error!(%refusal, action, target, told, "a result cannot be recorded");
        }
    }
}

/// The id of a change's second record: that of the first but for its last bit, so that readers find the two.
fn end_of(begin: [u8; 16]) -> [u8; 16] {
    (u128::from_be_bytes(begin) ^ 1).to_be_bytes()
}

/// As much of a text as a record takes.
fn cut(text: &str) -> String {
    let end = (0..=TEXT_BYTES_MAX).rev().find(|at| text.is_char_boundary(*at)).unwrap_or_default();
    text.get(..end).unwrap_or(text).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_cut_between_characters() {
        assert_eq!(cut("short"), "short");
        assert_eq!(cut(&"a".repeat(2000)).len(), TEXT_BYTES_MAX);
        assert_eq!(cut(&format!("a{}", "é".repeat(1000))).len(), TEXT_BYTES_MAX - 1);
    }
}
