//! What is written on the command line, in its checked form: instants, quotas, rates, pairs,
//! networks.

use std::net::IpAddr;

use anyhow::Context;
use ipnet::IpNet;
use jiff::{SignedDuration, Timestamp, civil::Date, tz::TimeZone};
use serde_json::{Value, json};

use crate::{
    clock::Clock,
    model::{ChangeRule, Money, Nanos, StatusName, parse_duration},
};

/// A command that cannot be meant, told after the arguments were read: exit code 2.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(super) struct WrongUsage(pub(super) String);

/// An instant as it was written.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum When {
    /// At an instant.
    At(Timestamp),
    /// That long from now.
    In(SignedDuration),
}

impl When {
    /// Reads an instant, a date (its midnight in UTC), or a duration from now.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        if let Some(duration) = parse_duration(text) {
            let duration = SignedDuration::try_from(duration).map_err(|error| error.to_string())?;
            return Ok(Self::In(duration));
        }
        instant(text).map(Self::At).map_err(|_| {
            "write 2026-12-31T00:00:00Z, 2026-12-31 (midnight UTC), or 30d (from now)".to_owned()
        })
    }

    /// Gives the instant.
    pub(super) fn resolve(self, now: Timestamp) -> anyhow::Result<Timestamp> {
        match self {
            Self::At(at) => Ok(at),
            Self::In(duration) => {
                now.checked_add(duration).context("that is too far in the future")
            }
        }
    }
}

/// Reads an instant with its zone, or a date: its midnight in UTC.
pub(super) fn instant(text: &str) -> Result<Timestamp, String> {
    let is_date = text.len() == "2026-12-31".len();
    let midnight = || text.parse::<Date>().ok()?.to_zoned(TimeZone::UTC).ok();
    let read = if is_date { midnight().map(|zoned| zoned.timestamp()) } else { text.parse().ok() };
    read.ok_or_else(|| "write 2026-12-31T00:00:00Z or 2026-12-31 (midnight UTC)".to_owned())
}

/// A value that is set, or taken away with the word `none`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Given<T> {
    /// Taken away.
    None,
    /// Set.
    Some(T),
}

/// Reads an instant, or `none`.
pub(super) fn when_or_none(text: &str) -> Result<Given<When>, String> {
    match text {
        "none" => Ok(Given::None),
        text => When::parse(text).map(Given::Some).map_err(|error| format!("{error}, or none")),
    }
}

/// Reads an instant of the past or the future, or `none`; a duration from now is not meant here.
pub(super) fn instant_or_none(text: &str) -> Result<Given<When>, String> {
    match text {
        "none" => Ok(Given::None),
        text => instant(text)
            .map(|at| Given::Some(When::At(at)))
            .map_err(|error| format!("{error}, or none")),
    }
}

/// Gives the value that stands for it in a document.
pub(super) fn instant_value(given: Given<When>, now: Timestamp) -> anyhow::Result<Value> {
    Ok(match given {
        Given::None => Value::Null,
        Given::Some(when) => when.resolve(now)?.to_string().into(),
    })
}

/// Reads a duration and gives it as it was written.
pub(super) fn duration(text: &str) -> Result<String, String> {
    match parse_duration(text) {
        Some(_) => Ok(text.to_owned()),
        None => Err("write a whole number with its unit, such as 30s, 5m, 24h or 14d".to_owned()),
    }
}

/// Reads a duration, or `none`.
pub(super) fn duration_or_none(text: &str) -> Result<Given<Box<str>>, String> {
    match text {
        "none" => Ok(Given::None),
        text => duration(text).map(|text| Given::Some(text.into())),
    }
}

