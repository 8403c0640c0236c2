//! Signed records that the testnet or the relay was given, kept in one append-only file.
//!
//! Owns the file. The newest record of each key lives in memory too; the file is rewritten when most of it is outdated.
//! A record is written before the put is answered, so that a kill of the process loses nothing. The caller's own thread
//! syncs it, so that a power cut loses the last moment at most.

use std::collections::{BTreeMap, HashMap};
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use ed25519_dalek::{Signature, VerifyingKey};

/// First bytes of the file: its kind and the version of its format.
const MAGIC: &[u8; 8] = b"RWHSREC\x01";
/// Length and checksum before each record.
const HEAD_BYTES: usize = 8;
/// Key, signature, sequence number, and the two lengths.
const FIXED_BYTES: usize = 32 + 64 + 8 + 1 + 2;
/// BEP 44: a value has at most 1000 bytes.
pub const VALUE_BYTES_MAX: usize = 1000;
/// BEP 44: a salt has at most 64 bytes.
pub const SALT_BYTES_MAX: usize = 64;
/// About 100 MB of memory and file: far more users than one development machine signs up.
pub const RECORDS_MAX: usize = 100_000;
/// Outdated records tolerated in a small file before it is rewritten: under 1 MB.
const OUTDATED_MIN: usize = 1_000;

/// One BEP 44 mutable item, exactly as it was put.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Ed25519 public key of the signer.
    pub key: [u8; 32],
    /// Ed25519 signature over salt, sequence number and value.
    pub signature: [u8; 64],
    /// Sequence number: a higher one replaces a lower one.
    pub seq: i64,
    /// At most [`SALT_BYTES_MAX`]; empty for items without a salt.
    pub salt: Vec<u8>,
    /// At most [`VALUE_BYTES_MAX`].
    pub value: Vec<u8>,
}

impl Record {
    /// Whether the key signed these very bytes: what any DHT node checks before it stores them.
    pub fn verifies(&self) -> bool {
        if self.value.len() > VALUE_BYTES_MAX || self.salt.len() > SALT_BYTES_MAX {
            return false;
        }
        let Ok(key) = VerifyingKey::from_bytes(&self.key) else { return false };
        let mut signed = Vec::with_capacity(self.value.len() + self.salt.len() + 64);
        if !self.salt.is_empty() {
            signed.extend_from_slice(format!("4:salt{}:", self.salt.len()).as_bytes());
            signed.extend_from_slice(&self.salt);
        }
        signed.extend_from_slice(format!("3:seqi{}e1:v{}:", self.seq, self.value.len()).as_bytes());
        signed.extend_from_slice(&self.value);
        key.verify_strict(&signed, &Signature::from_bytes(&self.signature)).is_ok()
    }

    fn encode(&self) -> Vec<u8> {
        let mut body = Vec::with_capacity(FIXED_BYTES + self.salt.len() + self.value.len());
        body.extend_from_slice(&self.key);
        body.extend_from_slice(&self.signature);
        body.extend_from_slice(&self.seq.to_be_bytes());
        body.push(self.salt.len() as u8);
        body.extend_from_slice(&self.salt);
        body.extend_from_slice(&(self.value.len() as u16).to_be_bytes());
        body.extend_from_slice(&self.value);
        let mut framed = Vec::with_capacity(HEAD_BYTES + body.len());
        framed.extend_from_slice(&(body.len() as u32).to_be_bytes());
        framed.extend_from_slice(&crc32c::crc32c(&body).to_be_bytes());
        framed.extend_from_slice(&body);
        framed
    }

    fn decode(body: &[u8]) -> Option<Self> {
        let (key, rest) = body.split_first_chunk::<32>()?;
        let (signature, rest) = rest.split_first_chunk::<64>()?;
        let (seq, rest) = rest.split_first_chunk::<8>()?;
        let (&salt_len, rest) = rest.split_first()?;
        let (salt, rest) = rest.split_at_checked(usize::from(salt_len))?;
        let (value_len, value) = rest.split_first_chunk::<2>()?;
        (value.len() == usize::from(u16::from_be_bytes(*value_len))).then(|| Self {
            key: *key,
            signature: *signature,
            seq: i64::from_be_bytes(*seq),
            salt: salt.to_vec(),
            value: value.to_vec(),
        })
    }
}

/// Where a record belongs: a key may hold several items under different salts.
type Slot = ([u8; 32], Vec<u8>);

/// The newest record of each slot, at most [`RECORDS_MAX`], and the file that keeps them.
pub struct Records {
    path: PathBuf,
    file: File,
    live: HashMap<Slot, (u64, Record)>,
    /// Slots by the order of their last write: the oldest leaves first when the bound is reached.
    by_age: BTreeMap<u64, Slot>,
    next_order: u64,
    in_file: usize,
    max: usize,
}

