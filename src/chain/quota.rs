//! Fourth step: the units are taken, from all limits or from none, and written down.
//!
//! Order: the ledger first, because it decides; the journal second, and only when it has the record
//! is anything forwarded. A crash in between loses a take that nobody was served for.

use std::{rc::Rc, sync::Arc};

use crate::{
    answer::{Denial, Fault, QuotaDenial, Refusal},
    chain::{
        exchange::Exchange,
        reservation::Reservation,
        route::Routed,
        subscription::{Entitled, Notice},
    },
    roster::Caller,
    worker::books::Source,
};

/// A request whose units are taken.
#[derive(Debug)]
pub struct Reserved {
    routed: Routed,
    caller: Option<Arc<Caller>>,
    notice: Option<Notice>,
    reservation: Option<Reservation>,
}

/// Takes the units of an entitled request. A public route takes none.
pub fn quota(entitled: Entitled, exchange: &Exchange) -> Result<Reserved, Refusal> {
    let (routed, caller, notice) = entitled.into_parts();
    let reservation = match &caller {
        None => None,
        Some(caller) => Some(reserve(&routed, caller, exchange)?),
    };
    Ok(Reserved { routed, caller, notice, reservation })
}

fn reserve(
    routed: &Routed,
    caller: &Arc<Caller>,
    exchange: &Exchange,
) -> Result<Reservation, Refusal> {
    let (cost, now) = (routed.route().cost, exchange.now());
    let books = exchange.books();
    let hold = caller
        .accounts
        .reserve(&caller.limits, cost, now)
        .map_err(|shortage| Denial::QuotaExceeded(Box::new(QuotaDenial { shortage, cost })))?;
    let source = Source { caller: Arc::clone(caller), route: routed.entry().clone() };
    match books.reserve(&hold, &source, exchange.request_id(), now) {
        Ok(ticket) => {
            let progress = Rc::clone(exchange.progress());
            Ok(Reservation::new(hold, ticket, source, Rc::clone(books), progress))
        }
        // The books log it, once.
        Err(_) => {
            hold.settle(0);
            Err(Fault::QuotaUnavailable.into())
        }
    }
}

impl Reserved {
    /// Gives the units taken; none on a public route.
    pub fn cost(&self) -> u64 {
        self.reservation.as_ref().map_or(0, |_| self.routed.route().cost)
    }

    /// Hands its parts to the next step.
    pub(super) fn into_parts(
        self,
    ) -> (Routed, Option<Arc<Caller>>, Option<Notice>, Option<Reservation>) {
        (self.routed, self.caller, self.notice, self.reservation)
    }
}
