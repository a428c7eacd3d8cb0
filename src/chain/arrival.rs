//! The instant at which a request came.

use jiff::Timestamp;
use tokio::time::Instant;
use uuid::Uuid;

use crate::worker::Worker;

/// When a request came, and the id that it has from then on.
#[derive(Clone, Copy, Debug)]
pub struct Arrival {
    /// Its id.
    pub request_id: Uuid,
    /// The decision time: read once, so that all checks agree.
    pub(super) now: Timestamp,
    /// The same on the clock that times are taken with.
    pub(super) started: Instant,
}

impl Arrival {
    /// Stands for a request whose head has just come.
    pub fn now(worker: &Worker) -> Self {
        let now = worker.gateway().clock().now();
        Self { request_id: worker.request_id(now), now, started: Instant::now() }
    }
}
