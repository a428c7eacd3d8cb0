//! What customers have used and may still use: pure, with time as an argument.
//!
//! [`Ledger`] finds a customer's [`Accounts`]; these give a [`Hold`] on all limits at once or say
//! what is short; the hold is settled once. A hold may draw on the customer's money instead of its
//! allowance.
//!
//! Invariant: `used + reserved <= limit` for every quota, except as far as its overage goes, after a
//! limit was lowered, after a charge above the reserved cost (a debt), and for usage that was loaded.

// Going on after an overflow would invent units, and a panic would lose a request: each operation
// is checked or saturates towards refusing, chosen where it stands.
#![deny(clippy::arithmetic_side_effects)]

mod account;
mod book;
mod civil;
mod credit;
mod customer;
mod draw;
mod few;
mod hold;
pub mod lease;
mod limits;
mod overage;
mod part;
mod partition;
mod post;
mod rate;
mod shared;
mod slots;
mod standing;
mod state;
mod tally;
mod view;
mod window;

#[cfg(test)]
mod tests;

/// The only lock of the ledger, named in one place so that a model checker's can stand in for it.
mod sync {
    #[cfg(loom)]
    pub(super) use loom::sync::{Mutex, MutexGuard};
    #[cfg(not(loom))]
    pub(super) use std::sync::{Mutex, MutexGuard};
}

pub use account::{AccountId, AccountSet, Window};
pub use book::{Ledger, id_of};
pub use credit::{CreditStanding, GRANT_SCOPE, Grant};
pub use customer::{Accounts, Unpaid, When};
pub use draw::{Draw, Share};
pub use few::Few;
pub use hold::{Charge, Hold, Place, Stay, Taken};
pub use limits::{Level, Limits, Quota, Rate, Scoped, UNITS_MAX, WindowKind, WindowSpec};
pub use overage::Overage;
pub use partition::{Partition, Portion};
pub use post::{Listed, Post};
pub use shared::Hearing;
pub use standing::{Lacking, QuotaStanding, RateStanding, Shortage, Standing, Violation};
