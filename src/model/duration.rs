//! Durations as people write them: a whole number and its unit.

use std::time::Duration;

/// The longest duration: a hundred years, so that no sum with a date overflows unseen.
pub const DURATION_MAX: Duration = Duration::from_secs(36_500 * 24 * 3600);

const UNITS: [(&str, u64); 5] =
    [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)];

/// Reads a duration such as `250ms`, `30s`, `5m`, `24h` or `14d`; at most [`DURATION_MAX`].
pub fn parse_duration(text: &str) -> Option<Duration> {
    let (number, unit) = text.split_at(text.find(|c: char| !c.is_ascii_digit())?);
    let (_, unit_ms) = UNITS.iter().find(|(name, _)| *name == unit)?;
    let number: u64 = number.parse().ok()?;
    let duration = Duration::from_millis(number.checked_mul(*unit_ms)?);
    (duration <= DURATION_MAX).then_some(duration)
}

/// Writes a duration in the largest unit that leaves a whole number; what is finer than a
/// millisecond is dropped.
pub fn duration_text(duration: Duration) -> String {
    let ms = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    if ms == 0 {
        return "0s".to_owned();
    }
    let whole = UNITS.iter().find(|(_, unit_ms)| ms.is_multiple_of(*unit_ms));
    let (unit, unit_ms) = whole.copied().unwrap_or(("ms", 1));
    format!("{}{unit}", ms / unit_ms)
}

/// Durations in a stored or sent document: as text, like in the file.
pub(crate) mod as_text {
    use std::time::Duration;

    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub(crate) fn serialize<S: Serializer>(
        duration: &Duration,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&super::duration_text(*duration))
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Duration, D::Error> {
        let text = String::deserialize(deserializer)?;
        super::parse_duration(&text).ok_or_else(|| D::Error::custom("not a duration"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations() {
        for (text, ms) in [
            ("0s", Some(0)),
            ("250ms", Some(250)),
            ("30s", Some(30_000)),
            ("5m", Some(300_000)),
            ("24h", Some(86_400_000)),
            ("14d", Some(1_209_600_000)),
            ("36500d", Some(3_153_600_000_000)),
            ("36501d", None),
            ("18446744073709551615d", None),
            ("99999999999999999999s", None),
            ("", None),
            ("s", None),
            ("30", None),
            ("30 s", None),
            ("-1s", None),
            ("+1s", None),
            ("1.5s", None),
            ("1h30m", None),
            ("30S", None),
            ("１s", None),
        ] {
            assert_eq!(parse_duration(text), ms.map(Duration::from_millis), "{text}");
        }
    }

    #[test]
    fn a_duration_is_written_in_its_largest_whole_unit() {
        for (ms, text) in [
            (0, "0s"),
            (1, "1ms"),
            (1_000, "1s"),
            (90_000, "90s"),
            (60_000, "1m"),
            (86_400_000, "1d"),
            (90_000_000, "25h"),
        ] {
            let duration = Duration::from_millis(ms);
            assert_eq!(duration_text(duration), text);
            assert_eq!(parse_duration(text), Some(duration));
        }
    }
}
