//! Usage added up.

use super::*;

fn minute(
    customer: &'static str,
    second: i64,
    key_id: &'static str,
    route: &'static str,
    units: u64,
) -> MinuteRow<'static> {
    let minute = at(second);
    let (ending, currency, nanos) = ("completed", None, crate::model::Nanos::ZERO);
    MinuteRow { customer, key_id, route, minute, ending, currency, requests: 1, units, nanos }
}

fn place() -> Place {
    let mut place = Place::new();
    let minutes = vec![
        minute("a", -60, "k", "r", 1),
        minute("a", 0, "k", "r", 2),
        minute("a", 3540, "k", "s", 3),
        minute("a", 3600, "j", "r", 4),
        minute("b", 3600, "k", "r", 5),
        MinuteRow { ending: "failed", ..minute("b", 7200, "k", "r", 6) },
    ];
    place.store.put(&Commit { minutes, ..empty(1) }).unwrap();
    place
}

fn report(place: &Place, by: Grouping, customer: Option<&str>) -> Vec<String> {
    let mut lines = Vec::new();
    let range = ReportRange { from: at(-3600), to: at(7260), customer, by };
    place
        .store
        .reads()
        .report(&range, &mut |row| {
            let ReportRow { customer, key_id, route, ending, start, requests, units, .. } = row;
            let start = start.map(|start| start.as_second().to_string());
            let told = [customer, key_id, route, ending, start];
            let told: Vec<_> = told.into_iter().flatten().collect();
            lines.push(format!("{} {requests} {units}", told.join("/")));
            true
        })
        .unwrap();
    lines
}

#[test]
fn usage_is_told_apart_as_asked() {
    let place = place();
    let none = Grouping::default();
    assert_eq!(report(&place, none, None), [" 6 21"]);
    assert_eq!(report(&place, none, Some("b")), [" 2 11"]);
    assert_eq!(report(&place, none, Some("c")), [" 0 0"]);
    let by = Grouping { customer: true, ..none };
    assert_eq!(report(&place, by, None), ["a 4 10", "b 2 11"]);
    assert_eq!(report(&place, by, Some("c")), [""; 0]);
    let by = Grouping { key: true, route: true, ..none };
    assert_eq!(report(&place, by, None), ["j/r 1 4", "k/r 4 14", "k/s 1 3"]);
    let by = Grouping { ending: true, ..none };
    assert_eq!(report(&place, by, None), ["completed 5 15", "failed 1 6"]);
    let by = Grouping { step_ms: Some(3_600_000), ..none };
    assert_eq!(report(&place, by, None), ["-3600 1 1", "0 2 5", "3600 2 9", "7200 1 6"]);
    let by = Grouping { customer: true, step_ms: Some(3_600_000), ..none };
    assert_eq!(
        report(&place, by, None),
        ["a/-3600 1 1", "a/0 2 5", "a/3600 1 4", "b/3600 1 5", "b/7200 1 6"]
    );
    let by = Grouping { route: true, step_ms: Some(60_000), ..none };
    assert_eq!(
        report(&place, by, None),
        ["r/-60 1 1", "r/0 1 2", "r/3600 2 9", "r/7200 1 6", "s/3540 1 3"]
    );
    let all = Grouping {
        customer: true,
        key: true,
        route: true,
        ending: true,
        currency: true,
        step_ms: Some(60_000),
    };
    assert_eq!(
        report(&place, all, Some("b")),
        ["b/k/r/completed/3600 1 5", "b/k/r/failed/7200 1 6"]
    );
}

#[test]
fn a_report_has_bounds_and_can_be_stopped() {
    let mut place = place();
    let by = Grouping { step_ms: Some(60_000), ..Grouping::default() };
    let range = ReportRange { from: at(0), to: at(3600), customer: None, by };
    let mut starts = Vec::new();
    let reads = place.store.reads();
    reads
        .report(&range, &mut |row| {
            starts.push(row.start.unwrap());
            true
        })
        .unwrap();
    assert_eq!(starts, [at(0), at(3540)]);
    let mut rows = 0;
    reads
        .report(&range, &mut |_| {
            rows += 1;
            false
        })
        .unwrap();
    assert_eq!(rows, 1);
    for step in [0, -1] {
        let by = Grouping { step_ms: Some(step), ..by };
        reads.report(&ReportRange { by, ..range }, &mut |_| true).unwrap_err();
    }
    drop(reads);
    // Sums beyond what an integer of the database can have.
    let minutes = vec![minute("c", 0, "k", "r", u64::MAX), minute("c", 60, "k", "r", u64::MAX)];
    place.store.put(&Commit { minutes, ..empty(2) }).unwrap();
    let expected = format!(" 2 {}", u64::MAX - 1);
    assert_eq!(report(&place, Grouping::default(), Some("c")), [expected]);
    let by = Grouping { customer: true, ..Grouping::default() };
    assert_eq!(report(&place, by, None)[2], format!("c 2 {}", u64::MAX - 1));
}
