//! Numbers and durations within their ranges, and their defaults.

use std::{ops::RangeInclusive, time::Duration};

use crate::{
    config::{
        file::{Field, Spanned},
        report::{Problem, Problems},
    },
    ledger::UNITS_MAX,
};

/// Gives an integer of the allowed range, or the default.
pub(super) fn integer<N>(
    field: &Field<i64>,
    allowed: RangeInclusive<N>,
    default: N,
    problems: &mut Problems,
) -> N
where
    N: Copy + std::fmt::Display + PartialOrd + TryFrom<i64>,
{
    let Some(given) = field.given() else { return default };
    within(given, allowed, problems).unwrap_or(default)
}

/// Gives an integer of the allowed range.
pub(super) fn within<N>(
    given: &Spanned<i64>,
    allowed: RangeInclusive<N>,
    problems: &mut Problems,
) -> Option<N>
where
    N: Copy + std::fmt::Display + PartialOrd + TryFrom<i64>,
{
    let number = N::try_from(given.value).ok().filter(|number| allowed.contains(number));
    if number.is_none() {
        let (low, high) = (allowed.start(), allowed.end());
        let message = format!("{} is out of range", given.value);
        let help = format!("the number is from {low} to {high}");
        problems.add(Problem::error(given.span, message).help(help));
    }
    number
}

/// What units can be: limits and costs.
pub(super) const UNITS: RangeInclusive<u64> = 0..=UNITS_MAX;

/// Gives a duration longer than zero, or the default.
pub(super) fn positive(
    field: &Field<Duration>,
    default: Duration,
    problems: &mut Problems,
) -> Duration {
    let Some(given) = field.given() else { return default };
    if given.value.is_zero() {
        let message = "a duration of zero would end everything at once";
        problems.add(Problem::error(given.span, message).help("write at least \"1ms\""));
    }
    given.value
}
