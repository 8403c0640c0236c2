//! The pace of a body: how many bytes a user or an address may transfer, as all gateways count together. It delays, and
//! refuses nothing.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use http::Method;
use pubky_common::crypto::PublicKey;
use rowhouse_proto::domain::user;
use rowhouse_proto::wire::shard::{Bandwidth, BandwidthRate};

use crate::cluster::{Bucket, Cells, Cluster, Taker};

/// A cell.
const CELL_BYTES: usize = 1024;
/// Cells are asked for so many times a second: often enough for an even flow, seldom enough to cost little.
const ASKS_PER_SECOND: u64 = 4;
/// Most cells of one question, for the fastest rates: the chunk of a large body.
const PIECE_CELLS_MAX: u64 = 1024;
/// Cells are taken ahead if they come within this. More would be lost to others when the client leaves.
const WAIT_MAX: Duration = Duration::from_secs(2);
/// Asked again at least this often: another transfer of the same user may have ended, or the rate have risen.
const ASK_AGAIN_MAX: Duration = Duration::from_secs(5);

const READ: &[u8] = b"read";
const WRITE: &[u8] = b"write";

/// The pace of one request's bodies.
#[derive(Clone)]
pub struct Pace {
    cluster: Arc<Cluster>,
    bucket: Bucket,
    piece_cells: u32,
}

/// Bytes that were paid for and not passed on yet.
#[derive(Clone, Copy, Debug, Default)]
pub struct Credit(usize);

impl Pace {
    /// The pace of a user's request, by its method; `None` if the user has no such rate.
    pub fn of_user(cluster: &Arc<Cluster>, bandwidth: Bandwidth, method: &Method) -> Option<Self> {
        let user: PublicKey =
            user::parse(&bandwidth.user).ok().and_then(|key| pkarr::PublicKey::try_from(&key).ok())?.into();
        let writes = matches!(*method, Method::PUT | Method::POST | Method::PATCH | Method::DELETE);
        let (purpose, rate) = if writes { (WRITE, bandwidth.write?) } else { (READ, bandwidth.read?) };
        Some(Self::new(cluster, purpose, &Taker::User(user), rate))
    }

    /// The pace of requests without a session.
    pub fn of_address(cluster: &Arc<Cluster>, rate: BandwidthRate, address: IpAddr) -> Self {
        Self::new(cluster, READ, &Taker::Address(address), rate)
    }

    fn new(cluster: &Arc<Cluster>, purpose: &[u8], taker: &Taker, rate: BandwidthRate) -> Self {
        let bucket = Bucket::new(purpose, taker, rate);
        Self { cluster: Arc::clone(cluster), bucket, piece_cells: piece_cells(&rate) }
    }

    /// Bytes of one question.
    pub fn piece_bytes(&self) -> usize {
        self.piece_cells as usize * CELL_BYTES
    }

    /// Waits until so many bytes may be transferred.
    pub async fn pay(&self, bytes: usize) {
        let mut cells = u32::try_from(bytes.div_ceil(CELL_BYTES)).unwrap_or(u32::MAX);
        while cells > 0 {
            let piece = cells.min(self.piece_cells);
            match self.cluster.take(&self.bucket, piece, WAIT_MAX).await {
                Cells::Taken(wait) => {
                    if !wait.is_zero() {
                        tokio::time::sleep(wait).await;
                    }
                    cells -= piece;
                }
                Cells::Exhausted(wait) => tokio::time::sleep(wait.min(ASK_AGAIN_MAX)).await,
                // Nobody counts, and nobody is held up.
                Cells::Uncounted => cells -= piece,
            }
        }
    }

    /// Waits until at least one byte may be passed on, and says how many. No more are paid for than are `sure` to come.
    pub async fn more(self, sure: usize) -> Credit {
        let wish = sure.clamp(1, self.piece_bytes());
        self.pay(wish).await;
        Credit(wish.next_multiple_of(CELL_BYTES))
    }
}

impl Credit {
    /// Takes up to so many bytes, and says how many.
    pub fn spend(&mut self, bytes: usize) -> usize {
        let spent = bytes.min(self.0);
        self.0 -= spent;
        spent
    }

    /// Adds what was paid.
    pub fn add(&mut self, more: Self) {
        self.0 += more.0;
    }
}

/// A part of a second's worth, and never more than a full bucket holds: that would never be granted.
fn piece_cells(rate: &BandwidthRate) -> u32 {
    let BandwidthRate { kib_per_period, period_ms, burst_kib } = *rate;
    let part = u64::from(kib_per_period) * 1_000 / (ASKS_PER_SECOND * period_ms.max(1));
    let piece = part.clamp(1, PIECE_CELLS_MAX).min(burst_kib.into());
    u32::try_from(piece).unwrap_or(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_piece_is_a_part_of_a_second_and_fits_into_the_bucket() {
        let piece = |kib_per_period, period_ms, burst_kib| {
            piece_cells(&BandwidthRate { kib_per_period, period_ms, burst_kib })
        };
        assert_eq!(piece(100, 1_000, 100), 25);
        assert_eq!(piece(10_240, 1_000, 10_240), 1024, "a chunk at most");
        assert_eq!(piece(10_240, 1_000, 3), 3);
        assert_eq!(piece(60, 60_000, 60), 1);
        assert_eq!(piece(1, 86_400_000, 1), 1);
    }

    #[test]
    fn credit_is_spent_once() {
        let mut credit = Credit::default();
        credit.add(Credit(1024));
        assert_eq!((credit.spend(1000), credit.spend(1000), credit.spend(1)), (1000, 24, 0));
    }
}
