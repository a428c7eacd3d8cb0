//! The names of limits that have none of their own, in headers and bodies beside those of quotas.

use crate::ledger::Level;

/// What no quota may be called.
pub const RESERVED: [&str; 6] = [
    rate(Level::Customer),
    rate(Level::Application),
    rate(Level::Key),
    concurrency(Level::Customer),
    concurrency(Level::Application),
    concurrency(Level::Key),
];

/// Gives the name of a rate.
pub const fn rate(level: Level) -> &'static str {
    match level {
        Level::Customer => "rate",
        Level::Application => "application-rate",
        Level::Key => "key-rate",
    }
}

/// Gives the name of a limit on requests in flight.
pub const fn concurrency(level: Level) -> &'static str {
    match level {
        Level::Customer => "concurrency",
        Level::Application => "application-concurrency",
        Level::Key => "key-concurrency",
    }
}
