//! How numbers, times and sizes are written: short, so that they fit a column.

use super::quantile::Estimate;

/// Writes how much there is in each second.
pub(super) fn rate(rate: f64) -> String {
    match rate {
        rate if rate <= 0.0 => "0".to_owned(),
        rate if rate < 0.095 => format!("{rate:.2}"),
        rate if rate < 99.95 => format!("{rate:.1}"),
        rate if rate < 99_999.5 => format!("{rate:.0}"),
        rate if rate < 9_999_500.0 => format!("{:.0}k", rate / 1e3),
        rate => format!("{:.0}M", rate / 1e6),
    }
}

/// Writes a number of units, whole as long as it is short.
pub(super) fn count(count: u64) -> String {
    match count {
        0..1_000_000 => count.to_string(),
        1_000_000..10_000_000_000 => format!("{:.1}M", count as f64 / 1e6),
        _ => format!("{:.1}G", count as f64 / 1e9),
    }
}

/// Writes an estimated time.
pub(super) fn estimate(estimate: Estimate) -> String {
    let Estimate { seconds, or_more } = estimate;
    format!("{}{}", if or_more { ">" } else { "~" }, time(seconds))
}

/// Writes a short time.
pub(super) fn time(seconds: f64) -> String {
    match seconds {
        seconds if seconds < 0.000_999_5 => format!("{:.0} us", seconds * 1e6),
        seconds if seconds < 0.009_95 => format!("{:.1} ms", seconds * 1e3),
        seconds if seconds < 0.999_5 => format!("{:.0} ms", seconds * 1e3),
        seconds if seconds < 9.95 => format!("{seconds:.1} s"),
        seconds => format!("{seconds:.0} s"),
    }
}

/// Writes a long time in its two largest units.
pub(super) fn age(seconds: f64) -> String {
    const UNITS: [(u64, &str); 4] = [(86_400, "d"), (3600, "h"), (60, "min"), (1, "s")];
    let whole = seconds.max(0.0) as u64;
    let place = UNITS.iter().position(|(length, _)| whole >= *length).unwrap_or(UNITS.len() - 1);
    let mut rest = whole;
    let parts = UNITS.iter().skip(place).take(2).map(|(length, unit)| {
        let part = rest / length;
        rest %= length;
        (part, unit)
    });
    let parts = parts.enumerate().filter(|(index, (part, _))| *index == 0 || *part > 0);
    parts.map(|(_, (part, unit))| format!("{part} {unit}")).collect::<Vec<_>>().join(" ")
}

/// Writes a size.
pub(super) fn bytes(bytes: u64) -> String {
    const UNITS: [&str; 4] = ["KiB", "MiB", "GiB", "TiB"];
    if bytes < 1024 {
        return format!("{bytes} B");
    }
    let mut size = bytes as f64 / 1024.0;
    let mut units = UNITS.into_iter();
    let mut unit = units.next().unwrap_or_default();
    while let Some(larger) = units.as_slice().first().filter(|_| size >= 999.5) {
        size /= 1024.0;
        unit = larger;
        units.next();
    }
    if size < 9.95 { format!("{size:.1} {unit}") } else { format!("{size:.0} {unit}") }
}

/// Writes a share of a whole.
pub(super) fn percent(part: f64, whole: f64) -> String {
    let share = if whole > 0.0 { part / whole * 100.0 } else { 0.0 };
    match share {
        share if share <= 0.0 => "0 %".to_owned(),
        share if share < 0.1 => "<0.1 %".to_owned(),
        share if share < 9.95 => format!("{share:.1} %"),
        share => format!("{share:.0} %"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates() {
        for (value, text) in [
            (0.0, "0"),
            (0.01, "0.01"),
            (0.5, "0.5"),
            (99.9, "99.9"),
            (123.4, "123"),
            (41_234.0, "41234"),
            (123_456.0, "123k"),
            (12_345_678.0, "12M"),
        ] {
            assert_eq!(rate(value), text);
        }
    }

    #[test]
    fn times_and_ages() {
        for (seconds, text) in [
            (0.0, "0 us"),
            (0.000_045, "45 us"),
            (0.003_24, "3.2 ms"),
            (0.25, "250 ms"),
            (1.5, "1.5 s"),
            (300.0, "300 s"),
        ] {
            assert_eq!(time(seconds), text);
        }
        assert_eq!(estimate(Estimate { seconds: 0.25, or_more: false }), "~250 ms");
        assert_eq!(estimate(Estimate { seconds: 300.0, or_more: true }), ">300 s");
        for (seconds, text) in [
            (0.4, "0 s"),
            (59.9, "59 s"),
            (61.0, "1 min 1 s"),
            (7200.0, "2 h"),
            (90_061.0, "1 d 1 h"),
        ] {
            assert_eq!(age(seconds), text);
        }
    }

    #[test]
    fn sizes_and_shares() {
        for (size, text) in [
            (0, "0 B"),
            (1023, "1023 B"),
            (1536, "1.5 KiB"),
            (45 << 20, "45 MiB"),
            (1000 << 20, "1.0 GiB"),
            (5 << 40, "5.0 TiB"),
        ] {
            assert_eq!(bytes(size), text);
        }
        assert_eq!(count(999_999), "999999");
        assert_eq!(count(1_500_000), "1.5M");
        assert_eq!(count(999_999_999_999_999), "1000000.0G");
        assert_eq!((percent(1.0, 3.0), percent(0.0, 0.0)), ("33 %".to_owned(), "0 %".to_owned()));
        assert_eq!(percent(1.0, 100.0), "1.0 %");
        assert_eq!(percent(1.0, 100_000.0), "<0.1 %");
    }
}
