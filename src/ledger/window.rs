//! Which window an instant lies in.
//!
//! Invariant: the windows of one spec tile all time; each begins where the one before it ends. The one
//! exception is asked for: at a floor the window that it falls into begins anew.

use jiff::Timestamp;

use super::{Window, WindowKind, WindowSpec, civil::Civil};

const HOUR_NS: i128 = 3_600_000_000_000;
const DAY_NS: i128 = 24 * HOUR_NS;

/// The first Monday of the epoch, 1970-01-05.
const MONDAY: Timestamp = Timestamp::constant(4 * 86_400, 0);

/// The longest period that is taken for a number of months.
const PERIOD_MONTHS_MAX: i32 = 36;

impl WindowSpec {
    /// Gives the window that the instant lies in.
    ///
    /// Where a window reaches beyond representable time its start is [`Timestamp::MIN`], or it has
    /// no end, so that it still contains every instant it should.
    pub fn window_at(&self, at: Timestamp) -> Window {
        let window = self.regular(at);
        match self.floor {
            Some(floor) if window.start < floor && floor <= at => Window { start: floor, ..window },
            _ => window,
        }
    }

    /// Gives the first instant after `at` that lies in another window; `None` when there is none.
    pub(super) fn until(&self, at: Timestamp) -> Option<Timestamp> {
        let end = self.regular(at).end;
        match self.floor {
            Some(floor) if at < floor => Some(end.map_or(floor, |end| end.min(floor))),
            _ => end,
        }
    }

    /// Gives the window without regard to the floor.
    fn regular(&self, at: Timestamp) -> Window {
        match self.kind {
            WindowKind::Hour => by_length(self.anchor_or_epoch(), HOUR_NS, at),
            WindowKind::Day => self.by_days(1, self.anchor_or_epoch(), at),
            WindowKind::Week => self.by_days(7, self.anchor.unwrap_or(MONDAY), at),
            WindowKind::Month => self.by_months(1, at),
            WindowKind::Year => self.by_months(12, at),
            WindowKind::Period => self.by_period(at).unwrap_or_else(|| self.by_months(1, at)),
            WindowKind::Lifetime => Window { start: Timestamp::UNIX_EPOCH, end: None },
        }
    }

    /// The calendar is what an anchor at the epoch gives (for weeks, at its first Monday), so there is
    /// one way of computing for both.
    fn anchor_or_epoch(&self) -> Timestamp {
        self.anchor.unwrap_or(Timestamp::UNIX_EPOCH)
    }

    fn civil(&self) -> Civil<'_> {
        Civil::new(self.zone.as_ref())
    }

    fn by_days(&self, days: i32, anchor: Timestamp, at: Timestamp) -> Window {
        match (&self.zone, self.anchor) {
            // In UTC a day is a length like any other.
            (None, _) => by_length(anchor, DAY_NS.saturating_mul(days.into()), at),
            (Some(_), Some(anchor)) => self.civil().days(self.civil().local(anchor), days, at),
            // The calendar's days begin at midnight where the zone is.
            (Some(_), None) => self.civil().days(Civil::new(None).local(anchor), days, at),
        }
    }

    fn by_months(&self, step: i32, at: Timestamp) -> Window {
        let base = match self.anchor {
            Some(anchor) => self.civil().local(anchor),
            None => Civil::new(None).local(Timestamp::UNIX_EPOCH),
        };
        self.civil().months(base, 0, step, at)
    }

    /// The known period, and beyond both its ends windows of the same step, provisionally: what is
    /// known of the next period may come late, and until then the customer is served on.
    fn by_period(&self, at: Timestamp) -> Option<Window> {
        let Window { start, end } = self.period?;
        let end = end.filter(|end| start < *end)?;
        let civil = self.civil();
        // The anchor first: a period from 28 February may be one from the 31st.
        let bases = [self.anchor.unwrap_or(start), start].map(|base| civil.local(base));
        let months = bases.into_iter().find_map(|base| {
            let first = civil.months_between(base, start)?;
            let step = civil.months_between(base, end)?.saturating_sub(first);
            (1..=PERIOD_MONTHS_MAX).contains(&step).then_some((base, first, step))
        });
        Some(match months {
            Some((base, first, step)) => civil.months(base, first, step, at),
            None => {
                let length = end.as_nanosecond().saturating_sub(start.as_nanosecond());
                by_length(start, length, at)
            }
        })
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
