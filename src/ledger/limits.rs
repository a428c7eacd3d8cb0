//! The limits that a customer's requests must fit, all of them.

use std::{sync::Arc, time::Duration};

use jiff::{Timestamp, tz::TimeZone};
use serde::{Deserialize, Serialize};

use super::{Overage, Window};

/// The largest limit or cost: 15 digits, what an Integer of a structured field can carry (RFC 9651 section 3.3.1).
pub const UNITS_MAX: u64 = 999_999_999_999_999;

/// All limits that a request must fit: those of its customer, its application and its key.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Limits {
    /// Units per window, each with its own account.
    pub quotas: Vec<Quota>,
    /// Requests per short time, at most one for a scope.
    pub rates: Vec<Scoped<Rate>>,
    /// Requests in flight at once, at most one for a scope.
    pub concurrency: Vec<Scoped<u32>>,
}

/// A limit and whose it is.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Scoped<T> {
    /// Empty for the customer as a whole; `application/NAME` or `key/ID` for a part of it.
    pub scope: Arc<str>,
    /// How much the scope may take.
    pub limit: T,
}

impl<T> Scoped<T> {
    /// Makes a limit of the customer as a whole.
    pub fn whole(limit: T) -> Self {
        Self { scope: Arc::default(), limit }
    }

    /// Tells what kind of scope it limits.
    pub fn level(&self) -> Level {
        Level::of(&self.scope)
    }
}

/// The kinds of scopes, from the widest to the narrowest.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Level {
    /// The customer as a whole.
    Customer,
    /// One of its applications.
    Application,
    /// One of its keys.
    Key,
}

impl Level {
    /// Reads the kind off a scope.
    pub fn of(scope: &str) -> Self {
        if scope.is_empty() {
            Self::Customer
        } else if scope.starts_with("application/") {
            Self::Application
        } else {
            Self::Key
        }
    }
}

/// An allowance of units in a window.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Quota {
    /// Whose allowance it is: empty for the customer, else `application/NAME` or `key/ID`.
    pub scope: Arc<str>,
    /// The name that callers are told.
    pub name: Arc<str>,
    /// The name under which usage is kept: the quota's own, or an earlier one whose count it
    /// continues. Unique within the scope.
    pub account: Arc<str>,
    /// Units per window, at most [`UNITS_MAX`].
    pub limit: u64,
    /// How it goes on beyond the limit; `None` where it does not. Boxed, as most have none.
    pub overage: Option<Box<Overage>>,
    /// When windows begin and end.
    pub window: WindowSpec,
}

impl Quota {
    /// Gives the units that one window lets through, with those beyond the limit.
    pub fn units_max(&self) -> u64 {
        let beyond = self.overage.as_ref().map_or(0, |overage| overage.units_max());
        self.limit.saturating_add(beyond)
    }

    /// Tells what kind of scope it limits.
    pub fn level(&self) -> Level {
        Level::of(&self.scope)
    }
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
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct WindowSpec {
    /// How long a window is.
    pub kind: WindowKind,
    /// Where windows count from; `None` means the calendar.
    pub anchor: Option<Timestamp>,
    /// Whose days, months and years are meant; `None` means UTC.
    pub zone: Option<TimeZone>,
    /// The subscription's own period, as its biller tells it; only [`WindowKind::Period`] asks.
    pub period: Option<Window>,
    /// The instant of a fresh start: the window that it falls into begins at it instead.
    pub floor: Option<Timestamp>,
}

impl WindowSpec {
    /// Makes windows by the calendar in UTC.
    pub fn new(kind: WindowKind) -> Self {
        Self { kind, anchor: None, zone: None, period: None, floor: None }
    }
}

/// How long a window is.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum WindowKind {
    /// 3600 seconds, whatever the zone's clocks do.
    Hour,
    /// A day of the calendar; in UTC 24 hours, in other zones 23 to 25.
    Day,
    /// Seven days; by the calendar from Monday (ISO 8601).
    Week,
    /// A month of the calendar.
    Month,
    /// A year of the calendar.
    Year,
    /// The subscription's own period; without one, a month.
    Period,
    /// All time: one window that never renews.
    Lifetime,
}

impl WindowKind {
    /// Every kind, from the shortest window to the longest.
    pub const ALL: [Self; 7] =
        [Self::Hour, Self::Day, Self::Week, Self::Month, Self::Year, Self::Period, Self::Lifetime];

    /// Gives the name used in the file.
    pub fn name(self) -> &'static str {
        match self {
            Self::Hour => "hour",
            Self::Day => "day",
            Self::Week => "week",
            Self::Month => "month",
            Self::Year => "year",
            Self::Period => "period",
            Self::Lifetime => "lifetime",
        }
    }
}
