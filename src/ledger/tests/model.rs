//! Random runs of one customer, with applications and keys, against a model that does everything the
//! slow and plain way.

use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
};

use jiff::Timestamp;
use proptest::{prelude::*, sample::Index};

use super::{after, anchored, calendar, rate, rate::Naive, ts};
use crate::{
    ledger::{
        AccountId, Accounts, Hold, Ledger, Limits, Overage, Quota, Rate, Scoped, Violation,
        WindowKind, WindowSpec,
    },
    model::{Money, Nanos},
};

const FLOOR: &str = "2026-01-30T22:00:00Z";
const HOUR_NS: i128 = 3_600_000_000_000;

const SCOPES: [&str; 6] = ["", "application/a", "application/b", "key/1", "key/2", "key/3"];

/// The scopes of each caller's requests, by index: keys with an application and without, and one that
/// has no limits but the customer's.
const CALLERS: [&[usize]; 5] = [&[0], &[0, 3], &[0, 1, 4], &[0, 1, 5], &[0, 2]];

/// What may happen to a customer.
#[derive(Clone, Debug)]
enum Step {
    /// A request of this cost by one of the callers.
    Reserve(Index, u64),
    /// One of the open holds ends with this charge.
    Settle(Index, u64),
    /// One of the open holds is lost.
    Lose(Index),
    /// Time passes, or goes back.
    Wait(i128),
    /// A reload, to one of the configurations.
    Reload(Index),
    /// Usage of a caller's quotas is loaded.
    Load(Index, u64),
    /// One of a caller's quotas is adjusted.
    Adjust(Index, Index, i64),
}

fn step() -> impl Strategy<Value = Step> {
    let index = any::<Index>;
    let charge = prop_oneof![4 => 0..4_u64, 1 => 0..40_u64];
    prop_oneof![
        10 => (index(), 0..5_u64).prop_map(|(caller, cost)| Step::Reserve(caller, cost)),
        6 => (index(), charge).prop_map(|(hold, charge)| Step::Settle(hold, charge)),
        1 => index().prop_map(Step::Lose),
        3 => (0..2_000_000_000_i128).prop_map(Step::Wait),
        2 => (-HOUR_NS..3 * HOUR_NS).prop_map(Step::Wait),
        1 => (0..400 * HOUR_NS).prop_map(Step::Wait),
        2 => index().prop_map(Step::Reload),
        1 => (index(), 0..3_u64).prop_map(|(caller, used)| Step::Load(caller, used)),
        1 => (index(), index(), -4..5_i64).prop_map(|(c, quota, n)| Step::Adjust(c, quota, n)),
    ]
}

/// The limits of each caller.
type Config = Vec<Limits>;

/// Names, limits and windows come and go; a rate comes and goes but is always the same, as the
/// definition says nothing about a change.
fn config(rated: &'static [bool]) -> impl Strategy<Value = Config> {
    let scopes: Vec<_> =
        SCOPES.iter().zip(rated).map(|(scope, rated)| limits(scope, *rated)).collect();
    scopes.prop_map(|scopes| {
        let join = |caller: &&[usize]| {
            let mut all = Limits::default();
            for Limits { quotas, rates, concurrency } in caller.iter().map(|n| scopes[*n].clone()) {
                all.quotas.extend(quotas);
                all.rates.extend(rates);
                all.concurrency.extend(concurrency);
            }
            all
        };
        CALLERS.iter().map(join).collect()
    })
}

/// Limit, window, whether it has a new name, and how it goes on.
type Drawn = (u64, WindowSpec, bool, Option<Overage>);

