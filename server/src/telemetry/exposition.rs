//! Measurements as text: Prometheus' format 0.0.4, or OpenMetrics 1.0 for those who ask for it, with exemplars.
//!
//! Names follow OpenTelemetry's rules for Prometheus: dots become underscores, the unit and `_total` are appended. The
//! scope is a label only on the reference's metrics, as the reference has it: ours say by their names what they are of.

use std::fmt::{self, Display, Write};
use std::time::UNIX_EPOCH;

use opentelemetry::KeyValue;
use opentelemetry_sdk::metrics::data::{
    AggregatedMetrics, Histogram, HistogramDataPoint, Metric, MetricData, ResourceMetrics,
};
use rowhouse_proto::durations::Exemplar;
use rowhouse_proto::hex;

/// The reference's meter. Dashboards of the reference select by it.
const REFERENCE_SCOPE: &str = "pubky_homeserver";
const SCOPE_LABEL: &str = "otel_scope_name";

/// Finds the exemplar of a bucket of a series.
type Exemplars = fn(&str, &[KeyValue], usize) -> Option<Exemplar>;

/// A form of the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    Prometheus,
    OpenMetrics,
}

impl Format {
    /// OpenMetrics for those who name it in an `Accept` header, Prometheus' own text for everybody else.
    pub fn chosen<'a>(mut accepts: impl Iterator<Item = &'a str>) -> Self {
        let named = accepts.any(|accept| accept.contains("application/openmetrics-text"));
        if named { Self::OpenMetrics } else { Self::Prometheus }
    }

    pub fn content_type(self) -> &'static str {
        match self {
            Self::Prometheus => "text/plain; version=0.0.4; charset=utf-8",
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        }
    }
}

/// All families in the order of their names, each with its help, unit and type.
pub fn encode(metrics: &ResourceMetrics, format: Format, exemplars: Exemplars) -> String {
    let mut families: Vec<Family<'_>> = metrics
        .scope_metrics()
        .flat_map(|scope| scope.metrics().map(|metric| Family::new(scope.scope().name(), metric)))
        .collect();
    families.sort_by(|one, other| one.name.cmp(&other.name));
    let mut page = Page { text: String::new(), format, exemplars };
    page.target(metrics);
    let mut last = None;
    for family in &families {
        if last != Some(&family.name) {
            page.head(family);
            last = Some(&family.name);
        }
        page.samples(family);
    }
    if format == Format::OpenMetrics {
        page.text.push_str("# EOF\n");
    }
    page.text
}

/// One instrument, under the name it has for Prometheus.
struct Family<'a> {
    /// Without `_total`.
    name: String,
    unit: &'static str,
    kind: &'static str,
    scope: Option<&'a str>,
    metric: &'a Metric,
}

impl<'a> Family<'a> {
    fn new(scope: &'a str, metric: &'a Metric) -> Self {
        let unit = unit(metric.unit());
        let mut name = plain(metric.name());
        if !unit.is_empty() && !name.ends_with(unit) {
            name.push('_');
            name.push_str(unit);
        }
        let kind = kind(metric.data());
        Self { name, unit, kind, scope: (scope == REFERENCE_SCOPE).then_some(scope), metric }
    }
}

struct Page {
    text: String,
    format: Format,
    exemplars: Exemplars,
}

impl Page {
    fn head(&mut self, family: &Family<'_>) {
        let total = if family.kind == "counter" && self.format == Format::Prometheus { "_total" } else { "" };
        let (name, help) = (format!("{}{total}", family.name), family.metric.description());
        self.line(format_args!("# HELP {name} {}", Escaped(help, self.format == Format::OpenMetrics)));
        self.line(format_args!("# TYPE {name} {}", family.kind));
        if self.format == Format::OpenMetrics && !family.unit.is_empty() {
            self.line(format_args!("# UNIT {name} {}", family.unit));
        }
    }

    /// Who is measured, as OpenTelemetry tells it.
    fn target(&mut self, metrics: &ResourceMetrics) {
        let labels: Vec<KeyValue> =
            metrics.resource().iter().map(|(key, value)| KeyValue::new(key.clone(), value.clone())).collect();
        let (family, kind) = match self.format {
            Format::Prometheus => ("target_info", "gauge"),
            Format::OpenMetrics => ("target", "info"),
        };
        self.line(format_args!("# HELP {family} The process that is measured."));
        self.line(format_args!("# TYPE {family} {kind}"));
        self.line(format_args!("target_info{} 1", Labels(None, &labels, None)));
    }

    fn samples(&mut self, family: &Family<'_>) {
        match family.metric.data() {
            AggregatedMetrics::F64(data) => self.data(family, data),
            AggregatedMetrics::U64(data) => self.data(family, data),
            AggregatedMetrics::I64(data) => self.data(family, data),
        }
    }

