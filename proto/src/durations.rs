//! Durations as histograms. Each bucket keeps its last traced measurement, which OpenMetrics shows as an exemplar: the
//! OpenTelemetry SDK keeps none.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Mutex;
use std::time::SystemTime;

use opentelemetry::KeyValue;
use opentelemetry::metrics::{Histogram, Meter};

use crate::TraceContext;
use crate::lock::lock;

/// Upper bounds of the buckets in seconds, as the semantic conventions have them for requests and calls.
pub const REQUEST_SECONDS: &[f64] =
    &[0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0];
/// Series with exemplars; more have none.
const SERIES_MAX: usize = 1024;

/// A histogram of seconds.
#[derive(Clone, Debug)]
pub struct Durations {
    name: &'static str,
    bounds: &'static [f64],
    histogram: Histogram<f64>,
}

/// A measurement that stands for those of its bucket.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Exemplar {
    /// The trace in which it was measured.
    pub trace_id: [u8; 16],
    /// Seconds that were measured.
    pub value: f64,
    /// When it was measured.
    pub at: SystemTime,
}

/// By the hash of a series' name and labels.
static EXEMPLARS: Mutex<BTreeMap<u64, Box<[Option<Exemplar>]>>> = Mutex::new(BTreeMap::new());

impl Durations {
    /// The instrument `name` of this meter, with buckets up to these bounds and one above.
    pub fn new(meter: &Meter, name: &'static str, description: &'static str, bounds: &'static [f64]) -> Self {
        let histogram = meter
            .f64_histogram(name)
            .with_unit("s")
            .with_description(description)
            .with_boundaries(bounds.to_vec())
            .build();
        Self { name, bounds, histogram }
    }

    /// Something took so many seconds, in this trace if in any.
    pub fn record(&self, seconds: f64, labels: &[KeyValue], trace: Option<&TraceContext>) {
        self.histogram.record(seconds, labels);
        if let Some(trace) = trace.filter(|trace| trace.is_sampled()) {
            self.keep(seconds, labels, trace.trace_id);
        }
    }

    /// Keeps no exemplar while another one is kept: nobody waits for one.
    fn keep(&self, value: f64, labels: &[KeyValue], trace_id: [u8; 16]) {
        let series = series(self.name, labels);
        let Ok(mut all) = EXEMPLARS.try_lock() else { return };
        if all.len() >= SERIES_MAX && !all.contains_key(&series) {
            return;
        }
        let buckets = all.entry(series).or_insert_with(|| vec![None; self.bounds.len() + 1].into());
        let bucket = self.bounds.partition_point(|bound| *bound < value);
        buckets[bucket] = Some(Exemplar { trace_id, value, at: SystemTime::now() });
    }
}

/// The exemplar of a bucket, counted from the lowest; `None` if nothing traced fell into it.
pub fn exemplar(name: &str, labels: &[KeyValue], bucket: usize) -> Option<Exemplar> {
    *lock(&EXEMPLARS).get(&series(name, labels))?.get(bucket)?
}

/// Labels are a sum of hashes: their order is of no meaning.
fn series(name: &str, labels: &[KeyValue]) -> u64 {
    let one = |label: &KeyValue| hash((label.key.as_str(), label.value.as_str()));
    labels.iter().map(one).fold(hash(name), u64::wrapping_add)
}

fn hash(value: impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAME: &str = "test.durations";

    fn traced(id: u8, flags: u8) -> TraceContext {
        TraceContext { trace_id: [id; 16], span_id: [1; 8], flags }
    }

    #[test]
    fn each_bucket_keeps_its_last_sampled_measurement() {
        let meter = opentelemetry::global::meter("test");
        let durations = Durations::new(&meter, NAME, "Of a test.", &[0.1, 1.0]);
        let labels = [KeyValue::new("a", 1), KeyValue::new("b", "x")];
        durations.record(0.05, &labels, Some(&traced(1, 0)));
        durations.record(0.05, &labels, None);
        assert_eq!(exemplar(NAME, &labels, 0), None, "nothing sampled so far");
        durations.record(0.1, &labels, Some(&traced(2, 1)));
        durations.record(3.0, &labels, Some(&traced(3, 1)));
        durations.record(2.0, &labels, Some(&traced(4, 1)));
        let [first, second] = labels.clone();
        let turned = [second, first];
        let kept = |bucket| exemplar(NAME, &turned, bucket).map(|one| (one.trace_id[0], one.value));
        assert_eq!(kept(0), Some((2, 0.1)), "a bound belongs to its bucket");
        assert_eq!(kept(1), None);
        assert_eq!(kept(2), Some((4, 2.0)));
        assert_eq!(kept(3), None, "there is no such bucket");
        assert_eq!(exemplar(NAME, &labels[..1], 2), None, "another series");
    }
}