fn limits(scope: &'static str, rated: bool) -> impl Strategy<Value = Limits> {
    let berlin = jiff::tz::TimeZone::get("Europe/Berlin").unwrap();
    let spec = prop_oneof![
        Just(calendar(WindowKind::Hour)),
        Just(calendar(WindowKind::Day)),
        Just(calendar(WindowKind::Month)),
        Just(calendar(WindowKind::Lifetime)),
        Just(anchored(WindowKind::Month, "2025-12-31T10:00:00Z")),
        Just(anchored(WindowKind::Hour, "2027-01-01T00:30:00Z")),
        Just(WindowSpec { zone: Some(berlin), ..calendar(WindowKind::Day) }),
        Just(WindowSpec { floor: Some(ts("2026-01-31T12:00:00Z")), ..calendar(WindowKind::Day) }),
    ];
    let quota = (0..30_u64, spec, any::<bool>(), prop::option::of(overage()));
    let quotas = prop::collection::vec(prop::option::of(quota), 2);
    let rate = prop::option::of(Just(the_rate()));
    (quotas, rate, prop::option::of(1..6_u32)).prop_map(move |(quotas, rate, concurrency)| {
        let scope: Arc<str> = Arc::from(scope);
        let quota = |(quota, account): (Option<Drawn>, &str)| {
            let (limit, window, is_renamed, overage) = quota?;
            let name = if is_renamed { format!("new-{account}") } else { account.to_owned() };
            let (name, account) = (Arc::from(name), Arc::from(account));
            let (scope, overage) = (Arc::clone(&scope), overage.map(Box::new));
            Some(Quota { scope, name, account, limit, overage, window })
        };
        Limits {
            quotas: quotas.into_iter().zip(["a", "b"]).filter_map(quota).collect(),
            rates: rate.filter(|_| rated).map(|limit| scoped(&scope, limit)).into_iter().collect(),
            concurrency: concurrency.map(|limit| scoped(&scope, limit)).into_iter().collect(),
        }
    })
}

/// Of a few nano-units, so that caps leave something over that is no whole unit.
fn overage() -> impl Strategy<Value = Overage> {
    let usd = |nanos: i64| Money { nanos: Nanos(nanos), currency: "USD".parse().unwrap() };
    let price = (1..4_i64).prop_map(usd);
    let cap = prop_oneof![
        8 => (0..60_i64).prop_map(usd),
        1 => Just("9 EUR".parse().unwrap()),
    ];
    (price, prop::option::of(cap)).prop_map(|(price, cap)| Overage::new(price, cap))
}

/// Tells by money alone whether so many units beyond the limit may be taken.
fn is_affordable(overage: &Overage, units: u64) -> bool {
    let amount = i128::from(units) * i128::from(overage.price().nanos.0);
    overage.cap().is_none_or(|cap| amount <= i128::from(cap.0))
}

fn scoped<T>(scope: &Arc<str>, limit: T) -> Scoped<T> {
    Scoped { scope: Arc::clone(scope), limit }
}

fn the_rate() -> Rate {
    rate(3, 1_000_000_000, 4)
}

/// A scope, a name and the start of a window.
type Key = (String, String, Timestamp);

/// Everything by its identity.
struct Model {
    latest: Timestamp,
    counts: HashMap<Key, Counts>,
    rates: HashMap<String, Naive>,
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
    accounts: Vec<Key>,
    scopes: BTreeSet<String>,
}

impl Model {
    fn new(now: Timestamp) -> Self {
        Self { latest: now, counts: HashMap::new(), rates: HashMap::new(), holds: Vec::new() }
    }

