//! Where a webhook is never sent: behind a redirect, and for customers off the public internet.

use std::{sync::Arc, time::Duration};

use faregate::webhooks::{
    Client, Roots, SystemResolver, Target, TargetError, Timing, Trust, Verdict,
};

use super::{Bench, Names, endpoint};
use crate::support::{Then, Upstream, upstream::OK};

fn reason(verdict: &Verdict) -> &str {
    let Verdict::Retry { failure, .. } = verdict else { panic!("{verdict:?}") };
    &failure.reason
}

#[test]
fn redirect_is_not_followed() {
    let behind = Upstream::ok();
    for status in ["301 Moved", "302 Found", "303 See Other", "307 Temporary", "308 Permanent"] {
        let location = format!("http://{}/", behind.address());
        let answer =
            format!("HTTP/1.1 {status}\r\nLocation: {location}\r\nContent-Length: 0\r\n\r\n");
        let receiver = Upstream::answering(answer, Then::Close);
        let bench = Bench::start(&Names::of("hooks.test", receiver.address()));
        bench.add(&endpoint("one", "http://hooks.test/", Trust::Operator), "acme");
        let verdicts = bench.outbox.wait_for(1);
        assert!(reason(&verdicts[0]).contains("redirects are not followed"), "{verdicts:?}");
        assert_eq!(receiver.count(), 1);
    }
    assert_eq!(behind.connections(), 0);
}

#[test]
fn customers_address_must_be_public() {
    let listener = Upstream::answering(OK, Then::Close);
    let port = listener.address().port();
    for host in ["127.0.0.1", "[::ffff:127.0.0.1]", "169.254.169.254", "[::1]"] {
        let refused = Target::parse(&format!("http://{host}:{port}/"), Trust::Tenant);
        assert!(matches!(refused, Err(TargetError::Forbidden(_))), "{host}");
    }
    // The same place through a name, which can be told only at connect time.
    let names = Names::of("rebound.test", listener.address());
    let bench = Bench::start(&names);
    bench.add(&endpoint("tenant", "http://rebound.test/", Trust::Tenant), "acme");
    let verdicts = bench.outbox.wait_for(1);
    assert!(reason(&verdicts[0]).contains("not on the public internet"), "{verdicts:?}");
    assert_eq!((listener.connections(), names.asked()), (0, 1));
    // And the listener is there: the operator may send to it, after one look-up.
    bench.add(&endpoint("operator", "http://rebound.test/", Trust::Operator), "acme");
    assert_eq!(bench.outbox.wait_for(2)[1], Verdict::Delivered { status: 200 });
    assert_eq!((listener.connections(), names.asked()), (1, 2));
}

#[test]
fn systems_own_names_are_checked_too() {
    let listener = Upstream::answering(OK, Then::Close);
    let timing = Timing { open: Duration::from_secs(10), ..Timing::default() };
    let client = Client::new(Arc::new(SystemResolver), Roots::Only(Vec::new()), timing).unwrap();
    let bench = Bench::start_with(client, Arc::default());
    let url = format!("http://localhost:{}/", listener.address().port());
    bench.add(&endpoint("tenant", &url, Trust::Tenant), "acme");
    let verdicts = bench.outbox.wait_for(1);
    assert!(reason(&verdicts[0]).contains("not on the public internet"), "{verdicts:?}");
    assert_eq!(listener.connections(), 0);
    bench.add(&endpoint("operator", &url, Trust::Operator), "acme");
    assert_eq!(bench.outbox.wait_for(2)[1], Verdict::Delivered { status: 200 });
}
