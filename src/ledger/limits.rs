//! The limits that a customer's requests must fit, all of them.

use std::{sync::Arc, time::Duration};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// The largest limit or cost: 15 digits, what an Integer of a structured field can carry (RFC 9651 section 3.3.1).
pub const UNITS_MAX: u64 = 999_999_999_999_999;

/// All limits of one customer.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Limits {
    /// Units per window, each with its own name.
    pub quotas: Vec<Quota>,
    /// Requests per short time.
    pub rate: Option<Rate>,
    /// Requests in flight at once.
    pub concurrency: Option<u32>,
}

/// An allowance of units in a window.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Quota {
    /// The name under which usage is kept; unique within the limits.
    pub name: Arc<str>,
    /// Units per window, at most [`UNITS_MAX`].
    pub limit: u64,
    /// When windows begin and end.
    pub window: WindowSpec,
}

/// Requests per short time, with a burst.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Rate {
    /// Requests per window; at least 1.
    pub limit: u64,
    /// The window; longer than zero, at most a day.
    #[serde(with = "crate::model::duration::as_text")]
    pub window: Duration,
    /// Requests that may come at once after a quiet time; at least 1.
    pub burst: u64,
}

/// When windows begin and end.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct WindowSpec {
    /// How long a window is.
    pub kind: WindowKind,
    /// Where windows count from; `None` means the calendar in UTC.
    pub anchor: Option<Timestamp>,
}

/// How long a window is.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum WindowKind {
    /// 3600 seconds.
    Hour,
    /// A day in UTC, 24 hours.
    Day,
    /// Seven days; by the calendar from Monday (ISO 8601).
    Week,
    /// A month of the calendar.
    Month,
    /// A year of the calendar.
    Year,
    /// All time: one window that never renews.
    Lifetime,
}

impl WindowKind {
    /// Gives the name used in the file.
    pub fn name(self) -> &'static str {
        match self {
            Self::Hour => "hour",
            Self::Day => "day",
            Self::Week => "week",
            Self::Month => "month",
            Self::Year => "year",
            Self::Lifetime => "lifetime",
        }
    }
}
