//! What the upstream's status decides: charged or not, and its own 402. Public routes count nothing.

use super::{COST, assert_ended, assert_nothing_counted_before, tables};
use crate::support::{Exchange, Gateway, KEY, Then, Upstream, upstream::OK};

fn answering_status(status: u16) -> Upstream {
    Upstream::start(move |exchange: &mut Exchange<'_>| {
        exchange.read_body()?;
        let length = if status == 204 || status == 304 { "" } else { "Content-Length: 5\r\n" };
        let body = if length.is_empty() { "" } else { "body\n" };
        exchange.send(format!("HTTP/1.1 {status} Some\r\nX-Own: kept\r\n{length}\r\n{body}"))?;
        Ok(Then::KeepAlive)
    })
}

#[test]
fn default_charges_what_was_done_or_is_the_callers_mistake() {
    for (status, charged) in [
        (200, true),
        (201, true),
        (204, true),
        (302, true),
        (304, true),
        (400, true),
        (401, true),
        (403, true),
        (404, true),
        (408, false),
        (422, true),
        (425, false),
        (429, false),
        (499, true),
        (500, false),
        (502, false),
        (503, false),
        (599, false),
    ] {
        let gateway = Gateway::start(&tables("", "", ""), &answering_status(status));
        let response = gateway.get("/paid/x", KEY);
        assert_eq!(response.status(), status);
        assert_eq!(response.field("x-own"), Some("kept"), "passed on unchanged: {status}");
        let cost = if charged { "3" } else { "0" };
        assert_eq!(response.field("faregate-cost"), Some(cost), "{status}");
        let left = if charged { "r=997" } else { "r=1000" };
        let field = response.field("ratelimit").unwrap();
        assert!(field.contains(left), "{status}: {field}");
        if charged {
            assert_ended(&gateway, "completed", COST);
        } else {
            assert_ended(&gateway, "uncharged", 0);
        }
    }
}

#[test]
fn route_charges_on_its_own_statuses() {
    for (charge_on, status, charged) in [
        (r#"["2xx"]"#, 200, true),
        (r#"["2xx"]"#, 404, false),
        (r#"["2xx", "!204"]"#, 204, false),
        (r#"["100-599"]"#, 500, true),
        (r#"["100-599"]"#, 429, true),
        (r#"[]"#, 200, false),
    ] {
        let route = format!("charge_on = {charge_on}");
        let gateway = Gateway::start(&tables("", "", &route), &answering_status(status));
        assert_eq!(gateway.get("/paid/x", KEY).status(), status);
        if charged {
            assert_ended(&gateway, "completed", COST);
        } else {
            assert_ended(&gateway, "uncharged", 0);
        }
    }
}

/// How the body of an uncharged answer ends changes nothing.
#[test]
fn cut_answer_of_an_uncharged_status_is_uncharged() {
    let answer = "HTTP/1.1 500 Broken\r\nContent-Length: 100\r\n\r\n0123456789";
    let upstream = Upstream::answering(answer, Then::Close);
    let gateway = Gateway::start(&tables("", "", ""), &upstream);
    let response = gateway.get("/paid/x", KEY);
    assert_eq!((response.status(), response.whole), (500, false));
    assert_ended(&gateway, "uncharged", 0);
}

/// The upstream asks its own customer, the operator, for money: that is not the caller's to pay.
#[test]
fn payment_required_by_the_upstream_is_not_passed_on() {
    let answer = "HTTP/1.1 402 Payment Required\r\nX-Own: secret\r\nWWW-Authenticate: Payment x\r\n\
                  Link: <https://billing.upstream.example>; rel=\"payment\"\r\n\
                  Content-Length: 14\r\n\r\npay us, please";
    // Even a route that says so charges nobody for it.
    for route in ["", "charge_on = [\"100-599\"]"] {
        let upstream = Upstream::answering(answer, Then::KeepAlive);
        let gateway = Gateway::start(&tables("", "", route), &upstream);
        let mut client = gateway.client();
        let response = client.get("/paid/x", KEY);
        assert_eq!(response.verdict(), "502 upstream_payment_required");
        for name in ["x-own", "www-authenticate", "link", "retry-after"] {
            assert_eq!(response.field(name), None, "{name}");
        }
        assert!(!response.text().contains("pay us"));
        assert_ended(&gateway, "uncharged", 0);
        assert_eq!(client.get("/paid/x", KEY).verdict(), "502 upstream_payment_required");
    }
}

#[test]
fn public_routes_count_nothing() {
    let upstream = Upstream::start(|exchange: &mut Exchange<'_>| {
        match exchange.request().target() {
            "/free/reset" => return Ok(Then::Reset),
            "/free/cut" => {
                exchange.send("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n01")?;
                return Ok(Then::Close);
            }
            "/free/402" => {
                exchange.send("HTTP/1.1 402 Pay\r\nContent-Length: 0\r\n\r\n")?;
            }
            _ => exchange.send(OK)?,
        }
        Ok(Then::KeepAlive)
    });
    let gateway = Gateway::start(&tables("", "", ""), &upstream);
    for (path, verdict) in [
        ("/free/x", "200"),
        ("/free/reset", "502 upstream_error"),
        ("/free/cut", "200"),
        ("/free/402", "502 upstream_payment_required"),
    ] {
        for key in [KEY, "wrong"] {
            let response = gateway.get(path, key);
            assert_eq!(response.verdict(), verdict, "{path}");
            for name in ["ratelimit", "ratelimit-policy", "faregate-cost"] {
                assert_eq!(response.field(name), None, "{path}: {name}");
            }
        }
    }
    assert_nothing_counted_before(&gateway);
}
