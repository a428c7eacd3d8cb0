//! Values as they come in a call: dates, durations, limits, and what a patch leaves alone.

use std::{fmt, time::Duration};

use jiff::Timestamp;
use serde::{Deserialize, Deserializer, Serialize, de::Error};
use utoipa::ToSchema;

use crate::{
    ledger::WindowKind,
    model::{Align, Money, parse_duration},
};

/// A field that is wrong, and why.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, ToSchema)]
pub struct FieldError {
    /// The field, such as `quotas[0].limit`.
    pub field: String,
    /// What is wrong, and what to write.
    pub message: String,
}

impl fmt::Display for FieldError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { field, message } = self;
        // What is about the whole has no field.
        if field.is_empty() { f.write_str(message) } else { write!(f, "{field}: {message}") }
    }
}

/// What a patch says of a field (RFC 7396): nothing, that it goes, or its new value.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub enum Patch<T> {
    /// The field is left out: it stays.
    #[default]
    Keep,
    /// It is null: it goes.
    Remove,
    /// Its new value.
    Set(T),
}

impl<T> Patch<T> {
    /// Changes a field as the patch says.
    pub(super) fn apply(self, field: &mut Option<T>) {
        match self {
            Self::Keep => {}
            Self::Remove => *field = None,
            Self::Set(value) => *field = Some(value),
        }
    }

    /// Turns the value into another type.
    pub(super) fn map<U>(self, into: impl FnOnce(T) -> U) -> Patch<U> {
        match self {
            Self::Keep => Patch::Keep,
            Self::Remove => Patch::Remove,
            Self::Set(value) => Patch::Set(into(value)),
        }
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Patch<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // A field that is left out does not come here: `#[serde(default)]` gives `Keep`.
        Ok(Option::deserialize(deserializer)?.map_or(Self::Remove, Self::Set))
    }
}

/// A date in whole milliseconds.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ToSchema)]
#[schema(value_type = String, format = DateTime, examples("2026-01-31T10:00:00Z"))]
pub struct InputDate(pub Timestamp);

impl<'de> Deserialize<'de> for InputDate {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).ok_or_else(|| {
            let help = "write a date in the manner of RFC 3339, such as \"2026-01-31T10:00:00Z\"";
            D::Error::custom(format!("not a date with a time and a zone; {help}"))
        })
    }
}

impl InputDate {
    /// Reads a date and drops what is finer than a millisecond, which no record keeps.
    pub fn parse(text: &str) -> Option<Self> {
        let date: Timestamp = text.parse().ok()?;
        let ms = date.as_nanosecond().div_euclid(1_000_000);
        Timestamp::from_millisecond(i64::try_from(ms).ok()?).ok().map(Self)
    }
}

/// A duration with its unit, such as `30s` or `14d`.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ToSchema)]
#[schema(value_type = String, pattern = "^[0-9]+(ms|s|m|h|d)$", examples("24h"))]
pub struct InputDuration(pub Duration);

impl<'de> Deserialize<'de> for InputDuration {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        parse_duration(&text).map(Self).ok_or_else(|| {
            D::Error::custom(
                "not a duration; write a whole number and ms, s, m, h or d, such as \"30s\" or \
                 \"14d\"; at most 36500d",
            )
        })
    }
}

/// An allowance of units in a window.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct QuotaInput {
    /// Its name; without one it is called by its window.
    pub name: Option<String>,
    /// Units in each window.
    pub limit: u64,
    /// How long a window is.
    #[schema(value_type = String, examples("month"))]
    pub window: WindowKind,
    /// Where windows begin: `anchor` or `calendar`.
    #[schema(value_type = Option<String>)]
    pub align: Option<Align>,
    /// The zone that calendar windows follow, such as `Europe/Berlin`; default: UTC.
    pub zone: Option<String>,
    /// An earlier name whose count it continues.
    pub renamed_from: Option<String>,
    /// How it goes on beyond the limit; of one quota at most, and of a customer's own alone.
    pub overage: Option<OverageInput>,
}

/// How a quota goes on beyond its limit: what is taken there is billed later.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct OverageInput {
    /// What one unit costs.
    #[schema(value_type = String, examples("0.001 USD"))]
    pub price: Money,
}

/// Requests per short time.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RateInput {
    /// Requests per window.
    pub limit: u64,
    /// The window, from 1ms to 24h.
    pub window: InputDuration,
    /// Requests that may come at once after a quiet time; default: the limit.
    pub burst: Option<u64>,
}
