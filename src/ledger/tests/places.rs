//! Places among the requests in flight: of one's own, shared, and kept.

use std::sync::Arc;

use super::{quota, rate, ts};
use crate::ledger::{Accounts, Ledger, Limits, Place, Scoped, Violation, WindowKind};

const NOW: &str = "2026-03-03T03:03:03Z";

fn accounts() -> Arc<Accounts> {
    Ledger::new(ts("2026-01-01T00:00:00Z")).customer("acme")
}

/// Three units a day, four requests a day at once, one in flight of the customer and of its key.
fn limits() -> Arc<Limits> {
    Arc::new(Limits {
        quotas: vec![quota("calls", 3, WindowKind::Day)],
        rates: vec![Scoped::whole(rate(1, 86_400_000_000_000, 4))],
        concurrency: vec![Scoped::whole(1), Scoped { scope: "key/1".into(), limit: 1 }],
    })
}

fn in_flight(accounts: &Accounts) -> u32 {
    accounts.check_invariants();
    let standing = accounts.standing(&limits(), ts(NOW));
    assert!(standing.concurrency.iter().all(|count| *count == standing.in_flight));
    standing.in_flight
}

fn counts(accounts: &Accounts) -> (u64, u64) {
    let standing = accounts.standing(&limits(), ts(NOW));
    (standing.quotas[0].used, standing.quotas[0].reserved)
}

#[test]
fn shared_place_is_no_second_one_and_takes_from_all_else() {
    let (accounts, limits) = (accounts(), limits());
    let share = |cost| accounts.reserve_at(Place::Shared, &limits, cost, ts(NOW));
    let own = accounts.reserve(&limits, 1, ts(NOW)).unwrap();
    let refused = accounts.reserve(&limits, 1, ts(NOW)).unwrap_err();
    assert_eq!(refused.violations, [Violation::Concurrency(0), Violation::Concurrency(1)]);
    let first = share(1).unwrap();
    assert_eq!((in_flight(&accounts), counts(&accounts)), (1, (0, 2)));
    assert_eq!(share(2).unwrap_err().violations, [Violation::Quota(0)]);
    first.settle(1);
    share(1).unwrap().settle(0);
    share(1).unwrap().settle(1);
    assert_eq!((in_flight(&accounts), counts(&accounts)), (1, (2, 1)));
    assert_eq!(share(0).unwrap_err().violations, [Violation::Rate(0)]);
    own.settle(1);
    assert_eq!((in_flight(&accounts), counts(&accounts)), (0, (3, 0)));
}

/// The place outlives what was set aside, in whichever order the two end.
#[test]
fn place_that_is_kept_is_given_up_once() {
    for is_settled_first in [true, false] {
        let accounts = accounts();
        let mut hold = accounts.reserve(&limits(), 2, ts(NOW)).unwrap();
        let stay = hold.stay().unwrap();
        assert!(hold.stay().is_none());
        assert_eq!((in_flight(&accounts), counts(&accounts)), (1, (0, 2)));
        if is_settled_first {
            hold.settle(0);
            assert_eq!((in_flight(&accounts), counts(&accounts)), (1, (0, 0)));
            drop(stay);
        } else {
            drop(stay);
            assert_eq!((in_flight(&accounts), counts(&accounts)), (0, (0, 2)));
            hold.settle(2);
        }
        assert_eq!(in_flight(&accounts), 0);
    }
}
