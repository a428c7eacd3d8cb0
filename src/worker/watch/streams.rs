//! The clocks where a connection carries streams: each stream has its own, as a request on HTTP/1.1 has its
//! connection's, and those of the connection run while it carries none.

use std::cell::{Cell, RefCell};

use tokio::time::Instant;

use super::{Looks, Phase, Signals, Watch};
use crate::{config::ServerLimits, worker::pace::Pace};

/// What a connection is at that carries streams.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Carries {
    /// A head, of which the rest is awaited: nothing else can come meanwhile.
    Head,
    /// Nothing.
    Nothing,
    /// Streams, which are watched by themselves.
    Streams,
}

impl Watch {
    /// Starts the clocks of a stream whose head has come. It is no connection, and counts as none.
    pub fn of_stream(limits: &ServerLimits, signals: Signals) -> Self {
        Self {
            phase: Cell::new(Phase::Head),
            since: Cell::new(Instant::now()),
            has_moved: Cell::new(false),
            header_timeout: limits.header_timeout,
            idle_timeout: limits.idle_timeout,
            minimum_rate: limits.minimum_rate,
            pace: Cell::new(Pace::new(None)),
            bytes: Cell::new(0),
            is_waited_for: Cell::new(false),
            is_answering: Cell::new(false),
            has_read: Cell::new(true),
            has_asked: Cell::new(false),
            has_given_up: Cell::new(false),
            signals: Cell::new(signals),
            request: RefCell::new(None),
            unread: Cell::new(false),
            looks: Cell::new(Looks::No),
            armed: Cell::new(false),
            figures: None,
        }
    }

    /// Leaves the timer that was used until now for another.
    pub fn change_timer(&self) {
        self.armed.set(false);
    }

    /// Notes what the connection is at from now on.
    pub fn carry(&self, what: Carries) {
        let phase = match what {
            Carries::Head => Phase::Head,
            Carries::Nothing => Phase::Idle,
            Carries::Streams => Phase::Request,
        };
        if self.phase.get() != phase {
            self.enter(phase);
            self.moved();
        }
        self.has_read.set(true);
        self.has_asked.set(self.has_asked.get() || what == Carries::Streams);
    }

    /// Notes that the client takes no more, so that nothing more is offered to it.
    pub fn give_up(&self) {
        self.has_given_up.set(true);
    }
}
