//! How streams end, and what is charged by that: the same as where each has a connection of its own.

use std::{
    sync::{Mutex, mpsc},
    time::Duration,
};

use tokio::time::Instant;

use super::{
    COST, assert_ended,
    caller::{Call, Caller, keyed},
    raw::{self, DATA, END_STREAM, GOAWAY, HEADERS, PROTOCOL_ERROR, RST_STREAM, Raw, frame},
    start, tables,
};
use crate::support::{Exchange, Gateway, KEY, Then, Upstream, upstream::OK, wait_for};

const INTERNAL_ERROR: u32 = 2;

/// Sends the first bytes of a long body, then nothing.
fn half_an_answer() -> Upstream {
    let answer = "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n0123456789";
    Upstream::answering(answer, Then::Silence)
}

fn reads_and_never_answers() -> Upstream {
    Upstream::answering("", Then::Silence)
}

/// Answers each request when it is told to.
fn held() -> (mpsc::Sender<()>, Upstream) {
    let (go, wait) = mpsc::channel::<()>();
    let wait = Mutex::new(wait);
    let upstream = Upstream::start(move |exchange: &mut Exchange<'_>| {
        if exchange.request().target() == "/paid/held" {
            let _ = wait.lock().unwrap().recv();
        }
        exchange.send(OK)?;
        Ok(Then::KeepAlive)
    });
    (go, upstream)
}

fn begin(caller: &Caller, path: &str) -> Call {
    caller.begin("GET", path, &keyed(), true)
}

#[test]
fn stream_that_is_reset_before_the_head_is_abandoned() {
    let upstream = reads_and_never_answers();
    let gateway = start("", &upstream);
    let caller = Caller::open(&gateway);
    let call = begin(&caller, "/paid/x");
    upstream.wait_for(1);
    call.reset();
    upstream.wait_closed(1);
    assert_ended(&gateway, &[("abandoned", 1, COST)]);
}

#[test]
fn stream_that_is_reset_amid_the_answer_is_aborted() {
    let upstream = half_an_answer();
    let gateway = start("", &upstream);
    let mut raw = Raw::open(gateway.running().address());
    raw.send(raw::get(1, "/paid/x"));
    assert_eq!(raw.answer(1).unwrap().kind, HEADERS);
    raw.send(frame(RST_STREAM, 0, 1, &8_u32.to_be_bytes()));
    upstream.wait_closed(1);
    assert_ended(&gateway, &[("aborted", 1, COST)]);
    // The connection goes on.
    raw.send(raw::get(3, "/free/x"));
    assert_eq!(raw.answer(3).unwrap().kind, HEADERS);
}

/// A client that vanishes leaves nothing open, however much was in flight.
#[test]
fn every_stream_of_a_broken_connection_is_settled() {
    const STREAMS: u64 = 50;
    for (upstream, ending) in
        [(reads_and_never_answers(), "abandoned"), (half_an_answer(), "aborted")]
    {
        let gateway = start("", &upstream);
        let caller = Caller::open(&gateway);
        let calls: Vec<_> = (0..STREAMS).map(|_| begin(&caller, "/paid/x")).collect();
        upstream.wait_for(STREAMS as usize);
        let mut bodies = Vec::new();
        for call in calls {
            if ending == "aborted" {
                bodies.push(caller.head(call).unwrap());
            }
        }
        caller.close();
        upstream.wait_closed(STREAMS as usize);
        assert_ended(&gateway, &[(ending, STREAMS, STREAMS * COST)]);
    }
}

/// No answer that is cut looks whole.
#[test]
fn answer_that_the_upstream_cuts_is_reset_and_truncated() {
    let chunks = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\na\r\n0123456789\r\n";
    for (answer, then) in [
        ("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n0123456789", Then::Close),
        ("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n0123456789", Then::Silence),
        (chunks, Then::Close),
        (chunks, Then::Reset),
    ] {
        let upstream = Upstream::answering(answer, then);
        let gateway = Gateway::start(&tables("", "idle_timeout = \"200ms\""), &upstream);
        let caller = Caller::open(&gateway);
        let (response, broken) = caller.response_or_reset(begin(&caller, "/paid/x")).unwrap();
        assert_eq!((response.status(), response.whole), (200, false));
        assert_eq!(broken, Some(h2::Reason::INTERNAL_ERROR));
        assert_ended(&gateway, &[("truncated", 1, COST)]);
        assert_eq!(caller.get("/paid/none", "wrong").status(), 401, "the connection goes on");
    }
}

