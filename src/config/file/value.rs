//! Reading single values: texts, numbers, durations, sizes, dates, addresses.

use std::{
    net::{IpAddr, SocketAddr},
    str::FromStr as _,
    time::Duration,
};

use ipnet::IpNet;
use jiff::Timestamp;
use toml::de::DeValue;

use super::table::{FromToml, Spanned, Value};
use crate::{
    config::{
        report::{Problem, Problems},
        wording::quote,
    },
    model::{Money, MoneyError, parse_duration},
};

/// Reports a value of the wrong type.
pub(in crate::config) fn expected(value: Value<'_>, wanted: &str, problems: &mut Problems) {
    problems.add(wrong_type(value, wanted));
}

fn wrong_type(value: Value<'_>, wanted: &str) -> Problem {
    let found = match value.toml {
        DeValue::Array(_) => "an array",
        DeValue::Boolean(_) => "a boolean",
        DeValue::Datetime(_) => "a date",
        DeValue::Float(_) => "a fraction",
        DeValue::Integer(_) => "an integer",
        DeValue::String(_) => "a string",
        DeValue::Table(_) => "a table",
    };
    Problem::error(value.span, format!("expected {wanted}, found {found}"))
}

/// Gives a value's text, or reports what was wanted, with an example.
fn text<'d>(
    value: Value<'d>,
    wanted: &str,
    example: &str,
    problems: &mut Problems,
) -> Option<&'d str> {
    let DeValue::String(text) = value.toml else {
        problems.add(wrong_type(value, wanted).help(format!("write {example}")));
        return None;
    };
    Some(text)
}

impl FromToml for String {
    fn from_toml(value: Value<'_>, problems: &mut Problems) -> Option<Self> {
        let DeValue::String(text) = value.toml else {
            expected(value, "a string", problems);
            return None;
        };
        Some(text.clone().into_owned())
    }
}

impl FromToml for bool {
    fn from_toml(value: Value<'_>, problems: &mut Problems) -> Option<Self> {
        let DeValue::Boolean(truth) = value.toml else {
            expected(value, "`true` or `false`", problems);
            return None;
        };
        Some(*truth)
    }
}

impl FromToml for i64 {
    fn from_toml(value: Value<'_>, problems: &mut Problems) -> Option<Self> {
        let DeValue::Integer(integer) = value.toml else {
            expected(value, "an integer", problems);
            return None;
        };
        let read = Self::from_str_radix(integer.as_str(), integer.radix()).ok();
        if read.is_none() {
            problems.add(Problem::error(value.span, "the number is too large"));
        }
        read
    }
}

/// A list keeps its good items; each wrong one is reported.
impl<T: FromToml> FromToml for Vec<Spanned<T>> {
    fn from_toml(value: Value<'_>, problems: &mut Problems) -> Option<Self> {
        let DeValue::Array(array) = value.toml else {
            expected(value, "a list, `[…]`", problems);
            return None;
        };
        let read = array.iter().filter_map(|item| {
            let item = Value { toml: item.get_ref(), span: item.span().into() };
            let value = T::from_toml(item, problems)?;
            Some(Spanned { value, span: item.span })
        });
        Some(read.collect())
    }
}

impl FromToml for Duration {
    fn from_toml(value: Value<'_>, problems: &mut Problems) -> Option<Self> {
        let text = text(value, "a duration", "it with its unit, such as \"30s\"", problems)?;
        let duration = parse_duration(text);
        if duration.is_none() {
            let message = format!("{} is not a duration", quote(text));
            let help = "write a whole number and ms, s, m, h or d, such as \"250ms\", \"30s\" or \
                        \"14d\"; at most 36500d";
            problems.add(Problem::error(value.span, message).help(help));
        }
        duration
    }
}

/// A time limit that may be switched off.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(in crate::config) struct Timeout(pub(in crate::config) Option<Duration>);

impl FromToml for Timeout {
    fn from_toml(value: Value<'_>, problems: &mut Problems) -> Option<Self> {
        match value.toml {
            DeValue::String(text) if text == "none" => Some(Self(None)),
            _ => Duration::from_toml(value, problems).map(|duration| Self(Some(duration))),
        }
    }
}

/// A number of bytes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(in crate::config) struct Size(pub(in crate::config) u64);

impl FromToml for Size {
    fn from_toml(value: Value<'_>, problems: &mut Problems) -> Option<Self> {
        let text = text(value, "a size", "it with its unit, such as \"32KiB\"", problems)?;
        let size = parse_size(text);
        if size.is_none() {
            let message = format!("{} is not a size", quote(text));
            let help = "write a whole number and B, KB, MB, GB, KiB, MiB or GiB, such as \
                        \"512B\", \"32KiB\" or \"10MiB\"";
            problems.add(Problem::error(value.span, message).help(help));
        }
        size.map(Self)
    }
}

/// A number of bytes that may be without bounds.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(in crate::config) struct OptionalSize(pub(in crate::config) Option<u64>);

impl FromToml for OptionalSize {
    fn from_toml(value: Value<'_>, problems: &mut Problems) -> Option<Self> {
        match value.toml {
            DeValue::String(text) if text == "none" => Some(Self(None)),
            _ => Size::from_toml(value, problems).map(|Size(bytes)| Self(Some(bytes))),
        }
    }
}

