//! What the keeper counts for monitoring.

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

use crate::telemetry::figures::{Count, DISK, Distribution, Times};

/// What the keeper's thread did since the start.
#[derive(Debug)]
pub(super) struct Figures {
    folds: Times,
    changes: Times,
    folded_bytes: Count,
    fold_failures: Count,
    change_failures: Count,
    /// When everything that the workers had written was last in the store.
    folded_at: Mutex<Instant>,
}

/// The same at one moment.
#[derive(Clone, Debug, Default)]
pub struct Reading {
    /// The commits of folds.
    pub folds: Distribution,
    /// The commits of changes.
    pub changes: Distribution,
    /// Bytes of journal that reached the store.
    pub folded_bytes: u64,
    /// Folds that failed.
    pub fold_failures: u64,
    /// Commits of changes that failed.
    pub change_failures: u64,
    /// How long ago everything that the workers had written was last in the store.
    pub since_fold: Duration,
    /// Changes that wait for their turn.
    pub waiting: usize,
}

impl Default for Figures {
    fn default() -> Self {
        Self {
            folds: Times::new(DISK),
            changes: Times::new(DISK),
            folded_bytes: Count::default(),
            fold_failures: Count::default(),
            change_failures: Count::default(),
            folded_at: Mutex::new(Instant::now()),
        }
    }
}

impl Figures {
    pub(super) fn committed_fold(&self, bytes: u64, took: Duration) {
        self.folds.take(took);
        self.folded_bytes.add(bytes);
    }

    pub(super) fn committed_changes(&self, took: Duration) {
        self.changes.take(took);
    }

    pub(super) fn failed_changes(&self) {
        self.change_failures.add(1);
    }

    pub(super) fn folded(&self, is_done: bool) {
        if is_done {
            *self.folded_at.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
        } else {
            self.fold_failures.add(1);
        }
    }

    pub(super) fn read(&self, waiting: usize) -> Reading {
        let Self { folds, changes, folded_bytes, fold_failures, change_failures, folded_at } = self;
        let mut reading = Reading {
            folded_bytes: folded_bytes.get(),
            fold_failures: fold_failures.get(),
            change_failures: change_failures.get(),
            since_fold: folded_at.lock().unwrap_or_else(PoisonError::into_inner).elapsed(),
            waiting,
            ..Reading::default()
        };
        folds.add_to(&mut reading.folds);
        changes.add_to(&mut reading.changes);
        reading
    }
}
