//! Writing, in the writer's transaction alone.

use std::mem;

use jiff::Timestamp;

use crate::{
    model::{Currency, Nanos, SubscriptionTerms},
    store::{
        StoreError,
        records::{
            AccountKey, AdjustmentRecord, Announcement, AnswerRecord, ApplicationRecord,
            AuditRecord, CustomerRecord, DeliveryState, EntryKind, EventRecord, GrantRecord,
            IdempotencyRecord, KeyRecord, NodeRecord, PaymentRecord, PaymentStep, Records,
            SharedLeft, ThresholdRecord,
        },
        sql::{
            Database, Source, accounts, answers, audit, calls, credits, customers, events, keys,
            payments, pseudonyms, reads::Rows, subscriptions,
        },
    },
};

/// The writer's connection, in a transaction.
pub(in crate::store) struct Writer<'c> {
    database: &'c dyn Database,
    has_renamed: bool,
    announced: Vec<Announcement>,
}

impl<'c> Writer<'c> {
    pub(in crate::store) fn new(database: &'c dyn Database) -> Self {
        Self { database, has_renamed: false, announced: Vec::new() }
    }
}

impl Source for Writer<'_> {
    fn database(&self) -> &dyn Database {
        self.database
    }
}

impl Rows<Writer<'_>> {
    /// Tells whether rows of usage may have another name now, or be gone, even if that is undone.
    pub(in crate::store) fn has_renamed(&self) -> bool {
        self.by().has_renamed
    }

    /// Gives what the other processes are to learn of if this is committed.
    pub(in crate::store) fn announced(&mut self) -> Vec<Announcement> {
        mem::take(&mut self.by_mut().announced)
    }
}

