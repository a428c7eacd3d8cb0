//! Windows by the clocks of a zone: the days on which these change, and tiling against a naive look
//! at every instant nearby.

use jiff::{Timestamp, civil::DateTime, tz::TimeZone};
use proptest::{prelude::*, sample::select};

use super::{after, calendar, ts};
use crate::ledger::{Window, WindowKind, WindowSpec};

const ZONES: [&str; 8] = [
    "UTC",
    "Europe/Berlin",
    "America/New_York",
    // Half an hour of summer time.
    "Australia/Lord_Howe",
    // Summer time began at midnight until 2018.
    "America/Sao_Paulo",
    // Summer time ends at one, so that midnight comes twice.
    "America/Havana",
    // Skipped 2011-12-30.
    "Pacific/Apia",
    "Asia/Kathmandu",
];

const RENEWING: [WindowKind; 4] =
    [WindowKind::Day, WindowKind::Week, WindowKind::Month, WindowKind::Year];

fn zone(name: &str) -> TimeZone {
    TimeZone::get(name).unwrap()
}

fn zoned(kind: WindowKind, name: &str) -> WindowSpec {
    WindowSpec { zone: Some(zone(name)), ..calendar(kind) }
}

/// Asserts that these are consecutive boundaries.
#[track_caller]
fn assert_starts(spec: &WindowSpec, starts: &[&str]) {
    for pair in starts.windows(2) {
        let window = Window { start: ts(pair[0]), end: Some(ts(pair[1])) };
        assert_eq!(spec.window_at(window.start), window);
        assert_eq!(spec.window_at(after(ts(pair[1]), -1)), window);
    }
}

#[test]
fn a_day_lasts_23_to_25_hours() {
    let berlin = zoned(WindowKind::Day, "Europe/Berlin");
    // Summer time begins on 2026-03-29 and ends on 2026-10-25.
    let days = [
        "2026-03-27T23:00:00Z",
        "2026-03-28T23:00:00Z",
        "2026-03-29T22:00:00Z",
        "2026-03-30T22:00:00Z",
    ];
    assert_starts(&berlin, &days);
    let days = [
        "2026-10-23T22:00:00Z",
        "2026-10-24T22:00:00Z",
        "2026-10-25T23:00:00Z",
        "2026-10-26T23:00:00Z",
    ];
    assert_starts(&berlin, &days);
    let lord_howe = zoned(WindowKind::Day, "Australia/Lord_Howe");
    // From 10:30 to 11 hours ahead on 2026-10-04.
    let days = [
        "2026-10-02T13:30:00Z",
        "2026-10-03T13:30:00Z",
        "2026-10-04T13:00:00Z",
        "2026-10-05T13:00:00Z",
    ];
    assert_starts(&lord_howe, &days);
}

#[test]
fn weeks_months_and_years_follow_the_zone() {
    let new_york = |kind| zoned(kind, "America/New_York");
    let weeks = ["2026-03-02T05:00:00Z", "2026-03-09T04:00:00Z", "2026-03-16T04:00:00Z"];
    assert_starts(&new_york(WindowKind::Week), &weeks);
    let months = ["2026-02-01T05:00:00Z", "2026-03-01T05:00:00Z", "2026-04-01T04:00:00Z"];
    assert_starts(&new_york(WindowKind::Month), &months);
    let years = ["2025-01-01T05:00:00Z", "2026-01-01T05:00:00Z", "2027-01-01T05:00:00Z"];
    assert_starts(&new_york(WindowKind::Year), &years);
}

#[test]
fn an_hour_is_absolute() {
    let hour = zoned(WindowKind::Hour, "Asia/Kathmandu");
    assert_starts(&hour, &["2026-03-29T00:00:00Z", "2026-03-29T01:00:00Z", "2026-03-29T02:00:00Z"]);
}

#[test]
fn a_midnight_that_does_not_exist_is_the_end_of_the_gap() {
    // 2017-10-15 began at 01:00, two hours behind UTC.
    let sao_paulo = zoned(WindowKind::Day, "America/Sao_Paulo");
    let days = ["2017-10-14T03:00:00Z", "2017-10-15T03:00:00Z", "2017-10-16T02:00:00Z"];
    assert_starts(&sao_paulo, &days);
}

#[test]
fn a_midnight_that_comes_twice_is_the_first() {
    // On 2025-11-02 clocks went from 01:00 back to 00:00.
    let havana = zoned(WindowKind::Day, "America/Havana");
    let days = ["2025-11-01T04:00:00Z", "2025-11-02T04:00:00Z", "2025-11-03T05:00:00Z"];
    assert_starts(&havana, &days);
    // In the hour that came again.
    assert_eq!(havana.window_at(ts("2025-11-02T05:30:00Z")).start, ts("2025-11-02T04:00:00Z"));
    // In Sao Paulo midnight came after 23:00 had come again, so the day before was the long one.
    let sao_paulo = zoned(WindowKind::Day, "America/Sao_Paulo");
    let days = ["2018-02-17T02:00:00Z", "2018-02-18T03:00:00Z", "2018-02-19T03:00:00Z"];
    assert_starts(&sao_paulo, &days);
}

#[test]
fn a_day_that_was_skipped_has_no_window() {
    let apia = zoned(WindowKind::Day, "Pacific/Apia");
    let days = ["2011-12-29T10:00:00Z", "2011-12-30T10:00:00Z", "2011-12-31T10:00:00Z"];
    assert_starts(&apia, &days);
    // A month that counts from the 30th begins when the 31st does.
    let anchor = Some(ts("2011-10-30T12:00:00Z"));
    let month =
        WindowSpec { anchor, zone: Some(zone("Pacific/Apia")), ..calendar(WindowKind::Month) };
    let window = month.window_at(ts("2011-12-31T00:00:00Z"));
    assert_eq!(window.start, ts("2011-12-30T10:00:00Z"));
}