/// Reads `name=monthly,limit=1000,window=month` as the API's quota. The window is the name when
/// none is given, as in the configuration; which windows there are is the gateway's to say.
pub(super) fn quota(text: &str) -> Result<Value, String> {
    const FORM: &str = "write it as name=monthly,limit=1000,window=month";
    let mut quota = serde_json::Map::new();
    for part in text.split(',') {
        let (name, value) = part.split_once('=').ok_or(FORM)?;
        let value: Value = match name {
            "limit" => {
                value.parse::<u64>().map_err(|_| "the limit is a whole number of units")?.into()
            }
            "overage" => json!({"price": money(value)?}),
            "name" | "window" | "align" | "zone" | "renamed_from" if !value.is_empty() => {
                value.into()
            }
            "name" | "window" | "align" | "zone" | "renamed_from" => {
                return Err(format!("`{name}` is empty; {FORM}"));
            }
            other => return Err(format!("there is no `{other}` in a quota; {FORM}")),
        };
        if quota.insert(name.to_owned(), value).is_some() {
            return Err(format!("`{name}` stands twice; repeat --quota for each quota"));
        }
    }
    for needed in ["limit", "window"] {
        if !quota.contains_key(needed) {
            return Err(format!("`{needed}` is missing; {FORM}"));
        }
    }
    if let Some(window) = quota.get("window").cloned() {
        quota.entry("name").or_insert(window);
    }
    Ok(quota.into())
}

/// Reads an amount of money and gives it as it was written.
pub(super) fn money(text: &str) -> Result<String, String> {
    match text.parse::<Money>() {
        Ok(_) => Ok(text.to_owned()),
        Err(error) => Err(error.to_string()),
    }
}

/// Reads `50/1s` or `50/1s:100` as the API's rate.
pub(super) fn rate(text: &str) -> Result<Value, String> {
    const FORM: &str = "write it as LIMIT/WINDOW or LIMIT/WINDOW:BURST, such as 50/1s:100";
    let number = |text: &str| text.parse::<u64>().ok().filter(|number| *number > 0).ok_or(FORM);
    let (limit, rest) = text.split_once('/').ok_or(FORM)?;
    let (window, burst) = match rest.split_once(':') {
        Some((window, burst)) => (window, Some(number(burst)?)),
        None => (rest, None),
    };
    let limit = number(limit)?;
    duration(window)?;
    let mut rate = json!({"limit": limit, "window": window});
    if let (Some(burst), Some(fields)) = (burst, rate.as_object_mut()) {
        fields.insert("burst".to_owned(), burst.into());
    }
    Ok(rate)
}

/// Reads `KEY=VALUE`.
pub(super) fn pair(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err("write it as KEY=VALUE".to_owned()),
    }
}

/// Reads a network such as `10.0.0.0/8`, or one address.
pub(super) fn network(text: &str) -> Result<String, String> {
    let is_address = text.parse::<IpAddr>().map(|address| IpNet::from(address).to_string());
    let is_network = || text.parse::<IpNet>().map(|network| network.to_string());
    is_address
        .or_else(|_| is_network())
        .map_err(|_| "write a network such as 203.0.113.0/24 or 2001:db8::/32".to_owned())
}

/// Checks a correction: `+5` gives units or money back, `-5` charges it. The sign is asked for, because
/// both directions are easily meant by a bare number.
pub(super) fn correction(text: &str) -> Result<String, String> {
    const FORM: &str = "write +N to give N units back to the customer, or -N to charge N more";
    if !text.starts_with(['+', '-']) {
        return Err(FORM.to_owned());
    }
    let amount: Result<Nanos, _> = text.get(1..).unwrap_or_default().parse();
    let is_amount = amount.is_ok_and(|amount| amount > Nanos::ZERO);
    if is_amount { Ok(text.to_owned()) } else { Err(FORM.to_owned()) }
}

/// Gives the names of a subscription's states.
pub(super) fn status_names() -> Vec<&'static str> {
    StatusName::ALL.iter().map(|(name, _)| *name).collect()
}

/// Gives the names of the rules for a change of plan.
pub(super) fn change_rules() -> Vec<&'static str> {
    ChangeRule::ALL.iter().map(|(name, _)| *name).collect()
}

