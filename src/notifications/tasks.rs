//! The two tasks beside the store's thread: the one that sends, and the one that looks at the time.

use std::sync::Arc;

use tokio::sync::watch;

use super::{KeptOutbox, Sweep};
use crate::{
    gateway::Gateway,
    keeper::Keeper,
    store::Reader,
    webhooks::{Bounds, Client, Roots, RootsError, Sender, SystemResolver, Timing},
    worker::Stop,
};

/// The tasks, not started yet.
#[expect(missing_debug_implementations, reason = "a task has nothing to show")]
pub struct Tasks {
    sender: Sender,
    sweep: Sweep,
}

impl Tasks {
    /// Makes the tasks of a gateway. The reader is the sender's own.
    pub fn new(
        gateway: &Arc<Gateway>,
        keeper: &Arc<Keeper>,
        reader: Box<dyn Reader>,
    ) -> Result<Self, RootsError> {
        let outbox = KeptOutbox::new(Arc::clone(gateway), Arc::clone(keeper), reader);
        let client = Client::new(Arc::new(SystemResolver), Roots::System, Timing::default())?;
        let wake = gateway.notifications().waker();
        let (outbox, client) = (Arc::new(outbox), Arc::new(client));
        let clock = gateway.shared_clock();
        let sender = Sender::new(outbox, client, clock, wake, Bounds::default());
        Ok(Self { sender, sweep: Sweep::new(Arc::clone(gateway), Arc::clone(keeper)) })
    }

    /// Runs both until the stop. What is on its way then is sent again after the next start.
    pub async fn run(self, stop: watch::Receiver<Stop>) {
        let Self { sender, sweep } = self;
        let mut stopped = stop.clone();
        let sending = tokio::spawn(sender.run(async move {
            let _ = stopped.wait_for(|stop| *stop != Stop::No).await;
        }));
        let sweeping = tokio::spawn(sweep.run(stop));
        let (sent, swept) = tokio::join!(sending, sweeping);
        if sent.is_err() || swept.is_err() {
            tracing::error!("a task of webhooks ended by a panic");
        }
    }
}
