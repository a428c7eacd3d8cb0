//! Which customers send most, counted by each worker, and only while somebody watches.
//!
//! Choice of primitive: a relaxed atomic tells whether anybody watches, so that while nobody does a request
//! costs one load and a branch. What is counted stands under a mutex of the worker's own, which
//! others take only for as long as copying some pointers takes.
//!
//! Everything is bounded: a slot of time holds so many customers, a worker so many slots. Who comes
//! first in a slot is counted by name, which is who comes often; the rest is counted together.

use std::{
    collections::{HashMap, VecDeque},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::time::Instant;

/// How long the counting goes on after a look, and over how much time it is told.
const WATCHED_MS: u64 = 10_000;

/// How finely time is divided: what is told begins and ends with a slot.
const SLOT_MS: u64 = 250;

/// How many slots what is told reaches back.
const SLOTS: u64 = WATCHED_MS / SLOT_MS;

/// How many customers a worker tells apart in a slot.
const CUSTOMERS_MAX: usize = 1000;

/// How many customers are told of each kind: of those with the most requests, refusals, units.
const TOLD_MAX: usize = 30;

/// Who watches, as all threads know it.
#[derive(Debug)]
pub struct Audience {
    begun: Instant,
    /// Until when somebody watches, in milliseconds since the beginning; 0 when nobody does.
    until_ms: AtomicU64,
    /// Since when, without a pause.
    since_ms: AtomicU64,
}

/// What one worker counts.
#[derive(Debug, Default)]
pub struct Counter {
    audience: Arc<Audience>,
    slots: Mutex<Slots>,
}

#[derive(Debug, Default)]
struct Slots {
    number: u64,
    current: Slot,
    /// By their numbers, the oldest first.
    done: VecDeque<(u64, Arc<Slot>)>,
}

#[derive(Debug, Default)]
struct Slot {
    customers: HashMap<Arc<str>, Counts>,
    others: Counts,
    unknown: Counts,
}

/// What is counted of a customer.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Counts {
    /// Requests that ended.
    pub requests: u64,
    /// Those of them that were refused.
    pub refusals: u64,
    /// Units charged.
    pub units: u64,
}

/// Who sent most lately.
#[derive(Clone, Debug, Default)]
pub struct Busiest {
    /// How much time it was counted for.
    pub over: Duration,
    /// Those with the most requests, the most refusals and the most units, in no order.
    pub customers: Vec<(Arc<str>, Counts)>,
    /// All other customers together.
    pub others: Counts,
    /// Requests of which no customer is known.
    pub unknown: Counts,
}

impl Default for Audience {
    fn default() -> Self {
        Self { begun: Instant::now(), until_ms: AtomicU64::new(0), since_ms: AtomicU64::new(0) }
    }
}

impl Audience {
    /// Lets the workers count for a while from now.
    pub fn watch(&self) {
        let now = self.now_ms();
        if self.until_ms.load(Ordering::Relaxed) <= now {
            self.since_ms.store(now, Ordering::Relaxed);
        }
        self.until_ms.store(now.saturating_add(WATCHED_MS), Ordering::Relaxed);
    }

    /// Gives the time since the beginning, which is that of the process.
    pub fn age(&self) -> Duration {
        self.begun.elapsed()
    }

    fn now_ms(&self) -> u64 {
        u64::try_from(self.age().as_millis()).unwrap_or(u64::MAX)
    }

    /// Ends the counting if it is time. Two may try at once, and somebody may look meanwhile: only the
    /// value that was seen is replaced.
    fn rest(&self) -> bool {
        let until = self.until_ms.load(Ordering::Relaxed);
        if until > self.now_ms() {
            return false;
        }
        let order = Ordering::Relaxed;
        until == 0 || self.until_ms.compare_exchange(until, 0, order, order).is_ok()
    }

    /// Gives the number of the present slot while somebody watches.
    fn slot(&self) -> Option<u64> {
        let now = self.now_ms();
        (now < self.until_ms.load(Ordering::Relaxed)).then_some(now / SLOT_MS)
    }

