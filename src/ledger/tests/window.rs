//! Windows: the tables of month ends and leap days, and all kinds against walking period by period.

use jiff::{
    Timestamp,
    civil::{Date, DateTime, date},
    tz::Offset,
};
use proptest::{prelude::*, sample::select};

use super::{after, anchored, calendar, ts};
use crate::ledger::{Window, WindowKind, WindowSpec};

/// Asserts that these are consecutive boundaries: each is in the window up to the next, and the
/// instant before the next is too.
#[track_caller]
fn assert_starts(spec: &WindowSpec, starts: &[&str]) {
    for pair in starts.windows(2) {
        let window = Window { start: ts(pair[0]), end: Some(ts(pair[1])) };
        assert_eq!(spec.window_at(window.start), window);
        assert_eq!(spec.window_at(after(ts(pair[1]), -1)), window);
    }
}

#[test]
fn a_month_from_the_31st_is_clamped_and_recovers() {
    assert_starts(
        &anchored(WindowKind::Month, "2026-01-31T10:00:00Z"),
        &[
            "2025-11-30T10:00:00Z",
            "2025-12-31T10:00:00Z",
            "2026-01-31T10:00:00Z",
            "2026-02-28T10:00:00Z",
            "2026-03-31T10:00:00Z",
            "2026-04-30T10:00:00Z",
            "2026-05-31T10:00:00Z",
            "2026-06-30T10:00:00Z",
            "2026-07-31T10:00:00Z",
        ],
    );
}

#[test]
fn a_month_from_the_29th_and_30th_meets_both_februaries() {
    let thirtieth = anchored(WindowKind::Month, "2027-12-30T00:00:00Z");
    assert_starts(
        &thirtieth,
        &[
            "2027-12-30T00:00:00Z",
            "2028-01-30T00:00:00Z",
            "2028-02-29T00:00:00Z",
            "2028-03-30T00:00:00Z",
        ],
    );
    let twenty_ninth = anchored(WindowKind::Month, "2026-01-29T23:59:59.999999999Z");
    assert_starts(
        &twenty_ninth,
        &[
            "2026-01-29T23:59:59.999999999Z",
            "2026-02-28T23:59:59.999999999Z",
            "2026-03-29T23:59:59.999999999Z",
        ],
    );
}

#[test]
fn a_year_from_the_leap_day_is_clamped_and_recovers() {
    assert_starts(
        &anchored(WindowKind::Year, "2024-02-29T00:00:00Z"),
        &[
            "2023-02-28T00:00:00Z",
            "2024-02-29T00:00:00Z",
            "2025-02-28T00:00:00Z",
            "2026-02-28T00:00:00Z",
            "2027-02-28T00:00:00Z",
            "2028-02-29T00:00:00Z",
            "2029-02-28T00:00:00Z",
        ],
    );
}

#[test]
fn windows_are_half_open() {
    let spec = anchored(WindowKind::Month, "2026-01-31T10:00:00Z");
    let before = spec.window_at(ts("2026-02-28T09:59:59Z"));
    assert_eq!(before.start, ts("2026-01-31T10:00:00Z"));
    assert_eq!(before.end, Some(ts("2026-02-28T10:00:00Z")));
    assert_eq!(before.end.unwrap().duration_since(before.start).as_secs(), 2_419_200);
    assert!(!before.contains(ts("2026-02-28T10:00:00Z")));

    let next = spec.window_at(ts("2026-02-28T10:00:00Z"));
    assert_eq!(next.start, ts("2026-02-28T10:00:00Z"));
    assert_eq!(next.end.unwrap().duration_since(next.start).as_secs(), 2_678_400);
}

#[test]
fn the_calendar_is_that_of_utc() {
    let instant = ts("2026-11-15T13:14:15.123456789Z");
    let expected = [
        (WindowKind::Hour, "2026-11-15T13:00:00Z", "2026-11-15T14:00:00Z"),
        (WindowKind::Day, "2026-11-15T00:00:00Z", "2026-11-16T00:00:00Z"),
        // A Sunday is the last day of its week.
        (WindowKind::Week, "2026-11-09T00:00:00Z", "2026-11-16T00:00:00Z"),
        (WindowKind::Month, "2026-11-01T00:00:00Z", "2026-12-01T00:00:00Z"),
        (WindowKind::Year, "2026-01-01T00:00:00Z", "2027-01-01T00:00:00Z"),
    ];
    for (kind, start, end) in expected {
        let window = Window { start: ts(start), end: Some(ts(end)) };
        assert_eq!(calendar(kind).window_at(instant), window);
    }
}

