//! From records to what the store adds up: pure, so that it is the same at start-up and while serving.
//!
//! Invariant: a reservation is counted once. An ordinary settle counts only where it closes an open
//! reservation; whatever is left open is closed as [`Ending::Unknown`].

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    hash::{Hash, Hasher},
    sync::Arc,
};

use jiff::Timestamp;
use uuid::Uuid;

use crate::{
    answer::Ending,
    journal::{definition::Definition, reader::Entry},
    ledger::Window,
    store::{self, Commit, MinuteRow, NodeId, OpenReservation, Position, ReservationId, UsageRow},
};

/// The reservations that are open, as the store has them.
pub(super) type OpenTable = HashMap<ReservationId, Reservation>;

/// A reservation without its ending.
#[derive(Clone, Debug)]
pub(super) struct Reservation {
    /// The request it is for.
    pub request_id: Uuid,
    /// What it was made on.
    pub definition: Arc<Definition>,
    /// The units it took.
    pub cost: u64,
    /// When.
    pub opened_at: Timestamp,
}

/// What was read and is not yet in the store.
#[derive(Debug, Default)]
pub(super) struct Batch {
    charges: HashMap<ByIdentity, u64>,
    minutes: HashMap<(ByIdentity, i64, &'static str), Count>,
    opened: OpenTable,
    closed: HashSet<ReservationId>,
    positions: BTreeMap<u16, Position>,
    counts: Counts,
}

/// What a batch held, for the log.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) struct Counts {
    /// Reservations with an ending.
    pub settled: u64,
    /// Ordinary settles whose reservation is not open.
    pub orphans: u64,
    /// Reservations closed without an ending of their own.
    pub unknown: u64,
    /// What those were charged.
    pub unknown_units: u64,
}

#[derive(Clone, Copy, Debug, Default)]
struct Count {
    requests: u64,
    units: u64,
}

/// A definition as a key. A segment has each once, so comparing the place is enough, and cheap; where
/// two places say the same, they are added up at the end.
#[derive(Clone, Debug)]
struct ByIdentity(Arc<Definition>);

impl PartialEq for ByIdentity {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for ByIdentity {}

impl Hash for ByIdentity {
    fn hash<H: Hasher>(&self, state: &mut H) {
        Arc::as_ptr(&self.0).hash(state);
    }
}

impl Batch {
    /// Adds what a worker's journal says next. `open` is what the store has without this batch.
    pub(super) fn apply(&mut self, open: &OpenTable, worker: u16, entry: Entry) {
        let id = |sequence| ReservationId { worker, sequence };
        match entry {
            Entry::Reserve { sequence, at, request_id, definition, cost } => {
                let reservation = Reservation { request_id, definition, cost, opened_at: at };
                self.opened.insert(id(sequence), reservation);
            }
            Entry::Settle { reservation, ending, charge } => {
                let Some(closed) = self.close(open, id(reservation)) else {
                    self.counts.orphans += 1;
                    return;
                };
                self.counts.settled += 1;
                self.charge(&closed.definition, closed.opened_at, ending, charge);
            }
            Entry::SettleChanged { reservation, opened_at, definition, ending, charge } => {
                // Counts also where the reservation's record is lost.
                self.close(open, id(reservation));
                self.counts.settled += 1;
                self.charge(&definition, opened_at, ending, charge);
            }
        }
    }

    /// Sets how far a journal is read.
    pub(super) fn advance(&mut self, position: Position) {
        self.positions.insert(position.worker, position);
    }

    /// Closes what is open, charged in full. Right only when nobody will settle it any more.
    pub(super) fn close_unknown(&mut self, open: &OpenTable) {
        let left: Vec<_> = open.keys().chain(self.opened.keys()).copied().collect();
        for id in left {
            let Some(Reservation { definition, cost, opened_at, .. }) = self.close(open, id) else {
                continue;
            };
            self.counts.unknown += 1;
            self.counts.unknown_units = self.counts.unknown_units.saturating_add(cost);
            self.charge(&definition, opened_at, Ending::Unknown, cost);
        }
    }

