//! gRPC, as far as a gateway has to know it: which requests are calls, until when they may take, how one is
//! refused, and who answers for what is told by a status. By `PROTOCOL-HTTP2` and `PROTOCOL-WEB` of the gRPC documents.

use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue, Version, header, request::Parts};

use crate::{
    answer::{Code, Refusal, problem::Problem},
    http1::Fields,
};

pub(crate) static STATUS: HeaderName = HeaderName::from_static("grpc-status");
static MESSAGE: HeaderName = HeaderName::from_static("grpc-message");
static TIMEOUT: HeaderName = HeaderName::from_static("grpc-timeout");
static CODE: HeaderName = HeaderName::from_static("faregate-code");

/// The type of what is sent both ways, perhaps with `+proto` or the like behind it.
const CONTENT_TYPE: &[u8] = b"application/grpc";

/// The types of gRPC-Web, whose messages are bytes or base64.
const WEB_TYPE: &[u8] = b"application/grpc-web";
const WEB_TEXT_TYPE: &[u8] = b"application/grpc-web-text";

/// In which form a call is made.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Form {
    /// gRPC's own.
    Native,
    /// That of browsers: what stands behind a body elsewhere is the body's last part there.
    Web,
    /// The same in base64.
    WebText,
}

/// Finds the form in which a request is a call, if it is one. Only over HTTP/2 can its own be answered; that of
/// browsers knows no fields behind a body and so is for every version.
pub fn form(head: &Parts) -> Option<Form> {
    let given = head.headers.get(header::CONTENT_TYPE)?.as_bytes();
    match () {
        () if is_type(given) => (head.version == Version::HTTP_2).then_some(Form::Native),
        () if is_of(given, WEB_TYPE) => Some(Form::Web),
        () if is_of(given, WEB_TEXT_TYPE) => Some(Form::WebText),
        () => None,
    }
}

/// Tells whether a type of content is that of calls.
pub(crate) fn is_type(value: &[u8]) -> bool {
    is_of(value, CONTENT_TYPE)
}

/// Tells whether a value is a type, perhaps with more behind it.
fn is_of(value: &[u8], wanted: &[u8]) -> bool {
    let Some((start, rest)) = value.split_at_checked(wanted.len()) else { return false };
    start.eq_ignore_ascii_case(wanted) && matches!(rest.first(), None | Some(b'+' | b';'))
}

/// Gives how long a call may take, by its caller; `None` where it says nothing that can be understood.
pub fn timeout(fields: &HeaderMap) -> Option<Duration> {
    let text = fields.get(&TIMEOUT)?.to_str().ok()?;
    let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    // At most eight digits, so that nothing overflows.
    let is_number = (1..=8).contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_digit());
    let number: u64 = digits.parse().ok().filter(|_| is_number)?;
    Some(match unit {
        "H" => Duration::from_secs(number * 3600),
        "M" => Duration::from_secs(number * 60),
        "S" => Duration::from_secs(number),
        "m" => Duration::from_millis(number),
        "u" => Duration::from_micros(number),
        "n" => Duration::from_nanos(number),
        _ => return None,
    })
}

/// What an answer says of how its call ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Outcome {
    /// It will be said behind the body.
    Open,
    /// It is said, and whether the caller pays for that.
    Known {
        /// It went well, or went wrong by the caller's own fault.
        is_charged: bool,
    },
}

/// Finds it in an answer's head; `is_whole` where nothing follows that, `is_late` where its caller's own
/// deadline is past. What the last part of a body says is not read: such an answer is charged like any other.
pub fn outcome(form: Form, head: &Fields, is_whole: bool, is_late: bool) -> Outcome {
    match head.find(STATUS.as_str()) {
        Some(status) => Outcome::Known { is_charged: is_charged(status, is_late) },
        None if form != Form::Native => Outcome::Known { is_charged: true },
        None if is_whole => Outcome::Known { is_charged: false },
        None => Outcome::Open,
    }
}

/// Tells whether what stands behind a body is charged. Who says no status has not answered.
pub fn are_charged(trailers: Option<&HeaderMap>, is_late: bool) -> bool {
    let status = trailers.and_then(|fields| fields.get(&STATUS));
    status.is_some_and(|status| is_charged(status.as_bytes(), is_late))
}

/// Tells whether a call with this status is charged: those that went well, and those that failed by what the
/// caller asked for or did (cancelled, invalid argument, not found, already exists, permission denied, failed
/// precondition, out of range, unauthenticated). So is one whose upstream says that the deadline is past which
/// its caller has set: it knows that as we do, and which of the two is the first to say so is chance.
fn is_charged(status: &[u8], is_late: bool) -> bool {
    match status {
        b"4" => is_late,
        b"0" | b"1" | b"3" | b"5" | b"6" | b"7" | b"9" | b"11" | b"16" => true,
        _ => false,
    }
}

/// Gives the status by which a caller is told a code.
fn status(code: Code) -> &'static str {
    match code.status().as_u16() {
        401 => "16",
        // There is something that the caller has used up, or must pay for.
        402 | 413 | 414 | 429 | 431 => "8",
        403 => "7",
        404 | 405 | 501 => "12",
        408 | 504 => "4",
        502 | 503 => "14",
        500 => "13",
        _ => "3",
    }
}

