//! Reading, on any connection: inside a transaction it sees what the transaction wrote.

use jiff::Timestamp;

use crate::{
    ledger::Window,
    model::{KeyDigest, SubscriptionTerms},
    store::{
        StoreError,
        records::{
            AccountKey, AdjustmentRecord, AnswerRecord, ApplicationRecord, AuditRecord,
            CustomerRecord, DeliveryRecord, DeliveryState, Difference, DueRecord, EntryRecord,
            GrantRecord, IdempotencyRecord, KeyRecord, LedgerPlace, NodeRecord, Owed,
            OwnedAccountKey, PaymentRecord, Reads, Receivers, ReportRange, ReportRow,
            SubscriptionEnd, ThresholdRecord, Verified,
        },
        sql::{
            Database, Source, accounts, answers, audit, calls, credits, customers, events, keys,
            ledger, payments, pseudonyms, report, subscriptions, verify,
        },
    },
};

/// The rows of a database, by what has a connection to it: the writer, or a reader.
#[derive(Debug)]
pub(in crate::store) struct Rows<S> {
    source: S,
}

impl<S: Source> Rows<S> {
    pub(in crate::store) fn new(source: S) -> Self {
        Self { source }
    }

    pub(super) fn database(&self) -> &dyn Database {
        self.source.database()
    }

    /// Gives what has the connection.
    pub(in crate::store) fn by(&self) -> &S {
        &self.source
    }

    pub(super) fn by_mut(&mut self) -> &mut S {
        &mut self.source
    }
}

impl<S: Source> Reads for Rows<S> {
    fn customer(&self, id: &str) -> Result<Option<CustomerRecord>, StoreError> {
        customers::find(self.database(), id)
    }

    fn subscription(&self, customer: &str) -> Result<Option<SubscriptionTerms>, StoreError> {
        subscriptions::find(self.database(), customer)
    }

    fn applications(&self, customer: &str) -> Result<Vec<ApplicationRecord>, StoreError> {
        customers::applications(self.database(), customer)
    }

    fn key(&self, id: &str) -> Result<Option<KeyRecord>, StoreError> {
        keys::find(self.database(), id)
    }

    fn key_by_digest(&self, digest: &KeyDigest) -> Result<Option<KeyRecord>, StoreError> {
        keys::find_by_digest(self.database(), digest)
    }

    fn keys_of(
        &self,
        customer: &str,
        after: Option<&str>,
        max: usize,
    ) -> Result<Vec<KeyRecord>, StoreError> {
        keys::page(self.database(), customer, after, max)
    }

    fn last_used(&self, customer: &str, key_id: &str) -> Result<Option<Timestamp>, StoreError> {
        keys::last_used(self.database(), customer, key_id)
    }

    fn customers(
        &self,
        after: Option<&str>,
        max: usize,
    ) -> Result<Vec<(CustomerRecord, Option<SubscriptionTerms>)>, StoreError> {
        customers::page(self.database(), after, max)
    }

    fn audit(
        &self,
        customer: Option<&str>,
        before: Option<u64>,
        max: usize,
    ) -> Result<Vec<(u64, AuditRecord)>, StoreError> {
        audit::page(self.database(), customer, before, max)
    }

    fn adjustments(
        &self,
        customer: &str,
        after: Option<u64>,
        max: usize,
    ) -> Result<Vec<(u64, AdjustmentRecord)>, StoreError> {
        audit::adjustments(self.database(), customer, after, max)
    }

    fn idempotent(&self, key: &[u8; 32]) -> Result<Option<IdempotencyRecord>, StoreError> {
        calls::find(self.database(), key)
    }

    fn setting(&self, name: &str) -> Result<Option<String>, StoreError> {
        calls::setting(self.database(), name)
    }

    fn used(&self, account: &AccountKey<'_>) -> Result<u64, StoreError> {
        accounts::used(self.database(), account)
    }

    fn threshold(&self, account: &AccountKey<'_>) -> Result<Option<ThresholdRecord>, StoreError> {
        accounts::threshold(self.database(), account)
    }

    fn ended_thresholds(
        &self,
        now: Timestamp,
        max: usize,
    ) -> Result<Vec<(OwnedAccountKey, ThresholdRecord)>, StoreError> {
        accounts::ended_thresholds(self.database(), now, max)
    }

    fn deliveries(
        &self,
        state: Option<DeliveryState>,
        before: Option<u64>,
        max: usize,
    ) -> Result<Vec<DeliveryRecord>, StoreError> {
        events::page(self.database(), state, before, max)
    }

