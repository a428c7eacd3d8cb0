//! What can happen, one thing at a time.

use http::Method;
use jiff::SignedDuration;
use uuid::Uuid;

use super::{
    disk::Sync,
    model::{Decision, Request, Sum},
    plan::{self, CUSTOMERS, KEYS, ROUTES},
    world::{WORKERS, World, poll},
};
use crate::{
    answer::{Denial, Ending},
    chain::quota::{self, NotTaken},
    ledger::{Charge, Hold},
    model::Nanos,
    roster::Caller,
    snapshot::table::{Entry, Found as Route},
    worker::books::{Due, Open, Source},
};

const CHARGED: [Ending; 4] =
    [Ending::Completed, Ending::Aborted, Ending::Truncated, Ending::Abandoned];
const FREE: [Ending; 3] = [Ending::Failed, Ending::Uncharged, Ending::Unsent];

impl World {
    /// Does one thing, and compares.
    pub(super) fn step(&mut self) {
        self.figures.steps += 1;
        let worker = u16::try_from(self.random.below(WORKERS.into())).unwrap();
        match self.random.below(100) {
            0..38 => self.request(worker),
            38..55 => self.settle(),
            55..60 => self.charge_otherwise(),
            60..62 => self.leave(),
            62..66 => self.work(worker),
            66..70 => self.break_something(worker),
            70..75 => self.sync(worker),
            75..81 => self.fold_and_check(),
            81..90 => self.change(),
            90..93 => self.change_plan(),
            93..97 => self.turn_clock(),
            97..99 => {
                let is_power_cut = self.random.happens(50);
                self.crash(is_power_cut);
                self.start();
            }
            _ => self.stop_and_start(),
        }
        self.compare_memory();
    }

    fn request(&mut self, worker: u16) {
        let which = (
            self.random.index(CUSTOMERS),
            self.random.index(KEYS),
            self.random.one_of(&[0, 1, 2, 3, 1, 2, 4, 5, 6, 5, 6]),
        );
        let now = self.now;
        let (expected, accounts) = self.model.decide(which, now);
        self.log.push(format!("request {which:?} by worker {worker}: {expected:?}"));
        let (caller, route) = self.find(which);
        let (cost, accounts_of) = (route.route.cost, &caller.accounts);
        let taken = quota::decide(
            &route.route,
            None,
            || accounts_of.reserve(&caller.limits, cost, now),
            |price| accounts_of.reserve_paid(caller.limits_of_money(), cost, price, now),
        );
        let hold = match (taken, &expected) {
            (Ok(hold), Decision::Allowance | Decision::Money(_)) => hold,
            (Err(NotTaken::Denied(denial)), expected) => {
                self.figures.refused += 1;
                return assert_eq!(decision(&denial), *expected);
            }
            (Ok(hold), _) => panic!("expected {expected:?}, and it takes {:?}", hold.taken()),
            (Err(NotTaken::Lacking(lacking)), _) => panic!("{lacking:?} and nobody shares it"),
        };
        let draw = match expected {
            Decision::Money(draw) => {
                self.figures.paid[usize::from(draw.len() > 1)] += 1;
                Some(draw)
            }
            _ => None,
        };
        let Charge { units, nanos } = hold.cost();
        let cost = Sum { units: units.cast_signed(), nanos: nanos.0 };
        let request = Request {
            customer: which.0,
            worker,
            number: 0,
            accounts,
            cost,
            draw,
            is_served: false,
            is_lost: false,
            charge: None,
        };
        self.write_down(request, hold, Source { caller, route });
        if self.random.happens(75) {
            self.process().workers[usize::from(worker)].books.write();
        }
        self.attend(worker);
    }

    fn find(
        &mut self,
        (customer, key, route): (usize, usize, usize),
    ) -> (std::sync::Arc<Caller>, Entry) {
        let now = self.now;
        let gateway = &self.process().gateway;
        let snapshot = gateway.snapshot();
        let lookup = gateway.lookup(&snapshot, now);
        let caller = lookup.caller(&plan::api_key(customer, key).digest).unwrap();
        let path = format!("/{}", ROUTES[route].0);
        match snapshot.routes.find(None, &path, &Method::GET) {
            Route::Route(entry) => (caller, entry.clone()),
            other => panic!("{other:?}"),
        }
    }

    fn write_down(&mut self, request: Request, hold: Hold, source: Source) {
        let (now, number) = (self.now, usize::from(request.worker));
        let place = self.model.requests.len();
        self.model.requests.push(request);
        let worker = &mut self.process().workers[number];
        let id = Uuid::from_u128(place as u128);
        match worker.books.reserve(&hold, &source, id, now) {
            Ok((ticket, append)) => {
                let sequence = ticket.sequence();
                let open = Box::new(Open { hold, ticket, source });
                worker.open.insert(place, open);
                match worker.appends.last_mut() {
                    Some((last, requests)) if std::rc::Rc::ptr_eq(last, &append) => {
                        requests.push(place);
                    }
                    _ => worker.appends.push((append, vec![place])),
                }
                self.model.requests[place].number = sequence;
                self.figures.accepted += 1;
            }
            Err(_) => {
                hold.settle(Charge::NOTHING);
                self.model.requests[place].is_lost = true;
                self.model.settle(place, Sum::default());
                self.figures.unavailable += 1;
            }
        }
    }

    /// Chooses a request that is in the hands of a worker, as far as it is served or not.
    fn choose(&mut self, is_served: bool) -> Option<usize> {
        let Self { model, .. } = self;
        let requests: Vec<bool> = model.requests.iter().map(|one| one.is_served).collect();
        let open = self.process().workers.iter().flat_map(|worker| worker.open.keys().copied());
        let open: Vec<usize> = open.filter(|one| requests[*one] == is_served).collect();
        (!open.is_empty()).then(|| open[self.random.index(open.len())])
    }