/// What comes of a body must be as long as its head says, or it is malformed; what got part of it is not used
/// again.
#[test]
fn body_of_another_length_than_it_says_is_abandoned() {
    for (body, flags) in [(&b"123"[..], END_STREAM), (b"12345", 0)] {
        let upstream = Upstream::start(|exchange: &mut Exchange<'_>| {
            exchange.read_body()?;
            exchange.send(OK)?;
            Ok(Then::KeepAlive)
        });
        let gateway = start("", &upstream);
        let mut raw = Raw::open(gateway.running().address());
        raw.send(raw::post(1, "/paid/x", &[("content-length", "4")]));
        upstream.wait_for(1);
        raw.send(frame(DATA, flags, 1, body));
        let answer = raw.answer(1).unwrap();
        assert_eq!((answer.kind, answer.reason()), (RST_STREAM, PROTOCOL_ERROR));
        upstream.wait_closed(1);
        assert_ended(&gateway, &[("abandoned", 1, COST)]);
        raw.send(raw::get(3, "/paid/x"));
        assert_eq!(raw.answer(3).unwrap().kind, HEADERS);
        assert_eq!(upstream.connections(), 2);
    }
}

/// The answer counts although the upload is still on its way; what is left of that is not wanted, which is no
/// error.
#[test]
fn answer_before_the_upload_is_whole_is_completed() {
    let upstream = Upstream::start(|exchange: &mut Exchange<'_>| {
        exchange.send(OK)?;
        Ok(Then::Silence)
    });
    let gateway = start("", &upstream);
    let mut raw = Raw::open(gateway.running().address());
    raw.send(raw::post(1, "/paid/x", &[("content-length", "1000")]));
    raw.send(frame(DATA, 0, 1, b"half"));
    assert_eq!(raw.answer(1).unwrap().kind, HEADERS);
    let end = raw.answer(1).unwrap();
    assert_eq!((end.kind, end.reason()), (RST_STREAM, 0));
    upstream.wait_closed(1);
    assert_ended(&gateway, &[("completed", 1, COST)]);
}

/// The clocks of a request run for each stream.
#[test]
fn stream_whose_time_is_over_is_cut_alone() {
    for (limits, upstream_lines, answer, ending, units) in [
        ("idle_timeout = \"300ms\"", "", "", "failed", 0),
        ("request_timeout = \"300ms\"", "", "", "failed", 0),
        (
            "request_timeout = \"300ms\"",
            "",
            "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nab",
            "expired",
            COST,
        ),
        (
            "",
            "idle_timeout = \"300ms\"",
            "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nab",
            "truncated",
            COST,
        ),
    ] {
        let upstream = Upstream::answering(answer, Then::Silence);
        let gateway = Gateway::start(&tables(limits, upstream_lines), &upstream);
        let caller = Caller::open(&gateway);
        let (response, broken) = caller.response_or_reset(begin(&caller, "/paid/x")).unwrap();
        match answer {
            "" => assert_eq!(response.verdict(), "504 upstream_timeout"),
            _ => assert_eq!(broken, Some(h2::Reason::INTERNAL_ERROR)),
        }
        assert_ended(&gateway, &[(ending, 1, units)]);
        assert_eq!(caller.get("/paid/none", "wrong").status(), 401, "the connection goes on");
    }
}

/// A client that opens no window takes nothing, and one that opens it a little takes too little.
#[test]
fn caller_that_takes_nothing_has_aborted() {
    let upstream = Upstream::start(|exchange: &mut Exchange<'_>| {
        exchange.send("HTTP/1.1 200 OK\r\nContent-Length: 100000000\r\n\r\n")?;
        loop {
            exchange.send(vec![b'x'; 1 << 20])?;
        }
    });
    let gateway = start("idle_timeout = \"500ms\"", &upstream);
    for window in [0, 1000] {
        let mut raw = Raw::open_with(gateway.running().address(), &[(4, window)]);
        raw.send(raw::get(1, "/paid/x"));
        assert_eq!(raw.answer(1).unwrap().kind, HEADERS);
        let end = raw.answer(1).unwrap();
        assert_eq!((end.kind, end.reason()), (RST_STREAM, INTERNAL_ERROR));
    }
    assert_ended(&gateway, &[("aborted", 2, 2 * COST)]);
}

