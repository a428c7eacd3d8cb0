//! The identity of an account: whose units, under which name, in which window.

use std::sync::Arc;

use jiff::Timestamp;

/// One stretch of time, half-open: `start <= t < end`.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct Window {
    /// The first instant in it.
    pub start: Timestamp,
    /// The first instant after it; `None` for a window without end.
    pub end: Option<Timestamp>,
}

impl Window {
    /// Tells whether the instant lies in it.
    pub fn contains(&self, at: Timestamp) -> bool {
        self.start <= at && self.end.is_none_or(|end| at < end)
    }
}

/// What usage is kept under, within one customer. The plan is not part of it, so that a change of
/// plan carries what was used.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct AccountId {
    /// Empty for the customer as a whole; `application/NAME` or `key/ID` for a part of it.
    pub scope: Arc<str>,
    /// The name under which the quota's usage is kept.
    pub quota: Arc<str>,
    /// The window; its start is the identity, its end tells when it is over.
    pub window: Window,
}

impl AccountId {
    /// Compares what makes an account one and the same; the window's end is not part of it.
    pub(super) fn is(&self, other: &Self) -> bool {
        self.window.start == other.window.start
            && self.quota == other.quota
            && self.scope == other.scope
    }
}

/// The accounts that one request takes from, always together.
#[derive(Debug)]
pub struct AccountSet {
    /// Unique within the process, so that a journal can refer to the set by a small number.
    pub id: u64,
    /// The owner's customer id.
    pub customer: Arc<str>,
    /// In the order of the limits.
    pub accounts: Vec<AccountId>,
}