#[test]
fn weeks_begin_on_monday_or_at_the_anchor() {
    assert_starts(
        &calendar(WindowKind::Week),
        &[
            "1969-12-22T00:00:00Z",
            "1969-12-29T00:00:00Z",
            "1970-01-05T00:00:00Z",
            "1970-01-12T00:00:00Z",
        ],
    );
    assert_starts(
        &anchored(WindowKind::Week, "2026-01-01T06:30:00Z"),
        &["2025-12-25T06:30:00Z", "2026-01-01T06:30:00Z", "2026-01-08T06:30:00Z"],
    );
}

#[test]
fn an_anchor_in_the_future_has_windows_before_it() {
    let hour =
        anchored(WindowKind::Hour, "2030-01-01T00:20:00Z").window_at(ts("2026-05-05T05:05:00Z"));
    assert_eq!(hour.start, ts("2026-05-05T04:20:00Z"));
    let month =
        anchored(WindowKind::Month, "2030-08-31T12:00:00Z").window_at(ts("2026-03-01T00:00:00Z"));
    assert_eq!(month.start, ts("2026-02-28T12:00:00Z"));
    assert_eq!(month.end, Some(ts("2026-03-31T12:00:00Z")));
    let year =
        anchored(WindowKind::Year, "2032-02-29T12:00:00Z").window_at(ts("2028-02-29T11:59:59Z"));
    assert_eq!(year.start, ts("2027-02-28T12:00:00Z"));
    assert_eq!(year.end, Some(ts("2028-02-29T12:00:00Z")));
}

#[test]
fn the_year_2038_is_like_any_other() {
    assert_starts(
        &anchored(WindowKind::Month, "2026-01-19T03:14:08Z"),
        &["2037-12-19T03:14:08Z", "2038-01-19T03:14:08Z", "2038-02-19T03:14:08Z"],
    );
}

#[test]
fn a_lifetime_never_renews() {
    let window = Window { start: Timestamp::UNIX_EPOCH, end: None };
    for spec in
        [calendar(WindowKind::Lifetime), anchored(WindowKind::Lifetime, "2026-01-31T10:00:00Z")]
    {
        for at in [Timestamp::MIN, ts("2026-01-01T00:00:00Z"), Timestamp::MAX] {
            assert_eq!(spec.window_at(at), window);
        }
    }
}

#[test]
fn the_ends_of_time_are_in_windows() {
    for kind in RENEWING {
        for anchor in [None, Some(Timestamp::MIN), Some(Timestamp::MAX)] {
            let spec = WindowSpec { anchor, ..WindowSpec::new(kind) };
            for at in [Timestamp::MIN, Timestamp::MAX] {
                assert!(spec.window_at(at).contains(at), "{spec:?} at {at}");
            }
        }
    }
    assert_eq!(calendar(WindowKind::Year).window_at(Timestamp::MAX).end, None);
    assert_eq!(calendar(WindowKind::Year).window_at(Timestamp::MIN).start, Timestamp::MIN);
}

const RENEWING: [WindowKind; 5] =
    [WindowKind::Hour, WindowKind::Day, WindowKind::Week, WindowKind::Month, WindowKind::Year];

/// Gives boundary `k` by counting days and months one by one.
fn boundary(kind: WindowKind, anchor: DateTime, k: i32) -> DateTime {
    match kind {
        WindowKind::Hour => {
            let hours = i32::from(anchor.hour()) + k;
            let day = walk_days(anchor.date(), hours.div_euclid(24));
            let hour = i8::try_from(hours.rem_euclid(24)).unwrap();
            day.to_datetime(anchor.time().with().hour(hour).build().unwrap())
        }
        WindowKind::Day => walk_days(anchor.date(), k).to_datetime(anchor.time()),
        WindowKind::Week => walk_days(anchor.date(), 7 * k).to_datetime(anchor.time()),
        WindowKind::Month => walk_months(anchor, k),
        WindowKind::Year => walk_months(anchor, 12 * k),
        WindowKind::Period | WindowKind::Lifetime => unreachable!("not by walking"),
    }
}

