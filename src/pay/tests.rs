//! What the books say of a payment that comes again, at each point of its way.

use std::time::Duration;

use jiff::Timestamp;

use super::{
    Presented, Rail, Window, Wrong,
    books::{self, For, Found},
};
use crate::{
    model::{Nanos, Settle},
    store::{
        Sqlite, Store, StoreError, Verdict,
        records::{PaymentRecord, PaymentState, Records},
    },
};

struct Place {
    _temp: tempfile::TempDir,
    store: Sqlite,
    now: Timestamp,
}

impl Place {
    fn new() -> Self {
        let temp = tempfile::tempdir().unwrap();
        let store = Sqlite::open(&temp.path().join("faregate.db")).unwrap();
        Self { _temp: temp, store, now: "2026-11-20T00:00:00Z".parse().unwrap() }
    }

    fn write<T>(
        &mut self,
        work: impl FnOnce(&mut dyn Records, Timestamp) -> Result<T, StoreError>,
    ) -> T {
        let (mut work, mut done) = (Some(work), None);
        let now = self.now;
        let next = &mut |records: &mut dyn Records| {
            let Some(work) = work.take() else { return Verdict::Done };
            done = Some(work(records, now).unwrap());
            Verdict::Keep
        };
        self.store.transact(next).unwrap();
        done.unwrap()
    }

    fn pass(&mut self, seconds: u64) {
        self.now = self.now.checked_add(Duration::from_secs(seconds)).unwrap();
    }

    fn claim(&mut self, of: &For) -> Found {
        self.claim_when(of, Ok(()))
    }

    fn claim_when(&mut self, of: &For, good: Result<(), Wrong>) -> Found {
        self.write(|records, now| books::claim(records, now, &presented(), of, good))
    }

    fn claimed(&mut self) -> PaymentRecord {
        match self.claim(&request("weather")) {
            Found::Claimed(payment) => payment,
            other => panic!("{other:?}"),
        }
    }

    fn settling(&mut self) -> PaymentRecord {
        let claimed = self.claimed();
        self.write(|records, now| books::begin(records, now, &claimed)).unwrap()
    }

    fn due(&mut self) -> Option<PaymentRecord> {
        self.write(books::take_due)
    }
}

fn presented() -> Presented {
    Presented {
        rail: Rail::X402,
        answered: None,
        proof: "p".to_owned(),
        payer: "0xpayer".to_owned(),
        price: "0.01 USD".parse().unwrap(),
        network: "eip155:1".to_owned(),
        amount: "10000".to_owned(),
        order: "{}".to_owned(),
        window: Window { from: 0, until: u64::MAX },
        is_signed: true,
        identifier: None,
        fit: Ok(()),
    }
}

fn request(route: &str) -> For {
    For {
        request_id: "r".to_owned(),
        route: route.to_owned(),
        customer: None,
        settle: Settle::Before,
        key: None,
    }
}

#[test]
fn claim_whose_owner_is_gone_may_be_taken_over_and_the_owner_is_late() {
    let mut place = Place::new();
    let first = place.claimed();
    place.pass(59);
    assert!(matches!(place.claim(&request("weather")), Found::Pending));
    // One whose request is still at the upstream is renewed.
    assert!(place.write(|records, now| records.renew_payment(now, &first)));
    place.pass(59);
    assert!(matches!(place.claim(&request("weather")), Found::Pending));
    place.pass(1);
    assert!(matches!(place.claim(&request("maps")), Found::Used(None)));
    let late = place.claim_when(&request("weather"), Err(Wrong::Expired));
    assert!(matches!(late, Found::Wrong(Wrong::Expired)), "{late:?}");
    let (order, request_id) = ("{\"a\":1}".to_owned(), "s".to_owned());
    let dearer = Presented { order, price: "0.02 USD".parse().unwrap(), ..presented() };
    let of = For { request_id, customer: Some("acme".to_owned()), ..request("weather") };
    let found = place.write(|records, now| books::claim(records, now, &dearer, &of, Ok(())));
    let Found::Claimed(second) = found else { panic!("{found:?}") };
    assert!(second.number > first.number);
    let asked_now = (second.task.as_str(), second.price, second.customer.as_str());
    assert_eq!(asked_now, ("{\"a\":1}", dearer.price, "acme"));
    assert_eq!(place.write(|records, now| books::begin(records, now, &first)), None);
    place.write(|records, _| records.forget_payment(&first));
    assert!(place.write(|records, now| books::begin(records, now, &second)).is_some());
}

