//! Windows of a subscription's own period, beyond its ends, and from a floor.

use jiff::{Timestamp, tz::TimeZone};
use proptest::{prelude::*, sample::select};

use super::{after, calendar, ts};
use crate::ledger::{Ledger, Limits, Quota, Window, WindowKind, WindowSpec};

fn period(start: &str, end: &str) -> WindowSpec {
    let period = Some(Window { start: ts(start), end: Some(ts(end)) });
    WindowSpec { period, ..calendar(WindowKind::Period) }
}

#[track_caller]
fn assert_starts(spec: &WindowSpec, starts: &[&str]) {
    for pair in starts.windows(2) {
        let window = Window { start: ts(pair[0]), end: Some(ts(pair[1])) };
        assert_eq!(spec.window_at(window.start), window);
        assert_eq!(spec.window_at(after(ts(pair[1]), -1)), window);
    }
}

#[test]
fn a_month_goes_on_in_months() {
    let starts = [
        "2026-01-15T10:00:00Z",
        "2026-02-15T10:00:00Z",
        "2026-03-15T10:00:00Z",
        "2026-04-15T10:00:00Z",
    ];
    assert_starts(&period(starts[1], starts[2]), &starts);
    // Clamped from the day of its own start.
    let starts = [
        "2025-12-31T10:00:00Z",
        "2026-01-31T10:00:00Z",
        "2026-02-28T10:00:00Z",
        "2026-03-31T10:00:00Z",
    ];
    assert_starts(&period(starts[1], starts[2]), &starts);
}

#[test]
fn a_period_on_the_anchors_day_goes_on_from_the_anchor() {
    let starts = [
        "2026-01-31T10:00:00Z",
        "2026-02-28T10:00:00Z",
        "2026-03-31T10:00:00Z",
        "2026-04-30T10:00:00Z",
    ];
    let anchored = WindowSpec { anchor: Some(ts(starts[0])), ..period(starts[1], starts[2]) };
    assert_starts(&anchored, &starts);
    // Without the anchor it is 31 days.
    let starts = [
        "2026-01-28T10:00:00Z",
        "2026-02-28T10:00:00Z",
        "2026-03-31T10:00:00Z",
        "2026-05-01T10:00:00Z",
    ];
    assert_starts(&period(starts[1], starts[2]), &starts);
    // An anchor that the period does not lie on says nothing.
    let starts = ["2026-02-15T10:00:00Z", "2026-03-15T10:00:00Z", "2026-04-15T10:00:00Z"];
    let elsewhere = ts("2026-01-31T10:00:00Z");
    let off = WindowSpec { anchor: Some(elsewhere), ..period(starts[0], starts[1]) };
    assert_starts(&off, &starts);
}

#[test]
fn years_and_three_years_go_on_in_months() {
    let year = ["2024-02-29T00:00:00Z", "2025-02-28T00:00:00Z", "2026-02-28T00:00:00Z"];
    assert_starts(&period(year[0], year[1]), &year);
    let three = ["2024-02-29T00:00:00Z", "2027-02-28T00:00:00Z", "2030-02-28T00:00:00Z"];
    assert_starts(&period(three[0], three[1]), &three);
    // 37 months are a length of time.
    let spec = period("2024-01-01T00:00:00Z", "2027-02-01T00:00:00Z");
    let next = spec.window_at(ts("2027-02-01T00:00:00Z"));
    assert_eq!(next.end, Some(ts("2030-03-04T00:00:00Z")));
}

#[test]
fn another_length_goes_on_as_it_is() {
    let starts = [
        "2026-03-01T00:00:00Z",
        "2026-03-15T00:00:00Z",
        "2026-03-29T00:00:00Z",
        "2026-04-12T00:00:00Z",
    ];
    assert_starts(&period(starts[1], starts[2]), &starts);
}

#[test]
fn months_are_those_of_the_zone() {
    let starts = [
        "2026-01-31T23:00:00Z",
        "2026-02-28T23:00:00Z",
        "2026-03-31T22:00:00Z",
        "2026-04-30T22:00:00Z",
    ];
    let zone = Some(TimeZone::get("Europe/Berlin").unwrap());
    assert_starts(&WindowSpec { zone, ..period(starts[1], starts[2]) }, &starts);
}

