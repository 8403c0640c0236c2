//! The rate at which a user may read or write: its own, else the cluster's default, else none.

use super::rate::{Parts, UNLIMITED};
use crate::wire::account::UserQuota;
use crate::wire::shard::BandwidthRate;

/// The rate of reads in effect; `None`: no limit.
pub fn read_bandwidth(quota: Option<&UserQuota>, defaults: Option<&UserQuota>) -> Option<BandwidthRate> {
    effective(quota, defaults, |quota| Some((quota.rate_read.as_deref()?, quota.rate_read_burst)))
}

/// The rate of writes in effect; `None`: no limit.
pub fn write_bandwidth(quota: Option<&UserQuota>, defaults: Option<&UserQuota>) -> Option<BandwidthRate> {
    effective(quota, defaults, |quota| Some((quota.rate_write.as_deref()?, quota.rate_write_burst)))
}

/// A rate such as `10mb/s`, with a burst in its unit or of one period. Fails, with what is wrong, on text that is none.
pub fn parse_bandwidth(rate: &str, burst: Option<u32>) -> Result<BandwidthRate, String> {
    let Parts { unit_kib, kib, period_ms, .. } = Parts::of(rate)?;
    let burst_kib = match burst {
        None => kib.get(),
        Some(burst) => u32::try_from(u64::from(burst) * unit_kib).unwrap_or(u32::MAX),
    };
    Ok(BandwidthRate { kib_per_period: kib.get(), period_ms, burst_kib })
}

/// A burst belongs to its rate, and is counted in its unit: a default burst goes with the default rate alone.
fn effective<'a>(
    quota: Option<&'a UserQuota>,
    defaults: Option<&'a UserQuota>,
    of: impl Fn(&'a UserQuota) -> Option<(&'a str, Option<u32>)>,
) -> Option<BandwidthRate> {
    let (rate, burst) = quota.and_then(&of).or_else(|| defaults.and_then(&of))?;
    // What is kept was checked when it came.
    if rate == UNLIMITED { None } else { parse_bandwidth(rate, burst).ok() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reading(rate: Option<&str>, burst: Option<u32>) -> UserQuota {
        UserQuota { rate_read: rate.map(str::to_owned), rate_read_burst: burst, ..UserQuota::default() }
    }

    fn rate(kib_per_period: u32, period_ms: u64, burst_kib: u32) -> Option<BandwidthRate> {
        Some(BandwidthRate { kib_per_period, period_ms, burst_kib })
    }

    #[test]
    fn a_user_s_own_rate_comes_before_the_default_and_brings_its_own_burst() {
        let defaults = reading(Some("1mb/s"), Some(3));
        let in_effect = |quota: UserQuota| read_bandwidth(Some(&quota), Some(&defaults));
        assert_eq!(in_effect(reading(Some("10kb/m"), None)), rate(10, 60_000, 10));
        assert_eq!(in_effect(reading(Some("10kb/m"), Some(5))), rate(10, 60_000, 5));
        assert_eq!(in_effect(reading(None, None)), rate(1024, 1_000, 3 * 1024));
        assert_eq!(in_effect(reading(Some(UNLIMITED), None)), None);
        assert_eq!(read_bandwidth(None, Some(&defaults)), rate(1024, 1_000, 3 * 1024));
        assert_eq!(read_bandwidth(None, None), None);
        assert_eq!(write_bandwidth(None, Some(&defaults)), None, "reads and writes are apart");
    }

    #[test]
    fn every_unit_is_so_many_kib_and_milliseconds() {
        for (text, kib, period_ms) in [
            ("7kb/s", 7, 1_000),
            ("7mb/m", 7 * 1024, 60_000),
            ("1gb/h", 1 << 20, 3_600_000),
            ("1KB/d", 1, 86_400_000),
        ] {
            assert_eq!(parse_bandwidth(text, None).ok(), rate(kib, period_ms, kib), "{text}");
        }
        assert_eq!(parse_bandwidth("4095gb/s", Some(u32::MAX)).ok(), rate(4095 << 20, 1_000, u32::MAX));
        for wrong in ["", "0kb/s", "1kb", "1kb/w", "1tb/s", "4096gb/s", "kb/s"] {
            assert!(parse_bandwidth(wrong, None).is_err(), "{wrong}");
        }
    }
}
