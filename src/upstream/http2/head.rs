//! Heads in the form of HTTP/2. Inside the gateway they are lines, as HTTP/1.1 has them.

use http::{
    HeaderName, HeaderValue, Request, StatusCode, Uri, Version, header, response,
    uri::{Authority, PathAndQuery, Scheme},
};

use crate::{
    http1::{Fields, Framing, Malformed, length_of},
    upstream::{headers::is_dropped_from_answer, http1::Head},
};

/// How many fields an answer may have.
const FIELDS_MAX: usize = 100;

/// Reads a request's head that was written for HTTP/1.1. What is about the connection stays behind
/// (RFC 9113 section 8.2.2).
pub(super) fn request(text: &[u8], scheme: &Scheme) -> Result<Request<()>, Malformed> {
    const BAD: Malformed = Malformed("the request cannot be told by HTTP/2");
    let mut lines =
        text.split(|byte| *byte == b'\n').map(|line| line.strip_suffix(b"\r").unwrap_or(line));
    let mut words = lines.next().unwrap_or_default().split(|byte| *byte == b' ');
    let (method, target) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let mut request = Request::new(());
    *request.method_mut() = method.try_into().map_err(|_| BAD)?;
    *request.version_mut() = Version::HTTP_2;
    let mut authority = None;
    for line in lines.take_while(|line| !line.is_empty()) {
        let colon = line.iter().position(|byte| *byte == b':').ok_or(BAD)?;
        let (name, value) = line.split_at_checked(colon).ok_or(BAD)?;
        let name = HeaderName::from_bytes(name).map_err(|_| BAD)?;
        let value = value.get(1..).unwrap_or_default().trim_ascii();
        match name {
            header::HOST => authority = Some(Authority::try_from(value).map_err(|_| BAD)?),
            header::CONNECTION | header::TRANSFER_ENCODING => {}
            name => {
                let value = HeaderValue::from_bytes(value).map_err(|_| BAD)?;
                request.headers_mut().append(name, value);
            }
        }
    }
    let mut parts = http::uri::Parts::default();
    parts.scheme = Some(scheme.clone());
    parts.authority = Some(authority.ok_or(BAD)?);
    parts.path_and_query = Some(PathAndQuery::try_from(target).map_err(|_| BAD)?);
    *request.uri_mut() = Uri::from_parts(parts).map_err(|_| BAD)?;
    Ok(request)
}

/// Takes over what of an answer's head is for the caller.
pub(super) fn answer(parts: &response::Parts, is_answer_to_head: bool) -> Result<Head, Malformed> {
    let status = parts.status;
    // It has no meaning here (RFC 9113 section 8.6).
    if status == StatusCode::SWITCHING_PROTOCOLS {
        return Err(Malformed("it switches protocols"));
    }
    if parts.headers.len() > FIELDS_MAX {
        return Err(Malformed("it has too many fields"));
    }
    let mut fields = Fields { length: length_of(&parts.headers)?, ..Fields::with_room() };
    for (name, value) in &parts.headers {
        if !is_dropped_from_answer(name.as_str()) {
            fields.push(name, value);
        }
    }
    let has_none = is_answer_to_head
        || status.is_informational()
        || status == StatusCode::NO_CONTENT
        || status == StatusCode::NOT_MODIFIED;
    let framing = match fields.length {
        _ if has_none => Framing::NONE,
        Some(length) => Framing::Length(length),
        None => Framing::UntilClose,
    };
    Ok(Head { status, fields, framing, is_websocket: false, accept: None, keeps_alive: true })
}

#[cfg(test)]
mod tests {
    use http::{Method, Response};

    use super::*;

    #[test]
    fn request_is_told_without_what_is_about_the_connection() {
        let text =
            b"POST /a/b?c=d HTTP/1.1\r\nhost: x.example:81\r\nA: b \r\na: c\r\nte: trailers\r\n\
            connection: te\r\ntransfer-encoding: chunked\r\n\r\n";
        let request = request(text, &Scheme::HTTP).unwrap();
        assert_eq!(request.method(), Method::POST);
        assert_eq!(request.uri(), "http://x.example:81/a/b?c=d");
        let fields: Vec<_> = request
            .headers()
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_bytes()))
            .collect();
        assert_eq!(fields, [("a", &b"b"[..]), ("a", b"c"), ("te", b"trailers")]);
    }

    #[test]
    fn request_without_a_place_is_none() {
        for text in ["GET /a HTTP/1.1\r\n\r\n", "GET /a HTTP/1.1\r\nhost: a b\r\n\r\n"] {
            assert!(request(text.as_bytes(), &Scheme::HTTP).is_err(), "{text}");
        }
    }

    fn head_of(build: http::response::Builder, is_answer_to_head: bool) -> Result<Head, Malformed> {
        let response: Response<()> = build.body(()).unwrap();
        answer(&response.into_parts().0, is_answer_to_head)
    }

    #[test]
    fn answer_is_taken_without_what_is_the_gateways_to_say() {
        let build = Response::builder()
            .header("content-length", "3")
            .header("x-own", "1")
            .header("faregate-cost", "1")
            .header("date", "now");
        let head = head_of(build, false).unwrap();
        assert_eq!(head.fields.lines, b"x-own: 1\r\ndate: now\r\n");
        assert!(head.fields.has_date);
        assert_eq!((head.fields.length, head.framing), (Some(3), Framing::Length(3)));
    }

    #[test]
    fn bodies_are_where_they_can_be() {
        let framing = |status: u16, is_answer_to_head| {
            let build = Response::builder().status(status).header("content-length", "3");
            head_of(build, is_answer_to_head).unwrap().framing
        };
        assert_eq!(framing(200, false), Framing::Length(3));
        assert_eq!(framing(200, true), Framing::NONE);
        assert_eq!(framing(204, false), Framing::NONE);
        assert_eq!(framing(304, false), Framing::NONE);
        assert_eq!(head_of(Response::builder(), false).unwrap().framing, Framing::UntilClose);
    }

    #[test]
    fn answers_that_are_none_are_refused() {
        let many = (0..=FIELDS_MAX).fold(Response::builder(), |build, _| build.header("a", "b"));
        for build in [
            Response::builder().status(101),
            Response::builder().header("content-length", "3").header("content-length", "4"),
            Response::builder().header("content-length", "+3"),
            many,
        ] {
            assert!(head_of(build, false).is_err());
        }
    }
}
