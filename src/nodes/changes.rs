//! How memory learns what other processes changed.
//!
//! Invariant: what memory does not know yet is in `unread`, or behind `seen`. What cannot be read now is read with the
//! next attempt, and callers are decided by what is known until then.

use std::collections::{BTreeSet, HashSet};

use crate::{
    gateway::Gateway,
    provisioning::{self, ENFORCEMENT, api_key},
    store::{
        Found, Head, Knowledge, Peer, StoreError, Told, Whole,
        records::{Announcement, Reads},
    },
};

/// How many customers are read at once.
const TOGETHER: usize = 500;

/// What is known of changes.
#[derive(Debug)]
pub(super) struct Changes {
    run: u64,
    /// The number of the last change that was looked at.
    seen: u64,
    /// Counts and money that were changed up to here are taken for loaded by the start; `None` until the first look. Of
    /// what was changed in that moment less is known rather than twice as much.
    loaded: Option<u64>,
    /// Customers that are to be read anew.
    unread: BTreeSet<String>,
    /// The settings are.
    has_unread_settings: bool,
    /// Everything is.
    is_lost: bool,
}

/// How far an attempt came.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Progress {
    /// Memory knows all that was told.
    Complete,
    /// There is more in a moment.
    Partial,
}

impl Changes {
    /// Begins behind what the start has loaded: everything behind `seen` is looked at.
    pub(super) fn new(run: u64, seen: u64) -> Self {
        Self {
            run,
            seen,
            loaded: None,
            unread: BTreeSet::new(),
            has_unread_settings: false,
            is_lost: false,
        }
    }

    /// Brings into memory what was changed up to the head.
    pub(super) fn catch_up(
        &mut self,
        peer: &Peer,
        gateway: &Gateway,
        head: Head,
    ) -> Result<Progress, StoreError> {
        self.loaded.get_or_insert(head.number);
        if self.seen < head.dropped {
            tracing::warn!("changes of other nodes were missed; everything is read anew");
            self.is_lost = true;
        }
        if self.is_lost {
            self.read_everything(peer, gateway, head)?;
        }
        let mut progress = Progress::Complete;
        while self.seen < head.number && progress == Progress::Complete {
            let told = peer.changes_after(self.seen)?;
            if told.is_empty() {
                // Dropped meanwhile: the next head says so.
                return Ok(Progress::Partial);
            }
            progress = self.look(peer, gateway, told);
        }
        self.read_settings(peer, gateway)?;
        self.read_customers(peer, gateway)?;
        if !self.unread.is_empty() || self.has_unread_settings {
            progress = Progress::Partial;
        }
        Ok(progress)
    }

    /// Looks at changes in their order, up to one of this process of which its memory learns just now.
    fn look(&mut self, peer: &Peer, gateway: &Gateway, told: Vec<Told>) -> Progress {
        for Told { number, run, what } in told {
            if run == self.run && matches!(what, Some(Announcement::Indebted { .. })) {
                // Memory has it from the request itself, and is told nothing by a fold.
                self.seen = number;
                continue;
            }
            if run == self.run {
                match peer.own().knows(number) {
                    Knowledge::Coming => return Progress::Partial,
                    Knowledge::Complete => {
                        self.seen = number;
                        continue;
                    }
                    Knowledge::Missing => {}
                }
            }
            self.learn(gateway, number, what);
            self.seen = number;
        }
        Progress::Complete
    }

    fn learn(&mut self, gateway: &Gateway, number: u64, what: Option<Announcement>) {
        match what {
            Some(Announcement::Customer { id }) => self.unread.extend([id]),
            Some(Announcement::Enforcement) => self.has_unread_settings = true,
            Some(Announcement::Removed { id, name }) => {
                let _turn = gateway.writing().begin();
                provisioning::learn_removal(gateway, &id, &name);
                // Another one may have its id by now.
                self.unread.insert(id);
            }
            Some(numbers) if self.loaded.is_some_and(|loaded| number > loaded) => {
                provisioning::learn_numbers(gateway, &numbers);
            }
            Some(_) => {}
            None => {
                tracing::warn!("a node of a newer version changed something; everything is read");
                self.is_lost = true;
            }
        }
    }

