//! `Retry-After`, in seconds or as a date (RFC 9110 section 10.2.3).

use std::time::Duration;

use http::{HeaderMap, header::RETRY_AFTER};
use jiff::{Timestamp, fmt::rfc2822::DateTimeParser};

/// Reads the wait that a receiver asks for. What cannot be read, or stands twice, asks for none.
pub(crate) fn parse(headers: &HeaderMap, now: Timestamp) -> Option<Duration> {
    let mut values = headers.get_all(RETRY_AFTER).iter();
    let (Some(value), None) = (values.next(), values.next()) else { return None };
    let text = value.to_str().ok()?.trim_matches([' ', '\t']);
    if !text.is_empty() && text.bytes().all(|digit| digit.is_ascii_digit()) {
        // Digits that are no number of 64 bits are a long time.
        return Some(Duration::from_secs(text.parse().unwrap_or(u64::MAX)));
    }
    let date = DateTimeParser::new().parse_timestamp(text).ok()?;
    Some(Duration::try_from(date.duration_since(now)).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_and_dates() {
        let now: Timestamp = "2026-11-20T10:00:00Z".parse().unwrap();
        for (value, expected) in [
            ("120", Some(120)),
            (" 7 ", Some(7)),
            ("0", Some(0)),
            ("99999999999999999999999", Some(u64::MAX)),
            ("Fri, 20 Nov 2026 10:02:00 GMT", Some(120)),
            ("Fri, 20 Nov 2026 09:00:00 GMT", Some(0)),
            ("", None),
            ("-5", None),
            ("+5", None),
            ("1.5", None),
            ("soon", None),
            ("Fri, 32 Nov 2026 10:02:00 GMT", None),
        ] {
            let headers = HeaderMap::from_iter([(RETRY_AFTER, value.parse().unwrap())]);
            assert_eq!(parse(&headers, now), expected.map(Duration::from_secs), "{value:?}");
        }
    }

    #[test]
    fn nothing_and_two_ask_for_nothing() {
        let now = Timestamp::UNIX_EPOCH;
        assert_eq!(parse(&HeaderMap::new(), now), None);
        let mut twice = HeaderMap::new();
        twice.append(RETRY_AFTER, "5".parse().unwrap());
        twice.append(RETRY_AFTER, "9".parse().unwrap());
        assert_eq!(parse(&twice, now), None);
    }
}
