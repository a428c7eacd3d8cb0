//! What a writer counts for monitoring.

use std::sync::atomic::{AtomicBool, Ordering};

use crate::telemetry::figures::{Count, DISK, Times};

/// What one writer has written since the start.
#[derive(Debug)]
pub struct Figures {
    /// Appends, each one write.
    pub appends: Count,
    /// Bytes in them.
    pub bytes: Count,
    /// Appends that failed.
    pub failures: Count,
    /// Segments opened.
    pub segments: Count,
    /// Syncs to the disk, those that failed among them.
    pub syncs: Times,
    /// Syncs that failed.
    pub sync_failures: Count,
    /// The last append could not be made.
    pub cannot_append: AtomicBool,
    /// The last sync failed.
    pub cannot_sync: AtomicBool,
}

impl Figures {
    /// Tells whether nothing is taken at present, because it would not be on record.
    pub fn is_failing(&self) -> bool {
        // Relaxed: each is a fact of its own, and old by the time that anybody is told.
        self.cannot_append.load(Ordering::Relaxed) || self.cannot_sync.load(Ordering::Relaxed)
    }
}

impl Default for Figures {
    fn default() -> Self {
        Self {
            appends: Count::default(),
            bytes: Count::default(),
            failures: Count::default(),
            segments: Count::default(),
            syncs: Times::new(DISK),
            sync_failures: Count::default(),
            cannot_append: AtomicBool::default(),
            cannot_sync: AtomicBool::default(),
        }
    }
}
