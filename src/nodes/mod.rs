//! Who shares the store with this process: it says each second that it is there, and learns who else is, what they
//! change, and whether it is the one that does what is done once for all.
//!
//! Invariant: what cannot be learnt changes nothing. While the store is away everything goes on by what was known
//! last.

mod changes;
mod lead;
mod portion;
mod thread;
mod writing;

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU8, Ordering},
    },
    thread::JoinHandle,
};

use tokio::sync::Notify;

pub use self::{
    lead::Lead,
    writing::{Turn, Writing},
};
use crate::{
    gateway::Gateway,
    store::{Head, NodeId, Peer},
};

/// What a process is among those that share the store.
#[derive(Debug)]
pub struct Membership {
    /// The owner of the journal directory.
    pub node: NodeId,
    /// The number of the process: higher than that of every earlier one of the node.
    pub run: u64,
    /// Whether it is still the node's last process, as far as is known.
    is_heard: AtomicBool,
    lead: Lead,
}

impl Membership {
    /// Makes that of a process which the store has just counted.
    pub fn new(node: NodeId, run: u64, lead: Lead) -> Self {
        Self { node, run, is_heard: true.into(), lead }
    }

    /// Gives the right to do what is done once for all.
    pub fn lead(&self) -> &Lead {
        &self.lead
    }

    /// Tells whether the others listen to this process: it was not forgotten, and no other process has its
    /// journal's identifier.
    pub fn is_heard(&self) -> bool {
        self.is_heard.load(Ordering::Relaxed)
    }
}

/// A handle to the thread. Dropping it ends the thread as a crash would: the others learn of it when they have not
/// seen it for a while.
#[derive(Debug)]
pub struct Nodes {
    order: Arc<AtomicU8>,
    waker: Arc<Notify>,
    thread: Option<JoinHandle<()>>,
}

/// What the thread is to do, as a number in an atomic.
const RUN: u8 = 0;
const STOP: u8 = 1;
const ABANDON: u8 = 2;

impl Nodes {
    /// Starts the thread. All changes up to the head are in memory.
    pub fn start(
        peer: Peer,
        membership: Arc<Membership>,
        gateway: Arc<Gateway>,
        head: Head,
    ) -> io::Result<Self> {
        let (order, waker) = (Arc::new(AtomicU8::new(RUN)), peer.waker());
        let thread = thread::start(peer, membership, gateway, head, Arc::clone(&order))?;
        Ok(Self { order, waker, thread: Some(thread) })
    }

    /// Says that the process has stopped, and ends the thread. Everything must be in the store by then.
    pub fn stop(mut self) {
        self.end(STOP);
    }

    fn end(&mut self, order: u8) {
        let Some(thread) = self.thread.take() else { return };
        self.order.store(order, Ordering::Release);
        self.waker.notify_one();
        if thread.join().is_err() {
            tracing::error!("the thread that knows the other nodes ended by a panic");
        }
    }
}

impl Drop for Nodes {
    fn drop(&mut self) {
        self.end(ABANDON);
    }
}
