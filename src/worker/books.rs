//! A worker's side of the books: its journal, and the reservations that wait to be settled.
//!
//! Requests that are ready together share an append: each puts its reservation, and it is written when
//! all had their turn. A write of its own was a twentieth of what a request cost. Where the disk must have
//! it (`strict`) they wait for the sync that comes next, which brings all that was written meanwhile.
//!
//! Order: a settlement that gives units back is in the journal before anyone can take them again.
//! The other way round a crash between the two would leave more on record than was ever served.

use std::{
    cell::{Cell, RefCell},
    collections::VecDeque,
    fmt, io,
    rc::Rc,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use jiff::Timestamp;
use tokio::sync::Notify;
use uuid::Uuid;

use crate::{
    answer::Ending,
    clock::Clock,
    journal::{Origin, Ticket, Unsynced, Writer},
    ledger::{Charge, Hold},
    model::Durability,
    roster::Caller,
    snapshot::table::Entry,
    telemetry::metrics,
    worker::append::{Append, Outcome},
};

/// An append of so many bytes waits for no more.
const APPEND_BYTES_MAX: usize = 64 * 1024;

/// How long a request waits for the disk. A disk that takes longer is as good as broken.
const SYNC_TIME: Duration = Duration::from_secs(1);

/// A worker's journal and its queue.
pub struct Books {
    writer: RefCell<Writer>,
    /// Bounded by the open reservations: each stands in it at most once.
    due: RefCell<VecDeque<Due>>,
    wake: Rc<Notify>,
    /// The append that is put together, and who is to write it.
    next: RefCell<Option<Rc<Append>>>,
    /// Appends that are written and wait for the disk, with the number of the last record of each.
    unsynced: RefCell<VecDeque<(u64, Rc<Append>)>>,
    disk: Arc<Unsynced>,
    durability: Durability,
    put: Notify,
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
            marks: Some(&caller.marks),
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
            disk: writer.unsynced(),
            durability: writer.durability(),
            unsynced: RefCell::default(),
            writer: RefCell::new(writer),
            due: RefCell::default(),
            wake,
            next: RefCell::default(),
            put: Notify::new(),
            clock,
            figures,
            failing: Cell::new(false),
        }
    }

    /// Puts a reservation into the next append. Before that has ended nothing may be forwarded.
    pub fn reserve(
        &self,
        hold: &Hold,
        source: &Source,
        request_id: Uuid,
        now: Timestamp,
    ) -> io::Result<(Ticket, Rc<Append>)> {
        self.settle_due();
        let mut writer = self.writer.borrow_mut();
        let put = writer.reserve(hold.taken(), &source.origin(), request_id, now);
        let ticket = put.inspect_err(|error| self.tell(Some(error)))?;
        let is_full = writer.put_bytes() >= APPEND_BYTES_MAX;
        drop(writer);
        self.figures.open.raise();
        let append = Rc::clone(self.next.borrow_mut().get_or_insert_with(|| {
            self.put.notify_one();
            Rc::default()
        }));
        if is_full {
            self.write();
        }
        Ok((ticket, append))
    }

    /// Waits until something is put and all requests that are ready have had their turn to put more:
    /// who is woken here stands behind them.
    pub async fn is_put(&self) {
        self.put.notified().await;
    }

    /// Writes what is put, if anything is.
    pub fn write(&self) {
        let mut writer = self.writer.borrow_mut();
        if writer.put_bytes() == 0 {
            return;
        }
        let written = writer.write();
        drop(writer);
        self.end_append(&written);
    }

    /// Tells those who wait for it how the append ended, if it did.
    fn end_append(&self, written: &io::Result<()>) {
        self.tell(written.as_ref().err());
        let writer = self.writer.borrow();
        if writer.put_bytes() > 0 {
            return;
        }
        let Some(append) = self.next.take() else { return };
        append.end(match (written, self.durability) {
            (Ok(()), Durability::Normal) => Outcome::Written,
            (Ok(()), Durability::Strict) => {
                return self.unsynced.borrow_mut().push_back((writer.last(), append));
            }
            (Err(_), _) if writer.is_torn() => Outcome::Torn,
            (Err(_), _) => Outcome::Lost,
        });
    }

    /// Waits for the end of an append.
    pub async fn ended(&self, append: &Append) -> Outcome {
        match self.durability {
            Durability::Normal => append.ended().await,
            // In memory of its own, for nearly nobody has it.
            Durability::Strict => {
                let ended = Box::pin(tokio::time::timeout(SYNC_TIME, append.ended()));
                // The disk may have it all the same, and is to have that it was not forwarded.
                ended.await.unwrap_or(Outcome::Torn)
            }
        }
    }

    /// Tells those whose appends the disk has, and after a failed sync those whose it may not have. It does
    /// not end by itself where somebody may wait for that.
    pub async fn follow_disk(&self) {
        if self.durability == Durability::Normal {
            return;
        }
        loop {
            self.disk.ended().await;
            let (is_failing, synced) = (self.disk.is_failing(), self.disk.synced());
            let mut unsynced = self.unsynced.borrow_mut();
            let is_over = |(last, _): &&(u64, _)| *last <= synced || is_failing;
            let over = unsynced.iter().take_while(is_over).count();
            // Those are only woken here.
            for (last, append) in unsynced.drain(..over) {
                append.end(if last <= synced { Outcome::Written } else { Outcome::Torn });
            }
        }
    }

    /// Forgets a reservation of which nothing is in the journal. The units are given back.
    pub fn forget(&self, open: Open) {
        open.hold.settle(Charge::NOTHING);
        self.figures.open.lower();
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
            let charges = due.ending.charges();
            let charge = if charges { due.open.hold.cost() } else { Charge::NOTHING };
            if let Err(due) = self.settle(due, charge) {
                self.due.borrow_mut().push_front(due);
                return;
            }
        }
    }

    /// Writes how a reservation ended and lets the ledger know what it is charged; gives it back where the
    /// journal cannot be written.
    pub(crate) fn settle(&self, due: Due, charge: Charge) -> Result<(), Due> {
        let Open { hold, ticket, source } = &*due.open;
        let (ending, now) = (due.ending, self.clock.now());
        if charge == hold.cost() {
            self.writer.borrow_mut().settle(ticket, ending, now);
        } else {
            let (taken, origin) = (hold.taken(), source.origin());
            let mut writer = self.writer.borrow_mut();
            let settled = writer.settle_changed(ticket, taken, &origin, ending, charge, now);
            drop(writer);
            self.end_append(&settled);
            if settled.is_err() {
                return Err(due);
            }
        }
        due.open.hold.settle(charge);
        self.figures.open.lower();
        Ok(())
    }

    /// Counts the reservations that have ended and are not settled.
    #[cfg(test)]
    pub(crate) fn due(&self) -> usize {
        self.due.borrow().len()
    }

    /// Tells whether something is not written yet.
    #[cfg(test)]
    pub(crate) fn is_waiting(&self) -> bool {
        let writer = self.writer.borrow();
        writer.is_waiting() || writer.put_bytes() > 0
    }

    /// Tries again what failed, so that who comes after a quiet time is served, and is known to be.
    pub fn try_again(&self) {
        let is_failing = self.failing.get() || self.disk.is_failing();
        // Requests that come meanwhile try it themselves.
        if !is_failing || self.next.borrow().is_some() {
            return;
        }
        let written = self.writer.borrow_mut().try_again(self.clock.now());
        // Whether the disk takes what was written tells the sync behind it, to the next try.
        if written.is_err() || !self.disk.is_failing() {
            self.tell(written.as_ref().err());
        }
    }

    /// Logs when the journal begins to fail and when it works again, not each time in between.
    fn tell(&self, error: Option<&io::Error>) {
        let failed = self.failing.replace(error.is_some());
        self.figures.journal.cannot_append.store(error.is_some(), Ordering::Relaxed);
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
        // Settles may have come since the append was begun.
        self.write();
        let mut writer = self.writer.borrow_mut();
        if writer.is_waiting() {
            let flushed = writer.flush();
            drop(writer);
            self.end_append(&flushed);
        }
        if !self.due.borrow().is_empty() {
            self.wake.notify_one();
        }
    }
}
