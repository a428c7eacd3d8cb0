//! Traces: which requests are traced, and what is told of one.
//!
//! A worker decides, writes the field for the upstream, and for a request that is sampled makes a
//! [`Record`]. Everything else is done on the exporter's own thread.

pub mod context;
pub mod exporter;
mod otlp;
mod record;

use std::{sync::Arc, time::Duration};

use http::{HeaderMap, HeaderName, HeaderValue, Version};
use uuid::Uuid;

use self::{
    context::{Context, SpanId, TraceId},
    record::{Call, Outcome, Spans},
};
pub use self::{exporter::Counters, record::Record};
use crate::{answer::Code, model::Route, outgoing::Target, telemetry::access_log::Line};

/// Where traces go, and which requests are in them.
#[derive(Debug)]
pub struct Traces {
    /// The collector, with the path for traces.
    pub endpoint: Target,
    /// Fields of each request to it; the values may be secrets and are marked sensitive.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// How many of the requests that come without a decision are sampled.
    pub sample: Share,
    /// What the callers' own context is worth.
    pub parent: Parent,
    /// The name of this service.
    pub service: Arc<str>,
}

/// What the callers' own context is worth.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Parent {
    /// A caller's trace goes on, with the caller's decision.
    #[default]
    Continue,
    /// Every request begins a trace; it is linked to the caller's.
    Ignore,
}

/// A share of all requests, in millionths.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Share(u32);

impl Share {
    /// All of them.
    pub const ALL: Self = Self(1_000_000);

    /// Reads a percentage with up to four decimals, such as `0.5%`.
    pub fn parse(text: &str) -> Option<Self> {
        let number = text.strip_suffix('%')?;
        let (whole, decimals) = number.split_once('.').unwrap_or((number, "0"));
        let is_number = |text: &str| text.bytes().all(|digit| digit.is_ascii_digit());
        if !is_number(whole) || !is_number(decimals) || !(1..=4).contains(&decimals.len()) {
            return None;
        }
        let decimals: u32 = format!("{decimals:0<4}").parse().ok()?;
        let millionths = whole.parse::<u32>().ok()?.checked_mul(10_000)?.checked_add(decimals)?;
        (millionths <= Self::ALL.0).then_some(Self(millionths))
    }

    /// Decides by a trace id, the same way each time.
    fn takes(self, id: TraceId) -> bool {
        // Of our own ids the end differs most; this spreads what it differs in.
        let [.., a, b, c, d, e, f, g, h] = id.0;
        let mixed = mix(u64::from_be_bytes([a, b, c, d, e, f, g, h]));
        (u128::from(mixed) * u128::from(Self::ALL.0)) >> 64 < u128::from(self.0)
    }
}

impl std::fmt::Display for Share {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let text = format!("{}.{:04}", self.0 / 10_000, self.0 % 10_000);
        write!(f, "{}%", text.trim_end_matches('0').trim_end_matches('.'))
    }
}

