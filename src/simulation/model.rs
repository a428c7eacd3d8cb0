//! The naive model: whole numbers in maps. What it knows of time is in which window an instant lies.
//!
//! Each number stands twice: as the books at rest must have it once all is folded that is settled
//! (`base`, and the requests of this process), and as memory must have it (`memory`).

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::{
    disk::Found,
    plan::{ACCOUNTS, CUSTOMERS, Plan, Quota, ROUTES},
};
use crate::ledger::{Violation, WindowSpec};

/// An account: customer, scope, place in [`ACCOUNTS`], start of the window.
pub(super) type Place = (usize, usize, usize, Timestamp);

/// Units of an account.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Units {
    /// Below zero where a correction gave back what a power cut took.
    pub(super) base: i64,
    pub(super) memory: i64,
    pub(super) reserved: i64,
}

/// Money that was given.
#[derive(Clone, Debug)]
pub(super) struct Grant {
    pub(super) number: u64,
    pub(super) priority: u8,
    pub(super) effective: Timestamp,
    pub(super) expires: Option<Timestamp>,
    pub(super) base: i64,
    pub(super) memory: i64,
    pub(super) held: i64,
}

/// One customer.
#[derive(Debug)]
pub(super) struct Customer {
    pub(super) plan: Plan,
    /// The latest time that it was asked for.
    pub(super) latest: Timestamp,
    pub(super) in_flight: u32,
    pub(super) grants: Vec<Grant>,
    /// What is owed: at rest, and in memory.
    pub(super) debt: (i64, i64),
    /// What its requests came to before this process.
    pub(super) before: Total,
}

/// What requests come to.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) struct Total {
    pub(super) requests: i64,
    /// Of the allowance.
    pub(super) units: i64,
    pub(super) nanos: i64,
}

/// Units and money.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) struct Sum {
    pub(super) units: i64,
    pub(super) nanos: i64,
}

/// A request that was accepted by this process.
#[derive(Clone, Debug)]
pub(super) struct Request {
    pub(super) customer: usize,
    pub(super) worker: u16,
    /// The number of its record.
    pub(super) number: u64,
    pub(super) accounts: Vec<Place>,
    pub(super) cost: Sum,
    /// How much of which grant; `None` where the allowance pays.
    pub(super) draw: Option<Vec<(usize, i64)>>,
    /// It was forwarded.
    pub(super) is_served: bool,
    /// Its append left nothing behind.
    pub(super) is_lost: bool,
    /// What it is charged in memory, once that is known.
    pub(super) charge: Option<Sum>,
}

/// What becomes of a request.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Decision {
    /// The allowance pays.
    Allowance,
    /// Money pays: so much of which grant.
    Money(Vec<(usize, i64)>),
    /// These limits are short.
    Limits(Vec<Violation>),
    /// Money is short, as calls in flight hold it.
    InFlight,
    /// Money is short.
    Poor,
}

#[derive(Debug, Default)]
pub(super) struct Model {
    pub(super) customers: Vec<Customer>,
    pub(super) units: BTreeMap<Place, Units>,
    pub(super) requests: Vec<Request>,
}

impl Customer {
    /// Tells what grants have that may be drawn on, what is held of that, and the balance.
    pub(super) fn credit(&self, now: Timestamp) -> (i64, i64) {
        let usable = self.grants.iter().filter(|grant| grant.is_usable(now));
        let (left, held) =
            usable.fold((0, 0), |(left, held), grant| (left + grant.memory, held + grant.held));
        (left - self.debt.1.max(0), held)
    }

    /// Lists the quotas that bind a key, each with its scope; what binds money leaves out the customer's.
    fn quotas(&self, key: usize, is_for_money: bool) -> Vec<(usize, &Quota)> {
        let mut quotas = Vec::new();
        for (scope, of_scope) in self.plan.quotas.iter().enumerate() {
            if scope <= key && !(is_for_money && scope == 0) {
                quotas.extend(of_scope.iter().map(|quota| (scope, quota)));
            }
        }
        quotas
    }

