//! What the head of an answer says in any protocol beside its fields: how long its body is, and the date.

use std::cell::RefCell;

use http::{HeaderValue, Method, StatusCode};
use http_body::Body;
use jiff::{Timestamp, fmt::rfc2822::DateTimePrinter};

use crate::{answer::headers::field_value, chain::reply::Reply};

/// What follows the head of an answer.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Follows {
    /// A body, of so many bytes where that is known.
    Body(Option<u64>),
    /// Nothing; the head may say how long a body would be.
    Nothing(Option<u64>),
}

impl Follows {
    /// Gives the length that the head says.
    pub(super) fn length(self) -> Option<u64> {
        let (Self::Body(length) | Self::Nothing(length)) = self;
        length
    }
}

/// Finds what follows the head of an answer to a method, unless it is a switch of protocols (RFC 9110
/// section 8.6).
pub(super) fn follows(reply: &Reply, method: &Method) -> Follows {
    let exact = reply.body.size_hint().exact();
    let told = reply.fields.length;
    match reply.status {
        StatusCode::NO_CONTENT => Follows::Nothing(None),
        StatusCode::NOT_MODIFIED => Follows::Nothing(told),
        // What the same request by GET would have been told.
        _ if method == Method::HEAD => Follows::Nothing(told.or(exact.filter(|size| *size > 0))),
        _ => Follows::Body(exact),
    }
}

thread_local! {
    /// The second that was written last, and how.
    static DATE: RefCell<(i64, HeaderValue)> =
        const { RefCell::new((i64::MIN, HeaderValue::from_static(""))) };
}

/// Gives the date as a field's value (RFC 9110 section 6.6.1).
pub(super) fn date(now: Timestamp) -> HeaderValue {
    DATE.with_borrow_mut(|(second, text)| {
        if now.as_second() != *second {
            let date = DateTimePrinter::new().timestamp_to_rfc9110_string(&now);
            (*second, *text) = (now.as_second(), field_value(&date.unwrap_or_default()));
        }
        text.clone()
    })
}
