//! What the thread does that knows the other nodes.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicU8, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use tokio::time::Instant;

use super::{
    Membership, RUN, STOP,
    changes::{Changes, Progress},
    portion::Portions,
};
use crate::{
    gateway::Gateway,
    store::{Beat, Head, Peer, StoreError},
};

/// How often the process says that it is there.
const BEAT: Duration = Duration::from_secs(1);

/// How often it asks for changes, should it not have been told of one.
const LOOK: Duration = Duration::from_millis(500);

/// How soon it asks again when there is more.
const SOON: Duration = Duration::from_millis(5);

/// How often old changes are dropped.
const DROP: Duration = Duration::from_secs(600);

pub(super) fn start(
    peer: Peer,
    membership: Arc<Membership>,
    gateway: Arc<Gateway>,
    head: Head,
    order: Arc<AtomicU8>,
) -> io::Result<JoinHandle<()>> {
    let now = Instant::now();
    let thread = Thread {
        peer,
        changes: Changes::new(membership.run, head.number),
        portions: Portions::default(),
        membership,
        gateway,
        beat_at: now,
        drop_at: now + DROP,
        is_failing: false,
    };
    thread::Builder::new().name("faregate-nodes".into()).spawn(move || thread.run(&order))
}

struct Thread {
    peer: Peer,
    membership: Arc<Membership>,
    gateway: Arc<Gateway>,
    changes: Changes,
    portions: Portions,
    beat_at: Instant,
    drop_at: Instant,
    /// Whether the last attempt failed, so that not each is told.
    is_failing: bool,
}

impl Thread {
    fn run(mut self, order: &AtomicU8) {
        while order.load(Ordering::Acquire) == RUN {
            let began = Instant::now();
            let result = self.turn();
            self.report(&result);
            let pause = match result {
                Ok(Progress::Partial) => SOON,
                Ok(Progress::Complete) | Err(_) => LOOK.saturating_sub(began.elapsed()),
            };
            if self.peer.wait(pause) && self.membership.lead().is_held() {
                self.gateway.notifications().wake();
            }
        }
        if order.load(Ordering::Acquire) == STOP
            && let Err(error) = self.peer.leave()
        {
            tracing::warn!(%error, "the other nodes learn of the stop when they miss this one");
        }
    }

    /// Says that the process is there, if it is time, and learns what was changed.
    fn turn(&mut self) -> Result<Progress, StoreError> {
        if Instant::now() >= self.beat_at {
            self.beat_at = Instant::now() + BEAT;
            let (asked, wants_lead) = (Instant::now(), self.membership.lead().is_wanted());
            let beat = self.peer.beat(wants_lead)?;
            self.hear(beat);
            self.lead(beat, asked);
        }
        let head = self.peer.head()?;
        let progress = self.changes.catch_up(&self.peer, &self.gateway, head)?;
        if Instant::now() >= self.drop_at {
            self.drop_at = Instant::now() + DROP;
            self.peer.drop_old_changes()?;
        }
        Ok(progress)
    }

    fn report<T>(&mut self, result: &Result<T, StoreError>) {
        match result {
            Ok(_) if self.is_failing => tracing::info!("the other nodes are known again"),
            Err(error) if !self.is_failing => {
                let cause = std::error::Error::source(error).map(ToString::to_string);
                tracing::warn!(%error, cause, "what is known of other nodes stays as it was");
            }
            _ => {}
        }
        self.is_failing = result.is_err();
    }

    fn lead(&self, beat: Beat, asked: Instant) {
        let (lead, had_it) = (self.membership.lead(), self.membership.lead().is_held());
        lead.learn(beat.leads.map(|lasts| asked + lasts));
        let node = self.membership.node;
        match (had_it, lead.is_held()) {
            (false, true) => {
                tracing::info!(%node, "this node sends webhooks and keeps the ledger for all from now on");
            }
            (true, false) => {
                tracing::info!(%node, "another node may do from now on what is done once for all")
            }
            _ => {}
        }
    }

    fn hear(&mut self, beat: Beat) {
        if beat.is_heard {
            let portion = self.portions.learn(beat, Instant::now());
            self.gateway.ledger().partition().set(portion);
        }
        let was_heard = self.membership.is_heard.swap(beat.is_heard, Ordering::Relaxed);
        if was_heard && !beat.is_heard {
            let (node, run) = (self.membership.node, self.membership.run);
            tracing::error!(
                %node,
                run,
                "the node was forgotten, or another process has its identifier: a journal directory is for one node \
                 alone; start the gateway anew"
            );
        }
    }
}