/// Whom a payment is by is known of one that the payer's key has signed. One that it has not opens what it paid for
/// itself, and finds nothing by its payer's name.
#[test]
fn signature_of_nobody_finds_nothing_of_another() {
    let order = |signature: &str| {
        format!("{{\"paymentPayload\":{{\"payload\":{{\"signature\":\"{signature}\"}}}}}}")
    };
    let doubted = |proof: &str, signature: &str| Presented {
        is_signed: false,
        order: order(signature),
        proof: proof.to_owned(),
        ..presented()
    };
    let of = For { key: Some("k".to_owned()), ..request("weather") };
    let mut place = Place::new();
    let mut claim = |presented: &Presented| {
        place.write(|records, now| books::claim(records, now, presented, &of, Ok(())))
    };
    let Found::Claimed(first) = claim(&doubted("p", "0x1234")) else { panic!() };
    // By its key a payment that is signed is found to be another of the same request, and one that is not is its own.
    let Found::Pending = claim(&Presented { proof: "q".to_owned(), ..presented() }) else {
        panic!()
    };
    let Found::Claimed(_) = claim(&doubted("r", "0x1234")) else { panic!() };
    let settling = place.write(|records, now| books::begin(records, now, &first)).unwrap();
    place.write(|records, now| books::settle(records, now, &settling, "0x1", false)).unwrap();
    let mut claim = |presented: &Presented| {
        place.write(|records, now| books::claim(records, now, presented, &of, Ok(())))
    };
    assert!(matches!(claim(&doubted("p", "0x5678")), Found::Used(None)));
    assert!(matches!(claim(&doubted("p", "0x1234")), Found::Spent(_)));
}

#[test]
fn what_is_too_late_is_not_written() {
    let mut place = Place::new();
    let found = place.claim_when(&request("weather"), Err(Wrong::Expired));
    assert!(matches!(found, Found::Wrong(Wrong::Expired)), "{found:?}");
    assert_eq!(place.write(|records, _| records.payment("p")), None);
}

/// One that was settled opens a request long after its time, and not two.
#[test]
fn settled_payment_is_good_for_one_request_whenever_it_comes() {
    let mut place = Place::new();
    let settling = place.settling();
    let settled = place.write(|records, now| books::settle(records, now, &settling, "0x1", false));
    assert_eq!(settled.unwrap().state, PaymentState::Settled);
    place.pass(86_400);
    let found = place.claim_when(&request("weather"), Err(Wrong::Expired));
    let Found::Spent(used) = found else { panic!("{found:?}") };
    assert!(matches!(place.claim(&request("weather")), Found::Used(None)));
    let returned = place.write(|records, now| books::give_back(records, now, &used)).unwrap();
    assert_eq!(returned.held, returned.price.nanos);
    // It is given back once.
    assert_eq!(place.write(|records, now| books::give_back(records, now, &used)), None);
    assert!(matches!(place.claim(&request("weather")), Found::Spent(_)));
}

/// Doubt is asked about ever more seldom, ten times, and stays doubt when nothing comes of it.
#[test]
fn doubt_is_asked_about_until_it_is_given_up_and_never_becomes_a_failure() {
    let mut place = Place::new();
    let mut payment = place.settling();
    let mut pauses = Vec::new();
    loop {
        let doubted =
            place.write(|records, now| books::doubt(records, now, &payment, "no answer", None));
        let doubted = doubted.unwrap();
        assert_eq!(doubted.state, PaymentState::Unknown);
        assert!(matches!(place.claim(&request("weather")), Found::Pending));
        let Some(next) = doubted.next_attempt else { break };
        let pause = next.duration_since(place.now).as_secs();
        pauses.push(pause);
        place.pass(u64::try_from(pause).unwrap() - 1);
        assert_eq!(place.due(), None);
        place.pass(1);
        payment = place.due().unwrap();
        // Nobody else asks meanwhile.
        assert_eq!(place.due(), None);
    }
    assert_eq!(pauses, [2, 5, 15, 60, 300, 900, 3600, 14_400, 43_200, 86_400]);
    place.pass(10_000_000);
    assert_eq!(place.due(), None);
    assert!(matches!(place.claim(&request("weather")), Found::Pending));
}

