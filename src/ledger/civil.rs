//! Windows of days and months as the clocks of a zone show them.
//!
//! A boundary is a local time, and means the first instant at which local clocks show it or a later
//! one: of a time that comes twice the first, of one that is skipped the end of the gap. Meant so,
//! later boundaries are never earlier instants, hence windows tile. A day that a zone skipped whole
//! begins where it ends, and nothing lies in it.

use jiff::{
    Span, Timestamp,
    civil::DateTime,
    tz::{AmbiguousOffset, Offset, TimeZone},
};

use super::Window;

const DAY_NS: i128 = 86_400_000_000_000;

/// Local time.
#[derive(Clone, Copy, Debug)]
pub(super) struct Civil<'z> {
    /// `None` means UTC.
    zone: Option<&'z TimeZone>,
}

impl<'z> Civil<'z> {
    /// Takes the local time of a zone, or UTC.
    pub(super) fn new(zone: Option<&'z TimeZone>) -> Self {
        Self { zone }
    }

    /// Tells what local clocks show at an instant.
    pub(super) fn local(self, at: Timestamp) -> DateTime {
        match self.zone {
            None => Offset::UTC.to_datetime(at),
            Some(zone) => zone.to_datetime(at),
        }
    }

    /// Gives the window of this many days that the instant lies in.
    pub(super) fn days(self, base: DateTime, days: i32, at: Timestamp) -> Window {
        let length = DAY_NS.saturating_mul(days.into());
        let elapsed = base.duration_until(self.local(at)).as_nanos();
        // Of 20,000 years of days the number is small.
        let number = elapsed.checked_div_euclid(length).and_then(|n| i32::try_from(n).ok());
        let boundary = |number: i32| {
            let span = Span::new().try_days(number.checked_mul(days)?).ok()?;
            base.checked_add(span).ok()
        };
        self.window(number.unwrap_or(0), at, boundary)
    }

    /// Gives the window of `step` months that the instant lies in; windows begin `first` months after
    /// the base and every step from there.
    ///
    /// Each start is computed from the base itself: from the start before it, which may be clamped
    /// already, the 31st would become the 28th for ever.
    pub(super) fn months(self, base: DateTime, first: i32, step: i32, at: Timestamp) -> Window {
        let local = self.local(at);
        let boundary =
            |number: i32| months_after(base, number.checked_mul(step)?.checked_add(first)?);
        let months = month_index(local).saturating_sub(month_index(base)).saturating_sub(first);
        let mut number = months.checked_div_euclid(step).unwrap_or(0);
        // This start is in the month of `at` or an earlier one; in the same month it may still be
        // ahead. The start after it is in a later month for sure.
        if boundary(number).is_some_and(|start| start > local) {
            number = number.saturating_sub(1);
        }
        self.window(number, at, boundary)
    }

    /// Counts the months from the base to an instant, if they are whole.
    pub(super) fn months_between(self, base: DateTime, at: Timestamp) -> Option<i32> {
        let months = month_index(self.local(at)).saturating_sub(month_index(base));
        (self.instant(months_after(base, months)?) == Some(at)).then_some(months)
    }

    /// Gives the window from boundary `number` to the next, or a later one. Local clocks show the
    /// boundary or a time after it.
    fn window(
        self,
        mut number: i32,
        at: Timestamp,
        boundary: impl Fn(i32) -> Option<DateTime>,
    ) -> Window {
        let instant = |number| self.instant(boundary(number)?);
        let mut start = instant(number);
        let mut end = instant(number.saturating_add(1));
        // Where clocks were set back they show a time from before boundaries that were met already.
        while let Some(met) = end.filter(|end| *end <= at) {
            number = number.saturating_add(1);
            start = Some(met);
            end = instant(number.saturating_add(1));
        }
        Window { start: start.unwrap_or(Timestamp::MIN), end }
    }

    /// Gives the first instant at which local clocks show this time or a later one; `None` outside
    /// representable time.
    fn instant(self, local: DateTime) -> Option<Timestamp> {
        let Some(zone) = self.zone else { return Offset::UTC.to_timestamp(local).ok() };
        match zone.to_ambiguous_timestamp(local).offset() {
            AmbiguousOffset::Unambiguous { offset } => offset.to_timestamp(local).ok(),
            AmbiguousOffset::Fold { before, .. } => before.to_timestamp(local).ok(),
            AmbiguousOffset::Gap { before, after } => {
                // By the offset from after the gap this is an instant shortly before it.
                let earlier = after.to_timestamp(local).ok()?;
                let gap = zone.following(earlier).take(2).find(|change| change.offset() == after);
                gap.map(|gap| gap.timestamp()).or_else(|| before.to_timestamp(local).ok())
            }
        }
    }
}

/// Counts months from the beginning of year 0.
fn month_index(at: DateTime) -> i32 {
    i32::from(at.year()).saturating_mul(12).saturating_add(i32::from(at.month()))
}

/// Moves by months, with the day clamped to the month's last; `None` outside representable time.
fn months_after(base: DateTime, months: i32) -> Option<DateTime> {
    base.checked_add(Span::new().try_months(months).ok()?).ok()
}