fn parse_size(text: &str) -> Option<u64> {
    let (number, unit) = text.split_at(text.find(|c: char| !c.is_ascii_digit())?);
    let number: u64 = number.parse().ok()?;
    let unit_bytes: u64 = match unit {
        "B" => 1,
        "KB" => 1_000,
        "KiB" => 1 << 10,
        "MB" => 1_000_000,
        "MiB" => 1 << 20,
        "GB" => 1_000_000_000,
        "GiB" => 1 << 30,
        _ => return None,
    };
    number.checked_mul(unit_bytes)
}

impl FromToml for Money {
    fn from_toml(value: Value<'_>, problems: &mut Problems) -> Option<Self> {
        let example = "an amount and a currency, such as \"0.002 USD\"";
        let text = text(value, "an amount of money", example, problems)?;
        let read = text.parse();
        if let Err(error) = &read {
            let error: &MoneyError = error;
            let message = format!("{} is not an amount of money", quote(text));
            problems.add(Problem::error(value.span, message).help(error.to_string()));
        }
        read.ok()
    }
}

impl FromToml for Timestamp {
    fn from_toml(value: Value<'_>, problems: &mut Problems) -> Option<Self> {
        let text = match value.toml {
            DeValue::String(text) => text.clone().into_owned(),
            // TOML's own dates are RFC 3339 too, when they have a zone.
            DeValue::Datetime(date) => date.to_string(),
            _ => {
                problems.add(wrong_type(value, "a date").help(DATE_HELP));
                return None;
            }
        };
        let date = parse_date(&text);
        if date.is_none() {
            let message = format!("{} is not a date with a time and a zone", quote(&text));
            problems.add(Problem::error(value.span, message).help(DATE_HELP));
        }
        date
    }
}

const DATE_HELP: &str = "write it in the manner of RFC 3339, such as \"2026-01-31T10:00:00Z\" or \"2026-01-31T12:00:00+02:00\"";

/// Reads a date and drops what is finer than a millisecond, which no record keeps.
fn parse_date(text: &str) -> Option<Timestamp> {
    let date = Timestamp::from_str(text).ok()?;
    let milliseconds = date.as_nanosecond().div_euclid(1_000_000);
    Timestamp::from_millisecond(i64::try_from(milliseconds).ok()?).ok()
}

impl FromToml for SocketAddr {
    fn from_toml(value: Value<'_>, problems: &mut Problems) -> Option<Self> {
        let example = "an address and a port, such as \"127.0.0.1:8402\"";
        let text = text(value, "an address", example, problems)?;
        let address = text.parse().ok();
        if address.is_none() {
            let message = format!("{} is not an address with a port", quote(text));
            problems.add(Problem::error(value.span, message).help(address_help(text)));
        }
        address
    }
}

/// Says what to write instead of something that is nearly an address.
fn address_help(text: &str) -> String {
    let port = text.rsplit_once(':').and_then(|(_, port)| port.parse::<u16>().ok());
    match (text.split_once(':').map(|(host, _)| host), port) {
        (Some("localhost"), Some(port)) => {
            format!("names are not looked up; write \"127.0.0.1:{port}\"")
        }
        (Some("" | "*"), Some(port)) => format!("for every address write \"0.0.0.0:{port}\""),
        _ => "write an IP address and a port, such as \"127.0.0.1:8402\", \"0.0.0.0:8402\" or \
              \"[::1]:8402\"; names are not looked up"
            .to_owned(),
    }
}

impl FromToml for IpNet {
    fn from_toml(value: Value<'_>, problems: &mut Problems) -> Option<Self> {
        let example = "an address or a network, such as \"192.0.2.0/24\"";
        let text = text(value, "a network", example, problems)?;
        let network = text.parse().or_else(|_| text.parse::<IpAddr>().map(Self::from)).ok();
        if network.is_none() {
            let message = format!("{} is not an address or a network", quote(text));
            let help = "write an IP address or a network, such as \"192.0.2.7\", \"192.0.2.0/24\" \
                        or \"2001:db8::/32\"";
            problems.add(Problem::error(value.span, message).help(help));
        }
        network
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes() {
        for (text, bytes) in [
            ("0B", Some(0)),
            ("512B", Some(512)),
            ("32KiB", Some(32_768)),
            ("32KB", Some(32_000)),
            ("10MiB", Some(10_485_760)),
            ("10MB", Some(10_000_000)),
            ("1GiB", Some(1_073_741_824)),
            ("1GB", Some(1_000_000_000)),
            ("18446744073709551615GiB", None),
            ("32", None),
            ("32K", None),
            ("32kib", None),
            ("KiB", None),
            ("", None),
        ] {
            assert_eq!(parse_size(text), bytes, "{text}");
        }
    }

    #[test]
    fn dates_floor_to_milliseconds() {
        for (text, ms) in [
            ("1970-01-01T00:00:01Z", Some(1_000)),
            ("1970-01-01T00:00:00.0019Z", Some(1)),
            ("1969-12-31T23:59:59.9999Z", Some(-1)),
            ("1970-01-01T02:00:00+02:00", Some(0)),
            ("1970-01-01T00:00:00", None),
            ("1970-01-01", None),
            ("yesterday", None),
            ("", None),
        ] {
            assert_eq!(parse_date(text).map(Timestamp::as_millisecond), ms, "{text}");
        }
    }
}
