//! Grants that several nodes draw on, with letters carried by hand.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use jiff::Timestamp;
use proptest::prelude::*;

use super::{after, ts};
use crate::{
    ledger::{
        AccountId, Accounts, Grant, Hold, Lacking, Ledger, Unpaid,
        lease::{LASTS, Pool},
    },
    model::{Currency, Money, Nanos},
};

const MS: i128 = 1_000_000;

/// Nodes with what each knows of one customer, and the pools of its grants.
struct Shared {
    ledgers: Vec<Ledger>,
    pools: BTreeMap<Arc<str>, Pool>,
    grants: BTreeMap<Arc<str>, i64>,
    now: Timestamp,
}

impl Shared {
    fn new(nodes: usize) -> Self {
        let now = ts("2026-01-30T22:00:00Z");
        let ledger = |_| Ledger::new(now).shared(Arc::default());
        let ledgers = (0..nodes).map(ledger).collect();
        Self { ledgers, pools: BTreeMap::new(), grants: BTreeMap::new(), now }
    }

    fn accounts(&self, node: usize) -> Arc<Accounts> {
        self.ledgers[node].customer("acme")
    }

    /// Makes a grant that all nodes know.
    fn grant(&mut self, amount: i64, priority: u8, lasts: Option<i128>) {
        let number = self.grants.len() as u64 + 1;
        let grant = Grant {
            id: format!("g{number}").into(),
            number,
            currency: usd(),
            amount: Nanos(amount),
            priority,
            effective: self.now,
            expires: lasts.map(|lasts| after(self.now, lasts * MS)),
        };
        for ledger in &self.ledgers {
            // It is told as often as there are ways to hear of it.
            ledger.customer("acme").grant(&grant, Nanos(amount));
            ledger.customer("acme").grant(&grant, Nanos(amount));
        }
        self.pools.insert(Arc::clone(&grant.id), Pool::default());
        self.grants.insert(grant.id, amount);
    }

    fn pay(&self, node: usize, nanos: i64) -> Result<Hold, Paid> {
        self.pay_since(node, nanos, self.now)
    }

    fn pay_since(&self, node: usize, nanos: i64, arrived: Timestamp) -> Result<Hold, Paid> {
        let price = Money { nanos: Nanos(nanos), currency: usd() };
        let when = crate::ledger::When { arrived, now: self.now };
        let paid = self.accounts(node).reserve_paid(&Arc::default(), 1, price, when);
        paid.map_err(|unpaid| match unpaid {
            Unpaid::Limits(shortage) => Paid::Lacks(shortage.lack.expect("no limit is there")),
            Unpaid::Credit { is_in_flight: true, .. } => Paid::InFlight,
            Unpaid::Credit { is_in_flight: false, .. } => Paid::Missing,
        })
    }

    /// Pays, with as many trips and recalls as that takes for half a second.
    fn pay_in_time(&mut self, node: usize, nanos: i64) -> Result<Hold, Paid> {
        let arrived = self.now;
        for _ in 0..50 {
            match self.pay_since(node, nanos, arrived) {
                Err(Paid::Lacks(Lacking::Wait { .. })) => {
                    self.carry(node);
                    for other in (0..self.ledgers.len()).filter(|other| *other != node) {
                        self.recall(other);
                        self.carry(other);
                    }
                    self.wait(10);
                }
                paid => return paid,
            }
        }
        panic!("it waits for ever")
    }

    /// Pays while the other nodes are silent.
    fn pay_alone(&mut self, node: usize, nanos: i64) -> Result<Hold, Paid> {
        let arrived = self.now;
        for _ in 0..150 {
            match self.pay_since(node, nanos, arrived) {
                Err(Paid::Lacks(Lacking::Wait { .. })) => self.wait(10),
                paid => return paid,
            }
            self.carry(node);
        }
        panic!("it waits for ever")
    }

    /// Carries what is said once; tells of which grants.
    fn carry(&mut self, node: usize) -> Vec<Arc<str>> {
        let accounts = self.accounts(node);
        self.ledgers[node].post().unwrap().take(Duration::ZERO);
        let (letters, _) = accounts.letters(self.now);
        for (account, letter) in &letters {
            assert_eq!(&*account.scope, "grant");
            let pool = self.pools.get_mut(&account.quota).unwrap();
            assert_eq!(letter.limit as i64, self.grants[&account.quota]);
            let now = Duration::try_from(self.now.as_duration()).unwrap();
            let reply = pool.receive(node as u128, letter, now).unwrap();
            accounts.receive(account, &reply, self.now);
        }
        letters.into_iter().map(|(account, _)| account.quota).collect()
    }

