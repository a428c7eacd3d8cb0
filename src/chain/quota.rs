//! Fourth step: the units are taken, from all limits or from none, and written down. What the plan does not
//! cover is paid from the caller's money, if the route has a price, and what that does not cover by the payment that comes
//! with the request, if one does.
//!
//! Order: the ledger first, because it decides; the journal second, and only when it has the record
//! is anything forwarded. A crash in between loses a take that nobody was served for. Who goes away in
//! between is settled like anybody who was not served.

use std::{rc::Rc, sync::Arc, time::Duration};

use jiff::Timestamp;
use tokio::time::timeout;
use uuid::Uuid;

use crate::{
    answer::{Code, CreditDenial, CreditShortage, Denial, Ending, Fault, QuotaDenial, Refusal},
    chain::{
        exchange::Exchange,
        payer::{About, Payer},
        payment::{self, Brought, Paid},
        reservation::Reservation,
        route::Routed,
        subscription::{Entitled, Notice},
    },
    clock::Clock,
    ledger::{Accounts, Charge, Hold, Lacking, Shortage, Unpaid, When},
    model::{Money, Route},
    progress::Progress,
    roster::Caller,
    worker::{
        append::Outcome,
        books::{Books, Source},
    },
};

/// A request whose units are taken, if anyone pays for it.
#[derive(Debug)]
pub struct Reserved {
    routed: Routed,
    payer: Payer,
    notice: Option<Notice>,
    reservation: Option<Reservation>,
    paid: Option<Paid>,
}

/// Takes the units of an entitled request, or has its payment settled. Where nobody pays nothing is taken.
pub async fn quota(
    entitled: Entitled,
    payment: Option<Brought>,
    exchange: &mut Exchange,
) -> Result<Reserved, Refusal> {
    let (routed, payer, notice, uncovered) = entitled.into_parts();
    if let Some(denial) = uncovered.as_ref().filter(|_| payer.paying().is_some()) {
        exchange.note(|trail| trail.uncovered(denial.code()));
    }
    let found = match payer.paying() {
        None => None,
        Some(caller) => {
            let take = |when| take(routed.route(), caller, uncovered.clone(), exchange, when);
            let clock = exchange.clock();
            Some(when_known(&caller.accounts, clock, exchange.now(), take).await?)
        }
    };
    let found = match (found, &payer) {
        (None, Payer::Stranger) => Some(Err(payment::required(routed.route()))),
        (found, _) => found,
    };
    let found = match (found, payment.as_ref().and_then(Brought::unfit)) {
        (Some(Ok(hold)), Some(denial)) => {
            // A bad payment beside a good key is an error. Nothing of what was taken is written down yet.
            hold.settle(Charge::NOTHING);
            return Err(denial.into());
        }
        (found, _) => found,
    };
    if let Some(Err(denial)) = &found
        && let Some(brought) = payment
        && payment::may_pay(denial)
        && payer.is_refused(routed.is_enforced())
    {
        let paid = payment::pay(brought, &routed, &payer, exchange).await?;
        return Ok(Reserved { routed, payer, notice, reservation: None, paid: Some(paid) });
    }
    if let (Payer::Stranger, Some(Err(denial))) = (&payer, &found) {
        return Err(denial.clone().into());
    }
    let found = |caller: &Arc<Caller>| {
        let source = Source { caller: Arc::clone(caller), route: routed.entry().clone() };
        found.map(|hold| Ok((hold?, source))).transpose()
    };
    let (payer, taken) = payer.judge(routed.is_enforced(), About::Plan, found)?;
    let taken = taken.flatten();
    let reservation = match taken {
        None => None,
        Some((hold, source)) => {
            let (id, now, progress) = (exchange.request_id(), exchange.now(), exchange.progress());
            Some(write_down(hold, source, exchange.books(), id, now, progress).await?)
        }
    };
    Ok(Reserved { routed, payer, notice, reservation, paid: None })
}

/// Takes the units from the allowance, or where that does not cover them the price from the money.
fn take(
    route: &Route,
    caller: &Caller,
    uncovered: Option<Denial>,
    exchange: &Exchange,
    when: When,
) -> Result<Hold, NotTaken> {
    let (accounts, cost) = (&caller.accounts, route.cost);
    let from_allowance = || {
        let found = accounts.reserve(&caller.limits, cost, when);
        let told = found.as_ref().map(Hold::standing).map_err(|shortage| &**shortage);
        if told.as_ref().err().is_none_or(|shortage| shortage.lack.is_none()) {
            exchange.note(|trail| trail.allowance(cost, told));
        }
        found
    };
    let from_money = |price| {
        let found = accounts.reserve_paid(caller.limits_of_money(), cost, price, when);
        let told = found.as_ref().map(|hold| (hold.standing(), hold.credit()));
        exchange.note(|trail| trail.money(cost, price, told));
        found
    };
    decide(route, uncovered, from_allowance, from_money)
}

