//! The world: a process with its books, the disk under it, and the model beside both.

use std::{
    collections::{BTreeMap, VecDeque},
    fs,
    future::Future,
    path::PathBuf,
    pin::pin,
    rc::Rc,
    sync::Arc,
    task::{Context, Poll, Waker},
};

use jiff::Timestamp;
use tempfile::TempDir;
use tokio::sync::Notify;

use super::{
    Figures, check,
    database::{Database, new_place},
    disk::{Disk, Found, segments},
    model::{Model, Sum},
    plan::{self, CONFIG, CUSTOMERS, KEYS, Plan},
    random::Random,
};
use crate::{
    answer::Ending,
    clock::Clock,
    gateway::Gateway,
    journal::{Follower, Journal, Unsynced},
    ledger::{AccountId, Ledger},
    model::Durability,
    provisioning::{self, Applied},
    simulation::At,
    store::{NodeId, Sqlite, Store},
    telemetry::metrics,
    worker::{
        append::{Append, Outcome},
        books::{Books, Due, Open},
    },
};

pub(super) const WORKERS: u16 = 2;

/// All that is there, and all that should be.
pub(super) struct World {
    pub(super) random: Random,
    pub(super) model: Model,
    pub(super) now: Timestamp,
    pub(super) durability: Durability,
    pub(super) disk: Disk,
    /// `None` only between two of them.
    process: Option<Process>,
    place: TempDir,
    database: Database,
    segment_bytes: u64,
    /// Records that the store has.
    folded: Found,
    /// Since the process began.
    was_power_cut: bool,
    /// Reservations of the process that ended which must be there: their worker and number, and whether also
    /// after a power cut.
    must_live: Vec<((u16, u64), bool)>,
    pub(super) figures: Figures,
    pub(super) log: Vec<String>,
}

/// A process without its threads.
pub(super) struct Process {
    pub(super) gateway: Gateway,
    pub(super) clock: Arc<Clock>,
    pub(super) workers: Vec<Worker>,
    pub(super) follower: Follower,
    pub(super) store: Sqlite,
    pub(super) node: NodeId,
    /// Changes that are in the store and that memory is not told yet.
    pub(super) untold: Vec<Applied>,
}

/// What a start makes beside the store that it is given.
type Started = (Gateway, Arc<Clock>, Vec<Worker>, Follower, NodeId);

/// A worker with the requests that are in its hands, by their place in the model.
pub(super) struct Worker {
    pub(super) books: Books,
    pub(super) unsynced: Arc<Unsynced>,
    pub(super) appends: Vec<(Rc<Append>, Vec<usize>)>,
    pub(super) open: BTreeMap<usize, Box<Open>>,
    pub(super) due: VecDeque<(usize, Sum)>,
}

impl World {
    /// Begins with nothing.
    pub(super) fn new(seed: u64) -> Self {
        let mut random = Random::new(seed);
        let now = Timestamp::from_second(1_790_000_000 + random.between(0, 90_000)).unwrap();
        let plans = [(); CUSTOMERS].map(|()| Plan::new(&mut random));
        let place = new_place();
        let strict = random.happens(25);
        let mut world = Self {
            model: Model::new(plans, now),
            now,
            durability: if strict { Durability::Strict } else { Durability::Normal },
            segment_bytes: random.one_of(&[64, 1000, 4000, 1 << 20]),
            random,
            disk: Disk::default(),
            process: None,
            place,
            database: Database::take(),
            folded: Found::default(),
            was_power_cut: false,
            must_live: Vec::new(),
            figures: Figures::default(),
            log: Vec::new(),
        };
        world.start();
        world
    }

    /// Ends where a run has failed: what it leaves may not be fit to be taken down.
    pub(super) fn abandon(self) {
        let paths = [self.place.path().to_owned(), self.database.place.path().to_owned()];
        std::mem::forget(self);
        paths.into_iter().for_each(|path| fs::remove_dir_all(path).unwrap());
    }

    /// Ends a run; gives what it counted.
    pub(super) fn end(mut self) -> Figures {
        let store = self.database.open();
        (0..CUSTOMERS).for_each(|customer| check::compare_movements(&store, customer));
        self.database.close(store, &mut self.random);
        self.database.give_back();
        self.figures
    }

    /// Gives the process.
    pub(super) fn process(&mut self) -> &mut Process {
        self.process.as_mut().unwrap()
    }

    fn journal(&self) -> PathBuf {
        self.place.path().join("journal")
    }