    /// Looks at the accounts of the limits.
    fn look(&mut self, limits: &Limits, now: Timestamp) {
        self.latest = self.latest.max(now);
        for rate in &limits.rates {
            if let Some(known) = self.rates.get_mut(&*rate.scope) {
                known.advance(now);
            }
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

    /// Sees to it that the accounts of the limits are known.
    fn admit(&mut self, limits: &Limits, now: Timestamp) {
        for rate in &limits.rates {
            let known = self.rates.entry(rate.scope.to_string());
            known.or_insert_with(|| Naive::new(rate.limit, now));
        }
        self.look(limits, now);
        for (id, end) in self.windows(limits) {
            self.counts.entry(id).or_insert(Counts { used: 0, reserved: 0, end });
        }
    }

    fn windows(&self, limits: &Limits) -> Vec<(Key, Option<Timestamp>)> {
        let id = |quota: &Quota| {
            let window = quota.window.window_at(self.latest);
            ((quota.scope.to_string(), quota.account.to_string(), window.start), window.end)
        };
        limits.quotas.iter().map(id).collect()
    }

    fn accounts(&self, limits: &Limits) -> Vec<Key> {
        self.windows(limits).into_iter().map(|(id, _)| id).collect()
    }

    fn counts(&self, limits: &Limits) -> Vec<(u64, u64)> {
        let counts = |id| self.counts.get(&id).map_or((0, 0), |c| (c.used, c.reserved));
        self.accounts(limits).into_iter().map(counts).collect()
    }

    fn remaining(&self, limits: &Limits) -> Vec<u64> {
        let remaining = |rate: &Scoped<Rate>| {
            self.rates.get(&*rate.scope).map_or(rate.limit.burst, Naive::remaining)
        };
        limits.rates.iter().map(remaining).collect()
    }

    fn in_flight(&self, scope: &str) -> u32 {
        self.holds.iter().filter(|open| open.scopes.contains(scope)).count() as u32
    }

    fn violations(&self, limits: &Limits, cost: u64) -> Vec<Violation> {
        let mut violations = Vec::new();
        for (index, remaining) in self.remaining(limits).into_iter().enumerate() {
            if remaining == 0 {
                violations.push(Violation::Rate(index));
            }
        }
        for (index, concurrency) in limits.concurrency.iter().enumerate() {
            if self.in_flight(&concurrency.scope) >= concurrency.limit {
                violations.push(Violation::Concurrency(index));
            }
        }
        for (index, (used, reserved)) in self.counts(limits).into_iter().enumerate() {
            let Quota { limit, overage, .. } = &limits.quotas[index];
            let fits = |units: u64| match overage {
                Some(overage) => is_affordable(overage, units.saturating_sub(*limit)),
                None => units <= *limit,
            };
            // What costs nothing is let through also where nothing is left.
            if cost == 0 || used + reserved + cost <= *limit {
                continue;
            }
            if !fits(cost) {
                violations.push(Violation::QuotaTooSmall(index));
            } else if !fits(used + reserved + cost) {
                let violation = overage.as_ref().map(|_| Violation::SpendCap(index));
                violations.push(violation.unwrap_or(Violation::Quota(index)));
            }
        }
        violations
    }

    fn take(&mut self, limits: &Limits, hold: Hold, cost: u64) {
        let accounts = self.accounts(limits);
        for id in &accounts {
            self.counts.get_mut(id).unwrap().reserved += cost;
        }
        for rate in &limits.rates {
            self.rates.get_mut(&*rate.scope).unwrap().take();
        }
        let scopes = limits.quotas.iter().map(|quota| &quota.scope);
        let scopes = scopes.chain(limits.rates.iter().map(|rate| &rate.scope));
        let scopes = scopes.chain(limits.concurrency.iter().map(|limit| &limit.scope));
        let mut scopes: BTreeSet<String> = scopes.map(|scope| scope.to_string()).collect();
        scopes.insert(String::new());
        self.holds.push(Open { hold, cost, accounts, scopes });
    }

    fn end(&mut self, hold: Index, charge: Option<u64>) -> Option<Hold> {
        if self.holds.is_empty() {
            return None;
        }
        let open = self.holds.swap_remove(hold.index(self.holds.len()));
        for id in open.accounts {
            let counts = self.counts.get_mut(&id).unwrap();
            counts.reserved -= open.cost;
            counts.used += charge.unwrap_or(open.cost);
        }
        Some(open.hold)
    }
}

/// One customer and its model, side by side.
struct Pair {
    accounts: Arc<Accounts>,
    model: Model,
    /// By caller.
    limits: Vec<Arc<Limits>>,
    now: Timestamp,
}

impl Pair {
    fn new(config: &Config) -> Self {
        let now = ts(FLOOR);
        let accounts = Ledger::new(now).customer("acme");
        Self { accounts, model: Model::new(now), limits: loaded(config), now }
    }

    fn step(&mut self, step: &Step, all: &[Config]) {
        match *step {
            Step::Reserve(caller, cost) => self.reserve(&self.caller(caller), cost),
            Step::Settle(hold, charge) => {
                if let Some(hold) = self.model.end(hold, Some(charge)) {
                    hold.settle(charge);
                }
            }
            Step::Lose(hold) => drop(self.model.end(hold, None)),
            Step::Wait(ns) => self.now = after(self.now, ns),
            Step::Reload(index) => self.limits = loaded(&all[index.index(all.len())]),
            Step::Load(caller, used) => self.load(&self.caller(caller), used),
            Step::Adjust(caller, quota, units) => self.adjust(&self.caller(caller), quota, units),
        }
        self.compare();
    }

    fn caller(&self, caller: Index) -> Arc<Limits> {
        Arc::clone(&self.limits[caller.index(self.limits.len())])
    }

    fn reserve(&mut self, limits: &Arc<Limits>, cost: u64) {
        self.model.admit(limits, self.now);
        let expected = self.model.violations(limits, cost);
        match self.accounts.reserve(limits, cost, self.now) {
            Ok(hold) => {
                assert_eq!(expected, []);
                assert_eq!(hold.cost(), crate::ledger::Charge::units(cost));
                let standing = hold.standing().clone();
                self.model.take(limits, hold, cost);
                self.assert_same(&standing);
                // What was let through fits, whatever the model thinks.
                for (state, quota) in standing.quotas.iter().zip(&limits.quotas) {
                    let beyond = (state.used + state.reserved).saturating_sub(quota.limit);
                    let is_let = |overage| is_affordable(overage, beyond);
                    let is_let = quota.overage.as_deref().is_some_and(is_let);
                    assert!(cost == 0 || beyond == 0 || is_let);
                }
                for (in_flight, limit) in standing.concurrency.iter().zip(&limits.concurrency) {
                    assert!(*in_flight <= limit.limit);
                }
            }
            Err(shortage) => {
                assert_eq!(shortage.violations, expected);
                self.assert_same(&shortage.standing);
            }
        }
    }

    /// Shows both the time and gives the account of each quota, with its name in the model.
    fn accounts_of(&mut self, limits: &Arc<Limits>) -> Vec<(AccountId, Key)> {
        self.model.look(limits, self.now);
        let _standing = self.accounts.standing(limits, self.now);
        let id = |quota: &Quota| {
            let window = quota.window.window_at(self.model.latest);
            let (scope, quota) = (Arc::clone(&quota.scope), Arc::clone(&quota.account));
            let key = (scope.to_string(), quota.to_string(), window.start);
            (AccountId { scope, quota, window }, key)
        };
        limits.quotas.iter().map(id).collect()
    }

    fn counts(&mut self, id: &AccountId, key: Key) -> &mut Counts {
        self.model.counts.entry(key).or_insert(Counts { used: 0, reserved: 0, end: id.window.end })
    }

    fn load(&mut self, limits: &Arc<Limits>, used: u64) {
        for (id, key) in self.accounts_of(limits) {
            self.accounts.load(&id, used);
            self.counts(&id, key).used += used;
        }
    }

    fn adjust(&mut self, limits: &Arc<Limits>, quota: Index, units: i64) {
        let accounts = self.accounts_of(limits);
        if accounts.is_empty() {
            return;
        }
        let (id, key) = quota.get(&accounts).clone();
        let counts = self.counts(&id, key);
        counts.used = u64::try_from(i64::try_from(counts.used).unwrap() - units).unwrap_or(0);
        let expected = counts.used;
        assert_eq!(self.accounts.adjust(&id, units), expected);
    }

    fn compare(&mut self) {
        self.accounts.check_invariants();
        for limits in self.limits.clone() {
            self.model.look(&limits, self.now);
            let standing = self.accounts.standing(&limits, self.now);
            self.accounts.check_invariants();
            self.assert_same(&standing);
        }
    }

    fn assert_same(&self, standing: &crate::ledger::Standing) {
        let limits = &standing.limits;
        let counts: Vec<_> = standing.quotas.iter().map(|q| (q.used, q.reserved)).collect();
        assert_eq!(counts, self.model.counts(limits));
        let remaining: Vec<_> = standing.rates.iter().map(|rate| rate.remaining).collect();
        assert_eq!(remaining, self.model.remaining(limits));
        let in_flight = limits.concurrency.iter().map(|limit| self.model.in_flight(&limit.scope));
        assert!(standing.concurrency.iter().copied().eq(in_flight));
        assert_eq!(standing.in_flight as usize, self.model.holds.len());
        assert_eq!(standing.at, self.model.latest);
    }
}

/// Makes the limits that a reload makes: none is one of before.
fn loaded(config: &Config) -> Vec<Arc<Limits>> {
    config.iter().map(|limits| Arc::new(limits.clone())).collect()
}

fn run(all: &[Config], steps: &[Step]) {
    let mut pair = Pair::new(&all[0]);
    for step in steps {
        pair.step(step, all);
    }
}

proptest! {
    #[test]
    fn the_ledger_is_the_model(
        all in prop::collection::vec(config(&[true, false, false, false, false, false]), 1..4),
        steps in prop::collection::vec(step(), 1..120),
    ) {
        run(&all, &steps);
    }

    /// Time only passes: the rate of a key that no limits name for a while is forgotten once it is
    /// given back in full, and a clock set back after that finds nothing owed.
    #[test]
    fn rates_of_every_scope_are_the_model(
        all in prop::collection::vec(config(&[true; 6]), 1..4),
        steps in prop::collection::vec(step(), 1..120),
    ) {
        let forward = |step| match step {
            Step::Wait(ns) => Step::Wait(ns.abs()),
            other => other,
        };
        let steps: Vec<_> = steps.into_iter().map(forward).collect();
        run(&all, &steps);
    }
}