    fn recall(&mut self, node: usize) {
        for grant in self.grants.keys() {
            let window = crate::ledger::Window { start: self.now, end: None };
            let account = AccountId { scope: "grant".into(), quota: Arc::clone(grant), window };
            self.accounts(node).recall(&account, self.now);
        }
    }

    fn wait(&mut self, milliseconds: i128) {
        self.now = after(self.now, milliseconds * MS);
    }

    /// Lets all nodes say all that they have to say.
    fn settle_down(&mut self) {
        for _ in 0..4 {
            self.wait(1000);
            for node in 0..self.ledgers.len() {
                self.recall(node);
                self.carry(node);
            }
        }
    }

    fn used(&self, grant: &str) -> i64 {
        self.pools[grant].used() as i64
    }

    fn balance(&mut self, node: usize) -> i64 {
        self.accounts(node).inquire(&Arc::default(), self.now);
        self.carry(node);
        self.accounts(node).credit(self.now)[0].balance.0
    }
}

/// Why nothing was paid.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Paid {
    Lacks(Lacking),
    InFlight,
    Missing,
}

fn usd() -> Currency {
    "USD".parse().unwrap()
}

fn charge(nanos: i64) -> crate::ledger::Charge {
    crate::ledger::Charge { units: 1, nanos: Nanos(nanos) }
}

#[test]
fn what_is_not_here_of_a_grant_is_asked_for() {
    let mut shared = Shared::new(2);
    shared.grant(1000, 100, None);
    assert_eq!(shared.pay(0, 10).unwrap_err(), Paid::Lacks(Lacking::Wait { heard: 0 }));
    assert_eq!(shared.carry(0), ["g1".into()]);
    let hold = shared.pay(0, 10).unwrap();
    assert_eq!(hold.credit().unwrap().balance, Nanos(1000));
    hold.settle(charge(7));
    shared.settle_down();
    assert_eq!(shared.used("g1"), 7);
    assert_eq!(shared.balance(0), 993);
    shared.pay_in_time(1, 993).unwrap().settle(charge(993));
    assert_eq!(shared.pay_in_time(0, 1).unwrap_err(), Paid::Missing);
}

#[test]
fn nodes_never_spend_more_than_there_is_and_all_of_it() {
    let mut shared = Shared::new(3);
    shared.grant(50, 100, None);
    let mut paid = 0;
    for round in 0..60 {
        if let Ok(hold) = shared.pay_in_time(round % 3, 5) {
            hold.settle(charge(5));
            paid += 1;
        }
    }
    assert_eq!(paid, 10);
    shared.settle_down();
    assert_eq!((shared.used("g1"), shared.balance(2)), (50, 0));
}

#[test]
fn what_expires_first_is_spent_first_wherever_it_is() {
    let mut shared = Shared::new(2);
    shared.grant(100, 100, None);
    shared.grant(100, 100, Some(3_600_000));
    shared.pay_in_time(0, 60).unwrap().settle(charge(60));
    shared.pay_in_time(1, 20).unwrap().settle(charge(20));
    shared.settle_down();
    assert_eq!((shared.balance(0), shared.balance(1)), (120, 120));
    // The last 20 of one, and 10 of the other.
    let hold = shared.pay_in_time(0, 30).unwrap();
    let shares: Vec<_> = hold.taken().draw.unwrap().of(1, Nanos(30)).collect();
    assert_eq!(shares, [(&"g2".into(), Nanos(20)), (&"g1".into(), Nanos(10))]);
    hold.settle(charge(30));
    shared.settle_down();
    assert_eq!((shared.used("g2"), shared.used("g1")), (100, 10));
}

#[test]
fn what_others_hold_is_in_flight_and_what_nobody_has_is_missing() {
    let mut shared = Shared::new(2);
    shared.grant(10, 100, None);
    let hold = shared.pay_in_time(0, 8).unwrap();
    shared.settle_down();
    assert_eq!(shared.pay_in_time(1, 5).unwrap_err(), Paid::InFlight);
    assert_eq!(shared.pay_in_time(1, 11).unwrap_err(), Paid::Missing);
    hold.settle(charge(0));
    shared.settle_down();
    shared.pay_in_time(1, 10).unwrap().settle(charge(10));
}

