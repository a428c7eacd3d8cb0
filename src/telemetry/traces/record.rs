//! What a worker hands over about a sampled request. Nothing that could be a secret is in it: no
//! query, no body, no header field; and it is bounded, whatever the caller sent.

use std::{net::IpAddr, sync::Arc, time::Duration};

use http::Version;
use jiff::Timestamp;
use uuid::Uuid;

use super::context::{SpanId, TraceId};
use crate::{model::Route, telemetry::access_log::Line};

/// The longest path that is told.
const PATH_BYTES_MAX: usize = 1024;

/// What is collected while a sampled request is served.
#[derive(Debug)]
pub(super) struct Spans {
    /// The request's own span.
    pub(super) server: SpanId,
    /// The caller's span in the same trace.
    pub(super) parent: Option<SpanId>,
    /// The caller's span in a trace of its own.
    pub(super) linked: Option<(TraceId, SpanId)>,
    /// The request's version.
    pub(super) version: Version,
    /// Host and port that the caller asked for.
    pub(super) authority: Option<String>,
    /// The route.
    pub(super) route: Option<Arc<Route>>,
    /// The time at the upstream.
    pub(super) call: Option<Call>,
}

/// The time at the upstream, counted from the request's head.
#[derive(Debug)]
pub(super) struct Call {
    /// Before a connection was taken.
    pub(super) begun: Duration,
    /// The number of the upstream's endpoint.
    pub(super) endpoint: usize,
    /// When it was over, and how; `None` when the request ended before.
    pub(super) ended: Option<(Duration, Outcome)>,
}

/// What came of a call of the upstream.
#[derive(Clone, Copy, Debug)]
pub(super) enum Outcome {
    /// No answer, or none that may be passed on: the code of the refusal.
    Failed(&'static str),
    /// A head with this status.
    Status(u16),
}

/// A sampled request that has ended.
#[derive(Debug)]
pub struct Record {
    pub(super) trace_id: TraceId,
    pub(super) upstream_span: SpanId,
    pub(super) spans: Box<Spans>,
    pub(super) time: Timestamp,
    pub(super) duration: Duration,
    pub(super) request_id: Uuid,
    pub(super) client: IpAddr,
    pub(super) method: &'static str,
    pub(super) path: String,
    pub(super) customer: Option<Arc<str>>,
    pub(super) application: Option<Arc<str>>,
    pub(super) key_id: Option<Arc<str>>,
    pub(super) plan: Option<Arc<str>>,
    pub(super) status: u16,
    pub(super) code: Option<&'static str>,
    pub(super) shadow: Option<&'static str>,
    pub(super) ending: Option<&'static str>,
    pub(super) charged: u64,
}

/// The methods that are told by name; others are as many as callers think of.
const METHODS: [&str; 9] =
    ["CONNECT", "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT", "TRACE"];

/// What stands for the others.
pub(super) const OTHER_METHOD: &str = "_OTHER";

impl Record {
    /// Joins what was collected with what the line says.
    pub(super) fn new(
        trace_id: TraceId,
        upstream_span: SpanId,
        spans: Box<Spans>,
        line: &Line<'_>,
    ) -> Self {
        let method = METHODS.into_iter().find(|method| *method == line.method);
        let mut end = line.path.len().min(PATH_BYTES_MAX);
        while !line.path.is_char_boundary(end) {
            end -= 1;
        }
        Self {
            trace_id,
            upstream_span,
            spans,
            time: line.time,
            duration: line.duration,
            request_id: line.request_id,
            client: line.client,
            method: method.unwrap_or(OTHER_METHOD),
            path: line.path.get(..end).unwrap_or_default().to_owned(),
            customer: line.customer.cloned(),
            application: line.application.cloned(),
            key_id: line.key_id.cloned(),
            plan: line.plan.cloned(),
            status: line.status,
            code: line.code,
            shadow: line.shadow,
            ending: line.ending,
            charged: line.charged,
        }
    }

    /// Gives the number of spans that it becomes.
    pub fn spans(&self) -> u64 {
        1 + u64::from(self.spans.call.is_some())
    }
}

/// Makes a record for tests.
#[cfg(test)]
pub(super) fn sample() -> Record {
    let line = Line {
        time: Timestamp::UNIX_EPOCH,
        request_id: Uuid::nil(),
        outward_id: None,
        trace_id: None,
        client: [192, 0, 2, 1].into(),
        method: "GET",
        path: "/",
        route: None,
        customer: None,
        application: None,
        key_id: None,
        plan: None,
        status: 200,
        code: None,
        shadow: None,
        ending: Some("completed"),
        charged: 0,
        credit: None,
        bytes: 0,
        duration: Duration::ZERO,
    };
    let spans = Spans {
        server: SpanId([1; 8]),
        parent: None,
        linked: None,
        version: Version::HTTP_11,
        authority: None,
        route: None,
        call: None,
    };
    Record::new(TraceId([1; 16]), SpanId([2; 8]), Box::new(spans), &line)
}