    fn data<T: Display + Copy>(&mut self, family: &Family<'_>, data: &MetricData<T>) {
        let suffix = if family.kind == "counter" { "_total" } else { "" };
        match data {
            MetricData::Gauge(gauge) => {
                for point in gauge.data_points() {
                    self.sample(family, suffix, &labels_of(point.attributes()), &point.value());
                }
            }
            MetricData::Sum(sum) => {
                for point in sum.data_points() {
                    self.sample(family, suffix, &labels_of(point.attributes()), &point.value());
                }
            }
            MetricData::Histogram(histogram) => self.histogram(family, histogram),
            // No view asks for one.
            MetricData::ExponentialHistogram(_) => {}
        }
    }

    fn sample(&mut self, family: &Family<'_>, suffix: &str, labels: &[KeyValue], value: &dyn Display) {
        let labels = Labels(family.scope, labels, None);
        self.line(format_args!("{}{suffix}{labels} {value}", family.name));
    }

    fn histogram<T: Display + Copy>(&mut self, family: &Family<'_>, histogram: &Histogram<T>) {
        for point in histogram.data_points() {
            let labels = labels_of(point.attributes());
            self.buckets(family, &labels, point);
            self.sample(family, "_sum", &labels, &point.sum());
            self.sample(family, "_count", &labels, &point.count());
        }
    }

    fn buckets<T>(&mut self, family: &Family<'_>, labels: &[KeyValue], point: &HistogramDataPoint<T>) {
        let bounds = point.bounds().map(Some).chain([None]);
        let mut below = 0;
        for (bucket, (count, bound)) in point.bucket_counts().zip(bounds).enumerate() {
            below += count;
            // Whole numbers have a point too, as OpenMetrics wants it: series keep their names in either format.
            let le = bound.map_or_else(|| "+Inf".to_owned(), |bound| format!("{bound:?}"));
            let shown = Labels(family.scope, labels, Some(&le));
            let exemplar = (self.exemplars)(family.metric.name(), labels, bucket)
                .filter(|_| self.format == Format::OpenMetrics)
                .map(Shown);
            let exemplar = exemplar.map_or_else(String::new, |shown| shown.to_string());
            self.line(format_args!("{}_bucket{shown} {below}{exemplar}", family.name));
        }
    }

    fn line(&mut self, line: fmt::Arguments<'_>) {
        // Writing to a string does not fail.
        let _ = self.text.write_fmt(line);
        self.text.push('\n');
    }
}

fn labels_of<'a>(attributes: impl Iterator<Item = &'a KeyValue>) -> Vec<KeyValue> {
    let mut labels: Vec<KeyValue> = attributes.cloned().collect();
    labels.sort_by(|one, other| one.key.cmp(&other.key));
    labels
}

/// `{a="b",…}`: the scope if it is shown, the labels, and a bucket's bound.
struct Labels<'a>(Option<&'a str>, &'a [KeyValue], Option<&'a str>);

impl Display for Labels<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(scope, labels, le) = self;
        let mut opening = "{";
        let mut put = |f: &mut fmt::Formatter<'_>, name: &str, value: &str| {
            let open = std::mem::replace(&mut opening, ",");
            write!(f, "{open}{name}=\"{}\"", Escaped(value, true))
        };
        for label in *labels {
            put(f, &plain(label.key.as_str()), &label.value.as_str())?;
        }
        if let Some(scope) = scope {
            put(f, SCOPE_LABEL, scope)?;
        }
        if let Some(le) = le {
            put(f, "le", le)?;
        }
        if opening == "," { f.write_str("}") } else { Ok(()) }
    }
}

/// ` # {trace_id="…"} value time`, behind a bucket.
struct Shown(Exemplar);

impl Display for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Exemplar { trace_id, value, at } = self.0;
        let at = at.duration_since(UNIX_EPOCH).map_or(0.0, |since| since.as_secs_f64());
        write!(f, " # {{trace_id=\"{}\"}} {value} {at:.3}", hex(&trace_id))
    }
}

/// A text in which line ends and backslashes are escaped, and quotes if they are to be.
struct Escaped<'a>(&'a str, bool);

impl Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.chars().try_for_each(|char| match char {
            '\\' => f.write_str("\\\\"),
            '\n' => f.write_str("\\n"),
            '"' if self.1 => f.write_str("\\\""),
            other => f.write_char(other),
        })
    }
}

/// A name with nothing but letters, digits and underscores.
fn plain(name: &str) -> String {
    name.chars().map(|char| if char.is_ascii_alphanumeric() { char } else { '_' }).collect()
}

/// The unit as Prometheus spells it; empty where there is none.
fn unit(unit: &str) -> &'static str {
    match unit {
        "s" => "seconds",
        "By" => "bytes",
        "1" => "ratio",
        _ => "",
    }
}

