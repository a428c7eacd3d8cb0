//! The keeper: the one thread that has the store. It carries the journal into it while the workers
//! write, and makes the changes that others ask for.
//!
//! Invariant: the store is written by this thread alone, from start to stop. Folds and changes take
//! turns, one transaction each, so that neither waits for more than one of the other's; also when
//! one of them fails all the time.

mod change;
mod figures;
#[cfg(test)]
mod tests;
mod thread;

use std::{
    collections::VecDeque,
    io,
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread::JoinHandle,
};

use tokio::{sync::oneshot, time::Instant};

pub use self::figures::Reading;
use crate::{
    clock::Clock,
    journal::{FoldError, Follower},
    keeper::{
        change::{Change, Work, ended},
        figures::Figures,
    },
    store::{Store, StoreError, UsageRow, records::Records},
};

/// A handle to the thread. Dropping it ends the thread between two transactions and leaves what is
/// not folded to the next start, as a crash would; [`Keeper::stop`] finishes first.
#[derive(Debug)]
pub struct Keeper {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

/// Is shown what each fold adds, in the fold's transaction.
pub trait Watch: Send {
    /// May write records that belong to the usage, such as an event for a threshold that was
    /// reached. An error undoes what it wrote and is logged, and the fold goes on. It is shown the
    /// same usage again when a commit that failed is tried again, so it keeps nothing in memory
    /// that the records do not tell. Usage comes under the id it was admitted with, which may be
    /// that of a customer who is gone.
    fn folded(
        &mut self,
        records: &mut dyn Records,
        usage: &[UsageRow<'_>],
    ) -> Result<(), StoreError>;

    /// Is told that what it wrote since the last time is committed, or undone: it may wake others for
    /// it.
    fn committed(&mut self) {}
}

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    /// Wakes the thread for an order or a change, and callers for the answer.
    changed: Condvar,
    failing: AtomicBool,
    figures: Figures,
}

#[derive(Debug, Default)]
struct State {
    /// How many folds were asked for.
    asked: u64,
    /// How many of those were answered, and how the last one went.
    answered: u64,
    outcome: Option<Arc<FoldError>>,
    order: Order,
    /// In the order in which they came; at most [`WAITING_MAX`].
    changes: VecDeque<Box<dyn Work>>,
}

#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
enum Order {
    #[default]
    Run,
    /// Make the changes that wait, fold the rest and end.
    Stop,
    /// End.
    Abandon,
    /// Given by the thread itself: it has ended.
    Ended,
}

/// How many changes may wait. Refusing is better than letting the asker wait: it may be on a
/// runtime that has others to serve.
const WAITING_MAX: usize = 1024;

impl Keeper {
    /// Starts the thread.
    pub fn start(
        follower: Follower,
        store: Box<dyn Store>,
        clock: Arc<Clock>,
        watch: Option<Box<dyn Watch>>,
    ) -> io::Result<Self> {
        let shared = Arc::new(Shared::default());
        let thread = thread::start(Arc::clone(&shared), follower, store, clock, watch)?;
        Ok(Self { shared, thread: Some(thread) })
    }

    /// Runs `work` in a transaction; changes that wait are taken together, each on its own savepoint.
    /// An error of `work` undoes what it wrote; a commit that fails is the answer to every change in
    /// it. It does not wait: when too many changes wait already, the answer is an error.
    ///
    /// `after` runs on the keeper's thread once the work is committed, in the order of the commits
    /// and before the answer: that is where memory learns of it. Neither may wait for the keeper.
    pub fn submit<T, E>(
        &self,
        work: impl FnOnce(&mut dyn Records) -> Result<T, E> + Send + 'static,
        after: impl FnOnce(&T) + Send + 'static,
    ) -> oneshot::Receiver<Result<T, E>>
    where
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
    {
        let (change, answer) = Change::new(work, after);
        self.shared.push(Box::new(change));
        answer
    }

    /// Like [`Keeper::submit`], and blocks until the answer: for a start, tools and tests. Not for a
    /// thread that runs tasks.
    pub fn call<T, E>(
        &self,
        work: impl FnOnce(&mut dyn Records) -> Result<T, E> + Send + 'static,
    ) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
    {
        let answer = self.submit(work, |_| ()).blocking_recv();
        answer.unwrap_or_else(|_| Err(ended().into()))
    }

