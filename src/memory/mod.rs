//! The ceiling of memory: before the system ends the process, new work is turned away.
//!
//! Order of what is given up: first connections that nobody uses, and new ones, which wait in the listen
//! queue; then requests of callers without a key, and heads that dawdle, the first of a connection at once;
//! then, if that does not help, all other requests.
//! What is in flight goes on, and the admin listener, where health is asked, is never touched.
//!
//! Choice: it is told by looking at the process from outside, some times a second, not by counting what is
//! allocated: that would cost every request, and leave out what the system holds for its sockets.

mod group;
mod judge;
mod meter;

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::{sync::watch, time::Instant};

use self::{
    judge::{Judge, Situation},
    meter::Meter,
};
use crate::gateway::Gateway;

/// How often to look while there is room.
const LOOK: Duration = Duration::from_millis(50);

/// How often when half of it is in use, and when three quarters are: a flood of connections and heads was seen
/// to fill a megabyte in a millisecond.
const LOOK_OFTEN: Duration = Duration::from_millis(20);
const LOOK_ALWAYS: Duration = Duration::from_millis(5);

/// How short memory is, and with that what is given up.
#[derive(Clone, Copy, Debug, Default, Eq, Ord, PartialEq, PartialOrd)]
pub enum Pressure {
    /// It suffices.
    #[default]
    None,
    /// Unused connections are closed, new ones wait.
    Connections,
    /// Requests of callers without a key are refused too.
    Keyless,
    /// All requests are refused.
    All,
}

/// What is known of the memory, as all threads see it.
#[derive(Debug)]
pub struct Memory {
    told: watch::Sender<Pressure>,
    /// What was seen last; nothing is published by them, so relaxed order will do.
    used: AtomicU64,
    ceiling: AtomicU64,
    #[cfg(debug_assertions)]
    pretended: AtomicU64,
}

impl Default for Memory {
    fn default() -> Self {
        let told = watch::Sender::new(Pressure::None);
        Self {
            told,
            used: AtomicU64::new(0),
            ceiling: AtomicU64::new(0),
            #[cfg(debug_assertions)]
            pretended: AtomicU64::new(0),
        }
    }
}

impl Memory {
    /// Gives what tells how short memory is.
    pub fn pressure(&self) -> watch::Receiver<Pressure> {
        self.told.subscribe()
    }

    /// Tells whether it is short at all.
    pub fn is_short(&self) -> bool {
        *self.told.borrow() != Pressure::None
    }

    /// Gives the bytes that are compared with the ceiling; 0 where nothing is.
    pub fn used(&self) -> u64 {
        self.used.load(Ordering::Relaxed)
    }

    /// Gives the bytes above which work is turned away; 0 without a ceiling.
    pub fn ceiling(&self) -> u64 {
        self.ceiling.load(Ordering::Relaxed)
    }

    /// Lets a test have it that so much is in use; 0 ends that. What a process really takes no test can set
    /// to the byte.
    #[cfg(debug_assertions)]
    pub fn pretend(&self, used: u64) {
        self.pretended.store(used, Ordering::Relaxed);
    }

    /// Gives what is in use, or what a test has of it.
    fn used_or_pretended(&self, used: u64) -> u64 {
        #[cfg(debug_assertions)]
        if let pretended @ 1.. = self.pretended.load(Ordering::Relaxed) {
            return pretended;
        }
        used
    }

    /// Gives how short it is, as a number for people.
    pub fn degree(&self) -> u8 {
        match *self.told.borrow() {
            Pressure::None => 0,
            Pressure::Connections => 1,
            Pressure::Keyless => 2,
            Pressure::All => 3,
        }
    }

    /// Tells how short memory is.
    fn tell(&self, pressure: Pressure, used: u64, ceiling: u64) {
        self.used.store(used, Ordering::Relaxed);
        self.ceiling.store(ceiling, Ordering::Relaxed);
        let before = *self.told.borrow();
        if before == pressure {
            return;
        }
        match (before, pressure) {
            (Pressure::None, _) => {
                tracing::warn!(used, ceiling, "memory is short, work is turned away");
            }
            (_, Pressure::None) => tracing::info!(used, ceiling, "memory suffices again"),
            _ => tracing::debug!(used, ?pressure, "memory is short, another part of work is meant"),
        }
        self.told.send_replace(pressure);
    }
}

/// Looks at the memory again and again. It never ends by itself.
pub async fn watch(gateway: Arc<Gateway>) {
    let (mut meter, mut judge) = (Meter::open(), Judge::default());
    loop {
        let limit = gateway.look(|snapshot| snapshot.server.limits.memory);
        let reading = meter.read(limit);
        let pause = match reading {
            None => {
                gateway.memory().tell(Pressure::None, 0, 0);
                LOOK
            }
            Some(reading) => {
                let used = gateway.memory().used_or_pretended(reading.used);
                let situation = Situation {
                    used,
                    ceiling: reading.ceiling,
                    connections: gateway.metrics().open_connections(),
                };
                let pressure = judge.judge(situation, Instant::now());
                gateway.memory().tell(pressure, used, judge.ceiling(reading.ceiling));
                match reading.ceiling / 4 {
                    quarter if used >= quarter * 3 => LOOK_ALWAYS,
                    quarter if used >= quarter * 2 => LOOK_OFTEN,
                    _ => LOOK,
                }
            }
        };
        tokio::time::sleep(pause).await;
    }
}
