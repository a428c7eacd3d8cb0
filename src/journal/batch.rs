//! From records to what the store adds up: pure, so that it is the same at start-up and while
//! serving.
//!
//! Invariant: a reservation is counted once. An ordinary settle counts only where it closes an open
//! reservation; whatever is left open is closed as [`Ending::Unknown`].

use std::collections::BTreeMap;

use jiff::Timestamp;
use uuid::Uuid;

use crate::{
    answer::Ending,
    journal::{
        contents::Entry,
        hash::{OwnMap, OwnSet},
        rows::{self, Charged, Rows},
        table::{Place, Table},
    },
    ledger::Charge,
    model::Nanos,
    store::{Commit, NodeId, OpenReservation, Position, ReservationId},
};

/// The reservations that are open, as the store has them.
pub(super) type OpenTable = OwnMap<ReservationId, Reservation>;

/// A reservation without its ending.
#[derive(Clone, Debug)]
pub(super) struct Reservation {
    /// The request it is for.
    pub request_id: Uuid,
    /// What it was made on.
    pub definition: Place,
    /// What it took.
    pub cost: Charge,
    /// When.
    pub opened_at: Timestamp,
}

/// What was read and is not yet in the store.
#[derive(Debug, Default)]
pub(super) struct Batch {
    charges: Charges,
    opened: OpenTable,
    closed: OwnSet<ReservationId>,
    /// Ends whose reservations were not met. Few: the lost ones of a power cut, and ends that were written
    /// twice.
    ahead: OwnMap<ReservationId, Ahead>,
    positions: BTreeMap<u16, Position>,
    counts: Counts,
}

/// The end of a reservation that was not met.
#[derive(Clone, Copy, Debug)]
enum Ahead {
    /// It counts only with the reservation.
    Settle { ending: Ending, charge: u64 },
    /// It is counted.
    SettleChanged,
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
    nanos: Nanos,
}

/// What came of requests, by their definition's place, minute and ending. What says the same mostly has one
/// place; where two say it, they are added up at the end.
#[derive(Debug, Default)]
struct Charges {
    /// By place: that minute and that ending which were met first, nearly always the only ones.
    first: Vec<Sum>,
    /// Where those are.
    places: Vec<Place>,
    others: OwnMap<(Place, i64, Ending), Count>,
}

/// What came of the requests in one minute that ended alike; of none, where there is nothing.
#[derive(Clone, Copy, Debug)]
struct Sum {
    minute_ms: i64,
    ending: Ending,
    count: Count,
}

impl Batch {
    /// Adds what a worker's journal says next. `open` is what the store has without this batch.
    pub(super) fn apply(&mut self, open: &OpenTable, worker: u16, entry: Entry) {
        let id = |sequence| ReservationId { worker, sequence };
        match entry {
            Entry::Reserve { sequence, at, request_id, definition, cost } => {
                let reservation = Reservation { request_id, definition, cost, opened_at: at };
                match self.ahead.remove(&id(sequence)) {
                    None => _ = self.opened.insert(id(sequence), reservation),
                    Some(Ahead::Settle { ending, charge }) => {
                        self.counts.orphans = self.counts.orphans.saturating_sub(1);
                        self.settle(&reservation, ending, charge);
                    }
                    Some(Ahead::SettleChanged) => {}
                }
            }
            Entry::Settle { reservation, ending, charge } => {
                match self.close(open, id(reservation)) {
                    Some(closed) => self.settle(&closed, ending, charge),
                    None => {
                        self.counts.orphans += 1;
                        self.ahead.insert(id(reservation), Ahead::Settle { ending, charge });
                    }
                }
            }
            Entry::SettleChanged { reservation, opened_at, definition, ending, charge } => {
                // Counts also where the reservation's record is lost.
                if self.close(open, id(reservation)).is_none() {
                    self.ahead.insert(id(reservation), Ahead::SettleChanged);
                }
                self.counts.settled += 1;
                self.charge(definition, opened_at, ending, charge);
            }
        }
    }

