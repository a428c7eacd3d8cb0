//! The sender's own side fails: the outbox, the process, the code.

use std::sync::Arc;

use faregate::webhooks::{Trust, Verdict};

use super::{Bench, Names, endpoint, ids};
use crate::support::{Then, Upstream, upstream::OK, wait_for};

const DELIVERED: Verdict = Verdict::Delivered { status: 200 };

/// Between the receiver's answer and the outbox's word nothing else of the lane is sent, and a
/// record is given until it is kept.
#[test]
fn record_is_given_until_it_is_kept() {
    let receiver = Upstream::answering(OK, Then::Close);
    let bench = Bench::start(&Names::of("hooks.test", receiver.address()));
    bench.outbox.fail_records(1);
    let endpoint = endpoint("one", "http://hooks.test/", Trust::Operator);
    let sent = [bench.add(&endpoint, "acme"), bench.add(&endpoint, "acme")];
    assert_eq!(bench.outbox.wait_for(2), [DELIVERED; 2]);
    assert_eq!(ids(&receiver.requests()), sent);
}

/// What a crash between the answer and the record loses is sent again under the same id.
#[test]
fn delivery_without_a_record_is_sent_again() {
    let receiver = Upstream::answering(OK, Then::Close);
    let names = Names::of("hooks.test", receiver.address());
    let bench = Bench::start(&names);
    bench.outbox.fail_records(usize::MAX);
    let endpoint = endpoint("one", "http://hooks.test/", Trust::Operator);
    let (first, second) = (bench.add(&endpoint, "acme"), bench.add(&endpoint, "acme"));
    let outbox = Arc::clone(&bench.outbox);
    wait_for("a failed record", || (outbox.record_failures_left() < usize::MAX).then_some(()));
    let outbox = bench.stop();
    assert_eq!((receiver.count(), outbox.records()), (1, 0));

    outbox.fail_records(0);
    let bench = Bench::start_again(&names, outbox);
    assert_eq!(bench.outbox.wait_for(2), [DELIVERED; 2]);
    assert_eq!(ids(&receiver.requests()), [first.clone(), first, second]);
}

#[test]
fn stop_gives_up_what_is_in_flight() {
    let silent = Upstream::start(|exchange| {
        exchange.read_body()?;
        Ok(Then::Silence)
    });
    let names = Names::of("hooks.test", silent.address());
    let bench = Bench::start(&names);
    let sent = bench.add(&endpoint("one", "http://hooks.test/", Trust::Operator), "acme");
    silent.wait_for(1);
    let outbox = bench.stop();
    silent.wait_closed(1);
    assert_eq!(outbox.records(), 0);

    let receiver = Upstream::answering(OK, Then::Close);
    names.set("hooks.test", receiver.address());
    let bench = Bench::start_again(&names, outbox);
    assert_eq!(bench.outbox.wait_for(1), [DELIVERED]);
    assert_eq!(ids(&receiver.requests()), [sent]);
}

#[test]
fn outbox_that_fails_is_asked_again() {
    let receiver = Upstream::answering(OK, Then::Close);
    let bench = Bench::start(&Names::of("hooks.test", receiver.address()));
    bench.outbox.fail_due(2);
    bench.add(&endpoint("one", "http://hooks.test/", Trust::Operator), "acme");
    assert_eq!(bench.outbox.wait_for(1), [DELIVERED]);
}

#[test]
fn panic_in_an_attempt_is_a_failure() {
    let receiver = Upstream::answering(OK, Then::Close);
    let bench = Bench::start(&Names::of("hooks.test", receiver.address()));
    bench.add(&endpoint("bad", "http://panic.test/", Trust::Operator), "acme");
    let verdicts = bench.outbox.wait_for(1);
    let Verdict::Retry { failure, .. } = &verdicts[0] else { panic!("{verdicts:?}") };
    assert_eq!(failure.reason, "an internal error");
    bench.add(&endpoint("good", "http://hooks.test/", Trust::Operator), "acme");
    assert_eq!(bench.outbox.wait_for(2)[1], DELIVERED);
}

#[test]
fn panic_in_the_outbox_frees_the_lane() {
    let receiver = Upstream::answering(OK, Then::Close);
    let bench = Bench::start(&Names::of("hooks.test", receiver.address()));
    bench.outbox.panic_at_record();
    let sent = bench.add(&endpoint("one", "http://hooks.test/", Trust::Operator), "acme");
    assert_eq!(bench.outbox.wait_for(1), [DELIVERED]);
    assert_eq!(ids(&receiver.requests()), [sent.clone(), sent]);
}
