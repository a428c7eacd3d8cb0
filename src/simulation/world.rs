//! The world: what happens in it, a step at a time.

use std::{collections::BTreeMap, sync::Arc};

use jiff::{SignedDuration, Timestamp};
use uuid::Uuid;

use super::{
    At, Tally, Trace,
    chance::Chance,
    customers::{self, CUSTOMERS, PRICE},
    model::{Delta, Flight, GrantTerms, Key, Model},
    start,
};
use crate::{
    answer::{Ending, QuotaDenial},
    journal::{
        Origin, Ticket,
        tests::{Fault, Place, Process, Script},
    },
    ledger::{AccountId, Charge, Grant, Hold, Ledger, Limits, Unpaid},
    model::{Currency, Money, Nanos},
    store::{
        Store, StoreError, Verdict,
        records::{AccountKey, EntryKind, GrantRecord, GrantSource, Reads, Records},
    },
};

/// A call that was let through.
pub(super) struct Open {
    hold: Hold,
    ticket: Ticket,
    pub(super) flight: u64,
    worker: usize,
}

pub(super) struct World {
    pub(super) trace: Trace,
    pub(super) chance: Chance,
    pub(super) place: Place,
    pub(super) script: Script,
    /// `None` only while it starts.
    pub(super) process: Option<Process>,
    pub(super) ledger: Ledger,
    pub(super) now: Timestamp,
    pub(super) limits: BTreeMap<&'static str, Arc<Limits>>,
    /// By worker: put into its next append.
    pub(super) put: [Vec<Open>; 2],
    pub(super) open: Vec<Open>,
    /// Not forwarded, although their append may stand in the journal.
    pub(super) unsent: Vec<Open>,
    /// By worker and record: what a power cut may take back.
    pub(super) unsure: Vec<(usize, u64, Delta)>,
    pub(super) model: Model,
    /// Nothing is forwarded before the disk has it.
    pub(super) strict: bool,
    /// Nothing fails any more.
    is_calm: bool,
    next: u64,
}

pub(super) fn usd() -> Currency {
    "USD".parse().expect("a currency")
}

fn origin(customer: &'static str) -> (Arc<str>, Arc<str>, u64) {
    let uid = CUSTOMERS.iter().position(|one| *one == customer).expect("a customer");
    (format!("key-{customer}").into(), "r".into(), uid as u64 + 1)
}

impl World {
    pub(super) fn new(seed: u64, mut chance: Chance) -> Self {
        let mut place = Place::new();
        place.segment_bytes = *chance.pick(&[300, 2000, 64 << 20]);
        place.put_database(start::empty_database());
        let script = Script::default();
        let now = "2026-03-30T22:00:00Z".parse().expect("an instant");
        let strict = chance.percent(40);
        let mut world = Self {
            trace: Trace { seed, steps: Vec::new() },
            chance,
            place,
            script,
            process: None,
            ledger: Ledger::new(now),
            now,
            limits: CUSTOMERS.iter().map(|id| (*id, customers::limits(0))).collect(),
            put: Default::default(),
            open: Vec::new(),
            unsent: Vec::new(),
            unsure: Vec::new(),
            model: Model::default(),
            strict,
            is_calm: false,
            next: 1,
        };
        start::start(&mut world);
        world
    }

    pub(super) fn step(&mut self, tally: &mut Tally) {
        let worker = usize::from(self.chance.percent(50));
        let weight = tally;
        match self.chance.below(100) {
            0..38 => self.call(worker, weight),
            38..44 => self.write(worker, weight),
            44..62 => self.settle(weight),
            62..66 => drop(self.sync(worker, weight)),
            66..71 => self.fold(weight),
            71..77 => self.top_up(weight),
            77..82 => self.correct(weight),
            82..85 => self.expire(weight),
            85..89 => self.change_limits(weight),
            89..94 => self.pass_time(weight),
            94..97 => self.keep(weight),
            _ => start::crash(self, weight),
        }
        self.settle_unsent();
        self.check();
    }

    /// Ends it without a crash: everything is settled, and adds up wherever one looks.
    pub(super) fn end(mut self, tally: &mut Tally) {
        self.is_calm = true;
        self.script.writes.lock().expect("plain").clear();
        for worker in [0, 1] {
            while self.process().writers[worker].unsynced().is_failing() {
                self.recover(worker);
            }
            self.write(worker, tally);
        }
        while !self.open.is_empty() {
            self.settle(tally);
        }
        self.settle_unsent();
        assert!(self.unsent.is_empty());
        for worker in [0, 1] {
            assert!(self.put[worker].is_empty());
            self.recover(worker);
        }
        self.fold(tally);
        start::compare_store(&mut self, &[]);
        self.check();
    }

