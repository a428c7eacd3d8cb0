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

/// The way to the other side, for any number of workers.
#[derive(Debug)]
pub struct Sink<T> {
    batches: Sender<Vec<T>>,
    full: usize,
    dropped: Arc<AtomicU64>,
    weigh: fn(&[T]) -> u64,
    name: &'static str,
}

/// Makes a way to another thread. `name` is what the log says has fallen behind; a worker hands over
/// from `full` items on; `dropped` counts what was dropped, as `weigh` says of a batch.
pub fn sink<T>(
    name: &'static str,
    full: usize,
    dropped: Arc<AtomicU64>,
    weigh: fn(&[T]) -> u64,
) -> (Sink<T>, Receiver<Vec<T>>) {
    let (batches, receiver) = channel(BATCHES_WAITING);
    (Sink { batches, full, dropped, weigh, name }, receiver)
}

// Derived, it would ask the same of the items.
impl<T> Clone for Sink<T> {
    fn clone(&self) -> Self {
        Self {
            batches: self.batches.clone(),
            full: self.full,
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
        self.fill(|items| items.push(item));
    }

    /// Takes what is put behind the others, as [`Buffer::push`] does.
    pub fn fill(&self, put: impl FnOnce(&mut Vec<T>)) {
        let Some(sink) = &self.sink else { return };
        let mut items = self.items.borrow_mut();
        let was_empty = items.is_empty();
        put(&mut items);
        let is_full = items.len() >= sink.full;
        drop(items);
        if is_full {
            self.flush();
        } else if was_empty {
            self.wake.notify_one();
        }
    }

    /// Hands over what was collected.
    pub fn flush(&self) {
        let Some(sink) = &self.sink else { return };
        let mut collected = self.items.borrow_mut();
        if collected.is_empty() {
            return;
        }
        // The next batch will have about as much.
        let next = Vec::with_capacity(collected.len());
        let items = std::mem::replace(&mut *collected, next);
        drop(collected);
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
                let count = (sink.weigh)(&items);
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
        const FULL: usize = 256;
        let dropped = Arc::new(AtomicU64::new(0));
        let weigh = |weights: &[u64]| weights.iter().sum();
        let (sink, mut receiver) = sink("test", FULL, Arc::clone(&dropped), weigh);
        let buffer = Buffer::new(Some(sink), Rc::default());
        for _ in 0..BATCHES_WAITING * FULL {
            buffer.push(1);
        }
        assert_eq!(dropped.load(Ordering::Relaxed), 0);
        for _ in 0..FULL {
            buffer.push(2);
        }
        assert_eq!(dropped.load(Ordering::Relaxed), 2 * FULL as u64);
        assert_eq!(receiver.try_recv().unwrap().len(), FULL);
        buffer.push(3);
        buffer.flush();
        assert_eq!(dropped.load(Ordering::Relaxed), 2 * FULL as u64, "there is room again");
        drop(receiver);
        buffer.push(5);
        buffer.flush();
        assert_eq!(dropped.load(Ordering::Relaxed), 2 * FULL as u64 + 5);
    }
}
