//! What the gateway tells of its own accord: thresholds of quotas and their renewal, and ends that
//! come near or have come; as events in the outbox, for the operator and for customers with a webhook
//! of their own.
//!
//! Invariant: an event is written in the transaction of what it tells, or of the mark that keeps it
//! from being told twice. So a crash loses none and repeats none. Where nobody listens nothing is
//! computed and nothing kept.

mod change;
mod ends;
mod measure;
mod outbox;
mod sweep;
mod tasks;
mod tell;
mod threshold;
mod watch;

#[cfg(test)]
mod tests;

use std::{
    collections::HashSet,
    sync::{
        Arc, PoisonError, RwLock,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use tokio::sync::Notify;

pub(crate) use self::change::tell_change;
use self::{outbox::KeptOutbox, sweep::Sweep};
pub use self::{tasks::Tasks, tell::Teller, watch::UsageWatch};

/// How many events may wait to be delivered. Beyond, new ones are dropped: a receiver that is away for
/// days must not fill the disk.
pub const PENDING_MAX: u64 = 1_000_000;

/// What the parts share. It belongs to the gateway and outlives every reload.
#[derive(Debug)]
pub struct Notifications {
    /// Wakes the sender.
    wake: Arc<Notify>,
    /// Customers whose own webhook is on. The store says so too; this saves asking it for everybody.
    own: RwLock<HashSet<String>>,
    /// How many more events may be kept, as of the last count.
    room: AtomicU64,
    /// Whether it was logged that there is no room, so that it is once.
    is_full: AtomicBool,
}

impl Default for Notifications {
    fn default() -> Self {
        Self {
            wake: Arc::default(),
            own: RwLock::default(),
            room: AtomicU64::new(PENDING_MAX),
            is_full: AtomicBool::new(false),
        }
    }
}

impl Notifications {
    /// Notes whether a customer's own webhook is on.
    pub fn set_own(&self, customer: &str, is_on: bool) {
        let mut own = self.own.write().unwrap_or_else(PoisonError::into_inner);
        if is_on {
            own.insert(customer.to_owned());
        } else {
            own.remove(customer);
        }
    }

    /// Lets the sender look at the outbox: something new is committed.
    pub fn wake(&self) {
        self.wake.notify_one();
    }

    /// Gives what wakes the sender.
    pub fn waker(&self) -> Arc<Notify> {
        Arc::clone(&self.wake)
    }

    fn has_own(&self, customer: &str) -> bool {
        self.own.read().unwrap_or_else(PoisonError::into_inner).contains(customer)
    }

    fn has_any_own(&self) -> bool {
        !self.own.read().unwrap_or_else(PoisonError::into_inner).is_empty()
    }

    /// Notes how many events wait.
    fn count(&self, pending: u64) {
        let room = PENDING_MAX.saturating_sub(pending);
        self.room.store(room, Ordering::Relaxed);
        if room > 0 && self.is_full.swap(false, Ordering::Relaxed) {
            tracing::info!(pending, "events are kept again");
        }
    }

    /// Gives how many events wait, as of the last count.
    pub fn pending(&self) -> u64 {
        PENDING_MAX.saturating_sub(self.room.load(Ordering::Relaxed))
    }

    /// Takes a place for an event. Only the store's thread does so, one event after the other. What is
    /// undone keeps its place until the next count.
    fn take_place(&self) -> bool {
        let room = self.room.load(Ordering::Relaxed);
        if room == 0 {
            if !self.is_full.swap(true, Ordering::Relaxed) {
                let pending = PENDING_MAX;
                tracing::error!(pending, "too many events wait; new ones are dropped");
            }
            return false;
        }
        self.room.store(room - 1, Ordering::Relaxed);
        true
    }
}
