//! Sees every put a DHT node is asked for, and keeps the record before the node answers.
//!
//! mainline offers a filter for requests, but does not export the request's type: its printed form is the
//! only view of it. A misreading cannot do harm: a record whose signature does not verify is not kept.
//! Deliberately absent: any decision. The filter always says yes.

use std::fmt::{self, Write};
use std::net::SocketAddrV4;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::sync::{Arc, Mutex};

use mainline::{RequestFilter, RequestSpecific};
use rowhouse_proto::lock::lock;

use crate::records::{Record, Records, SALT_BYTES_MAX, VALUE_BYTES_MAX};

/// Longer than any printed put: a token, a value, a key and a signature at five characters a byte.
const PRINTED_BYTES_MAX: usize = 5 * (VALUE_BYTES_MAX + SALT_BYTES_MAX + 512);
/// By here the printed form has told whether it is a put.
const KIND_BYTES: usize = 256;

/// Shared by all DHT nodes of the testnet.
#[derive(Clone)]
pub struct Observer {
    records: Arc<Mutex<Records>>,
    /// Holds one wish to sync. A put that finds it taken is covered by the sync still to come.
    sync: SyncSender<()>,
}

impl fmt::Debug for Observer {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Observer")
    }
}

impl Observer {
    /// Starts the thread that syncs the file; it ends when the last observer is gone. Fails if the system refuses a
    /// thread.
    pub fn start(records: Records) -> std::io::Result<Self> {
        let (sync, wishes) = sync_channel::<()>(1);
        let records = Arc::new(Mutex::new(records));
        let synced = records.clone();
        std::thread::Builder::new().name("record-sync".into()).spawn(move || {
            while wishes.recv().is_ok() {
                let file = lock(&synced).sync_handle();
                if let Err(error) = file.and_then(|file| file.sync_data()) {
                    tracing::error!(%error, "cannot sync the testnet's record file");
                }
            }
        })?;
        Ok(Self { records, sync })
    }

    /// A copy of every record that is kept.
    pub fn all(&self) -> Vec<Record> {
        lock(&self.records).all()
    }

    fn keep(&self, record: Record) {
        let kept = lock(&self.records).keep(record);
        match kept {
            Ok(true) => drop(self.sync.try_send(())),
            Ok(false) => {}
            Err(error) => tracing::error!(%error, "cannot write the testnet's record file"),
        }
    }
}

impl RequestFilter for Observer {
    fn allow_request(&self, request: &RequestSpecific, _from: SocketAddrV4) -> bool {
        let mut printed = PutText(String::new());
        if write!(printed, "{request:?}").is_ok()
            && let Some(record) = parse_put(&printed.0)
            && record.verifies()
        {
            self.keep(record);
        }
        true
    }
}

/// Gives up early on anything that is no put.
struct PutText(String);

impl Write for PutText {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let is_put = || self.0.contains("request_type: Put(");
        if self.0.len() + text.len() > PRINTED_BYTES_MAX || (self.0.len() > KIND_BYTES && !is_put()) {
            return Err(fmt::Error);
        }
        self.0.push_str(text);
        Ok(())
    }
}

/// Reads a printed `PutMutable` request.
fn parse_put(printed: &str) -> Option<Record> {
    let (_, arguments) = printed.split_once("PutMutable(")?;
    let salt = match field(arguments, "salt")? {
        text if text.starts_with("Some(") => list(text.strip_prefix("Some(")?)?,
        _ => Vec::new(),
    };
    let seq = field(arguments, "seq")?;
    let seq = &seq[..seq.find(|letter: char| letter != '-' && !letter.is_ascii_digit())?];
    Some(Record {
        key: list(field(arguments, "k")?)?.try_into().ok()?,
        signature: list(field(arguments, "sig")?)?.try_into().ok()?,
        seq: seq.parse().ok()?,
        salt,
        value: list(field(arguments, "v")?)?,
    })
}

/// The text after ` name: `.
fn field<'a>(arguments: &'a str, name: &str) -> Option<&'a str> {
    let start = arguments.find(&format!(" {name}: "))?;
    arguments.get(start + name.len() + 3..)
}

/// `[1, 2, 3]` at the start of the text.
fn list(text: &str) -> Option<Vec<u8>> {
    let inner = text.strip_prefix('[')?;
    let inner = &inner[..inner.find(']')?];
    if inner.is_empty() {
        return Some(Vec::new());
    }
    inner.split(", ").map(|number| number.parse().ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn printed(salt: &str) -> String {
        let numbers = |count: usize, value: u8| vec![value.to_string(); count].join(", ");
        format!(
            "RequestSpecific {{ requester_id: Id(ab), request_type: Put(PutRequest {{ token: [9, 9], \
             put_request_type: PutMutable(PutMutableRequestArguments {{ target: Id(cd), v: [1, 2, 3], k: [{}], \
             seq: 1700000000000000, sig: [{}], salt: {salt}, cas: None }}) }}) }}",
            numbers(32, 4),
            numbers(64, 250),
        )
    }

    #[test]
    fn a_printed_put_gives_its_record() {
        let record = parse_put(&printed("None")).expect("a whole put");
        assert_eq!(record.value, [1, 2, 3]);
        assert_eq!(record.key, [4; 32]);
        assert_eq!(record.signature, [250; 64]);
        assert_eq!(record.seq, 1_700_000_000_000_000);
        assert_eq!(record.salt, Vec::<u8>::new());
        assert_eq!(parse_put(&printed("Some([7, 8])")).expect("a salted put").salt, [7, 8]);
    }

    #[test]
    fn other_text_gives_none() {
        for text in ["", "RequestSpecific { requester_id: Id(ab), request_type: Ping }", "PutMutable( k: [1]"]
        {
            assert_eq!(parse_put(text), None, "{text}");
        }
        assert_eq!(parse_put(&printed("None").replace("250", "300")), None);
    }

    #[test]
    fn long_requests_of_other_kinds_are_given_up_early() {
        let mut text = PutText(String::new());
        let mut failed = false;
        for _ in 0..100 {
            failed |= text.write_str("request_type: GetValue(..)").is_err();
        }
        assert!(failed && text.0.len() <= 2 * KIND_BYTES);
    }
}
