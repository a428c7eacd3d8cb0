//! A reservation: units taken for one request, to be settled once.
//!
//! Invariant: every reservation ends in exactly one settlement: by [`Reservation::settle`], or by its
//! drop, which goes by how far the request got. Drop only puts it on the worker's queue; it does not
//! write, wait or panic.

use std::rc::Rc;

use crate::{
    answer::Ending,
    journal::Ticket,
    ledger::{Hold, Standing, Stay},
    model::Money,
    progress::Progress,
    worker::books::{Books, Due, Open, Source},
};

/// Units taken for one request.
#[must_use = "a reservation that is not settled is settled by its drop"]
#[derive(Debug)]
pub struct Reservation {
    /// `None` only after it was settled.
    open: Option<Box<Open>>,
    books: Rc<Books>,
    progress: Rc<Progress>,
}

impl Reservation {
    /// Joins what the ledger took and what the journal wrote.
    pub(super) fn new(
        hold: Hold,
        ticket: Ticket,
        source: Source,
        books: Rc<Books>,
        progress: Rc<Progress>,
    ) -> Self {
        Self { open: Some(Box::new(Open { hold, ticket, source })), books, progress }
    }

    /// Settles it: written to the journal, and given back where the ending does not charge, before
    /// this returns (unless the journal cannot be written: then the units stay taken until it can).
    pub fn settle(mut self, ending: Ending) {
        self.hand_over(ending);
        self.books.settle_due();
    }

    /// Forgets it: nothing of it is in the journal. The units are given back.
    pub(super) fn forget(mut self) {
        if let Some(open) = self.open.take() {
            self.books.forget(*open);
        }
    }

    /// Gives the limits and what was left of them right after the take.
    pub fn standing(&self) -> Option<&Standing> {
        self.open.as_ref().map(|open| open.hold.standing())
    }

    /// Gives the money that it holds; `None` where the allowance pays.
    pub fn price(&self) -> Option<Money> {
        self.open.as_ref().and_then(|open| open.hold.price())
    }

    /// Gives the units that it takes of the allowance; none where money pays.
    pub fn units(&self) -> u64 {
        let cost =
            |open: &Open| if open.hold.price().is_none() { open.hold.cost().units } else { 0 };
        self.open.as_deref().map_or(0, cost)
    }

    /// Keeps its place among the requests in flight, which lasts beyond its settlement.
    pub(super) fn stay(&mut self) -> Option<Stay> {
        self.open.as_mut().and_then(|open| open.hold.stay())
    }

    fn hand_over(&mut self, ending: Ending) {
        if let Some(open) = self.open.take() {
            self.books.push(Due { open, ending });
        }
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        let ending = self.progress.ending();
        self.hand_over(ending);
    }
}
