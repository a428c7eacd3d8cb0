//! Connections on both sides are used again.

use std::time::Duration;

use super::{NOW, tables};
use crate::support::{
    Exchange, Gateway, KEY, Then, Upstream,
    client::{Client, bearer, head},
    upstream::OK,
};

#[test]
fn sequential_requests_share_one_upstream_connection() {
    let upstream = Upstream::ok();
    let gateway = Gateway::start_at(NOW, &tables("", ""), &upstream);
    let mut client = gateway.client();
    for count in 0..100 {
        // Every other one from a client of its own: the upstream's connection belongs to none.
        let response =
            if count % 2 == 0 { client.get("/v1/x", KEY) } else { gateway.get("/v1/x", KEY) };
        assert_eq!(response.status(), 200);
    }
    assert_eq!((upstream.count(), upstream.connections()), (100, 1));
    gateway.wait_recorded("acme", &[("completed", 100, 100)]);
}

#[test]
fn pipelined_requests_are_answered_in_order() {
    let upstream = Upstream::start(|exchange| {
        let target = exchange.request().target().to_owned();
        exchange.read_body()?;
        let length = target.len();
        exchange.send(format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n{target}"))?;
        Ok(Then::KeepAlive)
    });
    let gateway = Gateway::start_at(NOW, &tables("", ""), &upstream);
    let mut client = gateway.client();
    let paths = ["/v1/a", "/none", "/v1/b", "/v1/c%2fd", "/v1/e"];
    let all: String = paths.iter().map(|path| head("GET", path, &[&bearer(KEY)])).collect();
    client.send(all);
    for (path, verdict) in
        paths.iter().zip(["200", "404 route_not_found", "200", "400 invalid_path", "200"])
    {
        let response = client.response();
        assert_eq!(response.verdict(), verdict, "{path}");
        if verdict == "200" {
            assert_eq!(response.text(), *path);
        }
    }
    gateway.wait_recorded("acme", &[("completed", 3, 3)]);
}

#[test]
fn client_that_asks_for_a_close_gets_it() {
    let upstream = Upstream::ok();
    let gateway = Gateway::start_at(NOW, &tables("", ""), &upstream);
    let mut client = gateway.client();
    let response = client.request("GET", "/v1/x", &[&bearer(KEY), "Connection: close"]);
    assert_eq!((response.status(), response.field("connection")), (200, Some("close")));
    client.expect_closed();
    assert_eq!(gateway.get("/v1/x", KEY).status(), 200);
    assert_eq!(upstream.connections(), 1, "the upstream's connection is another matter");
}

/// An unused upstream connection is closed after its time, before the upstream would.
#[test]
fn unused_upstream_connection_is_closed() {
    let upstream = Upstream::answering(OK, Then::KeepAlive);
    let lines = "keepalive_timeout = \"100ms\"";
    let gateway = Gateway::start_at(NOW, &tables(lines, ""), &upstream);
    assert_eq!(gateway.get("/v1/x", KEY).status(), 200);
    upstream.wait_closed(1);
    assert_eq!(gateway.get("/v1/x", KEY).status(), 200);
    assert_eq!(upstream.connections(), 2);
}

/// What an upstream sends behind its answer, or unasked, is nobody's answer.
#[test]
fn nothing_behind_an_answer_reaches_the_next_caller() {
    let stray = "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nstray\n";
    let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nok\n\r\n0\r\n\r\n";
    for (name, first, pause) in [
        ("behind a length", OK, 0),
        ("behind chunks", chunked, 0),
        ("later", OK, 100),
        ("longer than it says", "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nok\nand more", 0),
    ] {
        let upstream = Upstream::start(move |exchange: &mut Exchange<'_>| {
            let is_first = exchange.request().target() == "/v1/first";
            if !is_first {
                exchange.send(OK)?;
                return Ok(Then::KeepAlive);
            }
            if pause == 0 {
                exchange.send(format!("{first}{stray}"))?;
            } else {
                exchange.send(first)?;
                std::thread::sleep(Duration::from_millis(pause));
                exchange.send(stray)?;
            }
            Ok(Then::KeepAlive)
        });
        let gateway = Gateway::start_at(NOW, &tables("", ""), &upstream);
        let mut client = gateway.client();
        assert_eq!(client.get("/v1/first", KEY).text(), "ok\n", "{name}");
        std::thread::sleep(Duration::from_millis(2 * pause));
        assert_eq!(client.get("/v1/second", KEY).text(), "ok\n", "{name}");
        assert_eq!(upstream.connections(), 2, "{name}");
        gateway.wait_recorded("acme", &[("completed", 2, 2)]);
    }
}

