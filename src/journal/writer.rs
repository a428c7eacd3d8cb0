//! One worker's end of the journal: appends what was taken, and how it ended.
//!
//! Invariants:
//! - An append is whole or nothing: what a failed write left behind is cut away, and if that fails
//!   too, the segment is given up and nothing is ever written behind the torn place.
//! - Whole records that a torn append leaves behind are believed at the next start. Ordinary settles may
//!   be written twice: the second finds no open reservation. Reservations are to be settled although
//!   their append failed: see [`Writer::is_torn`].
//! - A record's number is used once, also when its append failed.
//! - What a failed sync may have lost stands again at the head of the next segment, in one append with it,
//!   before anything else does.

use std::{io, mem, sync::Arc};

use jiff::Timestamp;
use uuid::Uuid;

use crate::{
    answer::Ending,
    journal::{
        current::{LENGTHS_MAX, Segment},
        definition::{Definition, Origin, Payload},
        directory::Directory,
        figures::Figures,
        hash::OwnMap,
        marks::Sought,
        put::{Fresh, Put, SetKey},
        record::{BLOCK, Body, Record, Salt},
        segment::{Created, Files, Published, SegmentId},
        sync::Unsynced,
        tail::{Piece, Tail},
        ticket::{Start, Ticket, Waiting},
    },
    ledger::{AccountSet, Charge, Draw, Taken},
    model::{Durability, Nanos},
    snapshot::uid,
};

/// Appends to the journal of one worker. Its calls write to a file, and do not wait for the disk.
pub struct Writer {
    /// Holds the directory's lock as long as anything may be written there.
    directory: Arc<Directory>,
    worker: u16,
    files: Box<dyn Files>,
    /// From this length on the next append opens a new segment.
    segment_bytes: u64,
    next_segment: u64,
    next_sequence: u64,
    current: Option<Segment>,
    /// Ordinary settles that go with the next append. Bounded by the reservations open at the last
    /// one.
    waiting: Vec<Waiting>,
    /// What is put and not written. Kept between appends so that an append allocates nothing.
    put: Put,
    /// What the disk need not have.
    tail: Tail,
    published: Arc<Published>,
    unsynced: Arc<Unsynced>,
    durability: Durability,
    figures: Arc<Figures>,
}

impl Writer {
    pub(super) fn new(
        directory: Arc<Directory>,
        worker: u16,
        start: Start,
        segment_bytes: u64,
        files: Box<dyn Files>,
    ) -> Self {
        let figures = Arc::<Figures>::default();
        Self {
            directory,
            worker,
            files,
            segment_bytes: segment_bytes.min(SEGMENT_BYTES_MAX / LENGTHS_MAX),
            next_segment: start.segment,
            next_sequence: start.sequence,
            current: None,
            waiting: Vec::new(),
            put: Put::default(),
            tail: Tail::default(),
            published: Arc::default(),
            unsynced: Arc::new(Unsynced::new(Arc::clone(&figures))),
            durability: Durability::Normal,
            figures,
        }
    }

    /// Sets what its appends are to survive; those who wait for them keep to it.
    pub(crate) fn with_durability(self, durability: Durability) -> Self {
        Self { durability, ..self }
    }

    /// Gives what its appends are to survive.
    pub fn durability(&self) -> Durability {
        self.durability
    }

    pub(super) fn published(&self) -> Arc<Published> {
        self.published.clone()
    }

    /// Gives what the disk need not have of it.
    pub fn unsynced(&self) -> Arc<Unsynced> {
        self.unsynced.clone()
    }

    /// Gives what it counts.
    pub fn figures(&self) -> Arc<Figures> {
        Arc::clone(&self.figures)
    }