    /// Blocks until everything that was appended before the call is in the store, or an attempt has
    /// failed. Settles that wait in a writer are not appended: flush it first.
    pub fn fold_now(&self) -> Result<(), Arc<FoldError>> {
        let mut state = self.shared.lock();
        state.asked += 1;
        let ticket = state.asked;
        self.shared.changed.notify_all();
        while state.answered < ticket {
            if state.order == Order::Ended {
                return Err(Arc::new(FoldError::Ended));
            }
            state = self.shared.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        state.outcome.clone().map_or(Ok(()), Err)
    }

    /// Tells whether the last fold succeeded.
    pub fn is_healthy(&self) -> bool {
        !self.shared.failing.load(Ordering::Relaxed)
    }

    /// Gives what the thread counts.
    pub fn figures(&self) -> Reading {
        let waiting = self.shared.lock().changes.len();
        self.shared.figures.read(waiting)
    }

    /// Makes the changes that wait, folds the rest, deletes what is folded and ends the thread. The
    /// segment of a writer that is still there is kept.
    pub fn stop(mut self) -> Result<(), Arc<FoldError>> {
        self.end(Order::Stop);
        self.shared.lock().outcome.clone().map_or(Ok(()), Err)
    }

    fn end(&mut self, order: Order) {
        let Some(thread) = self.thread.take() else { return };
        let mut state = self.shared.lock();
        if state.order == Order::Run {
            state.order = order;
        }
        drop(state);
        self.shared.changed.notify_all();
        // The last handle may go with a change, on the thread itself: that cannot wait for its own
        // end.
        if thread.thread().id() == std::thread::current().id() {
            return;
        }
        if thread.join().is_err() {
            let ended = Arc::new(FoldError::Ended);
            self.shared.lock().outcome = Some(ended);
        }
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        self.end(Order::Abandon);
    }
}

/// What the thread is to do next.
#[derive(Clone, Copy, Debug)]
struct Turn {
    asked: u64,
    order: Order,
    /// Whether someone waits for a fold.
    is_asked: bool,
    has_changes: bool,
}

impl Shared {
    /// A panic while the lock was held left plain values behind, which are still right.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets a change wait for its turn, or answers why not.
    fn push(&self, work: Box<dyn Work>) {
        let mut state = self.lock();
        let refusal = if state.order != Order::Run {
            ended()
        } else if state.changes.len() >= WAITING_MAX {
            StoreError::new("change", "too many changes wait for it; try again in a moment")
        } else {
            state.changes.push_back(work);
            drop(state);
            self.changed.notify_all();
            return;
        };
        drop(state);
        work.end(Err(refusal));
    }

    fn pop(&self) -> Option<Box<dyn Work>> {
        self.lock().changes.pop_front()
    }

    /// Waits for something to do: an order, a change, someone who asks for a fold, or its time.
    fn wait(&self, fold_at: Instant) -> Turn {
        let idle = |state: &mut State| {
            state.order == Order::Run && state.asked == state.answered && state.changes.is_empty()
        };
        let pause = fold_at.saturating_duration_since(Instant::now());
        let waited = self.changed.wait_timeout_while(self.lock(), pause, idle);
        let (state, _) = waited.unwrap_or_else(PoisonError::into_inner);
        Turn {
            asked: state.asked,
            order: state.order,
            is_asked: state.asked != state.answered,
            has_changes: !state.changes.is_empty(),
        }
    }

    fn answer(&self, asked: u64, result: Result<(), FoldError>) {
        let mut state = self.lock();
        state.answered = asked;
        state.outcome = result.err().map(Arc::new);
        drop(state);
        self.changed.notify_all();
    }

    /// Tells whoever waits that no answer will come.
    fn tell_end(&self) {
        let mut state = self.lock();
        state.order = Order::Ended;
        let left = std::mem::take(&mut state.changes);
        drop(state);
        self.failing.store(true, Ordering::Relaxed);
        self.changed.notify_all();
        left.into_iter().for_each(|work| work.end(Err(ended())));
    }
}