impl Records {
    /// Opens or creates the file. A torn tail, as a power cut leaves, is cut off. Fails on a file of another kind or
    /// version.
    pub fn open(path: &Path) -> io::Result<Self> {
        Self::open_bounded(path, RECORDS_MAX)
    }

    fn open_bounded(path: &Path, max: usize) -> io::Result<Self> {
        let mut file = OpenOptions::new().read(true).append(true).create(true).open(path)?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        let mut records = Self {
            path: path.to_owned(),
            file,
            live: HashMap::new(),
            by_age: BTreeMap::new(),
            next_order: 0,
            in_file: 0,
            max,
        };
        let valid = records.load(&bytes)?;
        if valid < bytes.len() {
            tracing::warn!(
                lost_bytes = bytes.len() - valid,
                "the testnet's record file has a torn tail: cut off"
            );
            records.file.set_len(valid as u64)?;
        }
        if valid == 0 {
            records.file.write_all(MAGIC)?;
        }
        records.file.sync_all()?;
        Ok(records)
    }

    /// Reads what is whole; answers how many bytes that is.
    fn load(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if bytes.len() < MAGIC.len() && MAGIC.starts_with(bytes) {
            return Ok(0);
        }
        if !bytes.starts_with(MAGIC) {
            let text = format!("{} is not a record file of this version", self.path.display());
            return Err(io::Error::new(io::ErrorKind::InvalidData, text));
        }
        let mut at = MAGIC.len();
        while let Some((record, used)) = decode_framed(&bytes[at..]) {
            at += used;
            self.in_file += 1;
            self.remember(record);
        }
        Ok(at)
    }

    /// Keeps a record if it is newer than what its slot holds. Answers whether the file changed.
    ///
    /// An equal sequence number with other bytes replaces, as mainline's own nodes do.
    pub fn keep(&mut self, record: Record) -> io::Result<bool> {
        let slot = (record.key, record.salt.clone());
        if let Some((_, held)) = self.live.get(&slot)
            && (held.seq > record.seq || *held == record)
        {
            return Ok(false);
        }
        self.file.write_all(&record.encode())?;
        self.in_file += 1;
        self.remember(record);
        if self.in_file > self.live.len() * 2 + OUTDATED_MIN {
            self.rewrite()?;
        }
        Ok(true)
    }

    /// A second handle of the file, for syncing it from another thread.
    pub fn sync_handle(&self) -> io::Result<File> {
        self.file.try_clone()
    }

    /// A copy of every record that is kept.
    pub fn all(&self) -> Vec<Record> {
        self.live.values().map(|(_, record)| record.clone()).collect()
    }

    /// The newest one of a key, without a salt.
    pub fn find(&self, key: &[u8; 32]) -> Option<&Record> {
        self.live.get(&(*key, Vec::new())).map(|(_, record)| record)
    }

    /// The number of records that are kept.
    pub fn len(&self) -> usize {
        self.live.len()
    }

    fn remember(&mut self, record: Record) {
        let slot = (record.key, record.salt.clone());
        let order = self.next_order;
        self.next_order += 1;
        if let Some((old, _)) = self.live.insert(slot.clone(), (order, record)) {
            self.by_age.remove(&old);
        }
        self.by_age.insert(order, slot);
        while self.live.len() > self.max
            && let Some((_, oldest)) = self.by_age.pop_first()
        {
            self.live.remove(&oldest);
        }
    }

    /// Writes the live records to a new file which then takes the old one's place.
    fn rewrite(&mut self) -> io::Result<()> {
        let staged = self.path.with_extension("new");
        let mut bytes = MAGIC.to_vec();
        for slot in self.by_age.values() {
            if let Some((_, record)) = self.live.get(slot) {
                bytes.extend_from_slice(&record.encode());
            }
        }
        let mut file = File::create(&staged)?;
        file.write_all(&bytes)?;
        file.sync_all()?;
        std::fs::rename(&staged, &self.path)?;
        if let Some(folder) = self.path.parent() {
            File::open(folder)?.sync_all()?;
        }
        self.file = OpenOptions::new().read(true).append(true).open(&self.path)?;
        self.in_file = self.live.len();
        Ok(())
    }
}

fn decode_framed(bytes: &[u8]) -> Option<(Record, usize)> {
    let (len, rest) = bytes.split_first_chunk::<4>()?;
    let (sum, rest) = rest.split_first_chunk::<4>()?;
    let body = rest.get(..u32::from_be_bytes(*len) as usize)?;
    if crc32c::crc32c(body) != u32::from_be_bytes(*sum) {
        return None;
    }
    Some((Record::decode(body)?, HEAD_BYTES + body.len()))
}

