//! One worker's end of the journal: appends what was taken, and how it ended.
//!
//! Invariants:
//! - An append is whole or nothing: what a failed write left behind is cut away, and if that fails
//!   too, the segment is given up and nothing is ever written behind the torn place.
//! - The record that the caller waits for is the last of its append. So where a torn append leaves
//!   whole records behind, they are ordinary settles, which may be written twice: the second finds
//!   no open reservation.
//! - A record's number is used once, also when its append failed.

use std::{io, mem, sync::Arc};

use jiff::Timestamp;
use uuid::Uuid;

use crate::{
    answer::Ending,
    journal::{
        definition::{Definition, Origin, Payload},
        directory::Directory,
        figures::Figures,
        hash::OwnMap,
        record::{Body, Record, Salt},
        segment::{Files, Published, SegmentFile, SegmentId},
    },
    ledger::AccountSet,
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
    /// Kept between appends so that an append allocates nothing.
    buffer: Vec<u8>,
    published: Arc<Published>,
    figures: Arc<Figures>,
}

/// Where a writer begins.
#[derive(Clone, Copy, Debug)]
pub(super) struct Start {
    /// A segment number above everything ever used.
    pub(super) segment: u64,
    /// A record number above everything ever used.
    pub(super) sequence: u64,
}

impl Start {
    /// For a worker that never wrote.
    pub(super) const FIRST: Self = Self { segment: 1, sequence: 1 };
}

/// What is needed to settle a reservation.
#[derive(Clone, Copy, Debug)]
#[must_use = "a reservation that is not settled is charged at the next start"]
pub struct Ticket {
    sequence: u64,
    segment: u64,
    set: u32,
    cost: u64,
    opened_at: Timestamp,
    request_id: Uuid,
}

impl Ticket {
    /// Gives the units that were reserved.
    pub fn cost(&self) -> u64 {
        self.cost
    }
}

/// The segment in use.
struct Segment {
    file: Box<dyn SegmentFile>,
    number: u64,
    salt: Salt,
    /// Up to the last whole append.
    length: u64,
    /// Something torn stands behind `length`.
    torn: bool,
    /// What was defined in it. Dropped with it, so that it does not grow without end.
    known: OwnMap<SetKey, Known>,
    /// The plans in those, each once. They are few.
    plans: Vec<Option<Arc<str>>>,
    next_set: u32,
}

#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
struct SetKey {
    set: u64,
    key: u64,
    route: u64,
}

/// Small, since there is one for each key that was used in the segment.
#[derive(Clone, Copy)]
struct Known {
    number: u32,
    /// Its place in the segment's list: a reload may give a customer another plan and leave its
    /// accounts as they are.
    plan: usize,
}

/// An ordinary settle that is not yet written.
struct Waiting {
    reservation: u64,
    ending: Ending,
    charge: u64,
    time_ms: i64,
    request_id: Uuid,
}

impl Writer {
    pub(super) fn new(
        directory: Arc<Directory>,
        worker: u16,
        start: Start,
        segment_bytes: u64,
        files: Box<dyn Files>,
    ) -> Self {
        Self {
            directory,
            worker,
            files,
            segment_bytes: segment_bytes.min(SEGMENT_BYTES_MAX),
            next_segment: start.segment,
            next_sequence: start.sequence,
            current: None,
            waiting: Vec::new(),
            buffer: Vec::new(),
            published: Arc::default(),
            figures: Arc::default(),
        }
    }

    pub(super) fn published(&self) -> Arc<Published> {
        self.published.clone()
    }

    /// Gives what it counts.
    pub fn figures(&self) -> Arc<Figures> {
        Arc::clone(&self.figures)
    }

    /// Writes that a request took `cost` units from the accounts. When this fails nothing was
    /// written: give the units back and refuse the request.
    pub fn reserve(
        &mut self,
        set: &Arc<AccountSet>,
        origin: &Origin<'_>,
        cost: u64,
        request_id: Uuid,
        now: Timestamp,
    ) -> io::Result<Ticket> {
        let time_ms = now.as_millisecond();
        self.begin(time_ms)?;
        let (number, fresh) = self.define(set, origin, time_ms)?;
        let sequence = self.push(time_ms, Body::Reserve { set: number, cost, request_id });
        let segment = self.append(fresh)?;
        Ok(Ticket { sequence, segment, set: number, cost, opened_at: now, request_id })
    }

    /// Writes how a reservation ended. Where the charge is the reserved cost the record waits for
    /// the next append, and this does not fail. Otherwise it is written at once: only after success
    /// may units be given back, and after a failure nothing was written, and the call is to be
    /// repeated.
    ///
    /// `set` and `origin` are those of the reservation; its definition may have to be written
    /// again.
    pub fn settle(
        &mut self,
        ticket: &Ticket,
        set: &Arc<AccountSet>,
        origin: &Origin<'_>,
        ending: Ending,
        charge: u64,
        now: Timestamp,
    ) -> io::Result<()> {
        let Ticket { sequence: reservation, segment, set: number, cost, opened_at, request_id } =
            *ticket;
        let time_ms = now.as_millisecond();
        if charge == cost {
            self.waiting.push(Waiting { reservation, ending, charge, time_ms, request_id });
            return Ok(());
        }
        self.begin(time_ms)?;
        let (set, fresh) = match &self.current {
            Some(current) if current.number == segment => (number, None),
            _ => self.define(set, origin, time_ms)?,
        };
        let age_ms = time_ms.saturating_sub(opened_at.as_millisecond());
        let age_ms = u32::try_from(age_ms.max(0)).unwrap_or(u32::MAX);
        let body = Body::SettleChanged { reservation, ending, set, charge, age_ms, request_id };
        self.push(time_ms, body);
        self.append(fresh).map(drop)
    }

