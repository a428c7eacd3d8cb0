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

use super::{Membership, RUN, STOP};
use crate::store::{Beat, Peer, StoreError};

/// How often the process says that it is there.
const BEAT: Duration = Duration::from_secs(1);

pub(super) fn start(
    peer: Peer,
    membership: Arc<Membership>,
    order: Arc<AtomicU8>,
) -> io::Result<JoinHandle<()>> {
    let thread = Thread { peer, membership, is_failing: false };
    thread::Builder::new().name("faregate-nodes".into()).spawn(move || thread.run(&order))
}

struct Thread {
    peer: Peer,
    membership: Arc<Membership>,
    /// Whether the last attempt failed, so that not each is told.
    is_failing: bool,
}

impl Thread {
    fn run(mut self, order: &AtomicU8) {
        let mut beat_at = Instant::now();
        while order.load(Ordering::Acquire) == RUN {
            if Instant::now() >= beat_at {
                beat_at = Instant::now() + BEAT;
                let beat = self.peer.beat();
                self.learn(beat);
            }
            self.peer.wait(beat_at.saturating_duration_since(Instant::now()));
        }
        if order.load(Ordering::Acquire) == STOP
            && let Err(error) = self.peer.leave()
        {
            tracing::warn!(%error, "the other nodes learn of the stop when they miss this one");
        }
    }

    fn learn(&mut self, beat: Result<Beat, StoreError>) {
        match beat {
            Ok(beat) => {
                if self.is_failing {
                    tracing::info!("the other nodes are known again");
                }
                self.is_failing = false;
                self.hear(beat);
            }
            Err(error) => {
                if !self.is_failing {
                    let cause = std::error::Error::source(&error).map(ToString::to_string);
                    tracing::warn!(%error, cause, "what is known of other nodes stays as it was");
                }
                self.is_failing = true;
            }
        }
    }

    fn hear(&self, beat: Beat) {
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