    /// Counts a reservation that is charged the units it took, and so all the money that it held.
    fn settle(&mut self, closed: &Reservation, ending: Ending, charge: u64) {
        self.counts.settled += 1;
        let charge = Charge { units: charge, nanos: closed.cost.nanos };
        self.charge(closed.definition, closed.opened_at, ending, charge);
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
            self.counts.unknown_units = self.counts.unknown_units.saturating_add(cost.units);
            self.charge(definition, opened_at, Ending::Unknown, cost);
        }
    }

    /// Tells the open table what the store now has; gives what it counted, and the next batch, which has the
    /// room of this one: it mostly comes to as many.
    pub(super) fn settle_into(self, open: &mut OpenTable) -> (Counts, Self) {
        let Self { mut charges, opened, closed, ahead, counts, positions: _ } = self;
        open.retain(|id, _| !closed.contains(id));
        open.extend(opened);
        charges.clear();
        (counts, Self { charges, ahead, ..Self::default() })
    }

    /// Gives about how many rows it comes to.
    pub(super) fn len(&self) -> usize {
        self.charges.len() + self.opened.len() + self.closed.len()
    }

    /// Tells whether the store would learn nothing from it.
    pub(super) fn is_empty(&self) -> bool {
        self.positions.is_empty() && self.charges.len() == 0 && self.closed.is_empty()
    }

    /// Lists the definitions that it refers to.
    pub(super) fn definitions(&self) -> impl Iterator<Item = Place> {
        let opened = self.opened.values().map(|reservation| reservation.definition);
        self.charges.iter().map(|(place, _)| place).chain(opened)
    }

    /// Adds up what the store is to write; `None` where a definition is not in the table.
    pub(super) fn commit<'a>(
        &'a self,
        table: &'a Table,
        node: NodeId,
        now: Timestamp,
    ) -> Option<Commit<'a>> {
        let charged = |(place, Sum { minute_ms, ending, count })| {
            let (definition, Count { requests, units, nanos }) = (table.get(place)?, count);
            Some(Charged { definition, minute_ms, ending, requests, units, nanos })
        };
        let charges = self.charges.iter().map(charged).collect::<Option<Vec<_>>>()?;
        let opened = self.opened.iter().map(|(id, r)| r.to_row(*id, table));
        let Rows { usage, credits, consumed, minutes } = rows::rows(charges.into_iter());
        Some(Commit {
            node,
            now,
            usage,
            credits,
            consumed,
            minutes,
            opened: opened.collect::<Option<_>>()?,
            closed: self.closed.iter().copied().collect(),
            positions: self.positions.values().copied().collect(),
        })
    }

    /// Takes a reservation out of what is open; `None` when it is not, or no longer.
    fn close(&mut self, open: &OpenTable, id: ReservationId) -> Option<Reservation> {
        if let Some(reservation) = self.opened.remove(&id) {
            return Some(reservation);
        }
        let reservation = open.get(&id)?;
        self.closed.insert(id).then(|| reservation.clone())
    }

    fn charge(&mut self, definition: Place, opened_at: Timestamp, ending: Ending, charge: Charge) {
        let minute_ms = opened_at.as_millisecond().div_euclid(MINUTE_MS) * MINUTE_MS;
        let Charge { units, nanos } = charge;
        let count = Count { requests: 1, units, nanos };
        self.charges.add(definition, Sum { minute_ms, ending, count });
    }
}

impl Charges {
    fn add(&mut self, place: Place, sum: Sum) {
        let Self { first, places, others } = self;
        if place.index() >= first.len() {
            first.resize(place.index() + 1, Sum::NONE);
        }
        let Sum { minute_ms, ending, count } = sum;
        match first.get_mut(place.index()) {
            Some(free) if free.count.requests == 0 => {
                *free = sum;
                places.push(place);
            }
            Some(same) if (same.minute_ms, same.ending) == (minute_ms, ending) => {
                same.count.add(count);
            }
            _ => others.entry((place, minute_ms, ending)).or_default().add(count),
        }
    }

    fn iter(&self) -> impl Iterator<Item = (Place, Sum)> {
        let first = |place: &Place| Some((*place, *self.first.get(place.index())?));
        let other = |(&(place, minute_ms, ending), &count): (&(Place, i64, Ending), &Count)| {
            (place, Sum { minute_ms, ending, count })
        };
        self.places.iter().filter_map(first).chain(self.others.iter().map(other))
    }

    fn len(&self) -> usize {
        self.places.len() + self.others.len()
    }

    /// Empties it, and keeps the room that it needed.
    fn clear(&mut self) {
        let Self { first, places, others } = self;
        let room = (first.len(), places.len(), others.len());
        first.clear();
        places.clear();
        others.clear();
        first.shrink_to(room.0);
        places.shrink_to(room.1);
        others.shrink_to(room.2);
    }
}

