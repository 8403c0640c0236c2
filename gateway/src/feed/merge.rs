//! One order out of the answers of several nodes. Pure.

use rowhouse_proto::wire::feed::PageReply;
use rowhouse_proto::{EventRow, Malformed};

/// Events of several shards in the order of their ids.
#[derive(Debug, Default, PartialEq)]
pub struct Merged {
    pub events: Vec<EventRow>,
    /// All shards were looked at as far as this id; `None`: to the end.
    pub reached: Option<u64>,
}

/// Merges answers that are each in order. Behind the nearest `reached` there may be events that were not told, so
/// nothing behind it is taken: it comes again with the next answers. `Malformed`: an answer is no run of rows.
pub fn merge(replies: Vec<PageReply>, reverse: bool) -> Result<Merged, Malformed> {
    let ends = replies.iter().map(|reply| reply.reached).filter(|reached| *reached != 0);
    let reached = if reverse { ends.max() } else { ends.min() };
    let is_reached = |event: &EventRow| match reached {
        Some(reached) if reverse => event.id() >= reached,
        Some(reached) => event.id() <= reached,
        None => true,
    };
    let mut events = Vec::new();
    for mut reply in replies {
        while let Some(event) = EventRow::take(&mut reply.rows) {
            events.push(event?);
        }
    }
    events.retain(is_reached);
    // A stable sort finds the runs that are in order and merges them.
    if reverse {
        events.sort_by_key(|event| std::cmp::Reverse(event.id()));
    } else {
        events.sort_by_key(EventRow::id);
    }
    Ok(Merged { events, reached })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::rows_of_ids;

    fn reply(ids: &[u64], reached: u64) -> PageReply {
        PageReply { rows: rows_of_ids(ids), reached, ..PageReply::default() }
    }

    fn merged(replies: &[(&[u64], u64)], reverse: bool) -> (Vec<u64>, Option<u64>) {
        let replies = replies.iter().map(|(ids, reached)| reply(ids, *reached)).collect();
        let merged = merge(replies, reverse).expect("rows");
        (merged.events.iter().map(EventRow::id).collect(), merged.reached)
    }

    #[test]
    fn an_answer_that_is_no_run_of_rows_is_refused() {
        let mut cut = reply(&[1, 2], 0);
        cut.rows.truncate(cut.rows.len() - 1);
        assert_eq!(merge(vec![reply(&[3], 0), cut], false), Err(Malformed));
    }

    #[test]
    fn answers_to_the_end_are_merged_whole() {
        assert_eq!(merged(&[(&[1, 4, 9], 0), (&[], 0), (&[2, 3], 0)], false), (vec![1, 2, 3, 4, 9], None));
        assert_eq!(merged(&[(&[9, 4], 0), (&[7, 1], 0)], true), (vec![9, 7, 4, 1], None));
        assert_eq!(merged(&[], false), (vec![], None));
    }

    #[test]
    fn nothing_behind_the_nearest_end_is_taken() {
        assert_eq!(merged(&[(&[1, 4], 5), (&[2, 6], 6), (&[3, 8], 0)], false), (vec![1, 2, 3, 4], Some(5)));
        assert_eq!(merged(&[(&[9, 4], 4), (&[7], 6), (&[5], 0)], true), (vec![9, 7], Some(6)));
        assert_eq!(merged(&[(&[], 5), (&[6], 0)], false), (vec![], Some(5)), "none of many matched");
    }
}
