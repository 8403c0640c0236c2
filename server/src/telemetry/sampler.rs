//! Which traces are recorded: as `OTEL_TRACES_SAMPLER` says, and spans that only have links as the spans they link to. A
//! follower's part of a write begins a trace of its own, which is worth nothing without the write's.

use opentelemetry::trace::{Link, SpanKind, TraceContextExt, TraceId, TraceState};
use opentelemetry::{Context, KeyValue};
use opentelemetry_sdk::trace::{Sampler, SamplingDecision, SamplingResult, ShouldSample};

use crate::error::Error;

const SAMPLER: &str = "OTEL_TRACES_SAMPLER";
const ARGUMENT: &str = "OTEL_TRACES_SAMPLER_ARG";

/// A sampler that looks at links where there is no parent.
#[derive(Clone, Debug)]
pub struct LinkSampler(Sampler);

impl LinkSampler {
    /// As the standard variables say: by default all that no caller decided. Fails on names and ratios that are none.
    pub fn of_environment(variable: impl Fn(&str) -> Option<String>) -> Result<Self, Error> {
        let named = variable(SAMPLER).filter(|name| !name.is_empty());
        let sampler = match named.as_deref().unwrap_or("parentbased_always_on") {
            "always_on" => Sampler::AlwaysOn,
            "always_off" => Sampler::AlwaysOff,
            "traceidratio" => Sampler::TraceIdRatioBased(ratio(&variable)?),
            "parentbased_always_on" => parent_based(Sampler::AlwaysOn),
            "parentbased_always_off" => parent_based(Sampler::AlwaysOff),
            "parentbased_traceidratio" => parent_based(Sampler::TraceIdRatioBased(ratio(&variable)?)),
            other => {
                return Err(Error::Usage(format!(
                    "{SAMPLER} is {other:?}: it must be always_on, always_off, traceidratio, or one of these behind \
                     parentbased_"
                )));
            }
        };
        Ok(Self(sampler))
    }
}

fn parent_based(root: Sampler) -> Sampler {
    Sampler::ParentBased(Box::new(root))
}

/// All, if none is given.
fn ratio(variable: impl Fn(&str) -> Option<String>) -> Result<f64, Error> {
    let Some(text) = variable(ARGUMENT).filter(|text| !text.is_empty()) else { return Ok(1.0) };
    let ratio = text.parse().ok().filter(|ratio| (0.0..=1.0).contains(ratio));
    ratio.ok_or_else(|| Error::Usage(format!("{ARGUMENT} is {text:?}: it must be a number from 0 to 1")))
}

impl ShouldSample for LinkSampler {
    fn should_sample(
        &self,
        parent_context: Option<&Context>,
        trace_id: TraceId,
        name: &str,
        span_kind: &SpanKind,
        attributes: &[KeyValue],
        links: &[Link],
    ) -> SamplingResult {
        let has_parent = parent_context.is_some_and(|context| context.span().span_context().is_valid());
        if !has_parent && links.iter().any(|link| link.span_context.is_sampled()) {
            return SamplingResult {
                decision: SamplingDecision::RecordAndSample,
                attributes: Vec::new(),
                trace_state: TraceState::default(),
            };
        }
        self.0.should_sample(parent_context, trace_id, name, span_kind, attributes, links)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use opentelemetry::trace::{SpanContext, SpanId, TraceFlags};

    fn of(set: &[(&str, &str)]) -> Result<LinkSampler, Error> {
        LinkSampler::of_environment(|name| {
            set.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned())
        })
    }

    fn context(flags: TraceFlags) -> SpanContext {
        let (trace, span) = (TraceId::from_bytes([7; 16]), SpanId::from_bytes([7; 8]));
        SpanContext::new(trace, span, flags, true, TraceState::default())
    }

    fn is_sampled(sampler: &LinkSampler, parent: Option<TraceFlags>, link: Option<TraceFlags>) -> bool {
        let parent = parent.map(|flags| Context::new().with_remote_span_context(context(flags)));
        let links: Vec<_> = link.into_iter().map(|flags| Link::with_context(context(flags))).collect();
        let trace = TraceId::from_bytes([0xFF; 16]);
        let result = sampler.should_sample(parent.as_ref(), trace, "x", &SpanKind::Internal, &[], &links);
        result.decision == SamplingDecision::RecordAndSample
    }

    #[test]
    fn a_parent_decides_else_a_link_else_the_ratio() {
        let (yes, no) = (Some(TraceFlags::SAMPLED), Some(TraceFlags::NOT_SAMPLED));
        let never = of(&[(SAMPLER, "parentbased_traceidratio"), (ARGUMENT, "0")]).expect("a sampler");
        assert!(!is_sampled(&never, None, None));
        assert!(is_sampled(&never, None, yes), "a follower's part of a recorded write");
        assert!(!is_sampled(&never, None, no));
        assert!(is_sampled(&never, yes, None) && !is_sampled(&never, no, yes));
        let always = of(&[]).expect("the default");
        assert!(is_sampled(&always, None, None) && !is_sampled(&always, no, None));
    }

    #[test]
    fn names_and_ratios_that_are_none_are_refused() {
        assert!(of(&[(SAMPLER, "always_on")]).is_ok_and(|on| is_sampled(&on, None, None)));
        assert!(of(&[(SAMPLER, "always_off")]).is_ok_and(|off| !is_sampled(&off, None, None)));
        assert!(of(&[(SAMPLER, "jaeger_remote")]).is_err());
        for ratio in ["2", "-1", "NaN", "half"] {
            assert!(of(&[(SAMPLER, "traceidratio"), (ARGUMENT, ratio)]).is_err(), "{ratio}");
        }
    }
}
