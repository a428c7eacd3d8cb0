//! What workers tell about requests, on its way to the thread that writes or sends it.
//!
//! A worker collects items and hands them over in batches. When the other side falls behind, items
//! are dropped and counted rather than requests held up: nothing here waits.

use std::{
    cell::{Cell, RefCell},
    rc::Rc,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use tokio::sync::{
    Notify,
    mpsc::{Receiver, Sender, channel, error::TrySendError},
};

/// Batches that may wait for the other side.
const BATCHES_WAITING: usize = 64;

/// Items that a worker collects at most before it hands them over.
pub const BATCH_ITEMS: usize = 256;

/// The way to the other side, for any number of workers.
#[derive(Debug)]
pub struct Sink<T> {
    batches: Sender<Vec<T>>,
    dropped: Arc<AtomicU64>,
    weigh: fn(&T) -> u64,
    name: &'static str,
}

/// Makes a way to another thread. `name` is what the log says has fallen behind; `dropped` counts
/// what was dropped, each item as `weigh` says.
pub fn sink<T>(
    name: &'static str,
    dropped: Arc<AtomicU64>,
    weigh: fn(&T) -> u64,
) -> (Sink<T>, Receiver<Vec<T>>) {
    let (batches, receiver) = channel(BATCHES_WAITING);
    (Sink { batches, dropped, weigh, name }, receiver)
}

// Derived, it would ask the same of the items.
impl<T> Clone for Sink<T> {
    fn clone(&self) -> Self {
        Self {
            batches: self.batches.clone(),
            dropped: Arc::clone(&self.dropped),
            weigh: self.weigh,
            name: self.name,
        }
    }
}

/// The items that one worker has collected.
#[derive(Debug)]
pub struct Buffer<T> {
    items: RefCell<Vec<T>>,
    /// Dropped since the last batch that was taken.
    dropped: Cell<u64>,
    /// `None` means that nothing is kept.
    sink: Option<Sink<T>>,
    wake: Rc<Notify>,
}

impl<T> Buffer<T> {
    /// Makes an empty buffer; `wake` is told when there is something to hand over.
    pub fn new(sink: Option<Sink<T>>, wake: Rc<Notify>) -> Self {
        Self { items: RefCell::default(), dropped: Cell::new(0), sink, wake }
    }

    /// Takes an item. It may be called from a drop: it writes nothing and waits for nobody.
    pub fn push(&self, item: T) {
        if self.sink.is_none() {
            return;
        }
        let mut items = self.items.borrow_mut();
        items.push(item);
        let full = items.len() >= BATCH_ITEMS;
        drop(items);
        if full {
            self.flush();
        } else {
            self.wake.notify_one();
        }
    }

    /// Hands over what was collected.
    pub fn flush(&self) {
        let items = self.items.take();
        let Some(sink) = self.sink.as_ref().filter(|_| !items.is_empty()) else { return };
        match sink.batches.try_send(items) {
            Ok(()) => {
                let dropped = self.dropped.take();
                if dropped > 0 {
                    tracing::warn!(
                        to = sink.name,
                        dropped,
                        "telemetry fell behind, some was dropped"
                    );
                }
            }
            Err(TrySendError::Full(items) | TrySendError::Closed(items)) => {
                let count = items.iter().map(sink.weigh).fold(0, u64::saturating_add);
                self.dropped.set(self.dropped.get().saturating_add(count));
                sink.dropped.fetch_add(count, Ordering::Relaxed);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_nobody_takes_is_dropped_and_counted() {
        let dropped = Arc::new(AtomicU64::new(0));
        let (sink, mut receiver) = sink("test", Arc::clone(&dropped), |weight: &u64| *weight);
        let buffer = Buffer::new(Some(sink), Rc::default());
        for _ in 0..BATCHES_WAITING * BATCH_ITEMS {
            buffer.push(1);
        }
        assert_eq!(dropped.load(Ordering::Relaxed), 0);
        for _ in 0..BATCH_ITEMS {
            buffer.push(2);
        }
        assert_eq!(dropped.load(Ordering::Relaxed), 2 * BATCH_ITEMS as u64);
        assert_eq!(receiver.try_recv().unwrap().len(), BATCH_ITEMS);
        buffer.push(3);
        buffer.flush();
        assert_eq!(dropped.load(Ordering::Relaxed), 2 * BATCH_ITEMS as u64, "there is room again");
        drop(receiver);
        buffer.push(5);
        buffer.flush();
        assert_eq!(dropped.load(Ordering::Relaxed), 2 * BATCH_ITEMS as u64 + 5);
    }
}