    fn settle(&mut self) {
        let Some(request) = self.choose(true) else { return };
        let endings: &[Ending] = if self.random.happens(65) { &CHARGED } else { &FREE };
        let ending = self.random.one_of(endings);
        let is_now = self.random.happens(80);
        self.log.push(format!("settle {request}: {ending:?}, at once: {is_now}"));
        let worker = self.model.requests[request].worker;
        self.push(request, ending);
        if is_now {
            self.process().workers[usize::from(worker)].books.settle_due();
        }
        self.attend(worker);
    }

    /// Charges more or less than was reserved.
    fn charge_otherwise(&mut self) {
        let Some(request) = self.choose(true) else { return };
        let cost = self.model.requests[request].cost;
        let worker = self.model.requests[request].worker;
        let nanos = if cost.nanos > 0 { self.random.between(0, 2 * cost.nanos) } else { 0 };
        let charge = Sum { units: self.random.between(0, 2 * cost.units), nanos };
        self.log.push(format!("charge {request}: {charge:?} of {cost:?}"));
        let known = &mut self.process().workers[usize::from(worker)];
        let open = known.open.remove(&request).unwrap();
        let due = Due { open, ending: Ending::Completed };
        let units = charge.units.unsigned_abs();
        match known.books.settle(due, Charge { units, nanos: Nanos(charge.nanos) }) {
            Ok(()) => self.model.settle(request, charge),
            Err(due) => _ = known.open.insert(request, due.open),
        }
        self.attend(worker);
    }

    /// Lets somebody go away whose request is not written, or whom the disk keeps waiting.
    fn leave(&mut self) {
        let Some(request) = self.choose(false) else { return };
        self.log.push(format!("leave {request}"));
        let worker = self.model.requests[request].worker;
        self.push(request, Ending::Unsent);
        if self.random.happens(50) {
            self.process().workers[usize::from(worker)].books.settle_due();
        }
        self.attend(worker);
    }

    fn work(&mut self, worker: u16) {
        let what = self.random.below(4);
        self.log.push(format!("work {what} of worker {worker}"));
        let books = &self.process().workers[usize::from(worker)].books;
        match what {
            0 => books.write(),
            1 => books.settle_due(),
            2 => books.flush(),
            _ => books.try_again(),
        }
        self.attend(worker);
    }

    fn break_something(&mut self, worker: u16) {
        let is_on = self.random.happens(50);
        match self.random.below(4) {
            0 => {
                self.disk.set_cuts_fail(is_on);
                if is_on {
                    self.fault("cuts fail");
                }
            }
            1 if self.random.happens(50) => {
                self.disk.set_creations_fail(is_on);
                if is_on {
                    self.fault("creations fail");
                }
            }
            _ => {
                let bytes = self.random.index(700);
                self.disk.shorten(worker, bytes);
                self.fault("append cut short");
            }
        }
    }

    fn sync(&mut self, worker: u16) {
        let sync = match self.random.below(10) {
            0 | 1 => Sync::Fails,
            2 => Sync::Lies,
            _ => Sync::Works,
        };
        self.log.push(format!("sync of worker {worker}: {sync:?}"));
        if !matches!(sync, Sync::Works) {
            self.fault("sync fails");
        }
        self.disk.set_sync(sync);
        let known = &self.process().workers[usize::from(worker)];
        // Fails where it should: who waits for it is told.
        let _ = known.unsynced.sync();
        assert_eq!(poll(known.books.follow_disk()).is_some(), !self.is_strict());
        self.disk.set_sync(Sync::Works);
        self.attend(worker);
    }

    fn is_strict(&self) -> bool {
        self.durability == crate::model::Durability::Strict
    }

    fn fold_and_check(&mut self) {
        let is_flushed = self.random.happens(70);
        self.log.push(format!("fold, flushed: {is_flushed}"));
        for worker in (0..WORKERS).filter(|_| is_flushed) {
            self.process().workers[usize::from(worker)].books.flush();
            self.attend(worker);
        }
        self.fold();
        self.check();
    }

    fn change_plan(&mut self) {
        let customer = self.random.index(CUSTOMERS);
        let plan = &mut self.model.customers[customer].plan;
        // Half of the time the same once more, as a reload has it.
        if self.random.happens(60) {
            plan.change(&mut self.random);
        }
        self.log.push(format!("plan of {customer}: {plan:?}"));
        let terms = plan.terms(customer);
        self.process().gateway.live().put_customer(terms);
    }

    fn turn_clock(&mut self) {
        let (least, most) = self.random.one_of(&[
            (1, 50),
            (60, 3600),
            (60, 3600),
            (3600, 90_000),
            (86_400, 40 * 86_400),
            (-4000, -1),
            (-200_000, -3600),
        ]);
        let seconds = self.random.between(least, most);
        self.now += SignedDuration::new(seconds, i32::from(seconds > 0) * 123_456_789);
        let now = self.now;
        self.log.push(format!("clock: {now}"));
        if seconds < 0 {
            self.fault("clock set back");
        }
        self.process().clock.set(now);
    }

    fn stop_and_start(&mut self) {
        self.log.push("stop and start".into());
        self.stop();
        self.start();
    }
}

/// Gives what the model says in the same case.
fn decision(denial: &Denial) -> Decision {
    match denial {
        Denial::BalanceInFlight(_) => Decision::InFlight,
        Denial::CreditExceeded(_) => Decision::Poor,
        Denial::QuotaExceeded(denial) => Decision::Limits(denial.shortage.violations.clone()),
        other => panic!("{other:?}"),
    }
}
