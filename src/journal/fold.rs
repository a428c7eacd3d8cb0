//! Carries the journal into the store, some mebibytes per transaction.

use std::{mem, time::Duration};

use jiff::Timestamp;
use tokio::time::Instant;

use crate::{
    journal::{
        batch::{Batch, Counts, OpenTable, Reservation},
        definition::Definition,
        reader::{ReadError, Reader, Step, Until},
        table::Table,
    },
    ledger::Charge,
    store::{NodeId, OpenReservation, Position, Store, StoreError, UsageRow, records::Records},
};

/// What goes along with a fold.
pub(crate) trait Company {
    /// Gives the time, by the clock of those who write the journal.
    fn now(&self) -> Timestamp;

    /// Is shown what a commit adds, in its transaction; an error undoes what it wrote itself.
    fn within(
        &mut self,
        records: &mut dyn Records,
        usage: &[UsageRow<'_>],
    ) -> Result<(), StoreError>;

    /// Has the store between two steps, of which none is in a transaction.
    fn between(&mut self, store: &mut dyn Store);

    /// Is told that so many bytes of journal are in the store, and how long their commit took.
    fn committed(&mut self, bytes: u64, took: Duration);
}

/// Nobody, who knows of no minute that it is over.
impl Company for () {
    fn now(&self) -> Timestamp {
        Timestamp::MIN
    }

    fn within(&mut self, _: &mut dyn Records, _: &[UsageRow<'_>]) -> Result<(), StoreError> {
        Ok(())
    }

    fn between(&mut self, _: &mut dyn Store) {}

    fn committed(&mut self, _: u64, _: Duration) {}
}

/// What stands between the journal and the store: what is open, and what is not yet committed.
#[derive(Debug)]
pub(super) struct Fold {
    node: NodeId,
    open: OpenTable,
    batch: Batch,
    table: Table,
    /// It comes to as many rows as it may.
    is_full: bool,
    /// The bytes of journal in the batch.
    bytes: u64,
}

/// From this many journal bytes, or rows to write, on a batch is committed before more is read. The
/// rows bound the memory, to some 60 MB; many bytes that come down to few rows are what a batch is for,
/// and they bound what a start that is killed reads once more.
#[cfg(not(test))]
pub(super) const BATCH_BYTES: u64 = 256 << 20;
#[cfg(test)]
pub(super) const BATCH_BYTES: u64 = 64 << 20;
const BATCH_ROWS: usize = 250_000;

/// Cannot happen: what is referred to is held. An error rather than units that nobody counts.
fn no_definition() -> StoreError {
    StoreError::new("write to", "the journal refers to a definition that is not there")
}

impl Fold {
    /// Begins with the reservations that the store has as open.
    pub(super) fn load(node: NodeId, store: &dyn Store) -> Result<Self, StoreError> {
        let rows = store.open_reservations(node)?;
        let mut table = Table::default();
        let open =
            rows.into_iter().map(|row| {
                let OpenReservation {
                    id,
                    request_id,
                    customer: _,
                    definition,
                    cost,
                    nanos,
                    opened_at,
                } = row;
                let cost = Charge { units: cost, nanos };
                let definition = Definition::decode(&definition).ok_or_else(|| {
                    StoreError::new(
                        "understand",
                        "the definition of an open reservation is damaged",
                    )
                })?;
                let (definition, _) = table.put(definition.into()).ok_or_else(no_definition)?;
                Ok((id, Reservation { request_id, definition, cost, opened_at }))
            });
        let open = open.collect::<Result<_, StoreError>>()?;
        Ok(Self { node, open, batch: Batch::default(), table, is_full: false, bytes: 0 })
    }

    /// Forgets definitions that nothing refers to any more.
    pub(super) fn sweep(&mut self) {
        let open = self.open.values().map(|reservation| reservation.definition);
        self.table.sweep(open.chain(self.batch.definitions()));
    }

    /// Takes a reader one step further. Nothing before `from` is counted.
    pub(super) fn read(
        &mut self,
        reader: &mut Reader,
        until: Until,
        from: u64,
    ) -> Result<Step, ReadError> {
        let Self { node: _, open, batch, table, is_full, bytes } = self;
        let worker = reader.id().worker;
        let before = reader.offset();
        let result = reader.read(until, from, table, &mut |entry| batch.apply(open, worker, entry));
        // Also after an error: what came before it is in the batch.
        let offset = reader.offset();
        if offset > before.max(from) {
            *bytes += offset - before;
            let (segment, sequence) = (reader.id().number, reader.sequence());
            let latest = reader.latest();
            batch.advance(Position { worker, segment, offset, sequence, latest });
        }
        *is_full = batch.len() >= BATCH_ROWS;
        result
    }

    /// Tells whether it is time to commit.
    pub(super) fn is_full(&self) -> bool {
        self.is_full || self.bytes >= BATCH_BYTES
    }

    /// Closes what is open. Right only when nobody will settle it any more.
    pub(super) fn close_unknown(&mut self) {
        self.batch.close_unknown(&self.open);
    }

    /// Writes the batch to the store; one that fails is kept for the next attempt.
    pub(super) fn commit(
        &mut self,
        store: &mut dyn Store,
        company: &mut dyn Company,
    ) -> Result<Counts, StoreError> {
        if self.batch.is_empty() {
            return Ok(Counts::default());
        }
        let commit = self.batch.commit(&self.table, self.node, company.now());
        let commit = commit.ok_or_else(no_definition)?;
        let began = Instant::now();
        store.commit(&commit, &mut |records| company.within(records, &commit.usage))?;
        company.committed(mem::take(&mut self.bytes), began.elapsed());
        self.is_full = false;
        let (counts, next) = mem::take(&mut self.batch).settle_into(&mut self.open);
        self.batch = next;
        Ok(counts)
    }
}
