//! Reading, on any connection: inside a transaction it sees what the transaction wrote.

use std::borrow::Borrow;

use jiff::Timestamp;
use rusqlite::Connection;

use crate::{
    ledger::Window,
    model::{KeyDigest, SubscriptionTerms},
    store::{
        StoreError,
        records::{
            AccountKey, AdjustmentRecord, ApplicationRecord, AuditRecord, CustomerRecord,
            DeliveryRecord, DeliveryState, Difference, EntryRecord, GrantRecord, IdempotencyRecord,
            KeyRecord, LedgerPlace, Owed, OwnedAccountKey, Reads, Receivers, ReportRange,
            ReportRow, SubscriptionEnd, ThresholdRecord, Verified,
        },
        sqlite::{
            accounts, audit, calls, credits, customers, events, keys, ledger, report,
            subscriptions, verify,
        },
    },
};

/// The rows of a database, by a connection that is borrowed (the writer's) or owned (a reader's).
#[derive(Debug)]
pub(super) struct Rows<C> {
    connection: C,
}

impl<C: Borrow<Connection>> Rows<C> {
    pub(super) fn new(connection: C) -> Self {
        Self { connection }
    }

    pub(super) fn connection(&self) -> &Connection {
        self.connection.borrow()
    }

    /// Gives what the connection is in.
    pub(super) fn by(&self) -> &C {
        &self.connection
    }

    pub(super) fn by_mut(&mut self) -> &mut C {
        &mut self.connection
    }
}

impl<C: Borrow<Connection>> Reads for Rows<C> {
    fn customer(&self, id: &str) -> Result<Option<CustomerRecord>, StoreError> {
        customers::find(self.connection(), id)
    }

    fn subscription(&self, customer: &str) -> Result<Option<SubscriptionTerms>, StoreError> {
        subscriptions::find(self.connection(), customer)
    }

    fn applications(&self, customer: &str) -> Result<Vec<ApplicationRecord>, StoreError> {
        customers::applications(self.connection(), customer)
    }

    fn key(&self, id: &str) -> Result<Option<KeyRecord>, StoreError> {
        keys::find(self.connection(), id)
    }

    fn key_by_digest(&self, digest: &KeyDigest) -> Result<Option<KeyRecord>, StoreError> {
        keys::find_by_digest(self.connection(), digest)
    }

    fn keys_of(
        &self,
        customer: &str,
        after: Option<&str>,
        max: usize,
    ) -> Result<Vec<KeyRecord>, StoreError> {
        keys::page(self.connection(), customer, after, max)
    }

    fn last_used(&self, customer: &str, key_id: &str) -> Result<Option<Timestamp>, StoreError> {
        keys::last_used(self.connection(), customer, key_id)
    }

    fn customers(
        &self,
        after: Option<&str>,
        max: usize,
    ) -> Result<Vec<(CustomerRecord, Option<SubscriptionTerms>)>, StoreError> {
        customers::page(self.connection(), after, max)
    }

    fn audit(
        &self,
        customer: Option<&str>,
        before: Option<u64>,
        max: usize,
    ) -> Result<Vec<(u64, AuditRecord)>, StoreError> {
        audit::page(self.connection(), customer, before, max)
    }

    fn adjustments(
        &self,
        customer: &str,
        after: Option<u64>,
        max: usize,
    ) -> Result<Vec<(u64, AdjustmentRecord)>, StoreError> {
        audit::adjustments(self.connection(), customer, after, max)
    }

    fn idempotent(&self, key: &[u8; 32]) -> Result<Option<IdempotencyRecord>, StoreError> {
        calls::find(self.connection(), key)
    }

    fn setting(&self, name: &str) -> Result<Option<String>, StoreError> {
        calls::setting(self.connection(), name)
    }

    fn used(&self, account: &AccountKey<'_>) -> Result<u64, StoreError> {
        accounts::used(self.connection(), account)
    }

    fn threshold(&self, account: &AccountKey<'_>) -> Result<Option<ThresholdRecord>, StoreError> {
        accounts::threshold(self.connection(), account)
    }

    fn ended_thresholds(
        &self,
        now: Timestamp,
        max: usize,
    ) -> Result<Vec<(OwnedAccountKey, ThresholdRecord)>, StoreError> {
        accounts::ended_thresholds(self.connection(), now, max)
    }

    fn deliveries(
        &self,
        state: Option<DeliveryState>,
        before: Option<u64>,
        max: usize,
    ) -> Result<Vec<DeliveryRecord>, StoreError> {
        events::page(self.connection(), state, before, max)
    }

    fn delivery(&self, id: &str) -> Result<Option<DeliveryRecord>, StoreError> {
        events::find(self.connection(), id)
    }

    fn pending_deliveries(&self) -> Result<u64, StoreError> {
        events::count_pending(self.connection())
    }

    fn due_deliveries(
        &self,
        to: Receivers,
        now: Timestamp,
        max: usize,
    ) -> Result<Vec<DeliveryRecord>, StoreError> {
        events::due(self.connection(), to, now, max)
    }

    fn next_delivery(
        &self,
        to: Receivers,
        after: Timestamp,
    ) -> Result<Option<Timestamp>, StoreError> {
        events::next(self.connection(), to, after)
    }

    fn subscriptions_ending(
        &self,
        by: SubscriptionEnd,
        window: Window,
        after: &str,
        max: usize,
    ) -> Result<Vec<(String, SubscriptionTerms)>, StoreError> {
        subscriptions::ending(self.connection(), by, window, after, max)
    }

    fn keys_expiring(
        &self,
        window: Window,
        after: &str,
        max: usize,
    ) -> Result<Vec<KeyRecord>, StoreError> {
        keys::expiring(self.connection(), window, after, max)
    }

    fn report(
        &self,
        range: &ReportRange<'_>,
        each: &mut dyn FnMut(ReportRow) -> bool,
    ) -> Result<(), StoreError> {
        report::each(self.connection(), range, each)
    }

    fn grants(
        &self,
        customer: &str,
        after: Option<u64>,
        max: usize,
    ) -> Result<Vec<GrantRecord>, StoreError> {
        credits::of_customer(self.connection(), customer, after, max)
    }

    fn ended_grants(&self, now: Timestamp, max: usize) -> Result<Vec<GrantRecord>, StoreError> {
        credits::ended(self.connection(), now, max)
    }

    fn owed(&self, customer: &str) -> Result<Vec<Owed>, StoreError> {
        credits::owed(self.connection(), customer)
    }

    fn load_grants(&self, each: &mut dyn FnMut(GrantRecord)) -> Result<(), StoreError> {
        credits::each_left(self.connection(), each)
    }

    fn load_owed(&self, each: &mut dyn FnMut(&str, Owed)) -> Result<(), StoreError> {
        credits::each_purse(self.connection(), each)
    }

    fn ledger(
        &self,
        customer: &str,
        after: Option<LedgerPlace>,
        max: usize,
    ) -> Result<(Vec<EntryRecord>, bool), StoreError> {
        ledger::page(self.connection(), customer, after, max)
    }

    fn verify(&self, each: &mut dyn FnMut(Difference)) -> Result<Verified, StoreError> {
        verify::verify(self.connection(), each)
    }

    fn load_customers(
        &self,
        each: &mut dyn FnMut(CustomerRecord, Option<SubscriptionTerms>, Vec<ApplicationRecord>),
    ) -> Result<(), StoreError> {
        customers::load(self.connection(), each)
    }

    fn load_keys(&self, each: &mut dyn FnMut(KeyRecord)) -> Result<(), StoreError> {
        keys::load(self.connection(), each)
    }
}
