//! What a writer counts for monitoring.

use crate::telemetry::figures::Count;

/// What one writer has written since the start.
#[derive(Debug, Default)]
pub struct Figures {
    /// Appends, each one write.
    pub appends: Count,
    /// Bytes in them.
    pub bytes: Count,
    /// Appends that failed.
    pub failures: Count,
    /// Segments opened.
    pub segments: Count,
}
