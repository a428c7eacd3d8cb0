//! What customers have used and may still use: pure, with time as an argument.
//!
//! Invariant: `used + reserved <= limit` for every quota, except after a limit was lowered.

mod account;
mod limits;

pub use account::{AccountId, AccountSet, Window};
pub use limits::{Limits, Quota, Rate, UNITS_MAX, WindowKind, WindowSpec};
