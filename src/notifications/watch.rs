//! The watch over usage: each fold's accounts are measured in the fold's transaction.

use std::{collections::HashMap, sync::Arc};

use super::{
    measure::Subject,
    tell::{Audience, Teller},
};
use crate::{
    gateway::Gateway,
    keeper::Watch,
    ledger::{self, Limits},
    model::Customer,
    store::{StoreError, UsageRow, records::Records},
};

/// Measures what is folded.
#[derive(Debug)]
pub struct UsageWatch {
    gateway: Arc<Gateway>,
    /// Whether a fold since the last commit has told something.
    has_told: bool,
}

/// A customer in a fold.
struct Known {
    audience: Audience,
    customer: Arc<Customer>,
    limits: Arc<Limits>,
}

impl UsageWatch {
    /// Makes the watch of a gateway.
    pub fn new(gateway: Arc<Gateway>) -> Self {
        Self { gateway, has_told: false }
    }
}

impl Watch for UsageWatch {
    fn folded(
        &mut self,
        records: &mut dyn Records,
        usage: &[UsageRow<'_>],
    ) -> Result<(), StoreError> {
        let snapshot = self.gateway.snapshot();
        if !Teller::is_heard(&self.gateway, &snapshot) {
            return Ok(());
        }
        let now = self.gateway.clock().now();
        let mut teller = Teller::new(records, &self.gateway, &snapshot, now);
        let mut known: HashMap<&str, Option<Known>> = HashMap::new();
        for row in usage {
            let found = known.entry(row.customer).or_insert_with(|| find(&teller, row.customer));
            if let Some(found) = found {
                measure(&mut teller, found, row)?;
            }
        }
        self.has_told |= teller.has_told();
        Ok(())
    }

    fn committed(&mut self) {
        if std::mem::take(&mut self.has_told) {
            self.gateway.notifications().wake();
        }
    }
}

/// Finds a customer by its name in the journal. One that was removed and has its last requests counted
/// is not the one who has its id now.
fn find(teller: &Teller<'_>, name: &str) -> Option<Known> {
    let id = ledger::id_of(name);
    if *teller.gateway.ledger().name_of(id) != *name {
        return None;
    }
    let audience = teller.audience(id);
    if audience.is_empty() {
        return None;
    }
    let lookup = teller.gateway.lookup(teller.snapshot, teller.now);
    Some(Known { audience, customer: lookup.customer(id)?, limits: lookup.all_limits(id)? })
}

/// Measures one account, if its window is the one of now. A quota whose window is over has renewed:
/// nobody needs to know any more that it was used up in its last moment.
fn measure(teller: &mut Teller<'_>, known: &Known, row: &UsageRow<'_>) -> Result<(), StoreError> {
    let Known { audience, customer, limits } = known;
    let plan = customer.subscription.as_ref().map(|held| &*held.plan.id);
    let subject = Subject { customer: &customer.id, plan, audience: *audience };
    let its = limits.quotas.iter().filter(|q| *q.scope == *row.scope && *q.account == *row.quota);
    for quota in its {
        let window = quota.window.window_at(teller.now);
        if window.start == row.window.start {
            teller.measure(&subject, quota, window, row.used)?;
        }
    }
    Ok(())
}
