//! Random runs of one customer against a model that does everything the slow and plain way.

use std::{collections::HashMap, sync::Arc};

use jiff::Timestamp;
use proptest::{prelude::*, sample::Index};

use super::{after, anchored, calendar, rate, rate::Naive, ts};
use crate::ledger::{
    AccountId, Accounts, Hold, Ledger, Limits, Quota, Rate, Violation, WindowKind, WindowSpec,
};

const FLOOR: &str = "2026-01-30T22:00:00Z";
const HOUR_NS: i128 = 3_600_000_000_000;

/// What may happen to a customer.
#[derive(Clone, Debug)]
enum Step {
    /// A request of this cost.
    Reserve(u64),
    /// One of the open holds ends with this charge.
    Settle(Index, u64),
    /// One of the open holds is lost.
    Lose(Index),
    /// Time passes, or goes back.
    Wait(i128),
    /// A reload, to one of the limits.
    Reload(Index),
    /// Usage of the quotas of the present limits is loaded.
    Load(u64),
}

fn step() -> impl Strategy<Value = Step> {
    let charge = prop_oneof![4 => 0..4_u64, 1 => 0..40_u64];
    prop_oneof![
        8 => (0..5_u64).prop_map(Step::Reserve),
        6 => (any::<Index>(), charge).prop_map(|(hold, charge)| Step::Settle(hold, charge)),
        1 => any::<Index>().prop_map(Step::Lose),
        3 => (0..2_000_000_000_i128).prop_map(Step::Wait),
        2 => (-HOUR_NS..3 * HOUR_NS).prop_map(Step::Wait),
        1 => (0..400 * HOUR_NS).prop_map(Step::Wait),
        2 => any::<Index>().prop_map(Step::Reload),
        1 => (0..3_u64).prop_map(Step::Load),
    ]
}

/// Names, limits and windows come and go; the rate comes and goes but is always the same, as the
/// definition says nothing about a change.
fn limits() -> impl Strategy<Value = Arc<Limits>> {
    let spec = prop_oneof![
        Just(calendar(WindowKind::Hour)),
        Just(calendar(WindowKind::Day)),
        Just(calendar(WindowKind::Month)),
        Just(calendar(WindowKind::Lifetime)),
        Just(anchored(WindowKind::Month, "2025-12-31T10:00:00Z")),
        Just(anchored(WindowKind::Hour, "2027-01-01T00:30:00Z")),
    ];
    let quota = (0..30_u64, spec);
    let quotas = prop::collection::vec(prop::option::weighted(0.6, quota), 3);
    let rate = prop::option::of(Just(the_rate()));
    (quotas, rate, prop::option::of(1..6_u32)).prop_map(|(quotas, rate, concurrency)| {
        let name = |(quota, name): (Option<(u64, WindowSpec)>, &str)| {
            let (limit, window) = quota?;
            Some(Quota { name: Arc::from(name), limit, window })
        };
        let quotas = quotas.into_iter().zip(["a", "b", "c"]).filter_map(name).collect();
        Arc::new(Limits { quotas, rate, concurrency })
    })
}

fn the_rate() -> Rate {
    rate(3, 1_000_000_000, 4)
}

/// Everything by name and start of the window.
struct Model {
    latest: Timestamp,
    counts: HashMap<(String, Timestamp), Counts>,
    rate: Option<Naive>,
    holds: Vec<Open>,
}

struct Counts {
    used: u64,
    reserved: u64,
    /// The latest end under which it was known; `None` for a window without end.
    end: Option<Timestamp>,
}

struct Open {
    hold: Hold,
    cost: u64,
    accounts: Vec<(String, Timestamp)>,
}

impl Counts {
    fn new(end: Option<Timestamp>) -> Self {
        Self { used: 0, reserved: 0, end }
    }
}

impl Model {
    fn advance(&mut self, limits: &Limits, now: Timestamp) {
        self.latest = self.latest.max(now);
        if let Some(rate) = limits.rate {
            self.rate.get_or_insert_with(|| Naive::new(rate, now)).advance(now);
        }
        let (holds, latest) = (&self.holds, self.latest);
        self.counts.retain(|id, counts| {
            counts.end.is_none_or(|end| end > latest)
                || holds.iter().any(|open| open.accounts.contains(id))
        });
        for (id, end) in self.windows(limits) {
            if let Some(counts) = self.counts.get_mut(&id) {
                counts.end = counts.end.zip(end).map(|(known, end)| known.max(end));
            }
        }
    }

    fn windows(&self, limits: &Limits) -> Vec<((String, Timestamp), Option<Timestamp>)> {
        let id = |quota: &Quota| {
            let window = quota.window.window_at(self.latest);
            ((quota.name.to_string(), window.start), window.end)
        };
        limits.quotas.iter().map(id).collect()
    }

    fn accounts(&self, limits: &Limits) -> Vec<(String, Timestamp)> {
        self.windows(limits).into_iter().map(|(id, _)| id).collect()
    }

    fn counts(&self, limits: &Limits) -> Vec<(u64, u64)> {
        let counts = |id| self.counts.get(&id).map_or((0, 0), |c| (c.used, c.reserved));
        self.accounts(limits).into_iter().map(counts).collect()
    }

    fn remaining(&self, limits: &Limits) -> Option<u64> {
        limits.rate.and(self.rate.as_ref()).map(Naive::remaining)
    }