/// What was being settled at a crash is asked about a minute later.
#[test]
fn settlement_whose_owner_is_gone_is_asked_about() {
    let mut place = Place::new();
    let settling = place.settling();
    place.pass(59);
    assert_eq!(place.due(), None);
    place.pass(1);
    let asked = place.due().unwrap();
    let settled = place.write(|records, now| books::settle(records, now, &asked, "0x1", false));
    assert_eq!(settled.unwrap().settlement.as_deref(), Some("0x1"));
    let late = place.write(|records, now| books::settle(records, now, &settling, "0x1", true));
    assert_eq!(late, None);
}

/// Who is told late that it moved has it written all the same: whoever settles it may not tell it again.
#[test]
fn settlement_that_is_told_late_is_there_for_another_request() {
    for is_asked_again in [false, true] {
        let mut place = Place::new();
        let settling = place.settling();
        place.pass(60);
        let asked = place.due().unwrap();
        if is_asked_again {
            place.write(|records, now| books::doubt(records, now, &asked, "used", None)).unwrap();
        }
        let late = place.write(|records, now| books::settle(records, now, &settling, "0x1", true));
        let late = late.unwrap();
        assert_eq!((late.state, late.held), (PaymentState::Settled, late.price.nanos));
        assert_eq!((late.settlement.as_deref(), late.next_attempt), (Some("0x1"), None));
        // Who asked meanwhile changes nothing any more.
        place.write(|records, now| {
            assert_eq!(books::doubt(records, now, &asked, "used", None)?, None);
            assert_eq!(books::settle(records, now, &asked, "0x1", false)?, None);
            Ok(())
        });
        assert!(matches!(place.claim(&request("weather")), Found::Spent(_)));
    }
}

/// What is written, though nobody heard that it is, is not written twice: it is spent on the request that waits still, or
/// there for another.
#[test]
fn settlement_that_is_written_unheard_is_written_once() {
    let mut place = Place::new();
    let settling = place.settling();
    let settle = |place: &mut Place, spends| {
        place.write(|records, now| books::settle(records, now, &settling, "0x1", spends))
    };
    let used = settle(&mut place, true).unwrap();
    assert_eq!(settle(&mut place, true), Some(used.clone()));
    let returned = settle(&mut place, false).unwrap();
    assert_eq!((returned.state, returned.held), (PaymentState::Settled, used.price.nanos));
    assert_eq!(settle(&mut place, false), None);
    let Found::Spent(other) = place.claim(&request("weather")) else { panic!() };
    assert_eq!(settle(&mut place, true), None);
    assert_eq!(other.held, Nanos::ZERO);
}

/// Of requests with one Idempotency-Key the first counts that has something in hand, and so it is with names: a claim
/// whose owner is gone hides none behind it.
#[test]
fn claim_whose_owner_is_gone_stands_before_no_other_payment() {
    let mut place = Place::new();
    let of = For { key: Some("k".to_owned()), ..request("weather") };
    let by = |proof: &str| {
        let (proof, identifier) = (proof.to_owned(), Some("name".to_owned()));
        Presented { proof, identifier, ..presented() }
    };
    let claim = |place: &mut Place, proof: &str, of: &For| {
        place.write(|records, now| books::claim(records, now, &by(proof), of, Ok(())))
    };
    assert!(matches!(claim(&mut place, "1", &of), Found::Claimed(_)));
    place.pass(59);
    assert!(matches!(claim(&mut place, "2", &of), Found::Pending));
    place.pass(1);
    let Found::Claimed(second) = claim(&mut place, "2", &of) else { panic!() };
    place.write(|records, now| {
        let settling = books::begin(records, now, &second)?.unwrap();
        books::settle(records, now, &settling, "0x1", true)
    });
    assert!(matches!(claim(&mut place, "3", &of), Found::Used(None)));
    let unkeyed = request("weather");
    assert!(matches!(claim(&mut place, "3", &unkeyed), Found::Used(None)));
}

#[test]
fn failure_is_told_again() {
    let mut place = Place::new();
    let settling = place.settling();
    place.write(|records, now| books::fail(records, now, &settling, "poor"));
    let found = place.claim(&request("weather"));
    assert!(matches!(&found, Found::Failed { reason } if reason == "poor"), "{found:?}");
}