impl Sum {
    const NONE: Self = Self {
        minute_ms: 0,
        ending: Ending::Unknown,
        count: Count { requests: 0, units: 0, nanos: Nanos::ZERO },
    };
}

impl Count {
    fn add(&mut self, other: Self) {
        self.requests = self.requests.saturating_add(other.requests);
        self.units = self.units.saturating_add(other.units);
        self.nanos = self.nanos.saturating_add(other.nanos);
    }
}

impl Reservation {
    fn to_row(&self, id: ReservationId, table: &Table) -> Option<OpenReservation> {
        let Self { request_id, definition, cost, opened_at } = self;
        let definition = table.get(*definition)?;
        Some(OpenReservation {
            id,
            request_id: *request_id,
            customer: definition.set.customer.to_string(),
            definition: definition.encode(),
            cost: cost.units,
            nanos: cost.nanos,
            opened_at: *opened_at,
        })
    }
}

const MINUTE_MS: i64 = 60_000;

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use crate::{
        journal::definition::Definition,
        ledger::{AccountId, AccountSet, Window},
        store::{MinuteRow, UsageRow},
    };

    use super::*;

    const NODE: NodeId = NodeId(Uuid::nil());

    fn at(ms: i64) -> Timestamp {
        Timestamp::from_millisecond(ms).unwrap()
    }

    fn definition(table: &mut Table, customer: &str, end: Option<i64>) -> Place {
        let window = Window { start: at(0), end: end.map(at) };
        let account = |scope: &str| AccountId { scope: scope.into(), quota: "q".into(), window };
        let accounts = vec![account(""), account("key/k")];
        let definition = Arc::new(Definition {
            set: Arc::new(AccountSet { id: 0, customer: customer.into(), accounts }),
            draw: None,
            application: None,
            key_id: "k".into(),
            plan: None,
            route: "r".into(),
        });
        table.put(definition).unwrap().0
    }

    fn reserve(sequence: u64, definition: Place, cost: u64) -> Entry {
        let request_id = Uuid::nil();
        let cost = Charge::units(cost);
        Entry::Reserve { sequence, at: at(61_000), request_id, definition, cost }
    }

    fn settle(reservation: u64, charge: u64) -> Entry {
        Entry::Settle { reservation, ending: Ending::Completed, charge }
    }

    fn used(batch: &Batch, table: &Table) -> Vec<(String, String, u64)> {
        let row = |row: &UsageRow<'_>| (row.customer.into(), row.scope.into(), row.used);
        batch.commit(table, NODE, at(0)).unwrap().usage.iter().map(row).collect()
    }

    #[test]
    fn a_request_within_a_batch_nets_out() {
        let (open, mut table) = (OpenTable::default(), Table::default());
        let acme = definition(&mut table, "acme", None);
        let mut batch = Batch::default();
        batch.apply(&open, 1, reserve(7, acme, 3));
        assert_eq!(batch.commit(&table, NODE, at(0)).unwrap().opened.len(), 1);
        batch.apply(&open, 2, settle(7, 3));
        batch.apply(&open, 1, settle(7, 3));
        batch.apply(&open, 1, settle(7, 3));
        let Commit { opened, closed, minutes, .. } = batch.commit(&table, NODE, at(0)).unwrap();
        assert!(opened.is_empty() && closed.is_empty());
        let minute = at(60_000);
        let (key_id, route, ending) = ("k", "r", "completed");
        let (customer, requests, units) = ("acme", 1, 3);
        let (currency, nanos) = (None, Nanos::ZERO);
        let row =
            MinuteRow { customer, key_id, route, minute, ending, currency, requests, units, nanos };
        assert_eq!(minutes, [row]);
        let row = |scope: &str| ("acme".to_owned(), scope.to_owned(), 3);
        assert_eq!(used(&batch, &table), [row(""), row("key/k")]);
        // Another worker's number, and the same again.
        let counts = Counts { settled: 1, orphans: 2, ..Counts::default() };
        assert_eq!(batch.settle_into(&mut OpenTable::default()).0, counts);
    }

    #[test]
    fn a_reservation_of_an_earlier_batch_is_closed_once() {
        let (mut open, mut table) = (OpenTable::default(), Table::default());
        let acme = definition(&mut table, "acme", None);
        let mut batch = Batch::default();
        batch.apply(&open, 1, reserve(7, acme, 3));
        let _ = batch.settle_into(&mut open);
        assert_eq!(open.len(), 1);
        for orphans in [1, 2] {
            let mut batch = Batch::default();
            batch.apply(&open, 1, settle(7, 3));
            batch.apply(&open, 1, settle(7, 3));
            assert_eq!(batch.commit(&table, NODE, at(0)).unwrap().closed.len(), 2 - orphans);
            assert_eq!(batch.settle_into(&mut open).0.orphans as usize, orphans);
            assert!(open.is_empty());
        }
    }

    /// After a power cut a reservation may stand only where a later segment has kept it, behind the segment
    /// that has its end.
    #[test]
    fn an_end_that_is_read_before_its_reservation_counts_once() {
        let (mut open, mut table) = (OpenTable::default(), Table::default());
        let acme = definition(&mut table, "acme", None);
        for is_committed_between in [false, true] {
            let mut batch = Batch::default();
            batch.apply(&open, 1, settle(7, 3));
            batch.apply(
                &open,
                1,
                Entry::SettleChanged {
                    reservation: 8,
                    opened_at: at(1),
                    definition: acme,
                    ending: Ending::Failed,
                    charge: Charge::units(0),
                },
            );
            if is_committed_between {
                batch = batch.settle_into(&mut open).1;
            }
            batch.apply(&open, 1, reserve(7, acme, 3));
            batch.apply(&open, 1, reserve(8, acme, 5));
            batch.close_unknown(&open);
            assert_eq!(used(&batch, &table)[0].2, 3);
            let endings = batch.commit(&table, NODE, at(0)).unwrap().minutes;
            let endings: Vec<_> = endings.iter().map(|row| row.ending).collect();
            let expected = ["failed", "completed"].into_iter();
            assert!(expected.skip(usize::from(is_committed_between)).eq(endings));
            let counts = batch.settle_into(&mut open).0;
            assert_eq!((counts.orphans, counts.unknown), (0, 0));
            assert!(open.is_empty());
        }
    }

    #[test]
    fn a_changed_settle_counts_without_its_reservation() {
        let (open, mut table) = (OpenTable::default(), Table::default());
        let (mut batch, definition) = (Batch::default(), definition(&mut table, "acme", None));
        let changed = |charge| Entry::SettleChanged {
            reservation: 7,
            opened_at: at(1),
            definition,
            ending: Ending::Failed,
            charge: Charge::units(charge),
        };
        batch.apply(&open, 1, changed(0));
        assert_eq!(used(&batch, &table), []);
        assert_eq!(batch.commit(&table, NODE, at(0)).unwrap().minutes.len(), 1);
        batch.apply(&open, 1, changed(5));
        assert_eq!(used(&batch, &table).len(), 2);
    }

    #[test]
    fn equal_accounts_of_several_definitions_are_one_row_with_the_latest_end() {
        for (ends, latest) in
            [([Some(5), Some(9)], Some(at(9))), ([Some(9), None], None), ([None, Some(5)], None)]
        {
            let (open, mut table) = (OpenTable::default(), Table::default());
            let mut batch = Batch::default();
            for (sequence, end) in (1..).zip(ends) {
                let definition = definition(&mut table, "acme", end);
                batch.apply(&open, 1, reserve(sequence, definition, u64::MAX));
                batch.apply(&open, 1, settle(sequence, u64::MAX));
            }
            let Commit { usage, minutes, .. } = batch.commit(&table, NODE, at(0)).unwrap();
            assert_eq!((usage.len(), minutes.len()), (2, 1));
            assert!(usage.iter().all(|row| row.window.end == latest && row.used == u64::MAX));
            assert_eq!((minutes[0].requests, minutes[0].units), (2, u64::MAX));
        }
    }

    #[test]
    fn what_is_left_open_becomes_unknown_once() {
        let (mut open, mut table) = (OpenTable::default(), Table::default());
        let acme = definition(&mut table, "acme", None);
        let mut batch = Batch::default();
        batch.apply(&open, 1, reserve(1, acme, 3));
        batch.apply(&open, 1, reserve(2, acme, 4));
        let _ = batch.settle_into(&mut open);
        let mut batch = Batch::default();
        batch.apply(&open, 1, settle(1, 3));
        batch.apply(&open, 1, reserve(3, acme, 5));
        batch.close_unknown(&open);
        batch.close_unknown(&open);
        assert_eq!(used(&batch, &table)[0].2, 12);
        let (counts, _) = batch.settle_into(&mut open);
        assert_eq!(counts, Counts { settled: 1, orphans: 0, unknown: 2, unknown_units: 9 });
        assert!(open.is_empty());
    }
}