#[test]
fn while_the_store_is_away_all_that_is_here_is_spent() {
    let mut shared = Shared::new(1);
    shared.grant(1_000, 50, None);
    shared.grant(1_000, 100, None);
    shared.pay_in_time(0, 1_000).unwrap().settle(charge(995));
    shared.pay_in_time(0, 10).unwrap().settle(charge(10));
    shared.wait(10);
    shared.ledgers[0].post().unwrap().set_away(true);
    let mut spent = 0;
    while let Ok(hold) = shared.pay(0, 10) {
        hold.settle(charge(10));
        spent += 10;
    }
    assert!((10..500).contains(&spent), "{spent}");
    assert_eq!(shared.pay(0, 10).unwrap_err(), Paid::Lacks(Lacking::Unavailable));
    shared.ledgers[0].post().unwrap().set_away(false);
    shared.pay_in_time(0, 10).unwrap().settle(charge(10));
}

#[test]
fn another_grant_pays_where_the_first_ones_rest_does_not_come() {
    let mut shared = Shared::new(2);
    shared.grant(100, 50, None);
    shared.grant(100, 100, None);
    shared.pay_in_time(0, 50).unwrap().settle(charge(50));
    shared.pay_in_time(1, 1).unwrap().settle(charge(1));
    // Node 1 has some of the first and is silent, which the first call waits for and no other one.
    for (nanos, patience) in [(80, 900), (10, 50), (10, 50), (10, 50)] {
        let arrived = shared.now;
        let hold = shared.pay_alone(0, nanos).unwrap();
        let shares: Vec<_> = hold.taken().draw.unwrap().of(1, Nanos(nanos)).collect();
        assert!(nanos < 80 || shares.iter().any(|(grant, _)| ***grant == *"g2"), "{shares:?}");
        assert!(shared.now <= after(arrived, patience * MS), "{nanos}");
        hold.settle(charge(nanos));
    }
    // Of 200 are 160 spent by what was said: whether the rest is there is not known.
    assert_eq!(shared.pay_alone(0, 41).unwrap_err(), Paid::Missing);
    assert_eq!(shared.pay_alone(0, 40).unwrap_err(), Paid::Lacks(Lacking::Unavailable));
}

#[test]
fn a_grant_that_is_over_goes_back_and_pays_nothing() {
    let mut shared = Shared::new(1);
    shared.grant(100, 50, Some(5_000));
    shared.grant(100, 100, None);
    let open = shared.pay_in_time(0, 10).unwrap();
    shared.wait(5_000);
    shared.pay_in_time(0, 100).unwrap().settle(charge(100));
    shared.carry(0);
    open.settle(charge(9));
    shared.settle_down();
    assert_eq!((shared.used("g1"), shared.used("g2")), (9, 100));
    assert_eq!(shared.pools["g1"].out(), (0, 0, 0));
    assert_eq!(shared.accounts(0).grants(), []);
    shared.wait(2 * i128::try_from(LASTS.as_millis()).unwrap());
    assert!(shared.carry(0).is_empty());
}

#[test]
fn a_grant_that_is_spent_is_forgotten_and_never_begun_again() {
    let mut shared = Shared::new(1);
    shared.grant(10, 50, None);
    let grant = shared.accounts(0).grants()[0].0.clone();
    shared.pay_in_time(0, 10).unwrap().settle(charge(10));
    shared.settle_down();
    assert_eq!(shared.accounts(0).grants(), []);
    shared.accounts(0).grant(&grant, Nanos(10));
    assert_eq!(shared.pay_in_time(0, 1).unwrap_err(), Paid::Missing);
}

#[test]
fn what_is_owed_is_nobodys_to_spend() {
    let mut shared = Shared::new(2);
    shared.grant(100, 50, None);
    shared.pay_in_time(0, 10).unwrap().settle(charge(40));
    // The other node hears of a debt when it is folded.
    shared.accounts(1).owe(usd(), Nanos(30));
    assert_eq!(shared.pay_in_time(1, 61).unwrap_err(), Paid::Missing);
    shared.pay_in_time(1, 60).unwrap().settle(charge(60));
    assert_eq!(shared.pay_in_time(0, 1).unwrap_err(), Paid::Missing);
    assert_eq!((shared.balance(0), shared.balance(1)), (0, 0));
}