    fn violations(&self, limits: &Limits, cost: u64) -> Vec<Violation> {
        let mut violations = Vec::new();
        if self.remaining(limits) == Some(0) {
            violations.push(Violation::Rate);
        }
        if limits.concurrency.is_some_and(|limit| self.holds.len() >= limit as usize) {
            violations.push(Violation::Concurrency);
        }
        for (index, (used, reserved)) in self.counts(limits).into_iter().enumerate() {
            let limit = limits.quotas[index].limit;
            if cost > 0 && cost > limit {
                violations.push(Violation::QuotaTooSmall(index));
            } else if cost > 0 && used + reserved + cost > limit {
                violations.push(Violation::Quota(index));
            }
        }
        violations
    }

    fn take(&mut self, limits: &Limits, hold: Hold, cost: u64) {
        for (id, end) in self.windows(limits) {
            self.counts.entry(id).or_insert(Counts::new(end)).reserved += cost;
        }
        let accounts = self.accounts(limits);
        if let (Some(_), Some(rate)) = (limits.rate, &mut self.rate) {
            rate.take();
        }
        self.holds.push(Open { hold, cost, accounts });
    }

    fn end(&mut self, hold: Index, charge: Option<u64>) -> Option<Hold> {
        if self.holds.is_empty() {
            return None;
        }
        let Open { hold, cost, accounts } = self.holds.swap_remove(hold.index(self.holds.len()));
        for id in accounts {
            let counts = self.counts.get_mut(&id).unwrap();
            counts.reserved -= cost;
            counts.used += charge.unwrap_or(cost);
        }
        Some(hold)
    }
}

/// One customer and its model, side by side.
struct Pair {
    accounts: Arc<Accounts>,
    model: Model,
    limits: Arc<Limits>,
    now: Timestamp,
}

impl Pair {
    fn new(limits: Arc<Limits>) -> Self {
        let now = ts(FLOOR);
        let (counts, holds) = (HashMap::new(), Vec::new());
        let model = Model { latest: now, counts, rate: None, holds };
        Self { accounts: Ledger::new(now).customer("acme"), model, limits, now }
    }

    fn step(&mut self, step: &Step, all: &[Arc<Limits>]) {
        match *step {
            Step::Reserve(cost) => self.reserve(cost),
            Step::Settle(hold, charge) => {
                if let Some(hold) = self.model.end(hold, Some(charge)) {
                    hold.settle(charge);
                }
            }
            Step::Lose(hold) => drop(self.model.end(hold, None)),
            Step::Wait(ns) => self.now = after(self.now, ns),
            Step::Reload(index) => self.limits = Arc::clone(&all[index.index(all.len())]),
            Step::Load(used) => self.load(used),
        }
        self.compare();
    }

    fn reserve(&mut self, cost: u64) {
        self.model.advance(&self.limits, self.now);
        let expected = self.model.violations(&self.limits, cost);
        match self.accounts.reserve(&self.limits, cost, self.now) {
            Ok(hold) => {
                assert_eq!(expected, []);
                assert_eq!(hold.cost(), cost);
                let standing = hold.standing().clone();
                self.model.take(&self.limits, hold, cost);
                let counts: Vec<_> = standing.quotas.iter().map(|q| (q.used, q.reserved)).collect();
                assert_eq!(counts, self.model.counts(&self.limits));
                let remaining = standing.rate.map(|rate| rate.remaining);
                assert_eq!(remaining, self.model.remaining(&self.limits));
                // What was let through fits, whatever the model thinks.
                for ((used, reserved), quota) in counts.into_iter().zip(&self.limits.quotas) {
                    assert!(cost == 0 || used + reserved <= quota.limit);
                }
            }
            Err(shortage) => assert_eq!(shortage.violations, expected),
        }
    }

    fn load(&mut self, used: u64) {
        self.model.advance(&self.limits, self.now);
        // The customer too must have seen the time, or it may still hold an earlier one.
        let _standing = self.accounts.standing(&self.limits, self.now);
        for quota in &self.limits.quotas {
            let window = quota.window.window_at(self.model.latest);
            let id = AccountId { scope: Arc::from(""), quota: Arc::clone(&quota.name), window };
            self.accounts.load(&id, used);
            let id = (quota.name.to_string(), window.start);
            self.model.counts.entry(id).or_insert(Counts::new(window.end)).used += used;
        }
    }

    fn compare(&mut self) {
        self.accounts.check_invariants();
        self.model.advance(&self.limits, self.now);
        let standing = self.accounts.standing(&self.limits, self.now);
        self.accounts.check_invariants();
        let counts: Vec<_> = standing.quotas.iter().map(|q| (q.used, q.reserved)).collect();
        assert_eq!(counts, self.model.counts(&self.limits));
        assert_eq!(standing.in_flight as usize, self.model.holds.len());
        assert_eq!(standing.rate.map(|rate| rate.remaining), self.model.remaining(&self.limits));
        assert_eq!(standing.at, self.model.latest);
    }
}

proptest! {
    #[test]
    fn the_ledger_is_the_model(
        all in prop::collection::vec(limits(), 1..4),
        steps in prop::collection::vec(step(), 1..120),
    ) {
        let mut pair = Pair::new(Arc::clone(&all[0]));
        for step in steps {
            pair.step(&step, &all);
        }
    }
}