/// Decides who pays: the allowance, where it covers the request; else the money, where the route has a
/// price and nothing else stands in the way. Each is asked at most once.
pub(crate) fn decide<T>(
    route: &Route,
    uncovered: Option<Denial>,
    from_allowance: impl FnOnce() -> Result<T, Box<Shortage>>,
    from_money: impl FnOnce(Money) -> Result<T, Unpaid>,
) -> Result<T, NotTaken> {
    let short = |shortage| QuotaDenial::new(shortage, route.cost);
    let reason = match uncovered {
        Some(denial) => denial,
        None => match from_allowance() {
            Ok(taken) => return Ok(taken),
            Err(shortage) => {
                if let Some(lacking) = shortage.lack {
                    return Err(NotTaken::Lacking(lacking));
                }
                let denial = short(shortage);
                let is_for_money = denial.is_about_allowance();
                let denial = Denial::QuotaExceeded(Box::new(denial));
                if !is_for_money {
                    return Err(denial.into());
                }
                denial
            }
        },
    };
    let Some(price) = route.price else { return Err(reason.into()) };
    from_money(price).map_err(|unpaid| match unpaid {
        Unpaid::Limits(shortage) => match shortage.lack {
            Some(lacking) => NotTaken::Lacking(lacking),
            None => Denial::QuotaExceeded(Box::new(short(shortage))).into(),
        },
        Unpaid::Credit { standing, is_in_flight, limits: _ } => {
            let shortage = CreditShortage { price, standing };
            match is_in_flight {
                true => Denial::BalanceInFlight(shortage),
                false => Denial::CreditExceeded(Box::new(CreditDenial { reason, shortage })),
            }
            .into()
        }
    })
}

/// Why nothing was taken.
#[derive(Debug)]
pub(crate) enum NotTaken {
    /// The caller may not.
    Denied(Denial),
    /// Units that other nodes share are not here.
    Lacking(Lacking),
}

impl NotTaken {
    /// Tells what is the caller's doing from what is not.
    pub(crate) fn apart<T>(taken: Result<T, Self>) -> Result<Result<T, Lacking>, Denial> {
        match taken {
            Ok(taken) => Ok(Ok(taken)),
            Err(Self::Denied(denial)) => Err(denial),
            Err(Self::Lacking(lacking)) => Ok(Err(lacking)),
        }
    }
}

impl From<Denial> for NotTaken {
    fn from(denial: Denial) -> Self {
        Self::Denied(denial)
    }
}

/// So often a request that waits looks again, if nothing is heard.
const LOOK: Duration = Duration::from_millis(250);

/// Decides until it is known whether there are enough units: those that other nodes share may have to be
/// asked for. Where they cannot be had that is our fault.
pub(super) async fn when_known<T>(
    accounts: &Accounts,
    clock: &Clock,
    arrived: Timestamp,
    mut decide: impl FnMut(When) -> Result<T, NotTaken>,
) -> Result<Result<T, Denial>, Fault> {
    let mut when = When::from(arrived);
    loop {
        match decide(when) {
            Ok(taken) => return Ok(Ok(taken)),
            Err(NotTaken::Denied(denial)) => return Ok(Err(denial)),
            Err(NotTaken::Lacking(Lacking::Unavailable)) => return Err(Fault::QuotaUnavailable),
            Err(NotTaken::Lacking(Lacking::Wait { heard })) => {
                let _ = timeout(LOOK, accounts.hearing(heard)).await;
                when.now = clock.now();
            }
        }
    }
}

/// Writes down what was taken. That this fails is our fault, which is never overlooked.
///
/// What drops it goes by the progress that is given.
pub(super) async fn write_down(
    hold: Hold,
    source: Source,
    books: &Rc<Books>,
    request_id: Uuid,
    now: Timestamp,
    progress: &Rc<Progress>,
) -> Result<Reservation, Fault> {
    let put = books.reserve(&hold, &source, request_id, now);
    // The books log it, once.
    let Ok((ticket, append)) = put else {
        hold.settle(Charge::NOTHING);
        return Err(Fault::QuotaUnavailable);
    };
    let reservation = Reservation::new(hold, ticket, source, Rc::clone(books), Rc::clone(progress));
    match books.ended(&append).await {
        Outcome::Written => return Ok(reservation),
        Outcome::Lost => reservation.forget(),
        Outcome::Torn => reservation.settle(Ending::Unsent),
    }
    Err(Fault::QuotaUnavailable)
}

impl Reserved {
    /// Gives the units taken; none where nobody pays.
    pub fn cost(&self) -> u64 {
        match &self.reservation {
            Some(reservation) => reservation.units(),
            None => 0,
        }
    }

    /// Gives the money taken, from the caller's or by a payment; `None` where the allowance pays, or nobody.
    pub fn price(&self) -> Option<Money> {
        let held = self.reservation.as_ref().and_then(Reservation::price);
        held.or_else(|| self.paid.as_ref().map(Paid::price))
    }

    /// Gives the code of a refusal that is overlooked.
    pub fn shadow(&self) -> Option<Code> {
        self.payer.shadow()
    }

    /// Hands its parts to the next step.
    pub(super) fn into_parts(
        self,
    ) -> (Routed, Payer, Option<Notice>, Option<Reservation>, Option<Paid>) {
        (self.routed, self.payer, self.notice, self.reservation, self.paid)
    }
}
