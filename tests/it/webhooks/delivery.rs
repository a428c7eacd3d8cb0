//! Each event arrives, in order, through everything a receiver can do.

use std::{
    collections::HashSet,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use faregate::webhooks::{Roots, Trust, Verdict};

use super::{Bench, MemoryOutbox, Names, bench::start, client, customer, endpoint, ids, verify};
use crate::support::{
    Then, Upstream,
    upstream::{OK, Received},
};

const ERROR: &str = "HTTP/1.1 500 Internal Server Error\r\nContent-Length: 0\r\n\r\n";

fn of(receiver: &Upstream, name: &str) -> Vec<Received> {
    receiver.requests().into_iter().filter(|message| customer(message) == name).collect()
}

fn reason(verdict: &Verdict) -> &str {
    match verdict {
        Verdict::Dead(failure) | Verdict::Retry { failure, .. } => &failure.reason,
        Verdict::Delivered { .. } | Verdict::Gone => panic!("no failure: {verdict:?}"),
    }
}

/// The receiver is down, then silent, then broken, then well; but well to another customer's events
/// as soon as it is up.
#[test]
fn every_event_arrives_once_and_in_order() {
    let tries = AtomicUsize::new(0);
    let receiver = Upstream::start(move |exchange| {
        exchange.read_body()?;
        if customer(exchange.request()) == "acme" {
            match tries.fetch_add(1, Ordering::Relaxed) {
                0 => return Ok(Then::Silence),
                1 => {
                    exchange.send(ERROR)?;
                    return Ok(Then::Close);
                }
                _ => {}
            }
        }
        exchange.send(OK)?;
        Ok(Then::Close)
    });
    let names = Names::of("hooks.test", Upstream::nowhere());
    let client = client(&names, Roots::Only(Vec::new()), Duration::from_secs(2));
    let bench = Bench::start_with(client, Arc::default());
    let endpoint = endpoint("one", "http://hooks.test/in", Trust::Operator);
    let send = |name: &str| [(); 3].map(|()| bench.add(&endpoint, name));
    let (acme, globex) = (send("acme"), send("globex"));

    for verdict in bench.outbox.wait_for(2) {
        assert_eq!(reason(&verdict), "no connection: connection refused");
    }
    names.set("hooks.test", receiver.address());
    bench.advance(Duration::from_secs(6));
    // All of one customer's while the first of the other's is in flight.
    let verdicts = bench.outbox.wait_for(5);
    assert_eq!(verdicts[2..], [(); 3].map(|()| Verdict::Delivered { status: 200 }));
    assert_eq!(ids(&of(&receiver, "globex")), globex);
    let silent = &bench.outbox.wait_for(6)[5];
    assert_eq!(reason(silent), "no answer within 2 s");
    bench.advance(Duration::from_secs(330));
    let broken = &bench.outbox.wait_for(7)[6];
    assert_eq!(reason(broken), "the receiver answered 500");
    let last = bench.now() + Duration::from_secs(1980);
    bench.set(last);
    bench.outbox.wait_for(10);

    let [first, second, third] = acme;
    let tried = [first.clone(), first.clone(), first, second, third];
    let received = of(&receiver, "acme");
    assert_eq!(ids(&received), tried);
    // Each attempt is signed in its own time, and sends the same bytes.
    let seconds: Vec<i64> = received.iter().map(|message| verify(message).1).collect();
    let now = last.as_second();
    assert_eq!(seconds, [now - 2310, now - 1980, now, now, now]);
    assert!(received[..3].iter().all(|message| message.body == received[0].body));
    assert_eq!(bench.outbox.records(), 10);
}

/// Of what is due the slow receiver's is the oldest and the most.
#[test]
fn slow_receiver_does_not_stop_others() {
    let slow = Upstream::start(|exchange| {
        exchange.read_body()?;
        Ok(Then::Silence)
    });
    let fast = Upstream::answering(OK, Then::Close);
    let names = Names::of("slow.test", slow.address());
    names.set("fast.test", fast.address());
    let outbox = Arc::new(MemoryOutbox::default());
    for name in ["slow", "fast"] {
        let endpoint = endpoint(name, &format!("http://{name}.test/"), Trust::Operator);
        for number in 0..40 {
            outbox.add(&endpoint, &format!("customer-{number}"), start());
        }
    }
    let bench = Bench::start_again(&names, outbox);
    let verdicts = bench.outbox.wait_for(40);
    assert_eq!(verdicts, vec![Verdict::Delivered { status: 200 }; 40]);
    slow.wait_for(4);
    drop(bench);
    assert_eq!((slow.count(), fast.count()), (4, 40));
}

#[test]
fn attempts_are_bounded_in_all() {
    let slow = Upstream::start(|exchange| {
        exchange.read_body()?;
        Ok(Then::Silence)
    });
    let outbox = Arc::new(MemoryOutbox::default());
    for number in 0..6 {
        let endpoint = endpoint(&number.to_string(), "http://slow.test/", Trust::Operator);
        for customer in ["a", "b", "c", "d", "e"] {
            outbox.add(&endpoint, customer, start());
        }
    }
    let bench = Bench::start_again(&Names::of("slow.test", slow.address()), outbox);
    slow.wait_for(16);
    bench.stop();
    assert_eq!(slow.count(), 16);
}

#[test]
fn many_events_of_many_customers_arrive_in_order() {
    let receiver = Upstream::answering(OK, Then::Close);
    let bench = Bench::start(&Names::of("hooks.test", receiver.address()));
    let endpoint = endpoint("one", "http://hooks.test/", Trust::Operator);
    let names: Vec<String> = (0..8).map(|number| format!("customer-{number}")).collect();
    let mut sent = Vec::new();
    for _ in 0..10 {
        for name in &names {
            sent.push((name, bench.add(&endpoint, name)));
        }
    }
    bench.outbox.wait_for(80);
    for name in &names {
        let own = sent.iter().filter(|(customer, _)| *customer == name);
        let expected: Vec<_> = own.map(|(_, id)| id.clone()).collect();
        assert_eq!(ids(&of(&receiver, name)), expected);
    }
    let all: HashSet<_> = ids(&receiver.requests()).into_iter().collect();
    assert_eq!((receiver.count(), all.len()), (80, 80));
}

#[test]
fn retry_after_is_honoured() {
    let tries = AtomicUsize::new(0);
    let receiver = Upstream::start(move |exchange| {
        exchange.read_body()?;
        exchange.send(match tries.fetch_add(1, Ordering::Relaxed) {
            0 => "HTTP/1.1 503 Busy\r\nRetry-After: 3600\r\nContent-Length: 0\r\n\r\n",
            _ => OK,
        })?;
        Ok(Then::Close)
    });
    let bench = Bench::start(&Names::of("hooks.test", receiver.address()));
    let start = bench.now();
    bench.add(&endpoint("one", "http://hooks.test/", Trust::Operator), "acme");
    let Verdict::Retry { due, failure } = &bench.outbox.wait_for(1)[0] else { panic!() };
    assert_eq!((*due, failure.status), (start + Duration::from_secs(3600), Some(503)));
    let early = start + Duration::from_secs(3599);
    bench.set(early);
    bench.outbox.wait_asked(early);
    assert_eq!(receiver.count(), 1);
    bench.set(*due);
    assert_eq!(bench.outbox.wait_for(2)[1], Verdict::Delivered { status: 200 });
}

#[test]
fn dead_delivery_makes_way_after_three_days() {
    let receiver = Upstream::answering(ERROR, Then::Close);
    let bench = Bench::start(&Names::of("hooks.test", receiver.address()));
    let endpoint = endpoint("one", "http://hooks.test/", Trust::Operator);
    let (start, first) = (bench.now(), bench.add(&endpoint, "acme"));
    let second = bench.add(&endpoint, "acme");
    for attempt in 1..10 {
        let verdicts = bench.outbox.wait_for(attempt);
        assert!(matches!(verdicts[attempt - 1], Verdict::Retry { .. }), "{verdicts:?}");
        bench.set(bench.outbox.next_due());
    }
    let verdicts = bench.outbox.wait_for(11);
    assert!(matches!(&verdicts[9], Verdict::Dead(failure) if failure.status == Some(500)));
    assert!(matches!(verdicts[10], Verdict::Retry { .. }));
    let mut expected = vec![first; 10];
    expected.push(second);
    assert_eq!(ids(&receiver.requests()), expected);
    let hours = bench.now().duration_since(start).as_hours();
    assert!((75..83).contains(&hours), "{hours}");
}

#[test]
fn gone_endpoint_is_left_alone() {
    let gone = "HTTP/1.1 410 Gone\r\nContent-Length: 0\r\n\r\n";
    let (closed, open) =
        (Upstream::answering(gone, Then::Close), Upstream::answering(OK, Then::Close));
    let names = Names::of("closed.test", closed.address());
    names.set("open.test", open.address());
    let bench = Bench::start(&names);
    let to_closed = endpoint("closed", "http://closed.test/", Trust::Operator);
    let to_open = endpoint("open", "http://open.test/", Trust::Operator);
    bench.add(&to_closed, "acme");
    assert_eq!(bench.outbox.wait_for(1), [Verdict::Gone]);
    bench.add(&to_closed, "acme");
    bench.add(&to_closed, "globex");
    bench.advance(Duration::from_secs(100 * 3600));
    bench.add(&to_open, "acme");
    assert_eq!(bench.outbox.wait_for(2)[1], Verdict::Delivered { status: 200 });
    assert_eq!((closed.count(), open.count()), (1, 1));
}
