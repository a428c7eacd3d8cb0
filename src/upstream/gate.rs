//! How many connections an endpoint has from this process, and who waits for one.
//!
//! Workers share no connections, so they count them in one place. A connection holds its permit as long as
//! it is open, also while no request uses it: to an upstream that serves one connection per process it
//! is one all the same. So that no worker keeps to itself what another waits for, one that has nothing
//! to do is closed when somebody waits (`pool.rs`).
//!
//! Race: a worker lays a connection aside while another begins to wait. The first counts it as idle and
//! then looks for who waits, the second counts itself and then looks for what is idle, all in one order
//! (`SeqCst`): so at least one of them sees the other.

use std::{
    collections::VecDeque,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
};

use tokio::sync::oneshot;

use crate::model::Limit;

/// The connections of one endpoint.
#[derive(Debug, Default)]
pub struct Gate {
    inner: Mutex<Inner>,
    waiting: AtomicUsize,
    idle: AtomicUsize,
}

#[derive(Debug, Default)]
struct Inner {
    /// How many may be open, as it was said last.
    most: usize,
    open: usize,
    /// In the order in which they came. Those who left are found when it is their turn.
    queue: VecDeque<oneshot::Sender<Permit>>,
}

/// Leave to have a connection, which ends with it.
#[derive(Debug)]
pub struct Permit(Arc<Gate>);

/// A place in the queue, which ends with it.
#[derive(Debug)]
pub(super) struct Place {
    gate: Arc<Gate>,
    turn: oneshot::Receiver<Permit>,
    is_over: bool,
}

/// What becomes of a request for a connection.
#[derive(Debug)]
pub(super) enum Entry {
    /// It may be opened.
    Permit(Permit),
    /// There are as many as there may be.
    Wait(Place),
    /// And as many wait.
    Full,
}

impl Gate {
    /// Asks for a connection.
    pub(super) fn enter(self: &Arc<Self>, limit: &Limit) -> Entry {
        let mut inner = self.lock();
        inner.most = limit.connections;
        if inner.open < inner.most && self.waiting() == 0 {
            inner.open += 1;
            return Entry::Permit(Permit(Arc::clone(self)));
        }
        if self.waiting() >= limit.queue_length {
            return Entry::Full;
        }
        if inner.queue.len() > limit.queue_length {
            inner.queue.retain(|turn| !turn.is_closed());
        }
        let (given, turn) = oneshot::channel();
        inner.queue.push_back(given);
        self.waiting.fetch_add(1, Ordering::SeqCst);
        drop(inner);
        // Where the limit was raised, or the last one left while nobody waited, there is room already.
        self.let_in();
        Entry::Wait(Place { gate: Arc::clone(self), turn, is_over: false })
    }

    /// Gives how many wait, of all workers.
    pub fn waiting(&self) -> usize {
        self.waiting.load(Ordering::SeqCst)
    }

    /// Gives how many connections no request uses, of all workers.
    pub(super) fn idle(&self) -> usize {
        self.idle.load(Ordering::SeqCst)
    }

    /// Lets in who waits, as long as there is room.
    fn let_in(self: &Arc<Self>) {
        let mut inner = self.lock();
        while inner.open < inner.most
            && let Some(turn) = inner.queue.pop_front()
        {
            // Places are given up under this lock, so that none is between the look and the gift.
            if turn.is_closed() {
                continue;
            }
            inner.open += 1;
            self.waiting.fetch_sub(1, Ordering::SeqCst);
            let unsent = turn.send(Permit(Arc::clone(self))).err();
            debug_assert!(unsent.is_none(), "a place that was given up looked taken");
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Permit {
    /// Gives whose it is.
    pub(super) fn gate(&self) -> &Arc<Gate> {
        &self.0
    }

    /// Notes whether its connection has nothing to do.
    pub(super) fn set_idle(&self, is_idle: bool) {
        if is_idle {
            self.0.idle.fetch_add(1, Ordering::SeqCst);
        } else {
            self.0.idle.fetch_sub(1, Ordering::SeqCst);
        }
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let mut inner = self.0.lock();
        inner.open = inner.open.saturating_sub(1);
        drop(inner);
        self.0.let_in();
    }
}

impl Place {
    /// Waits for its turn.
    pub(super) async fn turn(&mut self) -> Option<Permit> {
        let permit = (&mut self.turn).await.ok();
        self.is_over |= permit.is_some();
        permit
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if self.is_over {
            return;
        }
        let inner = self.gate.lock();
        self.turn.close();
        let given = self.turn.try_recv();
        if given.is_err() {
            self.gate.waiting.fetch_sub(1, Ordering::SeqCst);
        }
        drop(inner);
        // What it was given this moment goes to the next one, by way of the lock.
        drop(given);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn limit(connections: usize, queue_length: usize) -> Limit {
        Limit { connections, queue_length, queue_timeout: Duration::from_secs(1) }
    }

    fn permit(gate: &Arc<Gate>, limit: &Limit) -> Permit {
        match gate.enter(limit) {
            Entry::Permit(permit) => permit,
            other => panic!("{other:?}"),
        }
    }

    fn place(gate: &Arc<Gate>, limit: &Limit) -> Place {
        match gate.enter(limit) {
            Entry::Wait(place) => place,
            other => panic!("{other:?}"),
        }
    }

    #[tokio::test]
    async fn who_waits_is_let_in_in_order() {
        let (gate, limit) = (Arc::default(), limit(2, 3));
        let (first, second) = (permit(&gate, &limit), permit(&gate, &limit));
        let (mut one, gone, mut two) =
            (place(&gate, &limit), place(&gate, &limit), place(&gate, &limit));
        assert!(matches!(gate.enter(&limit), Entry::Full));
        drop(gone);
        assert_eq!(gate.waiting(), 2);
        drop(first);
        let first = one.turn().await.unwrap();
        drop(one);
        // Nobody overtakes who waits.
        drop(second);
        let mut three = place(&gate, &limit);
        let second = two.turn().await.unwrap();
        drop((two, first));
        let third = three.turn().await.unwrap();
        drop((three, second, third));
        assert_eq!((gate.waiting(), gate.lock().open), (0, 0));
    }

    #[tokio::test]
    async fn permit_of_who_has_left_goes_on() {
        let (gate, limit) = (Arc::default(), limit(1, 200));
        let first = permit(&gate, &limit);
        let given = place(&gate, &limit);
        drop(first);
        let mut next = place(&gate, &limit);
        // It was its turn, and it left without taking it.
        drop(given);
        let permit = next.turn().await.unwrap();
        // Many who leave at once are passed over.
        let places: Vec<_> = (0..199).map(|_| place(&gate, &limit)).collect();
        let mut last = place(&gate, &limit);
        drop((next, places));
        drop(permit);
        last.turn().await.unwrap();
    }

    #[tokio::test]
    async fn limit_that_is_raised_lets_in() {
        let gate = Arc::default();
        let first = permit(&gate, &limit(1, 9));
        let mut one = place(&gate, &limit(1, 9));
        let mut two = place(&gate, &limit(3, 9));
        let both = (one.turn().await.unwrap(), two.turn().await.unwrap());
        drop((one, two));
        assert!(
            matches!(gate.enter(&limit(2, 0)), Entry::Full),
            "and one that is lowered keeps out"
        );
        drop((first, both));
        assert_eq!(gate.lock().open, 0);
    }
}
