//! What no head may have, whatever route it asks for.

use http::{Method, header, request::Parts};

use crate::{answer::Denial, chain::target::Target, config::ServerLimits, worker::Connection};

/// Checks a head.
pub fn check(head: &Parts, limits: &ServerLimits) -> Result<(), Denial> {
    size(head, limits.header_bytes)?;
    // It would make the gateway a tunnel.
    if head.method == Method::CONNECT {
        return Err(Denial::NotImplemented);
    }
    expectation(head)
}

/// Checks that a request is for a host whose certificate the client was shown. Where hosts have
/// certificates of their own they are tenants of their own, and one's connection is not for another's requests
/// (RFC 9110 section 7.4).
pub fn check_host(target: &Target, connection: &Connection) -> Result<(), Denial> {
    match (&connection.secured, target.host()) {
        (Some(secured), Some(host)) if secured.is_misdirected(host.name()) => {
            Err(Denial::MisdirectedRequest)
        }
        _ => Ok(()),
    }
}

/// Measures the request line and the fields as they stood on the wire, each field with the colon,
/// one space and the line's end.
fn size(head: &Parts, max: usize) -> Result<(), Denial> {
    const LINE: usize = " ".len() + " HTTP/1.1\r\n".len();
    const FIELD: usize = ": \r\n".len();
    let target = head.uri.path_and_query().map_or(0, |target| target.as_str().len());
    let authority = head.uri.authority().map_or(0, |authority| authority.as_str().len());
    let line = head.method.as_str().len() + target + authority + LINE;
    if line > max {
        return Err(Denial::UriTooLong { max });
    }
    let fields = head.headers.iter().map(|(name, value)| name.as_str().len() + value.len() + FIELD);
    if line + fields.sum::<usize>() > max {
        return Err(Denial::HeadersTooLarge { max });
    }
    Ok(())
}

/// Refuses what is expected of us but not understood (RFC 9110 section 10.1.1).
fn expectation(head: &Parts) -> Result<(), Denial> {
    let mut expected = head.headers.get_all(header::EXPECT).iter();
    if expected.all(|value| value.as_bytes().eq_ignore_ascii_case(b"100-continue")) {
        Ok(())
    } else {
        Err(Denial::ExpectationFailed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(request: http::request::Builder, max: usize) -> &'static str {
        let head = request.body(()).unwrap().into_parts().0;
        size(&head, max).map_or_else(|denial| denial.code().name(), |()| "fits")
    }

    #[test]
    fn sizes_are_those_on_the_wire() {
        // "GET /abc HTTP/1.1\r\n" has 19 bytes, "host: a\r\n" 9.
        let request = || http::Request::get("/abc").header("host", "a");
        assert_eq!(verdict(request(), 28), "fits");
        assert_eq!(verdict(request(), 27), "headers_too_large");
        assert_eq!(verdict(request(), 19), "headers_too_large");
        assert_eq!(verdict(request(), 18), "uri_too_long");
    }
}
