//! What a route claims: the requests of a host, a path pattern and methods.

use std::sync::Arc;

use http::Method;

use super::{
    host::{Host, NotHost},
    path::Pattern,
};
use crate::{
    config::{
        file::{Field, RouteTable, Spanned},
        report::{Problem, Problems, Span},
        wording::quote,
    },
    model::Methods,
};

/// What decides which requests a route takes.
#[derive(Debug)]
pub(super) struct Claim {
    /// The host, if it is for one.
    pub(super) host: Option<Arc<str>>,
    /// The path pattern.
    pub(super) path: Arc<str>,
    /// The path pattern without the names in it.
    pub(super) shape: String,
    /// The methods as listed.
    pub(super) methods: Methods,
    /// Where the path stands.
    pub(super) span: Span,
}

/// Checks a route's claim; `None` when a part of it is wrong.
pub(super) fn check(
    table: &RouteTable,
    reserved_prefix: Option<&str>,
    problems: &mut Problems,
) -> Option<Claim> {
    let missing = || {
        Problem::error(table.span, "the route has no `path`")
            .help("write path = \"/v1/things/{id}\", or \"/{*path}\" for every path")
    };
    let path = table.path.required(problems, missing);
    let pattern = path.and_then(|path| check_path(path, reserved_prefix, problems));
    if let (Some(pattern), Some(prefix)) = (&pattern, table.strip_prefix.given()) {
        check_strip_prefix(prefix, pattern, problems);
    }
    let host = check_host(&table.host, problems);
    let methods = check_methods(&table.methods, problems);
    let Spanned { value: path, span } = path?;
    Some(Claim {
        host: host?,
        path: path.as_str().into(),
        shape: pattern?.shape(),
        methods: methods?,
        span: *span,
    })
}

fn check_path(
    path: &Spanned<String>,
    reserved_prefix: Option<&str>,
    problems: &mut Problems,
) -> Option<Pattern> {
    let pattern = match Pattern::parse(&path.value) {
        Ok(pattern) => pattern,
        Err(bad) => {
            problems.add(Problem::error(path.span, bad.message).help(bad.help));
            return None;
        }
    };
    let reserved = reserved_prefix.and_then(|prefix| Pattern::parse_prefix(prefix).ok());
    if reserved.is_some_and(|prefix| pattern.begins_with(&prefix)) {
        let message = format!("the paths under {} are the gateway's own", quote(reserved_prefix?));
        let help = "choose another path, or another `server.reserved_prefix`";
        problems.add(Problem::error(path.span, message).help(help));
        return None;
    }
    Some(pattern)
}

fn check_strip_prefix(prefix: &Spanned<String>, pattern: &Pattern, problems: &mut Problems) {
    let problem = match Pattern::parse_prefix(&prefix.value) {
        Ok(parsed) if pattern.begins_with(&parsed) => return,
        Ok(_) => Problem::error(prefix.span, "the path does not begin with this prefix")
            .help("write one or more of the path's first segments, without parameters"),
        Err(bad) => Problem::error(prefix.span, bad.message).help(bad.help),
    };
    problems.add(problem);
}

/// Gives the host; the outer `None` means that it is wrong.
fn check_host(field: &Field<String>, problems: &mut Problems) -> Option<Option<Arc<str>>> {
    let Spanned { value: text, span } = match field {
        Field::Absent => return Some(None),
        Field::Given(given) => given,
        Field::Wrong => return None,
    };
    let message =
        format!("{} is not a host in the form that requests are compared in", quote(text));
    let help = match Host::parse(text) {
        Ok(host) => return Some(Some(host.to_string().into())),
        Err(NotHost::Differs(normal)) => format!("write {}", quote(&normal)),
        Err(NotHost::Bad) => "write a host name or an IP address, without scheme, port and path, \
                              such as \"api.example.com\""
            .to_owned(),
    };
    problems.add(Problem::error(*span, message).help(help));
    None
}

fn check_methods(field: &Field<Vec<Spanned<String>>>, problems: &mut Problems) -> Option<Methods> {
    let Spanned { value: list, span } = match field {
        Field::Absent => return Some(Methods::Any),
        Field::Given(given) => given,
        Field::Wrong => return None,
    };
    if list.is_empty() {
        let help = "write the methods, or leave it out for any";
        problems.add(Problem::error(*span, "the list of methods is empty").help(help));
        return None;
    }
    let mut methods: Vec<Method> = Vec::new();
    for Spanned { value: text, span } in list {
        let problem = match check_method(text) {
            Ok(method) if methods.contains(&method) => {
                Problem::error(*span, "the method is listed twice").help("leave it out")
            }
            Ok(method) => {
                methods.push(method);
                continue;
            }
            Err((message, help)) => Problem::error(*span, message).help(help),
        };
        problems.add(problem);
    }
    // When one is wrong, the others still say what overlaps.
    (!methods.is_empty()).then_some(Methods::Only(methods))
}

fn check_method(text: &str) -> Result<Method, (String, String)> {
    let upper = text.to_ascii_uppercase();
    if upper == "CONNECT" {
        let message = "CONNECT is never forwarded".to_owned();
        return Err((message, "leave it out".to_owned()));
    }
    let method = Method::from_bytes(text.as_bytes()).map_err(|_| {
        let help = "write methods such as \"GET\" and \"POST\"".to_owned();
        (format!("{} is not a method", quote(text)), help)
    })?;
    if upper != text {
        let message = format!("{} is not a method; upper and lower case differ", quote(text));
        return Err((message, format!("did you mean {}?", quote(&upper))));
    }
    Ok(method)
}
