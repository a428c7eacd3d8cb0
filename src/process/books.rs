//! How the books are opened at a start.

use std::sync::Arc;

use jiff::Timestamp;

use super::{StartError, sharing};
use crate::{
    config::Config,
    journal::{Follower, Journal, Recovery, Writer},
    ledger::{AccountId, Ledger},
    nodes::{Lead, Membership},
    store::{self, Head, Joined, Shared, Store},
};

/// Journal, store and ledger, with what is known from before.
pub(super) struct Books {
    pub(super) ledger: Ledger,
    pub(super) writers: Vec<Writer>,
    pub(super) follower: Follower,
    pub(super) store: Box<dyn Store>,
    pub(super) recovery: Recovery,
    pub(super) membership: Arc<Membership>,
    /// What the store is shared by, and up to where the others' changes are in what is read from here on; `None`
    /// where it is not shared.
    pub(super) shared: Option<(Shared, Head)>,
}

/// Opens them: what the last run left in the journal is in the store and in the ledger afterwards.
pub(super) fn open(config: &Config, now: Timestamp) -> Result<Books, StartError> {
    // A journal is made only when the database has its schema.
    if Journal::has_owner(&config.store.journal) {
        store::refuse_emptied(&config.store.database)?;
    }
    let mut store = store::open(&config.store.database)?;
    let (journal, recovery) = Journal::open(&config.store.journal, &mut *store)?;
    report(&recovery);
    let node = journal.node();
    // From here on nobody listens to an earlier process of the node, all of whose journal is folded.
    let Joined { run, shared } = store.join(node, env!("CARGO_PKG_VERSION"))?;
    let lead = if shared.is_some() { Lead::of_many() } else { Lead::of_one() };
    let membership = Arc::new(Membership::new(node, run, lead));
    if let Some(Shared { leases, .. }) = &shared {
        sharing::report(&leases.recover(node)?);
    }
    // Before anything is read of what others may change.
    let shared = shared.map(|shared| shared.peer.head().map(|head| (shared, head))).transpose()?;
    // Windows never move backwards, not even over a restart with a clock set back.
    let floor = store.latest_time()?.unwrap_or(now).max(now);
    let ledger = match &shared {
        Some(_) => Ledger::new(floor).shared(Arc::default()),
        None => Ledger::new(floor),
    };
    // Before any customer has accounts: these are named by it.
    store.reader()?.load_removals(&mut |name| ledger.forget(name))?;
    store.load_usage(floor, &mut |row| {
        let account =
            AccountId { scope: row.scope.into(), quota: row.quota.into(), window: row.window };
        ledger.customer(row.customer).load(&account, row.used);
    })?;
    let processors = || std::thread::available_parallelism().map_or(1, usize::from);
    let workers = config.server.workers.unwrap_or_else(processors);
    let workers = u16::try_from(workers).unwrap_or(u16::MAX);
    let (writers, follower) =
        journal.start(&*store, workers, config.store.durability).map_err(StartError::Thread)?;
    Ok(Books { ledger, writers, follower, store, recovery, membership, shared })
}

fn report(recovery: &Recovery) {
    let Recovery { segments, settled, orphans, unknown, unknown_units, torn } = recovery;
    if *segments > 0 || *unknown > 0 {
        tracing::info!(segments, settled, unknown, unknown_units, "journal of the last run folded");
    }
    if *orphans > 0 {
        tracing::warn!(
            orphans,
            "settlements without a reservation: a database or segment was lost"
        );
    }
    for torn in torn {
        tracing::warn!(?torn, "an append was cut short by a crash; nothing was forwarded on it");
    }
}