    fn delivery(&self, id: &str) -> Result<Option<DeliveryRecord>, StoreError> {
        events::find(self.database(), id)
    }

    fn pending_deliveries(&self) -> Result<u64, StoreError> {
        events::count_pending(self.database())
    }

    fn due_deliveries(
        &self,
        to: Receivers,
        now: Timestamp,
        max: usize,
    ) -> Result<Vec<DueRecord>, StoreError> {
        events::due(self.database(), to, now, max)
    }

    fn next_delivery(
        &self,
        to: Receivers,
        after: Timestamp,
    ) -> Result<Option<Timestamp>, StoreError> {
        events::next(self.database(), to, after)
    }

    fn subscriptions_ending(
        &self,
        by: SubscriptionEnd,
        window: Window,
        after: &str,
        max: usize,
    ) -> Result<Vec<(String, SubscriptionTerms)>, StoreError> {
        subscriptions::ending(self.database(), by, window, after, max)
    }

    fn keys_expiring(
        &self,
        window: Window,
        after: &str,
        max: usize,
    ) -> Result<Vec<KeyRecord>, StoreError> {
        keys::expiring(self.database(), window, after, max)
    }

    fn report(
        &self,
        range: &ReportRange<'_>,
        each: &mut dyn FnMut(ReportRow) -> bool,
    ) -> Result<(), StoreError> {
        report::each(self.database(), range, each)
    }

    fn grants(
        &self,
        customer: &str,
        after: Option<u64>,
        max: usize,
    ) -> Result<Vec<GrantRecord>, StoreError> {
        credits::of_customer(self.database(), customer, after, max)
    }

    fn ended_grants(&self, now: Timestamp, max: usize) -> Result<Vec<GrantRecord>, StoreError> {
        credits::ended(self.database(), now, max)
    }

    fn owed(&self, customer: &str) -> Result<Vec<Owed>, StoreError> {
        credits::owed(self.database(), customer)
    }

    fn load_grants(&self, each: &mut dyn FnMut(GrantRecord)) -> Result<(), StoreError> {
        credits::each_left(self.database(), each)
    }

    fn load_owed(&self, each: &mut dyn FnMut(&str, Owed)) -> Result<(), StoreError> {
        credits::each_purse(self.database(), each)
    }

    fn ledger(
        &self,
        customer: &str,
        after: Option<LedgerPlace>,
        max: usize,
    ) -> Result<(Vec<EntryRecord>, bool), StoreError> {
        ledger::page(self.database(), customer, after, max)
    }

    fn payment(&self, proof: &str) -> Result<Option<PaymentRecord>, StoreError> {
        payments::find(self.database(), proof)
    }

    fn payment_by_request(&self, request_id: &str) -> Result<Option<PaymentRecord>, StoreError> {
        payments::find_by_request(self.database(), request_id)
    }

    fn due_payments(&self, now: Timestamp, max: usize) -> Result<Vec<PaymentRecord>, StoreError> {
        payments::due(self.database(), now, max)
    }

    fn is_identifier_used(
        &self,
        payer: &str,
        identifier: &str,
        gone: Timestamp,
    ) -> Result<bool, StoreError> {
        payments::is_identifier_used(self.database(), payer, identifier, gone)
    }

    fn payment_by_key(
        &self,
        payer: &str,
        key: &str,
        gone: Timestamp,
    ) -> Result<Option<PaymentRecord>, StoreError> {
        payments::find_by_key(self.database(), payer, key, gone)
    }

    fn kept_answer(
        &self,
        payment: i64,
        now: Timestamp,
    ) -> Result<Option<AnswerRecord>, StoreError> {
        answers::find(self.database(), payment, now)
    }

    fn has_payments(&self, customer: &str) -> Result<bool, StoreError> {
        payments::has_any(self.database(), customer)
    }

    fn verify(&self, each: &mut dyn FnMut(Difference)) -> Result<Verified, StoreError> {
        verify::verify(self.database(), each)
    }

    fn nodes(&self) -> Result<Vec<NodeRecord>, StoreError> {
        self.database().nodes()
    }

    fn load_removals(&self, each: &mut dyn FnMut(&str)) -> Result<(), StoreError> {
        pseudonyms::load(self.database(), each)
    }

    fn load_customers(
        &self,
        each: &mut dyn FnMut(CustomerRecord, Option<SubscriptionTerms>, Vec<ApplicationRecord>),
    ) -> Result<(), StoreError> {
        customers::load(self.database(), each)
    }

    fn load_keys(&self, each: &mut dyn FnMut(KeyRecord)) -> Result<(), StoreError> {
        keys::load(self.database(), each)
    }
}
