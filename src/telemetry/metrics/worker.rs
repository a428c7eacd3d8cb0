//! What one worker counts beside its requests: its connections, its books, its log.

use std::sync::Arc;

use crate::{
    journal,
    telemetry::{
        figures::{Count, Level},
        metrics::{
            busy::{Audience, Counter},
            handshakes::Handshakes,
            requests::Roll,
        },
    },
};

/// What a worker counts, as others read it.
#[derive(Debug, Default)]
pub struct Worker {
    /// Its requests.
    pub requests: Arc<Roll>,
    /// Its client connections.
    pub connections: Arc<Connections>,
    /// Its books.
    pub books: Arc<Books>,
    /// Its busiest customers.
    pub busy: Arc<Counter>,
}

impl Worker {
    /// Makes those of a worker with this journal.
    pub fn new(journal: Arc<journal::Figures>, audience: Arc<Audience>) -> Self {
        let books = Arc::new(Books { open: Level::default(), journal });
        let busy = Arc::new(Counter::new(audience));
        Self { books, busy, ..Self::default() }
    }
}

/// The client connections of a worker.
#[derive(Debug, Default)]
pub struct Connections {
    /// Taken so far.
    pub accepted: Count,
    /// Those that wait for a head, or read one.
    pub head: Level,
    /// Those between two requests.
    pub idle: Level,
    /// Those that serve one.
    pub request: Level,
    /// Heads that could not be parsed: answered without a body and closed.
    pub unparsable: Count,
    /// Their TLS handshakes.
    pub handshakes: Handshakes,
}

impl Connections {
    /// Gives how many are open.
    pub fn open(&self) -> i64 {
        self.head.get() + self.idle.get() + self.request.get()
    }
}

/// The books of a worker.
#[derive(Debug, Default)]
pub struct Books {
    /// Reservations that are not settled yet.
    pub open: Level,
    /// What its journal wrote.
    pub journal: Arc<journal::Figures>,
}