/// Gives the time that durations count from.
pub(super) fn now() -> Timestamp {
    Clock::system().now()
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::constant(1_795_000_000, 0);

    #[test]
    fn instants_are_read() {
        let at = |text: &str| When::parse(text).unwrap().resolve(NOW).unwrap().to_string();
        assert_eq!(at("2026-12-31"), "2026-12-31T00:00:00Z");
        assert_eq!(at("2026-12-31T10:00:00+02:00"), "2026-12-31T08:00:00Z");
        assert_eq!(When::parse("30d"), Ok(When::In(SignedDuration::from_hours(720))));
        assert_eq!(at("1d"), (NOW + SignedDuration::from_hours(24)).to_string());
        for wrong in ["", "tomorrow", "2026-13-01", "2026-12-31T00:00:00", "30", "-1d", "2026-2-30"]
        {
            assert!(When::parse(wrong).is_err(), "{wrong}");
        }
        assert!(instant("30d").is_err());
        assert!(When::parse("36500d").unwrap().resolve(Timestamp::MAX).is_err());
    }

    #[test]
    fn none_takes_away() {
        assert_eq!(when_or_none("none"), Ok(Given::None));
        assert_eq!(instant_value(Given::None, NOW).unwrap(), Value::Null);
        assert!(instant_or_none("30d").is_err());
        assert_eq!(duration_or_none("3d"), Ok(Given::Some("3d".into())));
        assert!(duration_or_none("3").is_err());
    }

    #[test]
    fn quotas_are_read() {
        assert_eq!(
            quota("name=monthly,limit=1000,window=month,align=calendar"),
            Ok(json!({"name": "monthly", "limit": 1000, "window": "month", "align": "calendar"}))
        );
        assert_eq!(
            quota("limit=5,window=day"),
            Ok(json!({"name": "day", "limit": 5, "window": "day"}))
        );
        let overage = json!({"price": "0.001 USD"});
        assert_eq!(
            quota("limit=5,window=day,overage=0.001 USD"),
            Ok(json!({"name": "day", "limit": 5, "window": "day", "overage": overage}))
        );
        for (wrong, word) in [
            ("monthly", "name=monthly"),
            ("limit=5", "`window` is missing"),
            ("window=day", "`limit` is missing"),
            ("limit=-5,window=day", "whole number"),
            ("limit=5,limit=6,window=day", "twice"),
            ("limit=5,window=day,size=3", "`size`"),
            ("limit=5,window=", "empty"),
            ("limit=5,window=day,overage=5", "an amount and a currency"),
        ] {
            let error = quota(wrong).unwrap_err();
            assert!(error.contains(word), "{wrong}: {error}");
        }
    }

    #[test]
    fn rates_are_read() {
        assert_eq!(rate("50/1s"), Ok(json!({"limit": 50, "window": "1s"})));
        assert_eq!(rate("50/1m:100"), Ok(json!({"limit": 50, "window": "1m", "burst": 100})));
        for wrong in ["50", "50/", "50/s", "/1s", "0/1s", "50/1s:", "50/1s:0", "5.5/1s", "-5/1s"] {
            assert!(rate(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn corrections_have_a_sign() {
        for right in ["+5", "-5", "+2.50"] {
            assert_eq!(correction(right), Ok(right.to_owned()));
        }
        for wrong in ["5", "+0", "-0", "+", "-", "+-5", "five", "+9223372036854775808", ""] {
            assert!(correction(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn pairs_and_networks_are_read() {
        assert_eq!(pair("a=b=c"), Ok(("a".to_owned(), "b=c".to_owned())));
        assert_eq!(pair("a="), Ok(("a".to_owned(), String::new())));
        assert!(pair("=b").is_err() && pair("a").is_err());
        assert_eq!(network("203.0.113.0/24"), Ok("203.0.113.0/24".to_owned()));
        assert_eq!(network("203.0.113.7"), Ok("203.0.113.7/32".to_owned()));
        assert!(network("example.com").is_err());
    }
}
