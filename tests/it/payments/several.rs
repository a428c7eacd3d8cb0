//! Several who settle payments: who is asked, and that one payment is settled by one of them.

use super::*;

/// A gateway with a list of them: the one of the stage is the last.
fn stage(before: &[String]) -> Stage {
    let (upstream, facilitator) = (Upstream::ok(), Facilitator::start());
    let mut urls = before.to_vec();
    urls.push(facilitator.url());
    let tables = TABLES.replace("\"@FACILITATOR@\"", &format!("{urls:?}"));
    let tables = tables.replace("@UPSTREAM@", &upstream.address().to_string());
    let gateway = Gateway::start(&tables, &upstream);
    Stage { gateway, upstream, facilitator, tables }
}

fn asked(facilitator: &Facilitator) -> [usize; 3] {
    ["supported", "verify", "settle"].map(|path| facilitator.asked(path))
}

#[test]
fn earlier_one_settles_and_the_next_where_it_does_not_or_cannot_be_asked() {
    let first = Facilitator::start();
    let stage = stage(&[first.url()]);
    let wallet = Wallet::new(7);
    let pay = |nonce| stage.ask("/weather/x", &[&stage.payment(&wallet, "/weather/x", nonce)]);
    assert_eq!(pay(1).status(), 200);
    assert_eq!((asked(&first), asked(&stage.facilitator)), ([1, 1, 1], [0, 0, 0]));
    // What it says it settles is kept; that it does not answer is seen each time.
    first.set(Mood::Redirects("verify"));
    assert_eq!(pay(2).status(), 200);
    assert_eq!((asked(&first), asked(&stage.facilitator)), ([1, 2, 1], [1, 1, 1]));
    // That a payment is not good is nobody else's to judge again.
    first.set(Mood::RefusesToVerify("insufficient_funds"));
    assert_eq!(pay(3).verdict(), "402 payment_invalid");
    assert_eq!((asked(&first), asked(&stage.facilitator)), ([1, 3, 1], [1, 1, 1]));
    assert_eq!((first.transfers(), stage.facilitator.transfers()), (1, 1));
    stage.assert_adds_up();
}

#[test]
fn one_that_settles_elsewhere_or_is_not_there_is_passed_over() {
    let elsewhere = Facilitator::start();
    elsewhere.set(Mood::Elsewhere);
    let nowhere = format!("http://{}/x402", Upstream::nowhere());
    let stage = stage(&[nowhere, elsewhere.url()]);
    let wallet = Wallet::new(7);
    for nonce in 1..=2 {
        let payment = stage.payment(&wallet, "/weather/x", nonce);
        assert_eq!(stage.ask("/weather/x", &[&payment]).status(), 200);
    }
    assert_eq!((asked(&elsewhere), asked(&stage.facilitator)), ([1, 0, 0], [1, 2, 2]));
    // Where nobody settles it, nobody is asked to, and nothing moves.
    let (upstream, nowhere) = (Upstream::ok(), format!("http://{}", Upstream::nowhere()));
    let both = format!("{:?}", [nowhere, elsewhere.url()]);
    let gateway = Gateway::start(&TABLES.replace("\"@FACILITATOR@\"", &both), &upstream);
    let offered = offer(&gateway.request("GET", "/maps", &[]));
    let payment = wallet.field(&Order::of(&offered, 9));
    assert_eq!(gateway.request("GET", "/maps", &[&payment]).verdict(), "503 payment_unavailable");
    assert_eq!((asked(&elsewhere)[1], upstream.count()), (0, 0));
}

/// What became of a settlement is asked where it was asked for, also after a restart, and whoever comes first then.
#[test]
fn settlement_that_is_unknown_is_asked_for_at_the_same_one() {
    let first = Facilitator::start();
    let mut stage = stage(&[first.url()]);
    first.set(Mood::Elsewhere);
    let wallet = Wallet::new(7);
    let payment = stage.payment(&wallet, "/weather/x", 1);
    stage.facilitator.set(Mood::ResetsAfter);
    assert_eq!(stage.ask("/weather/x", &[&payment]).verdict(), "409 payment_pending");
    first.set(Mood::Good);
    stage.gateway.restart();
    stage.facilitator.set(Mood::Good);
    wait_for("the outcome", || (!stage.entries(&wallet.address()).is_empty()).then_some(()));
    assert_eq!(stage.ask("/weather/x", &[&payment]).status(), 200);
    assert!(stage.facilitator.asked("settle") >= 2);
    assert_eq!((first.asked("settle"), first.transfers()), (0, 0));
    assert_eq!((stage.upstream.count(), stage.facilitator.transfers()), (1, 1));
    stage.assert_adds_up();
}

/// Who is asked too much is asked again in a moment, and not kept waiting for.
#[test]
fn one_that_is_asked_too_much_is_asked_again_in_a_moment() {
    let stage = Stage::new();
    let wallet = Wallet::new(7);
    let pay = |nonce| stage.ask("/weather/x", &[&stage.payment(&wallet, "/weather/x", nonce)]);
    stage.facilitator.set(Mood::Busy(2, 0));
    assert_eq!(pay(1).status(), 200);
    assert_eq!(asked(&stage.facilitator), [0, 3, 1]);
    for (times, seconds) in [(3, 0), (1, 3600)] {
        stage.facilitator.set(Mood::Busy(times, seconds));
        let refused = pay(2);
        assert_eq!(refused.verdict(), "503 payment_unavailable");
    }
    assert_eq!(asked(&stage.facilitator), [0, 7, 1]);
    stage.facilitator.set(Mood::Good);
    assert_eq!(pay(2).status(), 200);
    assert_eq!((stage.upstream.count(), stage.facilitator.transfers()), (2, 2));
}