    fn draw(&mut self, price: i64, now: Timestamp) -> Result<Vec<(usize, i64)>, Decision> {
        let (balance, held) = self.credit(now);
        if price > balance - held {
            return Err(if price <= balance { Decision::InFlight } else { Decision::Poor });
        }
        let mut order: Vec<usize> = (0..self.grants.len()).collect();
        order.sort_by_key(|index| {
            let grant = &self.grants[*index];
            (grant.priority, grant.expires.unwrap_or(Timestamp::MAX), grant.number)
        });
        let (mut left, mut draw) = (price, Vec::new());
        for index in order {
            let grant = &mut self.grants[index];
            let part = left.min(grant.memory - grant.held);
            if grant.is_usable(now) && part > 0 {
                grant.held += part;
                left -= part;
                draw.push((index, part));
            }
        }
        assert_eq!(left, 0, "the model's grants have what its balance says");
        Ok(draw)
    }
}

impl Grant {
    fn is_usable(&self, now: Timestamp) -> bool {
        let has_begun = self.effective <= now && self.expires.is_none_or(|end| now < end);
        has_begun && self.memory > 0
    }
}

impl Request {
    /// Gives what a charge comes to: of each grant, and what is owed.
    fn parts(&self, charge: Sum) -> (Vec<(usize, i64)>, i64) {
        let mut left = charge.nanos;
        let mut parts = Vec::new();
        for (grant, most) in self.draw.iter().flatten() {
            let part = left.min(*most);
            left -= part;
            parts.push((*grant, part));
        }
        (parts, left)
    }
}

impl Model {
    /// Gives the account of a quota now.
    pub(super) fn place(&self, customer: usize, scope: usize, account: usize) -> Place {
        let window = WindowSpec::new(ACCOUNTS[account].2);
        (customer, scope, account, window.window_at(self.customers[customer].latest).start)
    }

    /// Gives the units of an account.
    pub(super) fn units(&self, place: Place) -> Units {
        self.units.get(&place).copied().unwrap_or_default()
    }

    /// Decides about a request, and takes what it takes; gives its accounts too.
    pub(super) fn decide(
        &mut self,
        (customer, key, route): (usize, usize, usize),
        now: Timestamp,
    ) -> (Decision, Vec<Place>) {
        let (_, cost, price) = ROUTES[route];
        let cost = cost.cast_signed();
        let known = &mut self.customers[customer];
        known.latest = known.latest.max(now);
        let violations = self.violations(customer, key, cost, false);
        if violations.is_empty() {
            return (Decision::Allowance, self.take(customer, key, cost, false));
        }
        let own = self.customers[customer].plan.quotas[0].len();
        let is_about_allowance = violations.iter().all(|violation| match violation {
            Violation::Concurrency(_) | Violation::Rate(_) => false,
            Violation::Quota(index)
            | Violation::QuotaTooSmall(index)
            | Violation::SpendCap(index) => *index < own,
        });
        let Some(price) = price.filter(|_| is_about_allowance) else {
            return (Decision::Limits(violations), Vec::new());
        };
        let violations = self.violations(customer, key, cost, true);
        if !violations.is_empty() {
            return (Decision::Limits(violations), Vec::new());
        }
        match self.customers[customer].draw(price, now) {
            Ok(draw) => (Decision::Money(draw), self.take(customer, key, cost, true)),
            Err(short) => (short, Vec::new()),
        }
    }

    fn violations(
        &self,
        customer: usize,
        key: usize,
        cost: i64,
        is_for_money: bool,
    ) -> Vec<Violation> {
        let known = &self.customers[customer];
        let mut found = Vec::new();
        if known.plan.concurrency.is_some_and(|most| known.in_flight >= most) {
            found.push(Violation::Concurrency(0));
        }
        let cap = known.plan.spend_cap;
        for (index, (scope, quota)) in known.quotas(key, is_for_money).into_iter().enumerate() {
            let Units { memory, reserved, .. } =
                self.units(self.place(customer, scope, quota.account));
            let limit = quota.limit.cast_signed();
            if cost <= (limit - memory - reserved).max(0) {
                continue;
            }
            // A cap is the customer's, and so is what it caps.
            let cap = if scope == 0 { cap } else { None };
            let beyond = quota.overage.map(|price| cap.map_or(i64::MAX / 2, |cap| cap / price));
            let most = limit + beyond.unwrap_or(0);
            if most < cost {
                found.push(Violation::QuotaTooSmall(index));
            } else if beyond.is_none() {
                found.push(Violation::Quota(index));
            } else if memory + reserved + cost > most {
                found.push(Violation::SpendCap(index));
            }
        }
        found
    }