    /// Puts what a request took, for the next append, which requests may share. Only when [`Writer::write`]
    /// has succeeded may it be forwarded. When this fails nothing was put: give the units back and refuse
    /// the request.
    pub fn reserve(
        &mut self,
        taken: Taken<'_>,
        origin: &Origin<'_>,
        request_id: Uuid,
        now: Timestamp,
    ) -> io::Result<Ticket> {
        let time_ms = now.as_millisecond();
        self.check_disk(time_ms)?;
        self.begin(time_ms)?;
        let Taken { set, set_id, draw, cost } = taken;
        let set = self.define((set, set_id), draw, origin, time_ms)?;
        let nanos = u64::try_from(cost.nanos.0).unwrap_or(0);
        let body = Body::Reserve { set, cost: cost.units, nanos, request_id };
        let sequence = self.push(time_ms, body);
        Ok(Ticket { sequence, cost, opened_at: now, request_id })
    }

    /// Writes what was put, with one call, then believes it. When this fails reservations
    /// among it are void and settles that wait go on waiting; whether records of it may be left tells
    /// [`Writer::is_torn`].
    pub fn write(&mut self) -> io::Result<()> {
        let Self { current, put, waiting, tail, published, unsynced, figures, .. } = self;
        if !mem::take(&mut put.is_begun) {
            return Ok(());
        }
        let Some(current) = current else { return Err(no_segment()) };
        if let Err(error) = current.file.write_all(&put.bytes) {
            current.torn = current.file.cut(current.length).is_err();
            figures.failures.add(1);
            return Err(error);
        }
        let last = self.next_sequence.saturating_sub(1);
        let (kept, new) = put.bytes.split_at_checked(put.kept).unwrap_or((&[], &put.bytes));
        tail.forget(unsynced.synced());
        tail.push((current.number, current.length), kept.len(), last, new);
        published.need(tail.first_segment().unwrap_or(current.number));
        current.length += put.bytes.len() as u64;
        if put.is_recovery {
            unsynced.recovered();
        }
        figures.appends.add(1);
        figures.bytes.add(put.bytes.len() as u64);
        for Fresh { key, definition, bytes } in put.fresh.drain(..) {
            let number = current.learn(key, definition.plan.as_ref(), bytes);
            published.handover().give(current.number, number, definition.into());
        }
        waiting.drain(..put.settles);
        published.set(current.number, current.length);
        unsynced.touch(last);
        Ok(())
    }

    /// Tries after a failure whether it is over, by beginning a segment: what is written to that tells it.
    /// Where an append is begun, that will.
    pub fn try_again(&mut self, now: Timestamp) -> io::Result<()> {
        if self.put.is_begun {
            return Ok(());
        }
        // One that has its head is left; one that could not be given it is tried once more.
        self.current.take_if(|current| current.length > 0);
        self.begin(now.as_millisecond())?;
        self.write()
    }

    /// Gives the number of the last record.
    pub fn last(&self) -> u64 {
        self.next_sequence.saturating_sub(1)
    }

    /// Gives how many bytes are put and not written.
    pub fn put_bytes(&self) -> usize {
        if self.put.is_begun { self.put.bytes.len() } else { 0 }
    }

    /// Tells whether the append that just failed may have left whole records behind: then its
    /// reservations are to be settled like others, lest the next start charge them.
    pub fn is_torn(&self) -> bool {
        self.current.as_ref().is_some_and(|current| current.torn)
    }

    /// Puts how a reservation ended that is charged what it took: the record waits for the next append.
    pub fn settle(&mut self, ticket: &Ticket, ending: Ending, now: Timestamp) {
        let Ticket { sequence: reservation, cost, opened_at: _, request_id } = *ticket;
        let (charge, time_ms) = (cost.units, now.as_millisecond());
        self.waiting.push(Waiting { reservation, ending, charge, time_ms, request_id });
    }