    /// Tells the open table what the store now has.
    pub(super) fn settle_into(self, open: &mut OpenTable) -> Counts {
        open.retain(|id, _| !self.closed.contains(id));
        open.extend(self.opened);
        self.counts
    }

    /// Tells whether the store would learn nothing from it.
    pub(super) fn is_empty(&self) -> bool {
        self.positions.is_empty() && self.charges.is_empty() && self.closed.is_empty()
    }

    /// Adds up what the store is to write.
    pub(super) fn commit(&self, node: NodeId) -> Commit<'_> {
        Commit {
            node,
            usage: self.usage(),
            minutes: self.minute_rows(),
            opened: self.opened.iter().map(|(id, r)| r.to_row(*id)).collect(),
            closed: self.closed.iter().copied().collect(),
            positions: self.positions.values().copied().collect(),
        }
    }

    /// Takes a reservation out of what is open; `None` when it is not, or no longer.
    fn close(&mut self, open: &OpenTable, id: ReservationId) -> Option<Reservation> {
        if let Some(reservation) = self.opened.remove(&id) {
            return Some(reservation);
        }
        let reservation = open.get(&id)?;
        self.closed.insert(id).then(|| reservation.clone())
    }

    fn charge(
        &mut self,
        definition: &Arc<Definition>,
        opened_at: Timestamp,
        ending: Ending,
        units: u64,
    ) {
        let key = ByIdentity(definition.clone());
        let minute = opened_at.as_millisecond().div_euclid(MINUTE_MS) * MINUTE_MS;
        let count = self.minutes.entry((key.clone(), minute, ending.name())).or_default();
        count.requests += 1;
        count.units = count.units.saturating_add(units);
        if units > 0 {
            let charged = self.charges.entry(key).or_default();
            *charged = charged.saturating_add(units);
        }
    }

    /// Sorted, so that the store goes through its tables once.
    fn usage(&self) -> Vec<UsageRow<'_>> {
        let mut rows = BTreeMap::new();
        for (ByIdentity(definition), units) in &self.charges {
            for account in &definition.accounts {
                let Window { start, end } = account.window;
                let key = (&*definition.customer, &*account.scope, &*account.quota, start);
                let (latest_end, used) = rows.entry(key).or_insert((end, 0_u64));
                *latest_end = latest_end.and_then(|known| end.map(|end| end.max(known)));
                *used = used.saturating_add(*units);
            }
        }
        let rows = rows.into_iter();
        rows.map(|((customer, scope, quota, start), (end, used))| {
            let window = Window { start, end };
            UsageRow { customer, scope, quota, window, used }
        })
        .collect()
    }

    fn minute_rows(&self) -> Vec<MinuteRow<'_>> {
        let mut rows = BTreeMap::new();
        for ((ByIdentity(definition), minute, ending), count) in &self.minutes {
            let Definition { customer, key_id, route, .. } = &**definition;
            let key = (&**customer, *minute, &**key_id, &**route, *ending);
            let Count { requests, units } = rows.entry(key).or_default();
            *requests += count.requests;
            *units = units.saturating_add(count.units);
        }
        let rows = rows.into_iter();
        rows.map(|((customer, minute, key_id, route, ending), Count { requests, units })| {
            let minute = store::instant(minute);
            MinuteRow { customer, key_id, route, minute, ending, requests, units }
        })
        .collect()
    }
}

impl Reservation {
    fn to_row(&self, id: ReservationId) -> OpenReservation {
        let Self { request_id, definition, cost, opened_at } = self;
        OpenReservation {
            id,
            request_id: *request_id,
            customer: definition.customer.to_string(),
            definition: definition.encode(),
            cost: *cost,
            opened_at: *opened_at,
        }
    }
}

const MINUTE_MS: i64 = 60_000;