fn kind(data: &AggregatedMetrics) -> &'static str {
    fn of<T>(data: &MetricData<T>) -> &'static str {
        match data {
            MetricData::Sum(sum) if sum.is_monotonic() => "counter",
            MetricData::Gauge(_) | MetricData::Sum(_) => "gauge",
            MetricData::Histogram(_) | MetricData::ExponentialHistogram(_) => "histogram",
        }
    }
    match data {
        AggregatedMetrics::F64(data) => of(data),
        AggregatedMetrics::U64(data) => of(data),
        AggregatedMetrics::I64(data) => of(data),
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime};

    use opentelemetry::metrics::MeterProvider;
    use opentelemetry_sdk::Resource;
    use opentelemetry_sdk::metrics::SdkMeterProvider;
    use opentelemetry_sdk::metrics::reader::MetricReader;

    use super::super::scrape::Scrapes;
    use super::*;

    /// What a process with a few instruments answers.
    fn page(format: Format) -> String {
        let scrapes = Scrapes::default();
        let resource = Resource::builder_empty().with_service_name("tested").build();
        let provider =
            SdkMeterProvider::builder().with_resource(resource).with_reader(scrapes.clone()).build();
        let ours = provider.meter("rowhouse.test");
        let requests = ours.u64_counter("test.requests").with_description("Requests\\of\n\"all\".").build();
        requests.add(2, &[KeyValue::new("http.route", "/a\"b"), KeyValue::new("code", 200)]);
        ours.f64_gauge("test.lag").with_unit("s").with_description("Lag.").build().record(0.5, &[]);
        let took = ours.f64_histogram("test.took").with_unit("s").with_description("Time.");
        let took = took.with_boundaries(vec![0.1, 1.0]).build();
        [0.05, 0.1, 5.0].iter().for_each(|seconds| took.record(*seconds, &[KeyValue::new("m", "x")]));
        let theirs = provider.meter("pubky_homeserver");
        theirs.u64_counter("signup_count").with_description("Signups.").build().add(1, &[]);
        let mut metrics = ResourceMetrics::default();
        scrapes.collect(&mut metrics).unwrap();
        encode(&metrics, format, |name, labels, bucket| {
            let known = name == "test.took" && labels == [KeyValue::new("m", "x")] && bucket == 2;
            let at = SystemTime::UNIX_EPOCH + Duration::from_millis(1500);
            known.then_some(Exemplar { trace_id: [0xAB; 16], value: 5.0, at })
        })
    }

    #[test]
    fn prometheus_text_has_help_type_and_suffixes() {
        let expected = r#"# HELP target_info The process that is measured.
# TYPE target_info gauge
target_info{service_name="tested"} 1
# HELP signup_count_total Signups.
# TYPE signup_count_total counter
signup_count_total{otel_scope_name="pubky_homeserver"} 1
# HELP test_lag_seconds Lag.
# TYPE test_lag_seconds gauge
test_lag_seconds 0.5
# HELP test_requests_total Requests\\of\n"all".
# TYPE test_requests_total counter
test_requests_total{code="200",http_route="/a\"b"} 2
# HELP test_took_seconds Time.
# TYPE test_took_seconds histogram
test_took_seconds_bucket{m="x",le="0.1"} 2
test_took_seconds_bucket{m="x",le="1.0"} 2
test_took_seconds_bucket{m="x",le="+Inf"} 3
test_took_seconds_sum{m="x"} 5.15
test_took_seconds_count{m="x"} 3
"#;
        assert_eq!(page(Format::Prometheus), expected);
    }

    #[test]
    fn open_metrics_has_units_exemplars_and_an_end() {
        let page = page(Format::OpenMetrics);
        for line in [
            "# TYPE target info",
            "# TYPE signup_count counter",
            "signup_count_total{otel_scope_name=\"pubky_homeserver\"} 1",
            "# HELP test_requests Requests\\\\of\\n\\\"all\\\".",
            "# UNIT test_lag_seconds seconds",
            "test_took_seconds_bucket{m=\"x\",le=\"1.0\"} 2",
            "test_took_seconds_bucket{m=\"x\",le=\"+Inf\"} 3 # {trace_id=\"abababababababababababababababab\"} 5 1.500",
        ] {
            assert!(page.lines().any(|found| found == line), "{line} in {page}");
        }
        assert!(page.ends_with("\n# EOF\n"));
    }

    #[test]
    fn open_metrics_is_for_those_who_ask() {
        let prometheus = "application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.4";
        assert_eq!(Format::chosen([prometheus].into_iter()), Format::OpenMetrics);
        assert_eq!(Format::chosen(["text/html", "*/*"].into_iter()), Format::Prometheus);
        assert_eq!(Format::chosen(std::iter::empty()), Format::Prometheus);
    }
}
