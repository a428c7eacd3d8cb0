//! W3C Trace Context, Level 2: which trace a request belongs to, as its caller says.

use std::fmt;

use http::{HeaderMap, HeaderValue};
use serde::{Serialize, Serializer};

/// The id of a trace; never all zeros.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct TraceId(pub [u8; 16]);

/// The id of a span; never all zeros.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct SpanId(pub [u8; 8]);

/// What a caller says of its own place in a trace.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Context {
    /// The trace.
    pub trace_id: TraceId,
    /// The caller's span.
    pub span_id: SpanId,
    /// Whether the caller's side is recorded.
    pub sampled: bool,
    /// Whether the trace id is random enough to be sampled by; it is handed on as it came.
    pub random: bool,
}

/// The flags of version 00.
const SAMPLED: u8 = 0b01;
const RANDOM: u8 = 0b10;

/// How long a `traceparent` of version 00 is; those of later versions begin alike.
const LENGTH: usize = 55;

/// The longest `tracestate` that is handed on, and how many members may be in it.
const STATE_BYTES_MAX: usize = 512;
const STATE_MEMBERS_MAX: usize = 32;

/// The longest key and value of a member.
const STATE_PART_MAX: usize = 256;

impl fmt::Display for TraceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Display for SpanId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl Serialize for TraceId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl Context {
    /// Reads the context of a request; `None` when there is none, or none that is valid. Of several
    /// fields nobody could say which one is meant.
    pub fn of(fields: &HeaderMap) -> Option<Self> {
        let mut values = fields.get_all("traceparent").iter();
        let (Some(value), None) = (values.next(), values.next()) else { return None };
        Self::parse(value.as_bytes())
    }

    fn parse(text: &[u8]) -> Option<Self> {
        let (known, rest) = text.split_at_checked(LENGTH)?;
        let version = hex::<1>(known.get(..2)?)?;
        // A later version may have more behind another dash (section "Versioning of traceparent").
        match version {
            [0xff] => return None,
            [0] if !rest.is_empty() => return None,
            _ if !rest.is_empty() && !rest.starts_with(b"-") => return None,
            _ => {}
        }
        let is_dash = |at: usize| known.get(at) == Some(&b'-');
        if ![2, 35, 52].into_iter().all(is_dash) {
            return None;
        }
        let trace_id = hex::<16>(known.get(3..35)?).filter(|id| *id != [0; 16])?;
        let span_id = hex::<8>(known.get(36..52)?).filter(|id| *id != [0; 8])?;
        let [flags] = hex::<1>(known.get(53..55)?)?;
        Some(Self {
            trace_id: TraceId(trace_id),
            span_id: SpanId(span_id),
            sampled: flags & SAMPLED != 0,
            random: flags & RANDOM != 0,
        })
    }

    /// Writes it as a field's value.
    pub fn value(&self) -> HeaderValue {
        let Self { trace_id, span_id, sampled, random } = self;
        let flags = if *sampled { SAMPLED } else { 0 } | if *random { RANDOM } else { 0 };
        let bytes = [&[0][..], &trace_id.0, &span_id.0, &[flags]];
        let mut text = [b'-'; LENGTH];
        let mut places = text.iter_mut();
        for (index, part) in bytes.into_iter().enumerate() {
            if index > 0 {
                places.next();
            }
            for digit in part.iter().flat_map(|byte| [byte >> 4, byte & 0xf]) {
                let digit = if digit < 10 { b'0' + digit } else { b'a' + digit - 10 };
                if let Some(place) = places.next() {
                    *place = digit;
                }
            }
        }
        HeaderValue::from_bytes(&text).unwrap_or(HeaderValue::from_static(""))
    }
}

/// Reads lower-case hexadecimal digits.
fn hex<const N: usize>(digits: &[u8]) -> Option<[u8; N]> {
    let value = |digit: u8| match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    };
    let mut bytes = [0; N];
    if digits.len() != 2 * N {
        return None;
    }
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        let [high, low] = pair else { return None };
        *byte = value(*high)? << 4 | value(*low)?;
    }
    Some(bytes)
}

/// Tells whether the `tracestate` of a request may be handed on: it is well formed and within the
/// limits, counted over all its fields.
pub fn is_state_valid(fields: &HeaderMap) -> bool {
    let mut keys: Vec<&[u8]> = Vec::new();
    let mut length = 0;
    for value in fields.get_all("tracestate") {
        length += value.len() + usize::from(length > 0);
        if length > STATE_BYTES_MAX {
            return false;
        }
        for member in value.as_bytes().split(|byte| *byte == b',') {
            let member = trim(member);
            // Members may be empty.
            if member.is_empty() {
                continue;
            }
            let Some(key) = member_key(member) else { return false };
            if keys.contains(&key) || keys.len() == STATE_MEMBERS_MAX {
                return false;
            }
            keys.push(key);
        }
    }
    true
}

/// Takes off the optional white space around a member.
fn trim(mut text: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] | [rest @ .., b' ' | b'\t'] = text {
        text = rest;
    }
    text
}

