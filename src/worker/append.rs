//! An append to the journal that the requests share which are ready together.

use std::{
    cell::{Cell, RefCell},
    future::poll_fn,
    task::{Poll, Waker},
};

/// An append that requests wait for.
#[derive(Debug, Default)]
pub struct Append {
    outcome: Cell<Option<Outcome>>,
    waiting: RefCell<Vec<Waker>>,
}

/// How an append ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Outcome {
    /// It is in the journal, to the durability that is asked for.
    Written,
    /// Nothing of it is.
    Lost,
    /// It failed, or nobody knows, and records of it may be there for the next start.
    Torn,
}

impl Append {
    /// Waits for its end.
    pub async fn ended(&self) -> Outcome {
        poll_fn(|context| {
            if let Some(outcome) = self.outcome.get() {
                return Poll::Ready(outcome);
            }
            let mut waiting = self.waiting.borrow_mut();
            // A request that is polled meanwhile for another reason asks again.
            if !waiting.iter().any(|waker| waker.will_wake(context.waker())) {
                waiting.push(context.waker().clone());
            }
            Poll::Pending
        })
        .await
    }

    /// Tells everybody how it ended.
    pub(super) fn end(&self, outcome: Outcome) {
        self.outcome.set(Some(outcome));
        self.waiting.take().into_iter().for_each(Waker::wake);
    }
}