#[test]
fn an_anchor_keeps_its_local_time() {
    // 10:00 in Berlin, in winter 09:00 in UTC.
    let anchor = Some(ts("2026-01-31T09:00:00Z"));
    let berlin = |kind| WindowSpec { anchor, ..zoned(kind, "Europe/Berlin") };
    let months = [
        "2026-01-31T09:00:00Z",
        "2026-02-28T09:00:00Z",
        "2026-03-31T08:00:00Z",
        "2026-04-30T08:00:00Z",
    ];
    assert_starts(&berlin(WindowKind::Month), &months);
    let days = ["2026-03-28T09:00:00Z", "2026-03-29T08:00:00Z", "2026-03-30T08:00:00Z"];
    assert_starts(&berlin(WindowKind::Day), &days);
    // 02:30 does not exist on 2026-03-29: from 03:00, which is 01:00 in UTC.
    let anchor = Some(ts("2026-01-29T01:30:00Z"));
    let gap = WindowSpec { anchor, ..zoned(WindowKind::Month, "Europe/Berlin") };
    assert_starts(&gap, &["2026-02-28T01:30:00Z", "2026-03-29T01:00:00Z", "2026-04-29T00:30:00Z"]);
}

/// Where a machine has no table of its own, this one serves.
#[test]
fn the_table_that_is_compiled_in_has_the_zones() {
    let table = jiff::tz::TimeZoneDatabase::bundled();
    for name in ZONES {
        assert!(table.get(name).is_ok(), "{name}");
    }
}

#[test]
fn the_ends_of_time_are_in_windows() {
    for kind in RENEWING {
        for name in ZONES {
            for anchor in [None, Some(Timestamp::MIN), Some(Timestamp::MAX)] {
                let spec = WindowSpec { anchor, ..zoned(kind, name) };
                for at in [Timestamp::MIN, Timestamp::MAX] {
                    assert!(spec.window_at(at).contains(at), "{spec:?} at {at}");
                }
            }
        }
    }
}

/// Instants from 1900 to 2100, often near a change of some zone's clocks.
fn instant() -> impl Strategy<Value = Timestamp> {
    let (from, to) =
        (ts("1900-01-01T00:00:00Z").as_second(), ts("2100-01-01T00:00:00Z").as_second());
    let near =
        (select(ZONES.to_vec()), from..to, -90_000..90_000_i64).prop_map(|(name, at, by)| {
            let at = Timestamp::from_second(at).unwrap();
            let change = zone(name).following(at).next().map_or(at, |change| change.timestamp());
            after(change, i128::from(by) * 1_000_000_000)
        });
    prop_oneof![near, (from..to).prop_map(|at| Timestamp::from_second(at).unwrap())]
}

/// Tells whether the local time is, or is after, the window's: what a boundary means, found by looking
/// at the clocks alone.
fn shows(zone: &TimeZone, at: Timestamp) -> DateTime {
    zone.to_datetime(at)
}

/// The first midnight of the calendar's window in local time.
fn first_midnight(kind: WindowKind, local: DateTime) -> DateTime {
    let day = local.date();
    let start = match kind {
        WindowKind::Day => day,
        WindowKind::Week => {
            let since_monday = day.weekday().to_monday_zero_offset();
            (0..since_monday).fold(day, |day, _| day.yesterday().unwrap())
        }
        WindowKind::Month => day.first_of_month(),
        WindowKind::Year => day.first_of_year(),
        _ => unreachable!("not a window of the calendar"),
    };
    start.to_datetime(jiff::civil::Time::midnight())
}

proptest! {
    #[test]
    fn windows_tile(
        kind in select(RENEWING.to_vec()),
        name in select(ZONES.to_vec()),
        anchor in prop::option::of(instant()),
        at in instant(),
    ) {
        let spec = WindowSpec { anchor, ..zoned(kind, name) };
        let window = spec.window_at(at);
        prop_assert!(window.contains(at));
        let end = window.end.unwrap();
        prop_assert_eq!(spec.window_at(window.start), window);
        prop_assert_eq!(spec.window_at(after(end, -1)), window);
        prop_assert_eq!(spec.window_at(end).start, end);
        prop_assert_eq!(spec.window_at(after(window.start, -1)).end, Some(window.start));
    }

    /// At the start local clocks show the boundary or, after a gap, a later time, and an instant before
    /// they showed an earlier one.
    #[test]
    fn windows_of_the_calendar_begin_at_midnight(
        kind in select(RENEWING.to_vec()),
        name in select(ZONES.to_vec()),
        at in instant(),
    ) {
        let (spec, zone) = (zoned(kind, name), zone(name));
        let start = spec.window_at(at).start;
        let midnight = first_midnight(kind, shows(&zone, start));
        prop_assert!(shows(&zone, start) >= midnight);
        prop_assert!(shows(&zone, after(start, -1)) < midnight);
        // In between no other midnight of the kind is first shown.
        let latest = first_midnight(kind, shows(&zone, at));
        prop_assert!(latest <= midnight || shows(&zone, start) >= latest);
    }

    #[test]
    fn utc_as_a_zone_is_utc(
        kind in select(vec![WindowKind::Day, WindowKind::Week, WindowKind::Month, WindowKind::Year]),
        anchor in prop::option::of(instant()),
        at in instant(),
    ) {
        let plain = WindowSpec { anchor, ..calendar(kind) };
        let zoned = WindowSpec { anchor, ..zoned(kind, "UTC") };
        prop_assert_eq!(zoned.window_at(at), plain.window_at(at));
    }
}