    /// Adds up what the workers counted in the slots that are over.
    pub fn busiest<'a>(&self, counters: impl Iterator<Item = &'a Counter>) -> Busiest {
        let end = self.now_ms() / SLOT_MS;
        let since = self.since_ms.load(Ordering::Relaxed);
        let first = (since / SLOT_MS).max(end.saturating_sub(SLOTS));
        let begun_ms = since.max(first.saturating_mul(SLOT_MS));
        let over = end.saturating_mul(SLOT_MS).saturating_sub(begun_ms);
        let mut sums = Slot::default();
        for slot in counters.flat_map(|counter| counter.between(first, end)) {
            sums.others.add(slot.others);
            sums.unknown.add(slot.unknown);
            for (customer, counts) in &slot.customers {
                sums.customers.entry(Arc::clone(customer)).or_default().add(*counts);
            }
        }
        let Slot { customers, mut others, unknown } = sums;
        let mut customers: Vec<_> = customers.into_iter().collect();
        let told = first_of_each_kind(&mut customers);
        let rest = customers.split_off(told);
        rest.iter().for_each(|(_, counts)| others.add(*counts));
        Busiest { over: Duration::from_millis(over), customers, others, unknown }
    }
}

/// Brings those with the most of each kind to the front, and gives how many these are.
fn first_of_each_kind(customers: &mut [(Arc<str>, Counts)]) -> usize {
    let kinds: [fn(&Counts) -> u64; 3] =
        [|counts| counts.requests, |counts| counts.refusals, |counts| counts.units];
    let mut chosen = 0;
    for kind in kinds {
        let Some(rest) = customers.get_mut(chosen..) else { break };
        // By name where they are equal, so that a list stands still while nothing changes.
        rest.sort_unstable_by(|(a, left), (b, right)| {
            kind(right).cmp(&kind(left)).then_with(|| a.cmp(b))
        });
        chosen += rest.len().min(TOLD_MAX);
    }
    chosen
}

impl Counter {
    /// Makes that of a worker.
    pub fn new(audience: Arc<Audience>) -> Self {
        Self { audience, slots: Mutex::default() }
    }

    /// Tells whether somebody watches, or did a moment ago.
    pub fn is_watched(&self) -> bool {
        self.audience.until_ms.load(Ordering::Relaxed) != 0
    }

    /// Counts for a customer while somebody watches.
    pub fn count(&self, customer: Option<&Arc<str>>, counts: Counts) {
        let Some(number) = self.audience.slot() else { return };
        let mut slots = self.lock();
        slots.advance(number);
        slots.current.count(customer, counts);
    }

    /// Forgets everything once nobody watches.
    pub fn rest(&self) {
        // Whoever was the one to end it: each worker has its own to forget.
        if self.audience.rest() {
            *self.lock() = Slots::default();
        }
    }

    /// Gives the slots of a stretch of time that is over.
    fn between(&self, first: u64, end: u64) -> Vec<Arc<Slot>> {
        let mut slots = self.lock();
        slots.advance(end);
        let done = slots.done.iter().filter(|(number, _)| (first..end).contains(number));
        done.map(|(_, slot)| Arc::clone(slot)).collect()
    }

