//! What customers have used and may still use: pure, with time as an argument.
//!
//! Invariant: `used + reserved <= limit` for every quota, except after a limit was lowered.

mod limits;

pub use limits::{UNITS_MAX, Limits, Quota, Rate, WindowKind, WindowSpec};