    /// Ends the process at once; a power cut takes what was not synced.
    pub(super) fn crash(&mut self, is_power_cut: bool) {
        let kind = if is_power_cut { "power cut" } else { "crash" };
        self.fault(kind);
        let Some(process) = self.process.take() else { return };
        for request in &self.model.requests {
            let synced = process.workers[usize::from(request.worker)].unsynced.synced();
            let is_safe = self.durability == Durability::Strict || request.number <= synced;
            if request.is_served {
                self.must_live.push(((request.worker, request.number), is_safe));
            }
        }
        self.database.close(process.store, &mut self.random);
        if is_power_cut {
            self.cut_power();
        }
    }

    fn cut_power(&mut self) {
        self.was_power_cut = true;
        let journal = self.journal();
        self.disk.lose(&journal, &mut self.random);
    }

    /// Starts a process, in the order of a start, which may break off anywhere.
    pub(super) fn start(&mut self) {
        self.disk.mend();
        while self.try_start().is_none() {
            if self.random.happens(40) {
                self.fault("power cut in a start");
                self.cut_power();
            }
        }
        self.was_power_cut = false;
        self.check();
    }

    fn breaks_off(&mut self) -> Option<()> {
        if !self.random.happens(3) {
            return Some(());
        }
        self.fault("crash in a start");
        None
    }

    fn try_start(&mut self) -> Option<()> {
        let mut store = self.database.open();
        let started = self.try_start_on(&mut store);
        let Some((gateway, clock, workers, follower, node)) = started else {
            self.database.close(store, &mut self.random);
            return None;
        };
        let untold = Vec::new();
        self.process = Some(Process { gateway, clock, workers, follower, store, node, untold });
        Some(())
    }

