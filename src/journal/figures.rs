//! What a writer counts for monitoring.

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
        }
    }
}
