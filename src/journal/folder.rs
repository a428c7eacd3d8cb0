//! The thread that carries the journal into the store while the workers write it.
//!
//! Invariant: the store is touched by this thread alone, from start to stop.

use std::{
    io,
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use crate::{
    journal::follower::{FoldError, Follower},
    store::Store,
};

/// A handle to the thread. Dropping it ends the thread between two transactions and leaves what is
/// not folded to the next start, as a crash would; [`Folder::stop`] folds the rest first.
#[derive(Debug)]
pub struct Folder {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    /// Wakes the thread for an order, and callers for the answer.
    changed: Condvar,
    failing: AtomicBool,
}

#[derive(Debug, Default)]
struct State {
    /// How many folds were asked for.
    asked: u64,
    /// How many of those were answered, and how the last one went.
    answered: u64,
    outcome: Option<Arc<FoldError>>,
    order: Order,
}

#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
enum Order {
    #[default]
    Run,
    /// Fold the rest and end.
    Stop,
    /// End.
    Abandon,
    /// Given by the thread itself: it has ended.
    Ended,
}

/// How often the thread looks for something new.
const PERIOD: Duration = Duration::from_millis(250);

/// The longest pause after failures.
const PAUSE_MAX: Duration = Duration::from_secs(5);

impl Folder {
    pub(super) fn start(follower: Follower, store: Box<dyn Store>) -> io::Result<Self> {
        let shared = Arc::new(Shared::default());
        let thread = thread::Builder::new().name("faregate-fold".into()).spawn({
            let shared = shared.clone();
            move || run(&shared, follower, store)
        })?;
        Ok(Self { shared, thread: Some(thread) })
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

    /// Folds the rest, deletes what is folded and ends the thread. The segment of a writer that is
    /// still there is kept.
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
        if thread.join().is_err() {
            let ended = Arc::new(FoldError::Ended);
            self.shared.lock().outcome = Some(ended);
        }
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        self.end(Order::Abandon);
    }
}

impl Shared {
    /// A panic while the lock was held left plain numbers behind, which are still right.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for the next fold: an order, someone who asks, or the pause is over.
    fn wait(&self, pause: Duration) -> (u64, Order) {
        let idle = |state: &mut State| state.order == Order::Run && state.asked == state.answered;
        let waited = self.changed.wait_timeout_while(self.lock(), pause, idle);
        let (state, _) = waited.unwrap_or_else(PoisonError::into_inner);
        (state.asked, state.order)
    }

    fn answer(&self, asked: u64, result: Result<(), FoldError>) {
        let mut state = self.lock();
        state.answered = asked;
        state.outcome = result.err().map(Arc::new);
        drop(state);
        self.changed.notify_all();
    }
}

/// Tells whoever waits that no answer will come, also when the thread panics.
struct TellEnd<'a>(&'a Shared);

impl Drop for TellEnd<'_> {
    fn drop(&mut self) {
        self.0.lock().order = Order::Ended;
        self.0.failing.store(true, Ordering::Relaxed);
        self.0.changed.notify_all();
    }
}

fn run(shared: &Shared, mut follower: Follower, mut store: Box<dyn Store>) {
    let _tell_end = TellEnd(shared);
    let mut pause = PERIOD;
    loop {
        let (asked, order) = shared.wait(pause);
        if order == Order::Abandon {
            return;
        }
        let result = follower.fold(&mut *store);
        pause = match &result {
            Ok(()) => PERIOD,
            Err(_) => (pause * 2).min(PAUSE_MAX),
        };
        report(shared, &result);
        if order == Order::Stop && result.is_ok() {
            follower.delete_all();
        }
        shared.answer(asked, result);
        if order == Order::Stop {
            return;
        }
    }
}

/// Logs when it begins to fail and when it is over, not each attempt.
fn report(shared: &Shared, result: &Result<(), FoldError>) {
    let failing = result.is_err();
    let was_failing = shared.failing.swap(failing, Ordering::Relaxed);
    match result {
        Err(error) if !was_failing => {
            let cause = std::error::Error::source(error).map(ToString::to_string);
            tracing::error!(%error, cause, "cannot fold the journal; will try again");
        }
        Ok(()) if was_failing => tracing::info!("the journal is folded again"),
        _ => {}
    }
}
