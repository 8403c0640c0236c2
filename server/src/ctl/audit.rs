//! `rowhouse ctl audit`: what operators changed, by the admin API and by `ctl`.

use std::time::Duration;

use rowhouse_gateway::operator::{AuditItem, Operator};
use rowhouse_proto::audit::Chain;
use rowhouse_proto::wire::meta::AuditRecord;
use serde::Serialize;
use tokio::time::sleep;

use super::acting::{operator, refused};
use super::args::{Access, Output};
use crate::error::Error;

/// Records asked for at once.
const PAGE: u32 = 1000;
/// New records are looked for as often.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Flags of `rowhouse ctl audit`.
#[derive(clap::Args, Clone, Debug)]
pub struct AuditArgs {
    /// Only say whether the chain is whole: nobody changed a record, or dropped one in the middle.
    #[arg(long, conflicts_with = "follow")]
    pub verify: bool,
    /// Begin with the record of this number instead of the oldest there is.
    #[arg(long, value_name = "NUMBER", default_value_t = 0)]
    pub from: u64,
    /// Go on with new records as they are written.
    #[arg(long)]
    pub follow: bool,
    /// Form of what is printed.
    #[arg(long, value_enum, default_value_t)]
    pub output: Output,
    #[command(flatten)]
    pub access: Access,
}

/// What a check of the chain found.
#[derive(Debug, Default, PartialEq, Serialize)]
struct Verdict {
    records: u64,
    first: u64,
    last: u64,
    whole: bool,
}

/// Prints a line for each record, or the verdict on all. Fails if the chain is not whole.
pub async fn audit(args: AuditArgs) -> Result<(), Error> {
    let operator = operator(&args.access, "ctl audit").await?;
    if args.verify {
        return verify(&operator, &args).await;
    }
    let mut next = args.from;
    loop {
        let records = operator.renewed().audit(next, PAGE).await.map_err(refused)?;
        for record in &records {
            let item = AuditItem::from(record);
            args.output.print_line(&line(&item), &item)?;
            next = record.number + 1;
        }
        if records.len() < PAGE as usize {
            if !args.follow {
                return Ok(());
            }
            sleep(LOOK_EVERY).await;
        }
    }
}

async fn verify(operator: &Operator, args: &AuditArgs) -> Result<(), Error> {
    let (mut chain, mut verdict) = (Chain::default(), Verdict { whole: true, ..Verdict::default() });
    let mut next = args.from;
    loop {
        let records = operator.renewed().audit(next, PAGE).await.map_err(refused)?;
        judge(&mut chain, &mut verdict, &records)?;
        next = verdict.last + 1;
        if records.len() < PAGE as usize {
            break;
        }
    }
    args.output.print_line(&in_words(&verdict), &verdict)
}

fn judge(chain: &mut Chain, verdict: &mut Verdict, records: &[AuditRecord]) -> Result<(), Error> {
    for record in records {
        chain.check(record).map_err(|why| Error::Failed(format!("the chain is not whole: {why}")))?;
        if verdict.records == 0 {
            verdict.first = record.number;
        }
        verdict.records += 1;
        verdict.last = record.number;
    }
    Ok(())
}

fn in_words(verdict: &Verdict) -> String {
    match verdict.records {
        0 => "no records".to_owned(),
        count => format!("the chain is whole: {count} records, from {} to {}", verdict.first, verdict.last),
    }
}

fn line(item: &AuditItem) -> String {
    let AuditItem { number, at, who, action, target, result, .. } = item;
    let result = if result.is_empty() { "begins" } else { result };
    format!("{number}  {at}  {who}  {action}  {target}  {result}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use rowhouse_proto::audit::hash_of;

    fn records(count: u64) -> Vec<AuditRecord> {
        let mut records: Vec<AuditRecord> = Vec::new();
        for number in 1..=count {
            let previous = records.last().map(|last| last.hash.clone()).unwrap_or_default();
            let who = "ctl@alice".to_owned();
            let mut record = AuditRecord {
                number,
                previous,
                who,
                action: "ctl user disable".into(),
                target: "someone".into(),
                result: if number % 2 == 0 { "ok".into() } else { String::new() },
                at_ms: 1_792_663_872_123,
                ..AuditRecord::default()
            };
            record.hash = hash_of(&record);
            records.push(record);
        }
        records
    }

    #[test]
    fn records_are_lines() {
        let lines: Vec<String> = records(2).iter().map(|record| line(&AuditItem::from(record))).collect();
        assert_eq!(
            lines,
            [
                "1  2026-10-22T10:11:12.123000  ctl@alice  ctl user disable  someone  begins",
                "2  2026-10-22T10:11:12.123000  ctl@alice  ctl user disable  someone  ok",
            ]
        );
        let json = serde_json::to_value(AuditItem::from(&records(2)[1])).unwrap();
        assert_eq!((json["number"].as_u64(), json["result"].as_str()), (Some(2), Some("ok")));
        assert_eq!(json["previous"], hex::encode(&records(1)[0].hash));
    }

    #[test]
    fn a_broken_chain_is_an_error_that_says_where() {
        let (mut chain, mut verdict) = (Chain::default(), Verdict { whole: true, ..Verdict::default() });
        let mut all = records(5);
        judge(&mut chain, &mut verdict, &all[..3]).unwrap();
        assert_eq!(in_words(&verdict), "the chain is whole: 3 records, from 1 to 3");
        all[4].target = "someone else".into();
        let error = judge(&mut chain, &mut verdict, &all[3..]).unwrap_err();
        assert_eq!(error.exit_code(), crate::error::EXIT_FAILED);
        assert!(error.to_string().contains("record 5 was changed"), "{error}");
        assert_eq!(in_words(&Verdict::default()), "no records");
    }
}