    pub(super) fn process(&mut self) -> &mut Process {
        self.process.as_mut().expect("it runs")
    }

    fn customer(&mut self) -> &'static str {
        self.chance.pick::<&'static str>(&CUSTOMERS)
    }

    /// A call is decided, and put into the journal.
    fn call(&mut self, worker: usize, tally: &mut Tally) {
        let (customer, cost) = (self.customer(), *self.chance.pick(&[0, 1, 1, 1, 3]));
        let is_priced = self.chance.percent(60);
        let (limits, now) = (Arc::clone(&self.limits[customer]), self.now);
        let money = Money { nanos: Nanos(PRICE), currency: usd() };
        let accounts = self.ledger.customer(customer);
        let at = self.model.see(customer, now);
        let short = self.model.short(customer, &limits, cost, at);
        let mut expected_draws = None;
        let taken = match accounts.reserve(&limits, cost, now) {
            Ok(hold) => {
                assert!(!short.contains(&true), "served although {short:?} are short");
                Some(hold)
            }
            Err(shortage) => {
                assert!(short.contains(&true), "refused although nothing is short");
                let is_for_money = QuotaDenial::new(shortage, cost).is_about_allowance();
                assert_eq!(is_for_money, Model::is_for_money(&limits, &short));
                if is_for_money && is_priced {
                    let limits = customers::of_money(&limits);
                    let scoped = self.model.short(customer, &limits, cost, at);
                    let draws = self.model.draws(customer, PRICE, now);
                    match accounts.reserve_paid(&limits, cost, money, now) {
                        Ok(hold) => {
                            assert!(!scoped.contains(&true));
                            expected_draws = Some(draws.expect("there is too little money"));
                            Some(hold)
                        }
                        Err(Unpaid::Limits(_)) => {
                            assert!(scoped.contains(&true));
                            None
                        }
                        Err(Unpaid::Credit { is_in_flight, .. }) => {
                            assert_eq!(draws, None, "refused although there is money");
                            let (balance, _) = self.model.money(customer, now);
                            assert_eq!(is_in_flight, balance.0 >= PRICE);
                            None
                        }
                    }
                } else {
                    None
                }
            }
        };
        let Some(hold) = taken else {
            tally.count("refused");
            return self.trace.note(format!("{customer} is refused {cost}"));
        };
        let flight = self.next;
        self.next += 1;
        self.model.flights.insert(flight, Flight::new(customer, hold.taken()));
        if let Some(draws) = expected_draws {
            assert_eq!(self.model.drawn(flight), draws);
            tally.count("paid by money");
        }
        self.trace.note(format!("{customer} takes {:?} as {flight} on {worker}", hold.cost()));
        let (key_id, route, uid) = origin(customer);
        let origin = of(&key_id, &route, uid);
        let writer = &mut self.process().writers[worker];
        let put = writer.reserve(hold.taken(), &origin, Uuid::from_u128(flight.into()), now);
        match put {
            Ok(ticket) => self.put[worker].push(Open { hold, ticket, flight, worker }),
            Err(_) => {
                tally.count("journal refuses");
                self.model.flights.remove(&flight);
                hold.settle(Charge::NOTHING);
            }
        }
        if self.chance.percent(70) {
            self.write(worker, tally);
        }
    }

    /// What is put is written, perhaps not whole.
    fn write(&mut self, worker: usize, tally: &mut Tally) {
        self.perhaps_fail(tally);
        let written = self.process().writers[worker].write();
        self.note(worker, written.is_ok(), tally);
    }

    fn perhaps_fail(&mut self, tally: &mut Tally) {
        if !self.is_calm && self.chance.percent(6) {
            let length = usize::try_from(self.chance.below(400)).expect("small");
            let cuts_fail = self.chance.percent(50);
            *self.script.cuts_fail.lock().expect("plain") = cuts_fail;
            self.script.writes.lock().expect("plain").push_back(Fault::Short(length));
            tally.count(if cuts_fail { "torn writes" } else { "failed writes" });
        }
    }

    /// An append ended: its reservations are forwarded, void, or not forwarded.
    fn note(&mut self, worker: usize, is_written: bool, tally: &mut Tally) {
        let is_torn = self.process().writers[worker].is_torn();
        self.script.writes.lock().expect("plain").clear();
        if !is_written && !is_torn {
            for Open { hold, flight, .. } in self.put[worker].drain(..) {
                self.model.flights.remove(&flight);
                hold.settle(Charge::NOTHING);
            }
            return;
        }
        let is_on_disk = !self.strict || (is_written && self.sync(worker, tally));
        let put = std::mem::take(&mut self.put[worker]);
        if is_written && is_on_disk { self.open.extend(put) } else { self.unsent.extend(put) }
    }

    /// The disk takes what was written, or says that it does not; tells whether all is there.
    fn sync(&mut self, worker: usize, tally: &mut Tally) -> bool {
        let fails = !self.is_calm && self.chance.percent(12);
        *self.script.syncs_fail.lock().expect("plain") = fails;
        let unsynced = self.process().writers[worker].unsynced();
        if matches!(unsynced.sync(), Some(Err(_))) {
            tally.count("failed syncs");
            self.trace.note(format!("a sync of {worker} fails"));
            return false;
        }
        if unsynced.is_failing() {
            self.recover(worker);
        }
        let writer = &self.process().writers[worker];
        writer.unsynced().synced() >= writer.last()
    }

    /// Writes once more what a failed sync may have lost.
    fn recover(&mut self, worker: usize) {
        *self.script.syncs_fail.lock().expect("plain") = false;
        let now = self.now;
        let writer = &mut self.process().writers[worker];
        if writer.put_bytes() > 0 {
            return;
        }
        writer.try_again(now).expect("it can be written");
        let _ = writer.unsynced().sync();
    }

    /// A call ends.
    fn settle(&mut self, tally: &mut Tally) {
        if self.open.is_empty() {
            return;
        }
        let index = self.chance.below(self.open.len() as u64);
        let open = self.open.swap_remove(usize::try_from(index).expect("few"));
        let cost = open.hold.cost();
        let (more, less) = (cost.nanos.0 + 5, cost.nanos.0 / 2);
        let is_paid = cost.nanos > Nanos::ZERO;
        let charge = match self.chance.below(10) {
            0..5 => cost,
            5..8 => Charge::NOTHING,
            8 if is_paid => Charge { nanos: Nanos(more), ..cost },
            8 => Charge { units: cost.units + 2, ..cost },
            _ if is_paid => Charge { nanos: Nanos(less), ..cost },
            _ => Charge { units: cost.units / 2, ..cost },
        };
        self.perhaps_fail(tally);
        if let Err(open) = self.end_call(open, Ending::Completed, charge, tally) {
            self.open.push(*open);
        }
    }

    /// Settles what was not forwarded, as far as that works.
    fn settle_unsent(&mut self) {
        let mut tally = Tally::default();
        while let Some(open) = self.unsent.pop() {
            if let Err(open) = self.end_call(open, Ending::Unsent, Charge::NOTHING, &mut tally) {
                return self.unsent.push(*open);
            }
        }
    }

    fn end_call(
        &mut self,
        open: Open,
        ending: Ending,
        charge: Charge,
        tally: &mut Tally,
    ) -> Result<(), Box<Open>> {
        let Open { hold, ticket, flight, worker } = open;
        let now = self.now;
        let (key_id, route, uid) = origin(self.model.flights[&flight].customer);
        let writer = &mut self.process().writers[worker];
        let settled =
            writer.settle(&ticket, hold.taken(), &of(&key_id, &route, uid), ending, charge, now);
        let (last, is_changed) = (writer.last(), charge != hold.cost());
        if is_changed {
            self.note(worker, settled.is_ok(), tally);
        }
        if settled.is_err() {
            return Err(Box::new(Open { hold, ticket, flight, worker }));
        }
        self.trace.note(format!("{flight} ends as {ending:?} for {charge:?}"));
        let gone = self.model.flights.remove(&flight).expect("it was in flight");
        let delta = gone.charged(charge);
        self.model.add(&delta);
        if is_changed {
            // If the disk loses that, the start charges it in full.
            let mut instead = gone.charged(gone.cost);
            instead.extend(delta.into_iter().map(|(key, amount)| (key, -amount)));
            self.unsure.push((worker, last, instead));
        }
        hold.settle(charge);
        Ok(())
    }

    /// The journal goes into the store.
    fn fold(&mut self, tally: &mut Tally) {
        let is_failing = |world: &mut Self| {
            let writers = &world.process().writers;
            writers.iter().any(|writer| writer.unsynced().is_failing())
        };
        self.script.writes.lock().expect("plain").clear();
        for worker in [0, 1] {
            // As the worker's tick does; settles may wait for it.
            if self.put[worker].is_empty() && !is_failing(self) {
                self.process().writers[worker].flush().expect("it can be written");
            }
        }
        let is_whole = self.put.iter().all(Vec::is_empty) && !is_failing(self);
        let mut at = At(self.now);
        let Process { follower, store, .. } = self.process();
        follower.fold(store, &mut at).expect("it can be folded");
        tally.count("folds");
        let waits = [0, 1].map(|worker| self.process().writers[worker].is_waiting());
        self.trace.note(format!("fold, all is written: {is_whole}, settles wait: {waits:?}"));
        start::verify(self);
        if is_whole && self.unsent.is_empty() {
            start::compare_store(self, &[]);
        }
    }

    fn change<T>(&mut self, work: impl FnOnce(&mut dyn Records) -> Result<T, StoreError>) -> T {
        let mut work = Some(work);
        let mut made = None;
        let store = &mut self.process().store;
        let result = store.transact(&mut |records| {
            let Some(work) = work.take() else { return Verdict::Done };
            made = Some(work(records).expect("it can be written"));
            Verdict::Keep
        });
        result.expect("it can be committed");
        made.expect("it was made")
    }

    /// Money comes, and repays what is owed.
    fn top_up(&mut self, tally: &mut Tally) {
        let (customer, now) = (self.customer(), self.now);
        let hours = |hours: u64| SignedDuration::from_hours(i64::try_from(hours).expect("few"));
        let amount = Nanos(i64::try_from(1 + self.chance.below(40)).expect("small"));
        let effective = now + hours(*self.chance.pick(&[0, 0, 0, 5]));
        let expires = self.chance.percent(60).then(|| effective + hours(1 + self.chance.below(60)));
        let priority = *self.chance.pick(&[50, 100, 100]);
        let accounts = self.ledger.customer(customer);
        let repays = accounts.debt(usd()).clamp(Nanos::ZERO, amount);
        let mut record = GrantRecord {
            id: format!("grant-{}", self.next),
            number: 0,
            customer: customer.to_owned(),
            currency: usd(),
            amount,
            left: amount.saturating_sub(repays),
            priority,
            source: GrantSource::Paid,
            effective,
            expires,
            note: None,
            actor: String::new(),
            created_at: now,
        };
        self.next += 1;
        let number = self.change(|records| records.put_grant(&record, repays));
        record.number = number;
        let grant: Grant = crate::provisioning::grant_of(&record);
        accounts.grant(&grant, record.left);
        accounts.owe(usd(), Nanos(-repays.0));
        let id = record.id.clone();
        self.model.grants.push(GrantTerms {
            id: id.clone(),
            customer,
            number,
            priority,
            effective,
            expires,
        });
        let owed = Key::Owed(customer.to_owned());
        assert_eq!(repays.0, self.model.of(&owed).clamp(0, amount.0));
        self.model.add(&[(Key::Left(id), record.left.0), (owed, -repays.0)]);
        tally.count("grants");
        self.trace.note(format!("{customer} gets {amount}, {repays} of it repaid"));
    }

    /// An operator corrects a count or the money.
    fn correct(&mut self, tally: &mut Tally) {
        let (customer, now) = (self.customer(), self.now);
        tally.count("corrections");
        if self.chance.percent(40) {
            let nanos = Nanos(i64::try_from(1 + self.chance.below(12)).expect("small"));
            self.change(|records| records.owe(now, customer, usd(), nanos, "adj"));
            self.ledger.customer(customer).owe(usd(), nanos);
            self.model.add(&[(Key::Owed(customer.to_owned()), nanos.0)]);
            return self.trace.note(format!("{customer} owes {nanos} more"));
        }
        let limits = Arc::clone(&self.limits[customer]);
        if limits.quotas.is_empty() {
            return;
        }
        let quota = self.chance.pick(&limits.quotas).clone();
        let at = self.model.see(customer, now);
        let key = Model::account(customer, &quota, at);
        let used = self.model.of(&key);
        let most = u64::try_from(used.max(0)).expect("it is not below 0") + 3;
        // At most what is used is given back.
        let units = used - i64::try_from(self.chance.below(most + 3)).expect("small");
        let window = quota.window.window_at(at);
        let (scope, name) = (&*quota.scope, &*quota.account);
        let account = AccountKey { customer, scope, quota: name, window };
        let why = (EntryKind::Corrected, None);
        self.change(|records| records.add_used(now, &account, -units, why));
        let id = AccountId { scope: quota.scope.clone(), quota: quota.account.clone(), window };
        self.ledger.customer(customer).adjust(&id, units);
        self.model.add(&[(key, -units)]);
        self.trace.note(format!("{customer} gets {units} of {name} back"));
    }

    /// Grants that have ended are taken, as far as no call holds them.
    fn expire(&mut self, tally: &mut Tally) {
        let now = self.now;
        let ended = self.process().store.reads().ended_grants(now, 100).expect("it can be read");
        for grant in ended {
            let accounts = self.ledger.customer(&grant.customer);
            let key = Key::Left(grant.id.clone());
            let Some(left) = accounts.left_unheld(&grant.id) else {
                let is_gone = self.model.of(&key) == 0;
                assert!(is_gone || self.model.is_held(&grant.id), "{} is not held", grant.id);
                continue;
            };
            assert_eq!(left.0, self.model.of(&key), "{}", grant.id);
            let repays = accounts.debt(usd()).clamp(Nanos::ZERO, left.max(Nanos::ZERO));
            self.change(|records| records.expire_grant(now, &grant, left, repays));
            accounts.take_from_grant(usd(), &grant.id, left);
            accounts.owe(usd(), Nanos(-repays.0));
            let owed = Key::Owed(grant.customer.clone());
            self.model.add(&[(key, -left.0), (owed, -repays.0)]);
            tally.count("expired grants");
            self.trace.note(format!("{} expires with {left}, {repays} of it repaid", grant.id));
        }
    }

    /// A plan, or the configuration, changes.
    fn change_limits(&mut self, tally: &mut Tally) {
        let (customer, number) = (self.customer(), self.chance.below(9));
        self.limits.insert(customer, customers::limits(number));
        tally.count("changes of limits");
        self.trace.note(format!("{customer} has limits {number}"));
    }

    fn pass_time(&mut self, tally: &mut Tally) {
        let minutes = *self.chance.pick(&[1, 1, 7, 60, 200, 1440, 2880, 44_640, -120, -2880]);
        let span = SignedDuration::from_mins(minutes);
        self.now = self.now.checked_add(span).expect("it is far from the end");
        tally.count(if minutes < 0 { "clock set back" } else { "time passes" });
        self.trace.note(format!("it is {}", self.now));
    }

    /// The ledger at rest is kept.
    fn keep(&mut self, tally: &mut Tally) {
        let (now, max) = (self.now, usize::try_from(1 + self.chance.below(6)).expect("small"));
        let behind = SignedDuration::from_mins(*self.chance.pick(&[0, 1, 60]));
        let old = SignedDuration::from_hours(*self.chance.pick(&[2, 48, 24_000]));
        if self.chance.percent(60) {
            while !self.change(|records| records.enter_gathered(now, now - behind, max)) {}
        } else {
            let before = now.checked_sub(old).expect("it is far from the begin");
            while !self.change(|records| records.carry_entries(before, max)) {}
        }
        tally.count("keeping");
        self.trace.note("keep");
        start::verify(self);
    }

    /// Memory is what the model says.
    fn check(&mut self) {
        let now = self.now;
        for customer in CUSTOMERS {
            let limits = Arc::clone(&self.limits[customer]);
            let accounts = self.ledger.customer(customer);
            let at = self.model.see(customer, now);
            let standing = accounts.standing(&limits, now);
            for (quota, found) in limits.quotas.iter().zip(&standing.quotas) {
                let key = Model::account(customer, quota, at);
                let (used, held) = self.model.standing(&key);
                let expected =
                    (u64::try_from(used).unwrap_or(0), u64::try_from(held).expect("few"));
                assert_eq!((found.used, found.reserved), expected, "{key:?}");
            }
            let money = accounts.credit(now).pop();
            let found = money.map_or((Nanos::ZERO, Nanos::ZERO), |m| (m.balance, m.reserved));
            assert_eq!(found, self.model.money(customer, now), "{customer}'s money");
            accounts.check_invariants();
        }
    }
}

fn of<'a>(key_id: &'a Arc<str>, route: &'a Arc<str>, uid: u64) -> Origin<'a> {
    Origin { key_uid: uid, key_id, application: None, plan: None, route_uid: 1, route }
}