impl Records for Rows<Writer<'_>> {
    fn put_customer(&mut self, customer: &CustomerRecord) -> Result<(), StoreError> {
        customers::put(self.database(), customer)
    }

    fn delete_customer(&mut self, id: &str, name: &str, pseudonym: &str) -> Result<(), StoreError> {
        self.by_mut().has_renamed = true;
        pseudonyms::delete_customer(self.database(), id, name, pseudonym)
    }

    fn put_subscription(
        &mut self,
        customer: &str,
        terms: &SubscriptionTerms,
    ) -> Result<(), StoreError> {
        subscriptions::put(self.database(), customer, terms)
    }

    fn put_application(&mut self, application: &ApplicationRecord) -> Result<(), StoreError> {
        customers::put_application(self.database(), application)
    }

    fn delete_application(&mut self, customer: &str, name: &str) -> Result<(), StoreError> {
        customers::delete_application(self.database(), customer, name)
    }

    fn put_key(&mut self, key: &KeyRecord) -> Result<(), StoreError> {
        keys::put(self.database(), key)
    }

    fn add_used(
        &mut self,
        now: Timestamp,
        account: &AccountKey<'_>,
        units: i64,
        why: (EntryKind, Option<&str>),
    ) -> Result<(), StoreError> {
        accounts::add_used(self.database(), now, account, units, why)
    }

    fn put_payment(&mut self, payment: &PaymentRecord) -> Result<Option<i64>, StoreError> {
        payments::put(self.database(), payment)
    }

    fn advance_payment(
        &mut self,
        now: Timestamp,
        was: &PaymentRecord,
        step: &PaymentStep<'_>,
    ) -> Result<Option<PaymentRecord>, StoreError> {
        payments::advance(self.database(), now, was, step)
    }

    fn renew_payment(&mut self, now: Timestamp, was: &PaymentRecord) -> Result<bool, StoreError> {
        payments::renew(self.database(), now, was)
    }

    fn forget_payment(&mut self, was: &PaymentRecord) -> Result<(), StoreError> {
        payments::forget(self.database(), was)
    }

    fn forget_payments(&mut self, before: Timestamp, max: usize) -> Result<bool, StoreError> {
        payments::forget_ended(self.database(), before, max)
    }

    fn keep_answer(&mut self, answer: &AnswerRecord, bytes_max: i64) -> Result<(), StoreError> {
        answers::keep(self.database(), answer, bytes_max)
    }

    fn forget_answers(&mut self, now: Timestamp, max: usize) -> Result<bool, StoreError> {
        answers::forget(self.database(), now, max)
    }

    fn put_grant(&mut self, grant: &GrantRecord, repays: Nanos) -> Result<u64, StoreError> {
        credits::grant(self.database(), grant, repays)
    }

    fn expire_grant(
        &mut self,
        now: Timestamp,
        grant: &GrantRecord,
        left: Nanos,
        repays: Nanos,
    ) -> Result<(), StoreError> {
        credits::expire(self.database(), now, grant, left, repays)
    }

    fn shared_left(&mut self, grant: &GrantRecord) -> Result<Option<SharedLeft>, StoreError> {
        self.database().shared_left(grant)
    }

    fn owed_shared(
        &mut self,
        customer: &str,
        currency: Currency,
    ) -> Result<Option<Nanos>, StoreError> {
        self.database().owed_shared(customer, currency)
    }

    fn owe(
        &mut self,
        now: Timestamp,
        customer: &str,
        currency: Currency,
        nanos: Nanos,
        reference: &str,
    ) -> Result<(), StoreError> {
        credits::owe(self.database(), now, (customer, currency), nanos, reference)
    }

    fn enter_gathered(
        &mut self,
        now: Timestamp,
        before: Timestamp,
        max: usize,
    ) -> Result<bool, StoreError> {
        self.database().enter_gathered(now, before, max)
    }

    fn carry_entries(&mut self, before: Timestamp, max: usize) -> Result<bool, StoreError> {
        self.database().carry(before, max)
    }

    fn forget_shared_windows(&mut self, before: Timestamp, max: usize) -> Result<bool, StoreError> {
        self.database().forget_shared_windows(before, max)
    }

    fn append_audit(&mut self, entry: &AuditRecord) -> Result<(), StoreError> {
        audit::append(self.database(), entry)
    }

    fn append_adjustment(&mut self, entry: &AdjustmentRecord) -> Result<(), StoreError> {
        audit::append_adjustment(self.database(), entry)
    }

    fn put_idempotent(
        &mut self,
        entry: &IdempotencyRecord,
        forget_before: Timestamp,
    ) -> Result<(), StoreError> {
        calls::put(self.database(), entry, forget_before)
    }

    fn forget_node(&mut self, id: &str) -> Result<Option<NodeRecord>, StoreError> {
        self.database().forget_node(id)
    }

    fn announce(&mut self, change: Announcement) {
        self.by_mut().announced.push(change);
    }

    fn put_setting(&mut self, name: &str, value: &str) -> Result<(), StoreError> {
        calls::put_setting(self.database(), name, value)
    }

    fn put_event(&mut self, event: &EventRecord) -> Result<bool, StoreError> {
        events::put(self.database(), event)
    }

    fn put_threshold(
        &mut self,
        account: &AccountKey<'_>,
        known: Option<&ThresholdRecord>,
        record: &ThresholdRecord,
    ) -> Result<bool, StoreError> {
        accounts::put_threshold(self.database(), account, known, record)
    }

    fn delete_threshold(&mut self, account: &AccountKey<'_>) -> Result<(), StoreError> {
        accounts::delete_threshold(self.database(), account)
    }

    fn put_delivery(
        &mut self,
        sequence: u64,
        state: DeliveryState,
        attempts: u32,
        next_attempt: Option<Timestamp>,
        last_status: Option<u16>,
        last_error: Option<&str>,
    ) -> Result<(), StoreError> {
        let progress = events::Progress { state, attempts, next_attempt, last_status, last_error };
        events::put_progress(self.database(), sequence, &progress)
    }

    fn fail_deliveries(
        &mut self,
        endpoint: &str,
        reason: &str,
        max: usize,
    ) -> Result<usize, StoreError> {
        events::fail(self.database(), endpoint, reason, max)
    }

    fn put_in_order(&mut self, now: Timestamp, max: usize) -> Result<(), StoreError> {
        events::put_in_order(self.database(), now, max)
    }

    fn forget_deliveries(&mut self, before: Timestamp) -> Result<(), StoreError> {
        events::forget(self.database(), before)
    }
}