    /// Writes how a reservation ended that is charged something else, at once: only after success may units
    /// be given back, and after a failure nothing was written, and the call is to be repeated.
    ///
    /// `taken` and `origin` are those of the reservation; its definition may have to be written
    /// again.
    pub fn settle_changed(
        &mut self,
        ticket: &Ticket,
        taken: Taken<'_>,
        origin: &Origin<'_>,
        ending: Ending,
        charge: Charge,
        now: Timestamp,
    ) -> io::Result<()> {
        let Ticket { sequence: reservation, cost, opened_at, request_id } = *ticket;
        let time_ms = now.as_millisecond();
        self.begin(time_ms)?;
        // Looked for anew: what the reservation's append defined may have failed with it.
        let draw = taken.draw.filter(|_| charge.nanos > Nanos::ZERO);
        let draw = draw.map(|draw| draw.charged(cost.nanos, charge.nanos));
        let set = self.define((taken.set, taken.set_id), draw.as_ref(), origin, time_ms)?;
        let charge = charge.units;
        let age_ms = time_ms.saturating_sub(opened_at.as_millisecond());
        let age_ms = u32::try_from(age_ms.max(0)).unwrap_or(u32::MAX);
        let body = Body::SettleChanged { reservation, ending, set, charge, age_ms, request_id };
        self.push(time_ms, body);
        self.write()
    }

    /// Writes the settles that wait, or if something is put, that and those that waited when it was begun.
    /// It is one append, whose outcome is that of all that was put. Settles that are not written stay for
    /// the next attempt.
    pub fn flush(&mut self) -> io::Result<()> {
        if let Some(first) = self.waiting.first() {
            self.begin(first.time_ms)?;
        }
        self.write()
    }