    fn take(&mut self, customer: usize, key: usize, cost: i64, is_for_money: bool) -> Vec<Place> {
        let quotas = self.customers[customer].quotas(key, is_for_money);
        let places: Vec<Place> = quotas
            .into_iter()
            .map(|(scope, quota)| self.place(customer, scope, quota.account))
            .collect();
        for place in &places {
            self.units.entry(*place).or_default().reserved += cost;
        }
        self.customers[customer].in_flight += 1;
        places
    }

    /// Ends a request in memory.
    pub(super) fn settle(&mut self, request: usize, charge: Sum) {
        let request = &mut self.requests[request];
        assert_eq!(request.charge.replace(charge), None, "a request is settled once");
        let request = request.clone();
        for place in &request.accounts {
            let units = self.units.entry(*place).or_default();
            units.reserved -= request.cost.units;
            units.memory += charge.units;
        }
        let customer = &mut self.customers[request.customer];
        customer.in_flight -= 1;
        for (grant, held) in request.draw.iter().flatten() {
            customer.grants[*grant].held -= held;
        }
        let (parts, owed) = request.parts(charge);
        for (grant, part) in parts {
            customer.grants[grant].memory -= part;
        }
        customer.debt.1 += owed;
    }

    /// Adds to the books at rest what a request is charged.
    fn charge(&mut self, request: &Request, charge: Sum) {
        for place in &request.accounts {
            self.units.entry(*place).or_default().base += charge.units;
        }
        let customer = &mut self.customers[request.customer];
        let (parts, owed) = request.parts(charge);
        for (grant, part) in parts {
            customer.grants[grant].base -= part;
        }
        customer.debt.0 += owed;
        let total = &mut customer.before;
        total.requests += 1;
        total.units += if request.draw.is_some() { 0 } else { charge.units };
        total.nanos += charge.nanos;
    }

    /// Gives the books at rest as they are with all that is settled.
    pub(super) fn with_settled(&self) -> Self {
        let mut model = self.at_rest();
        for request in &self.requests {
            match request.charge {
                Some(charge) if !request.is_lost => model.charge(request, charge),
                _ => {}
            }
        }
        model
    }

    /// Ends a process: what is found of its requests is charged as that says, and what is open in full.
    pub(super) fn end(&mut self, found: &Found) {
        for request in std::mem::take(&mut self.requests) {
            let id = (request.worker, request.number);
            if found.changed.contains_key(&id) {
                let charge = request.charge.expect("what is written is settled");
                self.charge(&request, charge);
            } else if found.reserved.contains(&id) {
                self.charge(&request, request.cost);
            }
        }
        for units in self.units.values_mut() {
            (units.memory, units.reserved) = (units.base.max(0), 0);
        }
        for customer in &mut self.customers {
            customer.in_flight = 0;
            customer.debt.1 = customer.debt.0;
            for grant in &mut customer.grants {
                (grant.memory, grant.held) = (grant.base, 0);
            }
        }
    }

    fn at_rest(&self) -> Self {
        let customer = |known: &Customer| Customer {
            plan: known.plan.clone(),
            grants: known.grants.clone(),
            ..*known
        };
        let customers = self.customers.iter().map(customer).collect();
        Self { customers, units: self.units.clone(), requests: Vec::new() }
    }

    /// Begins with plans, and nothing used.
    pub(super) fn new(plans: [Plan; CUSTOMERS], now: Timestamp) -> Self {
        let customer = |plan| Customer {
            plan,
            latest: now,
            in_flight: 0,
            grants: Vec::new(),
            debt: (0, 0),
            before: Total::default(),
        };
        Self { customers: plans.into_iter().map(customer).collect(), ..Self::default() }
    }
}
