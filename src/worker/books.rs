//! A worker's side of the books: its journal, and the reservations that wait to be settled.
//!
//! Order: a settlement that gives units back is in the journal before anyone can take them again.
//! The other way round a crash between the two would leave more on record than was ever served.

use std::{
    cell::{Cell, RefCell},
    collections::VecDeque,
    fmt, io,
    rc::Rc,
    sync::Arc,
};

use jiff::Timestamp;
use tokio::sync::Notify;
use uuid::Uuid;

use crate::{
    answer::Ending,
    clock::Clock,
    journal::{Origin, Ticket, Writer},
    ledger::Hold,
    roster::Caller,
    snapshot::table::Entry,
    telemetry::metrics,
};

/// A worker's journal and its queue.
pub struct Books {
    writer: RefCell<Writer>,
    /// Bounded by the open reservations: each stands in it at most once.
    due: RefCell<VecDeque<Due>>,
    wake: Rc<Notify>,
    clock: Arc<Clock>,
    figures: Arc<metrics::worker::Books>,
    /// The last write failed.
    failing: Cell<bool>,
}

/// Units taken and written down.
#[derive(Debug)]
pub struct Open {
    /// What the ledger took.
    pub hold: Hold,
    /// What the journal wrote.
    pub ticket: Ticket,
    /// Who called, and which route: what the journal tells usage apart by.
    pub source: Source,
}

/// A reservation that has ended and is not settled yet.
#[derive(Debug)]
pub struct Due {
    /// The reservation, in a place of its own: it is handed from step to step.
    pub open: Box<Open>,
    /// How the request ended.
    pub ending: Ending,
}

/// Who called, and which route.
#[derive(Debug)]
pub struct Source {
    /// The caller.
    pub caller: Arc<Caller>,
    /// The route.
    pub route: Entry,
}

impl Source {
    /// Gives what the journal knows of it.
    pub fn origin(&self) -> Origin<'_> {
        let Self { caller, route } = self;
        Origin {
            key_id: &caller.key.id,
            key_uid: caller.uid,
            application: caller.key.application.as_ref(),
            plan: caller.plan().map(|plan| &plan.id),
            route: &route.route.name,
            route_uid: route.uid,
        }
    }
}

impl fmt::Debug for Books {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Books").finish_non_exhaustive()
    }
}

impl Books {
    /// Opens the books of a worker.
    pub fn new(
        writer: Writer,
        clock: Arc<Clock>,
        wake: Rc<Notify>,
        figures: Arc<metrics::worker::Books>,
    ) -> Self {
        Self {
            writer: RefCell::new(writer),
            due: RefCell::default(),
            wake,
            clock,
            figures,
            failing: Cell::new(false),
        }
    }

    /// Writes a reservation to the journal.
    pub fn reserve(
        &self,
        hold: &Hold,
        source: &Source,
        request_id: Uuid,
        now: Timestamp,
    ) -> io::Result<Ticket> {
        self.settle_due();
        let mut writer = self.writer.borrow_mut();
        let written = writer.reserve(hold.set(), &source.origin(), hold.cost(), request_id, now);
        self.tell(written.as_ref().err());
        if written.is_ok() {
            self.figures.open.raise();
        }
        written
    }

    /// Takes an ended reservation. Nothing is written here, so that a drop may call it.
    pub fn push(&self, due: Due) {
        self.due.borrow_mut().push_back(due);
        self.wake.notify_one();
    }

    /// Writes what is due and lets the ledger know. On a failing journal the rest stays due.
    pub fn settle_due(&self) {
        loop {
            // Taken one by one: no borrow lasts while the ledger is called.
            let Some(due) = self.due.borrow_mut().pop_front() else { return };
            let Open { hold, ticket, source } = &*due.open;
            let cost = hold.cost();
            let charge = if due.ending.charges() { cost } else { 0 };
            let settled = self.writer.borrow_mut().settle(
                ticket,
                hold.set(),
                &source.origin(),
                due.ending,
                charge,
                self.clock.now(),
            );
            if let Err(error) = settled {
                self.tell(Some(&error));
                self.due.borrow_mut().push_front(due);
                return;
            }
            due.open.hold.settle(charge);
            self.figures.open.lower();
        }
    }

    /// Logs when the journal begins to fail and when it works again, not each time in between.
    fn tell(&self, error: Option<&io::Error>) {
        let failed = self.failing.replace(error.is_some());
        match error {
            Some(error) if !failed => {
                tracing::error!(%error, "journal cannot be written, paid routes are refused");
            }
            None if failed => tracing::info!("journal can be written again"),
            _ => {}
        }
    }

    /// Writes everything that waits.
    pub fn flush(&self) {
        self.settle_due();
        let flushed = self.writer.borrow_mut().flush();
        self.tell(flushed.as_ref().err());
        if !self.due.borrow().is_empty() {
            self.wake.notify_one();
        }
    }
}