    /// A panic while it was held left plain numbers behind, which are still right.
    fn lock(&self) -> MutexGuard<'_, Slots> {
        self.slots.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Slots {
    /// Goes on to a slot. Who looks and who counts read the clock before they get here, so that the one
    /// may be a slot behind the other: time does not go back for that.
    fn advance(&mut self, number: u64) {
        if number <= self.number {
            return;
        }
        let slot = std::mem::take(&mut self.current);
        self.done.push_back((self.number, Arc::new(slot)));
        while self.done.front().is_some_and(|(old, _)| old.saturating_add(SLOTS) < number) {
            self.done.pop_front();
        }
        self.number = number;
    }
}

impl Slot {
    fn count(&mut self, customer: Option<&Arc<str>>, counts: Counts) {
        let Some(customer) = customer else { return self.unknown.add(counts) };
        if let Some(known) = self.customers.get_mut(customer) {
            known.add(counts);
        } else if self.customers.len() < CUSTOMERS_MAX {
            self.customers.insert(Arc::clone(customer), counts);
        } else {
            self.others.add(counts);
        }
    }
}

impl Counts {
    /// Adds others to them.
    pub fn add(&mut self, other: Self) {
        let Self { requests, refusals, units } = other;
        self.requests = self.requests.saturating_add(requests);
        self.refusals = self.refusals.saturating_add(refusals);
        self.units = self.units.saturating_add(units);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: Counts = Counts { requests: 1, refusals: 0, units: 2 };

    fn id(number: usize) -> Arc<str> {
        number.to_string().into()
    }

    async fn pass(ms: u64) {
        tokio::time::advance(Duration::from_millis(ms)).await;
    }

    fn read(audience: &Audience, counters: &[Counter]) -> Busiest {
        let mut busiest = audience.busiest(counters.iter());
        busiest.customers.sort_unstable_by(|(a, _), (b, _)| a.cmp(b));
        busiest
    }

    #[tokio::test(start_paused = true)]
    async fn nothing_is_counted_while_nobody_watches() {
        let audience = Arc::new(Audience::default());
        let counters = [Counter::new(Arc::clone(&audience))];
        pass(5_000).await;
        counters[0].count(Some(&id(1)), ONE);
        audience.watch();
        assert!(counters[0].is_watched());
        pass(1_000).await;
        assert!(read(&audience, &counters).customers.is_empty());

        counters[0].count(Some(&id(1)), ONE);
        pass(9_000).await;
        assert_eq!(read(&audience, &counters).customers, [(id(1), ONE)]);
        // Nobody has looked for ten seconds.
        counters[0].count(Some(&id(1)), ONE);
        counters[0].rest();
        assert!(!counters[0].is_watched());
        assert!(counters[0].lock().done.is_empty());
        audience.watch();
        pass(1_000).await;
        assert!(read(&audience, &counters).customers.is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn time_that_is_told_is_the_time_that_was_counted() {
        let audience = Arc::new(Audience::default());
        let counters = [(); 2].map(|()| Counter::new(Arc::clone(&audience)));
        pass(1_100).await;
        audience.watch();
        pass(100).await;
        counters[0].count(Some(&id(1)), ONE);
        counters[1].count(Some(&id(1)), ONE);
        counters[1].count(None, ONE);
        assert_eq!(read(&audience, &counters).over, Duration::ZERO);
        pass(900).await;
        // From 1.1 s to 2 s: what is of the present slot is told with the next.
        counters[0].count(Some(&id(1)), ONE);
        let busiest = read(&audience, &counters);
        assert_eq!(busiest.over, Duration::from_millis(900));
        let two = Counts { requests: 2, refusals: 0, units: 4 };
        assert_eq!((busiest.customers, busiest.unknown), (vec![(id(1), two)], ONE));
        for _ in 0..3 {
            audience.watch();
            pass(4_000).await;
        }
        let busiest = read(&audience, &counters);
        assert_eq!(busiest.over, Duration::from_secs(10));
        assert!(busiest.customers.is_empty(), "{busiest:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn customers_are_bounded_and_no_request_is_lost() {
        let audience = Arc::new(Audience::default());
        let counters = [Counter::new(Arc::clone(&audience))];
        audience.watch();
        for number in 0..CUSTOMERS_MAX + 50 {
            counters[0].count(Some(&id(number)), ONE);
        }
        counters[0].count(Some(&id(7)), Counts { refusals: 1, ..ONE });
        counters[0].count(Some(&id(990)), Counts { units: 50, ..Counts::default() });
        pass(500).await;
        let busiest = read(&audience, &counters);
        assert_eq!(busiest.customers.len(), 3 * TOLD_MAX);
        let find = |name| busiest.customers.iter().find(|(customer, _)| *customer == id(name));
        assert_eq!(find(7).unwrap().1, Counts { requests: 2, refusals: 1, units: 4 });
        assert_eq!(find(990).unwrap().1.units, 52);
        let told: u64 = busiest.customers.iter().map(|(_, counts)| counts.requests).sum();
        assert_eq!(told + busiest.others.requests, CUSTOMERS_MAX as u64 + 51);
    }

    #[tokio::test(start_paused = true)]
    async fn slots_are_bounded() {
        let audience = Arc::new(Audience::default());
        let counter = Counter::new(Arc::clone(&audience));
        for _ in 0..200 {
            audience.watch();
            counter.count(Some(&id(1)), ONE);
            pass(SLOT_MS).await;
        }
        assert!(counter.lock().done.len() <= SLOTS as usize + 1);
    }
}
