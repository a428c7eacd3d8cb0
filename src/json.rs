//! JSON as it is written for every request: piece by piece into bytes, without a serializer between.
//!
//! Names are given with all that stands between them and their neighbours, such as `,"limit":`.

use std::borrow::Cow;

use jiff::{Timestamp, tz::Offset};

/// Writes a text of others.
pub(crate) fn push_string(value: &str, text: &mut Vec<u8>) {
    if is_plain(value) {
        push_quoted(value, text);
    } else {
        // Writing to memory does not fail.
        let _ = serde_json::to_writer(text, value);
    }
}

/// Writes a text of ours, which needs no escaping.
pub(crate) fn push_quoted(value: &str, text: &mut Vec<u8>) {
    text.push(b'"');
    text.extend_from_slice(value.as_bytes());
    text.push(b'"');
}

/// Gives a text of others as it stands within a string.
pub(crate) fn escaped(value: &str) -> Cow<'_, str> {
    if is_plain(value) {
        return value.into();
    }
    let quoted = serde_json::to_string(value).unwrap_or_default();
    let within = quoted.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
    within.unwrap_or_default().to_owned().into()
}

/// Writes a name and a number.
pub(crate) fn push_number(name: &str, number: u64, text: &mut Vec<u8>) {
    text.extend_from_slice(name.as_bytes());
    text.extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
}

/// Writes the last `count` digits, at most nine, with the zeros before them.
pub(crate) fn push_digits(number: u32, count: usize, text: &mut Vec<u8>) {
    const MOST: usize = 9;
    let mut digits = [b'0'; MOST];
    let mut left = number;
    for digit in digits.iter_mut().rev().take(count) {
        // It is below 10.
        *digit += u8::try_from(left % 10).unwrap_or_default();
        left /= 10;
    }
    text.extend_from_slice(digits.get(MOST.saturating_sub(count)..).unwrap_or_default());
}

/// Writes an instant (RFC 3339 section 5.6) in UTC to the second, without the `Z`.
pub(crate) fn push_second(time: Timestamp, text: &mut Vec<u8>) {
    let civil = Offset::UTC.to_datetime(time);
    let Ok(year) = u16::try_from(civil.year()) else {
        // A year before the first has a sign and six digits.
        let written = civil.to_string();
        text.extend_from_slice(written.split('.').next().unwrap_or_default().as_bytes());
        return;
    };
    let ([y1, y2], [y3, y4]) = (two_digits(year / 100), two_digits(year % 100));
    let part = |part: i8| two_digits(part.unsigned_abs().into());
    let ([n1, n2], [d1, d2]) = (part(civil.month()), part(civil.day()));
    let ([h1, h2], [m1, m2], [s1, s2]) =
        (part(civil.hour()), part(civil.minute()), part(civil.second()));
    text.extend_from_slice(&[y1, y2, y3, y4, b'-', n1, n2, b'-', d1, d2, b'T']);
    text.extend_from_slice(&[h1, h2, b':', m1, m2, b':', s1, s2]);
}

/// Gives the digits of a number below 100.
fn two_digits(number: u16) -> [u8; 2] {
    // What is below 10 is a digit.
    [number / 10, number % 10].map(|digit| b'0' + u8::try_from(digit % 10).unwrap_or_default())
}

/// Writes an instant (RFC 3339 section 5.6) in UTC, with as many digits behind the second as it takes.
pub(crate) fn push_instant(time: Timestamp, text: &mut Vec<u8>) {
    push_second(time, text);
    let mut left = time.subsec_nanosecond();
    if time.as_second() < 0 || left < 0 {
        // What stands behind the second counts backwards there.
        left = Offset::UTC.to_datetime(time).subsec_nanosecond();
    }
    if left > 0 {
        text.push(b'.');
        push_digits(left.unsigned_abs(), 9, text);
        while text.pop_if(|last| *last == b'0').is_some() {}
    }
    text.push(b'Z');
}

/// Tells that nothing need be escaped. All bytes are looked at, eight at once: these are most of what a
/// refusal and a line of the log are written of.
fn is_plain(value: &str) -> bool {
    let (eights, rest) = value.as_bytes().as_chunks();
    let mut last = [b' '; 8];
    last.iter_mut().zip(rest).for_each(|(to, byte)| *to = *byte);
    let found = eights.iter().fold(special(last), |found, eight| found | special(*eight));
    found == 0
}

/// Gives 0 where none of eight bytes is a control character, a quotation mark or a backslash. Those are
/// below a space, or below 1 without the bits of the mark; a byte above 127 is never below.
fn special(bytes: [u8; 8]) -> u64 {
    const ONES: u64 = u64::MAX / 0xff;
    let word = u64::from_ne_bytes(bytes);
    let below =
        |word: u64, limit: u8| word.wrapping_sub(ONES * u64::from(limit)) & !word & (ONES * 0x80);
    let is = |byte: u8| below(word ^ (ONES * u64::from(byte)), 1);
    below(word, b' ') | is(b'"') | is(b'\\')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn written(push: impl FnOnce(&mut Vec<u8>)) -> String {
        let mut text = Vec::new();
        push(&mut text);
        String::from_utf8(text).unwrap()
    }

    proptest! {
        #[test]
        fn strings_are_those_of_serde_json(value in any::<String>()) {
            let expected = serde_json::to_string(&value).unwrap();
            prop_assert_eq!(written(|text| push_string(&value, text)), expected.clone());
            prop_assert_eq!(format!("\"{}\"", escaped(&value)), expected);
        }

        #[test]
        fn instants_are_those_of_jiff(
            second in -62_000_000_000_i64..253_000_000_000,
            nanosecond in prop_oneof![Just(0), Just(500_000_000), 0..1_000_000_000],
        ) {
            let sign = if second < 0 { -1 } else { 1 };
            let time = Timestamp::new(second, sign * nanosecond).unwrap();
            prop_assert_eq!(written(|text| push_instant(time, text)), time.to_string());
        }
    }

    /// At each place, between any neighbours.
    #[test]
    fn every_byte_that_needs_it_is_escaped() {
        for character in '\0'..='\u{2ff}' {
            let needs = character < ' ' || matches!(character, '"' | '\\');
            for place in 0..20 {
                let mut value = "\u{80}~!\u{ff} ".repeat(4);
                value.insert(value.char_indices().nth(place).unwrap().0, character);
                assert_eq!(is_plain(&value), !needs, "{character:?} at {place}");
            }
        }
    }

    #[test]
    fn digits_have_their_zeros() {
        for (number, count, expected) in
            [(0, 3, "000"), (7, 2, "07"), (999, 3, "999"), (123_456_789, 9, "123456789")]
        {
            assert_eq!(written(|text| push_digits(number, count, text)), expected);
        }
        assert_eq!(
            written(|text| push_number(",\"n\":", u64::MAX, text)),
            ",\"n\":18446744073709551615"
        );
    }

    #[test]
    fn years_before_the_first_are_written_too() {
        let time = Timestamp::MIN;
        assert_eq!(written(|text| push_instant(time, text)), time.to_string());
    }
}
