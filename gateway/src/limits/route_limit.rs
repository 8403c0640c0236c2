//! One limit of how often a route may be asked, made ready to be judged by.

use std::net::IpAddr;
use std::num::NonZeroU32;

use http::Method;
use pubky_common::crypto::PublicKey;
use rowhouse_proto::domain::quota::period_ms;
use rowhouse_proto::wire::shard::BandwidthRate;

use super::RateLimit;
use crate::cluster::{Bucket, Taker};
use crate::layers::parse_key;

const NS_PER_MS: u64 = 1_000_000;
/// Bytes of a hash that tell limits apart.
const NAME_BYTES: usize = 16;

/// A limit that is valid.
#[derive(Clone, Debug)]
pub struct RouteLimit {
    path: String,
    method: Method,
    counts: Counts,
    rate: BandwidthRate,
    exempt: Vec<Taker>,
    /// Every gateway that has this limit gives it this name.
    name: [u8; NAME_BYTES],
}

/// Who is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Counts {
    Addresses,
    Users,
}

impl RouteLimit {
    /// All limits, those of the shortest period first: a refusal by one then takes nothing from a longer one.
    ///
    /// Fails with a sentence for each that is invalid.
    pub fn all(limits: &[RateLimit]) -> Result<Vec<Self>, Vec<String>> {
        let (mut valid, mut wrong) = (Vec::new(), Vec::new());
        for (at, limit) in limits.iter().enumerate() {
            match Self::of(limit) {
                Ok(limit) => valid.push(limit),
                Err(why) => wrong.push(format!("`limits.rate_limits[{at}]`: {why}.")),
            }
        }
        valid.sort_by_key(|limit| limit.rate.period_ms);
        if wrong.is_empty() { Ok(valid) } else { Err(wrong) }
    }

    fn of(limit: &RateLimit) -> Result<Self, String> {
        let RateLimit { path, method, quota, key, burst, whitelist } = limit;
        let counts = match key.as_str() {
            "ip" => Counts::Addresses,
            "user" => Counts::Users,
            other => return Err(format!("the key is \"{other}\"; it must be \"ip\" or \"user\"")),
        };
        let exempt = whitelist
            .iter()
            .map(|text| counts.taker(text).ok_or_else(|| format!("\"{text}\" in the whitelist is no {key}")))
            .collect::<Result<_, _>>()?;
        let method = Method::from_bytes(method.to_ascii_uppercase().as_bytes())
            .map_err(|_| format!("\"{method}\" is no method"))?;
        let rate = rate(quota, *burst)?;
        let BandwidthRate { kib_per_period, period_ms, burst_kib } = rate;
        let text = format!("{method} {path} {kib_per_period} {period_ms} {burst_kib} {key}");
        let mut name = [0; NAME_BYTES];
        name.copy_from_slice(&blake3::hash(text.as_bytes()).as_bytes()[..NAME_BYTES]);
        Ok(Self { path: path.clone(), method, counts, rate, exempt, name })
    }

    /// Whether it is about requests of this method and path.
    pub fn is_for(&self, method: &Method, path: &str) -> bool {
        self.method == *method && fast_glob::glob_match(&self.path, path)
    }

    /// Who is counted.
    pub fn counts(&self) -> Counts {
        self.counts
    }

    /// The bucket of a taker; `None` for one that is not limited.
    pub fn bucket(&self, taker: &Taker) -> Option<Bucket> {
        (!self.exempt.contains(taker)).then(|| Bucket::new(&self.name, taker, self.rate))
    }
}

impl Counts {
    fn taker(self, text: &str) -> Option<Taker> {
        match self {
            Self::Addresses => {
                text.parse::<IpAddr>().ok().map(|address| Taker::Address(address.to_canonical()))
            }
            Self::Users => user(text).map(Taker::User),
        }
    }
}

fn user(text: &str) -> Option<PublicKey> {
    parse_key(text)
}

/// The rate of `10r/m`.
fn rate(quota: &str, burst: Option<u32>) -> Result<BandwidthRate, String> {
    let invalid =
        || format!("\"{quota}\" is no quota such as \"10r/m\": a number from 1, r, and s, m, h or d");
    let (amount, unit) = quota.split_once('/').ok_or_else(invalid)?;
    let requests: NonZeroU32 =
        amount.strip_suffix('r').ok_or_else(invalid)?.parse().map_err(|_| invalid())?;
    let period_ms = period_ms(unit).ok_or_else(invalid)?;
    if period_ms * NS_PER_MS < u64::from(requests.get()) {
        return Err(format!("\"{quota}\" is more than a request each nanosecond"));
    }
    let burst = match burst {
        None => requests.get(),
        Some(0) => return Err("the burst is 0; it must be at least 1".into()),
        Some(burst) => burst,
    };
    Ok(BandwidthRate { kib_per_period: requests.get(), period_ms, burst_kib: burst })
}