/// An upstream that answers before it has taken the upload and then resets the connection, because it
/// leaves bytes unread, has answered all the same.
#[test]
fn answer_is_found_behind_a_broken_upload() {
    let upstream = Upstream::start(|exchange: &mut Exchange<'_>| {
        exchange.send("HTTP/1.1 413 Content Too Large\r\nContent-Length: 3\r\n\r\nno\n")?;
        Ok(Then::Close)
    });
    let gateway = Gateway::start_at(NOW, &tables("", ""), &upstream);
    let mut client = gateway.client();
    client.send(head("POST", "/v1/x", &[&bearer(KEY), "Content-Length: 8000000"]));
    client.send(vec![b'x'; 8_000_000]);
    assert_eq!((client.head().status, client.exactly(3)), (413, b"no\n".to_vec()));
    gateway.wait_recorded("acme", &[("completed", 1, 1)]);
}

/// A large upload leaves the connection fit for the next request, also when the answer begins first.
#[test]
fn connection_is_used_again_after_a_large_upload() {
    let upstream = Upstream::start(|exchange: &mut Exchange<'_>| {
        exchange.send("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n")?;
        exchange.read_body()?;
        exchange.send("ok\n")?;
        Ok(Then::KeepAlive)
    });
    let gateway = Gateway::start_at(NOW, &tables("", ""), &upstream);
    let mut client = gateway.client();
    for framing in ["Content-Length: 5000000", "Transfer-Encoding: chunked"] {
        client.send(head("POST", "/v1/x", &[&bearer(KEY), framing]));
        let body = vec![b'x'; 5_000_000];
        if framing.starts_with("Content") {
            client.send(&body);
        } else {
            client.send(format!("{:x}\r\n", body.len()));
            client.send(&body);
            client.send("\r\n0\r\n\r\n");
        }
        assert_eq!(client.response().text(), "ok\n", "{framing}");
        assert_eq!(upstream.last().body_bytes, 5_000_000, "{framing}");
    }
    assert_eq!(upstream.connections(), 1);
    gateway.wait_recorded("acme", &[("completed", 2, 2)]);
}

/// An answer that comes whole before the upload ends what the upstream gets: the request is settled,
/// and the rest of the upload must not flow on for it, however long the client goes on sending.
#[test]
fn upload_stops_with_an_early_answer() {
    // Without a look at the body, which `answering` would read first.
    let upstream = Upstream::start(|exchange: &mut Exchange<'_>| {
        exchange.send(OK)?;
        Ok(Then::Silence)
    });
    let gateway = Gateway::start_at(NOW, &tables("", ""), &upstream);
    let mut client = gateway.client();
    let fields = [bearer(KEY), "Content-Length: 5000000".to_owned()];
    client.send(head("POST", "/v1/x", &[&fields[0], &fields[1]]));
    assert_eq!(client.response().status(), 200);
    // The client keeps its connection and owes the body; the upstream's is closed all the same.
    upstream.wait_closed(1);
    gateway.wait_used("acme", 1);
}

/// A connection about which there is any doubt serves nobody else.
#[test]
fn every_caller_gets_its_own_answer_behind_broken_ones() {
    let upstream = Upstream::start(|exchange| {
        exchange.read_body()?;
        let mark = exchange.request().target().to_owned();
        let number: usize = mark.rsplit('/').next().unwrap().parse().unwrap();
        let whole = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{mark}", mark.len());
        let (most, _) = whole.split_at(whole.len() - 1);
        let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
        match number % 11 {
            0 => exchange.send(most).map(|()| Then::Close),
            1 => exchange.send(most).map(|()| Then::Reset),
            2 => exchange.send([&*whole, &whole].concat()).map(|()| Then::KeepAlive),
            3 => exchange.send(format!("{chunked}5\r\nabc")).map(|()| Then::Close),
            4 => exchange
                .send(format!("{chunked}5\r\nabcdefg\r\n0\r\n\r\n"))
                .map(|()| Then::KeepAlive),
            5 => exchange
                .send(format!("HTTP/1.1 204 No\r\nContent-Length: 3\r\n\r\n{mark}"))
                .map(|()| Then::KeepAlive),
            _ => exchange.send(whole).map(|()| Then::KeepAlive),
        }
    });
    let gateway = Gateway::start_at(NOW, &tables("", ""), &upstream);
    let address = gateway.running().address();
    let caller = |first: usize| {
        let mut client = Client::connect(address);
        let mut whole = 0;
        for number in (first..1000).step_by(4) {
            let path = format!("/free/{number}");
            client.send(head("GET", &path, &[]));
            let response = client.response();
            if response.whole && response.status() == 200 {
                assert_eq!(response.text(), path);
                whole += 1;
                continue;
            }
            assert!(number % 11 < 6, "{number}: {response:?}");
            client = Client::connect(address);
        }
        whole
    };
    let whole: usize = std::thread::scope(|scope| {
        let callers: Vec<_> = (0..4).map(|first| scope.spawn(move || caller(first))).collect();
        callers.into_iter().map(|caller| caller.join().unwrap()).sum()
    });
    let good = (0..1000).filter(|number| matches!(number % 11, 2 | 6..)).count();
    assert_eq!(whole, good);
}
