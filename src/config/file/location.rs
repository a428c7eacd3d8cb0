//! Reading the places where a key may stand.

use http::HeaderName;
use toml::de::DeValue;

use super::{
    table::{FromToml, Value},
    value::expected,
};
use crate::config::{
    KeyLocation,
    report::{Problem, Problems},
    wording::{quote, suggest},
};

/// What may be written.
const FORMS: [&str; 6] =
    ["bearer", "x-api-key", "basic", "header:NAME", "cookie:NAME", "query:NAME"];

/// Fields that mean something to the gateway or to the connection, and cannot be a key beside it.
const TAKEN: [&str; 10] = [
    "authorization",
    "connection",
    "content-length",
    "cookie",
    "expect",
    "host",
    "proxy-authorization",
    "te",
    "transfer-encoding",
    "upgrade",
];

impl FromToml for KeyLocation {
    fn from_toml(value: Value<'_>, problems: &mut Problems) -> Option<Self> {
        let DeValue::String(text) = value.toml else {
            expected(value, "a string", problems);
            return None;
        };
        let location = match (text.as_ref(), text.split_once(':')) {
            ("basic", _) => Ok(Self::Basic),
            ("bearer", _) => Ok(Self::Bearer),
            ("x-api-key", _) => Ok(Self::x_api_key()),
            (_, Some(("cookie", name))) => cookie(name),
            (_, Some(("header", name))) => header(name),
            (_, Some(("query", name))) => query(name),
            _ => {
                let message = format!("unknown value {}", quote(text));
                Err(Problem::error(value.span, message).help(suggest(text, FORMS)))
            }
        };
        location
            .map_err(|mut problem| {
                problem.span = value.span;
                problems.add(problem);
            })
            .ok()
    }
}

fn header(name: &str) -> Result<KeyLocation, Problem> {
    let parsed = name.parse::<HeaderName>().map_err(|_| {
        bad(format!("{} is not the name of a header field", quote(name)), "write it as x-my-key")
    })?;
    if TAKEN.contains(&parsed.as_str()) || parsed.as_str().starts_with("faregate-") {
        let help = "in Authorization a key stands as \"bearer\" or \"basic\", in Cookie as \"cookie:NAME\"";
        return Err(bad(format!("a key cannot stand in the field {}", quote(name)), help));
    }
    Ok(KeyLocation::Header(parsed))
}

/// A cookie's name is a token (RFC 6265 section 4.1.1), and so is a field's.
fn cookie(name: &str) -> Result<KeyLocation, Problem> {
    match name.parse::<HeaderName>() {
        Ok(_) => Ok(KeyLocation::Cookie(name.into())),
        Err(_) => Err(bad(
            format!("{} is not the name of a cookie", quote(name)),
            "write letters, digits, `-` and `_`",
        )),
    }
}

fn query(name: &str) -> Result<KeyLocation, Problem> {
    if name.is_empty() || name.chars().any(|c| c.is_control() || "&=#".contains(c)) {
        let help = "write the bare name, such as \"query:api_key\"";
        return Err(bad(format!("{} is not the name of a query parameter", quote(name)), help));
    }
    Ok(KeyLocation::Query(name.into()))
}

fn bad(message: String, help: &str) -> Problem {
    Problem::error(super::super::report::Span::default(), message).help(help)
}