#[cfg(test)]
mod tests {
    use super::*;
    use pubky_common::crypto::Keypair;

    fn limit(path: &str, quota: &str) -> RateLimit {
        RateLimit { path: path.into(), quota: quota.into(), ..RateLimit::defaults().remove(0) }
    }

    fn refused(limit: RateLimit) -> String {
        RouteLimit::all(&[limit]).expect_err("invalid").remove(0)
    }

    #[test]
    fn quotas_are_so_many_requests_in_a_period() {
        for (quota, burst, expected) in [
            ("10r/m", None, (10, 60_000, 10)),
            ("5r/s", Some(7), (5, 1_000, 7)),
            ("1r/h", Some(1), (1, 3_600_000, 1)),
            ("4294967295r/d", None, (u32::MAX, 86_400_000, u32::MAX)),
        ] {
            let BandwidthRate { kib_per_period, period_ms, burst_kib } = rate(quota, burst).expect(quota);
            assert_eq!((kib_per_period, period_ms, burst_kib), expected, "{quota}");
        }
        for quota in ["", "10", "10r", "r/m", "0r/m", "10r/w", "10/m", "5mb/s", "-1r/s", "4294967296r/s"] {
            assert!(refused(limit("/x", quota)).contains(&format!("\"{quota}\" is no quota")), "{quota}");
        }
        assert!(
            refused(limit("/x", "4294967295r/s")).contains("nanosecond"),
            "its interval rounds to nothing"
        );
        let none = RateLimit { burst: Some(0), ..limit("/x", "1r/s") };
        assert_eq!(refused(none), "`limits.rate_limits[0]`: the burst is 0; it must be at least 1.");
    }

    #[test]
    fn who_is_exempt_must_be_of_the_kind_that_is_counted() {
        let user = Keypair::random().public_key().z32();
        let by = |key: &str, whitelist: &[&str]| {
            let whitelist = whitelist.iter().map(|text| (*text).to_owned()).collect();
            RouteLimit::all(&[RateLimit { key: key.into(), whitelist, ..limit("/x", "1r/s") }])
        };
        let addresses = by("ip", &["127.0.0.1", "::ffff:192.0.2.1"]).expect("addresses").remove(0);
        let bucket = |text: &str| addresses.bucket(&Taker::Address(text.parse().expect("an address")));
        assert!(bucket("127.0.0.1").is_none() && bucket("192.0.2.1").is_none());
        assert!(bucket("127.0.0.2").is_some());
        assert!(by("user", &[&user]).is_ok());
        for (key, whitelist) in [("ip", user.as_str()), ("user", "127.0.0.1"), ("user", "nobody")] {
            assert!(by(key, &[whitelist]).is_err(), "{key}: {whitelist}");
        }
        assert!(by("tenant", &[]).expect_err("no such key")[0].contains("\"ip\" or \"user\""));
        let method = RateLimit { method: "G T".into(), ..limit("/x", "1r/s") };
        assert!(refused(method).contains("is no method"));
    }

    #[test]
    fn short_periods_come_first_and_paths_are_globs() {
        let limits = ["1r/d", "1r/s", "1r/h", "1r/m"].map(|quota| limit("/pub/**", quota));
        let periods: Vec<u64> =
            RouteLimit::all(&limits).expect("valid").iter().map(|limit| limit.rate.period_ms).collect();
        assert!(periods.is_sorted(), "{periods:?}");
        for (glob, matching, other) in [
            ("/signup_tokens/*", "/signup_tokens/AAAA", "/signup_tokens/a/b"),
            ("/pub/**", "/pub/a/b", "/priv/a"),
            ("/pub/**/x", "/pub/a/b/x", "/pub/a/b"),
        ] {
            let limit = RouteLimit::all(&[limit(glob, "1r/s")]).expect("valid").remove(0);
            assert!(limit.is_for(&Method::GET, matching) && !limit.is_for(&Method::HEAD, matching), "{glob}");
            assert!(!limit.is_for(&Method::GET, other), "{glob}");
        }
    }
}
