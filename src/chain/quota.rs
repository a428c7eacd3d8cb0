//! Fourth step: the units are taken, from all limits or from none, and written down.
//!
//! Order: the ledger first, because it decides; the journal second, and only when it has the record
//! is anything forwarded. A crash in between loses a take that nobody was served for. Who goes away in
//! between is settled like anybody who was not served.

use std::{rc::Rc, sync::Arc};

use crate::{
    answer::{Code, Denial, Ending, Fault, QuotaDenial, Refusal},
    chain::{
        exchange::Exchange,
        payer::{About, Payer},
        reservation::Reservation,
        route::Routed,
        subscription::{Entitled, Notice},
    },
    ledger::{Hold, Shortage},
    roster::Caller,
    worker::{append::Outcome, books::Source},
};

/// A request whose units are taken, if anyone pays for it.
#[derive(Debug)]
pub struct Reserved {
    routed: Routed,
    payer: Payer,
    notice: Option<Notice>,
    reservation: Option<Reservation>,
}

/// Takes the units of an entitled request. Where nobody pays none are taken.
pub async fn quota(entitled: Entitled, exchange: &Exchange) -> Result<Reserved, Refusal> {
    let (routed, payer, notice) = entitled.into_parts();
    let take = |caller: &Arc<Caller>| take(&routed, caller, exchange);
    let (payer, taken) = payer.judge(&routed, About::Plan, take)?;
    let reservation = match taken {
        None => None,
        Some((hold, source)) => Some(write_down(hold, source, exchange).await?),
    };
    Ok(Reserved { routed, payer, notice, reservation })
}

fn take(
    routed: &Routed,
    caller: &Arc<Caller>,
    exchange: &Exchange,
) -> Result<(Hold, Source), Denial> {
    let (cost, now) = (routed.route().cost, exchange.now());
    let hold = caller.accounts.reserve(&caller.limits, cost, now).map_err(|shortage| {
        exchange.note_refused_by(&shortage.standing, cost);
        short(shortage, cost)
    })?;
    exchange.note_passed(hold.standing(), cost);
    Ok((hold, Source { caller: Arc::clone(caller), route: routed.entry().clone() }))
}

/// Makes the refusal of a request that does not fit.
pub(super) fn short(shortage: Box<Shortage>, cost: u64) -> Denial {
    Denial::QuotaExceeded(Box::new(QuotaDenial::new(shortage, cost)))
}

/// Writes down what was taken. That this fails is our fault, which is never overlooked.
async fn write_down(hold: Hold, source: Source, exchange: &Exchange) -> Result<Reservation, Fault> {
    let books = exchange.books();
    let put = books.reserve(&hold, &source, exchange.request_id(), exchange.now());
    // The books log it, once.
    let Ok((ticket, append)) = put else {
        hold.settle(0);
        return Err(Fault::QuotaUnavailable);
    };
    let progress = Rc::clone(exchange.progress());
    let reservation = Reservation::new(hold, ticket, source, Rc::clone(books), progress);
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
        self.reservation.as_ref().map_or(0, |_| self.routed.route().cost)
    }

    /// Gives the code of a refusal that is overlooked.
    pub fn shadow(&self) -> Option<Code> {
        self.payer.shadow()
    }

    /// Hands its parts to the next step.
    pub(super) fn into_parts(self) -> (Routed, Payer, Option<Notice>, Option<Reservation>) {
        (self.routed, self.payer, self.notice, self.reservation)
    }
}
