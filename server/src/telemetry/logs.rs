//! Log lines on standard error, as text for people or as JSON objects whose fields are stable
//! (docs/operations/logs.md).

use std::fmt;
use std::io::IsTerminal;

use serde_json::{Map, Value};
use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber};
use tracing_appender::non_blocking::NonBlocking;
use tracing_subscriber::field::MakeExt;
use tracing_subscriber::fmt::format::{JsonFields, Writer, debug_fn};
use tracing_subscriber::fmt::time::{FormatTime, SystemTime};
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields, FormattedFields};
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::{Layer, Registry};

/// Fields that only exporters read.
const FOR_EXPORTERS: &str = "otel.";
/// Fields of spans that stand beside the message, so that lines are found by them.
const LIFTED: [&str; 2] = ["trace_id", "request_id"];

/// Form of the log lines on standard error: text for people, or one JSON object a line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum LogFormat {
    #[default]
    Text,
    Json,
}

/// The layer that writes lines of this form.
pub fn layer(format: LogFormat, lines: NonBlocking) -> Box<dyn Layer<Registry> + Send + Sync> {
    // A log line that cannot be written is lost. By default the library tells of that on standard error, with a macro
    // that panics when standard error fails too. A log on a full disk would then end the process.
    let layer = tracing_subscriber::fmt::layer().with_writer(lines).log_internal_errors(false);
    match format {
        LogFormat::Text => layer
            .with_ansi(std::io::stderr().is_terminal())
            .fmt_fields(debug_fn(write_field).delimited(" "))
            .boxed(),
        LogFormat::Json => layer.fmt_fields(JsonFields::new()).event_format(Json).boxed(),
    }
}

fn write_field(writer: &mut Writer<'_>, field: &Field, value: &dyn fmt::Debug) -> fmt::Result {
    match field.name() {
        name if name.starts_with(FOR_EXPORTERS) => Ok(()),
        "message" => write!(writer, "{value:?}"),
        name => write!(writer, "{name}={value:?}"),
    }
}

/// One object a line: `timestamp`, `level`, `target`, `message`, `trace_id` and `request_id` where there are any, `fields` of
/// the line, and `span` with the fields of the spans it stands in.
struct Json;

impl<S, N> FormatEvent<S, N> for Json
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        ctx: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let mut line = Map::new();
        let mut timestamp = String::new();
        SystemTime.format_time(&mut Writer::new(&mut timestamp))?;
        line.insert("timestamp".into(), timestamp.into());
        line.insert("level".into(), event.metadata().level().as_str().into());
        line.insert("target".into(), event.metadata().target().into());
        let mut fields = Fields::default();
        event.record(&mut fields);
        line.insert("message".into(), fields.0.remove("message").unwrap_or_default());
        let mut span = span_fields(ctx);
        for name in LIFTED {
            line.extend(span.remove_entry(name));
        }
        for (name, part) in [("fields", fields.0), ("span", span)] {
            if !part.is_empty() {
                line.insert(name.into(), part.into());
            }
        }
        writeln!(writer, "{}", Value::Object(line))
    }
}

/// The fields of all spans around the line; those of inner ones win.
fn span_fields<S, N>(ctx: &FmtContext<'_, S, N>) -> Map<String, Value>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    let mut all = Map::new();
    for span in ctx.event_scope().into_iter().flat_map(|scope| scope.from_root()) {
        let extensions = span.extensions();
        let formatted = extensions.get::<FormattedFields<N>>();
        let fields = formatted.and_then(|fields| serde_json::from_str::<Map<_, _>>(fields).ok());
        all.extend(fields.into_iter().flatten().filter(|(name, _)| !name.starts_with(FOR_EXPORTERS)));
    }
    all
}

/// The fields of a line.
#[derive(Default)]
struct Fields(Map<String, Value>);

impl Visit for Fields {
    fn record_bool(&mut self, field: &Field, value: bool) {
        self.0.insert(field.name().into(), value.into());
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.0.insert(field.name().into(), value.into());
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.0.insert(field.name().into(), value.into());
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.0.insert(field.name().into(), value.into());
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.0.insert(field.name().into(), value.into());
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.0.insert(field.name().into(), format!("{value:?}").into());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io;
    use std::sync::{Arc, Mutex};
    use tracing_subscriber::layer::SubscriberExt;

    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().expect("lines").extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_line_has_its_stable_fields_and_the_ids_of_its_request() {
        let lines = Lines::default();
        let into = lines.clone();
        let json = tracing_subscriber::fmt::layer()
            .with_writer(move || into.clone())
            .fmt_fields(JsonFields::new())
            .event_format(Json);
        tracing::subscriber::with_default(tracing_subscriber::registry().with(json), || {
            let request = tracing::info_span!(
                "request",
                otel.kind = "server",
                request_id = "7",
                trace_id = tracing::field::Empty
            );
            request.record("trace_id", "ab");
            let _entered = request.entered();
            tracing::warn!(node = 3, "it is \"late\"");
        });
        let text = String::from_utf8(lines.0.lock().expect("lines").clone()).expect("text");
        let mut line: Map<String, Value> = serde_json::from_str(&text).expect("one object");
        assert!(line.remove("timestamp").is_some_and(|at| at.as_str().is_some_and(|at| at.ends_with('Z'))));
        let expected = serde_json::json!({
            "level": "WARN",
            "target": module_path!(),
            "message": "it is \"late\"",
            "request_id": "7",
            "trace_id": "ab",
            "fields": { "node": 3 },
        });
        assert_eq!(Value::Object(line), expected);
    }
}