/// Spreads a number's bits, each number to another one (the finaliser of `SplitMix64`).
pub fn mix(number: u64) -> u64 {
    let number = (number ^ number >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let number = (number ^ number >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
    number ^ number >> 31
}

/// One request's place in a trace.
#[derive(Debug)]
pub struct Trace {
    trace_id: TraceId,
    random: bool,
    /// The span that the upstream is told as its parent.
    upstream_span: SpanId,
    /// Whether the caller's `tracestate` is handed on.
    keeps_state: bool,
    /// What is collected for the spans; `None` when it is not sampled.
    spans: Option<Box<Spans>>,
}

impl Trace {
    /// Decides about a request whose head has just come. A trace that begins here has the request's id
    /// as its own, so that line, span and journal share it.
    pub fn begin(
        traces: &Traces,
        fields: &HeaderMap,
        version: Version,
        request_id: Uuid,
        mut span_id: impl FnMut() -> SpanId,
    ) -> Self {
        let given = Context::of(fields);
        let continued = given.filter(|_| traces.parent == Parent::Continue);
        let own = TraceId(request_id.into_bytes());
        let trace_id = continued.map_or(own, |context| context.trace_id);
        let sampled = continued.map_or_else(|| traces.sample.takes(own), |context| context.sampled);
        let spans = sampled.then(|| {
            let linked = given.filter(|_| continued.is_none());
            Box::new(Spans {
                server: span_id(),
                parent: continued.map(|context| context.span_id),
                linked: linked.map(|context| (context.trace_id, context.span_id)),
                version,
                authority: None,
                route: None,
                call: None,
            })
        });
        Self {
            trace_id,
            random: continued.is_some_and(|context| context.random),
            upstream_span: span_id(),
            keeps_state: continued.is_some() && context::is_state_valid(fields),
            spans,
        }
    }

    /// Gives the trace's id, if the request is sampled.
    pub fn sampled_id(&self) -> Option<TraceId> {
        self.spans.as_ref().map(|_| self.trace_id)
    }

    /// Tells whether the client's `tracestate` passes.
    pub fn keeps_state(&self) -> bool {
        self.keeps_state
    }

    /// Gives the `traceparent` that the upstream is told.
    pub fn parent_value(&self) -> HeaderValue {
        let context = Context {
            trace_id: self.trace_id,
            span_id: self.upstream_span,
            sampled: self.spans.is_some(),
            random: self.random,
        };
        context.value()
    }

    /// Notes the host that the caller asked for.
    pub fn note_host(&mut self, authority: impl FnOnce() -> String) {
        if let Some(spans) = &mut self.spans {
            spans.authority = Some(authority());
        }
    }

    /// Notes the route.
    pub fn note_route(&mut self, route: &Arc<Route>) {
        if let Some(spans) = &mut self.spans {
            spans.route = Some(Arc::clone(route));
        }
    }

    /// Notes that the request goes up now, so long after its head: a connection is looked for.
    pub fn note_sending(&mut self, begun: Duration) {
        if let Some(spans) = &mut self.spans {
            spans.call = Some(Call { begun, endpoint: 0, ended: None });
        }
    }

    /// Notes which of the upstream's endpoints was asked last.
    pub fn note_endpoint(&mut self, index: usize) {
        if let Some(call) = self.spans.as_mut().and_then(|spans| spans.call.as_mut()) {
            call.endpoint = index;
        }
    }

    /// Notes the head of the upstream's answer, or why there is none, so long after the request's.
    pub fn note_answered(&mut self, at: Duration, answer: Result<http::StatusCode, Code>) {
        let call = self.spans.as_mut().and_then(|spans| spans.call.as_mut());
        if let Some(call) = call {
            let outcome = match answer {
                Ok(status) => Outcome::Status(status.as_u16()),
                Err(code) => Outcome::Failed(code.name()),
            };
            call.ended = Some((at, outcome));
        }
    }

    /// Makes the record of a request that has ended, if it is sampled.
    pub fn into_record(self, line: &Line<'_>) -> Option<Record> {
        let spans = self.spans?;
        Some(Record::new(self.trace_id, self.upstream_span, spans, line))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_percentages() {
        for (text, millionths) in [
            ("0%", Some(0)),
            ("10%", Some(100_000)),
            ("100%", Some(1_000_000)),
            ("0.5%", Some(5000)),
            ("12.3456%", Some(123_456)),
            ("0.0001%", Some(1)),
            ("100.0000%", Some(1_000_000)),
            ("007%", Some(70_000)),
            ("100.0001%", None),
            ("101%", None),
            ("99999999999%", None),
            ("10", None),
            ("0.1", None),
            ("%", Some(0)),
            ("1.%", None),
            ("1.00000%", None),
            ("-1%", None),
            ("+1%", None),
            ("1 %", None),
            ("1e1%", None),
            ("1.2.3%", None),
        ] {
            let expected = if text == "%" { None } else { millionths.map(Share) };
            assert_eq!(Share::parse(text), expected, "{text}");
        }
        for text in ["0%", "100%", "0.5%", "12.3456%", "0.0001%", "10%"] {
            assert_eq!(Share::parse(text).unwrap().to_string(), text);
        }
    }

    /// Ids made as workers make them, and ids that count up, are sampled in the share that was asked.
    #[test]
    fn shares_are_kept() {
        let ids = crate::worker::IdMaker::new().unwrap();
        let now = "2026-11-20T00:00:00Z".parse().unwrap();
        let made = |n: u64| TraceId((u128::from(n) + (1 << 64)).to_be_bytes());
        for (share, expected) in [("0%", 0), ("1%", 1000), ("50%", 50_000), ("100%", 100_000)] {
            let share = Share::parse(share).unwrap();
            let own = (0..100_000).filter(|_| share.takes(TraceId(ids.make(now).into_bytes())));
            let counted = (0..100_000).filter(|n| share.takes(made(*n)));
            for found in [own.count(), counted.count()] {
                let slack = if expected % 100_000 == 0 { 0 } else { expected / 5 + 100 };
                assert!(found.abs_diff(expected) <= slack, "{found} instead of {expected}");
            }
        }
    }
}