    /// Tells whether settles wait for the next append or [`Writer::flush`].
    pub fn is_waiting(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// Unless an append is begun, makes sure of a segment and begins one with what waits.
    fn begin(&mut self, time_ms: i64) -> io::Result<()> {
        if self.put.is_begun {
            return Ok(());
        }
        // Looked at once: a sync may fail at any moment, and is seen by the next append then.
        let has_failed = self.unsynced.has_failed();
        let is_over = |open: &Segment| {
            let is_lost = has_failed && !(open.is_recovery && open.length == 0);
            open.torn || open.is_full(self.segment_bytes) || is_lost
        };
        if self.current.as_ref().is_none_or(is_over) {
            self.current = None;
            self.current = Some(self.open_segment(has_failed)?);
        }
        self.put.begin(self.waiting.len());
        if let Some(&Segment { length: 0, number, is_recovery, ref file, .. }) =
            self.current.as_ref()
        {
            let has_room = file.has_room();
            let (node, worker) = (self.directory.node(), self.worker);
            self.push(time_ms, Body::Head { node, worker, segment: number, has_room });
            if is_recovery {
                self.keep_tail(time_ms);
            }
        }
        self.tell_synced(time_ms);
        // Taken out for the loop; they are dropped only when the append has succeeded.
        let waiting = mem::take(&mut self.waiting);
        for Waiting { reservation, ending, charge, time_ms, request_id } in &waiting {
            let (reservation, ending, charge) = (*reservation, *ending, *charge);
            let body = Body::Settle { reservation, ending, charge, request_id: *request_id };
            self.push(*time_ms, body);
        }
        self.waiting = waiting;
        Ok(())
    }

    /// Puts behind the head of a segment what a failed sync may have lost.
    fn keep_tail(&mut self, time_ms: i64) {
        self.put.is_recovery = true;
        let tail = mem::take(&mut self.tail);
        for Piece { segment, offset, follows_synced, bytes } in tail.pieces() {
            let blocks = u16::try_from(bytes.len() / BLOCK).unwrap_or(u16::MAX);
            let body = Body::Kept { segment, offset, follows_synced, blocks };
            self.push_with(time_ms, body, bytes);
        }
        self.tail = tail;
        self.put.kept = self.put.bytes.len();
    }

    /// Puts that the disk has what was written before the last sync, once for each.
    fn tell_synced(&mut self, time_ms: i64) {
        let through = self.unsynced.synced();
        let Some(current) = &mut self.current else { return };
        if through <= mem::replace(&mut current.synced, through) {
            return;
        }
        self.tail.forget(through);
        let length = self.tail.begins(current.number).unwrap_or(current.length);
        if length > 0 {
            self.push(time_ms, Body::Synced { through, length });
        }
    }

    /// Fails while the disk does not take what is written, and sees to it that it is tried again.
    fn check_disk(&mut self, time_ms: i64) -> io::Result<()> {
        if self.unsynced.is_failing() {
            if self.unsynced.has_failed() && !self.put.is_begun {
                self.begin(time_ms)?;
                self.write()?;
            }
            return Err(io::Error::other("the disk did not take the journal"));
        }
        if self.tail.len() > TAIL_BYTES_MAX {
            self.tail.forget(self.unsynced.synced());
            if self.tail.len() > TAIL_BYTES_MAX {
                return Err(io::Error::other("the disk is too slow for the journal"));
            }
        }
        Ok(())
    }

    fn open_segment(&mut self, is_recovery: bool) -> io::Result<Segment> {
        let number = self.next_segment;
        let id = SegmentId { worker: self.worker, number };
        let Created { file, on_disk } = self.files.create(&id.path(self.directory.path()))?;
        self.unsynced.begin(on_disk);
        self.next_segment += 1;
        self.figures.segments.add(1);
        Ok(Segment {
            file,
            number,
            uid: uid::next(),
            salt: Salt::new(self.directory.node(), self.worker, number),
            length: 0,
            torn: false,
            known: OwnMap::default(),
            plans: Vec::new(),
            next_set: 1,
            defined: 0,
            synced: 0,
            is_recovery,
        })
    }

    /// Gives the definition's number in this segment; pushes it if the segment has not met it.
    fn define(
        &mut self,
        (set, set_id): (&Arc<AccountSet>, u64),
        draw: Option<&Arc<Draw>>,
        origin: &Origin<'_>,
        time_ms: i64,
    ) -> io::Result<u32> {
        let Some(current) = &self.current else { return Err(no_segment()) };
        let salt = current.salt;
        let draw_id = draw.map_or(0, |draw| draw.id);
        let (key, route) = (origin.key_uid, origin.route_uid);
        let marks = origin.marks.filter(|_| draw.is_none());
        let sought = Sought { worker: self.worker, segment: current.uid, set: set_id, route };
        if let Some(number) = marks.and_then(|marks| marks.find(sought)) {
            return Ok(number);
        }
        let key = SetKey { set: set_id, draw: draw_id, key, route };
        if let Some(number) = current.find(&key, origin.plan) {
            marks.inspect(|marks| marks.put(sought, number));
            return Ok(number);
        }
        if let Some(number) = self.put.find(current.next_set, &key, origin.plan) {
            return Ok(number);
        }
        let number = self.put.next_set(current.next_set);
        let definition = Definition::new(set, draw, origin);
        let Payload { bytes, blocks } = Payload::new(&definition)
            .map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))?;
        let sequence = self.take_sequence();
        let record = Record { sequence, time_ms, body: Body::Definition { set: number, blocks } };
        record.encode(salt, &bytes, &mut self.put.bytes);
        let bytes = (BLOCK + bytes.len()) as u64;
        self.put.fresh.push(Fresh { key, definition, bytes });
        Ok(number)
    }

    fn push(&mut self, time_ms: i64, body: Body) -> u64 {
        self.push_with(time_ms, body, &[])
    }

    fn push_with(&mut self, time_ms: i64, body: Body, payload: &[u8]) -> u64 {
        let sequence = self.take_sequence();
        if let Some(current) = &self.current {
            Record { sequence, time_ms, body }.encode(current.salt, payload, &mut self.put.bytes);
        }
        sequence
    }

    fn take_sequence(&mut self) -> u64 {
        let sequence = self.next_sequence;
        self.next_sequence += 1;
        sequence
    }
}

/// So much may wait for a disk that is slow, some seconds of it; then no more is taken.
const TAIL_BYTES_MAX: usize = 32 << 20;

/// What [`Published`] can tell, less room for one large append.
const SEGMENT_BYTES_MAX: u64 = 256 << 20;

/// Cannot happen after [`Writer::begin`]; an error rather than a panic on the request path.
fn no_segment() -> io::Error {
    io::Error::other("the journal has no segment open")
}
