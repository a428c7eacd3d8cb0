//! Who is told of something, and the events that come of it.

use jiff::Timestamp;
use serde_json::Value;

use crate::{
    gateway::Gateway,
    snapshot::Snapshot,
    store::{
        StoreError,
        records::{EventRecord, Records},
    },
    webhooks::Event,
};

/// The endpoint's name of the operator in the outbox; a customer's own is called by its id.
pub(super) const OPERATOR: &str = "";

/// Tells within one transaction, at one instant.
#[expect(missing_debug_implementations, reason = "a transaction has nothing to show")]
pub struct Teller<'a> {
    pub(super) records: &'a mut dyn Records,
    pub(super) gateway: &'a Gateway,
    pub(super) snapshot: &'a Snapshot,
    pub(super) now: Timestamp,
    /// Whether something new is in the outbox.
    has_told: bool,
}

/// Who listens to what happens to a customer.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Audience {
    pub(super) operator: bool,
    pub(super) own: bool,
}

impl Audience {
    pub(super) fn is_empty(self) -> bool {
        let Self { operator, own } = self;
        !operator && !own
    }
}

impl<'a> Teller<'a> {
    /// Begins in a transaction.
    pub fn new(
        records: &'a mut dyn Records,
        gateway: &'a Gateway,
        snapshot: &'a Snapshot,
        now: Timestamp,
    ) -> Self {
        Self { records, gateway, snapshot, now, has_told: false }
    }

    /// Tells whether something new is in the outbox, for which the sender is to be woken once it is
    /// committed.
    pub fn has_told(&self) -> bool {
        self.has_told
    }

    /// Gives up what waits for a removed customer's own webhook: whoever takes the id next must not be
    /// told of it.
    pub(super) fn give_up_own(&mut self, customer: &str) -> Result<(), StoreError> {
        const PAGE: usize = 10_000;
        let reason = "the customer was deleted";
        while self.records.fail_deliveries(customer, reason, PAGE)? == PAGE {}
        Ok(())
    }

    /// Tells who listens to a customer's events.
    pub(super) fn audience(&self, customer: &str) -> Audience {
        Audience {
            operator: self.snapshot.webhooks.endpoint.is_some(),
            own: self.gateway.notifications().has_own(customer),
        }
    }

    /// Tells whether anybody listens to anything.
    pub(super) fn is_heard(gateway: &Gateway, snapshot: &Snapshot) -> bool {
        snapshot.webhooks.endpoint.is_some() || gateway.notifications().has_any_own()
    }

    /// Puts an event about a customer into the outbox, for each who listens. With a mark it is told
    /// once, however often this is asked for.
    pub(super) fn tell(
        &mut self,
        customer: &str,
        audience: Audience,
        kind: &str,
        data: &Value,
        mark: Option<&str>,
    ) -> Result<(), StoreError> {
        let operator = audience.operator.then_some(OPERATOR);
        let own = audience.own.then_some(customer);
        for endpoint in [operator, own].into_iter().flatten() {
            if !self.gateway.notifications().take_place() {
                return Ok(());
            }
            let event = Event::new(kind, data, self.now);
            let event = event.map_err(|error| StoreError::new("make an event for", error))?;
            let body = String::from_utf8_lossy(&event.body).into_owned();
            let is_new = self.records.put_event(&EventRecord {
                id: event.id.as_str().to_owned(),
                endpoint: endpoint.to_owned(),
                customer: customer.to_owned(),
                kind: kind.to_owned(),
                body,
                at: self.now,
                mark: mark.map(ToOwned::to_owned),
            })?;
            if is_new {
                self.gateway.metrics().count_event(kind);
            }
            self.has_told |= is_new;
        }
        Ok(())
    }
}
