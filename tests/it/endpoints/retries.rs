//! `retries`: what may be sent once more, what never is, and that it is charged once.

use super::{metric, moody, start};
use crate::support::{
    Exchange, KEY, Then, Upstream,
    client::{bearer, head},
    upstream::OK,
};

#[test]
fn another_endpoint_takes_a_safe_request_that_one_broke() {
    for method in ["GET", "HEAD", "OPTIONS"] {
        let ((bad, _), good) = (moody(), Upstream::ok_to_head());
        let good = if method == "HEAD" { good } else { Upstream::ok() };
        let gateway = start(&[bad.address(), good.address()], "retries = 1");
        let response = gateway.request(method, "/x?a=1", &["X-A: 1", &bearer(KEY)]);
        assert_eq!(response.status(), 200, "{method}");
        assert_eq!((bad.count(), good.count()), (1, 1), "{method}");
        let (first, second) = (bad.last(), good.last());
        assert_eq!(first.line, second.line);
        let own = good.address().to_string();
        assert_eq!(second.field("host"), Some(&*own));
        assert_eq!(second.field("faregate-request-id"), first.field("faregate-request-id"));
        gateway.wait_recorded("acme", &[("completed", 1, 1)]);
        let name = bad.address().to_string();
        assert_eq!(metric(&gateway, "retries_total", &[&name]), Some(1.0));
    }
}

#[test]
fn single_endpoint_is_asked_once_more_on_another_connection() {
    let upstream = Upstream::start(|exchange: &mut Exchange<'_>| {
        exchange.read_body()?;
        let is_first = exchange.is_first();
        exchange.send(if is_first { OK } else { "" })?;
        Ok(if is_first { Then::KeepAlive } else { Then::Reset })
    });
    let gateway = start(&[upstream.address()], "retries = 1");
    let mut client = gateway.client();
    for _ in 0..3 {
        assert_eq!(client.get("/x", KEY).status(), 200);
    }
    // The second of each connection is broken.
    assert_eq!((upstream.count(), upstream.connections()), (5, 3));
    gateway.wait_recorded("acme", &[("completed", 3, 3)]);
}

/// What is not safe, or has a body, is never sent twice, whatever is allowed.
#[test]
fn request_that_may_do_something_is_never_sent_again() {
    for (method, body) in
        [("POST", ""), ("POST", "x"), ("PUT", ""), ("PATCH", "x"), ("DELETE", ""), ("GET", "x")]
    {
        let ((bad, _), good) = (moody(), Upstream::ok());
        let gateway = start(&[bad.address(), good.address()], "retries = 3");
        let mut client = gateway.client();
        let length = format!("Content-Length: {}", body.len());
        client.send(head(method, "/x", &[&bearer(KEY), &length]) + body);
        assert_eq!(client.response().verdict(), "502 upstream_error", "{method} {body}");
        assert_eq!((bad.count(), good.count()), (1, 0), "{method} {body}");
        gateway.wait_recorded("acme", &[("failed", 1, 0)]);
    }
}

/// Nor is what was answered, even if only with a byte, or what ran out of time.
#[test]
fn request_that_was_answered_or_ran_out_of_time_is_never_sent_again() {
    for (answer, then, verdict, ending, units) in [
        ("H", Then::Close, "502 upstream_error", "failed", 0),
        ("HTTP/1.1 103 Early Hints\r\n\r\n", Then::Close, "502 upstream_error", "failed", 0),
        (
            "HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n",
            Then::Close,
            "502 upstream_error",
            "failed",
            0,
        ),
        ("", Then::Silence, "504 upstream_timeout", "failed", 0),
        ("HTTP/1.1 502 No\r\nContent-Length: 0\r\n\r\n", Then::KeepAlive, "502", "uncharged", 0),
        ("HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n", Then::KeepAlive, "503", "uncharged", 0),
        ("HTTP/1.1 504 No\r\nContent-Length: 0\r\n\r\n", Then::KeepAlive, "504", "uncharged", 0),
        ("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\ncut", Then::Close, "200", "truncated", 1),
    ] {
        let (bad, good) = (Upstream::answering(answer, then), Upstream::ok());
        let lines = "retries = 3\nresponse_timeout = \"150ms\"";
        let gateway = start(&[bad.address(), good.address()], lines);
        assert_eq!(gateway.get("/x", KEY).verdict(), verdict, "{answer}");
        assert_eq!((bad.count(), good.count()), (1, 0), "{answer}");
        gateway.wait_recorded("acme", &[(ending, 1, units)]);
    }
}

#[test]
fn nothing_is_sent_again_unless_that_is_allowed() {
    let ((bad, _), good) = (moody(), Upstream::ok());
    let gateway = start(&[bad.address(), good.address()], "");
    assert_eq!(gateway.get("/x", KEY).verdict(), "502 upstream_error");
    assert_eq!((bad.count(), good.count()), (1, 0));
    gateway.wait_recorded("acme", &[("failed", 1, 0)]);
}

#[test]
fn all_that_break_it_are_asked_as_often_as_allowed_and_nothing_is_charged() {
    let (bad, _) = moody();
    let gateway = start(&[bad.address()], "retries = 3");
    assert_eq!(gateway.get("/x", KEY).verdict(), "502 upstream_error");
    assert_eq!(bad.count(), 4);
    gateway.wait_recorded("acme", &[("failed", 1, 0)]);
}

/// An upstream that breaks everything is not asked several times as often for it.
#[test]
fn retries_are_a_share_of_the_requests() {
    let (bad, _) = moody();
    let gateway = start(&[bad.address()], "retries = 3");
    let mut client = gateway.client();
    for _ in 0..200 {
        assert_eq!(client.get("/x", KEY).verdict(), "502 upstream_error");
    }
    let retries = bad.count() - 200;
    println!("{retries} retries of 200 requests");
    // The first second has no requests before it; a slow machine may reach another ten seconds.
    assert!((10..=60).contains(&retries), "{retries}");
    gateway.wait_recorded("acme", &[("failed", 200, 0)]);
}