#[test]
fn without_a_period_it_is_a_month() {
    let at = ts("2026-02-28T10:00:00Z");
    for anchor in [None, Some(ts("2026-01-31T10:00:00Z"))] {
        let month = WindowSpec { anchor, ..calendar(WindowKind::Month) };
        let ends_before = Some(Window { start: at, end: Some(at) });
        let endless = Some(Window { start: at, end: None });
        for period in [None, ends_before, endless] {
            let spec = WindowSpec { anchor, period, ..calendar(WindowKind::Period) };
            assert_eq!(spec.window_at(at), month.window_at(at));
        }
    }
}

#[test]
fn a_floor_begins_its_window_anew() {
    let floor = ts("2026-03-10T12:00:00Z");
    let spec = WindowSpec { floor: Some(floor), ..calendar(WindowKind::Month) };
    let plain = calendar(WindowKind::Month);
    let april = ts("2026-04-01T00:00:00Z");
    assert_eq!(spec.window_at(floor), Window { start: floor, end: Some(april) });
    assert_eq!(spec.window_at(after(april, -1)), Window { start: floor, end: Some(april) });
    // Neither what was before nor what comes after is another.
    for at in [after(floor, -1), ts("2026-02-10T00:00:00Z"), april, ts("2026-05-10T00:00:00Z")] {
        assert_eq!(spec.window_at(at), plain.window_at(at));
    }
    let lifetime = WindowSpec { floor: Some(floor), ..calendar(WindowKind::Lifetime) };
    assert_eq!(lifetime.window_at(floor), Window { start: floor, end: None });
}

#[test]
fn a_floor_that_is_reached_opens_a_new_account() {
    let floor = ts("2026-03-10T12:00:00Z");
    let window = WindowSpec { floor: Some(floor), ..calendar(WindowKind::Month) };
    let quota = Quota { window, ..super::quota("calls", 1, WindowKind::Month) };
    let limits = std::sync::Arc::new(Limits { quotas: vec![quota], ..Limits::default() });
    let accounts = Ledger::new(Timestamp::UNIX_EPOCH).customer("acme");
    accounts.reserve(&limits, 1, after(floor, -1)).unwrap().settle(1);
    assert!(accounts.reserve(&limits, 1, after(floor, -1)).is_err());
    accounts.reserve(&limits, 1, floor).unwrap().settle(1);
    assert!(accounts.reserve(&limits, 1, floor).is_err());
    accounts.check_invariants();
}

fn instant() -> impl Strategy<Value = Timestamp> {
    (0..4_102_444_800_i64).prop_map(|at| Timestamp::from_second(at).unwrap())
}

proptest! {
    #[test]
    fn periods_tile_and_hold_the_known_one(
        start in instant(),
        months in prop::option::of(1..40_i64),
        length in 1..200_000_000_i64,
        anchor in prop::option::of(instant()),
        zone in select(vec![None, Some("Europe/Berlin"), Some("America/Sao_Paulo")]),
        at in instant(),
    ) {
        let zone = zone.map(|name| TimeZone::get(name).unwrap());
        let local = start.to_zoned(zone.clone().unwrap_or(TimeZone::UTC));
        let end = match months {
            Some(months) => local.checked_add(jiff::Span::new().months(months)).unwrap().timestamp(),
            None => after(start, i128::from(length) * 1_000_000_000),
        };
        let known = Window { start, end: Some(end) };
        let spec = WindowSpec { anchor, zone, period: Some(known), ..calendar(WindowKind::Period) };
        prop_assert_eq!(spec.window_at(start), known);
        prop_assert_eq!(spec.window_at(after(end, -1)), known);
        let window = spec.window_at(at);
        prop_assert!(window.contains(at));
        let end = window.end.unwrap();
        prop_assert_eq!(spec.window_at(end).start, end);
        prop_assert_eq!(spec.window_at(after(end, -1)), window);
        prop_assert_eq!(spec.window_at(after(window.start, -1)).end, Some(window.start));
    }

    /// The instant up to which a window is true is the first that lies in another.
    #[test]
    fn a_window_is_true_until_the_next(
        kind in select(WindowKind::ALL.to_vec()),
        floor in prop::option::of(instant()),
        at in instant(),
    ) {
        let spec = WindowSpec { floor, ..calendar(kind) };
        let window = spec.window_at(at);
        match spec.until(at) {
            Some(until) => {
                prop_assert!(at < until);
                prop_assert_eq!(spec.window_at(after(until, -1)), window);
                prop_assert_ne!(spec.window_at(until), window);
            }
            None => prop_assert_eq!(spec.window_at(Timestamp::MAX), window),
        }
    }
}
