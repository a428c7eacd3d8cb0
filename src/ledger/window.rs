//! Which window an instant lies in.
//!
//! Invariant: the windows of one spec tile all time; each begins where the one before it ends.

use jiff::{Span, Timestamp, civil::DateTime, tz::Offset};

use super::{Window, WindowKind, WindowSpec};

const HOUR_NS: i128 = 3_600_000_000_000;
const DAY_NS: i128 = 24 * HOUR_NS;
const WEEK_NS: i128 = 7 * DAY_NS;

/// The first Monday of the epoch, 1970-01-05.
const MONDAY: Timestamp = Timestamp::constant(4 * 86_400, 0);

impl WindowSpec {
    /// Gives the window that the instant lies in.
    ///
    /// Where a window reaches beyond representable time its start is [`Timestamp::MIN`], or it has
    /// no end, so that it still contains every instant it should.
    pub fn window_at(&self, at: Timestamp) -> Window {
        // The calendar is what an anchor at the epoch gives (for weeks, at its first Monday), so
        // there is one way of computing for both.
        let calendar = if self.kind == WindowKind::Week { MONDAY } else { Timestamp::UNIX_EPOCH };
        let anchor = self.anchor.unwrap_or(calendar);
        match self.kind {
            WindowKind::Hour => by_length(anchor, HOUR_NS, at),
            WindowKind::Day => by_length(anchor, DAY_NS, at),
            WindowKind::Week => by_length(anchor, WEEK_NS, at),
            WindowKind::Month => by_months(anchor, 1, at),
            WindowKind::Year => by_months(anchor, 12, at),
            WindowKind::Lifetime => Window { start: Timestamp::UNIX_EPOCH, end: None },
        }
    }
}

/// Windows of a fixed length. Saturating is out of reach: the longest span is below 2^70.
fn by_length(anchor: Timestamp, length_ns: i128, at: Timestamp) -> Window {
    let at_ns = at.as_nanosecond();
    let since_anchor = at_ns.saturating_sub(anchor.as_nanosecond());
    // Euclid's remainder counts from the window's start before the anchor too.
    let into_window = since_anchor.checked_rem_euclid(length_ns).unwrap_or(0);
    let start = at_ns.saturating_sub(into_window);
    Window {
        start: Timestamp::from_nanosecond(start).unwrap_or(Timestamp::MIN),
        end: Timestamp::from_nanosecond(start.saturating_add(length_ns)).ok(),
    }
}

/// Windows of `step` months. Each start is computed from the anchor itself: from the start before it,
/// which may be clamped already, the 31st would become the 28th for ever.
fn by_months(anchor: Timestamp, step: i32, at: Timestamp) -> Window {
    let anchor = Offset::UTC.to_datetime(anchor);
    let at = Offset::UTC.to_datetime(at);
    let months = month_index(at).saturating_sub(month_index(anchor));
    let mut start = months.saturating_sub(months.checked_rem_euclid(step).unwrap_or(0));
    // This start is in the month of `at` or an earlier one; in the same month it may still be ahead.
    // The start after it is in a later month for sure.
    if months_after(anchor, start).is_some_and(|start| start > at) {
        start = start.saturating_sub(step);
    }
    let instant = |months| Offset::UTC.to_timestamp(months_after(anchor, months)?).ok();
    Window {
        start: instant(start).unwrap_or(Timestamp::MIN),
        end: instant(start.saturating_add(step)),
    }
}

/// Counts months from the beginning of year 0.
fn month_index(at: DateTime) -> i32 {
    i32::from(at.year()).saturating_mul(12).saturating_add(i32::from(at.month()))
}

/// Moves by months, with the day clamped to the month's last; `None` outside representable time.
fn months_after(anchor: DateTime, months: i32) -> Option<DateTime> {
    anchor.checked_add(Span::new().try_months(months).ok()?).ok()
}