#[derive(Clone, Debug)]
enum Step {
    Grant { amount: i64, priority: u8, lasts: Option<i128> },
    Pay { node: usize, nanos: i64 },
    Settle(prop::sample::Index, i64),
    Carry(usize),
    Recall(usize),
    Away(usize, bool),
    Wait(i128),
}

const NODES: usize = 3;

fn step() -> impl Strategy<Value = Step> {
    let lasts = prop::option::of(1..20_000_i128);
    prop_oneof![
        2 => (1..200_i64, 0..3_u8, lasts)
            .prop_map(|(amount, priority, lasts)| Step::Grant { amount, priority, lasts }),
        12 => (0..NODES, 0..30_i64).prop_map(|(node, nanos)| Step::Pay { node, nanos }),
        8 => (any::<prop::sample::Index>(), 0..30_i64).prop_map(|(i, n)| Step::Settle(i, n)),
        8 => (0..NODES).prop_map(Step::Carry),
        2 => (0..NODES).prop_map(Step::Recall),
        1 => (0..NODES, any::<bool>()).prop_map(|(node, away)| Step::Away(node, away)),
        4 => (1..2_000_i128).prop_map(Step::Wait),
    ]
}

proptest! {
    /// Whatever happens, of no grant more is charged than it has, by the nodes' own count; and in the end all that
    /// has not expired can be spent.
    #[test]
    fn no_grant_is_ever_overdrawn(steps in prop::collection::vec(step(), 1..80)) {
        let mut shared = Shared::new(NODES);
        let mut holds: Vec<Hold> = Vec::new();
        let mut charged = BTreeMap::<Arc<str>, i64>::new();
        let mut end = |hold: Hold, nanos: i64| {
            let cost = hold.cost().nanos;
            let draw = hold.taken().draw.unwrap().charged(cost, Nanos(nanos));
            for (grant, nanos) in draw.of(1, Nanos(nanos)) {
                *charged.entry(Arc::clone(grant)).or_default() += nanos.0;
            }
            hold.settle(charge(nanos));
        };
        for step in steps {
            match step {
                Step::Grant { amount, priority, lasts } => shared.grant(amount, priority, lasts),
                Step::Pay { node, nanos } => holds.extend(shared.pay(node, nanos)),
                // Without a debt, so that what is left can be told.
                Step::Settle(index, nanos) if !holds.is_empty() => {
                    let hold = holds.swap_remove(index.index(holds.len()));
                    let nanos = nanos.min(hold.cost().nanos.0);
                    end(hold, nanos);
                }
                Step::Settle(..) => {}
                Step::Carry(node) => _ = shared.carry(node),
                Step::Recall(node) => shared.recall(node),
                Step::Away(node, away) => shared.ledgers[node].post().unwrap().set_away(away),
                Step::Wait(milliseconds) => shared.wait(milliseconds),
            }
            (0..NODES).for_each(|node| shared.accounts(node).check_invariants());
        }
        for hold in holds {
            let nanos = hold.cost().nanos.0;
            end(hold, nanos);
        }
        for node in 0..NODES {
            shared.ledgers[node].post().unwrap().set_away(false);
        }
        shared.settle_down();
        let usable: Vec<_> = shared.accounts(0).grants();
        let usable: i64 = usable
            .iter()
            .filter(|(grant, _)| grant.expires.is_none())
            .map(|(grant, _)| shared.grants[&grant.id] - shared.used(&grant.id))
            .sum();
        shared.wait(30_000);
        let mut spent = 0;
        for step in [29, 1] {
            while let Ok(hold) = shared.pay_in_time(spent as usize % NODES, step) {
                spent += step;
                end(hold, step);
            }
        }
        shared.settle_down();
        prop_assert_eq!(spent, usable);
        for (grant, amount) in &shared.grants {
            let charged = charged.get(grant).copied().unwrap_or(0);
            prop_assert!(charged <= *amount, "{} of {amount} are charged of {grant}", charged);
            prop_assert_eq!(shared.used(grant), charged);
        }
    }
}