    /// Writes the settles that wait. What fails stays for the next attempt.
    pub fn flush(&mut self) -> io::Result<()> {
        let Some(first) = self.waiting.first() else { return Ok(()) };
        self.begin(first.time_ms)?;
        self.append(None).map(drop)
    }

    /// Tells whether settles wait for the next append or [`Writer::flush`].
    pub fn is_waiting(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// Makes sure of a segment and starts an append with what waits.
    fn begin(&mut self, time_ms: i64) -> io::Result<()> {
        let full = |open: &Segment| open.torn || open.length >= self.segment_bytes;
        if self.current.as_ref().is_none_or(full) {
            self.current = None;
            self.current = Some(self.open_segment()?);
        }
        self.buffer.clear();
        if let Some(Segment { length: 0, number, .. }) = self.current {
            let node = self.directory.node();
            self.push(time_ms, Body::Head { node, worker: self.worker, segment: number });
        }
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

    fn open_segment(&mut self) -> io::Result<Segment> {
        let number = self.next_segment;
        let id = SegmentId { worker: self.worker, number };
        let file = self.files.create(&id.path(self.directory.path()))?;
        self.next_segment += 1;
        self.figures.segments.add(1);
        Ok(Segment {
            file,
            number,
            salt: Salt::new(self.directory.node(), self.worker, number),
            length: 0,
            torn: false,
            known: OwnMap::default(),
            plans: Vec::new(),
            next_set: 1,
        })
    }

    /// Gives the definition's number in this segment; pushes it if the segment has not met it.
    fn define(
        &mut self,
        set: &Arc<AccountSet>,
        origin: &Origin<'_>,
        time_ms: i64,
    ) -> io::Result<(u32, Option<Fresh>)> {
        let Some(current) = &self.current else { return Err(no_segment()) };
        let key = SetKey { set: set.id, key: origin.key_uid, route: origin.route_uid };
        if let Some(Known { number, plan }) = current.known.get(&key)
            && current.plans.get(*plan).is_some_and(|plan| plan.as_ref() == origin.plan)
        {
            return Ok((*number, None));
        }
        let (salt, number) = (current.salt, current.next_set);
        let definition = Definition::new(set, origin);
        let Payload { bytes, blocks } = Payload::new(&definition)
            .map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))?;
        let sequence = self.take_sequence();
        let record = Record { sequence, time_ms, body: Body::Definition { set: number, blocks } };
        record.encode(salt, &bytes, &mut self.buffer);
        Ok((number, Some(Fresh { key, definition })))
    }

    fn push(&mut self, time_ms: i64, body: Body) -> u64 {
        let sequence = self.take_sequence();
        if let Some(current) = &self.current {
            Record { sequence, time_ms, body }.encode(current.salt, &[], &mut self.buffer);
        }
        sequence
    }

    fn take_sequence(&mut self) -> u64 {
        let sequence = self.next_sequence;
        self.next_sequence += 1;
        sequence
    }

    /// Writes the buffer with one call, then believes it. Gives the segment it went to.
    fn append(&mut self, fresh: Option<Fresh>) -> io::Result<u64> {
        let Some(current) = &mut self.current else { return Err(no_segment()) };
        if let Err(error) = current.file.write_all(&self.buffer) {
            current.torn = current.file.cut(current.length).is_err();
            self.figures.failures.add(1);
            return Err(error);
        }
        current.length += self.buffer.len() as u64;
        self.figures.appends.add(1);
        self.figures.bytes.add(self.buffer.len() as u64);
        if let Some(Fresh { key, definition }) = fresh {
            let number = current.learn(key, definition.plan.as_ref());
            self.published.handover().give(current.number, number, definition.into());
        }
        self.waiting.clear();
        self.published.set(current.number, current.length);
        Ok(current.number)
    }
}

impl Segment {
    /// Remembers a definition that was written. Gives its number.
    fn learn(&mut self, key: SetKey, plan: Option<&Arc<str>>) -> u32 {
        let Self { known, plans, next_set, .. } = self;
        let place = plans.iter().position(|known| known.as_ref() == plan);
        let plan = place.unwrap_or_else(|| {
            plans.push(plan.cloned());
            plans.len() - 1
        });
        let number = *next_set;
        known.insert(key, Known { number, plan });
        *next_set += 1;
        number
    }
}

/// A definition that holds once its append has succeeded.
struct Fresh {
    key: SetKey,
    definition: Definition,
}

/// What [`Published`] can tell, less room for one large append.
const SEGMENT_BYTES_MAX: u64 = 256 << 20;

/// Cannot happen after [`Writer::begin`]; an error rather than a panic on the request path.
fn no_segment() -> io::Error {
    io::Error::other("the journal has no segment open")
}