/// Gives the key of a member that is well formed.
fn member_key(member: &[u8]) -> Option<&[u8]> {
    let at = member.iter().position(|byte| *byte == b'=')?;
    let (key, value) = (member.get(..at)?, member.get(at + 1..)?);
    let is_first = |c: &u8| c.is_ascii_lowercase() || c.is_ascii_digit();
    let is_key = |c: &u8| is_first(c) || b"_-*/@".contains(c);
    let is_value = |c: &u8| (0x20..=0x7e).contains(c) && !b",=".contains(c);
    let good = key.first().is_some_and(is_first)
        && key.iter().all(is_key)
        && !value.is_empty()
        && value.iter().all(is_value)
        && key.len() <= STATE_PART_MAX
        && value.len() <= STATE_PART_MAX;
    good.then_some(key)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
    const SPAN: &str = "b7ad6b7169203331";

    fn fields(name: &'static str, values: &[&str]) -> HeaderMap {
        let pair = |value: &&str| {
            (
                http::HeaderName::from_static(name),
                HeaderValue::from_bytes(value.as_bytes()).unwrap(),
            )
        };
        values.iter().map(pair).collect()
    }

    fn parent(value: &str) -> Option<Context> {
        Context::of(&fields("traceparent", &[value]))
    }

    #[test]
    fn valid_contexts_are_read_and_written() {
        for (flags, sampled, random, written) in [
            ("00", false, false, "00"),
            ("01", true, false, "01"),
            ("02", false, true, "02"),
            ("03", true, true, "03"),
            // What the other flags mean is not known, so they are not handed on.
            ("ff", true, true, "03"),
            ("fc", false, false, "00"),
        ] {
            let context = parent(&format!("00-{TRACE}-{SPAN}-{flags}")).unwrap();
            assert_eq!(context.trace_id.to_string(), TRACE);
            assert_eq!(context.span_id.to_string(), SPAN);
            assert_eq!((context.sampled, context.random), (sampled, random), "{flags}");
            assert_eq!(context.value(), format!("00-{TRACE}-{SPAN}-{written}"));
        }
    }

    #[test]
    fn later_versions_are_read_as_far_as_they_are_known() {
        let known = format!("{TRACE}-{SPAN}-01");
        for value in [
            format!("01-{known}"),
            format!("cc-{known}"),
            format!("cc-{known}-"),
            format!("cc-{known}-what-the-future-brings"),
            format!("fe-{known}-0"),
        ] {
            let context = parent(&value).unwrap_or_else(|| panic!("{value}"));
            assert_eq!(context.value(), format!("00-{known}"), "{value}");
        }
    }

    #[test]
    fn invalid_contexts_are_none() {
        let zeros = "0".repeat(32);
        for value in [
            String::new(),
            "00".to_owned(),
            format!("ff-{TRACE}-{SPAN}-01"),
            format!("FE-{TRACE}-{SPAN}-01"),
            format!("0-{TRACE}-{SPAN}-01"),
            format!("000-{TRACE}-{SPAN}-01"),
            format!("00-{zeros}-{SPAN}-01"),
            format!("00-{TRACE}-{}-01", &zeros[..16]),
            format!("00-{}-{SPAN}-01", TRACE.to_uppercase()),
            format!("00-{TRACE}-{}-01", SPAN.to_uppercase()),
            format!("00-{TRACE}-{SPAN}-0A"),
            format!("00-{TRACE}-{SPAN}-0g"),
            format!("00-{TRACE}-{SPAN}-1"),
            format!("00-{TRACE}-{SPAN}"),
            format!("00-{TRACE}-{SPAN}-01-"),
            format!("00-{TRACE}-{SPAN}-01-more"),
            format!("00-{TRACE}-{SPAN}-010"),
            format!("00-{TRACE}-{SPAN}-01 "),
            format!(" 00-{TRACE}-{SPAN}-01"),
            format!("cc-{TRACE}-{SPAN}-01."),
            format!("cc-{TRACE}-{SPAN}-012"),
            format!("00_{TRACE}-{SPAN}-01"),
            format!("00-{TRACE}_{SPAN}-01"),
            format!("00-{TRACE}-{SPAN}_01"),
            format!("00-{}.-{SPAN}-01", &TRACE[1..]),
            format!("00-é{}-{SPAN}-01", &TRACE[2..]),
        ] {
            assert_eq!(parent(&value), None, "{value}");
        }
        let good = format!("00-{TRACE}-{SPAN}-01");
        assert_eq!(Context::of(&fields("traceparent", &[&good, &good])), None, "two of them");
        assert_eq!(Context::of(&HeaderMap::new()), None);
    }

    #[test]
    fn states_are_judged() {
        let valid = |values: &[&str]| is_state_valid(&fields("tracestate", values));
        let long_key = "k".repeat(256);
        let members = |count: usize| (0..count).map(|n| format!("k{n}=1")).collect::<Vec<_>>();
        for values in [
            &[][..],
            &[""],
            &["congo=t61rcWkgMzE"],
            &["a=1,b=2", "c=3"],
            &[" a=1 ,\t b= 2, ,"],
            &["fw529a3039@dt=FfAAaBB/*!~ x"],
            &["1a-_*/@=x"],
            &[&format!("{long_key}=x")],
            &[&format!("a={}", "v".repeat(256))],
            &[&members(32).join(",")],
        ] {
            assert!(valid(values), "{values:?}");
        }
        for values in [
            &["a"][..],
            &["=1"],
            &["a="],
            &["A=1"],
            &["a=1=2"],
            &["a=é"],
            &["a b=1"],
            &["a =1"],
            &["_a=1"],
            &["@a=1"],
            &["a=1,a=2"],
            &["a=1", "a=2"],
            &[&format!("{long_key}k=x")],
            &[&format!("a={}", "v".repeat(257))],
            &[&members(33).join(",")],
            &[&format!("a={}", "v".repeat(250)), &format!("b={}", "v".repeat(250)), "c=12345678"],
        ] {
            assert!(!valid(values), "{values:?}");
        }
    }
}