    fn try_start_on(&mut self, store: &mut Sqlite) -> Option<Started> {
        self.breaks_off()?;
        self.expect_replay();
        let kept: Vec<_> = segments(&self.journal())
            .into_iter()
            .map(|path| (fs::read(&path).unwrap(), path))
            .collect();
        let (journal, _) = Journal::open(&self.journal(), store).unwrap();
        if self.random.happens(5) {
            self.fault("deletion lost");
            kept.into_iter().for_each(|(bytes, path)| fs::write(path, bytes).unwrap());
        }
        self.breaks_off()?;
        let floor = store.latest_time().unwrap().unwrap_or(self.now).max(self.now);
        let ledger = Ledger::new(floor);
        let mut load = |row: crate::store::UsageRow<'_>| {
            let window = row.window;
            let account = AccountId { scope: row.scope.into(), quota: row.quota.into(), window };
            ledger.customer(row.customer).load(&account, row.used);
        };
        store.load_usage(floor, &mut load).unwrap();
        self.breaks_off()?;
        let node = journal.node();
        let journal = journal.with_segment_bytes(self.segment_bytes);
        let disk = self.disk.clone();
        let split = journal.split(store, WORKERS, |worker| disk.files(worker));
        let (writers, follower) = split.unwrap();
        let clock = Arc::new(Clock::manual(self.now));
        let gateway = Gateway::new(&CONFIG, None, ledger, Arc::clone(&clock));
        provisioning::load(&gateway, &store.reads()).unwrap();
        self.breaks_off()?;
        for (number, customer) in self.model.customers.iter_mut().enumerate() {
            gateway.live().put_customer(customer.plan.terms(number));
            (0..KEYS).for_each(|key| gateway.live().put_key(plan::api_key(number, key)));
            customer.latest = floor;
        }
        let workers = writers.into_iter().map(|writer| {
            let writer = writer.with_durability(self.durability);
            let figures = Arc::<metrics::worker::Books>::default();
            Worker {
                unsynced: writer.unsynced(),
                books: Books::new(writer, Arc::clone(&clock), Rc::new(Notify::new()), figures),
                appends: Vec::new(),
                open: BTreeMap::new(),
                due: VecDeque::new(),
            }
        });
        let workers = workers.collect();
        Some((gateway, clock, workers, follower, node))
    }

    /// Says what the books will have when what is on the disk is read.
    fn expect_replay(&mut self) {
        let mut found = std::mem::take(&mut self.folded);
        let on_disk = self.disk.read(&self.journal());
        for worker in 0..WORKERS {
            found.add_through(&on_disk, worker, u64::MAX);
        }
        let was_power_cut = self.was_power_cut;
        for (id, _) in self.must_live.drain(..).filter(|(_, is_safe)| *is_safe || !was_power_cut) {
            assert!(found.reserved.contains(&id), "an accepted request is lost: {id:?}");
        }
        for request in &self.model.requests {
            let id = (request.worker, request.number);
            let is_found = found.reserved.contains(&id);
            assert!(!request.is_lost || !is_found, "what failed is there: {id:?}");
            let is_changed = request.charge.is_some_and(|charge| charge != request.cost);
            if is_changed && !request.is_lost && !self.was_power_cut {
                assert!(found.changed.contains_key(&id), "a settlement is lost: {id:?}");
            }
        }
        self.model.end(&found);
        // From here on the store has it, whatever becomes of this start.
        self.folded = Found::default();
    }

    /// Carries the journal into the store.
    pub(super) fn fold(&mut self) {
        let on_disk = self.disk.read(&self.journal());
        let Process { follower, store, node, .. } = self.process.as_mut().unwrap();
        follower.fold(store, &mut At(self.now)).unwrap();
        for position in store.positions(*node).unwrap() {
            self.folded.add_through(&on_disk, position.worker, position.sequence);
        }
    }

    /// Brings the model up to what the books of a worker did.
    pub(super) fn attend(&mut self, number: u16) {
        loop {
            let Self { process, model, .. } = self;
            let worker = &mut process.as_mut().unwrap().workers[usize::from(number)];
            while worker.due.len() > worker.books.due() {
                let (request, charge) = worker.due.pop_front().unwrap();
                model.settle(request, charge);
            }
            let mut ended = Vec::new();
            worker.appends.retain(|(append, requests)| match poll(append.ended()) {
                Some(outcome) => {
                    ended.extend(requests.iter().map(|request| (*request, outcome)));
                    false
                }
                None => true,
            });
            if ended.is_empty() {
                return;
            }
            for (request, outcome) in ended {
                self.end_append(request, outcome);
            }
        }
    }

    /// Does what follows the end of an append for one of its requests.
    fn end_append(&mut self, request: usize, outcome: Outcome) {
        let known = &self.model.requests[request];
        let (number, id) = (usize::from(known.worker), (known.worker, known.number));
        // What gives nothing back is settled by a record that counts only beside the reservation's.
        if outcome != Outcome::Written && known.cost == Sum::default() {
            let is_found = self.disk.read(&self.journal()).reserved.contains(&id);
            self.model.requests[request].is_lost = !is_found;
        }
        let Self { process, model, .. } = self;
        let worker = &mut process.as_mut().unwrap().workers[number];
        // It may have left meanwhile.
        let Some(open) = worker.open.remove(&request) else { return };
        match outcome {
            Outcome::Written => {
                model.requests[request].is_served = true;
                worker.open.insert(request, open);
            }
            Outcome::Lost => {
                worker.books.forget(*open);
                model.requests[request].is_lost = true;
                model.settle(request, Sum::default());
            }
            Outcome::Torn => {
                worker.due.push_back((request, Sum::default()));
                worker.books.push(Due { open, ending: Ending::Unsent });
                worker.books.settle_due();
            }
        }
    }

    /// Counts a fault.
    pub(super) fn fault(&mut self, kind: &'static str) {
        self.log.push(format!("  {kind}"));
        *self.figures.faults.entry(kind).or_default() += 1;
    }

    /// Stops as a process does that has the time.
    pub(super) fn stop(&mut self) {
        self.disk.mend();
        for worker in 0..WORKERS {
            let open: Vec<usize> =
                self.process().workers[usize::from(worker)].open.keys().copied().collect();
            // Whose append is not written is not served, and leaves.
            for request in open {
                let is_served = self.model.requests[request].is_served;
                let ending = if is_served { Ending::Aborted } else { Ending::Unsent };
                self.push(request, ending);
            }
            let books = &self.process().workers[usize::from(worker)].books;
            books.flush();
            books.flush();
            self.attend(worker);
        }
        self.fold();
        self.check();
        assert!(self.is_settled(), "all is settled by a stop");
        let process = self.process.take().unwrap();
        let Process { workers, mut follower, store, .. } = process;
        drop(workers);
        follower.delete_all();
        self.database.close(store, &mut self.random);
    }

    /// Hands a request back to the books.
    pub(super) fn push(&mut self, request: usize, ending: Ending) {
        let cost = self.model.requests[request].cost;
        let worker = usize::from(self.model.requests[request].worker);
        let worker = &mut self.process().workers[worker];
        let open = worker.open.remove(&request).unwrap();
        worker.due.push_back((request, if ending.charges() { cost } else { Sum::default() }));
        worker.books.push(Due { open, ending });
    }

    /// Tells whether the journal has the end of each request that has one.
    pub(super) fn is_settled(&mut self) -> bool {
        let settled = |worker: &Worker| worker.due.is_empty() && !worker.books.is_waiting();
        self.process().workers.iter().all(settled)
    }
}

/// Asks once.
pub(super) fn poll<T>(future: impl Future<Output = T>) -> Option<T> {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => Some(value),
        Poll::Pending => None,
    }
}
