//! `[traces]`: where spans go, and which requests have them.

use std::{path::Path, sync::Arc};

use http::header::CONTENT_TYPE;

use super::{
    endpoints::leads_to,
    upstreams::{Listeners, check_headers},
    url::Url,
};
use crate::{
    config::{
        file::{Field, Spanned, TracesTable},
        report::{Problem, Problems, Span},
    },
    outgoing::{Target, Trust},
    telemetry::traces::{Share, Traces},
};

/// The path of traces, behind the endpoint's own.
const PATH: &str = "/v1/traces";

/// The port that OTLP has over gRPC, by convention.
const GRPC_PORT: u16 = 4317;

/// Checks `[traces]`.
pub(super) fn check(
    field: &Field<TracesTable>,
    listeners: &Listeners,
    directory: &Path,
    problems: &mut Problems,
) -> Option<Arc<Traces>> {
    let TracesTable { span, endpoint, headers, sample, parent, service } = field.value()?;
    let missing = || {
        Problem::error(*span, "`[traces]` has no `endpoint`").help(
            "write endpoint = \"http://127.0.0.1:4318\", where a collector takes OTLP over HTTP",
        )
    };
    let endpoint = endpoint.required(problems, missing);
    let target = endpoint.and_then(|endpoint| {
        let parsed = parse_endpoint(&endpoint.value, endpoint.span, listeners);
        parsed.map_err(|problem| problems.add(problem)).ok()
    });
    let checked = check_headers(headers, directory, problems);
    if checked.iter().any(|(name, _)| *name == CONTENT_TYPE)
        && let Some(span) = headers.span()
    {
        let message = "the gateway sets `content-type` itself";
        problems.add(Problem::error(span, message).help("leave it out"));
    }
    if let (Some(target), Some(endpoint)) = (&target, endpoint) {
        warn(target, endpoint, !checked.is_empty(), problems);
    }
    Some(Arc::new(Traces {
        endpoint: target?,
        headers: checked,
        sample: sample.value().copied().unwrap_or(Share::ALL),
        parent: parent.value().copied().unwrap_or_default(),
        service: check_service(service, problems),
    }))
}

/// Reads an endpoint, and adds the path of traces to it.
fn parse_endpoint(text: &str, span: Span, listeners: &Listeners) -> Result<Target, Problem> {
    let url = Url::parse(text).map_err(|bad| bad.into_problem(span).hidden())?;
    if !url.tail.is_empty() {
        let message = "the endpoint has a query or fragment";
        return Err(Problem::error(span, message).help("leave it out").hidden());
    }
    let base = url.path.strip_suffix('/').unwrap_or(url.path);
    if base.ends_with(PATH) {
        let message = format!("the endpoint is written without `{PATH}`, which is added to it");
        return Err(Problem::error(span, message).help("leave it out").hidden());
    }
    let port = url.port.unwrap_or(if url.is_https { 443 } else { 80 });
    let own = [Some(listeners.admin), listeners.server].into_iter().flatten();
    if own.into_iter().any(|listener| leads_to(&url.host, port, listener)) {
        let message = "this is the gateway's own address";
        return Err(Problem::error(span, message).help("write the address of a collector"));
    }
    let whole = format!("{}{PATH}", text.strip_suffix('/').unwrap_or(text));
    Target::parse(&whole, Trust::Operator).map_err(|error| {
        let text = error.to_string();
        let (message, help) = text.split_once("; ").unwrap_or((&text, "write a whole URL"));
        Problem::error(span, message).help(help).hidden()
    })
}

/// Warns of what is likely a mistake.
fn warn(target: &Target, endpoint: &Spanned<String>, has_headers: bool, problems: &mut Problems) {
    if target.port() == GRPC_PORT {
        let message = "port 4317 is OTLP over gRPC by convention, and spans are sent over HTTP";
        let help = "write the collector's port for HTTP, which is 4318 by convention";
        problems.add(Problem::warning(endpoint.span, message).help(help).hidden());
    }
    if has_headers && !target.is_https() && !target.is_loopback() {
        let message = "the headers go over http, where others on the way can read them";
        problems.add(Problem::warning(endpoint.span, message).help("write https://…").hidden());
    }
}

fn check_service(field: &Field<String>, problems: &mut Problems) -> Arc<str> {
    let Some(Spanned { value, span }) = field.given() else { return "faregate".into() };
    if value.is_empty() || value.len() > 255 || value.chars().any(char::is_control) {
        let message = "this is no name of a service";
        let help = "write 1 to 255 bytes without control characters, such as \"faregate\"";
        problems.add(Problem::error(*span, message).help(help));
    }
    value.as_str().into()
}
