//! Carries what accounts say to their pools, which all nodes share, and brings back what these answer.
//!
//! One thread has a connection of its own for it, so that no fold stands in its way, and makes one trip at a time:
//! what becomes due meanwhile goes with the next one, so many accounts share a trip when there is much to say. A
//! trip that fails changes nothing, since the same is said again.

mod recalled;
mod round;
mod schedule;

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
};

use self::{recalled::Recalled, round::Round};
use crate::{
    gateway::Gateway,
    ledger::Post,
    nodes::Membership,
    store::{Leases, Recalls},
};

/// A handle to the threads. Dropping it ends them as a crash would: what the node has is taken for lost when
/// its leases end, and what it charged is known when its journal is there again.
#[derive(Debug)]
pub struct Carrier {
    post: Arc<Post>,
    orders: Arc<Orders>,
    threads: Vec<JoinHandle<()>>,
}

/// What the thread is to do.
#[derive(Debug, Default)]
struct Orders {
    is_ending: AtomicBool,
    /// It ends without a word.
    is_abandoned: AtomicBool,
}

impl Carrier {
    /// Starts the threads. The node's earlier processes have nothing any more.
    pub fn start(
        gateway: Arc<Gateway>,
        leases: Leases,
        recalls: Recalls,
        membership: Arc<Membership>,
    ) -> io::Result<Self> {
        let post = gateway.ledger().post().map(Arc::clone).unwrap_or_default();
        let orders = Arc::new(Orders::default());
        let recalled = Recalled::new(Arc::clone(&gateway), recalls, membership.node);
        let round = Round::new(gateway, Arc::clone(&post), leases, membership);
        let mut carrier = Self { post, orders: Arc::clone(&orders), threads: Vec::new() };
        let named = |name: &str| thread::Builder::new().name(name.into());
        let obeyed = Arc::clone(&orders);
        carrier.threads.push(named("faregate-leases").spawn(move || round.run(&obeyed))?);
        carrier.threads.push(named("faregate-recalls").spawn(move || recalled.run(&orders))?);
        Ok(carrier)
    }

    /// Gives back what the node has, and ends the thread. Nothing may be in flight any more.
    pub fn stop(mut self) {
        self.end();
    }

    fn end(&mut self) {
        self.orders.is_ending.store(true, Ordering::Release);
        self.post.wake();
        for thread in self.threads.drain(..) {
            if thread.join().is_err() {
                tracing::error!("a thread that carries leases ended by a panic");
            }
        }
    }
}

impl Drop for Carrier {
    fn drop(&mut self) {
        self.orders.is_abandoned.store(true, Ordering::Release);
        self.end();
    }
}
