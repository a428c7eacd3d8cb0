//! `OPTIONS` that ends here: about the gateway as a whole, or with no hop left to go.

use bytes::Bytes;
use http::{HeaderValue, Method, Response, StatusCode, header, request::Parts};

use crate::{
    answer::Denial,
    chain::{exchange::Exchange, target},
};

/// Answers `OPTIONS *` (RFC 9110 section 9.3.7), which concerns no route, and a request that may go no
/// further (section 7.6.2); of any other it takes off the hop that leads here. Nothing is counted.
pub fn answer(head: &mut Parts, exchange: &Exchange) -> Result<Option<Response<Bytes>>, Denial> {
    if head.method != Method::OPTIONS {
        return Ok(None);
    }
    let is_about_all = head.uri.path_and_query().is_some_and(|target| target.as_str() == "*");
    if !is_about_all && !has_no_hop_left(head) {
        return Ok(None);
    }
    target::check_host(head)?;
    let mut response = Response::new(Bytes::new());
    *response.status_mut() = StatusCode::NO_CONTENT;
    let fields = response.headers_mut();
    fields.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    fields.insert("x-request-id", exchange.request_id_value());
    Ok(Some(response))
}

/// Counts down what is left of `Max-Forwards`. One that is no number is passed on as it is.
fn has_no_hop_left(head: &mut Parts) -> bool {
    let Some(value) = head.headers.get_mut(header::MAX_FORWARDS) else { return false };
    let digits = value.to_str().ok().filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()));
    let Some(left) = digits.and_then(|digits| digits.parse::<u64>().ok()) else { return false };
    match left.checked_sub(1) {
        None => true,
        Some(left) => {
            *value = left.into();
            false
        }
    }
}
