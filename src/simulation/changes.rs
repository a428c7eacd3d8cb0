//! What operators and the upkeep change, in the store first and then in memory.

use jiff::{SignedDuration, Timestamp};

use super::{
    model::Grant,
    plan::{self, CUSTOMERS, id},
    world::{Process, World},
};
use crate::{
    model::Nanos,
    provisioning::{AdjustmentInput, Change, GrantInput, Rejection},
    store::{Store, Verdict, records::Records},
};

impl World {
    /// Changes something as an operator does, or the upkeep.
    pub(super) fn change(&mut self) {
        let customer = self.random.index(CUSTOMERS);
        match self.random.below(12) {
            0..5 => self.grant(customer),
            5 => self.correct_units(customer),
            6 => self.correct_money(customer),
            7..10 => self.expire(),
            _ => self.keep(),
        }
        self.check_ledger();
    }

    fn check_ledger(&mut self) {
        let mut found = 0;
        let reads = self.process().store.reads();
        crate::store::records::Reads::verify(&reads, &mut |_| found += 1).unwrap();
        assert_eq!(found, 0, "the ledger adds up behind a change");
    }

    /// Gives money, up to three times in one transaction.
    fn grant(&mut self, customer: usize) {
        let now = self.stored_now();
        let mut inputs = Vec::new();
        let mut told = Vec::new();
        for _ in 0..self.random.one_of(&[1, 1, 2, 3]) {
            let amount = self.random.between(3, 40) * 100_000_000 + self.random.between(0, 1);
            let begins = now + SignedDuration::from_secs(self.random.between(60, 7200));
            let effective = self.random.happens(20).then_some(begins);
            let from = effective.unwrap_or(now);
            let ends = from
                + SignedDuration::from_secs({
                    let most = self.random.one_of(&[4000, 90_000]);
                    self.random.between(60, most)
                });
            let expires = self.random.happens(60).then_some(ends);
            let priority = self.random.happens(50).then(|| self.random.below(3) as u8);
            self.log.push(format!("grant {amount} to {customer}, {effective:?} to {expires:?}"));
            let input: GrantInput = serde_json::from_value(serde_json::json!({
                "amount": Nanos(amount).to_string(), "currency": "USD", "effective": effective,
                "expires": expires, "priority": priority,
            }))
            .unwrap();
            inputs.push(input);
            told.push(((amount, priority.unwrap_or(100)), (from, expires)));
        }
        let grants = inputs
            .into_iter()
            .map(|input| move |change: &mut Change<'_>| change.grant(&id(customer), input));
        let made = self.make_each(grants.collect());
        for (made, (money, time)) in made.into_iter().zip(told) {
            self.add_grant(customer, made.unwrap().number, money, time);
        }
        self.tell();
    }

    /// Adds to the model what was given, less what of it repays.
    fn add_grant(
        &mut self,
        customer: usize,
        number: u64,
        (amount, priority): (i64, u8),
        (effective, expires): (Timestamp, Option<Timestamp>),
    ) {
        let known = &mut self.model.customers[customer];
        let repays = known.debt.1.clamp(0, amount);
        let left = amount - repays;
        let (base, memory, held) = (left, left, 0);
        known.grants.push(Grant { number, priority, effective, expires, base, memory, held });
        known.debt.0 -= repays;
        known.debt.1 -= repays;
    }

    /// Corrects a count, up to three times in one transaction.
    fn correct_units(&mut self, customer: usize) {
        let now = self.stored_now();
        let known = &mut self.model.customers[customer];
        let scope = self.random.index(2);
        let Some(quota) = known.plan.quotas[scope].first().cloned() else { return };
        known.latest = known.latest.max(now);
        let amounts: Vec<i64> = (0..self.random.one_of(&[1, 1, 2, 3]))
            .map(|_| self.random.between(1, 8) * self.random.one_of(&[-1, 1, 1]))
            .collect();
        self.log
            .push(format!("correct {} of {customer}, scope {scope}: {amounts:?}", quota.name()));
        let works = amounts.iter().map(|amount| {
            let input: AdjustmentInput = serde_json::from_value(serde_json::json!({
                "quota": quota.name(), "scope": plan::scope(scope), "amount": amount.to_string(),
                "reason": "simulated",
            }))
            .unwrap();
            move |change: &mut Change<'_>| change.adjust(&id(customer), input)
        });
        let results = self.make_each(works.collect());
        let place = self.model.place(customer, scope, quota.account);
        let units = self.model.units.entry(place).or_default();
        for (amount, made) in amounts.into_iter().zip(results) {
            assert_eq!(made.is_ok(), units.memory >= amount, "{made:?}");
            if made.is_ok() {
                units.memory -= amount;
                units.base -= amount;
            }
        }
        self.tell();
    }

    fn correct_money(&mut self, customer: usize) {
        let now = self.stored_now();
        let amount = self.random.between(1, 4_000_000_000) * self.random.one_of(&[-1, 1]);
        self.log.push(format!("correct money of {customer}: {amount}"));
        let input: AdjustmentInput = serde_json::from_value(serde_json::json!({
            "credit": "USD", "amount": Nanos(amount).to_string(), "reason": "simulated",
        }))
        .unwrap();
        let made = self.make(|change| change.adjust(&id(customer), input));
        made.unwrap();
        if amount > 0 {
            let reads = self.process().store.reads();
            let grants = crate::store::records::Reads::grants(&reads, &id(customer), None, 1 << 20);
            let last = grants.unwrap().pop().unwrap();
            drop(reads);
            self.add_grant(customer, last.number, (amount, 100), (now, None));
        } else {
            self.model.customers[customer].debt.0 -= amount;
            self.model.customers[customer].debt.1 -= amount;
        }
        self.tell();
    }

    fn expire(&mut self) {
        let now = self.stored_now();
        self.log.push("expire".into());
        self.make(|change| change.expire_grants(64)).unwrap();
        for known in &mut self.model.customers {
            for grant in &mut known.grants {
                let is_over = grant.expires.is_some_and(|end| end <= now);
                if is_over && grant.held == 0 && grant.memory > 0 {
                    let repays = known.debt.1.clamp(0, grant.memory);
                    known.debt.0 -= repays;
                    known.debt.1 -= repays;
                    grant.base -= grant.memory;
                    grant.memory = 0;
                }
            }
        }
        self.tell();
    }

    /// Enters what was consumed, and carries old entries.
    fn keep(&mut self) {
        let (now, rows) = (self.now, 1 + self.random.index(20));
        let late = self.random.one_of(&[0, 60, 120]);
        let kept = self.random.one_of(&[3600, 86_400]);
        self.log.push(format!("keep {rows} rows"));
        let before = now - SignedDuration::from_secs(late);
        let carry_before = now - SignedDuration::from_secs(kept);
        self.transact(&mut |records| {
            let entered = records.enter_gathered(now, before, rows);
            let carried = records.carry_entries(carry_before, rows);
            if entered.and(carried).is_ok() { Verdict::Keep } else { Verdict::Undo }
        });
    }

    /// Gives the time as changes have it.
    fn stored_now(&self) -> Timestamp {
        crate::store::instant(self.now.as_millisecond())
    }

    /// Makes a change: it is in the store then, and memory is not told.
    fn make<T>(
        &mut self,
        work: impl FnOnce(&mut Change<'_>) -> Result<T, Rejection>,
    ) -> Result<T, Rejection> {
        self.make_each(vec![work]).pop().unwrap()
    }

    /// Makes changes in one transaction.
    fn make_each<T>(
        &mut self,
        works: Vec<impl FnOnce(&mut Change<'_>) -> Result<T, Rejection>>,
    ) -> Vec<Result<T, Rejection>> {
        let mut works = works.into_iter();
        let mut results = Vec::new();
        let Process { gateway, store, untold, .. } = self.process();
        let committed = store.transact(&mut |records| {
            let Some(work) = works.next() else { return Verdict::Done };
            let mut change = Change::new(records, gateway, "simulation");
            let done = work(&mut change).and_then(|made| Ok((made, change.finish()?)));
            let verdict = if done.is_ok() { Verdict::Keep } else { Verdict::Undo };
            results.push(done.map(|(made, applied)| {
                untold.push(applied);
                made
            }));
            verdict
        });
        committed.unwrap();
        results
    }

    /// Lets memory know of a change, unless the process ends before.
    fn tell(&mut self) {
        if self.random.happens(4) {
            self.fault("crash before memory is told");
            let is_power_cut = self.random.happens(50);
            self.crash(is_power_cut);
            return self.start();
        }
        let Process { gateway, untold, .. } = self.process();
        for applied in untold.drain(..) {
            applied.apply(gateway);
        }
    }

    fn transact(&mut self, work: &mut dyn FnMut(&mut dyn Records) -> Verdict) {
        let mut is_done = false;
        let done = self.process().store.transact(&mut |records| {
            if std::mem::replace(&mut is_done, true) { Verdict::Done } else { work(records) }
        });
        done.unwrap();
    }
}