#[cfg(test)]
mod tests {
    use ed25519_dalek::{Signer, SigningKey};

    use super::*;

    fn record(key: u8, seq: i64, value: &[u8]) -> Record {
        let signer = SigningKey::from_bytes(&[key; 32]);
        let mut signed = format!("3:seqi{seq}e1:v{}:", value.len()).into_bytes();
        signed.extend_from_slice(value);
        Record {
            key: signer.verifying_key().to_bytes(),
            signature: signer.sign(&signed).to_bytes(),
            seq,
            salt: Vec::new(),
            value: value.to_vec(),
        }
    }

    fn sorted(records: &Records) -> Vec<Record> {
        let mut all = records.all();
        all.sort_by_key(|record| record.key);
        all
    }

    #[test]
    fn the_newest_of_each_key_survives_a_reload() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("records.log");
        let mut records = Records::open(&path).unwrap();
        assert!(records.keep(record(1, 5, b"old")).unwrap());
        assert!(records.keep(record(1, 6, b"new")).unwrap());
        assert!(!records.keep(record(1, 6, b"new")).unwrap(), "the same bytes again change nothing");
        assert!(!records.keep(record(1, 4, b"stale")).unwrap());
        assert!(records.keep(record(2, 1, b"other")).unwrap());
        let before = sorted(&records);
        drop(records);
        let reloaded = Records::open(&path).unwrap();
        assert_eq!(sorted(&reloaded), before);
        assert_eq!(reloaded.len(), 2);
        assert!(reloaded.all().iter().any(|held| held.value == b"new"));
    }

    #[test]
    fn a_file_cut_anywhere_keeps_all_whole_records_and_takes_new_ones() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("records.log");
        let mut records = Records::open(&path).unwrap();
        for key in 1..=3 {
            records.keep(record(key, 1, &[key; 20])).unwrap();
        }
        drop(records);
        let whole = std::fs::read(&path).unwrap();
        let one = (whole.len() - MAGIC.len()) / 3;
        for cut in 0..whole.len() {
            std::fs::write(&path, &whole[..cut]).unwrap();
            let mut records = Records::open(&path).unwrap();
            assert_eq!(records.len(), cut.saturating_sub(MAGIC.len()) / one, "cut at {cut}");
            records.keep(record(9, 1, b"after")).unwrap();
            let expected = records.len();
            drop(records);
            assert_eq!(Records::open(&path).unwrap().len(), expected, "cut at {cut}");
        }
    }

    #[test]
    fn a_flipped_bit_ends_the_file_there() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("records.log");
        let mut records = Records::open(&path).unwrap();
        records.keep(record(1, 1, b"one")).unwrap();
        records.keep(record(2, 1, b"two")).unwrap();
        drop(records);
        let mut bytes = std::fs::read(&path).unwrap();
        let last = bytes.len() - 1;
        bytes[last] ^= 1;
        std::fs::write(&path, &bytes).unwrap();
        assert_eq!(Records::open(&path).unwrap().len(), 1);
    }

    #[test]
    fn a_foreign_file_is_refused_and_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("records.log");
        std::fs::write(&path, b"something else entirely").unwrap();
        assert!(Records::open(&path).is_err());
        assert_eq!(std::fs::read(&path).unwrap(), b"something else entirely");
    }

    #[test]
    fn many_updates_of_one_key_do_not_grow_the_file_without_bound() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("records.log");
        let mut records = Records::open(&path).unwrap();
        for seq in 0..3 * OUTDATED_MIN as i64 {
            records.keep(record(1, seq, b"value")).unwrap();
        }
        let one = record(1, 0, b"value").encode().len() as u64;
        assert!(std::fs::metadata(&path).unwrap().len() < (OUTDATED_MIN as u64 + 10) * one);
        drop(records);
        let reloaded = Records::open(&path).unwrap();
        assert_eq!(reloaded.all()[0].seq, 3 * OUTDATED_MIN as i64 - 1);
    }

    #[test]
    fn the_oldest_leaves_when_the_bound_is_reached() {
        let dir = tempfile::tempdir().unwrap();
        let mut records = Records::open_bounded(&dir.path().join("records.log"), 2).unwrap();
        for key in 1..=3 {
            records.keep(record(key, 1, b"value")).unwrap();
        }
        assert_eq!(records.len(), 2);
        assert!(!records.all().contains(&record(1, 1, b"value")));
    }

    #[test]
    fn only_what_the_key_signed_verifies() {
        let good = record(1, 7, b"value");
        assert!(good.verifies());
        assert!(!Record { seq: 8, ..good.clone() }.verifies());
        assert!(!Record { value: b"other".to_vec(), ..good.clone() }.verifies());
        assert!(!Record { salt: b"salt".to_vec(), ..good }.verifies());
    }
}