    fn read_settings(&mut self, peer: &Peer, gateway: &Gateway) -> Result<(), StoreError> {
        if !self.has_unread_settings {
            return Ok(());
        }
        gateway.writing().begin_to_read();
        let enforcement = peer.reads().setting(ENFORCEMENT);
        if let Ok(enforcement) = &enforcement {
            let turn = gateway.writing().begin();
            if !turn.is_changed("") {
                gateway.set_enforcing(enforcement.as_deref() != Some("off"));
                self.has_unread_settings = false;
            }
        }
        gateway.writing().end_reading();
        enforcement.map(drop)
    }

    fn read_customers(&mut self, peer: &Peer, gateway: &Gateway) -> Result<(), StoreError> {
        let ids: Vec<_> = self.unread.iter().cloned().collect();
        for ids in ids.chunks(TOGETHER) {
            gateway.writing().begin_to_read();
            let found = peer.customers(ids);
            if let Ok(found) = &found {
                self.put(gateway, ids, found);
            }
            gateway.writing().end_reading();
            found?;
        }
        Ok(())
    }

    /// Puts what was read into memory, but for what this process has changed meanwhile.
    fn put(&mut self, gateway: &Gateway, ids: &[String], found: &Found) {
        let Found { customers, grants } = found;
        let there: HashSet<_> = customers.iter().map(|whole| whole.customer.id.as_str()).collect();
        let turn = gateway.writing().begin();
        for grant in grants.iter().filter(|grant| !turn.is_changed(&grant.customer)) {
            provisioning::learn_grant(gateway, grant);
        }
        for whole in customers.iter().filter(|whole| !turn.is_changed(&whole.customer.id)) {
            let Whole { customer, subscription, applications, keys } = whole;
            let (subscription, applications) = (subscription.clone(), applications.clone());
            provisioning::learn_customer(gateway, customer.clone(), subscription, applications);
            keys.iter().for_each(|key| gateway.live().put_key(api_key(key.clone())));
        }
        for id in ids.iter().filter(|id| !turn.is_changed(id)) {
            if !there.contains(id.as_str()) && gateway.live().has_customer(id) {
                provisioning::learn_absence(gateway, id);
            }
            self.unread.remove(id);
        }
    }

    /// Reads everything that decides about callers. What is in memory and not in the store is read once more, one by
    /// one: it may have been made meanwhile.
    fn read_everything(
        &mut self,
        peer: &Peer,
        gateway: &Gateway,
        head: Head,
    ) -> Result<(), StoreError> {
        gateway.writing().begin_to_read();
        let mut gone = HashSet::new();
        gateway.live().each_customer(&mut |terms| gone.extend([terms.id.to_string()]));
        let read = self.load(&peer.reads(), gateway, &mut gone);
        gateway.writing().end_reading();
        read?;
        self.unread.extend(gone);
        self.has_unread_settings = true;
        (self.seen, self.loaded, self.is_lost) = (head.number, Some(head.number), false);
        Ok(())
    }

    fn load(
        &mut self,
        reads: &dyn Reads,
        gateway: &Gateway,
        gone: &mut HashSet<String>,
    ) -> Result<(), StoreError> {
        reads.load_removals(&mut |name| gateway.ledger().forget(name))?;
        let unread = &mut self.unread;
        reads.load_customers(&mut |customer, subscription, applications| {
            gone.remove(&customer.id);
            let turn = gateway.writing().begin();
            if turn.is_changed(&customer.id) {
                unread.insert(customer.id);
            } else {
                provisioning::learn_customer(gateway, customer, subscription, applications);
            }
        })?;
        reads.load_grants(&mut |grant| {
            let turn = gateway.writing().begin();
            if turn.is_changed(&grant.customer) {
                unread.insert(grant.customer);
            } else {
                provisioning::learn_grant(gateway, &grant);
            }
        })?;
        reads.load_keys(&mut |key| {
            let turn = gateway.writing().begin();
            if turn.is_changed(&key.customer) {
                unread.insert(key.customer);
            } else {
                gateway.live().put_key(api_key(key));
            }
        })
    }
}