/// Who opens the window a little now and then is never silent, and takes too little all the same; others on the
/// connection are served meanwhile.
#[test]
fn caller_that_takes_too_little_has_aborted() {
    let upstream = Upstream::start(|exchange: &mut Exchange<'_>| {
        if exchange.request().target() == "/free/x" {
            exchange.send(OK)?;
            return Ok(Then::KeepAlive);
        }
        exchange.send("HTTP/1.1 200 OK\r\nContent-Length: 100000000\r\n\r\n")?;
        loop {
            exchange.send(vec![b'x'; 1 << 20])?;
        }
    });
    let gateway = start("idle_timeout = \"2s\"\nminimum_rate = \"1KiB\"", &upstream);
    let mut raw = Raw::open_with(gateway.running().address(), &[(4, 10)]);
    raw.send(raw::get(1, "/paid/x"));
    assert_eq!(raw.answer(1).unwrap().kind, HEADERS);
    let begun = Instant::now();
    let mut stream = 3;
    let end = loop {
        std::thread::sleep(Duration::from_millis(500));
        let _ = raw.try_send(frame(raw::WINDOW_UPDATE, 0, 1, &10_u32.to_be_bytes()));
        raw.send(raw::get(stream, "/free/x"));
        let answer = loop {
            let frame = raw.frame().unwrap();
            let is_end = frame.stream == 1 && frame.kind == RST_STREAM;
            if is_end || frame.stream == stream && frame.kind == HEADERS {
                break frame;
            }
        };
        if answer.kind == RST_STREAM {
            break answer;
        }
        stream += 2;
    };
    assert_eq!(end.reason(), INTERNAL_ERROR);
    let took = begun.elapsed();
    assert!((Duration::from_secs(4)..Duration::from_secs(9)).contains(&took), "{took:?}");
    assert_ended(&gateway, &[("aborted", 1, COST)]);
}

/// What a refusal says needs room too, and waits no longer for it than an answer does.
#[test]
fn refusal_that_nobody_takes_is_cut() {
    let upstream = Upstream::ok();
    let gateway = start("idle_timeout = \"300ms\"", &upstream);
    let mut raw = Raw::open_with(gateway.running().address(), &[(4, 0)]);
    let keyless = raw::block(&raw::pseudo("GET", "/paid/x"));
    raw.send(frame(HEADERS, 5, 1, &keyless));
    assert_eq!(raw.answer(1).unwrap().kind, HEADERS);
    assert_eq!(raw.answer(1).unwrap().kind, RST_STREAM);
    // A connection that carries nothing ends soon after, in good order.
    assert_eq!(raw.reason_of_end(), Some(0));
    assert_eq!((upstream.count(), gateway.used("acme")), (0, (0, 0)));
}

/// An upload that nothing comes of is answered, as on HTTP/1.1.
#[test]
fn upload_that_stalls_has_failed() {
    let upstream = Upstream::start(|exchange: &mut Exchange<'_>| {
        exchange.read_body()?;
        Ok(Then::KeepAlive)
    });
    let gateway = start("idle_timeout = \"300ms\"", &upstream);
    let caller = Caller::open(&gateway);
    let fields = [("x-api-key", KEY), ("content-length", "10")];
    let mut call = caller.begin("POST", "/paid/x", &fields, false);
    call.send("half", false);
    let response = caller.response(call).unwrap();
    assert_eq!(response.status(), 408, "{response:?}");
    assert_ended(&gateway, &[("failed", 1, 0)]);
}

/// An answer that outlives its key is broken off, whether something comes of it or not.
#[test]
fn answer_that_outlives_its_key_is_cut() {
    let upstream = half_an_answer();
    let gateway = start("", &upstream);
    let caller = Caller::open(&gateway);
    let (_, body) = caller.head(begin(&caller, "/paid/x")).unwrap();
    let revoked = "digest = \"key:key-of-acme\", status = \"revoked\"";
    let text = tables("", "").replace("digest = \"key:key-of-acme\"", revoked);
    gateway.write(&text.replace("@UPSTREAM@", &upstream.address().to_string()));
    assert_eq!(gateway.admin("POST", "/v1/reload").status(), 200);
    assert_eq!(caller.rest(body).1, Some(h2::Reason::INTERNAL_ERROR));
    gateway.wait_recorded("acme", &[("expired", 1, COST)]);
}