/// Makes of a refusal what a caller of gRPC understands: fields without a body, the code among them.
pub fn refusal(form: Form, refusal: &Refusal, mut problem: Problem) -> Problem {
    let (code, detail) = match refusal {
        Refusal::Denial(denial) => (denial.code(), denial.detail()),
        Refusal::Fault(fault) => (fault.code(), fault.detail().into()),
    };
    let fields = &mut problem.fields;
    fields.remove_beginning(b"content-type:");
    let kind = match form {
        Form::Native => "application/grpc",
        Form::Web => "application/grpc-web",
        Form::WebText => "application/grpc-web-text",
    };
    fields.push(&header::CONTENT_TYPE, &HeaderValue::from_static(kind));
    fields.push_text(&STATUS, status(code));
    fields.push_text(&MESSAGE, &encoded(&detail));
    fields.push_text(&CODE, code.name());
    Problem { status: http::StatusCode::OK, body: bytes::Bytes::new(), ..problem }
}

/// Writes a message so that it can stand in a field: all but printable ASCII by its bytes, and `%` itself.
fn encoded(message: &str) -> String {
    let mut text = String::with_capacity(message.len());
    for byte in message.bytes() {
        match byte {
            b' '..=b'~' if byte != b'%' => text.push(byte.into()),
            _ => text.push_str(&format!("%{byte:02X}")),
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_are_told_by_type_and_version() {
        let form = |version, value: &str| {
            let request = http::Request::builder().version(version).header("content-type", value);
            form(&request.body(()).unwrap().into_parts().0)
        };
        for value in ["application/grpc", "Application/GRPC+proto", "application/grpc;a=b"] {
            assert_eq!(form(Version::HTTP_2, value), Some(Form::Native), "{value}");
            assert_eq!(form(Version::HTTP_11, value), None, "{value}");
        }
        for version in [Version::HTTP_2, Version::HTTP_11] {
            for end in ["", "+proto", ";a=b"] {
                let of = |kind| form(version, &format!("{kind}{end}"));
                assert_eq!(of("application/grpc-web"), Some(Form::Web), "{end}");
                assert_eq!(of("Application/grpc-Web-text"), Some(Form::WebText), "{end}");
            }
            for value in ["application/grpcx", "application/grpc-webx", "application/json", ""] {
                assert_eq!(form(version, value), None, "{value}");
            }
        }
    }

    #[test]
    fn what_a_body_says_is_read_of_grpcs_own_form_alone() {
        let mut head = Fields::with_room();
        let of = |form, head: &Fields| outcome(form, head, false, false);
        assert_eq!(of(Form::Native, &head), Outcome::Open);
        for form in [Form::Web, Form::WebText] {
            assert_eq!(of(form, &head), Outcome::Known { is_charged: true });
        }
        head.push_text(&STATUS, "14");
        for form in [Form::Native, Form::Web, Form::WebText] {
            assert_eq!(of(form, &head), Outcome::Known { is_charged: false });
        }
    }

    #[test]
    fn timeouts_have_eight_digits_and_a_unit() {
        let of = |text: &str| {
            let mut fields = HeaderMap::new();
            fields.insert("grpc-timeout", text.parse().unwrap());
            timeout(&fields)
        };
        for (text, expected) in [
            ("1H", Duration::from_secs(3600)),
            ("2M", Duration::from_secs(120)),
            ("3S", Duration::from_secs(3)),
            ("400m", Duration::from_millis(400)),
            ("5u", Duration::from_micros(5)),
            ("99999999n", Duration::from_nanos(99_999_999)),
            ("99999999H", Duration::from_secs(99_999_999 * 3600)),
        ] {
            assert_eq!(of(text), Some(expected), "{text}");
        }
        for text in ["", "S", "1", "1s", "123456789S", "-1S", "+1S", "1.5S", "1 S"] {
            assert_eq!(of(text), None, "{text}");
        }
        assert_eq!(timeout(&HeaderMap::new()), None);
    }

    #[test]
    fn messages_can_stand_in_a_field() {
        assert_eq!(encoded("50% of \u{e9}\n"), "50%25 of %C3%A9%0A");
    }

    #[test]
    fn statuses_are_those_of_the_protocol() {
        for (code, expected) in [
            (Code::InvalidApiKey, "16"),
            (Code::QuotaExceeded, "8"),
            (Code::RateLimited, "8"),
            (Code::AccountSuspended, "7"),
            (Code::RouteNotFound, "12"),
            (Code::InvalidRequest, "3"),
            (Code::UpstreamTimeout, "4"),
            (Code::InternalError, "13"),
            (Code::UpstreamError, "14"),
            (Code::QuotaUnavailable, "14"),
        ] {
            assert_eq!(status(code), expected, "{code:?}");
        }
        let charged = |is_late| -> Vec<u8> {
            (0..=17).filter(|status| is_charged(status.to_string().as_bytes(), is_late)).collect()
        };
        assert_eq!(charged(false), [0, 1, 3, 5, 6, 7, 9, 11, 16]);
        assert_eq!(charged(true), [0, 1, 3, 4, 5, 6, 7, 9, 11, 16]);
        assert!(!is_charged(b"00", true) && !is_charged(b"", true));
    }

    #[test]
    fn upstream_that_is_first_to_tell_of_the_callers_deadline_is_paid() {
        let mut trailers = HeaderMap::new();
        trailers.insert(&STATUS, "4".parse().unwrap());
        assert!(are_charged(Some(&trailers), true));
        // It has a time of its own, which is no fault of the caller's.
        assert!(!are_charged(Some(&trailers), false));
        assert!(!are_charged(None, true));
    }
}
