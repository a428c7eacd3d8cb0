//! The two tasks beside the store's thread: the one that sends, and the one that looks at the time. Of several
//! processes that share a store one does both at a time.

use std::sync::Arc;

use tokio::sync::watch;

use super::{KeptOutbox, Sweep};
use crate::{
    gateway::Gateway,
    keeper::Keeper,
    nodes::Membership,
    store::Reader,
    webhooks::{Bounds, Client, Roots, RootsError, Sender, SystemResolver, Timing},
    worker::Stop,
};

/// The tasks, not started yet.
#[expect(missing_debug_implementations, reason = "a task has nothing to show")]
pub struct Tasks {
    gateway: Arc<Gateway>,
    membership: Arc<Membership>,
    outbox: Arc<KeptOutbox>,
    client: Arc<Client>,
    sweep: Sweep,
}

impl Tasks {
    /// Makes the tasks of a gateway. The reader is the sender's own.
    pub fn new(
        gateway: &Arc<Gateway>,
        keeper: &Arc<Keeper>,
        membership: &Arc<Membership>,
        reader: Box<dyn Reader>,
    ) -> Result<Self, RootsError> {
        let (gateway, keeper) = (Arc::clone(gateway), Arc::clone(keeper));
        let membership = Arc::clone(membership);
        let client = Client::new(Arc::new(SystemResolver), Roots::System, Timing::default())?;
        let outbox = KeptOutbox::new(
            Arc::clone(&gateway),
            Arc::clone(&keeper),
            Arc::clone(&membership),
            reader,
        );
        let outbox = Arc::new(outbox);
        let sweep =
            Sweep::new(Arc::clone(&gateway), keeper, Arc::clone(&membership), Arc::clone(&outbox));
        Ok(Self { gateway, membership, outbox, client: Arc::new(client), sweep })
    }

    /// Runs both until the stop. What is on its way then is sent again after the next start, or by another process.
    pub async fn run(self, stop: watch::Receiver<Stop>) {
        let Self { gateway, membership, outbox, client, sweep } = self;
        let sending = Sending { gateway, membership: Arc::clone(&membership), outbox, client };
        let sending = tokio::spawn(sending.run(stop.clone()));
        let sweeping = tokio::spawn(sweep.run(stop));
        let (sent, swept) = tokio::join!(sending, sweeping);
        if sent.is_err() || swept.is_err() {
            tracing::error!("a task of webhooks ended by a panic");
        }
        // What is in flight still may take long, and another process need not wait for it.
        membership.lead().resign();
    }
}

/// Sends while this process is the one that does.
struct Sending {
    gateway: Arc<Gateway>,
    membership: Arc<Membership>,
    outbox: Arc<KeptOutbox>,
    client: Arc<Client>,
}

impl Sending {
    async fn run(self, mut stop: watch::Receiver<Stop>) {
        let Self { gateway, membership, outbox, client } = self;
        let lead = membership.lead();
        loop {
            tokio::select! {
                biased;
                _ = stop.wait_for(|stop| *stop != Stop::No) => return,
                () = lead.held() => {}
            }
            let (outbox, client) = (Arc::clone(&outbox), Arc::clone(&client));
            let (clock, wake) = (gateway.shared_clock(), gateway.notifications().waker());
            let sender = Sender::new(outbox, client, clock, wake, Bounds::default());
            let ended = async {
                tokio::select! {
                    _ = stop.wait_for(|stop| *stop != Stop::No) => {}
                    () = lead.lost() => {}
                }
            };
            sender.run(ended).await;
        }
    }
}
