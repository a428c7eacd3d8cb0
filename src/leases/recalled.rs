//! Gives back what others lack, and says what others want to know.

use std::{
    sync::{Arc, atomic::Ordering},
    thread,
    time::Duration,
};

use super::Orders;
use crate::{
    gateway::Gateway,
    ledger::{AccountId, Window},
    store::{NodeId, Recall, Recalls},
};

/// How long is listened before it is seen whether to end.
const PATIENCE: Duration = Duration::from_millis(250);

/// Between two attempts to reach the server.
const PAUSE: Duration = Duration::from_millis(500);

/// What the thread has.
pub(super) struct Recalled {
    gateway: Arc<Gateway>,
    recalls: Recalls,
    node: String,
}

impl Recalled {
    pub(super) fn new(gateway: Arc<Gateway>, recalls: Recalls, node: NodeId) -> Self {
        Self { gateway, recalls, node: node.to_string() }
    }

    pub(super) fn run(mut self, orders: &Orders) {
        while !orders.is_ending.load(Ordering::Acquire) {
            match self.recalls.wait(PATIENCE) {
                Ok(recalls) => {
                    let others = recalls.into_iter().filter(|recall| recall.node != self.node);
                    others.for_each(|recall| self.answer(&recall));
                }
                // Whoever carries letters tells that the server is away. What others lack then comes with the
                // end of idleness.
                Err(_) => thread::sleep(PAUSE),
            }
        }
    }

    fn answer(&self, recall: &Recall) {
        let Recall { customer, scope, quota, start, is_question, .. } = recall;
        let Some(accounts) = self.gateway.ledger().find(customer) else { return };
        // The end is no part of what makes it this account.
        let window = Window { start: *start, end: None };
        let account = AccountId { scope: (**scope).into(), quota: (**quota).into(), window };
        let now = self.gateway.clock().now();
        if *is_question {
            return accounts.report(&account, now);
        }
        self.gateway.metrics().leases().recalls.add(1);
        accounts.recall(&account, now);
    }
}