/// A stop takes no more streams, and each that was taken is answered and charged once.
#[test]
fn streams_in_flight_end_whole_before_a_stop() {
    const STREAMS: u64 = 20;
    let (go, upstream) = held();
    let mut gateway = start("", &upstream);
    let (caller, unused) = (Caller::open(&gateway), Caller::open(&gateway));
    assert_eq!(unused.get("/paid/x", KEY).status(), 200);
    let calls: Vec<_> = (0..STREAMS).map(|_| begin(&caller, "/paid/held")).collect();
    upstream.wait_for(1 + STREAMS as usize);
    let begun = Instant::now();
    let stopping = std::thread::spawn(move || {
        gateway.restart();
        gateway
    });
    unused.wait_ended().unwrap();
    assert!(begun.elapsed() < Duration::from_secs(3), "{:?}", begun.elapsed());
    caller.wait_going_away();
    for _ in 0..STREAMS {
        go.send(()).unwrap();
    }
    for call in calls {
        let answer = caller.response(call).unwrap();
        assert_eq!((answer.status(), answer.text()), (200, "ok\n"));
    }
    caller.wait_ended().unwrap();
    let units = (1 + STREAMS) * COST;
    assert_ended(&stopping.join().unwrap(), &[("completed", 1 + STREAMS, units)]);
}

/// Where the time for that is over, what has no answer is told, and what has half of one is cut.
#[test]
fn streams_are_told_or_cut_where_a_stop_cannot_wait() {
    let upstream = Upstream::start(|exchange: &mut Exchange<'_>| {
        if exchange.request().target() == "/paid/half" {
            exchange.send("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n0123456789")?;
        }
        Ok(Then::Silence)
    });
    let server = "[server]\nlisten = \"127.0.0.1:0\"\nworkers = 1\ndrain_timeout = \"300ms\"\n";
    let mut gateway = Gateway::start(&format!("{server}{}", tables("", "")), &upstream);
    let caller = Caller::open(&gateway);
    let (unanswered, half) = (begin(&caller, "/paid/x"), begin(&caller, "/paid/half"));
    upstream.wait_for(2);
    let (_, body) = caller.head(half).unwrap();
    gateway.restart();
    let told = caller.response(unanswered).unwrap();
    assert_eq!(told.verdict(), "503 overloaded");
    assert_eq!(told.field("retry-after"), Some("1"));
    assert_eq!(caller.rest(body).1, Some(h2::Reason::INTERNAL_ERROR));
    assert_ended(&gateway, &[("expired", 1, COST), ("failed", 1, 0)]);
}

/// A connection ends where it begins with nothing, dawdles over a head, or carries nothing for too long.
#[test]
fn connections_end_that_do_nothing() {
    let upstream = reads_and_never_answers();
    let limits = "header_timeout = \"400ms\"\nidle_timeout = \"1200ms\"";
    let gateway = start(limits, &upstream);
    let address = gateway.running().address();
    let took = |mut raw: Raw| {
        let begun = Instant::now();
        let reason = raw.reason_of_end();
        (reason, begun.elapsed())
    };
    let is_in = |took: Duration, from: u64, to: u64| {
        assert!(
            (Duration::from_millis(from)..Duration::from_millis(to)).contains(&took),
            "{took:?}"
        );
    };
    let mut half = gateway.client();
    half.send(b"PRI * HTTP/2.0\r\n");
    let begun = Instant::now();
    half.expect_closed();
    is_in(begun.elapsed(), 300, 1000);
    let (reason, time) = took(Raw::open(address));
    assert_eq!(reason, Some(0));
    is_in(time, 1000, 3000);
    // PINGs are no reason to keep it.
    let mut pinging = Raw::open(address);
    let begun = Instant::now();
    while pinging.try_send(frame(raw::PING, 0, 0, &[0; 8])).is_ok() {
        assert!(begun.elapsed() < Duration::from_secs(5), "it goes on");
        std::thread::sleep(Duration::from_millis(50));
    }
    // A head that drips in holds up everything else on its connection.
    let mut dripping = Raw::open(address);
    dripping.send(raw::get(1, "/paid/x"));
    upstream.wait_for(1);
    let head = raw::get(3, "/paid/x");
    dripping.send(&head[..20]);
    let (reason, time) = took(dripping);
    assert_eq!(reason, Some(0));
    is_in(time, 300, 1100);
    assert_ended(&gateway, &[("abandoned", 1, COST)]);
}

/// What a client is told of the end says which streams were never looked at.
#[test]
fn end_of_a_connection_names_the_last_stream() {
    let upstream = Upstream::ok();
    let gateway = start("idle_timeout = \"300ms\"", &upstream);
    let mut raw = Raw::open(gateway.running().address());
    raw.send([raw::get(1, "/free/x"), raw::get(5, "/free/x")].concat());
    let last = wait_for("a GOAWAY", || raw.frame().filter(|frame| frame.kind == GOAWAY));
    assert_eq!(last.payload[..4], 5_u32.to_be_bytes());
}