fn walk_days(mut day: Date, days: i32) -> Date {
    for _ in 0..days.abs() {
        day = if days > 0 { day.tomorrow().unwrap() } else { day.yesterday().unwrap() };
    }
    day
}

fn walk_months(anchor: DateTime, months: i32) -> DateTime {
    let (mut year, mut month) = (anchor.year(), anchor.month());
    for _ in 0..months.abs() {
        (year, month) = match (months > 0, month) {
            (true, 12) => (year + 1, 1),
            (true, _) => (year, month + 1),
            (false, 1) => (year - 1, 12),
            (false, _) => (year, month - 1),
        };
    }
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let days = match month {
        2 => 28 + i8::from(leap),
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    };
    date(year, month, anchor.day().min(days)).to_datetime(anchor.time())
}

fn instant(civil: DateTime) -> Timestamp {
    Offset::UTC.to_timestamp(civil).unwrap()
}

/// Instants from 1850 to 2150, often at the end of a month.
fn civil() -> impl Strategy<Value = DateTime> {
    let day = prop_oneof![1..=31_i8, 28..=31_i8];
    let second = prop_oneof![Just(0), Just(86_399), 0..86_400];
    (1850..2150_i16, 1..=12_i8, day, second, select(vec![0, 1, 999_999_999])).prop_map(
        |(year, month, day, second, nanosecond)| {
            let day = day.min(date(year, month, 1).days_in_month());
            let field = |n: i32| i8::try_from(n).unwrap();
            let (hour, minute) = (field(second / 3600), field(second / 60 % 60));
            date(year, month, day).at(hour, minute, field(second % 60), nanosecond)
        },
    )
}

fn any_instant() -> impl Strategy<Value = Timestamp> {
    let (min, max) = (Timestamp::MIN.as_nanosecond(), Timestamp::MAX.as_nanosecond());
    let years = 2 * 366 * 86_400_000_000_000;
    prop_oneof![min..=max, min..min + years, max - years..=max]
        .prop_map(|ns| Timestamp::from_nanosecond(ns).unwrap())
}

proptest! {
    #[test]
    fn windows_are_those_of_walking(
        kind in select(RENEWING.to_vec()),
        anchor in civil(),
        k in -400..400_i32,
        part in 0.0..1.0_f64,
    ) {
        let start = instant(boundary(kind, anchor, k));
        let end = instant(boundary(kind, anchor, k + 1));
        let window = Window { start, end: Some(end) };
        let spec = WindowSpec { anchor: Some(instant(anchor)), ..WindowSpec::new(kind) };
        let length = end.as_nanosecond() - start.as_nanosecond();
        for ns in [0, 1, (length as f64 * part) as i128, length - 1] {
            prop_assert_eq!(spec.window_at(after(start, ns)), window);
        }
    }

    #[test]
    fn the_calendar_is_that_of_civil_time(at in civil()) {
        let day = at.date();
        let monday = walk_days(day, -i32::from(day.weekday().to_monday_zero_offset()));
        let starts = [
            (WindowKind::Hour, day.at(at.hour(), 0, 0, 0)),
            (WindowKind::Day, day.at(0, 0, 0, 0)),
            (WindowKind::Week, monday.at(0, 0, 0, 0)),
            (WindowKind::Month, day.first_of_month().at(0, 0, 0, 0)),
            (WindowKind::Year, day.first_of_year().at(0, 0, 0, 0)),
        ];
        for (kind, start) in starts {
            let end = instant(boundary(kind, start, 1));
            let window = Window { start: instant(start), end: Some(end) };
            prop_assert_eq!(calendar(kind).window_at(instant(at)), window);
        }
    }

    #[test]
    fn windows_tile_all_of_time(
        kind in select(RENEWING.to_vec()),
        anchor in prop::option::of(any_instant()),
        at in any_instant(),
    ) {
        let spec = WindowSpec { anchor, ..WindowSpec::new(kind) };
        let window = spec.window_at(at);
        prop_assert!(window.contains(at));
        if let Some(end) = window.end {
            prop_assert_eq!(spec.window_at(end).start, end);
        }
        if window.start > Timestamp::MIN {
            prop_assert_eq!(spec.window_at(after(window.start, -1)).end, Some(window.start));
        }
    }
}
