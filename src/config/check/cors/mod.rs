//! `[cors]`: which pages of other origins may use the API.

mod origin;

use std::{sync::Arc, time::Duration};

use http::{HeaderName, header};

use crate::config::{
    Cors, KeyLocation,
    file::{CorsTable, Field, Spanned},
    report::{Problem, Problems, Span},
    wording::quote,
};

/// How long a browser may remember a preflight: Firefox takes a day at most, and others less.
const MAX_AGE_MAX: Duration = Duration::from_secs(24 * 3600);

/// Checks `[cors]`.
pub(in crate::config::check) fn check(
    field: &Field<CorsTable>,
    locations: &[KeyLocation],
    problems: &mut Problems,
) -> Option<Cors> {
    let CorsTable { span, origins, headers, expose, credentials, max_age } = field.value()?;
    let missing = || {
        Problem::error(*span, "`[cors]` has no `origins`").help(
            "write origins = [\"https://app.example.com\"], the origins of the pages that may call",
        )
    };
    let origins = origins.required(problems, missing);
    let origins = origins.map(|origins| check_origins(origins, credentials, problems));
    let headers = headers.given().map(|given| check_names(&given.value, problems));
    let expose = expose.given().map(|given| check_names(&given.value, problems));
    Some(Cors {
        origins: origins?,
        headers: headers.unwrap_or_else(|| usual_headers(locations)),
        expose: expose.unwrap_or_default(),
        credentials: credentials.value().copied().unwrap_or(false),
        max_age: check_max_age(max_age, problems),
    })
}

fn check_origins(
    Spanned { value: list, span }: &Spanned<Vec<Spanned<String>>>,
    credentials: &Field<bool>,
    problems: &mut Problems,
) -> Vec<Arc<str>> {
    // A list of which nothing could be read has its own problems.
    if list.is_empty() && !problems.any_within(*span) {
        let help = "list the origins of the pages that may call, or leave `[cors]` out";
        problems.add(Problem::error(*span, "no page of any origin is allowed").help(help));
    }
    for Spanned { value: text, span } in list {
        if text == "*" {
            check_any(*span, list.len(), credentials, problems);
        } else if let Err(problem) = origin::check(text, *span) {
            problems.add(problem);
        }
    }
    refuse_repetition(list, "the origin is listed twice", problems);
    list.iter().map(|given| given.value.as_str().into()).collect()
}

/// Checks what `*` stands beside. Browsers refuse an answer that allows any origin and credentials.
fn check_any(span: Span, listed: usize, credentials: &Field<bool>, problems: &mut Problems) {
    if listed > 1 {
        let message = "`*` is any origin, so it stands alone";
        problems.add(Problem::error(span, message).help("take out the others, or the `*`"));
    }
    if let Some(given) = credentials.given().filter(|given| given.value) {
        let message = "browsers take no credentials where any origin is allowed";
        let help = "list the origins, or leave out `credentials`; a key in a header needs none";
        let problem = Problem::error(given.span, message).related(span, "any origin");
        problems.add(problem.help(help));
    }
}

/// Reads names of header fields.
fn check_names(list: &[Spanned<String>], problems: &mut Problems) -> Vec<HeaderName> {
    let mut names = Vec::new();
    for Spanned { value: text, span } in list {
        // It would be a name, and means something else to browsers.
        if text == "*" {
            let message = "to browsers `*` leaves out `authorization`, and with credentials it is \
                           a plain name";
            problems.add(Problem::error(*span, message).help("list the names of the fields"));
            continue;
        }
        match text.parse::<HeaderName>() {
            Ok(name) => names.push(Spanned { value: name, span: *span }),
            Err(_) => {
                let message = format!("{} is not the name of a header field", quote(text));
                let help = "write it as x-my-field";
                problems.add(Problem::error(*span, message).help(help));
            }
        }
    }
    refuse_repetition(&names, "the field is listed twice", problems);
    names.into_iter().map(|name| name.value).collect()
}

fn refuse_repetition<T: PartialEq>(list: &[Spanned<T>], message: &str, problems: &mut Problems) {
    for (at, Spanned { value, span }) in list.iter().enumerate() {
        if let Some(first) = list.iter().take(at).find(|first| first.value == *value) {
            problems.add(Problem::error(*span, message).related(first.span, "first here"));
        }
    }
}

/// Gives the fields that a page may send where none are listed: those of keys, and what a body is.
fn usual_headers(locations: &[KeyLocation]) -> Vec<HeaderName> {
    let x_api_key = HeaderName::from_static("x-api-key");
    let mut headers = vec![header::AUTHORIZATION, header::CONTENT_TYPE, x_api_key];
    for location in locations {
        if let KeyLocation::Header(name) = location
            && !headers.contains(name)
        {
            headers.push(name.clone());
        }
    }
    headers
}

fn check_max_age(field: &Field<Duration>, problems: &mut Problems) -> Duration {
    let Some(Spanned { value, span }) = field.given() else { return Duration::from_secs(600) };
    if *value > MAX_AGE_MAX {
        let help = "it is at most \"24h\"; no browser remembers a preflight for longer";
        problems.add(Problem::error(*span, "`max_age` is out of range").help(help));
    } else if value.subsec_nanos() > 0 {
        let help = "write whole seconds, or \"0s\" for a preflight before each request";
        problems.add(Problem::error(*span, "`max_age` is told in whole seconds").help(help));
    }
    *value
}
