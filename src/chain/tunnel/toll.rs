//! What an open WebSocket costs beyond its opening: the same for each message, or for each stretch of time.
//!
//! Each is a reservation of its own that passes the decisions of the chain, by what is known at present,
//! and is settled like that of a request. Only the place among the requests in flight is the connection's.

use std::{cell::Cell, rc::Rc, sync::Arc, time::Duration};

use tokio::time::Instant;
use uuid::Uuid;

use super::link::{Closing, Link};
use crate::{
    answer::{Code, Ending},
    chain::{
        exchange::Exchange,
        payer::{About, Payer},
        quota::{self, NotTaken},
        reservation::Reservation,
        right::{self, Found},
    },
    ledger::{Hold, Place, When},
    model::{Money, Nanos},
    progress::{Clocks, Progress},
    roster::Caller,
    snapshot::table::Entry,
    worker::{Worker, books::Source},
};

/// What an open WebSocket costs beyond its opening.
#[derive(Debug)]
pub(super) struct Toll {
    worker: Rc<Worker>,
    /// Who pays; `None` where nobody does.
    caller: Option<Arc<Caller>>,
    entry: Entry,
    peer: std::net::IpAddr,
    request_id: Uuid,
    /// By which what is dropped is settled: nothing of it was sent.
    unsent: Rc<Progress>,
    sum: Cell<Sum>,
}

/// What was charged so far.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Sum {
    /// Units of the allowance.
    pub(super) units: u64,
    /// Money, where that paid.
    pub(super) price: Option<Money>,
    /// The first refusal that was overlooked.
    pub(super) shadow: Option<Code>,
}

impl Toll {
    pub(super) fn new(exchange: &Exchange, entry: Entry, payer: &Payer) -> Self {
        let nothing = Duration::ZERO;
        let clocks =
            Clocks { total: None, idle: nothing, response: nothing, upstream_idle: nothing };
        Self {
            worker: Rc::clone(exchange.worker()),
            caller: payer.paying().cloned(),
            entry,
            peer: exchange.peer(),
            request_id: exchange.request_id(),
            unsent: Rc::new(Progress::new(clocks)),
            sum: Cell::default(),
        }
    }

    /// Takes what is due next, and writes it down; nothing where nobody pays, or a refusal is overlooked.
    pub(super) async fn take(&self) -> Result<Option<Reservation>, Closing> {
        let Some(caller) = &self.caller else { return Ok(None) };
        let clock = self.worker.gateway().clock();
        let decide = |when| self.decide(caller, when);
        let decided = quota::when_known(&caller.accounts, clock, clock.now(), decide).await;
        let decided = decided.map_err(|fault| Closing::failed(fault.code()))?;
        let decided = decided.map_err(|denial| Closing::refused(denial.code()))?;
        let Some((hold, source)) = decided else { return Ok(None) };
        let (books, now) = (self.worker.books(), clock.now());
        let written =
            quota::write_down(hold, source, books, self.request_id, now, &self.unsent).await;
        written.map(Some).map_err(|fault| Closing::failed(fault.code()))
    }

    /// Decides as the chain does about a request that comes now.
    fn decide(&self, caller: &Caller, when: When) -> Result<Option<(Hold, Source)>, NotTaken> {
        let route = &self.entry.route;
        let Found { payer, uncovered, by_route, now } =
            right::look(&self.worker, caller, route, self.peer)?;
        let when = When { now, ..when };
        let take = |caller: &Arc<Caller>| {
            let (accounts, cost) = (&caller.accounts, route.cost);
            let from_allowance = || accounts.reserve_at(Place::Shared, &caller.limits, cost, when);
            let from_money = |price| {
                let limits = caller.limits_of_money();
                accounts.reserve_paid_at(Place::Shared, limits, cost, price, when)
            };
            let hold = quota::decide(route, uncovered, from_allowance, from_money);
            let source = || Source { caller: Arc::clone(caller), route: self.entry.clone() };
            Ok(NotTaken::apart(hold)?.map(|hold| (hold, source())))
        };
        let (payer, taken) = payer.judge(by_route, About::Plan, take)?;
        let taken = taken.transpose().map_err(NotTaken::Lacking)?;
        let sum = self.sum.get();
        self.sum.set(Sum { shadow: sum.shadow.or(payer.shadow()), ..sum });
        Ok(taken)
    }

    /// Charges what was taken: it was served, or begun.
    pub(super) fn charge(&self, reservation: Reservation) {
        let Sum { units, price, shadow } = self.sum.get();
        let units = units.saturating_add(reservation.units());
        let price = reservation.price().map_or(price, |more| {
            let before = price.map_or(Nanos::ZERO, |price| price.nanos);
            Some(Money { nanos: before.saturating_add(more.nanos), ..more })
        });
        self.sum.set(Sum { units, price, shadow });
        reservation.settle(Ending::Completed);
    }

    /// Gives what was charged so far.
    pub(super) fn sum(&self) -> Sum {
        self.sum.get()
    }
}

/// Takes what each stretch of time costs, as the one before is over; until that is written down nothing
/// passes in either direction. The first is paid by the opening. It never ends before the connection does.
pub(super) async fn keep_time(toll: Rc<Toll>, link: Rc<Link>, stretch: Duration) {
    let mut due = Instant::now();
    loop {
        due += stretch;
        tokio::time::sleep_until(due).await;
        link.halt();
        match toll.take().await {
            Ok(taken) => {
                if let Some(reservation) = taken {
                    toll.charge(reservation);
                }
                link.go_on();
            }
            Err(closing) => return link.close(closing),
        }
    }
}
