//! What a gateway has besides that shares its store with others.

use std::{io, sync::Arc};

use crate::{
    gateway::Gateway,
    leases::Carrier,
    ledger::GRANT_SCOPE,
    nodes::{Membership, Nodes},
    store::{Booked, Head, Recovery, Shared},
};

/// Its threads.
#[derive(Debug)]
pub(super) struct Sharing {
    nodes: Nodes,
    carrier: Carrier,
}

impl Sharing {
    pub(super) fn start(
        (shared, head): (Shared, Head),
        gateway: &Arc<Gateway>,
        membership: &Arc<Membership>,
    ) -> io::Result<Self> {
        let Shared { peer, leases, recalls } = shared;
        let nodes = Nodes::start(peer, Arc::clone(membership), Arc::clone(gateway), head)?;
        let carrier = Carrier::start(Arc::clone(gateway), leases, recalls, Arc::clone(membership))?;
        Ok(Self { nodes, carrier })
    }

    /// Gives back what is left of leases.
    pub(super) fn give_back(self) -> Nodes {
        self.carrier.stop();
        self.nodes
    }
}

/// Tells what the node's earlier processes had of accounts that nodes share.
pub(super) fn report(recovery: &Recovery) {
    let Recovery { recovered, missing } = recovery;
    let (units, nanos) = sums(recovered);
    if units > 0 || nanos > 0 {
        tracing::info!(units, nanos, "what counted as used was not, by the journal");
    }
    let (units, nanos) = sums(missing);
    if units > 0 || nanos > 0 {
        tracing::warn!(
            units,
            nanos,
            "what had been told to the other nodes is not in the journal, so it is not charged"
        );
    }
}

/// Adds up units of quotas, and nano-units of money.
fn sums(booked: &[Booked]) -> (u64, u64) {
    booked.iter().fold((0, 0), |(units, nanos), one| match &*one.account.scope {
        GRANT_SCOPE => (units, nanos.saturating_add(one.units)),
        _ => (units.saturating_add(one.units), nanos),
    })
}
