//! `health`: the checks of an upstream's endpoints.

use std::{ops::RangeInclusive, time::Duration};

use http::uri::PathAndQuery;

use super::{
    number::{integer, positive},
    statuses,
};
use crate::{
    config::{
        file::{Field, HealthTable, Spanned, StatusSet},
        report::{Problem, Problems},
        wording::quote,
    },
    model::{Health, HttpVersion, Question},
};

/// The shortest time between two checks of an endpoint.
const INTERVAL_MIN: Duration = Duration::from_millis(100);

/// How many checks in succession can be asked for.
const TIMES: RangeInclusive<u32> = 1..=100;

/// Which statuses pass where none are named.
const STATUS: RangeInclusive<u16> = 200..=399;

/// How long the name of a service can be.
const SERVICE_BYTES_MAX: usize = 200;

/// Checks `health` of an upstream that speaks this version.
pub(super) fn check(
    table: &HealthTable,
    version: &Field<HttpVersion>,
    problems: &mut Problems,
) -> Option<Health> {
    let HealthTable { span: _, path: _, grpc, interval, timeout, fails, passes, status: _ } = table;
    let question = match grpc {
        Field::Absent => check_get(table, problems),
        Field::Given(service) => check_grpc(service, table, version, problems),
        Field::Wrong => None,
    };
    let interval = check_interval(interval, problems);
    let timeout = positive(timeout, Duration::from_secs(2), problems);
    let fails = integer(fails, TIMES, 3, problems);
    let passes = integer(passes, TIMES, 2, problems);
    Some(Health { question: question?, interval, timeout, fails, passes })
}

fn check_get(table: &HealthTable, problems: &mut Problems) -> Option<Question> {
    let missing = || {
        Problem::error(table.span, "`health` has no `path`").help(
            "write what is asked for, such as path = \"/healthz\", or grpc = \"\" to ask gRPC's own health \
             service",
        )
    };
    let path = table.path.required(problems, missing);
    let path = path.and_then(|path| check_path(path, problems));
    let status = check_status(&table.status, problems);
    Some(Question::Get { path: path?.into(), status })
}

fn check_grpc(
    service: &Spanned<String>,
    table: &HealthTable,
    version: &Field<HttpVersion>,
    problems: &mut Problems,
) -> Option<Question> {
    let Spanned { value, span } = service;
    let others = [
        ("path", table.path.given().map(|path| path.span)),
        ("status", table.status.given().map(|status| status.span)),
    ];
    for (name, other) in others {
        let Some(other) = other else { continue };
        let message = format!("`{name}` is of a GET, and `grpc` asks by a call");
        let problem = Problem::error(other, message).related(*span, "`grpc` is here");
        problems.add(problem.help("leave one of the two out"));
    }
    let is_http1 = match version {
        Field::Absent => true,
        Field::Given(version) => version.value == HttpVersion::Http1,
        Field::Wrong => false,
    };
    if is_http1 {
        let message = "gRPC is spoken over HTTP/2 alone";
        let help = "write http_version = \"2\" into the upstream's table, or a `path` in the place of `grpc`";
        problems.add(Problem::error(*span, message).help(help));
    }
    if value.len() > SERVICE_BYTES_MAX || value.chars().any(char::is_control) {
        let message = format!("{} is not the name of a service", quote(value));
        let help = "write it with its package, such as \"weather.v1.Weather\", or \"\" for the whole server";
        problems.add(Problem::error(*span, message).help(help));
    }
    Some(Question::Grpc { service: value.as_str().into() })
}

fn check_path<'f>(path: &'f Spanned<String>, problems: &mut Problems) -> Option<&'f str> {
    let Spanned { value, span } = path;
    // What a fragment is, no server is ever told.
    let is_path = value.starts_with('/')
        && !value.contains('#')
        && value.parse::<PathAndQuery>().is_ok_and(|parsed| parsed.as_str() == value);
    if is_path {
        return Some(value);
    }
    let problem = Problem::error(*span, format!("{} is not a path", quote(value)));
    let help = "it begins with a slash, such as \"/healthz\", and is sent as it stands: the path of the \
                upstream's URL is not put before it";
    problems.add(problem.help(help));
    None
}

fn check_interval(interval: &Field<Duration>, problems: &mut Problems) -> Duration {
    let Some(Spanned { value, span }) = interval.given() else { return Duration::from_secs(5) };
    if *value < INTERVAL_MIN {
        let message = "checks that follow one another so fast are a load of their own";
        problems.add(Problem::error(*span, message).help("write at least \"100ms\""));
    }
    *value
}

fn check_status(status: &Field<StatusSet>, problems: &mut Problems) -> RangeInclusive<u16> {
    let Some(Spanned { value: StatusSet(text), span }) = status.given() else { return STATUS };
    let Some((first, last)) = statuses::parse_range(text) else {
        let message = format!("{} is not a status or a range of them", quote(text));
        let help = "write a status such as 204, a range \"200-399\" or a class \"2xx\"";
        problems.add(Problem::error(*span, message).help(help));
        return STATUS;
    };
    first..=last
}
