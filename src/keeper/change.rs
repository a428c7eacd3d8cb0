//! A change that somebody asks for: done on the store's thread, answered once it is committed.

use std::{
    fmt,
    panic::{self, AssertUnwindSafe},
};

use tokio::sync::oneshot;

use crate::store::{StoreError, Verdict, records::Records};

/// A change without the types of its answer, so that different ones can wait in one queue.
pub(super) trait Work: Send {
    /// Does it, without an answer yet: the transaction is not committed.
    fn run(&mut self, records: &mut dyn Records) -> Verdict;

    /// Answers it, now that its transaction is committed or is not.
    fn end(self: Box<Self>, committed: Result<(), StoreError>);
}

impl fmt::Debug for dyn Work {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Work")
    }
}

/// One change and whoever waits for it.
pub(super) struct Change<T, E: From<StoreError>, W, A> {
    work: Option<W>,
    after: A,
    outcome: Option<Result<T, E>>,
    reply: Reply<T, E>,
}

/// Where the answer goes. Dropped without one, as when the thread ends, it says so: nobody waits
/// for what will not come.
struct Reply<T, E: From<StoreError>>(Option<oneshot::Sender<Result<T, E>>>);

impl<T, E, W, A> Change<T, E, W, A>
where
    E: From<StoreError>,
    W: FnOnce(&mut dyn Records) -> Result<T, E>,
    A: FnOnce(&T),
{
    /// Joins what is to be done, what memory is told afterwards, and the answer's receiver.
    pub(super) fn new(work: W, after: A) -> (Self, oneshot::Receiver<Result<T, E>>) {
        let (sender, receiver) = oneshot::channel();
        let reply = Reply(Some(sender));
        (Self { work: Some(work), after, outcome: None, reply }, receiver)
    }
}

impl<T, E, W, A> Work for Change<T, E, W, A>
where
    T: Send,
    E: From<StoreError> + Send,
    W: FnOnce(&mut dyn Records) -> Result<T, E> + Send,
    A: FnOnce(&T) + Send,
{
    fn run(&mut self, records: &mut dyn Records) -> Verdict {
        let Some(work) = self.work.take() else { return Verdict::Undo };
        // What it wrote is undone, and it has nothing else of ours in its hands.
        let caught = panic::catch_unwind(AssertUnwindSafe(|| work(records)));
        let outcome = caught.unwrap_or_else(|_| {
            tracing::error!("a change of the store panicked and is undone");
            Err(StoreError::new("change", "the change panicked; nothing of it is kept").into())
        });
        let verdict = if outcome.is_ok() { Verdict::Keep } else { Verdict::Undo };
        self.outcome = Some(outcome);
        verdict
    }

    fn end(self: Box<Self>, committed: Result<(), StoreError>) {
        let Self { work: _, after, outcome, reply } = *self;
        let answer = match (committed, outcome) {
            // Also for a work that refused: what it saw of the others in its transaction is not so.
            (Err(error), _) => Err(error.into()),
            (Ok(()), Some(Ok(value))) => told(after, value),
            (Ok(()), Some(Err(error))) => Err(error),
            (Ok(()), None) => return,
        };
        reply.send(answer);
    }
}

impl<T, E: From<StoreError>> Reply<T, E> {
    fn send(mut self, answer: Result<T, E>) {
        if let Some(sender) = self.0.take() {
            // Whoever asked may have left; the change is made all the same.
            let _ = sender.send(answer);
        }
    }
}

impl<T, E: From<StoreError>> Drop for Reply<T, E> {
    fn drop(&mut self) {
        if let Some(sender) = self.0.take() {
            let _ = sender.send(Err(ended().into()));
        }
    }
}

/// Lets memory learn of a change. A panic there leaves it written but not in force, which must not
/// be answered as if all were well.
fn told<T, E: From<StoreError>>(after: impl FnOnce(&T), value: T) -> Result<T, E> {
    match panic::catch_unwind(AssertUnwindSafe(|| after(&value))) {
        Ok(()) => Ok(value),
        Err(_) => {
            tracing::error!("a change is in the store and not in force until the next start");
            let cause = "it is written and comes into force with the next start";
            Err(StoreError::new("bring the change into force from", cause).into())
        }
    }
}

/// The answer to what comes too late.
pub(super) fn ended() -> StoreError {
    StoreError::new("change", "the thread that has it has ended")
}
