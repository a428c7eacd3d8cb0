//! What moves an account, as the ledger has it.

use crate::store::records::EntryKind;

/// What an account is.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub(in crate::store) struct Account {
    /// One of the constants below.
    pub(in crate::store) of: i64,
    /// The row.
    pub(in crate::store) id: i64,
}

/// A row of `usage`.
pub(in crate::store) const USAGE: i64 = 0;
/// A row of `purses`.
pub(in crate::store) const PURSE: i64 = 1;
/// A row of `payments`.
pub(in crate::store) const PAYMENT: i64 = 2;

/// The number of no grant.
pub(in crate::store) const NO_GRANT: i64 = 0;

pub(in crate::store) const MINUTE_MS: i64 = 60_000;
pub(in crate::store) const HOUR_MS: i64 = 3_600_000;

/// What was consumed of an account in a minute over a route.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(in crate::store) struct Consumption {
    pub(in crate::store) account: Account,
    pub(in crate::store) minute: i64,
    pub(in crate::store) grant: i64,
    pub(in crate::store) route: i64,
    pub(in crate::store) requests: i64,
    /// Not below zero.
    pub(in crate::store) amount: i64,
}

impl Consumption {
    /// Gives by how much the account has more: what is consumed is more of a count and less of a purse.
    pub(in crate::store) fn movement(&self) -> i64 {
        if self.account.of == PURSE { self.amount.saturating_neg() } else { self.amount }
    }
}

/// An entry to be made.
#[derive(Clone, Copy, Debug)]
pub(in crate::store) struct Entry<'a> {
    pub(in crate::store) account: Account,
    pub(in crate::store) kind: EntryKind,
    pub(in crate::store) grant: i64,
    /// The minute, the route and the number of requests, of what was consumed.
    pub(in crate::store) consumed: Option<(i64, i64, i64)>,
    pub(in crate::store) amount: i64,
    pub(in crate::store) reference: Option<&'a str>,
}

/// Gives each of some entries of one account with what that has behind it, from what it has behind all of them.
pub(in crate::store) fn told<'a, 'e>(
    entries: &'a [Entry<'e>],
    after: i64,
) -> impl Iterator<Item = (&'a Entry<'e>, i64)> {
    let mut balance = entries.iter().fold(after, |has, entry| has.saturating_sub(entry.amount));
    entries.iter().map(move |entry| {
        balance = balance.saturating_add(entry.amount);
        (entry, balance)
    })
}
